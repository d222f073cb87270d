"""Text from ids as they come, with characters of several bytes intact."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from weft.batch import Tokenizer


class TextStream:
    """Ids in, text out. Joined, the pieces are `tokenizer.decode` of all ids at once (contract G9).

    A character whose bytes are not complete yet is held back; bytes that can no longer become one are U+FFFD.

        stream = TextStream(tokenizer)
        for step in decode(...):
            print(stream.push(step.tokens[0]), end="")
        print(stream.finish())
    """

    def __init__(self, tokenizer: Tokenizer, after: Sequence[int] = ()) -> None:
        """`after`: the ids that the text goes on from; its first word keeps the space that joins it to them."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = False  # whether a piece of text was there: the first may lose the space before it
        self._held = b""  # what the last piece has after it where it is not the last
        for token in after:
            self._step(token)

    def push(self, token: int | None) -> str:
        """The text that is certain with this id, often empty; None (a row that has finished) adds nothing.

        ValueError for a number that is no id of the tokenizer.
        """
        return "" if token is None else self._decoder.decode(self._step(token))

    def finish(self) -> str:
        """What is still held back, as U+FFFD; the stream may then be used for another text."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._begun, self._held = False, b""
        return rest

    def _step(self, token: int) -> bytes:
        """The bytes that are certain with this id."""
        first, later, last = self._tokenizer.pieces([token, token, token])
        if not later:
            return b""
        piece, self._begun = later if self._begun else first, True
        certain = len(piece) - (len(later) - len(last))
        ready, self._held = self._held + piece[:certain], piece[certain:]
        return ready
