"""Clothes told apart by a ViT that saw nothing else: 28 x 28 grey pictures in patches of 4 x 4, ten classes.

    weft train fashion_vit --data FOLDER --out runs/clothes   # FOLDER: train-images-idx3-ubyte.gz, dev-…, labels
    weft predict runs/clothes --data shoes/ --out found.jsonl

Cost: 18 minutes of training on two cores are asked for. Every picture is mirrored half of the time, moved by up to two
pixels, and now and then has a hole. Accuracy is of the held-out pictures: 0.907 after 1,727 steps, in fifteen
minutes of one core with bf16, beside other runs.
"""

from weft.data.signals import Augment, SignalSettings
from weft.models import Blueprint
from weft.objectives import Classes
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_vit",
    model=Blueprint.of("vit", "small", width=192, depth=6, heads=6, hidden=576, pool="mean", dropout=0.0),
    objective=Classes(smoothing=0.1),
    data=SignalSettings(augment=Augment(flip=True, shift=2, erase=0.25)),
    train=TrainSettings(
        minutes=18,
        batch=128,
        optimiser="muon",
        rate=4e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures"), ("objective.smoothing", "0")),
    story=__doc__ or "",
)
