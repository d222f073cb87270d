"""A pole balanced for as long as is asked: a Decision Transformer of CartPole, from episodes played well and badly.

    weft train cartpole_cloning --out runs/cartpole_cloning
    weft train cartpole_decision --set data.against=runs/cartpole_cloning --out runs/cartpole
    weft eval runs/cartpole --seeds 1                                  # acts anew
    weft predict runs/cartpole --data episodes.jsonl --out next.jsonl  # the next action of each

Needs gymnasium (pip install 'weft[control]'). Cost: about three minutes on two cores each. Ten returns from about 43 to
500 are asked for, each in 20 episodes: Spearman's ρ of asked and got is to be above 0.8, and the highest return to be
above what cloning the same episodes comes to.
"""

from weft.data.signals import EpisodeSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="cartpole_decision",
    model=Blueprint.of(
        "decision_transformer",
        "small",
        actions="discrete",
        width=64,
        depth=2,
        heads=4,
        dropout=0.1,
        attention_dropout=0.0,
    ),
    data=EpisodeSettings(source="played", world="CartPole-v1", count=1000, window=10),
    train=TrainSettings(
        steps=1500,
        batch=128,
        rate=2e-3,
        weight_decay=1e-2,
        floor=0.0,
        kernel="sdpa",
        checkpoint_every=500,
        log_every=10,
    ),
    debug=(*DEBUG_STEPS, ("model.actions", "discrete"), ("data.source", "made_episodes"), ("data.world", "")),
    story=__doc__ or "",
)
