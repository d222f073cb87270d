"""Compiled code, for as long as a run lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn import Module


@contextmanager
def compiled(module: Module, wanted: bool) -> Iterator[None]:
    """Inside it the module, where that is `wanted`, is called as compiled code; afterwards as it was called before."""
    before = module._compiled_call_impl  # what Module.compile sets, and there is no public way back
    if wanted:
        module.compile(dynamic=False)
    try:
        yield
    finally:
        module._compiled_call_impl = before
