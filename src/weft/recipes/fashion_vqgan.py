"""Clothes as 7 x 7 codes each, from a book of 256, and painted again: the first half of drawing them by a decoder.

    weft train fashion_vqgan --data FOLDER --out runs/codebook   # FOLDER: train-images-idx3-ubyte.gz, dev-…, labels
    weft train fashion_codes --data FOLDER --set data.quantiser=runs/codebook --out runs/drawer

Cost: 9 minutes of training on two cores are asked for, in fp32. A picture of 784 pixels is written in 49 bytes; the
held-out loss is the mean absolute error of a pixel in the deviations of all of them. From the second epoch on a
discriminator has its say.
"""

from weft.data.signals import Augment, SignalSettings
from weft.models import Blueprint
from weft.objectives.autoencode import Autoencode
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_vqgan",
    model=Blueprint.of("vqgan", "small"),
    objective=Autoencode(adversarial=0.05, judged_from=2),
    data=SignalSettings(augment=Augment(flip=True)),
    train=TrainSettings(
        minutes=9,
        batch=64,
        rate=1.5e-3,
        beta1=0.5,
        weight_decay=0.0,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures"), ("objective.judged_from", "0")),
    story=__doc__ or "",
)
