"""A program of its own: the tensors of one pickled file as safetensors.

    python -I -S -B weft/hub/pickled SOURCE TARGET

Nothing of weft imports it, it imports nothing but Python's own library, and its limits on memory, time and written
bytes are set before the first byte of the file is read. What is wrong is said on standard error, in one line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import mmap
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from layouts import read_archive, read_older
from machine import Refused, Tensor

_TIMES = 8  # as large as the file: what all tensors together may be; a table may be there under several names
_LETTERS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}  # numbers by their bytes


def tensors_of(value: Any) -> dict[str, Tensor]:
    """A state dict. Refused where it is none."""
    if type(value) is not dict or not value:
        raise Refused(f"the file holds a {type(value).__name__}, not a state dict of tensors by name")
    for name, tensor in value.items():
        if type(name) is not str or type(tensor) is not Tensor:
            kind, named = type(tensor).__name__, ascii(name)[:120]
            raise Refused(f"{named} is a {kind}, not a tensor: save the state dict alone, with no other things beside")
    return value


def pieces(view: memoryview, tensor: Tensor, begin: int) -> Iterator[memoryview | bytes]:
    """A tensor's bytes in order, from those of its storage, which begin at `begin`."""
    size = tensor.storage.kind.size
    dense = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    same = all(a == b or n == 1 for a, b, n in zip(dense, tensor.strides, tensor.shape, strict=True))
    start = begin + tensor.offset * size
    if same:
        yield view[start : start + math.prod(tensor.shape) * size]
        return
    *outer, (length, step) = zip(tensor.shape, tensor.strides, strict=True)
    numbers = view[begin : begin + tensor.storage.numbers * size].cast(_LETTERS[size])
    rows = itertools.product(*([index * stride for index in range(count)] for count, stride in outer))
    for place in (tensor.offset + sum(row) for row in rows):
        row = numbers[place : place + (length - 1) * step + 1 : step] if step else numbers[place : place + 1]
        yield row.tobytes() if step else row.tobytes() * length


def convert(source: Path, target: Path) -> None:
    """Write the tensors of `source` to `target`, each under its name, also where several share one storage."""
    with source.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # as long as the process, like the views of it
        value, begins = read_archive(source, data) if data[:4] == b"PK\3\4" else read_older(data)
        tensors = sorted(tensors_of(value).items(), key=lambda item: (-item[1].storage.kind.size, item[0]))
        header, end = {}, 0
        for name, tensor in tensors:
            start, end = end, end + math.prod(tensor.shape) * tensor.storage.kind.size
            header[name] = {"dtype": tensor.storage.kind.name, "shape": tensor.shape, "data_offsets": [start, end]}
        if end > _TIMES * len(data):
            raise Refused(f"its tensors are {end} bytes, more than {_TIMES} times the file's {len(data)}")
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        starts = {storage: begins(storage) for storage in {tensor.storage for _, tensor in tensors}}
        with target.open("xb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for _, tensor in tensors:
                for piece in pieces(memoryview(data), tensor, starts[tensor.storage]):
                    out.write(piece)


def limit(size: int) -> None:
    """Memory, processor time and written bytes by the size of the file, where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        resource.RLIMIT_AS: 2 * size + (1 << 28),
        resource.RLIMIT_CPU: 60 + size // 10_000_000,
        resource.RLIMIT_FSIZE: _TIMES * size + (1 << 26),
        resource.RLIMIT_CORE: 0,
    }
    for which, most in bounds.items():
        with contextlib.suppress(ValueError, OSError):  # a system that has the name alone, or a lower bound already
            resource.setrlimit(which, (most, most))


def main(source: Path, target: Path) -> str | None:
    """What is wrong; None where nothing is."""
    limit(source.stat().st_size)
    try:
        convert(source, target)
    except Refused as error:
        return str(error)
    except MemoryError:
        return "it asks for more memory than its size accounts for: refused"
    except Exception as error:  # a pickle that is none fails in any of the ways above
        return f"it is damaged: {type(error).__name__}: {ascii(str(error))[1:-1][:200]}"
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
