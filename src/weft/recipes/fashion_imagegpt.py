"""Clothes drawn pixel by pixel, by class: pictures of 14 x 14 pixels, each one of 16 greys, by a decoder (Image GPT).

    weft train fashion_imagegpt --data FOLDER --out runs/drawn   # FOLDER: train-images-idx3-ubyte.gz, dev-…, labels
    weft generate runs/drawn --prompt 3 --count 8 --out grid.png
    weft eval runs/drawn --judge runs/clothes --data FOLDER      # runs/clothes: weft train fashion_vit

Cost: 20 minutes of training on two cores are asked for. The files' 28 x 28 pixels are made 14 x 14: four times as many
places would be seen a quarter as often. Held-out bits are of these pixels as these greys. Expect 73% of what is drawn
to show its class, as a judge of 28 x 28 pixels sees it: real pictures of 14 x 14 are known in 77% to 80%.
"""

from weft.data.signals import PixelSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_imagegpt",
    model=Blueprint.of("imagegpt", "small", vocab=17, context=198, width=128, depth=6, heads=4),
    data=PixelSettings(image=14, by_class=True),
    train=TrainSettings(
        minutes=20,
        batch=32,
        optimiser="muon",
        rate=4e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(
        *DEBUG_STEPS,
        ("model.context", "18"),
        ("data.source", "made_pictures"),
        ("data.image", "4"),
    ),
    story=__doc__ or "",
)
