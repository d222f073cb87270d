"""Numbers, each with its definition."""

from weft.evaluate.baselines import bits_per_byte, ngram_nats, xz_bits_per_byte
from weft.evaluate.perplexity import Likelihood, check, likelihood

__all__ = ["Likelihood", "bits_per_byte", "check", "likelihood", "ngram_nats", "xz_bits_per_byte"]
