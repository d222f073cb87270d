"""Digests, JSON, strict safetensors, and writes that are whole or absent: under the final name there is never half a
file, whatever stops the process."""

import contextlib
import hashlib
import json
import math
import os
import secrets
import shutil
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from torch import Tensor

_LONGEST_HEADER = 100_000_000  # bytes; the safetensors format's own limit
_MOST_DIMENSIONS = 64  # of a torch tensor

# The format's name -> (torch's name, bytes of one element). In the order in which the reference writes them: widest
# first, so that every tensor starts aligned.
# fmt: off
_DTYPES = {
    "C64": ("complex64", 8), "F64": ("float64", 8), "I64": ("int64", 8), "U64": ("uint64", 8),
    "F32": ("float32", 4), "I32": ("int32", 4), "U32": ("uint32", 4),
    "BF16": ("bfloat16", 2), "F16": ("float16", 2), "I16": ("int16", 2), "U16": ("uint16", 2),
    "F8_E8M0": ("float8_e8m0fnu", 1), "F8_E4M3": ("float8_e4m3fn", 1), "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2": ("float8_e5m2", 1), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "I8": ("int8", 1), "U8": ("uint8", 1), "BOOL": ("bool", 1),
}
# fmt: on


class DamagedFile(ValueError):
    """A file that is not what its name says; the text names the file and what is wrong with it."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a safetensors file: its bytes are start..stop-1 of the data after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says it holds."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def digest(source: Path | str | bytes) -> str:
    """The sha256, in hex, of the bytes themselves or of the file at a path."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with _named(source), open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path | str) -> Any:
    """The data in a JSON file; DamagedFile where it is not UTF-8, not JSON, or names a key twice."""
    path = Path(path)
    with _named(path):
        data = path.read_bytes()
    return _decode(data, path, "the file")


