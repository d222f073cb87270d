"""torch's default generators: lent for a while and put back, and told apart on several processes."""

import hashlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.random import fork_rng


def kept(device: torch.device) -> AbstractContextManager[None]:
    """Inside it whatever draws numbers may; afterwards the generators of the CPU and of `device` stand where they
    stood."""
    if device.type in ("cpu", "meta"):
        return fork_rng(devices=[])
    return fork_rng(devices=[device.index or 0], device_type=device.type)


def told_apart(state: Tensor, rank: int) -> Tensor:
    """The state of a generator for process `rank`, of one that several would share: the first one's is `state` itself.

    Processes that draw from one state would give the noise of a data set twice.
    """
    if rank == 0:
        return state
    seed = hashlib.sha256(f"process/{rank}/".encode() + state.numpy().tobytes()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(seed, "little")).get_state()
