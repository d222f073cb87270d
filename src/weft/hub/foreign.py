"""Pickled weights, read by a program of its own (`weft/hub/pickled`) that runs nothing of what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from weft.hub.error import LoadError
from weft.hub.weights import PICKLED, Weights, shards_of

_PROGRAM = Path(__file__).with_name("pickled")
_USUAL, _INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def pickled(source: Path, aside: Path) -> Weights:
    """The tensors of a folder's pickled weights, or of one file, as safetensors that are written into `aside`.

    LoadError for what is no state dict of tensors, or does anything else when it is read as a pickle.
    """
    aside.mkdir()
    files = _files(source)
    made = {_translated(path, aside / f"{number}.safetensors"): path for number, path in enumerate(files)}
    return Weights({path: files[origin] for path, origin in made.items()}, called=made)


def _files(source: Path) -> dict[Path, frozenset[str] | None]:
    """The pickled files of a folder, and which tensors each is to hold; None: whatever it does."""
    if source.is_file():
        return {source: None}
    usual, index = source / _USUAL, source / _INDEX
    if usual.is_file() and index.is_file():
        raise LoadError(f"{source} has both {_USUAL} and {_INDEX}: remove the one that is not meant")
    if index.is_file():
        return dict(shards_of(index, ".bin"))
    there = [usual] if usual.is_file() else sorted(path for path in source.iterdir() if path.suffix in PICKLED)
    if len(there) != 1:
        names = ", ".join(path.name for path in there) or "none"
        raise LoadError(f"{source} has no {_USUAL}, and of other pickled files {names}: name the one that is meant")
    return {there[0]: None}


def _translated(path: Path, target: Path) -> Path:
    """The tensors of one pickled file, written as safetensors by a process that sees neither this one's environment nor
    any package; its limits are its own, but for the time that passes."""
    if not path.is_file():
        raise LoadError(f"{path} is missing: {_INDEX} names it: fetch the folder again")
    size = path.stat().st_size
    if not size:
        raise LoadError(f"{path} has 0 bytes: fetch it again")
    command = [sys.executable, "-I", "-S", "-B", str(_PROGRAM), str(path.resolve()), str(target.resolve())]
    needed = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            env=needed,
            cwd=target.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60 + size / 1e6,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{path} takes longer to read than its {size:,} bytes account for: refused") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:1000]
        said = "".join(letter if letter.isprintable() else "?" for letter in said)  # it may hold names from the file
        stopped = (
            f"its reader was stopped (status {done.returncode}): it takes more time or space than its size accounts for"
        )
        raise LoadError(f"{path}: {said or stopped}")
    return target
