"""What is said in a sound of any length, and when: by models that write it, and by models whose places say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from weft.data.signals import LogMel, Waveform
from weft.data.tokenizers import PieceTable, Speech
from weft.files import DamagedFile
from weft.generate.ctc import say_at
from weft.generate.timed import Rules, TimeRules, likeliest_first, write_down
from weft.hub.hearing import CTC, begins_of, check_hears, heard, processor_of, row_of, speech_of
from weft.hub.model import Model
from weft.hub.spoken import Said, Transcript, Word, lined
from weft.hub.stops import FILE
from weft.nn import Encoder, EncoderDecoder
from weft.nn.convolution import Convolved
from weft.nn.vectors import CTCHead

LONGEST = 30.0  # seconds that a model is given at once, where it does not say
_MIDDLE = 2 / 3  # of a piece: behind it the quietest moment is where it is cut
_MOMENT, _LEAST = 0.02, 0.1  # seconds: what is called quiet, and the shortest piece
_SILENCE = ("<|nospeech|>", "<|nocaptions|>")


@dataclass(frozen=True)
class How:
    """How a model that is told what to write is told it. language: its code, None: what is heard first says it;
    translate: into English; timed: it says when. silence, unsure: a window in which nobody speaks with at least that
    probability, and whose mean log-probability is below, has no text (Radford et al. 2023, §4.5)."""

    language: str | None = None
    translate: bool = False
    timed: bool = True
    silence: float = 0.6
    unsure: float = -1.0


def transcribe(
    model: Model, name: str, samples: np.ndarray, how: How | None = None, *,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Transcript:  # fmt: skip
    """What is said in a sound fp32 [samples], at the rate of the model's processor. name: what the sound is called;
    advance: hears of each second that is done. ValueError for a model that hears nothing, and for what it cannot be
    told."""
    check_hears(model)
    processor = processor_of(model)
    asked, module = how or How(), model.module
    seconds = len(samples) / processor.rate
    speech = speech_of(model) if isinstance(module, EncoderDecoder) else None
    if speech is not None and isinstance(processor, LogMel):
        return _Windows(model, processor, speech, asked).all(name, samples, advance)
    if how is not None and (how.language is not None or how.translate):
        begins_of(model, how.language, translate=how.translate)  # which says that it is not told
    if isinstance(module, Encoder) and CTC in module.heads:
        words = _words(model, module, name, samples, advance)
        return Transcript(name, seconds, lined(words), words)
    said = list[Said]()
    for start, piece in pieces(samples, processor.rate, _longest(module, processor)):
        text = heard(model, [row_of(model, name, piece)])[0]
        said.append(Said(text, start / processor.rate, (start + len(piece)) / processor.rate))
        advance(len(piece) / processor.rate)
    return Transcript(name, seconds, tuple(one for one in said if one.text))


def _longest(module: nn.Module, processor: LogMel | Waveform) -> float:
    """How many seconds a model is given at once."""
    assert isinstance(module, Encoder | EncoderDecoder)
    step = processor.step if isinstance(processor, LogMel) else 1
    context = module.embed.context
    least = [] if context is None else [context * step / processor.rate]
    return min([LONGEST, *least, *([processor.seconds] if isinstance(processor, LogMel) and processor.seconds else [])])


def pieces(samples: np.ndarray, rate: int, longest: float) -> Iterator[tuple[int, np.ndarray]]:
    """A sound of any length in pieces of at most `longest` seconds, each with its first sample's number, cut where its
    last third is quietest, and so that the last one is no shorter than a tenth of a second."""
    start, most, moment = 0, int(longest * rate), max(1, int(_MOMENT * rate))
    while len(samples) - start > most:
        first = start + int(_MIDDLE * most)
        stop = max(first, min(start + most, len(samples) - int(_LEAST * rate)))
        count = (stop - first) // moment
        if count:
            power = np.square(samples[first : first + count * moment]).reshape(count, moment).mean(axis=1)
            stop = first + (int(power.argmin()) + 1) * moment
        yield start, samples[start:stop]
        start = stop
    yield start, samples[start:]


def _words(
    model: Model, module: Encoder, name: str, samples: np.ndarray, advance: Callable[[float], None]
) -> tuple[Word, ...]:
    """Words with their times, by the places whose labels say them."""
    assert isinstance(module.heads[CTC], CTCHead)
    tokenizer, processor, found = model.need_tokenizer(), processor_of(model), list[Word]()
    stride = module.embed.needs(3) - module.embed.needs(2) if isinstance(module.embed, Convolved) else 1
    step = (processor.step if isinstance(processor, LogMel) else 1) * stride / processor.rate  # seconds of a place
    for start, piece in pieces(samples, processor.rate, _longest(module, processor)):
        at, begin = say_at(module, [row_of(model, name, piece)])[0], start / processor.rate
        at = [one for one in at if one.label < tokenizer.vocab]
        last = begin + len(piece) / processor.rate
        held, times = b"", (begin, begin)
        for one, part in zip(at, tokenizer.pieces([one.label for one in at]), strict=True):
            first, stop = (min(last, begin + place * step) for place in (one.first, one.last + 1))
            if part[:1] == b" " and held:
                found.append(Word(held.decode("utf-8", "replace"), *times))
                held = b""
            part = part.strip(b" ")
            times = (times[0] if held else first, stop)
            held += part
        if held:
            found.append(Word(held.decode("utf-8", "replace"), *times))
        advance(len(piece) / processor.rate)
    return tuple(found)


class _Windows:
    """A long sound in windows, each of which begins where the model said that the last whole part before it ends."""

    def __init__(self, model: Model, processor: LogMel, speech: Speech, how: How) -> None:
        self.model, self.processor, self.speech, self.how = model, processor, speech, how
        self.rules = rules_of(model, speech, timed=how.timed)
        self.window = round(_longest(model.module, processor) * processor.rate)  # samples

    def all(self, name: str, samples: np.ndarray, advance: Callable[[float], None]) -> Transcript:
        """See `transcribe`."""
        rate, seek, said, language = self.processor.rate, 0, list[Said](), self.how.language
        while seek < len(samples):
            piece = samples[seek : seek + self.window]
            row = self.processor(piece)
            if language is None and self.speech.languages:
                language = self._spoken(row)
            parts, used = self._window(row, language, len(piece) / rate)
            earliest = said[-1].end if said else 0.0
            for part in parts:
                begin = max(earliest, min(seek + part.begin * rate, len(samples)) / rate)
                earliest = max(begin, min(seek + part.end * rate, len(samples)) / rate)
                said.append(Said(part.text, round(begin, 2), round(earliest, 2)))
                earliest = said[-1].end
            moved = round(used * rate)
            advance(min(moved, len(piece)) / rate)
            seek += moved
        return Transcript(name, len(samples) / rate, tuple(said), (), language)

    def _spoken(self, row: torch.Tensor) -> str:
        """The language that is heard."""
        codes = {number: code for code, number in self.speech.languages.items()}
        return codes[likeliest_first(self.model.module, row, self.speech.start, list(codes))]

    def _window(self, row: torch.Tensor, language: str | None, seconds: float) -> tuple[list[Said], float]:
        """What is said in a window, by its own clock, and how many seconds of it that was."""
        begins = self.speech.begins(language, translate=self.how.translate, timed=self.how.timed)
        context = self.model.config.context
        found = write_down(self.model.module, row, begins, self.rules, new=context // 2, context=context)
        if found.silence > self.how.silence and found.logprob < self.how.unsure:
            return [], seconds
        parts, used = cut(self.speech, found.ids, seconds)
        tokenizer = self.model.need_tokenizer()
        texts = [(tokenizer.decode(ids).strip(), begin, end) for ids, begin, end in parts]
        return [Said(text, begin, end) for text, begin, end in texts if text], used


Part = tuple[tuple[int, ...], float, float]


def cut(speech: Speech, ids: Sequence[int], seconds: float) -> tuple[list[Part], float]:
    """The parts of what was written of a window: the ids of its text, and when it was said; and from where on the next
    window hears. Where two times stand side by side a part ends and another begins; behind the last such pair the next
    window begins, unless all ends in one time, behind which nobody speaks. Without any pair all is one part, which its
    last time ends, and the whole window is done."""
    times = speech.times
    pairs = [place for place in range(1, len(ids)) if ids[place] in times and ids[place - 1] in times]
    alone = len(ids) > 1 and ids[-1] in times and ids[-2] not in times

    def at(number: int) -> float:
        return speech.seconds(number) or 0.0

    def text(some: Sequence[int]) -> tuple[int, ...]:
        return tuple(number for number in some if number not in times)

    if not pairs:
        last = [at(number) for number in ids if number in times]
        end = last[-1] if last and last[-1] > 0 else seconds
        return [(text(ids), 0.0, min(end, seconds))], seconds
    found, start = list[Part](), 0
    for stop in [*pairs, *([len(ids)] if alone else [])]:
        some = ids[start:stop]
        found.append((text(some), at(some[0]), at(some[-1])))
        start = stop
    used = seconds if alone else at(ids[pairs[-1] - 1])
    return found, used if 0 < used <= seconds else seconds


def rules_of(model: Model, speech: Speech, *, timed: bool) -> Rules:
    """What a model never writes, by its folder's generation_config.json; where that says nothing, the ids that tell it
    what to write. DamagedFile for a file that says what cannot be."""
    tokenizer = model.need_tokenizer()
    said = json.loads(model.origin.files.get(FILE, b"{}"))
    special = tokenizer.special_names if isinstance(tokenizer, PieceTable) else {}
    silence = next((special[name] for name in _SILENCE if name in special), None)
    own = {speech.start, *speech.languages.values(), speech.transcribe, speech.translate, speech.previous}
    own |= set() if silence is None else {silence}
    never = _ids(said, "suppress_tokens", model)
    latest = said.get("max_initial_timestamp_index", 50)
    if latest is not None and (type(latest) is not int or latest < 0):
        raise DamagedFile(f"{FILE}: max_initial_timestamp_index is {latest!r}, but it is a whole number of at least 0")
    times = TimeRules(speech.end, speech.times, speech.untimed, latest) if timed else None
    return Rules(
        frozenset(model.stops.ends or (speech.end,)),
        sorted(own) if never is None else never,
        _ids(said, "begin_suppress_tokens", model) or [],
        times,
        silence,
    )


def _ids(said: dict[str, Any], name: str, model: Model) -> list[int] | None:
    """Ids that a file names, those that the model has. DamagedFile for what are none."""
    found = said.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(type(number) is int for number in found):
        raise DamagedFile(f"{FILE}: {name} is {str(found)[:60]}, but it is a list of ids")
    return [number for number in found if 0 <= number < model.config.vocab]
