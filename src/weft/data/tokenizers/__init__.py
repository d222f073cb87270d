"""Tokenizers behind one small interface (weft.batch.Tokenizer): text to ids and back, trained, saved, loaded.

Six kinds. Lossless, `decode(encode(text)) == text` for any text they take: "bpe" (byte-level), "unigram", "bytes" and
"characters". Lossy, and their `lossless` says so: "wordpiece" and "word". Text never becomes the end id of any of them,
not even text that spells it. Two more kinds are only read, both lossy: BPE as SentencePiece runs it, and as CLIP does.
"""

from collections.abc import Sequence

import numpy as np

from weft.batch import Tokenizer
from weft.data.tokenizers.bpe import BytePairs, WordBytePairs
from weft.data.tokenizers.byte import Bytes
from weft.data.tokenizers.character import Characters
from weft.data.tokenizers.folder import tokenizer_files
from weft.data.tokenizers.kinds import TOKENIZERS, TokenizerKind, load_tokenizer, train_tokenizer
from weft.data.tokenizers.library import END, LibraryTokenizer
from weft.data.tokenizers.sentence import SentencePairs
from weft.data.tokenizers.specials import Specials
from weft.data.tokenizers.table import FILE, MOST_IDS, PieceTable
from weft.data.tokenizers.template import Template
from weft.data.tokenizers.unigram import Unigrams
from weft.data.tokenizers.word import Words
from weft.data.tokenizers.wordpiece import WordPieces

__all__ = [
    "END",
    "FILE",
    "MOST_IDS",
    "TOKENIZERS",
    "BytePairs",
    "Bytes",
    "Characters",
    "LibraryTokenizer",
    "PieceTable",
    "SentencePairs",
    "Specials",
    "Template",
    "TokenizerKind",
    "Unigrams",
    "WordBytePairs",
    "WordPieces",
    "Words",
    "encode_many",
    "load_tokenizer",
    "tokenizer_files",
    "train_tokenizer",
]

for _kind in (BytePairs, WordPieces, Unigrams, Bytes, Characters, Words):
    TOKENIZERS.register(_kind.kind, _kind)


def encode_many(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text as int32 [length]; at once where the tokenizer can."""
    if isinstance(tokenizer, PieceTable):
        return tokenizer.encode_many(texts)
    return [np.asarray(tokenizer.encode(text), np.int32) for text in texts]
