"""Clothes drawn by a decoder that goes on from a class with the codes of a picture, one after the other.

    weft train fashion_vqgan --data FOLDER --out runs/codebook   # what makes codes of pictures, and paints them again
    weft train fashion_codes --data FOLDER --set data.quantiser=runs/codebook --out runs/drawer
    weft generate runs/drawer --prompt 3 --count 8 --out dresses.png

Cost: 9 minutes of training on two cores are asked for. The held-out loss is in nats a code, of 49 a picture.
Expect 85% of what is drawn to show its class: 1,738 steps had that, six tenths of these minutes on one core with bf16.
"""

from weft.data.signals.codes import MADE, CodeSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_codes",
    model=Blueprint.of("llama", "small", context=49, width=144, depth=5, heads=6, kv_heads=6, hidden=384, tied=False),
    data=CodeSettings(mirrored=True),
    train=TrainSettings(
        minutes=9,
        batch=64,
        optimiser="muon",
        rate=3e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures"), ("data.quantiser", MADE)),
    story=__doc__ or "",
)
