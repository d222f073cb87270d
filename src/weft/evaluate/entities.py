"""Entities in rows of tags: precision, recall and F1 of whole chunks, as conlleval and seqeval count them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from weft.evaluate.classify import PrecisionRecall
from weft.evaluate.inputs import Array, matched

OUTSIDE = "O"
_UNTYPED = "_"  # what seqeval calls the type of a bare B or I


class Chunk(NamedTuple):
    """An entity: tokens [start, end) of a row, and its type."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class EntityScores:
    """overall: over all entities alike (micro). types: of each type that is gold or predicted, by name.
    accuracy: the share of tokens whose tag is the gold one. gold, predicted: numbers of entities; tokens: of tokens."""

    overall: PrecisionRecall
    types: dict[str, PrecisionRecall]
    accuracy: float
    gold: int
    predicted: int
    tokens: int


def conll_chunks(tags: Sequence[str]) -> list[Chunk]:
    """The chunks of a row of tags by conlleval's rules, lenient: IOB1, IOB2 (BIO) and IOBES alike.

    A tag is O, or B, I, E or S with "-" and a type. A token goes on with the chunk before it where its tag is I or E,
    the one before it is B or I, and their types are equal; any other token that is not O begins one. So an I at the
    start, or after another type, begins a chunk. ValueError for any other tag.
    """
    found, begin, before = list[Chunk](), 0, (OUTSIDE, _UNTYPED)
    for place, tag in enumerate([*_split(tags, "BIES"), (OUTSIDE, _UNTYPED)]):
        if not (tag[0] in ("I", "E") and before[0] in ("B", "I") and tag[1] == before[1]):
            if before[0] != OUTSIDE:
                found.append(Chunk(begin, place, before[1]))
            begin = place
        before = tag
    return found


def iob2_chunks(tags: Sequence[str]) -> list[Chunk]:
    """The chunks of a row of tags by IOB2 taken strictly: B of a type and the I of that type that follow it.

    An I that continues nothing belongs to no chunk. This is seqeval's mode="strict" with scheme=IOB2. ValueError for a
    tag other than O, B- and I-.
    """
    split = _split(tags, "BI")
    return [chunk for chunk in conll_chunks(tags) if split[chunk.start][0] == "B"]


def entity_scores(
    predicted: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    *,
    chunks: Callable[[Sequence[str]], list[Chunk]] = conll_chunks,
) -> EntityScores:
    """Scores of rows of tags. An entity is right where start, end and type are all a gold one's.

    chunks: what is an entity in a row of tags; `conll_chunks` as conlleval and seqeval have it, or `iob2_chunks`.
    Shares of nothing are 0. ValueError for unequal counts of rows, or of tags in a row; no tokens; an unknown tag.
    """
    matched("entity F1", predicted, gold)
    right, mine, theirs = Counter[str](), Counter[str](), Counter[str]()
    equal = tokens = 0
    for row, (tags, wanted) in enumerate(zip(predicted, gold, strict=True)):
        if isinstance(tags, str) or isinstance(wanted, str):
            raise ValueError(f"entity F1: row {row} is one text, {tags!r} or {wanted!r}: pass a list of tags for each")
        if len(tags) != len(wanted):
            raise ValueError(
                f"entity F1: row {row} has {len(tags)} predicted and {len(wanted)} gold tags: pass one for each token; "
                "was a row cut at the model's context, or are tags of pieces those of words?"
            )
        a, b = set(chunks(tags)), set(chunks(wanted))
        for counter, found in ((right, a & b), (mine, a), (theirs, b)):
            counter.update(chunk.type for chunk in found)
        equal += sum(x == y for x, y in zip(tags, wanted, strict=True))
        tokens += len(wanted)
    if not tokens:
        raise ValueError(f"entity F1: the {len(gold)} rows have no tokens: is the split empty?")
    types = {t: PrecisionRecall.of(right[t], mine[t], theirs[t]) for t in sorted(mine.keys() | theirs.keys())}
    counts = (right.total(), mine.total(), theirs.total())
    return EntityScores(PrecisionRecall.of(*counts), types, equal / tokens, counts[2], counts[1], tokens)


def by_places(
    figure: Callable[[PrecisionRecall], float], chunks: Callable[[Sequence[str]], list[Chunk]] = conll_chunks
) -> Callable[[Sequence[Sequence[str]], Sequence[Sequence[str]]], Callable[[Array], float]]:
    """`Metric.places` of a figure over all entities alike: entities are counted once a row, and then summed."""

    def prepare(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Callable[[Array], float]:
        both = [(set(chunks(tags)), set(chunks(wanted))) for tags, wanted in zip(predicted, gold, strict=True)]
        counts = np.array([[len(a & b), len(a), len(b)] for a, b in both])  # [N, 3] right, predicted, gold
        return lambda places: figure(PrecisionRecall.of(*map(int, counts[places].sum(0))))  # [n, 3] -> [3]

    return prepare


def token_accuracy(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> float:
    """The share of tokens whose tag is the gold one, O included; of any tags. ValueError: see `entity_scores`."""
    return entity_scores(predicted, gold, chunks=lambda tags: []).accuracy


def equal_tokens(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> tuple[Array, Array]:
    """Of each row, how many tokens have the gold tag, and how many there are: int64 [N] each. ValueError: see
    `entity_scores`."""
    token_accuracy(predicted, gold)
    rows = list(zip(predicted, gold, strict=True))
    right = [sum(a == b for a, b in zip(tags, wanted, strict=True)) for tags, wanted in rows]
    return np.array(right, np.int64), np.array([len(wanted) for _, wanted in rows], np.int64)


def _split(tags: Sequence[str], prefixes: str) -> list[tuple[str, str]]:
    """(prefix, type) of each tag; a bare prefix has the type "_"."""
    found = list[tuple[str, str]]()
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if tag != OUTSIDE and (len(prefix) != 1 or prefix not in prefixes):
            allowed = ", ".join(f"{x}-TYPE" for x in prefixes)
            raise ValueError(
                f"token {place} of a row has the tag {tag!r}, and a tag here is {OUTSIDE} or one of {allowed}: rename "
                "it (BILOU's L and U are E and S), or count chunks in another way"
            )
        found.append((prefix, kind or _UNTYPED))
    return found
