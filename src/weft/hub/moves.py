"""Foreign names and layouts of weights, as a table that reads both ways.

A row is (ours, theirs, transform):

    ("stack.layers.*.mlp.branch.up", "h.*.mlp.c_fc", "transpose")
    ("stack.layers.*.attn.branch.{q,k,v}", "h.*.attn.c_attn", "transpose, join")
    ("head.weight", "lm_head.weight", "optional")

- `*` is a number (a layer's, an expert's), the same ones in the same order on both sides;
- a name that ends in neither `.weight` nor `.bias` stands for itself and for both of these;
- `{q,k,v}` and "join": several of ours are one of theirs, equal parts laid one after another along the output axis;
  "join 4 2:1:1": so within each of 4 groups, in these proportions (fused projections that go by heads);
- "stack 8": the first axis of theirs counts 8 things (experts), in each of which the rest of the row holds; ours has
  braces for them, too: `experts.{0,1,2}.{gate,up}.weight`;
- `{gate,up}` on one side and `{wi_0,wi_1}` on the other: one each. Where a name of ours fits several rows, the first of
  which all parts are there counts (a gated feed-forward's `up`, and a plain one's);
- "transpose": matrices are stored [in, out]; vectors stay as they are;
- "row": ours is stored as the one row of an axis before its own; "alone": ours is a row, stored without its axis;
- "flat 3:16:16": a matrix of ours is stored with its second axis as these (a convolution that does not overlap);
- "pairs": of a matrix's second axis, sines and cosines are stored in turn; ours are all sines, then all cosines;
- "optional": may be absent, in all layers or in some (a tied head, a norm that only some checkpoints have).

Nothing is guessed: a tensor that no row names, a row without its tensor and a layer left out are each a `MismatchError`
that names it. Names are settled first, as `Move`s, and tensors are made one at a time, so that nothing is held twice.
Shapes are for the module to check, when what comes out is loaded strictly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from torch import Tensor

from weft.hub.move import MismatchError, Move
from weft.models.published import Table

_BRACES = re.compile(r"\{([^}]*)\}")
_ENDINGS = (".weight", ".bias")
_TRANSFORMS = ("transpose", "join", "optional", "stack", "row", "alone", "flat", "pairs")


def reading(table: Table, theirs: Iterable[str]) -> list[Move]:
    """What becomes of each of these foreign names. MismatchError where names and table do not fit."""
    rows = _rows(table)
    patterns = {number: row.reads_theirs for number, row in enumerate(rows)}
    places = {name: _find(name, patterns, "ours") for name in theirs}
    _complete(rows, places.values(), [row.theirs for row in rows])
    moves, taken = [rows[place.row].move(place) for place in places.values()], dict[str, str]()
    for move in moves:
        for name in move.ours:
            if taken.setdefault(name, move.theirs) != move.theirs:
                raise MismatchError(f"{taken[name]} and {move.theirs} would both be {name}, which is one tensor")
    return moves


def writing(table: Table, ours: Iterable[str]) -> list[Move]:
    """What our names are made into. MismatchError where names and table do not fit."""
    rows, found, ours = _rows(table), dict[_Place, set[str]](), list(ours)
    modules = {name.rpartition(".")[0] for name in ours}
    for name in ours:
        whole = sorted(range(len(rows)), key=lambda number: not rows[number].whole(name, modules))
        place = _find(name, {number: rows[number].reads_ours for number in whole}, "theirs")
        found.setdefault(place, set()).add(name)
    moves = [rows[place.row].move(place) for place in found]
    for move, names in zip(moves, found.values(), strict=True):
        missing = [name for name in move.ours if name not in names]
        if missing:
            raise MismatchError(f"{', '.join(missing)} missing: {move.theirs} is made of {', '.join(move.ours)}")
    _complete(rows, found, [row.ours for row in rows])
    return moves


def named(table: Table) -> Callable[[str], bool]:
    """Whether a foreign name is one of the table's."""
    patterns = [row.reads_theirs for row in _rows(table)]
    return lambda name: any(pattern.fullmatch(name) for pattern in patterns)


