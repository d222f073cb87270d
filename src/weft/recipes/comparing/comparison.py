"""A comparison as data: which families learn by which objectives, from which text, and what for they are tuned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weft.data import DataSettings
from weft.models import FAMILIES, Blueprint
from weft.objectives.tasks_head import Pooling
from weft.recipes.recipe import Recipe
from weft.recipes.tuning import KINDS, USUAL, Columns, Tuning
from weft.registry import Registry
from weft.settings import SettingError, change
from weft.training.settings import LENGTHS, TrainSettings

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a name that is a folder's, too
FIXED: dict[str, Any] = {
    "kernel": "matmul",
    "precision": "fp32",
}  # unless it is said: no clock decides what is compared
_OURS = (*LENGTHS, "seed", "evaluate_every", "best", "highest", "patience")


@dataclass(frozen=True)
class Candidate:
    """A family with an objective.

    objective: its name, several joined by "+", or its JSON. model, train: settings by name, over those that all have
    in common. pooling: what a head reads of a row when it is tuned; None: the usual of such a model.
    """

    name: str
    family: str
    objective: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    pooling: Pooling | None = None


@dataclass(frozen=True)
class FineTuning:
    """A task for each pretrained model, as `weft tune` has it. data, dev: files, by their paths in the folder of data.

    counts: how many labelled examples, chosen by the seed; 0: all. epochs, steps: how long each is learned from, the
    longer of the two: a hundred examples three times are no training (Mosbach et al. 2021). train: settings by name,
    over those of `weft tune` and FIXED. The finished weights are the last ones: none is chosen by what is reported.
    """

    name: str
    task: str
    data: str
    dev: str
    columns: Columns = field(default_factory=Columns)
    metric: str | None = None
    counts: tuple[int, ...] = (100, 1000, 0)
    epochs: float = 3.0
    steps: int = 100
    context: int | None = None
    train: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Candidates pretrained on one text at equal operations, and once more at equal tokens; then each is tuned alike.

    flops: operations of each pretraining; 0: the least that all can be given. tokens: of the text that each reads, in
    the second round; 0: as many as the first candidate reads in the first. slack: by what share whole steps may miss
    either. seeds: runs of each tuning,
    which differ in labelled examples, head and order. pretrained: pretrainings of each candidate; a tuning of seed s
    begins with that of seed s mod pretrained. size: of each family, where it has one of this name; model: settings by
    name over it. data: of the text; its paths are paths in the folder of data.
    train: settings by name, over the trainer's and FIXED.
    """

    name: str
    candidates: tuple[Candidate, ...]
    tunings: tuple[FineTuning, ...] = ()
    story: str = ""
    flops: float = 0.0
    tokens: int = 0
    slack: float = 0.01
    pretrained: int = 1
    seeds: int = 3
    size: str = "small"
    model: dict[str, Any] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    train: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """ValueError, naming it, for what can be no comparison."""
        for what, names in (
            ("candidate", [one.name for one in self.candidates]),
            ("tuning", [one.name for one in self.tunings]),
        ):
            for name in names:
                if not _WORD.fullmatch(name):
                    raise ValueError(f"the {what} {name!r} names a folder, too: use letters, digits, '_', '-' and '.'")
                if names.count(name) > 1:
                    raise ValueError(f"{names.count(name)} {what}s are called {name!r}: give each a name of its own")
        if len(self.candidates) < 2:
            raise ValueError(f"a comparison needs two candidates or more, and {self.name} has {len(self.candidates)}")
        if not 1 <= self.pretrained <= self.seeds:
            raise ValueError(
                f"pretrained={self.pretrained} and seeds={self.seeds}: each tuning's seed begins with one of the "
                "pretrainings, so that there are at least 1 and no more than seeds"
            )
        if self.flops < 0 or self.tokens < 0:
            raise ValueError(f"flops={self.flops:g} and tokens={self.tokens}: budgets are above 0, or 0 to be derived")
        if not 0 < self.slack < 1:
            raise ValueError(f"slack={self.slack:g}: the share of a budget that may be missed is between 0 and 1")
        for candidate in self.candidates:
            self._check_candidate(candidate)
        for tuning in self.tunings:
            _check_tuning(tuning)

    def _check_candidate(self, candidate: Candidate) -> None:
        """ValueError where it is no pair of a family and an objective that fit, or its sizes are no model."""
        try:
            recipe = self.recipe(candidate, steps=1, seed=0)
            recipe.minimised.check(recipe.model.empty())
            if recipe.minimised.pairs:
                raise ValueError(f"{candidate.objective} asks pairs of texts, and the candidates read one text")
            replace(recipe.train, warmup=None).check()
        except ValueError as error:
            raise type(error)(f"the candidate {candidate.name}: {error}") from error

    def recipe(self, candidate: Candidate, *, steps: int, seed: int) -> Recipe:
        """The pretraining of a candidate. SettingError or UnknownName for settings and names that there are not."""
        family = FAMILIES.get(candidate.family)
        model = Blueprint.of(candidate.family, self.size if self.size in family.sizes else None)
        for name, value in (self.model | candidate.model).items():
            model = model.change(name, as_text(value))
        settings = changed(TrainSettings(steps=steps, seed=seed, **FIXED), self.train | candidate.train)
        recipe = Recipe(
            name=f"{self.name}, {candidate.name}",
            model=model,
            data=self.data,
            train=settings,
            sample_tokens=8,
            story=self.story,
        )
        return recipe.change("objective", candidate.objective)


