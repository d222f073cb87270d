"""Tokenizers behind one small interface (weft.batch.Tokenizer): text to ids and back, trained, saved, loaded.

Six kinds. Lossless, `decode(encode(text)) == text` for any text they take: "bpe" (byte-level), "unigram", "bytes" and
"characters". Lossy, and their `lossless` says so: "wordpiece" and "word". Text never becomes the end id of any of them,
not even text that spells it. More kinds are only read, all lossy: BPE as SentencePiece, CLIP and GPT-1 run it, and the
two SentencePiece models of a translation.
"""

from collections.abc import Sequence

import numpy as np

from weft.batch import Tokenizer
from weft.data.tokenizers.bpe import BytePairs, WordBytePairs
from weft.data.tokenizers.byte import Bytes
from weft.data.tokenizers.character import Characters
from weft.data.tokenizers.folder import tokenizer_files
from weft.data.tokenizers.kinds import TOKENIZERS, TokenizerKind, load_tokenizer, named_tokenizer, train_tokenizer
from weft.data.tokenizers.library import END, LibraryTokenizer
from weft.data.tokenizers.offsets import Located, by_pieces
from weft.data.tokenizers.sentence import SentencePairs
from weft.data.tokenizers.specials import CONFIG, Specials
from weft.data.tokenizers.speech import Segment, Speech
from weft.data.tokenizers.table import FILE, MOST_IDS, PieceTable
from weft.data.tokenizers.template import Template
from weft.data.tokenizers.translation import Translation
from weft.data.tokenizers.unigram import Unigrams
from weft.data.tokenizers.word import Words
from weft.data.tokenizers.wordpairs import WordPairs
from weft.data.tokenizers.wordpiece import WordPieces

__all__ = [
    "CONFIG",
    "END",
    "FILE",
    "MOST_IDS",
    "TOKENIZERS",
    "BytePairs",
    "Bytes",
    "Characters",
    "LibraryTokenizer",
    "Located",
    "PieceTable",
    "Segment",
    "SentencePairs",
    "Specials",
    "Speech",
    "Template",
    "TokenizerKind",
    "Translation",
    "Unigrams",
    "WordBytePairs",
    "WordPairs",
    "WordPieces",
    "Words",
    "around",
    "as_prompt",
    "as_source",
    "encode_many",
    "load_tokenizer",
    "locate_many",
    "named_tokenizer",
    "target_side",
    "template_of",
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


def locate_many(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Located]:
    """The ids of each text, and which characters of it each id stands for. ValueError where nobody knows."""
    if isinstance(tokenizer, PieceTable):
        return tokenizer.locate_many(texts)
    if not tokenizer.lossless:
        raise ValueError(
            "this tokenizer does not say where its tokens stand in a text: use one of weft's, or a lossless"
        )
    found = encode_many(tokenizer, texts)
    return [
        Located(ids, by_pieces(text, tokenizer.pieces(ids.tolist()))) for text, ids in zip(texts, found, strict=True)
    ]


def around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that a stream of documents begins with, and those that follow each: what ends it, and what begins the
    next, which may be one id."""
    begin, end = tokenizer.begin, tokenizer.end
    return [begin], [end] if begin == end else [end, begin]


def as_source(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """What an encoder before a decoder reads of a text's ids: with what the tokenizer's template puts around them, else
    with an END after them."""
    template = template_of(tokenizer)
    return [*ids, tokenizer.end] if template is None else template.one(ids)[0]


def as_prompt(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """What a decoder goes on with: a text's ids with what the tokenizer's template puts before them, else with an END
    before them; where nothing stands there at all, what begins a document."""
    template = template_of(tokenizer)
    return ([tokenizer.end, *ids] if template is None else template.before(ids)) or [tokenizer.begin]


def target_side(tokenizer: Tokenizer) -> Tokenizer:
    """What makes ids of the texts that are translated into: the same, but for a tokenizer of two languages."""
    return tokenizer.target if isinstance(tokenizer, Translation) else tokenizer


def template_of(tokenizer: Tokenizer) -> Template | None:
    """What a tokenizer says of the ids around a text; None where it says nothing."""
    return tokenizer.template if isinstance(tokenizer, PieceTable) else None
