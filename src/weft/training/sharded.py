"""Tensors in shares, one on each process (FSDP2), and the files that the shares are kept in."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from weft.files import DamagedFile, read_header, read_tensors
from weft.training.world import World

FILES = r"shard-\d{5}-model-00001-of-00001\.safetensors"  # what torch's writer calls them, one for each process
PLACES, PLACE = "DCP_SHARDING_INFO", "saved_offsets"  # where it says, in their metadata, what a share begins at


def whole(tensor: Tensor) -> Tensor:
    """A share as the whole it belongs to, any other tensor as it is. Called by all processes together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """What of a tensor lies on this process, without gradients: the same memory, all of it where it is no share."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach()


def share(tensor: Tensor, like: Tensor) -> Tensor:
    """What this process keeps of a whole tensor, cut as `like` is; as it is where `like` is whole. No talk needed."""
    if isinstance(tensor, DTensor) or not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def write(folder: Path, tensors: Mapping[str, Tensor], world: World) -> None:
    """Write every process's shares of `tensors` into `folder`; a tensor that is whole comes from the main process.

    By torch.distributed.checkpoint, as safetensors, without its pickled index; tensors only: a plain number would leave
    a file that cannot be opened. Called by all processes together; OSError, on all, where one cannot write.
    """
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())
    try:
        save(
            dict(tensors),
            storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True),
            planner=DefaultSavePlanner(dedup_save_to_lowest_rank=True),
            process_group=world.group,
        )
    except CheckpointException as error:  # no Exception, in torch
        failures = (f"process {rank}: {cause}" for rank, (cause, _) in sorted(error.failures.items()))
        raise OSError("; ".join(failures)) from error


class Shards(Mapping[str, Tensor]):
    """The tensors in a folder that `write` wrote, each put together when it is asked for; on any number of processes.

    Not by torch's reader: this one checks the files as all others, speaks to nobody, so that no process waits for one
    that failed, and holds one whole tensor at a time.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.pieces: dict[str, list[tuple[list[int], Tensor]]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            places = _places(file)
            for name, tensor in read_tensors(file).items():
                self.pieces.setdefault(name, []).append((places[name], tensor))

    def __getitem__(self, name: str) -> Tensor:
        """DamagedFile where the pieces do not add up to the whole."""
        pieces = self.pieces[name]
        ends = [[start + size for start, size in zip(at, piece.shape, strict=True)] for at, piece in pieces]
        found = torch.empty([max(along) for along in zip(*ends, strict=True)], dtype=pieces[0][1].dtype)
        for (starts, piece), stops in zip(pieces, ends, strict=True):
            found[tuple(map(slice, starts, stops))] = piece
        if (held := sum(piece.numel() for _, piece in pieces)) != found.numel():
            raise DamagedFile(f"{self.folder}: the shares of {name} hold {held} numbers of {found.numel()}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)


def _places(file: Path) -> dict[str, list[int]]:
    """Where each tensor of a file begins in its whole. DamagedFile where the file does not say so."""
    header = read_header(file)
    try:
        places = {name: list(place[PLACE]) for name, place in json.loads(header.metadata[PLACES]).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(f"{file}: does not say which parts of its tensors it holds ({PLACES})") from error
    fits = {name for name, place in places.items() if name in header.entries}
    if fits != header.entries.keys() or any(len(places[n]) != len(e.shape) for n, e in header.entries.items()):
        raise DamagedFile(f"{file}: {PLACES} does not name the tensors that it holds")
    return places
