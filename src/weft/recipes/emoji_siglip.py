"""Emoji and their names again, each text and each picture asked alone whether they belong together: a small SigLIP.

    weft train emoji_siglip --data noto_emoji/ --out runs/emoji_siglip
    weft eval runs/emoji_siglip --data pictures.tsv

Cost: 12 minutes of training on two cores are asked for. The data, the towers and the figures are those of emoji_clip.
"""

from weft.models import Blueprint
from weft.recipes.emoji_clip import DATA, DEBUG, IMAGE, TEXT, TRAIN
from weft.recipes.recipe import Recipe

recipe = Recipe(
    name="emoji_siglip",
    model=Blueprint.of(
        "siglip",
        text=Blueprint.of("siglip_text", **TEXT),
        image=Blueprint.of("cct", **IMAGE),
    ),
    data=DATA,
    train=TRAIN,
    debug=DEBUG,
    story=__doc__ or "",
)
