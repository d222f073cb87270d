"""The registry of tokenizers, and what is done by a kind's name: train, load."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenizers import models

from weft.batch import Tokenizer
from weft.data.tokenizers.bpe import BytePairs, WordBytePairs
from weft.data.tokenizers.folder import Published, is_translation, read_published, tokenizer_files
from weft.data.tokenizers.library import LibraryTokenizer, steps
from weft.data.tokenizers.sentence import SentencePairs
from weft.data.tokenizers.specials import CONFIG
from weft.data.tokenizers.table import FILE, MOST_IDS
from weft.data.tokenizers.translation import Translation
from weft.data.tokenizers.unigram import Unigrams
from weft.data.tokenizers.wordpairs import WordPairs
from weft.data.tokenizers.wordpiece import WordPieces
from weft.files import DamagedFile, read_json
from weft.registry import Registry, suggest


class TokenizerKind(Protocol):
    """What is registered in TOKENIZERS: how a kind of tokenizer is made."""

    def train(self, texts: Iterable[str], vocab: int) -> Tokenizer:
        """A tokenizer of `texts` with at most `vocab` ids; 0 where the kind itself knows how many."""
        ...

    def load(self, folder: Path) -> Tokenizer:
        """The tokenizer that was saved in `folder`; DamagedFile."""
        ...


TOKENIZERS: Registry[TokenizerKind] = Registry("tokenizer", "weft.tokenizers")


def train_tokenizer(kind: str, texts: Iterable[str], vocab: int = 0, *, words: Sequence[str] = ()) -> Tokenizer:
    """A new tokenizer of a registered kind: "bpe", "wordpiece", "unigram", "bytes", "characters", "word".

    The same texts always give the same ids. `vocab` is the most ids it may have; bytes, characters and word also take
    0, as many as there are. words: each is an id of its own, wherever it stands in a text, in kinds that learn what
    their ids are; others spell them. ValueError for a vocabulary that cannot be, or texts with nothing in them.
    """
    if not 0 <= vocab <= MOST_IDS:
        raise ValueError(f"vocab={vocab}, but it must be between 0 and {MOST_IDS:,}")
    found = TOKENIZERS.get(kind).train(texts, max(0, vocab - len(words)))
    return found.with_words(words) if words and isinstance(found, LibraryTokenizer) else found


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer in `folder`: weft's own, or a published one.

    Read are, in this order: tokenizer.json, weft's or in the tokenizers library's format (byte-level BPE, BPE as
    SentencePiece, CLIP or GPT-1 run it, WordPiece, Unigram); source.spm and target.spm with vocab.json; vocab.json with
    merges.txt; vocab.txt; spiece.model, *.spm, tokenizer.model, spm.model or sentencepiece.bpe.model; with what
    tokenizer_config.json, special_tokens_map.json and added_tokens.json say of them; and ByT5's bytes, of which the
    first of these alone says that they are.

    DamagedFile where it is none of these, or does what we cannot vouch for; UnknownName for a kind of weft's that is
    not registered; FileNotFoundError where there is no file at all.
    """
    folder = Path(folder)
    path = folder / FILE
    if path.is_file():
        data = read_json(path)
        if not isinstance(data, dict):
            raise DamagedFile(f"{path} holds a {type(data).__name__}, not a tokenizer")
        if "weft" in data:
            return TOKENIZERS.get(str(data["weft"])).load(folder)
    elif is_translation(folder):
        return Translation.load(folder)
    elif [file.name for file in tokenizer_files(folder)[:1]] == [CONFIG]:
        return TOKENIZERS.get("bytes").train((), 0)
    published = read_published(folder)
    return _kind_of(published).read(published)


def named_tokenizer(name: str, asked: str = "") -> Tokenizer | None:
    """The tokenizer that a person names by its folder, or by the tokenizer.json in it; None for the name of a kind, one
    of which is to be trained. asked: what it was named for ("--tokenizer "), for errors. ValueError where it is
    neither, and DamagedFile as `load_tokenizer` has it."""
    if name in TOKENIZERS.names():
        return None
    folder = Path(name).parent if Path(name).name == FILE else Path(name)
    if not tokenizer_files(folder):
        raise ValueError(
            f"{asked}{name} is no folder with a {FILE}, as `weft tokenizer train --out` writes, or with the files of a "
            f"published tokenizer, and no kind of tokenizer; {suggest(name, TOKENIZERS.names())}"
        )
    return load_tokenizer(folder)


def _kind_of(published: Published) -> type[LibraryTokenizer]:
    """The class that runs a tokenizer.json; DamagedFile where there is none."""
    if published.model is models.BPE:
        data: dict[str, Any] = json.loads(published.text)
        cuts = [cut["type"] for cut in steps(data["pre_tokenizer"], "pretokenizers")]
        if data["model"].get("end_of_word_suffix"):
            return WordPairs if cuts == ["BertPreTokenizer"] else WordBytePairs
        # what neither spells bytes nor writes spaces is refused by the first, which says why
        sentences = not cuts or cuts[-1] == "Metaspace" or data["model"].get("byte_fallback")
        return SentencePairs if sentences and "ByteLevel" not in cuts else BytePairs
    if published.model not in (models.WordPiece, models.Unigram):
        known = ", ".join(kind.__name__ for kind in (models.BPE, models.WordPiece, models.Unigram))
        raise DamagedFile(
            f"{published.path}: its model is a {published.model.__name__}; those that can be read are {known}"
        )
    return WordPieces if published.model is models.WordPiece else Unigrams
