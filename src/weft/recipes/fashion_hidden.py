"""What a ViT learns of clothes without labels: three of four patches are hidden, and told from the rest (MAE).

    weft train fashion_hidden --data FOLDER --out runs/hidden
    weft train runs/hidden --objective classes --data FOLDER --out runs/few --set data.examples=600 \
        --set train.rate=1e-3

Cost: 15 minutes of training on two cores are asked for. The last line goes on with 600 labels; docs/pictures.md has
the rest of its settings, and the same from scratch.
"""

from weft.data.signals import Augment, SignalSettings
from weft.models import Blueprint
from weft.objectives.patches_hidden import HiddenPatches
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_hidden",
    model=Blueprint.of("vit", "small", width=192, depth=6, heads=6, hidden=576, pool="mean", dropout=0.0),
    objective=HiddenPatches(),
    data=SignalSettings(augment=Augment(flip=True, shift=2)),
    train=TrainSettings(
        minutes=15,
        batch=128,
        optimiser="muon",
        rate=4e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.05,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_pictures")),
    story=__doc__ or "",
)
