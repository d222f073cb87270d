"""Numbers, each with its definition."""

from weft.evaluate.baselines import bits_per_byte, ngram_nats, xz_bits_per_byte
from weft.evaluate.perplexity import LOSSY, Likelihood, check, counted_bytes, likelihood, no_bytes

__all__ = [
    "LOSSY",
    "Likelihood",
    "bits_per_byte",
    "check",
    "counted_bytes",
    "likelihood",
    "ngram_nats",
    "no_bytes",
    "xz_bits_per_byte",
]
