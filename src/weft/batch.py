"""What data, objectives and models agree on: the batch, and what a tokenizer does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IGNORED = -100  # a label that is not counted; never a token id
KNOWN = "known"  # in what is asked of rows of vectors: which of their numbers are known, bool [B, T, C]; without: all
PICTURE = "picture"  # and of pairs of a text and a picture: which rows are of one picture, int64 [B]; without: none are


class Unfit(ValueError):
    """Data that a model, or what makes its rows, cannot read: neither is damaged, and no setting is wrong."""


# Compared by identity: tensors have no truth value, so a field-by-field comparison would raise.
@dataclass(frozen=True, eq=False)
class Batch:
    """B rows of T places. Every tensor is int64 [B, T], but those in `asked`, and `tokens` where these are no ids but
    vectors, fp32 [B, T, C]: an image's patches, a sound's frames, a series' channels. ValueError for other shapes."""

    tokens: Tensor  # what the (decoder's) stem reads
    labels: Tensor | None = None  # what each place predicts, IGNORED where nothing
    order: Tensor | None = None  # place within the document; None = 0..T-1
    segments: Tensor | None = None  # document number > 0; 0 = padding; None = one full document a row
    source: Batch | None = None  # encoder side of a pair; as many rows, a length of its own
    types: Tensor | None = None  # which of several texts a token belongs to; None = all to the first
    groups: Tensor | None = None  # places of one group > 0 see each other both ways; None = there are none
    asked: Mapping[str, Tensor] = field(default_factory=dict)  # what else is asked, by name: [B, ...]
    samples: tuple[int, ...] = ()  # which samples these rows are (for errors and logs)
    unit = "tokens"  # what `size` counts

    def __post_init__(self) -> None:
        shape, whole = tuple(self.tokens.shape[:2]), list(self.tokens.shape)
        if len(whole) != (3 if self.tokens.is_floating_point() else 2):
            raise ValueError(
                f"a batch's tokens are ids [rows, places] or vectors [rows, places, channels], not {whole}"
            )
        for name in ("labels", "order", "segments", "types", "groups"):
            tensor = getattr(self, name)
            if tensor is not None and tuple(tensor.shape) != shape:
                raise ValueError(f"a batch's {name} {list(tensor.shape)} need the shape of its tokens, {list(shape)}")
        if self.source is not None and self.source.tokens.shape[0] != shape[0]:
            raise ValueError(f"the source has {self.source.tokens.shape[0]} rows, the target {shape[0]}: one to one")
        for name, tensor in self.asked.items():
            if tensor.shape[:1] != shape[:1]:
                raise ValueError(f"what is asked as {name!r} has the shape {list(tensor.shape)} for {shape[0]} rows")
        if self.samples and len(self.samples) != shape[0]:
            raise ValueError(f"{len(self.samples)} sample numbers for {shape[0]} rows: give one for each row, or none")

    @property
    def size(self) -> int:
        """Tokens that are read, padding left out, both sides of a pair."""
        here = self.tokens[..., :1].numel() if self.tokens.is_floating_point() else self.tokens.numel()
        here = here if self.segments is None else int((self.segments > 0).sum())
        return here + (self.source.size if self.source else 0)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return self._each(lambda tensor: tensor.to(device), self.samples)

    def rows(self, start: int, stop: int) -> Batch:
        """Rows start..stop-1, as views; `stop` may lie past the last row. ValueError where no row is left."""
        count = self.tokens.shape[0]
        if not 0 <= start < min(stop, count):
            raise ValueError(
                f"rows {start} to {stop} of a batch of {count} are none: take 0 <= start < stop and start < {count}"
            )
        return self._each(lambda tensor: tensor[start:stop], self.samples[start:stop])

    def _each(self, make: Callable[[Tensor], Tensor], samples: tuple[int, ...]) -> Batch:
        """The batch of what `make` makes of every tensor, the source's too, for the rows of `samples`."""

        def made(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else make(tensor)

        return Batch(
            tokens=make(self.tokens),
            labels=made(self.labels),
            order=made(self.order),
            segments=made(self.segments),
            source=None if self.source is None else self.source._each(make, samples),
            types=made(self.types),
            groups=made(self.groups),
            asked={name: make(tensor) for name, tensor in self.asked.items()},
            samples=samples,
        )


class Place(NamedTuple):
    """One sample as it is read once: its number in the data set, and the epoch, on which its noise may depend."""

    epoch: int
    sample: int


class Item(Protocol):
    """What the trainer needs of a batch, whatever is in it."""

    @property
    def samples(self) -> tuple[int, ...]:
        """Which samples its rows are, for messages."""
        ...

    @property
    def size(self) -> int:
        """How many of its `unit` are read; speed is measured in them."""
        ...

    @property
    def unit(self) -> str:
        """What `size` counts: "tokens", or "rows" where nobody knows what a token is."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        ...


ItemT = TypeVar("ItemT", bound=Item, covariant=True)


@runtime_checkable
class Dataset(Protocol[ItemT]):
    """A fixed number of samples, and the endless order in which they are read.

    `place` is a pure function and takes the same time anywhere in the order, so that where a run stands is one integer.
    What a sample looks like may depend on its epoch (noise), never on the batch it is in.
    """

    def __len__(self) -> int:
        """Samples in an epoch."""
        ...

    def place(self, position: int, seed: int) -> Place:
        """What is read at `position` (0, 1, ...) of the order that belongs to `seed`."""
        ...

    def batch(self, places: Sequence[Place]) -> ItemT:
        """These samples, as one batch, in this order. Where a run reads ahead, several threads call this at once."""
        ...


class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def vocab(self) -> int:
        """Number of ids."""
        ...

    @property
    def end(self) -> int:
        """The end-of-text id."""
        ...

    @property
    def begin(self) -> int:
        """The id that begins a document: the end-of-text id too, but where a published model says otherwise."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether `decode(encode(text)) == text` for every text it encodes."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special ids are added."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; end ids are left out, broken UTF-8 becomes U+FFFD."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes each id stands for; b"" for specials. Joined, they are the bytes of `decode`.

        Only the first and the last piece that is not special may depend on their place: words joined by spaces have
        none before or after them.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` into `folder`."""
        ...


@runtime_checkable
class Sentinels(Protocol):
    """A tokenizer that may have ids which stand for hidden spans."""

    @property
    def sentinels(self) -> tuple[int, ...]:
        """Those ids, which no text is encoded to, the first for the first span; empty where it has none."""
        ...


@runtime_checkable
class Masking(Protocol):
    """A tokenizer that may have an id for a token that is hidden."""

    @property
    def mask(self) -> int | None:
        """That id, which no text is encoded to; None where it has none."""
        ...
