"""Where words begin and sentences end, in the ids of any tokenizer."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from weft.batch import Tokenizer

_LETTER = rb"[0-9A-Za-z\x80-\xff]"
# A full stop, what closes after it ( ) ] } » ’ ” also behind a space, which tokenizers of words put there; " and ' only
# without one, since behind a space they open), then a space or the end of the text.
_END = re.compile(rb"(?<![.!?])[.!?]++(?: ?(?:[)\]}]|\xc2\xbb|\xe2\x80[\x99\x9d])|[\"'])*(?=\s|\Z)")


class Words:
    """A table of the bytes that each id of a tokenizer stands for, made once, and what follows from it.

    Letters are ASCII's letters and digits, and every byte from 0x80 on: accents and other alphabets belong to words,
    and so does punctuation beyond ASCII. An id that stands for nothing (special, or none of the tokenizer's: a mask)
    is a word by itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = [*inner_pieces(tokenizer), b""]  # the last for ids behind the tokenizer's
        self._opens = torch.tensor([re.match(_LETTER, piece) is not None for piece in pieces])
        self._closes = torch.tensor([re.search(_LETTER + rb"\Z", piece) is not None for piece in pieces])
        self._blank = torch.tensor([piece.isspace() for piece in pieces])
        self._lengths = torch.tensor([len(piece) for piece in pieces])
        self._offsets = self._lengths.cumsum(0) - self._lengths
        self._bytes = torch.tensor(list(b"".join(pieces)), dtype=torch.uint8)

    def starts(self, ids: Tensor) -> Tensor:
        """Where a word begins, bool [n], of ids [n]; the first always does.

        A word is a run of letters, with the spaces before it; so is any other character. A token goes on with a word
        where letters meet letters, or where there are only spaces before it.
        """
        ids = self._known(ids)
        before, here = ids[:-1], ids[1:]
        within = (self._closes[before] & self._opens[here]) | (self._blank[before] & (self._lengths[here] > 0))
        return torch.cat((torch.ones_like(ids[:1], dtype=torch.bool), ~within))

    def ends_sentence(self, ids: Tensor) -> Tensor:
        """Where a sentence ends, bool [n], of ids [n]: the token of a . ! or ?, or of a quote or bracket that closes
        after it, where a space or the end of the text follows.

        This is a rule, not a parser: "Mr. Smith" is two sentences, and text without full stops is one.
        """
        ids = self._known(ids)
        lengths = self._lengths[ids]
        stops = lengths.cumsum(0)  # in bytes
        # For each byte of the text its place in the table.
        places = (self._offsets[ids] - stops + lengths).repeat_interleave(lengths)  # [bytes]
        text = self._bytes[places + torch.arange(len(places))].numpy().tobytes()
        ends = torch.tensor([found.end() for found in _END.finditer(text)], dtype=torch.int64)
        return torch.zeros_like(ids, dtype=torch.bool).index_fill(0, torch.searchsorted(stops, ends), True)

    def _known(self, ids: Tensor) -> Tensor:
        """The ids, one number for all that are behind the tokenizer's."""
        return ids.clamp(max=len(self._lengths) - 1)


def inner_pieces(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each id inside a text."""
    every = range(tokenizer.vocab)
    alone = tokenizer.pieces(every)
    if not any(alone):
        return alone
    # The first and the last piece of a text may be spelt in another way: here they are not of the table.
    longest = max(every, key=lambda number: len(alone[number]))
    return tokenizer.pieces([longest, *every, longest])[1:-1]
