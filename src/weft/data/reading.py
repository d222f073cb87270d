"""Text files as they are opened here: UTF-8, also .gz, and errors that name the file and the byte."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from weft.files import DamagedFile

_CHUNK = 1 << 20  # bytes


def read_text(path: Path, empty: bool = False) -> str:
    """The text of a UTF-8 file, decompressed where its name ends in .gz.

    ValueError where it does not exist, cannot be read, or is empty and `empty` is False; DamagedFile, with the byte,
    where it is not UTF-8 or not whole.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        data = path.read_bytes()
    except OSError as error:  # an error of the disk does not say itself which file it befell
        raise unreadable(path, error) from error
    if packed(path) and data:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(f"{path} is not a whole .gz file: {error}") from error
    if not data and not empty:
        raise ValueError(f"{path} is empty: there is no text in it")
    try:
        return without_mark(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error.start, data[error.start], data[:2]) from error


def without_mark(text: str) -> str:
    """A text without the byte order mark that it may begin with."""
    return text.removeprefix("\ufeff")


def lines_of(text: str) -> list[str]:
    """Lines without their ends (\\n, \\r\\n); what ends the last one begins no other. Not splitlines: that also cuts
    at U+2028 and others, and files that stand side by side would disagree."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


@contextlib.contextmanager
def open_text(path: Path, newline: str) -> Iterator[TextIO]:
    """A UTF-8 file, also .gz, to read line by line; a byte order mark is left out, `newline` is as in `open`.

    ValueError where it cannot be read; DamagedFile, from the line that is being read, where it is not UTF-8 (naming the
    byte) or not whole.
    """
    try:
        try:
            with _open(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline=newline) as text:
                yield text
        except UnicodeDecodeError as error:
            raise _find_fault(path) from error  # which may itself find a .gz that is not whole
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path} is not a whole .gz file: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path | str, error: OSError) -> ValueError:
    """What to say of a file or folder that the system would not read."""
    return ValueError(f"{path} cannot be read ({error.strerror or error}): make it readable, or leave it out")


def packed(path: Path) -> bool:
    """Whether the name says .gz."""
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> BinaryIO:
    # Streams of either kind are read through the same few methods.
    return cast(BinaryIO, gzip.open(path, "rb")) if packed(path) else path.open("rb")


def _find_fault(path: Path) -> DamagedFile:
    """Where a file stops being UTF-8: a decoder that reads in pieces does not say."""
    done, rest, head = 0, b"", b""
    with _open(path) as file:
        while chunk := file.read(_CHUNK):
            data = rest + chunk
            head = head or data[:2]
            try:
                data.decode("utf-8")
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    return _not_utf8(path, done + error.start, data[error.start], head)
                done, rest = done + error.start, data[error.start :]
            else:
                done, rest = done + len(data), b""
    return _not_utf8(path, done, rest[0], head)


def _not_utf8(path: Path, byte: int, value: int, head: bytes) -> DamagedFile:
    guess = ", it looks like UTF-16" if head in (b"\xff\xfe", b"\xfe\xff") else ""
    return DamagedFile(f"{path} is not UTF-8: byte {byte} is 0x{value:02x}{guess}; convert it, or leave it out")
