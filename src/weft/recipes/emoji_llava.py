"""Questions about small pictures, answered in words: what it is, which group it is of, whether it is this or that.

    weft train emoji_llava --data FOLDER --out runs/emoji   # FOLDER: train.tsv (file, caption, group, subgroup), pixels
    weft eval runs/emoji --data FOLDER                      # held-out pictures: exact match by kind of question
    weft predict runs/emoji --data questions.jsonl --out answers.jsonl      # image, question
    weft train emoji_llava --data FOLDER --set data.blind=true --out runs/blind   # what the questions alone tell

Cost: 15 minutes of training on two cores are asked for. The image's tower is trained with the decoder, from scratch.
"""

from weft.data.signals import Augment
from weft.data.signals.questions import QuestionSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="emoji_llava",
    model=Blueprint.of("llava", "small"),
    data=QuestionSettings(vocab=1000, augment=Augment(flip=True, zoom=0.2, turn=10, colour=0.2, erase=0.1)),
    train=TrainSettings(
        minutes=15,
        batch=64,
        optimiser="muon",
        rate=4e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=200,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_questions"), ("data.vocab", "300")),
    story=__doc__ or "",
)
