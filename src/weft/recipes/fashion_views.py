"""What a ViT learns of clothes without labels: two views of one picture are nearest to each other (SimCLR).

    weft train fashion_views --data FOLDER --out runs/views
    weft train runs/views --objective classes --data FOLDER --out runs/few --set data.examples=600 --set train.rate=1e-3

Cost: 15 minutes of training on two cores are asked for. The last line goes on with 600 labels; docs/pictures.md has
the rest of its settings, and the same from scratch.
"""

from weft.data.signals import Augment, SignalSettings
from weft.models import Blueprint
from weft.objectives.views import Views
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="fashion_views",
    model=Blueprint.of("vit", "small", width=192, depth=6, heads=6, hidden=576, pool="mean", dropout=0.0),
    objective=Views(),
    data=SignalSettings(augment=Augment(flip=True, crop=0.25, light=0.4)),
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
