"""Where a watcher's words go. Whether anybody reads them must decide nothing: the run is worth more."""

from __future__ import annotations

import contextlib
from typing import TextIO, cast


def unheard() -> contextlib.AbstractContextManager[None]:
    """Inside it, what fails because nobody listens any more (a terminal that is gone, a pipe without a reader, a closed
    stream) is passed over. It is tried anew each time: what fails may also be a terminal that is busy."""
    return contextlib.suppress(OSError, ValueError)


def outlet(stream: TextIO) -> TextIO:
    """A stream's own self, but for two things: writing never fails, and what it has no character for becomes "?"."""
    return stream if isinstance(stream, _Outlet) else cast(TextIO, _Outlet(stream))


class _Outlet:
    """As much of a text stream as `print` and rich use. Holds nothing back: what is written is the stream's to keep."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.encoding = stream.encoding or "utf-8"  # a StringIO has none

    def isatty(self) -> bool:
        """Whether the stream is a terminal; one that was closed is none."""
        with unheard():
            return self.stream.isatty()
        return False

    def fileno(self) -> int:
        """The stream's."""
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Write, or pass it over."""
        with unheard():
            try:
                self.stream.write(text)
            except UnicodeEncodeError:  # nothing of it was written
                self.stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush, or pass it over."""
        with unheard():
            self.stream.flush()
