"""weft's own prompt tasks, registered."""

from weft.evaluate.prompting.task import PROMPTS, PromptTask

# A sentence, a tab, 0 or 1; no header: the Stanford Sentiment Treebank in its usual form.
PROMPTS.register(
    "sst2",
    PromptTask(
        "Review: {1}\nSentiment:",
        "2",
        ("negative", "positive"),
        ("0", "1"),
        header=False,
    ),
)
