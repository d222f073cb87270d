"""Word vectors that were learned: neighbours, analogies, a plane; saved as safetensors and a list of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.files import DamagedFile, read_json, read_tensors, write_json, write_tensors
from weft.registry import nearest

TENSORS, WORDS = "vectors.safetensors", "words.json"
FORM = "vectors"  # what words.json says it is
GUESSED = 20_000  # words, the most frequent, that one without a vector may be a misspelling of: comparing takes time


@dataclass(frozen=True)
class Near:
    """A word and its cosine with what was asked for."""

    word: str
    cosine: float


@dataclass(frozen=True, eq=False)
class Vectors:
    """words: the most frequent first; counts int64 [V]; around, middle: fp32 [V, D], a word's vector where it stands
    around another, which is the one that is asked for, and where another's window is around it. kind: how they were
    learned."""

    words: tuple[str, ...]
    counts: np.ndarray
    around: Tensor
    middle: Tensor
    kind: str

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def directions(self) -> Tensor:
        """fp32 [V, D]: each word's vector at length 1."""
        return torch.nn.functional.normalize(self.around, dim=1)

    def number(self, word: str) -> int:
        """A word's place in `words`; in lower case where it is there in no other. ValueError for a word without one."""
        for spelt in (word, word.lower()):
            if spelt in self._ids:
                return self._ids[spelt]
        near = nearest(word, self.words[:GUESSED])
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"{word!r} is none of the {len(self.words):,} words that have a vector{meant}")

    def vector(self, word: str) -> Tensor:
        """fp32 [D]."""
        return self.around[self.number(word)]

    def near(self, word: str, count: int = 10) -> list[Near]:
        """The words whose vectors have the highest cosine with a word's, best first; not the word itself."""
        number = self.number(word)
        return self._nearest(self.directions[number], [number], count)

    def analogy(self, a: str, b: str, c: str, count: int = 5) -> list[Near]:
        """What is to c as a is to b: the words nearest to a - b + c (directions; Mikolov et al. 2013c), but for those
        three. king - man + woman is the example of old."""
        numbers = [self.number(word) for word in (a, b, c)]
        plus, minus, also = self.directions[numbers]  # [D] each
        return self._nearest(plus - minus + also, numbers, count)

    def cosine(self, one: str, other: str) -> float:
        """Of two words."""
        return float(self.directions[self.number(one)] @ self.directions[self.number(other)])

    def plane(self, words: Sequence[str]) -> tuple[Tensor, tuple[float, float]]:
        """Some words' directions on the plane that keeps most of their variance (PCA): fp32 [N, 2], and the share of it
        that each axis keeps. The same words give the same picture: the largest part of each axis is positive.

        ValueError for fewer than three words.
        """
        if len(words) < 3:
            raise ValueError(f"a plane needs at least three words, and {len(words)} were given: name more")
        chosen = self.directions[[self.number(word) for word in words]]  # [N, D]
        centred = chosen - chosen.mean(dim=0)
        _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)  # axes: [min(N, D), D]
        axes = torch.nn.functional.pad(axes[:2], (0, 0, 0, max(0, 2 - len(axes))))  # [2, D], of width 1 the second 0
        signs = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()  # [2, 1]
        share = sizes[:2].square() / sizes.square().sum().clamp(min=1e-30)
        return centred @ (axes * signs).T, (float(share[0]), float(share[1]) if len(share) > 1 else 0.0)

    def save(self, folder: Path | str) -> None:
        """Write vectors.safetensors and words.json."""
        folder = Path(folder)
        write_tensors(folder / TENSORS, {"around": self.around, "middle": self.middle})
        listed = {"weft": FORM, "kind": self.kind, "words": list(self.words), "counts": self.counts.tolist()}
        write_json(folder / WORDS, listed)

    @classmethod
    def load(cls, folder: Path | str) -> Vectors:
        """What `save` wrote; ValueError where there is nothing of the kind, DamagedFile where it is not whole."""
        folder = Path(folder)
        if not (folder / WORDS).is_file():
            raise ValueError(
                f"{folder} has no {WORDS}: word vectors are what `weft vectors train --out {folder}` writes"
            )
        said = read_json(folder / WORDS)
        if not isinstance(said, dict) or said.get("weft") != FORM:
            raise DamagedFile(f"{folder / WORDS} is no list of words that have vectors: another program's?")
        words, counts, tensors = said.get("words"), said.get("counts"), read_tensors(folder / TENSORS)
        if not isinstance(words, list) or not isinstance(counts, list) or len(words) != len(counts):
            raise DamagedFile(f"{folder / WORDS} needs a count for each word")
        if any(not isinstance(word, str) for word in words):
            raise DamagedFile(f"{folder / WORDS}: a word is a text, and one of them is none")
        strange = [count for count in counts if type(count) is not int or not 0 <= count < 2**63]
        if strange:
            raise DamagedFile(f"{folder / WORDS}: {strange[0]!r} is no count of a word")
        for name in ("around", "middle"):
            shape = tuple(tensors[name].shape) if name in tensors else None
            if shape is None or len(shape) != 2 or shape[0] != len(words):
                raise DamagedFile(f"{folder / TENSORS}: {name!r} has shape {shape}, and there are {len(words)} words")
        kind = str(said.get("kind"))
        return cls(tuple(words), np.array(counts, np.int64), tensors["around"], tensors["middle"], kind)

    def _nearest(self, direction: Tensor, without: Sequence[int], count: int) -> list[Near]:
        if count < 1:
            raise ValueError(f"count = {count}, but at least one word is asked for")
        cosines = self.directions @ torch.nn.functional.normalize(direction, dim=0)  # [V]
        cosines[list(without)] = -2.0  # below every cosine
        best = cosines.topk(min(count, len(self.words)))
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [Near(self.words[number], cosine) for number, cosine in found if number not in without]
