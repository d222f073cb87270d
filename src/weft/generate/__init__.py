"""Generation: sampling and beam search from a cache, text as it comes."""

from weft.generate.beam import Beam, Beams, EarlyStopping, beam_search
from weft.generate.ctc import collapse, say
from weft.generate.denoise import Denoising, ddim, denoise
from weft.generate.engine import Generated, Reason, Step, decode, generate
from weft.generate.sampling import GREEDY, Sampling, choose, distribution, row_generators, row_seeds
from weft.generate.streaming import TextStream

__all__ = [
    "GREEDY",
    "Beam",
    "Beams",
    "Denoising",
    "EarlyStopping",
    "Generated",
    "Reason",
    "Sampling",
    "Step",
    "TextStream",
    "beam_search",
    "choose",
    "collapse",
    "ddim",
    "decode",
    "denoise",
    "distribution",
    "generate",
    "row_generators",
    "row_seeds",
    "say",
]
