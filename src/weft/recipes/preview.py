"""What a run would be given, before it is begun: its model and its samples, by the data and the tokenizer at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from weft.batch import Tokenizer
from weft.data import DataSettings, Document, open_source, places, prepare, split, train_tokenizer
from weft.data.sources import quiet
from weft.evaluate import check
from weft.models import Blueprint
from weft.recipes.begin import built, check_model
from weft.recipes.feed import Feed
from weft.recipes.modalities.text_feed import own_language
from weft.recipes.modality import modality_of
from weft.recipes.recipe import Recipe
from weft.training.plan import Trial
from weft.training.world import place

TRIED = 4  # rows of a trial
MOST = 1 << 22  # characters of text that are read: a look must not take long


@dataclass(frozen=True)
class Preview:
    """blueprint: the model with the ids that its tokenizer would have; samples: in an epoch, 0 = not known; notices:
    what is known of the data and what is not, for people; trial: a pass over its first rows, of what is no text."""

    blueprint: Blueprint
    samples: int
    notices: tuple[str, ...]
    trial: Trial | None = None


def preview(recipe: Recipe) -> Preview:
    """A look at what a run would be given; nothing is written. ValueError for whatever the run would refuse of its
    settings and data: of texts of more than MOST characters, of their beginning."""
    check_model(recipe)
    recipe.data.check()
    if not isinstance(recipe.data, DataSettings):
        feed = modality_of(recipe.data).feed(recipe, None, Path(), quiet)
        said = f"the data give {len(feed.train):,} rows to train on; {len(feed.held_out):,} are held out"
        return Preview(feed.blueprint, len(feed.train), (*feed.notices, said), _trial(recipe, feed))
    tokenizer, pairs = own_language(recipe).tokenizer, recipe.minimised.pairs
    data = replace(recipe.data, store="")  # the run's to write
    beginning = None if pairs else _beginning(data)
    if beginning is not None:
        return _of_beginning(recipe, data, beginning, tokenizer)
    prepared = prepare(data, recipe.length, pairs=pairs, tokenizer=tokenizer)
    try:
        objective = recipe.minimised
        check(objective.turn(prepared.held_out, prepared.tokenizer, 0), objective)
        vocab, samples = prepared.tokenizer.vocab, len(prepared.train)
        said = (
            f"the data give {vocab:,} ids and {samples:,} rows to train on, with {prepared.train_tokens:,} tokens; "
            f"{prepared.held_out_tokens:,} tokens are held out"
        )
        return Preview(recipe.fitted(objective.ids(prepared.tokenizer)), samples, (*prepared.notices, said))
    finally:
        prepared.close()


def _trial(recipe: Recipe, feed: Feed) -> Trial:
    """A pass over the first TRIED rows, through the module that the run would begin with."""
    batch = feed.train.batch(places(0, range(min(TRIED, recipe.train.batch, len(feed.train)))))
    module, objective = built(recipe, feed), recipe.minimised
    batch = batch.to(place(recipe.train.device))

    def loss() -> Tensor:
        losses = objective.losses(module, batch).values()
        return torch.stack([each.weight * each.sum / max(1, each.count) for each in losses]).sum()

    return Trial(module, loss, len(batch.tokens), batch.size)


def _beginning(data: DataSettings) -> list[Document] | None:
    """The first MOST characters of texts; None where there are no more, so that all can be read."""
    documents, room = list[Document](), MOST
    for paths in [(path,) for path in data.paths] if data.weights else [data.paths]:
        for document in open_source(data.source, paths, column=data.column).documents():
            documents.append(Document(document.name, document.text[:room]))
            room -= len(document.text)
            if room < 0:
                return documents
    return None


def _of_beginning(
    recipe: Recipe, data: DataSettings, documents: Sequence[Document], tokenizer: Tokenizer | None
) -> Preview:
    """tokenizer: the one there is; None where one is to be trained, as is done here on what was read."""
    objective = recipe.minimised
    training, _ = split(documents, data.held_out, data.seed)  # also says what data.held_out cannot be
    unread = f"only the first {MOST:,} characters of the data were read: how many rows there are is not known"
    if tokenizer is not None:
        return Preview(recipe.fitted(objective.ids(tokenizer)), 0, (unread,))
    tokenizer = train_tokenizer(data.tokenizer, [document.text for document in training or documents], data.vocab)
    made = tokenizer.vocab
    if made == data.vocab:
        said = f"{made:,} ids, as many as data.vocab allows"
    else:
        most = f"at most {data.vocab:,}, by data.vocab" if data.vocab else "as many as all of the data need"
        said = f"{made:,} ids by these; the run may find more ({most})"
    blueprint = recipe.model if recipe.vocab is not None else recipe.fitted(objective.ids(tokenizer))
    return Preview(blueprint, 0, (unread, said))
