"""Questions about pictures, answered in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from weft.data.sides import asked as asked_of
from weft.data.signals import PROCESSOR, Patches
from weft.data.signals.question_rows import QuestionRows
from weft.data.signals.questions import Asked, QuestionSettings, held_out, of_kinds, of_path
from weft.data.sources import Say, quiet
from weft.evaluate.answers import exact_match
from weft.files import write_bytes
from weft.hub import load
from weft.hub.folder import TOKENIZER
from weft.models.seeing import Seeing
from weft.recipes.folder import Existing, data_settings, own_data
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
        own = own_data(folder, data) is not None
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
    data: Path, settings: QuestionSettings, processor: Patches, *, own: bool, labelled: bool, say: Say = quiet
) -> tuple[Asked, bool]:
    """The questions that a person names, and whether what was trained on is left out. own: a run of these settings read
    them. labelled: of these, and of a folder as it is trained on, those that it held out. ValueError where they are to
    be scored and have no answers."""
    asked = of_path(data, settings, processor, say)
    asked = of_kinds(asked, settings.kinds) if own or data.is_dir() else asked
    apart = labelled and (own or (data.is_dir() and asked.held is not None))
    if apart:
        held = held_out(asked, settings.held_out, settings.seed)
        if own and asked.held is None and len(settings.paths) > 1:  # what others hold out is then all that is
            others = [of_path(Path(path), settings, processor) for path in settings.paths]
            held &= all(other.held is None for other in others)
        apart = bool(held.any())
        kept = tuple(asked.questions[number] for number in asked_of(held, "questions", say))
        asked = replace(asked, questions=kept, held=None)
    if labelled and (unknown := [question for question in asked.questions if question.answer is None]):
        raise ValueError(
            f"{data}: {len(unknown):,} of {len(asked.questions):,} questions have no answer to be scored by "
            f"({unknown[0].text!r}, say): fill the column answer, or leave --score out"
        )
    return asked, apart


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
