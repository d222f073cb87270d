"""Spoken digits told apart by a Perceiver: frames of sound, each with its time beside it, and 32 latents that look.

    weft train perceiver_digits --data recordings.tar.gz --out runs/frames
    weft predict runs/frames --data more/ --out heard.jsonl

The same latents see clothes in `weft train perceiver_fashion`: a frame stands where a pixel does. Held out are the
first five recordings of each digit and speaker. Cost: 5 minutes of training on two cores are asked for. Expect an
accuracy of at least 0.85.
"""

from weft.data.signals import SoundAugment, SpeechSettings
from weft.models import Blueprint
from weft.objectives import Classes
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="perceiver_digits",
    model=Blueprint.of(
        "perceiver", "small", latents=32, latent_width=96, blocks=1, depth=4, heads=4, cross_heads=4, qk_width=96,
        channels=40, grid=[160], bands=16, classes=10,
    ),
    objective=Classes(smoothing=0.1),
    data=SpeechSettings(
        source="spoken_digits", rate=8000, normalise=True, alike=64,
        augment=SoundAugment(speed=0.1, volume=6, noise=0.5, warp=0.05, bands=2, band=6, spans=2, span=8),
    ),
    train=TrainSettings(
        minutes=5, batch=64, optimiser="muon", rate=4e-3, schedule="linear", floor=0.0, weight_decay=0.1,
        checkpoint_every=500, log_every=20, workers=1,
    ),
    debug=(*DEBUG_STEPS, ("model.channels", "8"), ("model.grid", "64"), ("model.classes", "10"),
           ("data.source", "made_sounds"), ("data.normalise", "false"), ("objective.smoothing", "0")),
    story=__doc__ or "",
)  # fmt: skip
