"""What a user holds: a model with its tokenizer, loaded strictly, saved whole."""

from weft.hub.error import LoadError
from weft.hub.folder import read_blueprint, read_tokenizer, write_config, write_model
from weft.hub.frames import as_ours
from weft.hub.matching import scores
from weft.hub.model import Model
from weft.hub.prompting import prompt
from weft.hub.sentences import Pooling
from weft.hub.source import find, hosted
from weft.hub.stops import Stops
from weft.hub.transfer import Language, load, read_language, read_weights, save
from weft.hub.writing import USUAL, Written

__all__ = [
    "USUAL",
    "Language",
    "LoadError",
    "Model",
    "Pooling",
    "Stops",
    "Written",
    "as_ours",
    "find",
    "hosted",
    "load",
    "prompt",
    "read_blueprint",
    "read_language",
    "read_tokenizer",
    "read_weights",
    "save",
    "write_config",
    "write_model",
]
