"""A finished run's translations of the held-out sources, scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weft.data import Pairs, by_language
from weft.evaluate import METRICS, Score, metric_for
from weft.hub import Model
from weft.hub.translation import BEAMS, translate


def check_metrics(metrics: Sequence[str]) -> None:
    """ValueError, before a run, for a metric that there is not, is not of texts, or cannot be computed here."""
    for name in metrics:
        metric_for(name, "texts", "translation").score(["a text of five words"], ["a text of five words"])


def scored(
    model: Model,
    held_out: Pairs,
    metrics: Sequence[str],
    directions: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Score]:
    """Scores of the translations of all held-out sources, found by a beam of 5; where there are several directions,
    also of those into each language, under "metric, language"."""
    sources, gold = [source for source, _ in held_out.pairs], [target for _, target in held_out.pairs]
    say(f"translating the {len(sources):,} held-out sources, by a beam of {BEAMS.width} …")
    found = translate(model, sources, beams=BEAMS)
    parts = {"": list(range(len(sources)))}
    parts |= {f", into {language}": places for language, places in by_language(sources, directions).items()}
    return {
        f"{name}{part}": METRICS.get(name).score([found[place] for place in places], [gold[place] for place in places])
        for part, places in parts.items()
        for name in metrics
    }
