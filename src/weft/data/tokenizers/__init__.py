"""Tokenizers behind one small interface (weft.batch.Tokenizer): text to ids and back, trained, saved, loaded.

Six kinds. Lossless, `decode(encode(text)) == text` for any text they take: "bpe" (byte-level), "unigram", "bytes" and
"characters". Lossy, and their `lossless` says so: "wordpiece" and "word". Text never becomes the end id of any of them,
not even text that spells it.
"""

from collections.abc import Sequence

import numpy as np

from weft.batch import Tokenizer
from weft.data.tokenizers.bpe import BytePairs
from weft.data.tokenizers.byte import Bytes
from weft.data.tokenizers.character import Characters
from weft.data.tokenizers.kinds import TOKENIZERS, TokenizerKind, load_tokenizer, train_tokenizer
from weft.data.tokenizers.library import END
from weft.data.tokenizers.table import FILE, MOST_IDS, PieceTable
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
    "PieceTable",
    "TokenizerKind",
    "Unigrams",
    "WordPieces",
    "Words",
    "encode_many",
    "load_tokenizer",
    "train_tokenizer",
]

for _kind in (BytePairs, WordPieces, Unigrams, Bytes, Characters, Words):
    TOKENIZERS.register(_kind.kind, _kind)


def encode_many(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text as int32 [length]; at once where the tokenizer can."""
    if isinstance(tokenizer, PieceTable):
        return tokenizer.encode_many(texts)
    return [np.asarray(tokenizer.encode(text), np.int32) for text in texts]
