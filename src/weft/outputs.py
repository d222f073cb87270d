"""A folder that a run writes to, or a file that is named: may it be, and is the folder this run's alone."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Hold `folder`: ValueError where somebody holds it, in this process or another. The lock dies with its process.

    Advisory, by a file ".lock" in it that is gone afterwards, as is a folder that got nothing else. Where the system
    has no flock (Windows), nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = Path(folder) / LOCK
    busy = f"this or another process is writing to {folder}: wait for it, stop it, or choose another folder"
    with _opened(path, busy) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(busy) from error
        except OSError as error:
            error.filename = str(path)  # a file system without locks does not say where it is
            raise
        if not _is(path, file):
            raise ValueError(busy)  # its last holder removed it between our open and our lock
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it is not empty, or cannot go (".")
                path.parent.rmdir()


def _opened(path: Path, busy: str) -> TextIO:
    """The file of a lock, in a folder that is made for it; ValueError, `busy`, where somebody takes it away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return path.open("a")
    except FileNotFoundError as error:
        raise ValueError(busy) from error


def _is(path: Path, file: TextIO) -> bool:
    """Whether an open file is still the one that its path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def check_output(path: Path | str, resume: bool = False, overwrite: bool = False) -> None:
    """ValueError, with the way out, where a run may not write into the folder `path`. Changes nothing."""
    path = Path(path)
    if resume and overwrite:
        raise ValueError(f"{path}: resume continues what is there, overwrite discards it: choose one")
    if path.exists() and not path.is_dir():
        raise ValueError(f"the output {path} is a file: choose a folder")
    if path.is_dir() and any(found.name != LOCK for found in path.iterdir()) and not (resume or overwrite):
        raise ValueError(
            f"the output folder {path} is not empty: "
            "go on with --resume, discard it with --overwrite, or choose another folder"
        )
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        # A real file: permission bits do not tell of a read-only or a full disk.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"weft")
    except OSError as error:
        raise ValueError(f"cannot write the output {path}, in {existing}: {error.strerror}; choose another") from error


def check_file(
    path: Path | str,
    *,
    reads: Sequence[Path | str] = (),
    endings: tuple[str, ...] = ("",),
    overwrite: bool = False,
) -> None:
    """ValueError, with the way out, where nothing is to be written to the file `path`: it is one of those that are
    read, or one that is there in a folder of which files with such endings are read ("": all); it is a folder; or it is
    there already and nobody says that it may be replaced. Changes nothing."""
    path, read_from = Path(path), [Path(read).resolve() for read in reads]
    inside = path.is_file() and path.name.lower().endswith(endings)
    if path.resolve() in read_from or (inside and any(one in path.resolve().parents for one in read_from)):
        raise ValueError(f"{path} is what is read, and what is written would take its place: name another --out")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and what is written is a file: name one in it as --out")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already: replace it with --overwrite, or name another file as --out")
