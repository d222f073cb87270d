"""A task for a model that is not trained for it: how rows become prompts, and how answers are scored, as data."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from weft.evaluate.metric import METRICS, Metric, Needs, metric_for
from weft.evaluate.prompting.pattern import Pattern
from weft.files import DamagedFile, read_json
from weft.registry import Registry, suggest
from weft.settings import from_data

Scoring = Literal["likelihood", "generation"]
Normalisation = Literal["none", "tokens", "bytes", "unconditional"]
NORMALISATIONS: dict[Normalisation, str] = {
    "none": "log p(answer | prompt)",
    "tokens": "log p(answer | prompt) / tokens of the answer",
    "bytes": "log p(answer | prompt) / UTF-8 bytes of the choice",
    "unconditional": "log p(answer | prompt) - log p(answer | premise)",
}


@dataclass(frozen=True)
class PromptTask:
    """What is asked of each row of a file.

    template:      the question, with a place for each column: "Review: {text}\\nSentiment:".
    answer:        the column that says what is right: one of `labels` where there are choices, else the answer's text.
    choices:       what the answer is among; with places ("{sol1}") where rows have choices of their own.
    labels:        what the column says for each choice; none: the choices' texts, or 0, 1, … where they have places.
    instruction:   what stands before everything, with a separator after it; nothing where it is empty.
    before_answer: between question and answer, a part of what is scored: where words begin with their space, it belongs
                   here and not at the template's end.
    separator:     between examples, and between them and the question.
    shots:         how many examples stand before the question.
    scoring:       "likelihood": the choice that is likeliest after the prompt; "generation": what the model writes.
    normalisation: of likelihoods, see `NORMALISATIONS`. By tokens or bytes, long answers are not at a disadvantage;
                   unconditional: nor are rare ones (Brown et al. 2020; Holtzman et al. 2021).
    premise:       what the unconditional likelihood is given; nothing: only what begins a document.
    metric:        by its name; None: accuracy where there are choices, else exact_match.
    stops, tokens: what is written ends before the first of these texts, and after so many tokens.
    header:        False: the file has no header, and columns are numbers from 1.

    ValueError for what cannot be asked.
    """

    template: str
    answer: str
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    instruction: str = ""
    before_answer: str = " "
    separator: str = "\n\n"
    shots: int = 0
    scoring: Scoring = "likelihood"
    normalisation: Normalisation = "none"
    premise: str = ""
    metric: str | None = None
    stops: tuple[str, ...] = ("\n",)
    tokens: int = 32
    header: bool = True

    def __post_init__(self) -> None:
        likely = self.scoring == "likelihood"
        if likely and len(self.choices) < 2:
            raise ValueError(
                f"a likelihood is compared among choices, and there are {len(self.choices)}: give at least two, or "
                'scoring = "generation"'
            )
        if self.labels and len(self.labels) != len(self.choices):
            raise ValueError(f"{len(self.labels)} labels and {len(self.choices)} choices: one for each, in their order")
        for what, texts in (("choice", self.choices), ("label", self.known)):
            twice = sorted({text for text in texts if texts.count(text) > 1})
            if twice:
                raise ValueError(f"the {what} {twice[0]!r} is given {texts.count(twice[0])} times: give each once")
        if not likely and self.normalisation != "none":
            raise ValueError(
                f"normalisation = {self.normalisation!r} is of likelihoods, and the scoring is by generation: leave "
                "one of them out"
            )
        if self.shots < 0 or self.tokens < 1 or "" in self.stops:
            raise ValueError(
                f"shots = {self.shots}, tokens = {self.tokens}, stops = {list(self.stops)}: of shots there are 0 or "
                "more, of tokens 1 or more, and a stop is a text"
            )
        _ = self.patterns  # what is wrong with them is said at once
        self.judge.check(len(self.choices))

    @cached_property
    def patterns(self) -> tuple[Pattern, tuple[Pattern, ...]]:
        """The template, and the choices."""
        return Pattern.read(self.template), tuple(map(Pattern.read, self.choices))

    @cached_property
    def known(self) -> tuple[str, ...]:
        """What the answer's column says for each choice."""
        if self.labels or not self.choices:
            return self.labels
        own = [Pattern.read(choice) for choice in self.choices]
        if any(pattern.columns for pattern in own):
            return tuple(map(str, range(len(own))))
        return tuple(pattern.fill({}).strip() for pattern in own)

    @property
    def columns(self) -> tuple[str, ...]:
        """All that is read of a file, each once."""
        template, choices = self.patterns
        return tuple(
            dict.fromkeys([*template.columns, *(c for choice in choices for c in choice.columns), self.answer])
        )

    def reader(self, column: str) -> str:
        """What in the task reads a column, in words."""
        template, choices = self.patterns
        if column in template.columns:
            return f"template {self.template!r}"
        chosen = (text for text, pattern in zip(self.choices, choices, strict=True) if column in pattern.columns)
        return next((f"choice {text!r}" for text in chosen), f"answer = {self.answer!r}")

    @property
    def gives(self) -> tuple[Needs, ...]:
        """What metrics can read of it, the usual first."""
        if self.scoring == "likelihood":
            return "classes", "probabilities"
        return ("classes", "answers", "texts") if self.choices else ("answers", "texts")

    @cached_property
    def judge(self) -> Metric:
        """Its metric. UnknownName, or ValueError where it does not fit."""
        if self.metric is None:
            return METRICS.get("accuracy" if self.choices else "exact_match")
        return metric_for(self.metric, self.gives, f"a prompt scored by {self.scoring}")

    @property
    def stated(self) -> str:
        """How answers are scored, in words: to be printed beside the number."""
        if self.scoring == "likelihood":
            return f"by likelihood, {NORMALISATIONS[self.normalisation]}"
        return f"by generation, at most {self.tokens} tokens, to the first of {', '.join(map(repr, self.stops))}"


PROMPTS: Registry[PromptTask] = Registry("prompt task", "weft.prompts", ("weft.evaluate.prompting.builtin",))


def read_task(path: Path | str) -> PromptTask:
    """The task that a .toml or .json file describes: the settings of `PromptTask`.

    DamagedFile where it is not of its form, ValueError for a setting that there is not or that does not fit, each
    naming the file.
    """
    path = Path(path)
    if path.suffix not in (".toml", ".json"):
        raise ValueError(f"{path}: a task's file is called .toml or .json")
    data = read_json(path) if path.suffix == ".json" else _toml(path)
    if not isinstance(data, dict):
        raise DamagedFile(f"{path} holds {json.dumps(data)[:40]}, not settings by name")
    try:
        return from_data(PromptTask, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def find_task(name: str) -> PromptTask:
    """The task in a file, or the one that is registered under a name. ValueError where there is neither."""
    if Path(name).is_file():
        return read_task(name)
    if Path(name).suffix in (".toml", ".json"):
        raise ValueError(f"there is no file {name}")
    if name not in PROMPTS.names():
        raise ValueError(
            f"no prompt task is called {name!r}; {suggest(name, PROMPTS.names())}; or name a .toml or .json"
        )
    return PROMPTS.get(name)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFile(f"{path} is not TOML: {error}") from error
