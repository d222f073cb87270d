"""Foreign names and layouts of weights, as a table that reads both ways.

A row is (ours, theirs, transform):

    ("stack.layers.*.mlp.branch.up", "h.*.mlp.c_fc", "transpose")
    ("stack.layers.*.attn.branch.{q,k,v}", "h.*.attn.c_attn", "transpose, join")
    ("head.weight", "lm_head.weight", "optional")

- `*` is a number (a layer's, an expert's), the same ones in the same order on both sides;
- a name that ends in neither `.weight` nor `.bias` stands for itself and for both of these;
- `{q,k,v}` and "join": several of ours are one of theirs, equal parts laid one after another along the output axis;
- "transpose": matrices are stored [in, out]; vectors stay as they are;
- "optional": may be absent, in all layers or in some (a tied head, a norm that only some checkpoints have).

Nothing is guessed: a tensor that no row names, a row without its tensor and a layer left out are each a `MismatchError`
that names it. Shapes are for the module to check, when what comes out is loaded strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Table = Sequence[tuple[str, str, str]]

_ENDINGS = (".weight", ".bias")
_TRANSFORMS = ("transpose", "join", "optional")


class MismatchError(ValueError):
    """Names that do not fit the table."""


@dataclass(frozen=True)
class _Place:
    """Where a name stands in the table: its row, the numbers under `*`, and the ending the row leaves open."""

    row: int
    numbers: tuple[str, ...]
    ending: str


class _Row:
    """One row, ready to be read both ways."""

    def __init__(self, ours: str, theirs: str, transform: str) -> None:
        words = [word.strip() for word in transform.split(",") if word.strip()]
        unknown = [word for word in words if word not in _TRANSFORMS]
        if unknown:
            raise ValueError(
                f"the row of {ours!r} has the transform {unknown[0]!r}; there are {', '.join(_TRANSFORMS)}"
            )
        self.transposed, self.optional = "transpose" in words, "optional" in words
        braces = re.search(r"\{([^}]*)\}", ours)
        self.parts = braces[1].split(",") if braces else [""]
        if (braces is not None) != ("join" in words) or ours.count("*") != theirs.count("*"):
            raise ValueError(
                f"the row {ours!r} = {theirs!r} needs as many * on both sides, and {{a,b}} with 'join' only"
            )
        self.ours, self.theirs = ours.replace(braces[0], "{}") if braces else ours, theirs
        self.open = not ours.endswith(_ENDINGS)
        self.reads_ours, self.reads_theirs = self._pattern(self.ours), self._pattern(theirs)

    def _pattern(self, name: str) -> re.Pattern[str]:
        text = re.escape(name).replace(re.escape("*"), r"(\d+)")
        text = text.replace(re.escape("{}"), f"(?P<part>{'|'.join(map(re.escape, self.parts))})")
        return re.compile(text + (r"(?P<ending>\.weight|\.bias|)" if self.open else ""))

    def write(self, name: str, place: _Place, part: str = "") -> str:
        """The full name in `name` = self.ours or self.theirs."""
        for number in place.numbers:
            name = name.replace("*", number, 1)
        return name.replace("{}", part) + place.ending


def to_ours(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Foreign tensors by our names and in our layout. MismatchError where names and table do not fit."""
    rows, ours, places = [_Row(*row) for row in table], dict[str, Tensor](), list[_Place]()
    for name, tensor in tensors.items():
        place, _ = _find(name, [row.reads_theirs for row in rows], "ours")
        row = rows[place.row]
        places.append(place)
        if tensor.ndim and tensor.shape[0 if tensor.ndim < 2 or not row.transposed else 1] % len(row.parts):
            raise MismatchError(f"{name} {list(tensor.shape)} cannot be cut into {len(row.parts)} equal parts")
        pieces = _transpose(row, tensor).chunk(len(row.parts)) if len(row.parts) > 1 else [_transpose(row, tensor)]
        ours |= {row.write(row.ours, place, part): piece for part, piece in zip(row.parts, pieces, strict=True)}
    _complete(rows, places, [row.theirs for row in rows])
    return ours


def to_theirs(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors by foreign names and in the foreign layout; the inverse of `to_ours`, exact to the byte."""
    rows, found = [_Row(*row) for row in table], dict[_Place, dict[str, Tensor]]()
    for name, tensor in tensors.items():
        place, part = _find(name, [row.reads_ours for row in rows], "theirs")
        found.setdefault(place, {})[part] = tensor
    theirs = {}
    for place, pieces in found.items():
        row = rows[place.row]
        missing = [row.write(row.ours, place, part) for part in row.parts if part not in pieces]
        if missing:
            raise MismatchError(f"{', '.join(missing)} missing: {row.write(row.theirs, place)} is made of {row.parts}")
        whole = torch.cat([pieces[part] for part in row.parts]) if len(row.parts) > 1 else pieces[""]
        theirs[row.write(row.theirs, place)] = _transpose(row, whole)
    _complete(rows, found, [row.ours for row in rows])
    return theirs


def _transpose(row: _Row, tensor: Tensor) -> Tensor:
    return tensor.t().contiguous() if row.transposed and tensor.ndim == 2 else tensor


def _find(name: str, patterns: Sequence[re.Pattern[str]], other: str) -> tuple[_Place, str]:
    """The place of a name, and which of a join's parts it is."""
    for number, pattern in enumerate(patterns):
        match = pattern.fullmatch(name)
        if match:
            named = match.groupdict()
            stars = [text for index, text in enumerate(match.groups(), 1) if index not in pattern.groupindex.values()]
            return _Place(number, tuple(stars), named.get("ending") or ""), named.get("part") or ""
    raise MismatchError(f"unexpected tensor {name!r}: no row of the table says what it is in {other}")


def _complete(rows: Sequence[_Row], places: Iterable[_Place], names: Sequence[str]) -> None:
    """Every row that must be there is, in every layer, and no bias comes without its weight."""
    seen = set(places)
    missing = list[str]()
    layers = dict[tuple[str, int], set[tuple[str, ...]]]()  # the numbers met under one beginning, by count of stars
    for place in seen:
        layers.setdefault(_counted(names[place.row], place), set()).add(place.numbers)
    for number, row in enumerate(rows):
        if row.optional:
            continue
        own = [place for place in seen if place.row == number]
        endings = {place.ending for place in own} | ({".weight"} if any(p.ending == ".bias" for p in own) else set())
        blank = _Place(number, ("*",) * names[number].count("*"), "")
        wanted = _all_numbers(layers.get(_counted(names[number], blank), {blank.numbers}))
        for ending in endings or {".weight" if row.open else ""}:
            absent = [_Place(number, numbers, ending) for numbers in wanted]
            missing += [row.write(names[number], place, row.parts[0]) for place in absent if place not in seen]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise MismatchError(f"missing: {', '.join(sorted(missing)[:5])}{more}")


def _counted(name: str, place: _Place) -> tuple[str, int]:
    """What a row counts (layers, experts), equal for rows that count the same: what stands before the first `*`, and
    how many there are."""
    return name.partition("*")[0] if place.numbers else "", len(place.numbers)


def _all_numbers(met: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The numbers met, and the first ones that must lie before the last."""
    firsts = {numbers[0] for numbers in met if numbers and numbers[0].isdigit()}
    gaps = {str(i) for i in range(max(map(int, firsts), default=-1) + 1)} - firsts
    rests = {numbers[1:] for numbers in met}
    return met | {(gap, *rest) for gap in gaps for rest in rests}
