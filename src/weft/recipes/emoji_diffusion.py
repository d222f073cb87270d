"""Emoji drawn out of noise after their names: 32 x 32 coloured pictures, patches of 4 x 4, 1,511 of them.

    weft train emoji_diffusion --data noto_emoji/ --out runs/emoji   # the folder with train.tsv and its .npy.gz
    weft generate runs/emoji --prompt "grinning face" --prompt "red apple" --count 4 --out emoji.png

Cost: 20 minutes of training on two cores are asked for.
"""

from weft.data.drawings import DrawingSettings
from weft.data.signals import Augment
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="emoji_diffusion",
    model=Blueprint.of("dit", "small", image=32, channels=3, context=24, text_depth=2, width=160, depth=5, hidden=480),
    data=DrawingSettings(
        image_column="file",
        text_column="caption",
        templates=("{caption}", "{subgroup}: {caption}"),
        augment=Augment(flip=True, shift=1),
    ),
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
    debug=(
        *DEBUG_STEPS,
        ("data.source", "made_captions"),
        ("data.text_column", "text"),
        ("data.templates", "{text},a {colour} {shape}"),
    ),
    story=__doc__ or "",
)
