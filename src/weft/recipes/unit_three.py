"""Three tasks, one model: what is worn in a picture, what a review thinks, questions about small pictures.

    weft train unit_three --data clothes=CLOTHES --data mood=REVIEWS --data answer=FOLDER --out runs/three
    weft train unit_three --data clothes=CLOTHES --set data.tasks=clothes --out runs/clothes   # alone
    weft eval runs/three --data mood=REVIEWS        # of what the run held out
    weft predict runs/three --data clothes=shoes/ --out found.jsonl

CLOTHES: train-images-idx3-ubyte.gz, dev-…, and labels; REVIEWS: train.tsv and dev.tsv, a text and a label a line;
FOLDER: train.tsv with file, caption, group and subgroup, and pixels.

Cost: 15 minutes of training on two cores are asked for.
"""

from weft.data.signals import Augment
from weft.data.signals.task_samples import TaskSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

CLOTHES = ("t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")

recipe = Recipe(
    name="unit_three",
    model=Blueprint.of(
        "unit",
        "small",
        tasks=[
            dict(name="clothes", reads="image", classes=10, names=list(CLOTHES)),
            dict(name="mood", reads="text"),
            dict(name="answer", reads="both"),
        ],
    ),
    data=TaskSettings(
        weights=("clothes=3", "mood=1", "answer=2"),
        kinds=("group", "yes/no"),
        augment=Augment(flip=True, shift=2),
    ),
    train=TrainSettings(
        minutes=15,
        batch=96,
        optimiser="muon",
        rate=3e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(
        *DEBUG_STEPS,
        ("data.source", "made_tasks"),
        ("data.weights", ""),
        ("data.kinds", ""),
        ("data.vocab", "384"),
    ),
    story=__doc__ or "",
)
