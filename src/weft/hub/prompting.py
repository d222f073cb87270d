"""Asking a model zero-, one- and few-shot: each row of a file as a prompt, scored by likelihood or by generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from weft.data.progress import counted
from weft.data.sources import Say, quiet
from weft.evaluate.calibration import softmax
from weft.evaluate.continuations import Continued
from weft.evaluate.prompting import Draw, Prompted, Prompts, PromptTask, Question, Run
from weft.generate import GREEDY
from weft.hub.continuing import Asked, Lost, continuations, framed
from weft.hub.model import Model
from weft.nn import Encoder, EncoderDecoder


def prompt(
    model: Model,
    task: PromptTask,
    data: Path | str,
    *,
    examples: Path | str | None = None,
    shots: int | None = None,
    seeds: Sequence[int] = (0,),
    random_labels: Sequence[float] = (0.0,),
    cut: bool = False,
    say: Say = quiet,
) -> Prompted:
    """Ask a decoder, or an encoder–decoder, every row of a file.

        found = prompt(weft.load("runs/notes"), read_task("mood.toml"), "dev.tsv", shots=4, seeds=(0, 1, 2))
        print(found.runs[0].score, found.spread(0.0))

    examples: the file that examples are drawn from; None: the asked file, never the asked row. shots: None: the task's.
    seeds: of the draws of examples; without shots there is one run. random_labels: shares of the examples whose label
    is replaced (see `Draw`); the first is what the others are compared with. cut: prompts longer than the context lose
    their beginning: how many did is said, and the line of each has "cut"; else one is an error. say: hears of that and
    of the progress.

    ValueError naming file and line for what is wrong in a row, and for what does not fit: an encoder, random labels
    without examples.
    """
    if isinstance(model.module, Encoder):
        raise ValueError(
            "an encoder reads whole rows and goes on with none, so it cannot be prompted: ask a decoder or an "
            "encoder–decoder, or fine-tune it, weft tune"
        )
    task = task if shots is None else replace(task, shots=shots)
    if not seeds or not random_labels or len(set(seeds)) < len(seeds) or len(set(random_labels)) < len(random_labels):
        raise ValueError(f"seeds {list(seeds)}, random labels {list(random_labels)}: at least one each, and each once")
    prompts = Prompts.read(task, data, examples)
    draws = [Draw(seed, share) for share, seed in product(random_labels, seeds if task.shots else seeds[:1])]
    asking = _Asking(model, prompts, cut, say)
    return Prompted(task.judge, [asking.run(draw) for draw in draws])


@dataclass(frozen=True)
class _Asking:
    """A model, and what it is asked."""

    model: Model
    prompts: Prompts
    cut: bool
    say: Say

    def run(self, draw: Draw) -> Run:
        """Every row once."""
        task = self.prompts.task
        questions = [self.prompts.question(number, draw) for number in range(len(self.prompts.rows))]
        advance = counted(self.say, f"seed {draw.seed}, random labels {draw.random_labels:g}", len(questions))
        likely = task.scoring == "likelihood"
        lost = list[Asked]()
        answered, found = (self._likelihoods if likely else self._written)(questions, advance, lost.append)
        if lost:
            self.say(
                f"{len(lost):,} of {len(questions):,} prompts lost their beginning, examples first, to fit into the "
                f"context of {self.model.config.context} tokens"
            )
        gold = [_gold(question, task) for question in questions]
        cut = {one.name for one in lost}
        told = [one | {"cut": True} if asked.where in cut else one for asked, one in zip(questions, found, strict=True)]
        lines = [
            _line(question, draw, one, number == 0)
            for number, (question, one) in enumerate(zip(questions, told, strict=True))
        ]
        return Run.of(draw, task.judge, answered, gold, lines, self.say)

    def _likelihoods(
        self, questions: Sequence[Question], advance: Callable[[int], None], lost: Lost
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """What the metric reads, and what is written down, of each question."""
        asked = [Asked(one.prompt, one.answers, one.where) for one in questions]
        told = continuations(self.model, asked, cut=self.cut, advance=advance, lost=lost)
        answered, found = list[Any](), list[dict[str, Any]]()
        for question, each in zip(questions, told, strict=True):
            scores = np.array(self._normalised(question, each))  # [choices]
            best, right = int(scores.argmax()), question.right
            assert isinstance(right, int)
            answered.append(softmax(scores).tolist() if self.prompts.task.judge.needs == "probabilities" else best)
            said = {"predicted": question.choices[best], "right": question.choices[right], "correct": best == right}
            found.append(said | {"scores": scores.tolist(), "nats": [one.nats for one in each]})
        return answered, found

    def _normalised(self, question: Question, each: Sequence[Continued]) -> list[float]:
        """The score of each choice, the higher the better."""
        how = self.prompts.task.normalisation
        if how == "tokens":
            return [-one.nats / one.tokens for one in each]
        if how == "bytes":
            sizes = [len(choice.encode()) for choice in question.choices]
            return [-one.nats / max(size, 1) for one, size in zip(each, sizes, strict=True)]
        if how == "unconditional":
            alone = self._alone.get(question.answers) or self._premised(question)
            return [other.nats - one.nats for one, other in zip(each, alone, strict=True)]
        return [-one.nats for one in each]

    @cached_property
    def _alone(self) -> dict[tuple[str, ...], list[Continued]]:
        return {}

    def _premised(self, question: Question) -> list[Continued]:
        """Its answers after the premise alone; each set of answers is asked once."""
        premise = self.prompts.task.premise
        (found,) = continuations(self.model, [Asked(premise, question.answers, question.where)], cut=self.cut)
        self._alone[question.answers] = found
        return found

    def _written(
        self, questions: Sequence[Question], advance: Callable[[int], None], lost: Lost
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        task, needs = self.prompts.task, self.prompts.task.judge.needs
        rows = [self._ids(question, lost) for question in questions]
        texts = self.model.generate_until(rows, task.stops, GREEDY, tokens=task.tokens, advance=advance)
        answered, found = list[Any](), list[dict[str, Any]]()
        for question, text in zip(questions, texts, strict=True):
            said = text.strip()
            if needs == "classes":
                names = [choice.strip() for choice in question.choices]
                answered.append(names.index(said) if said in names else -1)
            else:
                answered.append(said)
            right = _text(question)
            found.append({"predicted": said, "right": right, "correct": said == right.strip()})
        return answered, found

    def _ids(self, question: Question, lost: Lost) -> list[int]:
        """A prompt's ids, with room for what is written."""
        model, asked = self.model, Asked(question.prompt, (), question.where)
        new = 0 if isinstance(model.module, EncoderDecoder) else self.prompts.task.tokens
        ids = model.need_tokenizer().encode(question.prompt)
        return framed(model, ids, model.config.context - new, asked, cut=self.cut, lost=lost)


def _text(question: Question) -> str:
    return question.choices[question.right] if isinstance(question.right, int) else question.right


def _gold(question: Question, task: PromptTask) -> Any:
    """What the metric compares with."""
    needs = task.judge.needs
    if needs in ("classes", "probabilities"):
        return question.right
    return [_text(question).strip()] if needs == "answers" else _text(question).strip()


def _line(question: Question, draw: Draw, found: dict[str, Any], first: bool) -> dict[str, Any]:
    """As JSON. The prompt of a run's first row shows what the others are like; all of them would be long."""
    facts = {"where": str(question.where), "seed": draw.seed, "random_labels": draw.random_labels}
    facts |= found | {"examples": [str(where) for where in question.examples]}
    return facts | ({"prompt": question.prompt} if first else {})
