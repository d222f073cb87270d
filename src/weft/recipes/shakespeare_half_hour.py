"""The lowest loss on character-level Shakespeare that half an hour on two cores gives.

    weft train shakespeare_half_hour --data FOLDER --out runs/shakespeare   # FOLDER: train.txt.gz and dev.txt.gz
    weft train shakespeare_half_hour --debug --out runs/try                 # makes its own rows, ends in seconds

Cost: 30 minutes on two cores with bf16. Expect 1.37 nats per character on dev.txt, over blocks of 256; nanoGPT
publishes 1.4697 for 10.7M parameters on a GPU. Fourteen epochs of a million characters: without dropout the model
would learn them by heart. It falls on the residual stream alone, where it costs nothing.
"""

from weft.data import DataSettings
from weft.models import Blueprint
from weft.recipes.recipe import DEBUG, Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="shakespeare_half_hour",
    model=Blueprint.of(
        "llama",
        "small",
        vocab=65,
        context=256,
        width=256,
        depth=4,
        heads=4,
        hidden=688,
        tied=True,
        dropout=0.1,
        attention_dropout=0.0,
    ),
    data=DataSettings(source="text", tokenizer="characters", vocab=0),
    train=TrainSettings(
        steps=3500,
        batch=16,
        optimiser="muon",
        rate=8e-3,
        schedule="linear",
        floor=0.0,
        compile="on",
        evaluate_every=600,
    ),
    prompts=("ROMEO:\n", "To be, or "),
    sample_tokens=300,
    debug=(*DEBUG, ("data.source", "made"), ("data.vocab", "0"), ("train.compile", "off")),
    story=__doc__ or "",
)
