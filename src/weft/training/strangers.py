"""A stranger's own samples and loss, as the trainer takes them: lists, iterables, and a function of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data._utils.collate import collate, default_collate_fn_map

from weft.batch import Dataset, Item, Place
from weft.data.order import Shuffled
from weft.objectives import Loss
from weft.training.objective import Objective, check_leaves
from weft.training.settings import TrainSettings


@runtime_checkable
class Numbered(Protocol):
    """What has a length and gives samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


Collate = Callable[[list[Any]], Any]
ENDLESS = 2**62  # samples of an iterable: an epoch that never ends


@dataclass(frozen=True, eq=False)
class Collated:
    """What `collate` made of some samples: a tensor, or tuples, lists and mappings of them."""

    value: Any
    samples: tuple[int, ...]
    unit = "rows"  # what `size` counts: what a token is in them nobody knows

    @property
    def size(self) -> int:
        """Its rows."""
        return len(self.samples)

    def to(self, device: torch.device | str) -> Collated:
        """The same with every tensor in it on `device`."""
        return Collated(moved(self.value, device), self.samples)


def moved(value: Any, device: torch.device | str) -> Any:
    """A nest of tuples, lists and mappings with its tensors on `device`; whatever is no tensor stays as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: moved(part, device) for name, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [moved(part, device) for part in value]
        named = isinstance(value, tuple) and type(value) not in (tuple, torch.Size)
        return type(value)(*parts) if named else parts  # a loss function may read a named tuple by name
    return value


def stacked(items: list[Any]) -> Any:
    """Samples stacked field by field, as torch's default_collate does; Python's floats get torch's default type, with
    which modules are made. ValueError for what does not stack: fields of several shapes, None."""
    ways = dict(default_collate_fn_map)
    ways[float] = _floats
    try:
        return collate(items, collate_fn_map=ways)
    except (RuntimeError, TypeError, KeyError) as error:
        raise ValueError(
            f"the samples do not stack ({type(error).__name__}: {error}): give weft.training.strangers.Samples(data, "
            "collate), or Once for an iterable, whose collate(samples) makes one batch of a list of them, padded say"
        ) from error


def _floats(batch: list[float], *, collate_fn_map: object = None) -> Tensor:
    return torch.tensor(batch)


class Samples(Shuffled):
    """Anything with a length and numbered samples (a list, a torch data set), shuffled anew each epoch.

    `collate` makes what the loss is given of a list of them.
    """

    def __init__(self, samples: Sequence[Any], collate: Collate = stacked):
        self.items, self.collate = samples, collate

    def __len__(self) -> int:
        return len(self.items)

    def batch(self, places: Sequence[Place]) -> Collated:
        """These samples, collated."""
        return Collated(self.collate([self.items[index] for _, index in places]), tuple(i for _, i in places))


class Once:
    """An iterable read once, in its own order: not resumable, and says so.

    Its length is not known, so that a run over it is given in steps or minutes; ValueError where it ends before the
    run does. Store it first (`Samples(list(iterable))`, or a file) and a run can be resumed.
    """

    def __init__(self, iterable: Iterable[Any], collate: Collate = stacked):
        self.iterator: Iterator[Any] = iter(iterable)
        self.collate, self.read = collate, 0

    def __len__(self) -> int:
        return ENDLESS

    def place(self, position: int, seed: int) -> Place:
        """Its own order, whatever the seed."""
        return Place(0, position)

    def batch(self, places: Sequence[Place]) -> Collated:
        """The next samples, collated. ValueError where others are asked for (none is read again), or it ends."""
        if places[0].sample != self.read:
            raise ValueError(
                f"an iterable is read once, from its beginning: sample {places[0].sample} was asked for, {self.read} "
                "is next. Store it first, list(iterable) say, and the run can be resumed and shuffled"
            )
        items = [item for _, item in zip(places, self.iterator, strict=False)]
        if len(items) < len(places):
            raise ValueError(
                f"the iterable ended after {self.read + len(items)} samples, in the middle of the run: "
                "make the run shorter, or store the samples, so that they are read again in another order"
            )
        self.read += len(items)
        return Collated(self.collate(items), tuple(index for _, index in places))


class PerRow:
    """A function of (module, collated samples) that returns one loss per row, [B]: the trainer takes the mean.

    Per row, and not a mean already: the mean of means of unequal parts is not the mean, which is how losses come to
    depend on accumulation. What it computes first is looked through for parameters that nobody would train.
    """

    def __init__(self, function: Callable[[Module, Any], Tensor]):
        self.function, self.checked = function, False

    def counts(self, batch: Collated) -> dict[str, int]:
        """Every row counts."""
        return {"loss": batch.size}

    def losses(self, module: Module, batch: Collated) -> dict[str, Loss]:
        """The rows' losses, summed. ValueError for any other shape than [B], and for foreign parameters in them."""
        found = self.function(module, batch.value)
        if not isinstance(found, Tensor) or found.shape != (batch.size,):
            given = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else repr(found)
            raise ValueError(
                f"the loss function gave {given} for {batch.size} rows; it must give one "
                f"loss per row, [{batch.size}]: with torch's losses that is reduction='none' and a mean over the rest"
            )
        if not self.checked and torch.is_grad_enabled():
            check_leaves(found, module)
            self.checked = True
        return {"loss": Loss(found.float().sum(), batch.size)}


