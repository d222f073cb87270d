"""Held-out likelihood of a loaded model on files."""

from __future__ import annotations

from collections.abc import Callable

from weft.data import COLUMN, DataSettings, Pairs, RowKind, open_pairs, open_source, rows
from weft.evaluate import Likelihood, counted_bytes, likelihood, no_bytes
from weft.generate.cached import evaluating
from weft.hub.model import Model
from weft.models import FAMILIES
from weft.nn import Encoder
from weft.objectives import OBJECTIVES, Objective


def score(
    model: Model,
    paths: tuple[str, ...],
    *,
    how: RowKind = "stream",
    column: str = COLUMN,
    batch: int = 16,
    objective: Objective | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Likelihood:
    """-log p of texts (or, for an encoder–decoder, pairs) in non-overlapping rows of the model's context, in evaluation
    mode.

    how:    how texts become rows, as data.rows in training; pairs always have a row each, and refuse another.
    column: which holds the text, in files of records; pairs refuse one.
    batch:  rows at once; changes nothing but the time and memory it takes.
    objective: whose term "loss" it is; None: what the model's family is pretrained with.
    say:    hears of pairs that are longer than the context and left out, of rows without text, and why there are no
            bits per byte where the tokenizer is lossy, or the model is asked for some of the tokens only.

    ValueError where the data are missing, empty or undecodable, the model has no tokenizer, or its family cannot pack.
    """
    tokenizer, context, family = model.need_tokenizer(), model.config.context, FAMILIES.get(model.blueprint.family)
    if not all(paths):
        raise ValueError("one of the paths is empty (''): name a file, folder or pattern; . is this folder")
    objective = objective or OBJECTIVES.get(family.objective)(**family.terms(model.config))
    check_heads(model, objective)
    if objective.pairs:
        pairs = open_pairs(DataSettings("pairs", paths, column=column, rows=how))
        dataset = Pairs(pairs, tokenizer, context, start=model.stops.start)
        size = sum(len(target.encode()) for _, target in dataset.pairs)
        if dataset.dropped:
            say(f"{dataset.dropped:,} pairs are longer than the context of {context} tokens and were left out")
    elif how != "stream" and (mixes := model.blueprint.mixes):
        raise ValueError(f"{mixes} cannot keep the documents of a row apart: score them as a stream")
    else:
        documents = list(open_source("text", paths, column=column, say=say).documents())
        dataset, size = rows(documents, tokenizer, objective.length(model.module, context), how)
    if (needed := objective.ids(tokenizer)) > model.config.vocab:
        raise ValueError(f"{objective.title!r} needs {needed} ids, and the model has {model.config.vocab}: no [MASK]?")
    if why := no_bytes(tokenizer, objective):
        say(why)
    counted = counted_bytes(tokenizer, size, objective)
    with evaluating(list(model.module.modules())):
        return likelihood(model.module, objective.turn(dataset, tokenizer, 0), objective, bytes=counted, rows=batch)


def check_heads(model: Model, objective: Objective) -> None:
    """ValueError for an objective that this model cannot be asked, or that needs more than what is saved of it."""
    objective.check(model.module)
    missing = [head for head in objective.heads if isinstance(model.module, Encoder) and head not in model.module.heads]
    if missing or not objective.alone:
        what = f"a head {missing[0]!r}" if missing else "another model"
        raise ValueError(
            f"{objective.title} was asked of {what} beside this one, which its folder does not hold: the run's own "
            "figures are in its report.json"
        )
