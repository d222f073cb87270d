"""Questions about pictures as the data of a run: their tokenizer and processor, their rows, what the model answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.batch import Tokenizer
from weft.data import train_tokenizer
from weft.data.sides import digest
from weft.data.signals import Patches, write_processor
from weft.data.signals.question_rows import Form, QuestionRows
from weft.data.signals.questions import Asked, QuestionSettings, read_questions
from weft.data.sources import Say
from weft.evaluate import check
from weft.hub import load
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.models.seeing import Seeing
from weft.recipes.feed import Told
from weft.recipes.folder import Existing
from weft.recipes.modalities.question_answers import LONGEST, answers, figures, scored
from weft.recipes.modalities.signal_feed import SignalFeed, known_tokenizer
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class QuestionFeed(SignalFeed):
    """Rows of a picture, a question and its answer."""

    rows: tuple[QuestionRows, QuestionRows]  # to train on, held out
    names: str  # a digest of what the questions are called, see `Feed.split`

    @property
    def digest(self) -> str:
        """Of both."""
        return "".join(rows.digest()[:32] for rows in self.rows)

    @property
    def split(self) -> tuple[str, ...]:
        """Of all questions, those that were too long among them."""
        return (self.names,)

    def write(self, out: Path) -> None:
        """The tokenizer and the processor."""
        form = self.rows[0].form
        form.tokenizer.save(out)
        write_processor(out, form.processor)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts."""
        return self.rows[0].form.tokenizer

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, how many held-out questions it answers in the right words."""
        if not finished or not recipe.minimised.alone:
            return Told()
        rows = self.rows[1]
        given = answers(load(out).module, rows, longest=max(LONGEST, rows.longest), say=watch.notice)
        return Told(metrics=figures(scored(rows.questions, given)))

    def account(self) -> dict[str, Any]:
        """Questions and pictures."""
        return {
            "questions": [len(rows) for rows in self.rows],
            "pictures": [len({question.picture for question in rows.questions}) for rows in self.rows],
            "vocabulary": self.rows[0].form.tokenizer.vocab,
            "digest": self.digest,
        }


def open_questions(recipe: Recipe, found: Existing | None, out: Path, say: Say) -> QuestionFeed:
    """See `Modality.open`."""
    settings: QuestionSettings = recipe.data
    settings.check()
    where = recipe.begin if found is None else out
    known = None if where is None else reads_of(where)
    image = recipe.model.config.image.config
    given = known.processor if known is not None and isinstance(known.processor, Patches) else None
    asked = read_questions(settings, given or Patches(image.image, image.patch, image.channels), say)
    assert asked.held is not None
    processor = given or Patches.of(image, trained_on(asked))
    tokenizer = known_tokenizer(recipe, found) or new_tokenizer(settings, asked)
    blueprint = recipe.model if recipe.begin is not None else fitted(recipe.model, tokenizer)
    form = form_of(blueprint, tokenizer, processor, blind=settings.blind)
    sides = [[q for q, held in zip(asked.questions, asked.held, strict=True) if held == side] for side in (False, True)]
    train = QuestionRows(asked.pixels, sides[0], form, augment=settings.augment, seed=settings.seed)
    held_out = QuestionRows(asked.pixels, sides[1], form)
    notices = list[str]()
    if dropped := train.dropped + held_out.dropped:
        notices.append(
            f"{dropped:,} of {len(asked.questions):,} questions are left out: with a picture's {form.states} places "
            f"they have more than {form.context} tokens (model.text.context)"
        )
    notices.append(
        f"{len(train):,} questions to train on, {len(held_out):,} about other pictures held out; the words are "
        f"{tokenizer.vocab:,} ids, a picture {form.states} places"
    )
    for text in notices:
        say(text)
    objective = recipe.minimised
    rows = objective.turn_signals(held_out, 0)
    check(rows, objective)
    turned, names = objective.turn_signals(train, recipe.train.seed), digest(asked.called(), asked.held)
    return QuestionFeed(recipe, blueprint, turned, rows, tuple(notices), (train, held_out), names)


def trained_on(asked: Asked) -> np.ndarray:
    """The pictures that are trained on, for a processor to be fitted to."""
    assert asked.held is not None
    pairs = zip(asked.questions, asked.held, strict=True)
    return asked.pixels[sorted({question.picture for question, held in pairs if not held})]


def new_tokenizer(settings: QuestionSettings, asked: Asked) -> Tokenizer:
    """One of what is trained on."""
    assert asked.held is not None
    lines = [
        text
        for question, held in zip(asked.questions, asked.held, strict=True)
        if not held
        for text in (question.text, question.answer or "")
    ]
    return train_tokenizer(settings.tokenizer, lines, settings.vocab)


def fitted(model: Blueprint, tokenizer: Tokenizer) -> Blueprint:
    """The model with as many ids as there are, and one more for a picture's places."""
    return model.change("text.vocab", str(tokenizer.vocab + 1)).change("token", str(tokenizer.vocab))


def form_of(blueprint: Blueprint, tokenizer: Tokenizer, processor: Patches, *, blind: bool) -> Form:
    """How rows of a model are made. ValueError for a processor of other patches than it reads."""
    module, image = blueprint.empty(), blueprint.config.image.config
    assert isinstance(module, Seeing)
    if (processor.image, processor.channels_of_place) != (image.image, image.channels * image.patch**2):
        raise ValueError(
            f"the processor cuts {processor.image} x {processor.image} pixels into patches of {processor.patch}, "
            f"and the model reads {image.image} x {image.image} in patches of {image.patch}"
        )
    states = module.tower.embed.extent(image.context) - module.skip
    return Form(tokenizer, processor, blueprint.config.token, states, blueprint.config.context, blind)
