"""Archives of strangers: tar (also .gz, .bz2, .xz) and zip. Files and folders come out; everything else is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from weft.files import DamagedFile

_MOST = 8 << 30  # bytes that come out of an archive
_MEMBERS = 200_000
_CHUNK = 1 << 20
_ODD = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")  # what is a path of its own on some system, or hides in a listing
_ZIP = b"PK"
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


class UnsafeArchive(ValueError):
    """An archive with something that is no file or folder within it, or too much of it; names archive and member."""


class _Member(NamedTuple):
    """data: of a file; None for a folder. odd: what else it is, in a word."""

    name: str
    data: IO[bytes] | None
    odd: str | None = None


def unpack(archive: Path, folder: Path, *, most: int = _MOST) -> None:
    """Write the files of `archive` into `folder`, which is empty: see `weft.files.new_folder`, which makes one and
    removes it on an error.

    UnsafeArchive for a member that lies elsewhere (absolute, "..", a drive), is a link, a device or encrypted, comes
    twice, or is one too many; and past `most` bytes, as they come out, whatever the archive says of its size.
    DamagedFile where it is no archive, or a broken one. Modes, owners and times are not taken over.
    """
    members, left = _members(archive, most), most
    for count in range(_MEMBERS + 1):
        with _reading(archive):
            member = next(members, None)
        if member is None:
            return
        if count == _MEMBERS:
            raise UnsafeArchive(f"{archive} has more than {_MEMBERS:,} members: unpack it yourself if you trust it")
        target = folder / _place(archive, member)
        try:
            if member.data is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UnsafeArchive(
                f"{archive} has {member.name!r} twice, or as a file and a folder: nothing is kept"
            ) from error
        with file:
            left = _copy(archive, member.data, file, left, most)


def _copy(archive: Path, data: IO[bytes], file: IO[bytes], left: int, most: int) -> int:
    """Copy one file of which at most `left` bytes may come; how many more may come then."""
    while True:
        with _reading(archive):
            piece = data.read(_CHUNK)
        if not piece:
            return left
        left -= len(piece)
        if left < 0:
            raise _large(archive, most)
        file.write(piece)


def _large(archive: Path, most: int) -> UnsafeArchive:
    return UnsafeArchive(
        f"{archive} holds more than {most:,} bytes: nothing is kept; unpack it yourself if you trust it"
    )


def _place(archive: Path, member: _Member) -> PurePosixPath:
    """Where a member goes, below the folder."""
    path = PurePosixPath(member.name)
    wrong = member.odd
    if wrong is None and (path.is_absolute() or ".." in path.parts or _ODD.search(member.name)):
        wrong = "a path out of the folder"
    if wrong is not None:
        raise UnsafeArchive(
            f"{archive} has {member.name!r}, {wrong}; files and folders within it alone are unpacked: nothing is kept"
        )
    return path


def _members(archive: Path, most: int) -> Iterator[_Member]:
    with archive.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        if head.startswith(_ZIP):
            yield from _zip(file)
            return
        # A tar's own headers are read into memory: they count as well, 1,024 bytes for each that may come.
        yield from _tar(_Limited(_plain(file, head), archive, most + 1024 * _MEMBERS, most))


def _plain(file: IO[bytes], head: bytes) -> IO[bytes] | BufferedIOBase:
    """The tar of a file that begins with `head`, however it is packed."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if head.startswith(b"\xfd7zXZ") else file


def _tar(source: _Limited) -> Iterator[_Member]:
    # A stream is only read, whatever else the stubs ask of it.
    with tarfile.open(fileobj=source, mode="r|") as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for member in tar:
            if member.isdir():
                yield _Member(member.name, None)
            elif member.isreg():
                yield _Member(member.name, tar.extractfile(member))
            else:
                link = member.issym() or member.islnk()
                yield _Member(member.name, None, f"a link to {member.linkname!r}" if link else "a device")


def _zip(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                yield _Member(info.filename, None, "a link" if kind == stat.S_IFLNK else "a device")
            elif info.flag_bits & 1:
                yield _Member(info.filename, None, "encrypted")
            elif info.is_dir():
                yield _Member(info.filename, None)
            else:
                with opened.open(info) as data:
                    yield _Member(info.filename, data)


class _Limited:
    """Reads on until `left` bytes came, so that no header can ask for more memory than there is."""

    def __init__(self, file: IO[bytes] | BufferedIOBase, archive: Path, left: int, most: int) -> None:
        self.file, self.archive, self.left, self.most = file, archive, left, most

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _large(self.archive, self.most)
        return data


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """What the libraries raise inside says that the archive is broken."""
    try:
        yield
    except _BROKEN as error:
        raise DamagedFile(
            f"{archive} is no tar or zip archive, or is damaged ({type(error).__name__}: {error})"
        ) from error
