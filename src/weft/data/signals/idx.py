"""The idx format of MNIST and its kin: arrays of bytes behind a head of sizes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

MOST = 1 << 31  # bytes of an array


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an idx file, also gzipped. ValueError naming the file where it is none, or cut short."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 4:
                raise ValueError(f"{path} is no idx file of bytes: it begins with {head.hex() or 'nothing'}")
            sizes = [int.from_bytes(file.read(4), "big") for _ in range(head[3])]
            count = int(np.prod(sizes, dtype=object))
            if count > MOST:
                raise ValueError(f"{path} says it holds {count:,} bytes, and at most {MOST:,} are read")
            data = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from error
    if len(data) != count:
        raise ValueError(f"{path} says it holds {count:,} bytes ({' x '.join(map(str, sizes))}) and has {len(data):,}")
    return np.frombuffer(data, np.uint8).reshape(sizes)
