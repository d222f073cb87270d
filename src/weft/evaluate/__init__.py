"""Numbers, each with its definition."""

from weft.evaluate.baselines import bits_per_byte, ngram_nats, xz_bits_per_byte
from weft.evaluate.constant import constant_nats
from weft.evaluate.intervals import Bootstrap, Comparison, Interval, Spread, holm, over_seeds
from weft.evaluate.metric import METRICS, Metric, Needs, Score, fitting, metric_for
from weft.evaluate.perplexity import LOSSY, Likelihood, check, count_words, counted_bytes, likelihood, no_bytes

__all__ = [
    "LOSSY",
    "METRICS",
    "Bootstrap",
    "Comparison",
    "Interval",
    "Likelihood",
    "Metric",
    "Needs",
    "Score",
    "Spread",
    "bits_per_byte",
    "check",
    "constant_nats",
    "count_words",
    "counted_bytes",
    "fitting",
    "holm",
    "likelihood",
    "metric_for",
    "ngram_nats",
    "no_bytes",
    "over_seeds",
    "xz_bits_per_byte",
]
