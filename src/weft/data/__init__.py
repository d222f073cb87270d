"""Text in: where it comes from, how it becomes ids, what is held out, and in which order it is read."""

from weft.data.blocks import Blocks, Pairs, stream
from weft.data.chat import ChatTemplate, Message, chat_files, read_chat
from weft.data.columns import by_prefix, read_pair_tables
from weft.data.directions import asked_languages, asking, read_directions
from weft.data.further import trained_before
from weft.data.mixture import Mixture
from weft.data.order import Shuffled, place, places
from weft.data.pack import Packed
from weft.data.pairs import PAIR_SOURCES, Pair, read_pairs
from weft.data.prepare import prepare, rows
from weft.data.prepare_pairs import asked_by, open_pairs
from weft.data.prepared import DataSettings, Prepared, RowKind
from weft.data.reading import read_text
from weft.data.records import Record, read_records
from weft.data.sources import COLUMN, SOURCES, Document, PythonLibrary, Source, TextFiles, open_source
from weft.data.split import split, split_pairs
from weft.data.store import MadeOf, Store, is_store, open_store, remove_store
from weft.data.texts import Texts, store_texts, stored_texts
from weft.data.tokenizers import (
    TOKENIZERS,
    BytePairs,
    Bytes,
    Characters,
    LibraryTokenizer,
    PieceTable,
    SentencePairs,
    Specials,
    Template,
    Translation,
    Unigrams,
    WordBytePairs,
    WordPairs,
    WordPieces,
    Words,
    as_prompt,
    as_source,
    encode_many,
    load_tokenizer,
    named_tokenizer,
    template_of,
    tokenizer_files,
    train_tokenizer,
)

__all__ = [
    "COLUMN",
    "PAIR_SOURCES",
    "SOURCES",
    "TOKENIZERS",
    "Blocks",
    "BytePairs",
    "Bytes",
    "Characters",
    "ChatTemplate",
    "DataSettings",
    "Document",
    "LibraryTokenizer",
    "MadeOf",
    "Message",
    "Mixture",
    "Packed",
    "Pair",
    "Pairs",
    "PieceTable",
    "Prepared",
    "PythonLibrary",
    "Record",
    "RowKind",
    "SentencePairs",
    "Shuffled",
    "Source",
    "Specials",
    "Store",
    "Template",
    "TextFiles",
    "Texts",
    "Translation",
    "Unigrams",
    "WordBytePairs",
    "WordPairs",
    "WordPieces",
    "Words",
    "as_prompt",
    "as_source",
    "asked_by",
    "asked_languages",
    "asking",
    "by_prefix",
    "chat_files",
    "encode_many",
    "is_store",
    "load_tokenizer",
    "named_tokenizer",
    "open_pairs",
    "open_source",
    "open_store",
    "place",
    "places",
    "prepare",
    "read_chat",
    "read_directions",
    "read_pair_tables",
    "read_pairs",
    "read_records",
    "read_text",
    "remove_store",
    "rows",
    "split",
    "split_pairs",
    "store_texts",
    "stored_texts",
    "stream",
    "template_of",
    "tokenizer_files",
    "train_tokenizer",
    "trained_before",
]
