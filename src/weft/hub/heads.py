"""Fewer key/value heads: a trained multi-head model as a grouped-query or multi-query one (Ainslie et al. 2023, §2.1).

Each new head is the mean of the heads of its group, in the projections of keys and of values, biases too; all else
stays as it is. Much of what was lost comes back in a short further training: 5% of the steps, say the authors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from weft.models import FAMILIES, Blueprint
from weft.nn import Attention, Joined

FIELD = "kv_heads"


def fewer(blueprint: Blueprint, kv_heads: int) -> Blueprint:
    """The model with as many key/value heads. ValueError for a family that has no such number, and for one that does
    not divide what there is."""
    config, families = blueprint.config, [name for name in FAMILIES.names() if _counts(FAMILIES.get(name).config)]
    if not _counts(type(config)):
        raise ValueError(
            f"family {blueprint.family!r} has no number of key/value heads of its own, so there is nothing to average; "
            f"these have: {', '.join(families)}"
        )
    there = config.heads if config.kv_heads is None else config.kv_heads
    if kv_heads < 1 or there % kv_heads:
        choices = [str(count) for count in range(1, there + 1) if there % count == 0]
        raise ValueError(
            f"{kv_heads} key/value heads cannot be made of {there}, each the mean of as many: choose a divisor of "
            f"{there} ({', '.join(choices)})"
        )
    if kv_heads == there:
        return blueprint
    return dataclasses.replace(blueprint, config=dataclasses.replace(config, kv_heads=kv_heads))


def _counts(config: type) -> bool:
    return any(field.name == FIELD for field in dataclasses.fields(config))


class Averaged(Mapping[str, Tensor]):
    """The tensors of a model with fewer key/value heads, each made when it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], old: nn.Module, new: nn.Module) -> None:
        """tensors: of `old`; both modules empty. ValueError where a tensor depends on the number that is no projection
        of keys or values, nor a norm over all keys at once."""
        self._tensors, self._groups = tensors, dict[str, tuple[int, int]]()
        for path, part in new.named_modules():
            was = old.get_submodule(path)
            if isinstance(part, Attention) and isinstance(was, Attention) and part.kv_heads != was.kv_heads:
                for way in ("k", "v", *(["k_norm.norm"] if isinstance(part.k_norm, Joined) else [])):
                    for kind in ("weight", "bias"):
                        self._groups[f"{path}.{way}.{kind}"] = part.kv_heads, was.kv_heads
        before, after = old.state_dict(), new.state_dict()
        for name in before:
            if name not in self._groups and before[name].shape != after[name].shape:
                raise ValueError(
                    f"{name} {list(before[name].shape)} would become {list(after[name].shape)}, and its heads are no "
                    "projections whose mean is one: this family's key/value heads cannot be averaged"
                )

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        if name not in self._groups:
            return tensor
        new, old = self._groups[name]
        heads = tensor.double().unflatten(0, (new, old // new, -1))  # [G', G/G', K, ..]
        return heads.mean(dim=1).flatten(0, 1).to(tensor.dtype)  # [G'·K, ..]; equal heads have themselves as their mean

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
