"""A position scheme as data: what it needs in the stem, in a field, and in each layer.

`build(c, position=scheme)` puts any scheme into any family; a scheme is a frozen value with a name, so that a model
with a swapped part saves and loads.
"""

from dataclasses import dataclass

from weft.nn.position import Alibi, Learned, Position, Sinusoid, SinusoidHalves, StemPosition, T5Bias
from weft.nn.relative import Music, PerLayer, Relative, RelativeKey, RelativeXL, Shaw
from weft.nn.rope import AnyScaling, Rope


@dataclass(frozen=True)
class Scheme:
    """Each part is optional; the base class is no position at all."""

    def stem(self, width: int, context: int) -> StemPosition:
        """What is added to tokens of this width, in rows of up to `context`."""
        return StemPosition()

    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Position:
        """What places queries, keys and scores; bidirectional: the field looks both ways."""
        return Position()

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        """What each layer's attention has of its own; a new one at each call."""
        return None


@dataclass(frozen=True)
class SinusoidScheme(Scheme):
    """Vaswani et al. 2017."""

    theta: float = 10000.0

    def stem(self, width: int, context: int) -> StemPosition:
        return Sinusoid(width, theta=self.theta)


@dataclass(frozen=True)
class SinusoidHalvesScheme(SinusoidScheme):
    """The same, all sines before all cosines (Marian, Pegasus)."""

    def stem(self, width: int, context: int) -> StemPosition:
        return SinusoidHalves(width, theta=self.theta)


@dataclass(frozen=True)
class LearnedScheme(Scheme):
    """A trained vector per place. offset: rows of the table before the first place's."""

    offset: int = 0

    def stem(self, width: int, context: int) -> StemPosition:
        return Learned(context, width, offset=self.offset)


@dataclass(frozen=True)
class RopeScheme(Scheme):
    """Su et al. 2021. part: the share of a head's width that turns, above 0 and at most 1."""

    theta: float = 10000.0
    part: float = 1.0
    scaling: AnyScaling | None = None

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1:
            raise ValueError(f"part = {self.part} of a head's width cannot turn: it must be above 0 and at most 1")

    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Position:
        width = int(head_width * self.part)
        even = width + width % 2 if width < head_width else width
        return Rope(even, theta=self.theta, scaling=self.scaling, over=width)


@dataclass(frozen=True)
class AlibiScheme(Scheme):
    """Press et al. 2022."""

    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Position:
        return Alibi(heads)


@dataclass(frozen=True)
class T5Scheme(Scheme):
    """Raffel et al. 2020."""

    buckets: int = 32
    distance: int = 128

    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Position:
        return T5Bias(heads, buckets=self.buckets, distance=self.distance, bidirectional=bidirectional)


@dataclass(frozen=True)
class ShawScheme(Scheme):
    """Shaw et al. 2018."""

    distance: int = 16

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        return Shaw(head_width, distance=self.distance)


@dataclass(frozen=True)
class RelativeKeyScheme(Scheme):
    """Shaw's vectors on the key side alone, held against queries and, where `both`, keys (Huang et al. 2020)."""

    distance: int = 16
    both: bool = True

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        return RelativeKey(head_width, distance=self.distance, both=self.both)


@dataclass(frozen=True)
class MusicScheme(Scheme):
    """Huang et al. 2018."""

    distance: int = 128

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        return Music(heads, head_width, distance=self.distance, bidirectional=bidirectional)


@dataclass(frozen=True)
class RelativeXLScheme(Scheme):
    """Dai et al. 2019."""

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        return RelativeXL(heads, head_width)


@dataclass(frozen=True)
class T5LayerScheme(T5Scheme):
    """T5's scores by distance with a table for each layer (UMT5)."""

    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Position:
        return Position()

    def relative(self, heads: int, head_width: int, *, bidirectional: bool = False) -> Relative | None:
        return PerLayer(T5Bias(heads, buckets=self.buckets, distance=self.distance, bidirectional=bidirectional))


SCHEMES: dict[str, type[Scheme]] = {
    "none": Scheme,
    "sinusoid": SinusoidScheme,
    "sinusoid_halves": SinusoidHalvesScheme,
    "learned": LearnedScheme,
    "rope": RopeScheme,
    "alibi": AlibiScheme,
    "t5": T5Scheme,
    "distance_per_layer": T5LayerScheme,
    "shaw": ShawScheme,
    "relative_key": RelativeKeyScheme,
    "music": MusicScheme,
    "relative_xl": RelativeXLScheme,
}
