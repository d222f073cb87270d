"""How tags mark where an entity begins: IOB1 and IOB2 told apart and made into one (Ramshaw and Marcus 1995; Tjong Kim
Sang and Veenstra 1999)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from weft.data.labelled.conll import Sentence
from weft.data.labelled.labels import Labels, ordered
from weft.data.labelled.where import Where

OUTSIDE, BEGIN, INSIDE = "O", "B", "I"


class Scheme(StrEnum):
    """IOB1: B- only where an entity follows another of its type, else I-. IOB2: B- for the first word of each entity.

    What mixes both can be read as IOB1, where B- always begins an entity and I- begins one where it cannot continue.
    """

    IOB1 = "IOB1"
    IOB2 = "IOB2"


class _Tag(NamedTuple):
    where: Where
    tag: str
    before: str  # of the word before, O where there is none

    @property
    def continues(self) -> bool:
        """Whether the word before is of an entity of its type."""
        return self.before != OUTSIDE and self.before[2:] == self.tag[2:]


def find_scheme(sentences: Sequence[Sentence]) -> Scheme:
    """Which of the two the tags are in; IOB2 where nothing tells. ValueError naming file and line for a tag that is
    none of O, B-type and I-type, and for tags that are in neither, naming a line that is against each."""
    one = two = None
    for found in _tags(sentences):
        if found.tag[:1] == INSIDE and not found.continues:
            two = two or found
        elif found.tag[:1] == BEGIN and not found.continues:
            one = one or found
    if one and two:
        raise ValueError(
            f"{two.where}: {two.tag!r} begins an entity, which is IOB1, and {one.where}: {one.tag!r} begins one, which "
            "is IOB2: mend the tags, or take each word's tag as it is (--metric token_accuracy)"
        )
    return Scheme.IOB1 if two else Scheme.IOB2


def to_iob2(sentences: Sequence[Sentence], scheme: Scheme | None = None) -> list[Sentence]:
    """The same with every entity's first tag B- and its others I-; scheme None: found by `find_scheme`.

    ValueError naming file and line for an impossible tag: none of O, B-type and I-type; of IOB2 also an I- that
    continues nothing.
    """
    scheme = find_scheme(sentences) if scheme is None else scheme
    result = []
    for sentence in sentences:
        tags = list[str]()
        for found in _tags([sentence]):
            begins = found.tag[:1] == INSIDE and not found.continues
            if begins and scheme is Scheme.IOB2:
                raise ValueError(
                    f"{found.where}: {found.tag!r} after {found.before!r} continues no entity, which in IOB2 it must: "
                    "mend the tag, or read the tags as IOB1"
                )
            tags.append(BEGIN + found.tag[1:] if begins else found.tag)
        result.append(replace(sentence, tags=tuple(tags)))
    return result


def entity_labels(sentences: Iterable[Sentence]) -> Labels:
    """The labels of tags in IOB2: O, and for every type both B- and I-, whether or not both occur, so that a longer
    entity has its tags, and the further pieces of a word. ValueError naming file and line for an impossible tag."""
    types = ordered({found.tag[2:] for found in _tags(sentences)} - {""})
    return Labels((OUTSIDE, *(f"{mark}-{name}" for name in types for mark in (BEGIN, INSIDE))))


def _tags(sentences: Iterable[Sentence]) -> Iterator[_Tag]:
    for sentence in sentences:
        before = OUTSIDE
        for number, tag in enumerate(sentence.tags):
            if tag != OUTSIDE and (tag[:2] not in (f"{BEGIN}-", f"{INSIDE}-") or len(tag) < 3):
                raise ValueError(
                    f"{sentence.at(number)}: {tag!r} is no tag of an entity: those are O, B-type and I-type; mend it, "
                    "or choose another column"
                )
            yield _Tag(sentence.at(number), tag, before)
            before = tag
