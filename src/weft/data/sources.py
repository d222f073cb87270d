"""Where text comes from: files, folders and patterns; the Python standard library of this interpreter."""

import glob
import os
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from weft.data.own import Own
from weft.data.reading import packed, read_text, unreadable
from weft.data.records import read_records, record_kind
from weft.files import DamagedFile
from weft.registry import Registry

# What a folder is searched for. A file named directly may be called anything.
_CODE = (
    ".c .cc .cpp .css .go .h .hpp .ipynb .java .js .jl .kt .lua .php .pl .py .pyi .r .rb .rs .scala .sh .sql .swift .ts"
)
_TEXT = ".cfg .csv .htm .html .ini .json .jsonl .md .parquet .rst .tex .text .toml .tsv .txt .xml .yaml .yml"
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


Say = Callable[[str], None]
COLUMN = "text"  # of records, where nothing else is asked for


@runtime_checkable
class Records(Protocol):
    """A source that may meet files of records (.csv and the like), of which one column is the text."""

    def choose(self, column: str, say: Say) -> Source:
        """The same source, reading `column`; `say` is told, at the end, of rows that have nothing in it."""
        ...


# Registered: from the paths (or other words) that a user gave to a source.
SOURCES: Registry[Callable[[tuple[str, ...]], Source]] = Registry(
    "source", "weft.sources", ("weft.data.sources", "weft.data.made")
)


def quiet(text: str) -> None:
    """Says nothing."""


def open_source(name: str, paths: Sequence[str] = (), *, column: str = COLUMN, say: Say = quiet) -> Source:
    """The source registered as `name`, over `paths`. ValueError for a column where the source has none to choose."""
    source = SOURCES.get(name)(tuple(paths))
    if isinstance(source, Records):
        return source.choose(column, say)
    if column != COLUMN:
        raise ValueError(f"data.column={column}, but the source {name!r} has no columns: leave data.column out")
    return source


@dataclass(frozen=True)
class TextFiles:
    """UTF-8 texts, also .gz, exactly as they are (line ends too; a byte order mark is left out).

    A path is a file of any name; a folder, searched for text-like names, leaving out hidden ones, __pycache__ and links
    to folders; or a pattern (`*`, `**`). Sorted; a file is read once, however many paths lead to it. An empty file is
    an error where it is named, and left out elsewhere; so are files that weft wrote (a run's, a token store's, a saved
    model's), of which `say` is told.

    A file of records (.csv, .tsv, .jsonl, .parquet: see `read_records`) gives a document a row, "file.csv:12" after its
    line, with the text of `column`; rows that have none are left out, and `say` is told how many.
    """

    paths: tuple[str, ...]
    column: str = COLUMN
    say: Say = field(default=quiet, repr=False, compare=False)

    def choose(self, column: str, say: Say) -> "TextFiles":
        """The same files, reading `column` of those that are records."""
        return replace(self, column=column, say=say)

    def documents(self) -> Iterator[Document]:
        """ValueError where a path does not exist, nothing matches, a file is not UTF-8, or there is no text in any."""
        if not self.paths:
            raise ValueError("no data: name files, folders or patterns with --data, or as the source's paths")
        found, rows, missing, first = False, 0, 0, ""
        files = self._files()
        if self.column != COLUMN and not any(record_kind(path) for path, _ in files):
            raise ValueError(
                f"data.column={self.column}, but none of the {len(files):,} files in {', '.join(self.paths)} is of "
                "records (.csv, .tsv, .jsonl, .parquet): leave the column out"
            )
        for path, named in files:
            for name, text, row in self._texts(path, named):
                rows += row
                if text:
                    found = True
                    yield Document(name, text)
                elif row:
                    missing, first = missing + 1, first or name
        if missing:
            self.say(f"{missing:,} of {rows:,} rows have no {self.column!r} and were left out; the first is {first}")
        if not found:
            paths = ", ".join(self.paths)
            if rows:
                raise ValueError(f"none of the {rows:,} rows in {paths} has any {self.column!r}: there is no text")
            raise ValueError(f"every file in {paths} is empty: there is no text")

    def _texts(self, path: Path, named: bool) -> Iterator[tuple[str, str | None, bool]]:
        """A file's texts with their names, and whether each is a row of records."""
        name = path.as_posix()
        if record_kind(path) is None:
            yield name, read_text(path, empty=not named), False
        elif named and path.stat().st_size == 0:
            raise ValueError(f"{path} is empty: there is no text in it")
        elif path.stat().st_size:
            for line, text in read_records(path, self.column):
                yield f"{name}:{line}", text, True

    def _files(self) -> list[tuple[Path, bool]]:
        """Each file, and whether it was named directly."""
        files: dict[Path, tuple[Path, bool]] = {}
        own, kept_out = Own(), set[Path]()
        for given in self.paths:
            expanded = _expand(given)
            ours = {path for path, named in expanded if not named and own.wrote(path)}
            texts = [(path, named) for path, named in expanded if path not in ours]
            kept_out |= ours
            if not texts:
                raise ValueError(
                    f"all {len(expanded):,} text files in {given} were written by weft, {expanded[0][0]} for one: they "
                    "are a run's, a token store's or a model's; name a file itself to read it nevertheless"
                )
            for path, named in texts:
                files.setdefault(path.resolve(), (path, named))
        if kept_out:
            self.say(
                f"{len(kept_out):,} files that weft wrote (of runs, token stores, saved models) were left out; "
                f"the first is {min(kept_out)}"
            )
        return list(files.values())


@dataclass(frozen=True)
class PythonLibrary:
    """The .py sources of the running interpreter's standard library, without its tests and installed packages.

    `paths` may choose folders or files of it ("json", "ast.py"); none chooses all. Names are relative to the library.
    """

    paths: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        """Sources that are not UTF-8 are left out; ValueError where one of `paths` chooses nothing."""
        root = Path(sysconfig.get_path("stdlib"))
        chosen = [root / path for path in self.paths] or [root]
        found: set[Path] = set()
        for path in _walk(root, _NOT_LIBRARY):
            starts = [start for start in chosen if path.is_relative_to(start)]
            if path.suffix != ".py" or not starts:
                continue
            try:
                text = read_text(path, empty=True)
            except DamagedFile:
                continue  # a few sources declare another encoding
            if text:
                found.update(starts)
                yield Document(path.relative_to(root).as_posix(), text)
        missing = [str(start) for start in chosen if start not in found]
        if missing:
            raise ValueError(f"no sources of the Python library at {', '.join(missing)}: is it installed?")


SOURCES.register("text", TextFiles)
SOURCES.register("python_stdlib", PythonLibrary)


def _expand(given: str) -> list[tuple[Path, bool]]:
    """The files that one path or pattern leads to, sorted, each with whether it was named directly."""
    if not given:  # Path("") is the folder one happens to be in
        raise ValueError("one of the paths is empty (''): name a file, folder or pattern; . is this folder")
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{given}: nobody of that name has a home folder here: write the path out") from error
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
    return Path(path.stem if packed(path) else path.name).suffix.lower()


def _walk(folder: Path, skipped: frozenset[str]) -> Iterator[Path]:
    """The files below `folder` in the order of their names; no hidden ones, none in folders called as in `skipped`.

    ValueError for a folder that cannot be listed: to pass it over would change the data without a word.
    """

    def refuse(error: OSError) -> None:
        raise unreadable(error.filename, error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in skipped and not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(parent, name)
