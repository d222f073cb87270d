"""A folder of tokens, made once and mapped into memory: what it was made of, and that it still is what was written.

store.json          what it was made of, the sizes and the sha256 of the other files, and its own
tokenizer.json      the tokenizer; and tokenizer_config.json where it takes that too
train-0.tokens      a `stream` of documents: little-endian uint16, uint32 where the vocabulary is larger
train-0.offsets     int64 [documents + 1]: document i is tokens[offsets[i] : offsets[i + 1] - after]; train-1 … where
                    there are several sources
held-out.*          the same of what is held out, of all sources; held-out.txt its text, one after the other
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from weft.batch import Tokenizer
from weft.data.tokenizers import CONFIG, around, load_tokenizer, tokenizer_files
from weft.files import DamagedFile, digest, read_json, write_bytes

FILE, TOKENIZER, HELD_OUT, TEXT = "store.json", "tokenizer.json", "held-out", "held-out.txt"
VERIFIED = 1 << 30  # bytes; a larger store is opened on its sizes alone, unless it is asked to be read through
_FORMAT = 1
_DTYPES = {2: np.dtype("<u2"), 4: np.dtype("<u4")}  # by the bytes of a token
PART_FILE = re.compile(r"(train-\d+|held-out)\.(tokens|offsets)")
_AGAIN = ": remove the folder, and the tokens are made again"  # how errors about a damaged store end


@dataclass(frozen=True)
class MadeOf:
    """What a store's tokens depend on: settings, and two digests (sha256). What is left out is not compared: the
    tokenizer's own where it is None, its settings where it is given."""

    settings: Mapping[str, Any]
    source: str
    tokenizer: str | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """Documents as one `stream`: tokens [N], unsigned; each document begins at its offset, and the next would at N."""

    tokens: np.ndarray
    offsets: np.ndarray  # int64 [documents + 1]
    after: int = 1  # ids that follow a document: its END, and what begins the next where that is another id

    @property
    def documents(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, eq=False)
class Store:
    """An opened store; its tokens stay on the disk until they are touched."""

    folder: Path
    tokenizer: Tokenizer
    train: tuple[Part, ...]
    held_out: Part
    held_out_bytes: int
    digests: Mapping[str, str]  # of the files, by name
    verified: bool  # whether every byte was read, or the sizes alone

    @property
    def text(self) -> Path:
        """The file of the text that is held out."""
        return self.folder / TEXT


def open_store(folder: Path | str, wanted: MadeOf | None = None, verify: bool | None = None) -> Store:
    """A store, checked. verify: read every byte; None: where they are no more than 1 GiB.

    ValueError where there is none, or where it was not made of what is `wanted`, naming which of tokenizer, source and
    settings is another; DamagedFile, naming the file, where one was changed, cut short or is missing.
    """
    folder = Path(folder)
    facts = _read_facts(folder / FILE)
    if wanted is not None:
        _check_made_of(folder, facts["made_of"], wanted)
    sizes = {name: entry["bytes"] for name, entry in facts["files"].items()}
    verified = sum(sizes.values()) <= VERIFIED if verify is None else verify
    for name, entry in facts["files"].items():
        _check_file(folder / name, entry, verified)
    dtype = _DTYPES[facts["width"]]
    tokenizer = load_tokenizer(folder)
    parts = {name: _part(folder, name, dtype, tokenizer) for name in facts["parts"]}
    held_out = parts.pop(HELD_OUT)
    return Store(
        folder=folder,
        tokenizer=tokenizer,
        train=tuple(parts.values()),
        held_out=held_out,
        held_out_bytes=sizes[TEXT],
        digests={name: entry["sha256"] for name, entry in facts["files"].items()},
        verified=verified,
    )


def is_store(folder: Path | str) -> bool:
    """Whether a folder says that it is a store."""
    return (Path(folder) / FILE).is_file()