def as_dataset(data: Dataset[Item] | Sequence[Any] | Iterable[Any]) -> Dataset[Item]:
    """Samples as a data set: as it is, numbered (a list, a torch data set), or an iterable that is read once.

    ValueError for what is no samples: a DataLoader makes batches already, a mapping or a text has other elements, and a
    tuple of tensors is more likely columns.
    """
    if isinstance(data, type):
        raise ValueError(f"the data is the class {data.__name__} itself: give an object of it, {data.__name__}(...)")
    if isinstance(data, Dataset):
        return data
    if isinstance(data, DataLoader):
        raise ValueError("a DataLoader makes batches itself, and the trainer does that: give its .dataset")
    if isinstance(data, Mapping | str | bytes) or not isinstance(data, Numbered | Iterable):
        raise ValueError(
            f"samples come as a list, a torch data set or an iterable, one element each, not as a {type(data).__name__}"
        )
    if isinstance(data, tuple) and data and all(isinstance(part, Tensor) for part in data):
        raise ValueError(
            f"the data is a tuple of {len(data)} tensors: if they are columns, give torch.utils.data.TensorDataset of "
            "them, or list(zip(...)); if each is a sample, give a list"
        )
    # torch's iterable data sets inherit an item access that only raises
    return Samples(data) if isinstance(data, Numbered) and not isinstance(data, IterableDataset) else Once(data)


def check_given(module: Module, settings: TrainSettings) -> None:
    """ValueError where nothing can be trained with these: classes instead of objects, settings as a mapping, gradients
    switched off."""
    for what, given, kind, words in (
        ("module", module, Module, "a torch.nn.Module"),
        ("settings", settings, TrainSettings, "TrainSettings"),
    ):
        if isinstance(given, type):
            raise ValueError(f"the {what} given is the class {given.__name__} itself: give an object of it")
        if not isinstance(given, kind):
            raise ValueError(f"the {what} given is a {type(given).__name__}; it must be {words}")
    if not torch.is_grad_enabled():
        raise ValueError("gradients are switched off (torch.no_grad, inference_mode): call train outside of that")


def check_samples(dataset: Dataset[Item], before: int, out: Path | None, processes: int) -> None:
    """ValueError where a run in `out`, on so many processes, cannot read this: nothing, an iterable on several
    processes, or other samples than the `before` that it was started with (0 = it is new)."""
    now = len(dataset)
    if now == 0:
        raise ValueError("the dataset has no samples: give some (of text: more of it, or shorter rows)")
    if now == ENDLESS and processes > 1:
        raise ValueError(
            f"an iterable is read once, from its beginning, and cannot be shared out among {processes} processes: "
            "store it first, list(iterable) say, or train on one process"
        )
    if before in (0, now):
        return
    if before == ENDLESS:
        raise ValueError(
            f"the run in {out} has read an iterable, whose order nobody can give again: it cannot be resumed; "
            "name another folder"
        )
    given = "an iterable is given" if now == ENDLESS else f"there are {now}"
    raise ValueError(
        f"the run in {out} was started with {before} samples, and {given} now: another order, so another run. "
        "Give the same data to resume, or name another folder"
    )


def as_objective(objective: Objective | Callable[[Module, Any], Tensor]) -> Objective:
    """An objective as it is, or a function of rows as one. ValueError for what is neither."""
    if isinstance(objective, type):
        raise ValueError(f"the objective is the class {objective.__name__} itself: give an object of it")
    if not isinstance(objective, Objective) and not callable(objective):
        raise ValueError(
            f"the objective is {objective!r}; it must be one of weft's, or a function (module, collated samples) -> "
            "one loss per row"
        )
    return objective if isinstance(objective, Objective) else PerRow(objective)
