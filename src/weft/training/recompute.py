"""Activation checkpointing: a layer's activations are forgotten, and computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor
from torch.compiler import is_compiling
from torch.nn import Module
from torch.utils.checkpoint import checkpoint

from weft.training.parallel import layers


@contextmanager
def recomputed(module: Module, wanted: bool) -> Iterator[None]:
    """Inside it each layer (what lies in a ModuleList) keeps its input alone for the backward pass (Chen et al. 2016).

    Memory falls from that of all activations to one layer's and the inputs; the work rises by a forward pass. Dropout
    draws the same numbers both times, and the second time no buffer changes. ValueError where the module has no
    ModuleList.
    """
    found = list(dict.fromkeys(layers(module))) if wanted else []  # one that is used twice, once
    if wanted and not found:
        raise ValueError("recompute needs layers in a torch.nn.ModuleList, and this module has none: set it to false")
    own = {layer: layer.forward for layer in found if "forward" in vars(layer)}  # set on the layer by whoever made it
    for layer in found:
        passes = partial(_passes, layer)
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, context_fn=passes)
    try:
        yield
    finally:
        for layer in found:
            del layer.forward  # the class's own is seen again
        for layer, forward in own.items():
            layer.forward = forward


Owned = list[tuple[Module, str, Tensor]]


def _passes(layer: Module) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """What surrounds the forward pass of a layer, and the second one in the backward pass: that one begins with the
    buffers of the first, so that it computes the same, and what it makes of them is forgotten. Compiled code has no
    second pass of its own."""
    if is_compiling():
        return nullcontext(), nullcontext()
    before: Owned = [(owner, name, buffer.detach().clone()) for owner, name, buffer in _buffers(layer)]
    return nullcontext(), _lent(layer, before)


@contextmanager
def _lent(layer: Module, before: Owned) -> Iterator[None]:
    now = _buffers(layer)  # kept as they are, and not written to: what was computed with them may be needed yet
    try:
        for owner, name, buffer in before:
            setattr(owner, name, buffer)
        yield
    finally:
        for owner, name, buffer in now:
            setattr(owner, name, buffer)


def _buffers(layer: Module) -> Owned:
    return [(owner, name, buffer) for owner in layer.modules() for name, buffer in owner.named_buffers(recurse=False)]