def remove_store(folder: Path | str) -> None:
    """Remove the files of a store, and its folder where nothing else is in it. A folder that is none stays as it is.

    Its files are those that its store.json names; where that is damaged, those with a part's name.
    """
    folder = Path(folder)
    if not is_store(folder):
        return
    try:
        names = list(_read_facts(folder / FILE)["files"])
    except ValueError:
        names = [TEXT, TOKENIZER, CONFIG, *(path.name for path in folder.iterdir() if PART_FILE.fullmatch(path.name))]
    for name in (*names, FILE):  # store.json last: as long as it is there, this can be done again
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


class StoreWriter:
    """Fills an empty folder with a store, document by document; `finish` makes it one."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, sources: int) -> None:
        """`sources`: how many are to be trained on."""
        self.folder = folder
        self.vocab = tokenizer.vocab
        self._tokenizer = tokenizer_digest(tokenizer, folder)
        width = 2 if tokenizer.vocab <= 1 << 16 else 4
        first, after = (np.asarray(ids, _DTYPES[width]) for ids in around(tokenizer))
        self._width = width
        self._parts = {name: _PartWriter(folder, name, first, after) for name in part_names(sources)}
        self._text = _File(folder / TEXT)

    def add(self, part: str, ids: np.ndarray, text: str) -> None:
        """One more document; its text is kept where it is held out. ValueError for what is no id."""
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocab:
            raise ValueError(f"the tokenizer gave ids {ids.min()} to {ids.max()} and says it has {self.vocab}: mend it")
        self._parts[part].add(ids)
        if part == HELD_OUT:
            self._text.write(text.encode())

    def finish(self, made_of: MadeOf) -> None:
        """Write what is left, store.json last."""
        files = {TEXT: self._text.close()} | {path.name: _entry(path) for path in tokenizer_files(self.folder)}
        for writer in self._parts.values():
            files |= writer.finish()
        facts = {
            "format": _FORMAT,
            "made_of": {
                "settings": dict(made_of.settings),
                "source": made_of.source,
                "tokenizer": self._tokenizer,
            },
            "width": self._width,
            "parts": list(self._parts),
            "files": dict(sorted(files.items())),
        }
        write_bytes(self.folder / FILE, _dump({**facts, "sha256": digest(_dump(facts))}))

    def close(self) -> None:
        """Close the files of a store that is not finished."""
        with ExitStack() as closing:  # each of them, also where another one fails
            for file in (self._text, *self._parts.values()):
                closing.callback(file.close)


class _File:
    """A file that knows its size and digest."""

    def __init__(self, path: Path) -> None:
        self.file: BinaryIO = path.open("wb")
        self.state, self.bytes = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.state.update(data)
        self.bytes += len(data)

    def close(self) -> dict[str, Any]:
        self.file.close()
        return {"bytes": self.bytes, "sha256": self.state.hexdigest()}


class _PartWriter:
    def __init__(self, folder: Path, name: str, first: np.ndarray, after: np.ndarray) -> None:
        self.names = f"{name}.tokens", f"{name}.offsets"
        self.folder, self.first, self.after = folder, first, after
        self.tokens = _File(folder / self.names[0])
        self.offsets = array("q", [1])

    def _begin(self) -> None:
        if not self.tokens.bytes:
            self.tokens.write(self.first.tobytes())

    def add(self, ids: np.ndarray) -> None:
        self._begin()
        self.tokens.write(np.append(ids.astype(self.after.dtype), self.after).tobytes())
        self.offsets.append(self.offsets[-1] + len(ids) + len(self.after))

    def finish(self) -> dict[str, dict[str, Any]]:
        self._begin()
        offsets = _File(self.folder / self.names[1])
        offsets.write(np.array(self.offsets, "<i8").tobytes())
        return dict(zip(self.names, (self.tokens.close(), offsets.close()), strict=True))

    def close(self) -> None:
        self.tokens.close()


def part_names(sources: int) -> list[str]:
    """What the parts of a store of so many sources are called."""
    return [*(f"train-{number}" for number in range(sources)), HELD_OUT]


def tokenizer_digest(tokenizer: Tokenizer, folder: Path) -> str:
    """The sha256 of the files that a tokenizer is saved as, in `folder`."""
    tokenizer.save(folder)
    return digest(b"".join(path.read_bytes() for path in tokenizer_files(folder)))


def _dump(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest(path)}


def _read_facts(path: Path) -> dict[str, Any]:
    """store.json, which must be, byte for byte, what was written. ValueError where there is none."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: {path.parent} is no token store; name another folder, or none")
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise DamagedFile(f"{path} is a {type(facts).__name__}, not the description of a token store{_AGAIN}")
    said = {name: value for name, value in facts.items() if name != "sha256"}
    if facts.get("sha256") != digest(_dump(said)) or _dump({**said, "sha256": facts["sha256"]}) != path.read_bytes():
        raise DamagedFile(f"{path} is not what was written: its digest is another{_AGAIN}")
    if facts.get("format") != _FORMAT:
        raise ValueError(f"{path} has format {facts.get('format')}, and this weft reads {_FORMAT}{_AGAIN}")
    names = part_names(len(facts["parts"]) - 1)  # names are what they must be, and lead nowhere else
    files = {TEXT, TOKENIZER, *(f"{name}.{kind}" for name in names for kind in ("tokens", "offsets"))}
    if facts["parts"] != names or facts["files"].keys() - {CONFIG} != files or facts["width"] not in _DTYPES:
        raise DamagedFile(f"{path} describes a store of other files than {', '.join(sorted(files))}{_AGAIN}")
    return facts


