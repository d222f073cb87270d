"""What a user holds: a model with its tokenizer, loaded strictly, saved whole."""

from weft.hub.error import LoadError
from weft.hub.folder import read_blueprint, read_tokenizer, write_config, write_model
from weft.hub.model import USUAL, Model, Written
from weft.hub.sentences import Pooling
from weft.hub.source import find, hosted
from weft.hub.transfer import load, read_weights, save

__all__ = [
    "USUAL",
    "LoadError",
    "Model",
    "Pooling",
    "Written",
    "find",
    "hosted",
    "load",
    "read_blueprint",
    "read_tokenizer",
    "read_weights",
    "save",
    "write_config",
    "write_model",
]