def changed(settings: TrainSettings, changes: Mapping[str, Any]) -> TrainSettings:
    """Train settings with some changed. SettingError for those that a comparison decides itself."""
    for name, value in changes.items():
        if name in _OURS:
            raise SettingError(f"train.{name}={value}: a comparison decides {', '.join(_OURS)} itself: leave it out")
        settings = change(settings, name, as_text(value))
    return settings


def tuning_of(
    tuning: FineTuning, candidate: Candidate, *, begin: Path, folder: Path, count: int, of: int, seed: int
) -> Tuning:
    """One tuning of a pretrained model as `weft tune` takes it. count: labelled examples; of: those there are."""
    settings = changed(replace(USUAL, epochs=0.0, steps=1, seed=seed, **FIXED), tuning.train)
    steps = max(tuning.steps, -(-round(tuning.epochs * (count or of)) // settings.batch))
    return Tuning(
        begin=begin,
        task=tuning.task,
        data=folder / tuning.data,
        dev=folder / tuning.dev,
        columns=tuning.columns,
        metric=tuning.metric,
        pooling=candidate.pooling if "pooling" in KINDS.get(tuning.task).hears else None,
        context=tuning.context,
        examples=count or None,
        train=replace(settings, steps=steps, evaluate_every=steps, checkpoint_every=0),
    )


def _check_tuning(tuning: FineTuning) -> None:
    if not tuning.counts or min(tuning.counts) < 0 or len(set(tuning.counts)) < len(tuning.counts):
        raise ValueError(
            f"the tuning {tuning.name}: counts={list(tuning.counts)}: name how many examples are learned from, each "
            "number once, 0 for all"
        )
    if tuning.epochs <= 0 or tuning.steps < 1:
        raise ValueError(f"the tuning {tuning.name}: epochs={tuning.epochs:g} and steps={tuning.steps} are above 0")
    try:
        KINDS.get(tuning.task).check_heard(tuning.columns.said, tuning.task)
        changed(USUAL, tuning.train)
    except ValueError as error:
        raise type(error)(f"the tuning {tuning.name}: {error}") from error


def as_text(value: Any) -> str:
    """A value of a file as it is written on a command line."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(as_text, value))
    return str(value)


COMPARISONS: Registry[Comparison] = Registry("comparison", "weft.comparisons", ("weft.recipes.comparing.shipped",))
