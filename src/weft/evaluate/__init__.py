"""Numbers, each with its definition."""

from weft.evaluate.baselines import NGram, bits_per_byte, ngram_nats, xz_bits_per_byte
from weft.evaluate.constant import constant_nats
from weft.evaluate.counted import Bigram, Counted, counted_likelihood, probability
from weft.evaluate.intervals import Bootstrap, Comparison, Interval, Spread, holm, over_seeds
from weft.evaluate.metric import METRICS, Metric, Needs, Score, fitting, metric_for
from weft.evaluate.perplexity import LOSSY, Likelihood, check, count_words, counted_bytes, likelihood, no_bytes

__all__ = [
    "LOSSY",
    "METRICS",
    "Bigram",
    "Bootstrap",
    "Comparison",
    "Counted",
    "Interval",
    "Likelihood",
    "Metric",
    "NGram",
    "Needs",
    "Score",
    "Spread",
    "bits_per_byte",
    "check",
    "constant_nats",
    "count_words",
    "counted_bytes",
    "counted_likelihood",
    "fitting",
    "holm",
    "likelihood",
    "metric_for",
    "ngram_nats",
    "no_bytes",
    "over_seeds",
    "probability",
    "xz_bits_per_byte",
]
