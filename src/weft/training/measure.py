"""Which attention kernel is fastest here: measured once, on the shapes a run will have, then fixed and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from weft.nn.attention import Attention
from weft.nn.context import Field
from weft.nn.kernels import HELD, KERNELS, able, attend, sparse
from weft.nn.layout import Layout
from weft.nn.stack import Stack


def choose(module: nn.Module, rows: int, length: int, *, dtype: torch.dtype, repeats: int = 5) -> dict[str, str]:
    """Time every able kernel on each self-attending field, forward and backward, and fix the fastest.

    Returns field name -> kernel, to be recorded and handed to `replay` when the run resumes.
    """
    chosen = {}
    for name, field, attention in _fields(module):
        times = costs(field, attention, rows, length, dtype=dtype, repeats=repeats)
        chosen[name] = field.kernel = min(times, key=lambda kernel: times[kernel])
    return chosen


def replay(module: nn.Module, chosen: dict[str, str]) -> None:
    """Fix the kernels that an earlier `choose` returned. ValueError where a name is no field, or no kernel."""
    fields = {name: field for name, field, _ in _fields(module)}
    for name, kernel in chosen.items():
        if name not in fields or kernel not in KERNELS:
            raise ValueError(
                f"the kernel {kernel!r} was recorded for the field {name!r}, but this model has the fields "
                f"{', '.join(fields) or 'none'}, and there are the kernels {', '.join(KERNELS)}: measure anew"
            )
        fields[name].kernel = kernel


def costs(
    field: Field, attention: Attention, rows: int, length: int, *, dtype: torch.dtype, repeats: int = 5
) -> dict[str, float]:
    """Median seconds of one forward and backward pass over [rows, length] by kernel; the slow reference is left out,
    and so are kernels that hold all scores where those take more than HELD bytes and another kernel can do it.

    What the attention adds (a bias, values by distance, a sink) takes part, so that only able kernels are timed; under
    autocast where its weights are of another dtype. Leaves no gradients behind.
    """
    example = next(attention.parameters())
    device, cast = example.device, partial(torch.autocast, example.device.type, dtype, enabled=example.dtype != dtype)
    heads = (attention.heads, attention.kv_heads, attention.kv_heads)
    widths = (attention.head_width, attention.head_width, attention.value_width)
    q, k, v = (
        torch.randn(rows, length, head, width, device=device, dtype=dtype, requires_grad=True)
        for head, width in zip(heads, widths, strict=True)
    )
    with torch.no_grad(), cast():  # a trained bias is the field's cost, once a pass, not a kernel's
        sight = field.among(Layout(), length, device)
        how = replace(attention.scoring(q, k, sight), dropout=attention.dropout)  # as in training
    learned = [q, k, v, *(parameter for parameter in attention.parameters() if parameter.requires_grad)]
    if how.bias is not None:  # the same for every kernel to make, but not to learn from
        how = replace(how, bias=how.bias.requires_grad_())
        learned.append(how.bias)

    def once(kernel: str) -> None:
        with cast():
            out = attend(q, k, v, replace(sight, kernel=kernel), how)
        torch.autograd.grad(out, learned, torch.ones_like(out), allow_unused=True)

    names = [name for name in KERNELS if name != "eager" and able(name, sight, how)]
    if rows * attention.heads * length**2 * q.element_size() > HELD:
        whole = ("matmul",) if sparse(sight) else ("matmul", "blocked")  # those that hold them
        names = [name for name in names if name not in whole] or names
    return {name: _median(partial(once, name), repeats, device) for name in names}


def _median(once: Callable[[], None], repeats: int, device: torch.device) -> float:
    """Seconds of one call, the first not counted."""
    times = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        once()
        if device.type == "cuda":  # the first call too, or the second would wait for it
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[repeats // 2]


def _fields(module: nn.Module) -> Iterator[tuple[str, Field, Attention]]:
    """Every self-attending field, by name, with an attention that looks through it."""
    for prefix, stack in module.named_modules():
        if not isinstance(stack, Stack):
            continue
        for name, field in stack.fields.items():
            users = (part for part in stack.modules() if isinstance(part, Attention) and part.field == name)
            user = next((part for part in users if part.core is None), None)  # a core runs no kernel of the field's
            if isinstance(field, Field) and field.keys == "self" and user is not None:
                yield (f"{prefix}.fields.{name}" if prefix else f"fields.{name}"), field, user
