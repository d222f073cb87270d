"""Clothes drawn out of noise by a diffusion transformer that is told the class: 28 x 28 grey pixels, patches of 4 x 4.

    weft train fashion_diffusion --data FOLDER --out runs/clothes   # FOLDER: train-images-idx3-ubyte.gz, dev-…, labels
    weft generate runs/clothes --prompt 3 --count 8 --out dresses.png

Cost: 20 minutes of training on two cores are asked for. The held-out loss is the mean squared error of a velocity,
about 1 for one who knows nothing. Expect 95% of what is drawn to show its class: 3,272 steps had that, half of these
minutes on one core with bf16.
"""

from weft.data.drawings import DrawingSettings
from weft.data.signals import Augment
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_diffusion",
    model=Blueprint.of("dit", "small", context=8),
    data=DrawingSettings(source="pictures", tokenizer="characters", vocab=0, augment=Augment(flip=True)),
    train=TrainSettings(
        minutes=20,
        batch=64,
        optimiser="muon",
        rate=2e-3,
        weight_decay=0.01,
        average=0.998,
        schedule="linear",
        floor=0.0,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures"), ("model.context", "16")),
    story=__doc__ or "",
)
