"""Clothes told apart by a Perceiver: 784 pixels, each with its place beside it, and 32 latents that look at them.

    weft train perceiver_fashion --data FOLDER --out runs/pixels   # FOLDER: train-images-idx3-ubyte.gz, dev-…, labels
    weft predict runs/pixels --data shoes/ --out found.jsonl

The same latents hear spoken digits in `weft train perceiver_digits`. Cost: 9 minutes of training on two cores are asked
for. Expect an accuracy of at least 0.85 on the held-out pictures.
"""

from weft.data.signals import Augment, SignalSettings
from weft.models import Blueprint
from weft.objectives import Classes
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="perceiver_fashion",
    model=Blueprint.of(
        "perceiver", "small", latents=32, latent_width=96, blocks=1, depth=4, heads=4, cross_heads=4, qk_width=96,
        channels=1, grid=[28, 28], bands=8, classes=10,
    ),
    objective=Classes(smoothing=0.1),
    data=SignalSettings(augment=Augment(flip=True, shift=1)),
    train=TrainSettings(
        minutes=9, batch=64, optimiser="muon", rate=4e-3, schedule="linear", floor=0.0, weight_decay=0.1,
        checkpoint_every=500, log_every=20,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures"), ("objective.smoothing", "0")),
    story=__doc__ or "",
)  # fmt: skip
