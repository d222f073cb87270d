"""What was said in a sound, and when: as text, as subtitles, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Format = Literal["txt", "srt", "vtt", "json"]
FORMATS: tuple[str, ...] = get_args(Format)
_PAUSE, _LINE = 0.7, 6.0  # seconds without a word that end a line, and that a line lasts at the most


class Word(NamedTuple):
    """A word, and when it is said, in seconds from the sound's beginning."""

    text: str
    begin: float
    end: float


class Said(NamedTuple):
    """A part of what is said, a line of subtitles say, and when, in seconds from the sound's beginning."""

    text: str
    begin: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """Of a sound: its name, how long it is, the parts of what is said, none of which begins before the one before it
    ends; its words, where their times are known; and the language, where the model was told one, or told it."""

    name: str
    seconds: float
    parts: tuple[Said, ...]
    words: tuple[Word, ...] = ()
    language: str | None = None

    @property
    def text(self) -> str:
        """All of it, in one line."""
        return " ".join(part.text for part in self.parts)

    def written(self, form: str) -> str:
        """As txt, a line a part; srt; vtt; or json. ValueError for another form."""
        if form == "txt":
            return "".join(f"{part.text}\n" for part in self.parts)
        if form == "srt":
            cues = (f"{number}\n{_span(part, ',')}\n{part.text}\n\n" for number, part in enumerate(self.parts, start=1))
            return "".join(cues)
        if form == "vtt":
            return "WEBVTT\n\n" + "".join(f"{_span(part, '.')}\n{_escaped(part.text)}\n\n" for part in self.parts)
        if form != "json":
            raise ValueError(f"the format {form!r} is none of {', '.join(FORMATS)}")
        told = {"file": self.name, "text": self.text, "language": self.language, "seconds": round(self.seconds, 3)}
        spoken = {
            name: [one._asdict() for one in several] for name, several in (("parts", self.parts), ("words", self.words))
        }
        return json.dumps(told | spoken, ensure_ascii=False) + "\n"


def lined(words: Sequence[Word]) -> tuple[Said, ...]:
    """Words as lines: a pause ends one, and so does its length."""
    lines = list[list[Word]]()
    for word in words:
        if lines and word.begin - lines[-1][-1].end < _PAUSE and word.end - lines[-1][0].begin <= _LINE:
            lines[-1].append(word)
        else:
            lines.append([word])
    return tuple(Said(" ".join(word.text for word in line), line[0].begin, line[-1].end) for line in lines)


def _span(part: Said, point: str) -> str:
    return f"{_clock(part.begin, point)} --> {_clock(part.end, point)}"


def _clock(seconds: float, point: str) -> str:
    """hh:mm:ss,mmm."""
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _escaped(text: str) -> str:
    """Of WebVTT, in which < and & begin something."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
