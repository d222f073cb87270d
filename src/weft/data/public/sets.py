"""The public sets that weft knows: where each lies, pinned to a commit where it lies in a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from weft.data.public.fetch import check_address
from weft.registry import Registry

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PublicFile:
    """One file at its canonical address. sha256, size (bytes): None where nobody published them. archive: a tar or zip
    that is unpacked into a folder called `name`."""

    name: str
    address: str
    sha256: str | None = None
    size: int | None = None
    archive: bool = False

    def __post_init__(self) -> None:
        check_address(self.address)
        if not _PATH.fullmatch(self.name):
            raise ValueError(f"the file name {self.name!r} is no path of letters, digits, _ . - below a folder")
        if self.sha256 is not None and not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: the sha256 {self.sha256!r} is not 64 digits of 0-9a-f")
        if self.size is not None and self.size < 0:
            raise ValueError(f"{self.name}: the size {self.size} is negative; leave out what is not known")


@dataclass(frozen=True)
class PublicSet:
    """A data set. licence: as its publisher states it; source: who publishes it, at which commit or version."""

    name: str
    files: tuple[PublicFile, ...]
    about: str
    licence: str
    source: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the data set's name {self.name!r} is not of a-z, 0-9 and _")
        names = [PurePosixPath(file.name) for file in self.files]
        if not names or len({*names}) < len(names):
            raise ValueError(
                f"the data set {self.name} needs files, each of its own name, and has {list(map(str, names))}"
            )

    @property
    def size(self) -> int | None:
        """Bytes of all files as they are fetched; None where that of one is not known."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None

    @property
    def verified(self) -> int:
        """How many of its files have a published digest."""
        return sum(file.sha256 is not None for file in self.files)


# A set of another distribution is an entry point: its name, and a PublicSet.
PUBLIC_SETS: Registry[PublicSet] = Registry("data set", "weft.public_sets", ("weft.data.public.shipped",))
