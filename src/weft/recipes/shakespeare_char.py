"""Character-level Shakespeare, the field's first exercise (Karpathy's char-rnn and nanoGPT).

    weft train shakespeare_char --data FOLDER --out runs/shakespeare   # FOLDER holds train.txt.gz and dev.txt.gz
    weft train shakespeare_char --debug --out runs/try                 # makes its own rows, ends in seconds

Cost: about a minute on two cores. Expect about 1.6 nats per character on dev.txt.
"""

from weft.data import DataSettings
from weft.models import Blueprint
from weft.recipes.recipe import DEBUG, Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="shakespeare_char",
    model=Blueprint.of("llama", "small", vocab=65, context=128, width=128, depth=4, heads=4, hidden=384, tied=True),
    data=DataSettings(source="text", tokenizer="characters", vocab=0),
    train=TrainSettings(
        steps=600, batch=32, optimiser="muon", rate=8e-3, schedule="linear", floor=0.02, checkpoint_every=200
    ),
    prompts=("ROMEO:\n", "To be, or "),
    sample_tokens=300,
    debug=(*DEBUG, ("data.source", "made"), ("data.vocab", "0")),
    story=__doc__ or "",
)
