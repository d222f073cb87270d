"""WordPiece (Schuster and Nakajima 2012; as BERT runs it: Devlin et al. 2019)."""

from collections.abc import Iterable
from typing import Any, Self

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from weft.data.tokenizers.library import Form, LibraryTokenizer
from weft.data.tokenizers.spelling import read_words
from weft.data.tokenizers.table import UNKNOWN, repeatable, utf8

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PREFIX = "##"


class WordPieces(LibraryTokenizer):
    """Words cut at whitespace and punctuation, each into the longest pieces of the vocabulary, left to right.

    A piece inside a word has the prefix "##". The end is [SEP].

    Lossy: text is normalised (lower case without accents, unless told otherwise), whitespace is not kept, and a word
    that the pieces do not make up becomes [UNK]. Decoding puts a space before each piece that begins a word, except at
    the beginning ("a , b"; the reference's decoder may take some of these spaces away again), and U+FFFD for [UNK].

    Learned as the tokenizers library learns it: by joining the most frequent pair, as in BPE, and not the pair that
    raises the likelihood most, as in the first paper.
    """

    kind = "wordpiece"

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int, *, lowercase: bool = True) -> Self:
        """At most `vocab` ids: five specials, the characters that begin a word and those inside one, then joined pairs
        that were seen at least twice. ValueError where `vocab` has no room for the characters, or there is no text."""
        tokenizer = tokenizers.Tokenizer(models.WordPiece({}, unk_token="[UNK]", max_input_chars_per_word=100))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        texts = repeatable(texts)
        letters = _letters(texts, tokenizer.normalizer, tokenizer.pre_tokenizer)
        if not letters:
            raise ValueError("there is no text to take words from")
        base = [*_SPECIALS, *letters]
        if vocab < len(base):
            raise ValueError(
                f"the text's characters and the {len(_SPECIALS)} specials need {len(base)} ids, vocab={vocab} allows "
                "fewer: raise it, or use bpe"
            )
        # The library numbers pieces inside words in an order that changes from run to run, unless they are given.
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab,
            min_frequency=2,
            special_tokens=base,
            show_progress=False,
            continuing_subword_prefix=_PREFIX,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(_finished(tokenizer), "[SEP]")

    def _check(self, data: dict[str, Any]) -> Form:
        model = data["model"]
        if not isinstance(model["vocab"], dict) or "max_input_chars_per_word" not in model:
            raise ValueError("it is not a WordPiece model")
        found = (data["pre_tokenizer"] or {}).get("type")
        if found != "BertPreTokenizer":
            raise ValueError(
                f"it cuts text by {found}: of WordPiece tokenizers only those with BertPreTokenizer are known"
            )
        if model["unk_token"] not in model["vocab"]:
            raise ValueError(f"its vocabulary lacks {model['unk_token']!r}, its unk_token")
        unknown = (model["vocab"][model["unk_token"]], f" {UNKNOWN}".encode())
        cuttable = (data["normalizer"] or {}).get("type") == "BertNormalizer"
        spell = read_words(data["decoder"], model["continuing_subword_prefix"])
        return Form(lossless=False, cuttable=cuttable, spell=spell, unknown=unknown)


def _letters(texts: Iterable[str], normalizer: Any, cut: Any) -> list[str]:
    """Every character that begins a word, then every one inside words with its prefix, sorted."""
    words: set[str] = set()
    for text in texts:
        utf8(text)
        words.update(word for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(text)))
    return [
        *sorted({word[0] for word in words}),
        *sorted({f"{_PREFIX}{letter}" for word in words for letter in word[1:]}),
    ]


def _finished(trained: tokenizers.Tokenizer) -> str:
    """The tokenizer.json of what was learned: only the five specials are special."""
    vocabulary = trained.get_vocab(with_added_tokens=False)
    model = models.WordPiece(
        vocabulary, unk_token="[UNK]", max_input_chars_per_word=100, continuing_subword_prefix=_PREFIX
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = trained.normalizer
    tokenizer.pre_tokenizer = trained.pre_tokenizer
    tokenizer.decoder = decoders.WordPiece(prefix=_PREFIX, cleanup=False)
    tokenizer.add_special_tokens(list(_SPECIALS))
    return tokenizer.to_str(pretty=True)
