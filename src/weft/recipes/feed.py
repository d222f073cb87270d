"""The data of a run, whatever they are: what is trained on, how the model is judged, what is kept beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from weft.batch import Batch, Dataset
from weft.evaluate import Score
from weft.models import Blueprint
from weft.recipes.account import Sample
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class Told:
    """What a run says of its finished model beside its held-out figures. See `Report`."""

    baselines: dict[str, float] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    metrics: dict[str, Score] = field(default_factory=dict)
    no_bytes: str = ""
    writes: bool = False
    loss: str = "nats"
    makes: str = ""


@dataclass(frozen=True)
class Anew:
    """What does not go on where a run begins with a saved model. parts: what the names of its tensors begin with.
    before: the model as it was saved, but for what else was changed, which its weights must fit."""

    parts: tuple[str, ...]
    before: Blueprint


class Feed(ABC):
    """The data of a run, opened, and the model fitted to them.

    train, held_out: as the objective asks for them. headline: the held-out figure that is drawn beside the training
    loss. longest: ids of the longest row of text, where somebody looked; None: as many as the model can read. anew:
    what begins anew in a model that a run begins with; None: nothing.
    """

    blueprint: Blueprint
    train: Dataset[Batch]
    held_out: Dataset[Batch]
    notices: tuple[str, ...]
    headline: str
    anew: Anew | None = None
    longest: int | None = None

    @property
    @abstractmethod
    def digest(self) -> str:
        """Of all that is read: equal digests mean equal rows."""

    @property
    def split(self) -> tuple[str, ...]:
        """A digest of what the things that are read are called and of which are held out (`sides.digest`), one of each
        set that is asked alone; none where nobody asks a model of each of such things."""
        return ()

    def start(self, module: nn.Module) -> None:
        """Give a new model, before its first step, what the data say of its weights; of most they say nothing."""
        return

    @abstractmethod
    def write(self, out: Path) -> None:
        """What a run's folder says of what its model reads, before the first step."""

    @abstractmethod
    def save(self, tensors: Mapping[str, Tensor], out: Path) -> None:
        """The finished model."""

    @abstractmethod
    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """How well the module does on what is held out. share, total: see `likelihood`."""

    @abstractmethod
    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """What else is said of the model in `out`; of one that is not finished, only what is known anyway."""

    @abstractmethod
    def account(self) -> dict[str, Any]:
        """What was read, for report.json."""

    def keep(self, out: Path) -> Feed:
        """The same, with what lies elsewhere moved into the run's folder."""
        return self

    def close(self) -> None:
        """Let go of what was given no place to stay."""
        return
