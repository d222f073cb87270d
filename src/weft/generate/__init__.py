"""Generation: sampling and beam search from a cache, text as it comes."""

from weft.generate.beam import Beam, beam_search
from weft.generate.engine import Generated, Reason, Step, decode, generate
from weft.generate.sampling import GREEDY, Sampling, choose, row_generators, row_seeds
from weft.generate.streaming import TextStream

__all__ = [
    "GREEDY",
    "Beam",
    "Generated",
    "Reason",
    "Sampling",
    "Step",
    "TextStream",
    "beam_search",
    "choose",
    "decode",
    "generate",
    "row_generators",
    "row_seeds",
]
