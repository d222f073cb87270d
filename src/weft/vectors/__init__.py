"""Word vectors as they were before attention: CBOW and skip-gram with negative sampling."""

from weft.vectors.corpus import Corpus, read
from weft.vectors.learning import Learned, VectorSettings, learn
from weft.vectors.space import Near, Vectors

__all__ = ["Corpus", "Learned", "Near", "VectorSettings", "Vectors", "learn", "read"]
