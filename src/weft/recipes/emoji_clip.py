"""Emoji and their names, held against each other by a small CLIP that saw nothing else: 32 x 32 pixels, 1,511 pairs.

    weft train emoji_clip --data noto_emoji/ --out runs/emoji   # the folder with train.tsv and train_32x32_rgb.npy.gz
    weft train emoji_clip --data noto_emoji/ --part text=models/minilm --set train.frozen=text --out runs/emoji
    weft predict runs/emoji --data pictures/ --out found.jsonl

The second has a tower of texts that knows their words already (all-MiniLM-L6-v2, say), and learns to see alone.

Cost: 12 minutes of training on two cores are asked for. 168 rows are held out, with their twins (see data.alike). A
text to train on is the caption, the caption behind its subgroup, or group and subgroup: train.tsv's own columns, and
no other source. Recalls are of the held-out captions alone; those "with columns" read "subgroup: caption", and know
more. A picture's group is told by the prompts "group, subgroup", with a subgroup from each of the 98 there are.
"""

from typing import Any

from weft.data.captions import CaptionSettings
from weft.data.signals import Augment
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

DATA = CaptionSettings(
    image_column="file",
    text_column="caption",
    templates=("{caption}", "{subgroup}: {caption}", "{group}, {subgroup}"),
    asked="{subgroup}: {caption}",
    drop=0.2,
    class_column="group",
    prompts=("{group}, {subgroup}",),
    augment=Augment(flip=True, zoom=0.25, turn=12, colour=0.2, erase=0.2),
)
TEXT: dict[str, Any] = dict(width=128, depth=1, heads=4, hidden=256, context=24, attention_dropout=0.1)
IMAGE: dict[str, Any] = dict(
    image=32, width=128, depth=3, heads=4, hidden=256, convolutions=3, inner=32, dropout=0.1, tasks=[]
)
TRAIN = TrainSettings(
    minutes=12,
    batch=128,
    optimiser="muon",
    rate=3e-3,
    schedule="linear",
    floor=0.0,
    weight_decay=0.2,
    evaluate_every=250,
    checkpoint_every=250,
    log_every=10,
    workers=1,
)
DEBUG = (
    *DEBUG_STEPS,
    ("model.width", "48"),
    ("data.source", "made_captions"),
    ("data.text_column", "text"),
    ("data.templates", "{text},a {colour} {shape}"),
    ("data.asked", "{shape}: {text}"),
    ("data.class_column", "shape"),
    ("data.prompts", "{shape}"),
)

recipe = Recipe(
    name="emoji_clip",
    model=Blueprint.of(
        "clip",
        text=Blueprint.of("clip_text", **TEXT),
        image=Blueprint.of("cct", **IMAGE),
        width=128,
    ),
    data=DATA,
    train=TRAIN,
    debug=DEBUG,
    story=__doc__ or "",
)
