"""Unigram (Kudo 2018), as SentencePiece runs it (Kudo and Richardson 2018)."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from weft.data.tokenizers.library import Form, LibraryTokenizer
from weft.data.tokenizers.sentence import check_spaces
from weft.data.tokenizers.spelling import BYTES, read_sentences
from weft.data.tokenizers.table import UNKNOWN, repeatable, utf8

_SPECIALS = ("<pad>", "</s>", "<unk>")
_RESERVED = {*_SPECIALS, *BYTES}
_SPELLING = "".join(sorted(set("".join(_RESERVED))))  # the characters that those names are written in
_LEAST = len(_RESERVED) + len(_SPELLING)
# A word with the space before it, or whitespace that no word takes.
_WORDS = {
    "type": "Split",
    "pattern": {"Regex": r" ?\S+|\s+(?!\S)|\s+"},
    "behavior": "Isolated",
    "invert": False,
}
_COVERAGE = 0.9995  # of the characters that occur; rarer ones are left to the bytes, as in SentencePiece
# No text takes a special or a byte by spelling its name, "<0x41>": that costs 1000 nats, and the six characters, which
# are all in the vocabulary, some 20 each. (SentencePiece keeps such pieces apart, the library finds them in text.)
_NEVER = -1000.0


class Unigrams(LibraryTokenizer):
    """The likeliest pieces of each word, under one probability per piece. The end is </s>.

    Ours is lossless: text is not normalised, a word keeps the space before it as a space (SentencePiece writes "▁", and
    also puts one before the first word), and a character that is not in the vocabulary is spelt in bytes.

    Published ones (Metaspace) are lossy: text is normalised, "▁" and the space are one, and the first word gets a
    space, which decoding takes away again. An unknown character is decoded as U+FFFD where no bytes spell it.
    """

    kind = "unigram"

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """At most `vocab` ids: <pad>, </s>, <unk>, 256 bytes, then pieces, the likeliest first.

        ValueError where `vocab` has no room, or there is no text.
        """
        if vocab < _LEAST:
            raise ValueError(
                f"vocab={vocab} is too small for unigram: {len(_SPECIALS)} specials, 256 bytes and the "
                f"{len(_SPELLING)} characters of their names make {_LEAST}"
            )
        texts = repeatable(texts)
        room = vocab - len(_RESERVED)
        rare = _rare(texts, room // 2)
        tokenizer = tokenizers.Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = _cut()
        # U+0000 stands for what is rare: no piece that has it is kept. Two more than asked, for it and the unknown.
        trainer = trainers.UnigramTrainer(
            vocab_size=room + 2, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        )
        tokenizer.train_from_iterator((text.translate(rare) for text in texts), trainer)
        return cls(_finished(json.loads(tokenizer.to_str())["model"]["vocab"], room), "</s>")

    def _check(self, data: dict[str, Any]) -> Form:
        model = data["model"]
        if not isinstance(model["vocab"], list):
            raise ValueError("it is not a Unigram model")
        unknown = model.get("unk_id")
        if unknown is None or not 0 <= unknown < len(model["vocab"]):
            raise ValueError(f"its unk_id is {unknown}: there is no id for what it does not know")
        spelt, spell = (unknown, UNKNOWN.encode()), read_sentences(data["decoder"])
        if data["pre_tokenizer"] == _WORDS:
            whole = data["normalizer"] is None
            return Form(whole and _spells_bytes(model), cuttable=whole, spell=spell, unknown=spelt)
        check_spaces(data)
        return Form(lossless=False, cuttable=False, spell=spell, unknown=spelt)


def _cut() -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(_WORDS["pattern"]["Regex"]), "isolated")


def _spells_bytes(model: dict[str, Any]) -> bool:
    """Whether unknown characters are spelt in bytes, and no text takes a special or a byte by spelling its name."""
    score = dict(map(tuple, model["vocab"]))
    if not model["byte_fallback"] or not score.keys() >= {*BYTES, *_SPELLING}:
        return False
    dearest = len(min(BYTES)) * min(score[character] for character in _SPELLING)
    return max(score[name] for name in BYTES) < dearest


def _rare(texts: Iterable[str], most: int) -> dict[int, str]:
    """The characters that get no id of their own, for `str.translate`: all but the most frequent `most` of them, and
    those beyond _COVERAGE. ValueError where there is no text."""
    counts: Counter[str] = Counter()
    for text in texts:
        utf8(text)
        counts.update(text)
    if not counts:
        raise ValueError("there is no text to take pieces from")
    kept, covered, wanted = 0, 0, _COVERAGE * counts.total()
    order = sorted(counts, key=lambda character: (-counts[character], character))
    while kept < min(most, len(order)) and covered < wanted:
        covered += counts[order[kept]]
        kept += 1
    return {ord(character): "\0" for character in order[kept:]}


def _scores(learned: list[tuple[str, float]]) -> dict[str, float]:
    """The log-probability of each piece that is kept, the same in every run.

    The library adds probabilities up in an order that changes from run to run: the last digits are rounded away. In
    such an order it also puts back characters that it had dropped, 1e-4 nats apart: here they are equal.
    """
    found = {piece: round(score, 6) for piece, score in learned if piece not in _RESERVED and "\0" not in piece}
    lowest = min((score for _, score in learned), default=0.0)
    band = lowest + 1e-4 * (1 + sum(len(piece) == 1 for piece, _ in learned))
    put_back = {piece for piece, score in found.items() if len(piece) == 1 and score < band}
    return found | dict.fromkeys(put_back, round(lowest, 6))


def _finished(learned: list[tuple[str, float]], room: int) -> str:
    """The tokenizer.json with at most `room` of the pieces learned, the likeliest, and what must be beside them."""
    scores = _scores(learned)
    lowest = min(scores.values(), default=-1.0)
    must = {character: scores.get(character, lowest) for character in _SPELLING}
    others = sorted(scores.keys() - must.keys(), key=lambda piece: (-scores[piece], piece))[: room - len(must)]
    chosen = must | {piece: scores[piece] for piece in others}
    pieces = sorted(chosen.items(), key=lambda item: (-item[1], item[0]))
    vocabulary = [*((name, _NEVER) for name in (*_SPECIALS, *BYTES)), *pieces]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=_SPECIALS.index("<unk>"), byte_fallback=True))
    tokenizer.pre_tokenizer = _cut()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(_SPECIALS))
    return tokenizer.to_str(pretty=True)
