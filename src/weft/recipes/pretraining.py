r"""Each pretraining objective on real text for two minutes, from one table: what it comes to beside one guess for all.

    weft train pretrain_masked --out runs/masked            # on the sources of Python's standard library
    weft train pretrain_spans --data notes/ --out runs/spans

A model of 4 layers, width 128 and context 128 over 2,048 subwords; its family is the objective's usual one. The card
says what the best constant guess pays for the same labels (`evaluate.constant_nats`). Distillation needs a teacher, and
reads its ids:

    weft train pretrain_distil_masked --set objective.teacher=runs/masked --set data.tokenizer=runs/masked \
      --out runs/taught
"""

from __future__ import annotations

from weft.data import DataSettings
from weft.models import Blueprint
from weft.objectives import OBJECTIVES
from weft.objectives.distil import MADE
from weft.objectives.together import together
from weft.recipes.recipe import DEBUG, Recipe, with_heads
from weft.training.settings import TrainSettings

# objective: the family that it was made for, and the settings that say how deep 4 layers are there
FAMILY_OF = {
    "next_token": "llama", "prefix": "t5", "masked": "bert", "masked+next_sentence": "bert",
    "masked+sentence_order": "albert", "span_boundary": "spanbert", "replaced": "electra", "spans": "t5",
    "replace_spans": "t5", "drop_tokens": "t5", "mass": "t5", "bert_style": "t5", "deshuffle": "t5", "denoise": "bart",
    "contrast": "bert", "distil": "llama", "distil_masked": "bert",
}  # fmt: skip
_SIZE = dict(vocab=2048, context=128, width=128, heads=4, hidden=512)
_DROPS = ("contrast",)  # two readings of a text differ by dropout alone; two minutes of the others do without
_TAUGHT = ("distil", "distil_masked")  # --debug makes them a teacher
_DEPTH = {"t5": dict(encoder_depth=4, decoder_depth=4, head_width=32), "bart": dict(encoder_depth=4, decoder_depth=4)}


def pretraining(objective: str) -> Recipe:
    """The recipe of an objective, by its name in `--objective`."""
    family, parts = FAMILY_OF[objective], [OBJECTIVES.get(name)() for name in objective.split("+")]
    minimised = parts[0] if len(parts) == 1 else together(parts)
    model = Blueprint.of(family, "debug", **_SIZE, **_DEPTH.get(family, dict(depth=4)))
    dropout = "0.1" if objective in _DROPS else "0"
    debug = (*DEBUG, ("model.dropout", dropout), ("data.paths", "json"))
    what = f"The objective {minimised.title}, by a {family} of 4 layers, on the sources of Python's standard library."
    return Recipe(
        name=f"pretrain_{objective.replace('+', '_and_')}",
        model=with_heads(model.change("dropout", dropout), minimised.heads),
        data=DataSettings(source="python_stdlib", tokenizer="bpe", vocab=2048),
        train=TrainSettings(minutes=2.0, batch=16, optimiser="muon", rate=4e-3, checkpoint_every=0),
        objective=minimised,
        debug=(*debug, ("objective.teacher", MADE)) if objective in _TAUGHT else debug,
        story=f"{what}\n\n{__doc__}",
    )


recipes = tuple(pretraining(objective) for objective in FAMILY_OF)
