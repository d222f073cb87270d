"""Questions about pictures, answered in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from weft.data.sides import in_use, kept_back, of_part
from weft.data.signals import PROCESSOR, Patches
from weft.data.signals.question_rows import QuestionRows
from weft.data.signals.questions import (
    Asked,
    Question,
    QuestionSettings,
    held_of,
    joined,
    of_kinds,
    of_path,
    side_of_path,
)
from weft.data.sources import Say, quiet
from weft.evaluate.answers import exact_match
from weft.files import write_bytes
from weft.hub import load
from weft.hub.folder import TOKENIZER
from weft.models.seeing import Seeing
from weft.recipes.folder import Existing, Own, data_settings, own_data
from weft.recipes.modalities.question_answers import answers, scored
from weft.recipes.modalities.question_feed import QuestionFeed, form_of, open_questions
from weft.recipes.modality import DEBUG_STEPS, MODALITIES, Changes, Drawn, Modality
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.world import place


class Questions(Modality):
    """Rows of a picture, a question and its answer, of a decoder that is given pictures."""

    settings = QuestionSettings
    made = "made_questions"
    called = "questions"
    keeps = (PROCESSOR, TOKENIZER)
    fixed = ("tokenizer", "vocab")

    @property
    def debug(self) -> Changes:
        """A small vocabulary."""
        return (*DEBUG_STEPS, ("data.source", self.made), ("data.vocab", "300"))

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> QuestionFeed:
        """See `open_questions`."""
        return open_questions(recipe, found, out, say)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that is given no pictures."""
        if not isinstance(recipe.model.empty(), Seeing):
            raise ValueError(
                f"{recipe.model.family} is given no pictures, and these are questions about some: choose another "
                "family (`weft list`), or other data"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """An answer to each question. labelled: of those that are trained on, to those that the run held out."""
        model = load(folder, device=device if device != "auto" else place("auto"))
        if model.reads is None or not isinstance(model.reads.processor, Patches):
            raise ValueError(f"{folder} has no {PROCESSOR}, which says how it reads pictures")
        settings = data_settings(folder)
        settings = settings if isinstance(settings, QuestionSettings) else QuestionSettings()
        own = own_data(folder, data)
        asked, apart = given_questions(data, settings, model.reads.processor, own=own, labelled=labelled, say=say)
        form = form_of(model.blueprint, model.need_tokenizer(), model.reads.processor, blind=settings.blind)
        rows = QuestionRows(asked.pixels, asked.questions, form)
        if rows.dropped:
            raise ValueError(
                f"{rows.dropped:,} of {len(asked.questions):,} questions with their answers have more than "
                f"{form.context} tokens, a picture's {form.states} among them, and the model can place no more: "
                "shorten them"
            )
        given = answers(model.module, rows, say=say)
        if out is not None:
            write_bytes(out, lines(asked, given, labelled=labelled).encode())
        return replace(scored(asked.questions, given), apart=apart) if labelled else Predicted(len(given), None, None)

    def generate(self, folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
        """ValueError: a question alone says nothing of its picture."""
        raise ValueError(
            f"{folder} answers questions about pictures: write them into a file (image, question) and ask "
            f"`weft predict {folder} --data questions.jsonl --out answers.jsonl`"
        )


def given_questions(
    data: Path, settings: QuestionSettings, processor: Patches, *, own: Own | None, labelled: bool, say: Say = quiet
) -> tuple[Asked, bool]:
    """The questions that a person names, and whether what was trained on is left out. own: a run of these settings read
    them. labelled: of these, and of a folder as it is trained on, those that it held out. ValueError where they are to
    be scored and have no answers."""
    apart = False
    if own is not None and labelled:
        asked, apart = _own(own, processor, say)
    else:
        asked = of_path(data, settings, processor, say)
        asked = of_kinds(asked, settings.kinds) if own is not None or data.is_dir() else asked
    if own is None and labelled and data.is_dir() and asked.held is not None:
        numbers, apart = kept_back(asked.held, "questions", say)
        asked = replace(asked, questions=tuple(asked.questions[number] for number in numbers), held=None)
    if labelled and (unknown := [question for question in asked.questions if question.answer is None]):
        raise ValueError(
            f"{data}: {len(unknown):,} of {len(asked.questions):,} questions have no answer to be scored by "
            f"({unknown[0].text!r}, say): fill the column answer, or leave --score out"
        )
    return asked, apart


def _own(own: Own, processor: Patches, say: Say) -> tuple[Asked, bool]:
    """Those of one of a run's paths that are asked, see `of_part`. ValueError where it has none of the run's kinds."""
    settings: QuestionSettings = own.settings
    paths = [Path(path) for path in settings.paths]
    parts = [of_path(path, settings, processor, say) for path in paths]
    of_kinds(parts[own.number], settings.kinds)
    whole, ends = of_kinds(joined(parts), settings.kinds), np.cumsum([len(part.names) for part in parts])
    numbers = np.searchsorted(ends, [question.picture for question in whole.questions], side="right")  # of their paths
    sides = [side_of_path(paths[number]) for number in numbers]
    held = held_of(whole, settings.held_out, settings.seed) & in_use(sides)
    each: list[list[Question]] = [[] for _ in paths]
    for question, number in zip(whole.questions, numbers, strict=True):
        each[number].append(question)
    kept, apart = of_part(own.still(held, whole.called(), sides), sides, each, own.number, "questions", say)
    return replace(whole, questions=tuple(kept), held=None), apart


def lines(asked: Asked, given: list[str], *, labelled: bool) -> str:
    """A JSON object for each answer."""
    found = list[str]()
    for question, answer in zip(asked.questions, given, strict=True):
        line: dict[str, object] = {
            "image": asked.names[question.picture],
            "question": question.text,
            "kind": question.kind,
            "answer": answer,
        }
        if labelled and question.answer is not None:
            line |= {"right": question.answer, "correct": bool(exact_match(answer, [question.answer]))}
        found.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(found)


MODALITIES.register("questions", Questions())
