"""Sounds with transcripts as batches of rows: joined, varied, and padded as long as a batch needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place, Tokenizer
from weft.data.alike import alike_order
from weft.data.blocks import check
from weft.data.order import Shuffled, mix
from weft.data.signals.mel import LogMel
from weft.data.signals.recordings import Recording
from weft.data.signals.speech import SoundAugment
from weft.data.signals.varied_sound import draw_factor, faster, retimed, varied_frames, varied_sound
from weft.data.signals.wave import Waveform

Form = Literal["labels", "target", "class"]
"""What a batch asks: the ids of a transcript in their order; a target that is written; which transcript it is."""

PURPOSE = 0x50D  # of what is joined and varied, among all that is drawn by seed, epoch and sample


@dataclass(frozen=True)
class Hearing:
    """How a model hears, and what it is asked. processor: from a sound to rows; form: see `Form`; tokenizer: of
    transcripts, classes: or all there are, in their order; begins: the ids that a target begins with; longest: the most
    places of a row, None: any."""

    processor: LogMel | Waveform
    form: Form
    tokenizer: Tokenizer | None = None
    classes: tuple[str, ...] = ()
    begins: tuple[int, ...] = ()
    longest: int | None = None

    @property
    def step(self) -> int:
        """Samples from one place to the next."""
        return self.processor.step if isinstance(self.processor, LogMel) else 1

    def ids(self, text: str) -> list[int]:
        """Of a transcript. ValueError for a text that the tokenizer cannot say."""
        assert self.tokenizer is not None
        return list(self.tokenizer.encode(text))


@dataclass(frozen=True)
class Joined:
    """What a sample is made of: which recordings, how many samples of silence stand after each but the last, how
    many times as fast all of it is played, and how many times as fast it is then said."""

    parts: tuple[int, ...]
    gaps: tuple[int, ...]
    speed: float
    tempo: float

    @property
    def stretch(self) -> float:
        """What the recordings' length is divided by."""
        return self.speed * self.tempo


