"""Activation checkpointing: a layer's activations are forgotten, and computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch.nn import Module
from torch.utils.checkpoint import checkpoint

from weft.training.parallel import layers


@contextmanager
def recomputed(module: Module, wanted: bool) -> Iterator[None]:
    """Inside it each layer (what lies in a ModuleList) keeps its input alone for the backward pass (Chen et al. 2016).

    Memory falls from that of all activations to one layer's and the inputs; the work rises by a forward pass. Dropout
    draws the same numbers both times. ValueError where the module has no ModuleList.
    """
    found = list(dict.fromkeys(layers(module))) if wanted else []  # one that is used twice, once
    if wanted and not found:
        raise ValueError("recompute needs layers in a torch.nn.ModuleList, and this module has none: set it to false")
    own = {layer: layer.forward for layer in found if "forward" in vars(layer)}  # set on the layer by whoever made it
    for layer in found:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in found:
            del layer.forward  # the class's own is seen again
        for layer, forward in own.items():
            layer.forward = forward
