"""What a published model expects around the ids of a text: [CLS] a [SEP] b [SEP], <s> a, a </s>."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

FIRST, SECOND = "A", "B"  # the texts, where a template names them


class Part(NamedTuple):
    """A part of a template: special ids, or the place of a text ("A", "B"), and the type that its ids have."""

    what: tuple[int, ...] | str
    type: int = 0


@dataclass(frozen=True)
class Template:
    """Ids before, between and after one text or two, and the type of each id (BERT's token types).

    Text never becomes a special id here, so that nothing of it stands twice.
    """

    single: tuple[Part, ...]
    pair: tuple[Part, ...]

    def one(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """The ids of one text with what stands around them, and the type of each."""
        return _fill(self.single, {FIRST: ids})

    def two(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """The ids of two texts with what stands around them, and the type of each."""
        return _fill(self.pair, {FIRST: first, SECOND: second})

    def before(self, ids: Sequence[int]) -> list[int]:
        """The ids of one text that is to go on, with what stands before it."""
        place = next(number for number, part in enumerate(self.single) if part.what == FIRST)
        return _fill(self.single[: place + 1], {FIRST: ids})[0]

    @classmethod
    def around(cls, begin: int | None, end: int | None) -> Self:
        """`begin` before each text and `end` after it, where they are ids; the second text has the type 1."""
        before = () if begin is None else (begin,)
        after = () if end is None else (end,)
        first = (Part(before), Part(FIRST), Part(after))
        return cls(first, (*first, Part(before, 1), Part(SECOND, 1), Part(after, 1)))

    @classmethod
    def between(cls, begin: int, end: int) -> Self:
        """`begin` a `end`, and `begin` a `end` b `end`, the second text and what ends it of type 1."""
        first = (Part((begin,)), Part(FIRST), Part((end,)))
        return cls(first, (*first, Part(SECOND, 1), Part((end,), 1)))

    def untyped(self) -> Self:
        """The same with one type for all ids."""
        single, pair = (tuple(Part(part.what) for part in parts) for parts in (self.single, self.pair))
        return type(self)(single, pair)


def read_template(processor: Mapping[str, Any] | None) -> Template | None:
    """The template of a tokenizer.json's post_processor, None where it says nothing of ids; ValueError for one that is
    not known."""
    parts = _steps(processor or {"type": "ByteLevel"})
    told = [part for part in parts if part["type"] != "ByteLevel"]  # that one moves offsets only
    if len(told) > 1:
        raise ValueError(f"its post_processor has {len(told)} steps that add ids: one can be read")
    if not told:
        return None
    (step,) = told
    if step["type"] == "TemplateProcessing":
        ids = {name: tuple(token["ids"]) for name, token in step["special_tokens"].items()}
        return Template(_read(step["single"], ids), _read(step["pair"], ids))
    if step["type"] not in ("BertProcessing", "RobertaProcessing"):
        raise ValueError(f"its post_processor is {step['type']}: what it puts around ids is not known")
    begin, end = Part((step["cls"][1],)), (step["sep"][1],)
    single = (begin, Part(FIRST), Part(end))
    if step["type"] == "BertProcessing":
        return Template(single, (*single, Part(SECOND, 1), Part(end, 1)))
    return Template(single, (*single, Part(end), Part(SECOND), Part(end)))


def write_template(template: Template, names: Mapping[int, str]) -> dict[str, Any]:
    """The post_processor of a template; `names`: what its special ids are called."""
    parts = (*template.single, *template.pair)
    used = {number for part in parts if not isinstance(part.what, str) for number in part.what}
    return {
        "type": "TemplateProcessing",
        "single": _write(template.single, names),
        "pair": _write(template.pair, names),
        "special_tokens": {
            names[number]: {"id": names[number], "ids": [number], "tokens": [names[number]]} for number in sorted(used)
        },
    }


def _steps(processor: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(processor["processors"]) if processor["type"] == "Sequence" else [processor]


def _read(parts: Sequence[Mapping[str, Any]], ids: Mapping[str, tuple[int, ...]]) -> tuple[Part, ...]:
    found = []
    for part in parts:
        ((kind, told),) = part.items()
        what = told["id"] if kind == "Sequence" else ids[told["id"]]
        found.append(Part(what, told["type_id"]))
    return tuple(found)


def _write(parts: Sequence[Part], names: Mapping[int, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part.what, str):
            found.append({"Sequence": {"id": part.what, "type_id": part.type}})
        else:
            found += [{"SpecialToken": {"id": names[number], "type_id": part.type}} for number in part.what]
    return found


def _fill(parts: Sequence[Part], texts: Mapping[str, Sequence[int]]) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    types: list[int] = []
    for part in parts:
        these = texts[part.what] if isinstance(part.what, str) else part.what
        ids += these
        types += [part.type] * len(these)
    return ids, types