def _check_made_of(folder: Path, was: Mapping[str, Any], wanted: MadeOf) -> None:
    faults = []
    for name, now in sorted(wanted.settings.items()):
        before = was["settings"].get(name, "not given")
        if before != now:
            faults.append(f"the setting data.{name} was {before} and is {now} now")
    for name, before, now in (
        ("source", was["source"], wanted.source),
        ("tokenizer", was["tokenizer"], wanted.tokenizer),
    ):
        if now not in (None, before):
            faults.append(f"the {name} is another (sha256 {before[:12]}…, now {now[:12]}…)")
    if faults:
        raise ValueError(
            f"the data are not those of the token store {folder}: {'; '.join(faults)}. Give the same files, settings "
            "and tokenizer, or make another store: another data.store, or another --out"
        )


def _check_file(path: Path, entry: Mapping[str, Any], verify: bool) -> None:
    if not path.is_file():
        raise DamagedFile(f"{path} is missing{_AGAIN}")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise DamagedFile(f"{path} has {size} bytes, and {entry['bytes']} were written{_AGAIN}")
    if verify and (found := digest(path)) != entry["sha256"]:
        raise DamagedFile(f"{path}: its sha256 is {found[:12]}…, and was {entry['sha256'][:12]}… when written{_AGAIN}")


def _part(folder: Path, name: str, dtype: np.dtype, tokenizer: Tokenizer) -> Part:
    """A part's files as maps; what was written into them was checked."""
    tokens = np.memmap(folder / f"{name}.tokens", dtype, "r")
    offsets = np.memmap(folder / f"{name}.offsets", np.dtype("<i8"), "r")
    if offsets[0] != 1 or offsets[-1] != len(tokens):
        raise DamagedFile(f"{folder / name}.offsets do not fit the {len(tokens)} tokens{_AGAIN}")
    (begin,), after = around(tokenizer)
    if tokens[0] != begin:
        was = f"begin documents with the id {tokens[0]}, as an earlier weft did, and their tokenizer with {begin}"
        raise ValueError(f"{folder / name}.tokens {was}{_AGAIN}")
    return Part(np.asarray(tokens), np.asarray(offsets), len(after))
