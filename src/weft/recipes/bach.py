"""Bach's chorales, note by note: a Music Transformer, which tells places apart by how far back they lie.

    weft train bach --data satb_16th.json.gz --out runs/bach     # parts "train" and "valid", four voices in sixteenths
    weft generate runs/bach --out chorale.mid

Cost: 15 minutes of training on two cores are asked for. Each time it is trained on, a chorale is moved by up to five
semitones down or six up, with no voice leaving its span. Nats are of an event: one voice at one sixteenth.
"""

from weft.data.signals.scores import MusicSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="bach",
    model=Blueprint.of(
        "music", "small", context=256, width=128, depth=4, heads=4, hidden=512, dropout=0.1, attention_dropout=0.0,
    ),
    data=MusicSettings(),
    train=TrainSettings(
        minutes=15,
        batch=16,
        optimiser="muon",
        rate=4e-3,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=500,
        log_every=20,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_music")),
    story=__doc__ or "",
)  # fmt: skip
