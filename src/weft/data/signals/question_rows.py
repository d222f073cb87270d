"""Questions about pictures as rows of a decoder that is given pictures: the picture's places, the question, the answer.

A row is BEGIN, as many image ids as a picture has states, the question, END, the answer, END. What is learned is the
answer and the END behind it; all else is IGNORED.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from weft.batch import IGNORED, Batch, Place, Tokenizer, Unfit
from weft.data.blocks import check
from weft.data.order import Shuffled, mix
from weft.data.signals.labelled import PURPOSE, varied
from weft.data.signals.pictures import Patches
from weft.data.signals.questions import Question
from weft.data.signals.settings import Augment
from weft.data.tokenizers import encode_many


@dataclass(frozen=True)
class Form:
    """How rows are made. token: the image's id; states: how many of them stand for a picture; context: the longest row;
    blind: every picture is a plain one."""

    tokenizer: Tokenizer
    processor: Patches
    token: int
    states: int
    context: int
    blind: bool = False


class QuestionRows(Shuffled):
    """Questions about pictures, uint8 [N, image, image, channels], a row each.

    Questions whose row is longer than the context are left out: `dropped` counts them, `questions` has the others.
    augment: how pictures are varied, as a function of (seed, epoch, sample); None: not at all. Unfit where no row is
    short enough.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        questions: Sequence[Question],
        form: Form,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.pixels, self.form, self.augment, self.seed = pixels, form, augment, seed
        asked = encode_many(form.tokenizer, [question.text for question in questions])
        told = encode_many(form.tokenizer, [question.answer or "" for question in questions])
        self.questions, self.ids = list[Question](), list[tuple[np.ndarray, np.ndarray]]()
        begin, end = form.tokenizer.begin, form.tokenizer.end
        for question, text, answer in zip(questions, asked, told, strict=True):
            prompt = np.concatenate([[begin], np.full(form.states, form.token), text, [end]])
            if len(prompt) + len(answer) <= form.context:
                self.questions.append(question)
                self.ids.append((prompt, np.append(answer, end)))
        self.dropped = len(questions) - len(self.questions)
        if not self.questions:
            raise Unfit(
                f"none of {len(questions):,} questions fits into {form.context} tokens, of which a picture takes "
                f"{form.states}: raise model.text.context, or give questions"
            )

    def __len__(self) -> int:
        """Questions."""
        return len(self.questions)

    @property
    def longest(self) -> int:
        """Tokens of the longest answer, its END among them."""
        return max(len(answer) for _, answer in self.ids)

    def prompts(self, rows: Sequence[int]) -> list[list[int]]:
        """What stands before the answers of some questions."""
        return [self.ids[row][0].tolist() for row in rows]

    def source(self, places: Sequence[Place]) -> Tensor:
        """The pictures of some questions as patches, fp32 [B, S, C]; of who is blind 0, the mean of what is read."""
        rows = check(places, len(self))
        signals = self.pixels[[self.questions[row].picture for row in rows]]
        if self.augment is not None and self.augment != Augment():
            signals = np.stack([
                varied(one, self.augment, np.random.default_rng(mix(self.seed, PURPOSE, epoch, sample)))
                for one, (epoch, sample) in zip(signals, places, strict=True)
            ])  # fmt: skip
        found = torch.from_numpy(self.form.processor.rows(signals))
        return torch.zeros_like(found) if self.form.blind else found

    def batch(self, places: Sequence[Place]) -> Batch:
        """These questions with their answers, padded on the right."""
        samples = tuple(check(places, len(self)).tolist())
        whole = [np.concatenate(self.ids[sample]) for sample in samples]
        width = max(map(len, whole)) - 1
        tokens = np.full((len(whole), width), self.form.tokenizer.end, np.int64)
        labels = np.full((len(whole), width), IGNORED, np.int64)
        segments = np.zeros((len(whole), width), np.int64)
        for row, (sample, ids) in enumerate(zip(samples, whole, strict=True)):
            first = len(self.ids[sample][0]) - 1
            tokens[row, : len(ids) - 1], segments[row, : len(ids) - 1] = ids[:-1], 1
            labels[row, first : len(ids) - 1] = ids[first + 1 :]
        return Batch(
            tokens=torch.from_numpy(tokens),
            labels=torch.from_numpy(labels),
            segments=torch.from_numpy(segments),
            source=Batch(self.source(places), samples=samples),
            samples=samples,
        )

    def digest(self) -> str:
        """Of all that rows are made of: equal digests mean equal rows."""
        form, shown = self.form, [question.picture for question in self.questions]
        made = (self.augment, self.seed, form.processor, form.token, form.states, form.context, form.blind, shown)
        found = hashlib.sha256(repr(made).encode())
        found.update(np.ascontiguousarray(self.pixels).data)
        for prompt, answer in self.ids:
            found.update(np.concatenate([prompt, [-1], answer, [-2]]).astype(np.int64).tobytes())
        return found.hexdigest()
