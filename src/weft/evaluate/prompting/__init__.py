"""Zero-, one- and few-shot tasks as data: rows to prompts, and what a model scores on them.

`weft.hub.prompt` asks a model.
"""

from weft.evaluate.prompting.outcome import Prompted, Run
from weft.evaluate.prompting.shots import Draw, Prompts, Question
from weft.evaluate.prompting.task import NORMALISATIONS, PROMPTS, PromptTask, find_task, read_task

__all__ = [
    "NORMALISATIONS",
    "PROMPTS",
    "Draw",
    "PromptTask",
    "Prompted",
    "Prompts",
    "Question",
    "Run",
    "find_task",
    "read_task",
]
