"""Held-out likelihood of a loaded model on files."""

from __future__ import annotations

from collections.abc import Callable

from weft.data import DataSettings, Pairs, open_pairs, open_source, rows
from weft.evaluate import Likelihood, likelihood
from weft.hub.model import Model
from weft.models import FAMILIES
from weft.objectives import OBJECTIVES


def score(
    model: Model, paths: tuple[str, ...], *, batch: int = 16, say: Callable[[str], None] = lambda text: None
) -> Likelihood:
    """-log p of texts (or, for an encoder–decoder, pairs) in non-overlapping rows of the model's context.

    `say` hears of pairs that are longer than the context and left out. ValueError where the data are missing, empty or
    undecodable, or the model has no tokenizer.
    """
    tokenizer, context = model.need_tokenizer(), model.config.context
    objective = OBJECTIVES.get(FAMILIES.get(model.blueprint.family).objective)()
    if model.translates:
        dataset = Pairs(open_pairs(DataSettings(source="pairs", paths=paths)), tokenizer, context)
        size = sum(len(target.encode()) for _, target in dataset.pairs)
        if dataset.dropped:
            say(f"{dataset.dropped:,} pairs are longer than the context of {context} tokens and were left out")
    else:
        dataset, size = rows(list(open_source("text", paths).documents()), tokenizer, context)
    return likelihood(model.module, dataset, objective, bytes=size, rows=batch)
