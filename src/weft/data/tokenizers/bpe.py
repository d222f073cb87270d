"""Byte-level BPE (Sennrich et al. 2016; on bytes: Radford et al. 2019)."""

import json
from collections.abc import Container, Iterable
from typing import Any, Self

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from weft.data.tokenizers.library import END, Form, LibraryTokenizer, steps
from weft.data.tokenizers.spelling import Spelt
from weft.data.tokenizers.table import utf8


class BytePairs(LibraryTokenizer):
    """Byte-level BPE, trained and run by the tokenizers library. Ours cuts text into words as GPT-2 does.

    Published ones may cut in other ways (Split, Digits, Punctuation before ByteLevel). They are lossless where they
    neither normalise text nor put a space before it. Refused: a vocabulary that lacks one of the 256 bytes, whose text
    would vanish, and tokens with a prefix or suffix of their own.
    """

    kind = "bpe"

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """At most `vocab` ids: the end, the 256 bytes, then merges of pairs seen at least twice.

        The most frequent pair is merged first; of equally frequent ones, the one whose parts have the smaller ids.
        """
        if vocab < 257:
            raise ValueError(f"vocab={vocab} is too small for bpe: 256 bytes and the end make 257")
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab,
            min_frequency=2,
            special_tokens=[END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str(pretty=True), END)

    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pairs that are merged, in the order in which they were learned."""
        return [(spell(left), spell(right)) for left, right in self._merges()]

    def steps(self, text: str, count: int) -> list[list[bytes]]:
        """The pieces of `text` after each of the first `count` merges, each applied wherever it can be.

        For people to look at: it takes time in proportion to `count` and the text. `encode` applies the merges in this
        order too, so that after the last one the pieces are its own.
        """
        cut = self._tokenizer.pre_tokenizer
        words = [list(word) for word, _ in cut.pre_tokenize_str(text)] if cut else []
        found = []
        for pair in self._merges()[:count]:
            words = [_merge(word, pair) for word in words]
            found.append([spell(part) for word in words for part in word])
        return found

    def _merges(self) -> list[tuple[str, str]]:
        pairs = (
            pair.split(" ") if isinstance(pair, str) else pair for pair in json.loads(self._text)["model"]["merges"]
        )
        return [(left, right) for left, right in pairs]

    def _check(self, data: dict[str, Any]) -> Form:
        cuts = data["pre_tokenizer"] or {}
        parts = cuts["pretokenizers"] if cuts.get("type") == "Sequence" else [cuts]
        model = data["model"]
        if not isinstance(model["vocab"], dict) or "merges" not in model or parts[-1].get("type") != "ByteLevel":
            raise ValueError("it is not a byte-level BPE (model BPE, pre_tokenizer ByteLevel, alone or last)")
        for part in parts[:-1]:
            if part["type"] not in ("Split", "Digits", "Punctuation") or part.get("behavior") == "Removed":
                raise ValueError(
                    f"it cuts text by {part['type']}, {part.get('behavior', '')}: not known to leave it whole"
                )
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or model.get("byte_fallback"):
            raise ValueError("its tokens have a prefix or suffix of their own, or byte_fallback: not a byte-level BPE")
        check_bytes(model["vocab"], data["decoder"])
        plain = len(parts) == 1 and parts[0].get("use_regex", True)
        spaced = any(part.get("add_prefix_space") for part in parts)
        whole = data["normalizer"] is None and not spaced
        return Form(lossless=whole, cuttable=plain and whole, spell=_spelt, words=lambda word: Spelt(utf8(word)))


class WordBytePairs(LibraryTokenizer):
    """CLIP's BPE (Radford et al. 2021): byte-level, of words, whose last piece ends with "</w>". Only read.

    Lossy: text is normalised (lower case, one space between words), and every word is decoded with a space after it,
    except at the end, as the reference does.
    """

    kind = "word-bpe"

    def _check(self, data: dict[str, Any]) -> Form:
        model, cuts = data["model"], steps(data["pre_tokenizer"], "pretokenizers")
        end = model.get("end_of_word_suffix")
        if not end or model.get("continuing_subword_prefix") or model.get("byte_fallback"):
            raise ValueError("its tokens have a prefix of their own, or byte_fallback: not a byte-level BPE of words")
        if [cut["type"] for cut in cuts] != ["Split", "ByteLevel"] or cuts[1]["add_prefix_space"]:
            raise ValueError(f"it cuts text by {cuts}: of BPE with {end} those with Split and ByteLevel are known")
        check_bytes(model["vocab"], data["decoder"])
        check_bytes(
            dict.fromkeys(token.removesuffix(end) for token in model["vocab"] if token.endswith(end)), data["decoder"]
        )

        def spelt(token: str) -> Spelt | None:
            found = _spelt(token.removesuffix(end))
            last = token.endswith(end) and found
            return Spelt(found.piece + b" ", last=found.piece) if last and found else found

        return Form(lossless=False, cuttable=False, spell=spelt, words=lambda word: Spelt(utf8(word)))


def spell(token: str) -> bytes:
    """The bytes of a token of a byte-level BPE."""
    return bytes(_BYTES[character] for character in token)


def check_bytes(vocabulary: Container[str], decoder: Any) -> None:
    """ValueError where one of the 256 bytes is lacking, whose text would vanish, or decoding is another."""
    lacking = sorted(number for character, number in _BYTES.items() if character not in vocabulary)
    if lacking:
        raise ValueError(f"its vocabulary lacks {len(lacking)} of the 256 bytes, {lacking[0]:#04x} first")
    if (decoder or {}).get("type") != "ByteLevel":
        raise ValueError(f"its decoder is {decoder}: that of a byte-level BPE is ByteLevel")


def _spelt(token: str) -> Spelt | None:
    return Spelt(spell(token)) if _BYTES.keys() >= set(token) else None


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """`word` with each occurrence of the pair joined, from left to right."""
    found: list[str] = []
    place = 0
    while place < len(word):
        joined = tuple(word[place : place + 2]) == pair
        found.append("".join(pair) if joined else word[place])
        place += 2 if joined else 1
    return found


def _byte_characters() -> dict[str, int]:
    """GPT-2's printable character for each of the 256 bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return {chr(number if number in printable else next(others)): number for number in range(256)}


_BYTES = _byte_characters()
