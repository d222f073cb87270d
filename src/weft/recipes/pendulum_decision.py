"""A pendulum swung up as well, or as badly, as is asked: a Decision Transformer of torques, from episodes of all kinds.

    weft train pendulum_cloning --out runs/pendulum_cloning
    weft train pendulum_decision --set data.against=runs/pendulum_cloning --out runs/pendulum
    weft eval runs/pendulum --seeds 1                                  # acts anew

Needs gymnasium (pip install 'weft[control]'). Cost: about four minutes on two cores each. Ten returns from about -1800
to -125 are asked for, each in 20 episodes: Spearman's ρ of asked and got is to be above 0.8, and the highest return to
be above what cloning the same episodes comes to.
"""

from weft.data.signals import EpisodeSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="pendulum_decision",
    model=Blueprint.of("decision_transformer", "small", width=64, depth=2, heads=4, dropout=0.1, attention_dropout=0.0),
    data=EpisodeSettings(source="played", world="Pendulum-v1", count=1000, window=10),
    train=TrainSettings(
        steps=2500,
        batch=128,
        rate=2e-3,
        weight_decay=1e-2,
        floor=0.0,
        kernel="sdpa",
        checkpoint_every=500,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_episodes"), ("data.world", "")),
    story=__doc__ or "",
)
