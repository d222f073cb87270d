"""The ids by which a model that writes what it hears is told what to write, and says when it was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from weft.data.tokenizers.table import PieceTable
from weft.registry import suggest

_STEP = 0.02  # seconds from one time to the next


class Segment(NamedTuple):
    """What was said between two times, in seconds; None where the model did not say when."""

    ids: tuple[int, ...]
    begin: float | None
    end: float | None


@dataclass(frozen=True)
class Speech:
    """The ids of a tokenizer for speech (Radford et al. 2023, §2.3). languages: by their codes ("en"), none where it
    is of one language; transcribe, translate: write what is said, or say it in English; untimed: without times;
    previous: what was said before follows; times: of 0.00, 0.02 .. seconds, in their order."""

    start: int
    end: int
    languages: Mapping[str, int]
    transcribe: int
    translate: int
    untimed: int
    previous: int
    times: range

    @staticmethod
    def of(tokenizer: PieceTable) -> Speech:
        """Those of a tokenizer. ValueError for one that lacks them."""
        start, transcribe, translate = (
            _id(tokenizer, name) for name in ("<|startoftranscript|>", "<|transcribe|>", "<|translate|>")
        )
        names = {number: name for name, number in tokenizer.special_names.items()}
        between = [names.get(number, "") for number in range(start + 1, min(transcribe, translate))]
        codes = {name[2:-2]: start + 1 + place for place, name in enumerate(between) if name}
        first = _id(tokenizer, "<|0.00|>")
        last = first
        while last + 1 < tokenizer.vocab and _find(tokenizer, _time(last + 1 - first)) == last + 1:
            last += 1
        untimed, previous = (_id(tokenizer, name) for name in ("<|notimestamps|>", "<|startofprev|>"))
        times = range(first, last + 1)
        return Speech(start, tokenizer.end, codes, transcribe, translate, untimed, previous, times)

    def begins(
        self, language: str | None = None, *, translate: bool = False, timed: bool = False, before: Sequence[int] = ()
    ) -> list[int]:
        """What a target begins with, to be given to `generate` as its start: the language of what is heard, what to
        write and, unless `timed`, that no times are wanted. language: None, of a model of one language; before: the ids
        of what was said before this sound. ValueError for a language that it does not know."""
        if language is not None and language not in self.languages:
            raise ValueError(f"no language is called {language!r}; {suggest(language, self.languages)}")
        if language is None and translate:
            raise ValueError("what is translated is of a language: name it")
        said = [] if language is None else [self.languages[language], self.translate if translate else self.transcribe]
        earlier = [self.previous, *before] if len(before) else []
        return [*earlier, self.start, *said, *([] if timed else [self.untimed])]

    def seconds(self, number: int) -> float | None:
        """The time that an id stands for; None where it is none."""
        return round((number - self.times.start) * _STEP, 2) if number in self.times else None

    def segments(self, ids: Sequence[int]) -> list[Segment]:
        """What was written, cut where it says times; ids of other special tokens stay with the text, which leaves them
        out. Two times that follow one another are the end of a segment and the beginning of the next."""
        found, held, begin = list[Segment](), list[int](), None
        for number in ids:
            time = self.seconds(number)
            if time is None:
                held.append(number)
                continue
            if held:
                found.append(Segment(tuple(held), begin, time))
            held, begin = [], time
        return [*found, Segment(tuple(held), begin, None)] if held else found


def _time(place: int) -> str:
    return f"<|{place * _STEP:.2f}|>"


def _find(tokenizer: PieceTable, name: str) -> int | None:
    """The id of a token that is one wherever it stands, or special; None where there is none of that name."""
    if name in tokenizer.special_names:
        return tokenizer.special_names[name]
    ids = tokenizer.encode(name)
    return ids[0] if len(ids) == 1 else None


def _id(tokenizer: PieceTable, name: str) -> int:
    found = _find(tokenizer, name)
    if found is None:
        raise ValueError(f"this tokenizer has no token {name!r}: it is none of a model that writes what it hears")
    return found