def write_json(path: Path | str, data: Any) -> None:
    """Write plain data as JSON, atomically; ValueError for a number that is not finite."""
    write_bytes(path, (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file, atomically."""
    with _new_file(Path(path)) as file:
        file.write(data)


def read_header(path: Path | str) -> Header:
    """The checked header of a safetensors file; DamagedFile where it cannot be true; reads no data."""
    path = Path(path)
    size = path.stat().st_size
    if size < 8:
        raise DamagedFile(f"{path} has {size} bytes: a safetensors file begins with 8 bytes of header length")
    with _named(path), path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise DamagedFile(
                f"{path} says its header has {length} bytes: it needs at least 2 and at most {_LONGEST_HEADER}, "
                f"and {size - 8} follow"
            )
        header = _decode(file.read(length), path, "the header")
    if not isinstance(header, dict):
        raise DamagedFile(f"{path}: the header is a {type(header).__name__}, not an object of tensors by name")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DamagedFile(f"{path}: __metadata__ is an object of texts, not {str(metadata)[:100]}")
    entries = {name: _entry(entry, f"{path}: tensor {name!r}") for name, entry in header.items()}
    _check_places(entries, size - 8 - length, path)
    return Header(entries, metadata)


def read_tensors(path: Path | str) -> dict[str, "Tensor"]:
    """The tensors of a safetensors file, on the CPU; DamagedFile before anything is loaded where the file is not sound.

    The data stay in the file until they are touched (a private map of it).
    """
    read_header(path)
    import safetensors.torch  # here, so that digests and folders need no torch

    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise DamagedFile(f"{path}: {error}") from error


def write_tensors(path: Path | str, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically; equal tensors and metadata give equal bytes.

    Widest dtype first, then by name. Not the library's own writer: that one orders metadata at random and holds every
    byte twice. ValueError for a tensor that has no dense data or a dtype that the format does not know.
    """
    import torch

    names = {getattr(torch, name): key for key, (name, _) in _DTYPES.items()}
    rank = {dtype: place for place, dtype in enumerate(names.values())}
    shapes: dict[str, tuple[str, list[int], int]] = {}  # a mapping may make its tensors when asked: none is held
    for name, tensor in tensors.items():
        if name == "__metadata__" or tensor.dtype not in names or tensor.layout != torch.strided or tensor.is_meta:
            kind = f"{tensor.layout} {tensor.dtype} tensor on {tensor.device}"
            raise ValueError(f"{path}: {name!r}, a {kind}, cannot be a safetensors entry: dense data of a known dtype")
        shapes[name] = names[tensor.dtype], list(tensor.shape), tensor.numel() * tensor.element_size()
    order = sorted(shapes, key=lambda name: (rank[shapes[name][0]], name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    start = 0
    for name in order:
        dtype, shape, size = shapes[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data start aligned
    with _new_file(Path(path)) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            flat = tensors[name].detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
            file.write(flat.numpy().data)


@contextlib.contextmanager
def new_folder(final: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside `final`; at the end it is flushed to the disk and takes the name `final`.

    On an error it is removed and `final` is as it was. ValueError where `final` is a file or has content already.
    """
    final = Path(final)
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise ValueError(f"{final} is already there: choose another name, or remove it")
    final = final.resolve()  # of a link, what it leads to: a folder cannot take a link's name
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(final)
    temporary.mkdir()
    try:
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            _flush(path)
        if final.exists():
            final.rmdir()  # it was empty; where it no longer is, this fails and takes nothing away
        temporary.rename(final)
        _flush(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path | str) -> list[Path]:
    """Remove, and return, what killed processes left half written in `folder`. Only where nobody else is writing."""
    left = sorted(Path(folder).glob(".*.writing"))
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return left


@contextlib.contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """An OSError inside says that it befell `path`: opening a file tells its name, reading and writing do not."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)  # also in place of a temporary name, which means nothing to anybody
        raise


def _decode(data: bytes, path: Path, what: str) -> Any:
    """JSON `data`; DamagedFile says that `what` of `path` is not UTF-8, not JSON, or names a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise DamagedFile(f"{path}: {what} has the key {twice!r} twice")
        return found

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path}: {what} is not UTF-8, at byte {error.start}") from error
    except DamagedFile:
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: {what} is not JSON: {error}") from error


def _natural(values: Any) -> bool:
    """Whether it is a list of whole numbers that fit 63 bits, none negative."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _entry(entry: Any, what: str) -> Entry:
    """One entry of the header, checked by itself."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamagedFile(f"{what} needs dtype, shape and data_offsets, and has {str(entry)[:100]}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise DamagedFile(f"{what} has the unknown dtype {dtype!r}; known: {', '.join(_DTYPES)}")
    if not _natural(shape) or len(shape) > _MOST_DIMENSIONS:
        raise DamagedFile(
            f"{what} has the shape {str(shape)[:100]}: at most {_MOST_DIMENSIONS} whole numbers, none negative"
        )
    if not _natural(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise DamagedFile(f"{what} has the offsets {str(offsets)[:100]}: two whole numbers, the first not the larger")
    width = _DTYPES[dtype][1]
    # Without the zeros: strides are computed without them too, and overflow just the same.
    if math.prod(size for size in shape if size) * width >= 2**63:
        raise DamagedFile(f"{what} has the shape {shape}, whose product overflows 63 bits")
    if math.prod(shape) * width != offsets[1] - offsets[0]:
        given = offsets[1] - offsets[0]
        raise DamagedFile(f"{what}, {dtype} {shape}, takes {math.prod(shape) * width} bytes, its offsets hold {given}")
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _check_places(entries: dict[str, Entry], size: int, path: Path) -> None:
    """The tensors fill `size` bytes of data, one after the other, with no hole and no overlap."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            fault = "leaves a hole before it" if entry.start > end else "overlaps another tensor"
            raise DamagedFile(f"{path}: tensor {name!r} {fault}: it starts at {entry.start}, not at {end}")
        end = entry.stop
        if end > size:
            raise DamagedFile(f"{path}: tensor {name!r} ends at {end}, past the {size} bytes of data: cut short?")
    if end != size:
        raise DamagedFile(f"{path}: {size - end} bytes follow the last tensor")


def _beside(path: Path) -> Path:
    """A name in the same folder that nobody has; `sweep` knows it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.writing")


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` once it is whole and on the disk, and vanishes on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with _named(path), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """fsync a file or a folder: a rename is only safe once what it names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
