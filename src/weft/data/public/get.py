"""A public set in the cache, fetched where it is not there yet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.data.public.fetch import Advance, Expected, FetchError, Patience, download, nothing
from weft.data.public.sets import PUBLIC_SETS, PublicFile, PublicSet
from weft.data.public.unpack import unpack
from weft.data.sources import quiet
from weft.files import DamagedFile, digest, new_folder, read_json, write_json
from weft.outputs import locked

MANIFEST, FILES, PARTS = "manifest.json", "files", "parts"
_TRUE = ("1", "ON", "YES", "TRUE")  # of HF_HUB_OFFLINE, as huggingface_hub reads it


@dataclass(frozen=True)
class Got:
    """A set that is here. digests: the sha256 of each file as it came, by name."""

    known: PublicSet
    folder: Path
    digests: dict[str, str]


def cache_folder() -> Path:
    """Where weft keeps what it fetched: $WEFT_CACHE, else weft in $XDG_CACHE_HOME, else ~/.cache/weft."""
    own, shared = os.environ.get("WEFT_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own).expanduser() if own else (Path(shared) if shared else Path.home() / ".cache") / "weft"


def get_public(
    name: str,
    out: Path | str | None = None,
    *,
    say: Callable[[str], None] = quiet,
    advance: Advance = nothing,
    patience: Patience | None = None,
) -> Got:
    """The set registered as `name`, in the cache; or copied into `out`, a folder that is new or empty.

    What is in the cache is not fetched again, nor is anything where HF_HUB_OFFLINE is set. A file that was published
    without a digest is taken as it comes the first time; its sha256 is kept in the cache's manifest.json, which later
    downloads are held to, and `say` is told. FetchError says what went wrong; nothing is then under a file's name.
    """
    known = PUBLIC_SETS.get(name)
    held = _Held(known, cache_folder() / "data" / known.name)
    if out is None:
        return held.fill(say, advance, patience)
    with new_folder(out) as fresh:
        got = held.fill(say, advance, patience)
        for file in known.files:
            source, target = got.folder / file.name, fresh / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if file.archive else shutil.copyfile(source, target)
    return Got(known, Path(out), got.digests)


@dataclass(frozen=True)
class _Held:
    """A set's place in the cache: its files, parts of what is not here yet, and the digests of what came."""

    known: PublicSet
    home: Path

    def fill(self, say: Callable[[str], None], advance: Advance, patience: Patience | None) -> Got:
        if self._missing(quiet):
            if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
                first, *more = self._missing(quiet)
                what = f"{first.name} and {len(more)} more" if more else first.name
                raise FetchError(
                    f"of the data set {self.known.name}, {what} is not in the cache {self.home}, and HF_HUB_OFFLINE "
                    "forbids to fetch: fetch it once without"
                )
            with locked(self.home):
                for file in self._missing(say):
                    self._bring(file, say, advance, patience)
        records = self._records()
        return Got(
            self.known, self.home / FILES, {file.name: records[file.name]["sha256"] for file in self.known.files}
        )

    def _missing(self, say: Callable[[str], None]) -> list[PublicFile]:
        """The files that are not here as they came, or came as another than they should be."""
        records = self._records()
        return [file for file in self.known.files if not self._has(file, records, say)]

    def _has(self, file: PublicFile, records: dict[str, Any], say: Callable[[str], None]) -> bool:
        path, expected = self.home / FILES / file.name, _recorded(file, records)
        if expected is None or file.sha256 not in (None, expected):
            return False
        if file.archive or not path.is_file():
            return file.archive and path.is_dir()
        found = digest(path)
        if found != expected:
            say(
                f"{path} has the sha256 {found}, and came with {expected}: somebody changed it, and it is fetched again"
            )
        return found == expected

    def _bring(self, file: PublicFile, say: Callable[[str], None], advance: Advance, patience: Patience | None) -> None:
        records, path, part = self._records(), self.home / FILES / file.name, self.home / PARTS / file.name
        found = download(
            file.address, part, expected=self._expected(file), size=file.size, advance=advance, patience=patience
        )
        if file.sha256 is None and _recorded(file, records) is None:
            say(
                f"{file.name} is unverified: it was published without a digest, and taken as it came; its sha256 "
                f"{found} is kept, and later downloads are held to it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        # Before the file has its name: what came and was recorded is compared with, what was not is not trusted.
        record = {"sha256": found, "bytes": part.stat().st_size, "address": file.address}
        write_json(self.home / MANIFEST, records | {file.name: record})
        if file.archive:
            try:
                with new_folder(path) as fresh:
                    unpack(part, fresh)
            finally:
                part.unlink()
        else:
            part.replace(path)
        for folder in (part.parent, self.home / PARTS):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _expected(self, file: PublicFile) -> Expected | None:
        if file.sha256 is not None:
            return Expected(
                file.sha256,
                f"the data set {self.known.name} says so; it was changed at its source or on the way, and is not kept; "
                "try again, or fetch it yourself",
            )
        recorded = _recorded(file, self._records())
        said = (
            f"which it had when it was first fetched; it was changed at its source or on the way, and is not kept; "
            f"to trust what is there now, remove {self.home}"
        )
        return None if recorded is None else Expected(recorded, said)

    def _records(self) -> dict[str, Any]:
        """The manifest: what came, by file; nothing where there is none. DamagedFile where it is none."""
        path = self.home / MANIFEST
        if not path.is_file():
            return {}
        records = read_json(path)
        if not isinstance(records, dict) or not all(
            isinstance(record, dict) and isinstance(record.get("sha256"), str) for record in records.values()
        ):
            raise DamagedFile(f"{path} is no manifest of a data set: remove {self.home}, and fetch it again")
        return records


def _recorded(file: PublicFile, records: dict[str, Any]) -> str | None:
    """The sha256 that came from a file's address; None where nothing came from it yet."""
    record = records.get(file.name, {})
    return record["sha256"] if record.get("address") == file.address else None
