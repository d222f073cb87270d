"""Text in: where it comes from, how it becomes ids, what is held out, and in which order it is read."""

from weft.data.blocks import Blocks, Pairs, stream
from weft.data.order import Shuffled, place, places
from weft.data.pairs import Pair, read_pairs
from weft.data.prepare import DataSettings, Prepared, prepare, rows
from weft.data.sources import SOURCES, Document, PythonLibrary, Source, TextFiles, open_source, read_text
from weft.data.split import split, split_pairs
from weft.data.tokenizers import (
    TOKENIZERS,
    BytePairs,
    Bytes,
    Characters,
    encode_many,
    load_tokenizer,
    train_tokenizer,
)

__all__ = [
    "SOURCES",
    "TOKENIZERS",
    "Blocks",
    "BytePairs",
    "Bytes",
    "Characters",
    "DataSettings",
    "Document",
    "Pair",
    "Pairs",
    "Prepared",
    "PythonLibrary",
    "Shuffled",
    "Source",
    "TextFiles",
    "encode_many",
    "load_tokenizer",
    "open_source",
    "place",
    "places",
    "prepare",
    "read_pairs",
    "read_text",
    "rows",
    "split",
    "split_pairs",
    "stream",
    "train_tokenizer",
]
