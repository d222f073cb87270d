"""What a finished run writes of the held-out sources, translations or answers, scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from weft.data import Pairs, by_prefix
from weft.data.progress import counted
from weft.evaluate import METRICS, Score, metric_for
from weft.hub import Model
from weft.hub.translation import BEAMS, translate


def check_metrics(metrics: Sequence[str]) -> None:
    """ValueError, before a run, for a metric that there is not, is not of texts, or cannot be computed here."""
    for name in metrics:
        metric = METRICS.get(name)
        if metric.needs != "classes":  # equal or not can be said of texts too
            metric = metric_for(name, "texts", "translation")
        metric.score(["a text of five words"], ["a text of five words"])


def scored(
    model: Model,
    held_out: Pairs,
    metrics: Sequence[str],
    asked: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, Score]:
    """Scores of the translations of all held-out sources, found by a beam of 5; where sources begin with what they
    ask for (`asked_by`), also of those that ask for the same, under "metric, what"."""
    sources, gold = [source for source, _ in held_out.pairs], [target for _, target in held_out.pairs]
    say(f"translating the {len(sources):,} held-out sources, by a beam of {BEAMS.width} …")
    found = translate(model, sources, beams=BEAMS, advance=counted(say, "translated", len(sources)))
    parts = {"": list(range(len(sources)))}
    parts |= {f", {what}": places for what, places in by_prefix(sources, asked).items()}
    return {
        f"{name}{part}": METRICS.get(name).score([found[place] for place in places], [gold[place] for place in places])
        for part, places in parts.items()
        for name in metrics
    }
