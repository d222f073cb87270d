"""The registry of tokenizers, and what is done by a kind's name: train, load."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from weft.batch import Tokenizer
from weft.data.tokenizers.library import kind_of
from weft.data.tokenizers.table import FILE, MOST_IDS
from weft.files import DamagedFile, read_json
from weft.registry import Registry


class TokenizerKind(Protocol):
    """What is registered in TOKENIZERS: how a kind of tokenizer is made."""

    def train(self, texts: Iterable[str], vocab: int) -> Tokenizer:
        """A tokenizer of `texts` with at most `vocab` ids; 0 where the kind itself knows how many."""
        ...

    def load(self, folder: Path) -> Tokenizer:
        """The tokenizer that was saved in `folder`; DamagedFile."""
        ...


TOKENIZERS: Registry[TokenizerKind] = Registry("tokenizer", "weft.tokenizers")


def train_tokenizer(kind: str, texts: Iterable[str], vocab: int = 0) -> Tokenizer:
    """A new tokenizer of a registered kind: "bpe", "wordpiece", "unigram", "bytes", "characters", "word".

    The same texts always give the same ids. `vocab` is the most ids it may have; bytes, characters and word also take
    0, as many as there are. ValueError for a vocabulary that cannot be, or texts with nothing in them.
    """
    if not 0 <= vocab <= MOST_IDS:
        raise ValueError(f"vocab={vocab}, but it must be between 0 and {MOST_IDS:,}")
    return TOKENIZERS.get(kind).train(texts, vocab)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer in `folder`'s tokenizer.json: weft's own, or one published in the tokenizers library's format
    (byte-level BPE, WordPiece, Unigram). DamagedFile where it is neither, or does what we cannot vouch for; UnknownName
    for a kind of weft's that is not registered."""
    path = Path(folder) / FILE
    data = read_json(path)
    if not isinstance(data, dict):
        raise DamagedFile(f"{path} holds a {type(data).__name__}, not a tokenizer")
    kind = str(data["weft"]) if "weft" in data else kind_of(path)
    return TOKENIZERS.get(kind).load(Path(folder))