def to_ours(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Foreign tensors by our names and in our layout. MismatchError where names and table do not fit."""
    ours = dict[str, Tensor]()
    for move in reading(table, tensors):
        ours |= move.read(tensors[move.theirs])
    return ours


def to_theirs(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors by foreign names and in the foreign layout; the inverse of `to_ours`, exact to the byte."""
    return {move.theirs: move.write(tensors) for move in writing(table, tensors)}


@dataclass(frozen=True)
class _Place:
    """Where a name stands in the table: its row, the numbers under `*`, and the ending the row leaves open."""

    row: int
    numbers: tuple[str, ...]
    ending: str


def _rows(table: Table) -> list[_Row]:
    """The rows of a table; one with braces on both sides is as many rows."""
    rows = []
    for ours, theirs, transform in table:
        left, right = _BRACES.search(ours), _BRACES.search(theirs)
        if left is None or right is None:
            rows.append(_Row(ours, theirs, transform))
            continue
        own, its = left[1].split(","), right[1].split(",")
        if len(own) != len(its):
            raise ValueError(f"the row {ours!r} = {theirs!r} needs as many names in the braces on both sides")
        together = dict(enumerate(own, len(rows)))
        pairs = zip(own, its, strict=True)
        rows += [_Row(ours.replace(left[0], a), theirs.replace(right[0], b), transform, together) for a, b in pairs]
    return rows


class _Row:
    """One row, ready to be read both ways. together: the rows it is a whole with, and the words our names end in."""

    def __init__(self, ours: str, theirs: str, transform: str, together: Mapping[int, str] | None = None) -> None:
        words = {word.split()[0]: word.split()[1:] for word in transform.split(",") if word.strip()}
        unknown = [word for word in words if word not in _TRANSFORMS]
        if unknown:
            raise ValueError(
                f"the row of {ours!r} has the transform {unknown[0]!r}; there are {', '.join(_TRANSFORMS)}"
            )
        self.transposed, self.optional, self.pairs = (word in words for word in ("transpose", "optional", "pairs"))
        self.row: Literal[-1, 0, 1] = 1 if "row" in words else -1 if "alone" in words else 0
        groups, *proportions = words.get("join", []) or ["1"]
        self.groups, self.proportions = int(groups), tuple(map(int, proportions[0].split(":"))) if proportions else ()
        self.stack = int(words["stack"][0]) if "stack" in words else 0
        self.flat = tuple(map(int, words["flat"][0].split(":"))) if "flat" in words else ()
        self.together = together or {}
        braces = _BRACES.findall(ours)
        self.parts = list(product(*(brace.split(",") for brace in braces)))
        if (len(self.parts) > 1 or bool(braces)) != ("join" in words or "stack" in words):
            raise ValueError(f"the row {ours!r} = {theirs!r} needs {{a,b}} with 'join' or 'stack', or on both sides")
        if ours.count("*") != theirs.count("*"):
            raise ValueError(f"the row {ours!r} = {theirs!r} needs as many * on both sides")
        self.ours, self.theirs = _BRACES.sub("{}", ours), theirs
        self.open = not ours.endswith(_ENDINGS)
        self.reads_ours, self.reads_theirs = self._pattern(self.ours, braces), self._pattern(theirs, [])

    def _pattern(self, name: str, braces: Sequence[str]) -> re.Pattern[str]:
        text = re.escape(name).replace(re.escape("*"), r"(\d+)")
        for brace in braces:
            text = text.replace(re.escape("{}"), f"(?:{'|'.join(map(re.escape, brace.split(',')))})", 1)
        return re.compile(text + (r"(?P<ending>\.weight|\.bias|)" if self.open else ""))

    def whole(self, name: str, modules: Container[str]) -> bool:
        """Are all that this row belongs with there, beside this name of ours?"""
        beside = name.rpartition(".")[0].rpartition(".")[0]
        return all(f"{beside}.{word}" in modules for word in self.together.values())

    def write(self, name: str, place: _Place, parts: Sequence[str] = ()) -> str:
        """The full name in `name` = self.ours or self.theirs."""
        for number in place.numbers:
            name = name.replace("*", number, 1)
        for part in parts:
            name = name.replace("{}", part, 1)
        return name + place.ending

    def move(self, place: _Place) -> Move:
        """The tensors of a place of this row."""
        ours = tuple(self.write(self.ours, place, parts) for parts in self.parts)
        theirs = self.write(self.theirs, place)
        how = self.row, self.stack, self.groups, self.proportions, self.flat, self.pairs
        return Move(theirs, ours, self.transposed, *how)


def _find(name: str, patterns: Mapping[int, re.Pattern[str]], other: str) -> _Place:
    """The place of a name."""
    for number, pattern in patterns.items():
        match = pattern.fullmatch(name)
        if match:
            stars = [text for index, text in enumerate(match.groups(), 1) if index not in pattern.groupindex.values()]
            return _Place(number, tuple(stars), match.groupdict().get("ending") or "")
    raise MismatchError(f"unexpected tensor {name!r}: no row of the table says what it is in {other}")


def _complete(rows: Sequence[_Row], places: Iterable[_Place], names: Sequence[str]) -> None:
    """Every row that must be there is, in every layer; nothing comes without what it is a whole with, and no bias
    without its weight."""
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
    for place in seen:
        parts = [_Place(n, place.numbers, place.ending) for n in rows[place.row].together if place.ending != ".bias"]
        missing += [rows[part.row].write(names[part.row], part) for part in parts if part not in seen]
    if missing:
        missing = sorted(set(missing))
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise MismatchError(f"missing: {', '.join(missing[:5])}{more}")


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
