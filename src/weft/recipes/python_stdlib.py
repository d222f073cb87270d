"""A small language model of Python, from the sources that every machine with Python has: its standard library.

    weft train python_stdlib --out runs/python            # `make demo` runs this one
    weft train python_stdlib --data my/code --out runs/mine

Cost: 2.5 M tokens, four minutes of training on two idle cores. Expect 1.28 held-out bits per byte with the library of
Python 3.11, where an interpolated 5-gram over the same tokens gives 1.32 and `xz -9` 1.53 on the same bytes.
"""

from weft.data import DataSettings
from weft.models import Blueprint
from weft.recipes.recipe import DEBUG, Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="python_stdlib",
    model=Blueprint.of("llama", "small", vocab=4096, context=256, width=192, depth=5, heads=3, hidden=512, tied=True),
    data=DataSettings(source="python_stdlib", tokenizer="bpe", vocab=4096),
    train=TrainSettings(
        steps=600,
        batch=16,
        optimiser="muon",
        rate=1.2e-2,
        schedule="linear",
        floor=0.0,
        evaluate_every=0,
        checkpoint_every=200,
    ),
    prompts=(
        "def read_lines(path):",  # no line end: a vocabulary joins it with the indentation that follows
        "class Stack:\n    def __init__(self",
        "import os\nimport sys\n\ndef main(",
    ),
    temperature=0.6,
    baselines=True,
    debug=(*DEBUG, ("data.paths", "json,email")),
    story=__doc__ or "",
)
