"""The tensors of a folder as views of its files: one safetensors file, or shards with an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from weft.files import DamagedFile, Entry, read_header, read_json
from weft.hub.error import LoadError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = {".bin", ".pt", ".pth", ".ckpt"}
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I64": torch.int64}


class Weights(Mapping[str, Tensor]):
    """Tensors by name, mapped: nothing is read before it is touched, and nothing is held beside the file.

    A map stays on the file that was opened, also where another takes its name (which is how weft writes).

    entries: by name, what the headers say; paths: which of the files each lies in, as people know it.

    LoadError for files that are not sound, and for tensors of a dtype no weight has.
    """

    def __init__(self, files: Mapping[Path, frozenset[str] | None], called: Mapping[Path, Path] | None = None) -> None:
        """files: which tensors each is to hold; None: whatever it does. called: what people know a file as, where that
        is another."""
        self._called = {path: path for path in files} | dict(called or {})
        self.files = tuple(sorted(self._called.values()))
        self.entries: dict[str, Entry] = {}
        self._bytes: dict[str, Tensor] = {}
        self.paths: dict[str, Path] = {}
        for path, names in files.items():
            self._open(path, names)

    def _open(self, path: Path, names: frozenset[str] | None) -> None:
        shown = self._called[path]
        if not path.is_file():
            raise LoadError(f"{path} is {'no file' if path.exists() else 'missing'}: {_way_out(path)}")
        try:
            entries = read_header(path).entries
        except DamagedFile as error:
            raise LoadError(str(error)) from error
        if names is not None and names != entries.keys():
            absent, extra = sorted(names - entries.keys()), sorted(entries.keys() - names)
            what = f"lacks {some(absent)}, which" if absent else f"holds {some(extra)}, which"
            raise LoadError(f"{shown} {what} the index puts {'here' if absent else 'elsewhere, or nowhere'}")
        size = path.stat().st_size
        data = size - max((entry.stop for entry in entries.values()), default=0)  # where the data begin
        whole = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)  # private: writing to it copies
        for name, entry in entries.items():
            if entry.dtype not in DTYPES:
                known = ", ".join(DTYPES)
                raise LoadError(
                    f"{shown}: tensor {name!r} is {entry.dtype}; weights are {known}: if they were quantised, take the "
                    "folder they were made from"
                )
            self.entries[name], self.paths[name] = entry, shown
            self._bytes[name] = whole[data + entry.start : data + entry.stop]

    def __getitem__(self, name: str) -> Tensor:
        entry, raw, dtype = self.entries[name], self._bytes[name], DTYPES[self.entries[name].dtype]
        if raw.storage_offset() % dtype.itemsize:  # an old file that does not align its data
            raw = raw.clone()
        return raw.view(dtype).view(entry.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def dtype(self, name: str) -> torch.dtype:
        """As in the file."""
        return DTYPES[self.entries[name].dtype]

    @property
    def dtypes(self) -> dict[str, int]:
        """How many tensors have each, by torch's name for it."""
        found = [str(self.dtype(name)).removeprefix("torch.") for name in self]
        return {dtype: found.count(dtype) for dtype in sorted(set(found))}

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(entry.stop - entry.start for entry in self.entries.values())


def open_weights(folder: Path) -> Weights:
    """The weights of a folder. LoadError where there are none, two sets, or they are not sound."""
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file() and index.is_file():
        raise LoadError(f"{folder} has both {WEIGHTS} and {INDEX}: remove the one that is not meant")
    if index.is_file():
        return Weights(shards_of(index))
    if not single.is_file():
        raise LoadError(f"{single} is missing: {_way_out(single)}")
    return Weights({single: None})


def shards_of(index: Path, suffix: str = ".safetensors") -> dict[Path, frozenset[str]]:
    """Which file holds which tensors. LoadError for an index that says it badly, or leads out of its folder."""
    try:
        data = read_json(index)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    places = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise LoadError(f"{index} has no weight_map of files by tensor: it is no index of weights")
    shards: dict[Path, set[str]] = {}
    for name, file in places.items():
        if Path(file).name != file or "\\" in file or not file.isprintable() or Path(file).suffix != suffix:
            raise LoadError(f"{index} puts {name} into {file!r}: a shard is a {suffix} file in the same folder")
        shards.setdefault(index.parent / file, set()).add(name)
    return {path: frozenset(names) for path, names in shards.items()}


def _way_out(path: Path) -> str:
    """What to do where weights are not at `path`."""
    if path.name != WEIGHTS:
        return f"{INDEX} names it: fetch the folder again"
    nothing = "there are no weights in this folder, and no checkpoint either: nothing was trained here yet"
    return instead(path.parent) or nothing


def unlike(folder: Path) -> str | None:
    """What a folder holds that is no model, and what to do instead; None where there is nothing of the kind."""
    there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if there & {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"}:
        return "the folder holds an adapter, which changes a model and is none: load the model it was made for"
    if any(name.endswith(".gguf") for name in there):
        return "the folder holds GGUF, which cannot be turned back exactly: take the folder it was made from"
    return None


def instead(folder: Path) -> str | None:
    """What a folder holds in place of weights, and what to do with it; None where there is nothing of the kind."""
    kinds = {file.suffix for file in folder.iterdir()} if folder.is_dir() else set()
    if unlike(folder):
        return unlike(folder)
    if any(folder.glob("model-*-of-*.safetensors")):
        return f"there are shards, but no {INDEX} that says what they hold: fetch the folder again"
    if kinds & PICKLED:
        return unpickling(folder)
    if kinds & {".h5", ".msgpack", ".onnx"}:
        return "the folder holds weights for another library, and weft reads safetensors: take a folder that has them"
    return None


def unpickling(path: Path) -> str:
    """What is wrong with pickled weights, a folder's or a file's, and the way out."""
    return (
        "the weights are pickled, and a pickle can run any code when it is read: "
        f"`weft convert {path} NEW --unsafe-pickle` reads it in a process of its own, tensors only"
    )


def some(names: list[str]) -> str:
    """The first few of a list of names."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
