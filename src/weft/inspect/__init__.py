"""Looking into models: what one is made of."""

from weft.inspect.description import CacheBytes, Description, FieldFacts, Part, StackFacts
from weft.inspect.model import Held, describe

__all__ = ["CacheBytes", "Description", "FieldFacts", "Held", "Part", "StackFacts", "describe"]
