"""What a user holds: a model with its tokenizer, loaded strictly, saved whole."""

from weft.hub.folder import WEIGHTS, LoadError, read_blueprint, read_module, read_tokenizer, write_config, write_model
from weft.hub.model import USUAL, Model, Written, load, save

__all__ = [
    "USUAL",
    "WEIGHTS",
    "LoadError",
    "Model",
    "Written",
    "load",
    "read_blueprint",
    "read_module",
    "read_tokenizer",
    "save",
    "write_config",
    "write_model",
]
