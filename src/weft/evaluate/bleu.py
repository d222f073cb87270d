"""Scores of texts against references, by sacrebleu: BLEU, chrF, TER, each with the signature that says how.

A reference is one text, or a list of texts where a sample has several. An extra: pip install 'weft[translate]'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from weft.evaluate.inputs import Array, matched
from weft.evaluate.metric import Score

References = Sequence[str] | Sequence[Sequence[str]]


@dataclass(frozen=True)
class Bleu:
    """The corpus's BLEU-4 (Papineni et al. 2002) in 13a tokenisation, 0 to 100, under fixed settings.

    The geometric mean of the precisions of 1- to 4-grams, clipped and summed over the corpus, times the brevity penalty
    exp(1 - r / c) where the output (c tokens) is shorter than the references nearest in length (r).

    lowercase: whether case is dropped. smoothing: of a precision of 0, "exp" as sacreBLEU has it, or "none", where BLEU
    is 0 then. tokenised: whether texts may come as tokens; otherwise sacrebleu warns of them.
    """

    name: str
    lowercase: bool
    smoothing: str
    tokenised: bool

    def score(self, predicted: Sequence[str], gold: References) -> Score:
        """Of all texts together. ValueError for unequal counts, none, no reference, what is no text."""
        return _scored(self.name, self._metric(effective=False), predicted, gold)

    def by_places(self, predicted: Sequence[str], gold: References) -> Callable[[Array], float]:
        """BLEU of the texts at some places, for `Bootstrap.corpus`: n-grams are counted once, here, and then summed."""
        metric, compute = self._metric(effective=True), _sacrebleu().metrics.BLEU.compute_bleu
        texts = [metric.sentence_score(text, several) for text, several in _pairs(self.name, predicted, gold)]
        counts = np.array([[*text.counts, *text.totals, text.sys_len, text.ref_len] for text in texts])  # [N, 10]

        def of(places: Array) -> float:
            summed = [int(count) for count in counts[places].sum(0)]  # [places, 10] -> [10]
            return float(compute(summed[:4], summed[4:8], *summed[8:], smooth_method=self.smoothing).score)

        return of

    def _metric(self, *, effective: bool) -> Any:
        """effective: lower orders for short texts, which changes no counts; sacrebleu warns where a text has it not."""
        return _sacrebleu().metrics.BLEU(
            lowercase=self.lowercase,
            tokenize="13a",
            smooth_method=self.smoothing,
            force=self.tokenised,
            effective_order=effective,
        )


SACREBLEU = Bleu("BLEU", lowercase=False, smoothing="exp", tokenised=False)
TOKENISED = Bleu("tokenised BLEU", lowercase=True, smoothing="none", tokenised=True)


def bleu(predicted: Sequence[str], gold: References) -> Score:
    """sacreBLEU's default (Post 2018), of detokenised text: case matters, precisions of 0 are smoothed exponentially.

    The one to report and to compare.
    """
    return SACREBLEU.score(predicted, gold)


def tokenised_bleu(predicted: Sequence[str], gold: References) -> Score:
    """BLEU of lower-cased text, without smoothing. One definition, whatever tokens the texts come in: 13a cuts them
    once more. BLEU of other tokens is another number."""
    return TOKENISED.score(predicted, gold)


def chrf(predicted: Sequence[str], gold: References) -> Score:
    """chrF (Popović 2015): the corpus's F-score with β = 2 over characters' 1- to 6-grams without spaces; 0 to 100."""
    return _scored("chrF", _sacrebleu().metrics.CHRF(), predicted, gold)


def ter(predicted: Sequence[str], gold: References) -> Score:
    """Translation edit rate (Snover et al. 2006): insertions, deletions, substitutions and shifts of words for 100
    words of reference, with the closest reference; case does not matter. 0 is best, and it may exceed 100."""
    return _scored("TER", _sacrebleu().metrics.TER(), predicted, gold)


def _sacrebleu() -> ModuleType:
    try:
        import sacrebleu  # here: an extra
    except ImportError as error:
        raise ValueError(
            "BLEU, chrF and TER are computed by sacrebleu, which is not installed: pip install 'weft[translate]'"
        ) from error
    return sacrebleu


def _scored(name: str, metric: Any, predicted: Sequence[str], gold: References) -> Score:
    pairs = _pairs(name, predicted, gold)
    most = max(len(several) for _, several in pairs)
    streams = [[several[k] if k < len(several) else None for _, several in pairs] for k in range(most)]
    found = metric.corpus_score([text for text, _ in pairs], streams)
    return Score(float(found.score), str(metric.get_signature()), name)


def _pairs(name: str, predicted: Sequence[str], gold: References) -> list[tuple[str, list[str]]]:
    """Each text and its references."""
    matched(name, predicted, gold)
    pairs = [(text, [one] if isinstance(one, str) else list(one)) for text, one in zip(predicted, gold, strict=True)]
    for place, (text, several) in enumerate(pairs):
        if not all(isinstance(one, str) for one in (text, *several)):
            raise ValueError(f"{name} compares texts, and sample {place} is {text!r} against {several!r}: decode them")
        if not several:
            raise ValueError(f"{name}: sample {place} has no reference: give it one, or leave the sample out")
    return pairs
