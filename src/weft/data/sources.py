"""Where text comes from: files, folders and patterns; the Python standard library of this interpreter."""

import glob
import gzip
import os
import sysconfig
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weft.files import DamagedFile
from weft.registry import Registry

# What a folder is searched for. A file named directly may be called anything.
_CODE = (
    ".c .cc .cpp .css .go .h .hpp .ipynb .java .js .jl .kt .lua .php .pl .py .pyi .r .rb .rs .scala .sh .sql .swift .ts"
)
_TEXT = ".cfg .csv .htm .html .ini .json .jsonl .md .rst .tex .text .toml .tsv .txt .xml .yaml .yml"
TEXT_SUFFIXES = frozenset(f"{_CODE} {_TEXT}".split())

_NOT_LIBRARY = frozenset(["test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"])


@dataclass(frozen=True)
class Document:
    """One text and where it came from."""

    name: str
    text: str


class Source(Protocol):
    """Something that gives documents, the same ones in the same order each time."""

    def documents(self) -> Iterator[Document]:
        """One document after the other."""
        ...


# Registered: from the paths (or other words) that a user gave to a source.
SOURCES: Registry[Callable[[tuple[str, ...]], Source]] = Registry(
    "source", "weft.sources", ("weft.data.sources", "weft.data.made")
)


def open_source(name: str, paths: Sequence[str] = ()) -> Source:
    """The source registered as `name`, over `paths`."""
    return SOURCES.get(name)(tuple(paths))


@dataclass(frozen=True)
class TextFiles:
    """UTF-8 texts, also .gz, exactly as they are (line ends too; a byte order mark is left out).

    A path is a file of any name; a folder, searched for text-like names, leaving out hidden ones and __pycache__; or a
    pattern (`*`, `**`). Sorted; a file is read once, however many paths lead to it. An empty file is an error where it
    is named, and left out elsewhere.
    """

    paths: tuple[str, ...]

    def documents(self) -> Iterator[Document]:
        """ValueError where a path does not exist, nothing matches, a file is not UTF-8, or all is empty."""
        if not self.paths:
            raise ValueError("the source text needs at least one file, folder or pattern")
        found = False
        for path, named in self._files():
            text = read_text(path, empty=not named)
            if text:
                found = True
                yield Document(path.as_posix(), text)
        if not found:
            raise ValueError(f"every file in {', '.join(self.paths)} is empty: there is no text")

    def _files(self) -> list[tuple[Path, bool]]:
        """Each file, and whether it was named directly."""
        files: dict[Path, tuple[Path, bool]] = {}
        for given in self.paths:
            for path, named in _expand(given):
                files.setdefault(path.resolve(), (path, named))
        return list(files.values())


@dataclass(frozen=True)
class PythonLibrary:
    """The .py sources of the running interpreter's standard library, without its tests and installed packages.

    `paths` may choose folders or files of it ("json", "ast.py"); none chooses all. Names are relative to the library.
    """

    paths: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        """Sources that are not UTF-8 are left out; ValueError where `paths` chooses nothing."""
        root = Path(sysconfig.get_path("stdlib"))
        chosen = [root / path for path in self.paths] or [root]
        found = False
        for path in _walk(root, _NOT_LIBRARY):
            if path.suffix != ".py" or not any(path.is_relative_to(start) for start in chosen):
                continue
            try:
                text = read_text(path, empty=True)
            except DamagedFile:
                continue  # a few sources declare another encoding
            if text:
                found = True
                yield Document(path.relative_to(root).as_posix(), text)
        if not found:
            raise ValueError(f"no sources of the Python library at {', '.join(map(str, chosen))}: is it installed?")


SOURCES.register("text", TextFiles)
SOURCES.register("python_stdlib", PythonLibrary)


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
        raise _unreadable(path, error) from error
    if path.suffix == ".gz" and data:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(f"{path} is not a whole .gz file: {error}") from error
    if not data and not empty:
        raise ValueError(f"{path} is empty: there is no text in it")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        guess = ", it looks like UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise DamagedFile(
            f"{path} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}{guess}; convert it, or leave it out"
        ) from error


def _unreadable(path: Path | str, error: OSError) -> ValueError:
    return ValueError(f"{path} cannot be read ({error.strerror or error}): make it readable, or leave it out")


def _expand(given: str) -> list[tuple[Path, bool]]:
    """The files that one path or pattern leads to, sorted, each with whether it was named directly."""
    if not given:  # Path("") is the folder one happens to be in
        raise ValueError("one of the paths is empty (''): name a file, folder or pattern; . is this folder")
    path = Path(given).expanduser()
    if path.is_file():
        return [(path, True)]
    if path.is_dir():
        files = _text_files(path)
    elif glob.has_magic(given):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files = [file for match in matches for file in (_text_files(match) if match.is_dir() else [match])]
    else:
        raise ValueError(f"there is no file or folder {given}")
    if not files:
        endings = ", ".join(sorted(TEXT_SUFFIXES))
        raise ValueError(f"no text files match {given}; in folders these are read, also .gz: {endings}")
    return [(file, False) for file in files]


def _text_files(folder: Path) -> list[Path]:
    return [path for path in _walk(folder, frozenset(["__pycache__"])) if _suffix(path) in TEXT_SUFFIXES]


def _suffix(path: Path) -> str:
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def _walk(folder: Path, skipped: frozenset[str]) -> Iterator[Path]:
    """The files below `folder` in the order of their names; no hidden ones, none in folders called as in `skipped`.

    ValueError for a folder that cannot be listed: to pass it over would change the data without a word.
    """

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in skipped and not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(parent, name)
