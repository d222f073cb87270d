"""How sure a score is: bootstrap intervals, paired comparison of two systems, spread over seeds.

The bootstrap draws as many samples as there are, with replacement, `resamples` times (Efron 1979); an interval is that
of percentiles. It says what another test set of the same kind could give, not what another training run would: that is
`over_seeds`. The draws depend on (count, resamples, seed) alone, so that the same call gives the same numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from weft.evaluate.inputs import Array, finite, matched

Corpus = Callable[[Array], float]  # places of samples int64 [N] -> the metric of those samples together
_DRAWN = 1 << 22  # places drawn at once: 32 MB


@dataclass(frozen=True)
class Interval:
    """value: of all samples as they are. low, high: between them lie `level` of the resamples' values."""

    value: float
    low: float
    high: float
    level: float
    resamples: int


@dataclass(frozen=True)
class Comparison:
    """difference: first - second, with its interval. p: two-sided, of the hypothesis that they are equally good."""

    difference: Interval
    p: float


@dataclass(frozen=True)
class Spread:
    """mean and sample standard deviation (divided by count - 1) over `count` seeds."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: `level` of the resamples' values lie in them. ValueError for a level outside (0, 1)."""

    level: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or self.resamples < 1:
            raise ValueError(
                "a bootstrap interval holds a share of the resamples between 0 and 1, and has 1 resample or more; got "
                f"level={self.level} and resamples={self.resamples}: 0.95 of 1000 is usual"
            )

    def mean(self, values: Sequence[float] | Array) -> Interval:
        """Of a metric that is the mean of a value a sample: accuracy, exact match, F1 of answers."""
        found = finite("a bootstrap interval", "values", values)
        return self._interval(found.mean, self._means(found))

    def corpus(self, metric: Corpus, count: int) -> Interval:
        """Of a metric of `count` samples together, computed anew for each resample: BLEU, F1, a correlation.

        metric: is given the places [count] of the samples of which it is to give the score, some of them repeatedly.
        """
        values = np.array([float(metric(places)) for places in self._each(count)])
        return self._interval(lambda: metric(np.arange(count)), values)

    def paired(self, first: Corpus, second: Corpus, count: int) -> Comparison:
        """Of two systems on the same samples, each with a metric of them together: both are given the same places.

        p = (1 + the number of resamples with |d - mean of d| ≥ |difference|) / (1 + resamples), d being a resample's
        difference: those are centred, so that they stand for two systems that are equally good (Riezler & Maxwell
        2005). Others count otherwise: Koehn (2004) the resamples in which the worse system wins, sacrebleu those with
        |d| - mean of |d| > |difference|, both one-sided, so that their p is about half of this one.
        """

        def difference(places: Array) -> float:
            return float(first(places)) - float(second(places))

        values = np.array([difference(places) for places in self._each(count)])
        return self._comparison(lambda: difference(np.arange(count)), values)

    def runs(self, metrics: Sequence[Corpus], count: int) -> Interval:
        """Of the mean over n runs that differ in their seed, each with a metric of the same `count` samples: what other
        samples and other runs could give. A resample draws samples, for all runs alike, and adds what n runs leave
        unknown of their mean: its standard error times a draw of Student's t with n - 1 degrees of freedom (as in the
        fiducial answer to Behrens's and Fisher's problem). Drawing from so few runs again would say too little. Of one
        run, nothing is known of others, and nothing is added.
        """
        return self._interval(lambda: _means(metrics, np.arange(count)).mean(), self._over_runs(metrics, count))

    def paired_runs(self, first: Sequence[Corpus], second: Sequence[Corpus], count: int) -> Comparison:
        """Of two systems that were trained with the same seeds, in the same order, on the same samples: the mean of
        each seed's difference, as in `runs`; p as in `paired`. ValueError where they have not as many runs."""
        matched("a comparison over runs (first as predicted, second as gold)", first, second)
        pairs = [_difference(*pair) for pair in zip(first, second, strict=True)]
        return self._comparison(lambda: _means(pairs, np.arange(count)).mean(), self._over_runs(pairs, count))

    def _over_runs(self, metrics: Sequence[Corpus], count: int) -> Array:
        """What each resample gives, [resamples]."""
        number, whole = len(metrics), _means(metrics, np.arange(count))
        values = np.array([_means(metrics, places).mean() for places in self._each(count)])
        if number == 1:
            return values
        draws = np.random.default_rng((self.seed, number)).standard_t(number - 1, size=self.resamples)
        return values + whole.std(ddof=1) / np.sqrt(number) * draws

    def _draws(self, count: int) -> Iterator[Array]:
        """Places [rows, count], `resamples` rows in all, some at a time."""
        if count < 2:
            raise ValueError(f"a bootstrap needs 2 samples or more, got {count}: one says nothing of how others vary")
        generator, rows = np.random.default_rng(self.seed), max(1, _DRAWN // count)
        for start in range(0, self.resamples, rows):
            yield generator.integers(count, size=(min(rows, self.resamples - start), count))

    def _each(self, count: int) -> Iterator[Array]:
        return (places for block in self._draws(count) for places in block)

    def _means(self, values: Array) -> Array:
        return np.concatenate([values[places].mean(1) for places in self._draws(len(values))])  # -> [resamples]

    def _interval(self, whole: Callable[[], float], values: Array) -> Interval:
        low, high = np.quantile(values, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Interval(float(whole()), float(low), float(high), self.level, self.resamples)

    def _comparison(self, whole: Callable[[], float], values: Array) -> Comparison:
        found = self._interval(whole, values)
        beyond = int((np.abs(values - values.mean()) >= abs(found.value)).sum())
        return Comparison(found, (1 + beyond) / (1 + self.resamples))


def _means(metrics: Sequence[Corpus], places: Array) -> Array:
    """Each run's metric of some samples, [n]. ValueError for no run."""
    if not metrics:
        raise ValueError("an interval over runs needs 1 run or more, got none")
    return np.array([float(metric(places)) for metric in metrics])


def _difference(first: Corpus, second: Corpus) -> Corpus:
    return lambda places: float(first(places)) - float(second(places))


def holm(p: Sequence[float]) -> list[float]:
    """p of several hypotheses, each raised so that the chance to reject any that is true stays below the level they are
    compared with (Holm 1979): the least by their number, the next by one less, none below one before it."""
    found, most = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        most = max(most, min(1.0, p[place] * (len(p) - rank)))
        found[place] = most
    return found


def over_seeds(scores: Sequence[float] | Array) -> Spread:
    """Mean and standard deviation of scores of runs that differ in their seed alone. ValueError for fewer than two."""
    found = finite("the spread over seeds", "scores", scores)
    if len(found) < 2:
        raise ValueError(f"the spread over seeds needs 2 runs or more, got {len(found)}: train with further seeds")
    return Spread(float(found.mean()), float(found.std(ddof=1)), len(found))