class Utterances(Shuffled):
    """Recordings with transcripts: a sample begins with one of them, and, where several are joined, goes on with others
    of the same speaker: 1 to `join` in all, each number equally likely, as far as they fit into `hearing.longest`.
    Between two is a silence of up to `gap` samples. What is drawn is a function of (seed, epoch, sample).

    augment: how each sample is varied; None: not at all. alike: so many of about one length follow one another; 0: none
    do. ValueError where there are no recordings, and for variations that cannot be heard by the processor.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        hearing: Hearing,
        *,
        join: int = 1,
        gap: int = 0,
        augment: SoundAugment | None = None,
        seed: int = 0,
        alike: int = 0,
    ) -> None:
        if not recordings:
            raise ValueError("no recordings were given: give at least one")
        if augment is not None:
            _check_heard(augment, hearing.processor)
        self.recordings, self.hearing = tuple(recordings), hearing
        self.join, self.gap, self.seed, self.alike = join, gap, seed, alike
        self.augment = None if augment == SoundAugment() else augment
        self._lengths = np.array([len(one.samples) for one in self.recordings])
        speakers: dict[str, list[int]] = {}
        for number, one in enumerate(self.recordings):
            speakers.setdefault(one.speaker, []).append(number)
        self._speakers = speakers
        self._order = (-1, -1), np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.recordings)

    def place(self, position: int, seed: int) -> Place:
        """What is read at `position` of an endless run."""
        if not self.alike:
            return super().place(position, seed)
        epoch, within = divmod(position, len(self))
        at, order = self._order
        if at != (seed, epoch):
            lengths = np.array([self._length(self._joined(Place(epoch, number))[0]) for number in range(len(self))])
            order = alike_order(lengths, self.alike, seed, epoch)
            self._order = (seed, epoch), order  # at once: threads read ahead
        return Place(epoch, int(order[within]))

    def texts(self, places: Sequence[Place]) -> list[str]:
        """What is said in these samples."""
        return [" ".join(self._text(part) for part in self._joined(place)[0].parts) for place in places]

    def rows(self, places: Sequence[Place]) -> list[torch.Tensor]:
        """These samples as their processor hears them, each fp32 [T, C]."""
        return [self._row(place) for place in places]

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples: of the form "labels" tokens fp32 [B, T, C] and `asked["labels"]` int64 [B, L], IGNORED behind
        the last; of "class" `asked["label"]` int64 [B]; of "target" the ids of what is written, and the sounds as their
        source. Rows are padded on the right; segments are 1 where there is anything."""
        numbers = tuple(check(places, len(self)).tolist())
        tokens, segments = _padded(self.rows(places))
        texts, hearing = self.texts(places), self.hearing
        if hearing.form == "class":
            label = torch.tensor([hearing.classes.index(text) for text in texts])
            return Batch(tokens, segments=segments, asked={"label": label}, samples=numbers)
        ids = [hearing.ids(text) for text in texts]
        if hearing.form == "labels":
            return Batch(tokens, segments=segments, asked={"labels": _ids(ids, IGNORED)}, samples=numbers)
        assert hearing.tokenizer is not None
        end, begins = hearing.tokenizer.end, list(hearing.begins)
        given = [IGNORED] * (len(begins) - 1)
        return Batch(
            tokens=_ids([[*begins, *row] for row in ids], end),
            labels=_ids([[*given, *row, end] for row in ids], IGNORED),
            segments=_ids([[1] * (len(begins) + len(row)) for row in ids], 0),
            source=Batch(tokens, segments=segments, samples=numbers),
            samples=numbers,
        )

    def _text(self, number: int) -> str:
        text = self.recordings[number].text
        assert text is not None, "what is trained on has transcripts"
        return text

    def _joined(self, place: Place) -> tuple[Joined, np.random.Generator]:
        """What a sample is made of, and what draws the rest of it."""
        draw = np.random.default_rng(mix(self.seed, PURPOSE, *place))
        asked = self.augment or SoundAugment()
        speed, tempo = draw_factor(asked.speed, draw), draw_factor(asked.tempo, draw)
        parts, gaps, longest = [place.sample], list[int](), self.hearing.longest
        room = np.inf if longest is None else longest * self.hearing.step * speed * tempo - self._lengths[place.sample]
        others = self._speakers[self.recordings[place.sample].speaker]
        for _ in range(int(draw.integers(1, self.join + 1)) - 1):
            part, gap = others[int(draw.integers(len(others)))], int(draw.integers(self.gap + 1))
            room -= gap + self._lengths[part]
            if room < 0:
                break
            parts.append(part)
            gaps.append(gap)
        return Joined(tuple(parts), tuple(gaps), speed, tempo), draw

    def _length(self, joined: Joined) -> int:
        return round((sum(joined.gaps) + int(self._lengths[list(joined.parts)].sum())) / joined.stretch)

    def _row(self, place: Place) -> torch.Tensor:
        joined, draw = self._joined(place)
        pieces = [self.recordings[joined.parts[0]].samples]
        for part, gap in zip(joined.parts[1:], joined.gaps, strict=True):
            pieces += [np.zeros(gap, np.float32), self.recordings[part].samples]
        samples = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        if self.augment is None:
            return self.hearing.processor(samples)
        row = self.hearing.processor(varied_sound(faster(samples, joined.speed), self.augment, draw))
        if isinstance(self.hearing.processor, Waveform):
            return row
        return torch.from_numpy(varied_frames(retimed(row.numpy(), joined.tempo), self.augment, draw))


def _check_heard(augment: SoundAugment, processor: LogMel | Waveform) -> None:
    """ValueError for variations of frames where there are none, and of their number where it is fixed."""
    if isinstance(processor, Waveform):
        if unheard := augment.of_frames:
            raise ValueError(
                f"data.augment.{unheard[0]}={getattr(augment, unheard[0]):g} varies frames, and this model reads "
                "samples: set it to 0 (speed, volume, tilt and noise vary samples)"
            )
    elif augment.tempo and processor.seconds is not None:
        raise ValueError(
            f"data.augment.tempo={augment.tempo:g} varies how many frames there are, and this model's processor fills "
            f"every sound up to {processor.seconds} seconds: set it to 0 (speed varies samples)"
        )


def _padded(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Rows [T, C] of any length as fp32 [B, longest, C], and segments int64 [B, longest]; None where all are alike."""
    longest = max(len(row) for row in rows)
    if min(len(row) for row in rows) == longest:
        return torch.stack(list(rows)), None
    tokens, segments = torch.zeros(len(rows), longest, rows[0].shape[1]), torch.zeros(len(rows), longest).long()
    for place, row in enumerate(rows):
        tokens[place, : len(row)], segments[place, : len(row)] = row, 1
    return tokens, segments


def _ids(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of any length as int64 [B, longest], filled with `value` on the right."""
    found = torch.full((len(rows), max(1, *map(len, rows)) if len(rows) > 1 else max(1, len(rows[0]))), value)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found
