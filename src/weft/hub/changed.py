"""A model with one setting changed and the weights it had; one for images of another size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.hub.weights import some
from weft.nn import Encoder

if TYPE_CHECKING:
    from weft.hub.model import Model


def changed(model: Model, path: str, text: str, seed: int) -> Model:
    """See `Model.change`."""
    blueprint = model.blueprint.change(path, text)
    module, old = blueprint.build(seed=seed), model.module.state_dict()
    new = module.state_dict()
    kept = {name for name, tensor in new.items() if name in old and old[name].shape == tensor.shape}
    example = next(model.module.parameters())
    given = {name: old[name].clone() if name in kept else new[name].to(example) for name in new}
    module.load_state_dict(given, strict=True, assign=True)
    fresh, gone = sorted(new.keys() - kept), sorted(old.keys() - kept)
    notices = [f"new and untrained: {some(fresh)}"] if fresh else []
    notices += [f"left out: {some(gone)}"] if gone else []
    return replace(model, module=module, blueprint=blueprint, notices=tuple(notices))


def resized(model: Model, image: int) -> Model:
    """See `Model.resized`."""
    blueprint = model.blueprint.change("image", str(image))
    module, old = blueprint.empty(), model.module.state_dict()
    given, stretched = _fitted(module, old)
    module.load_state_dict(given, strict=True, assign=True)
    notices = (f"stretched to an image of {image} pixels: {some(stretched)}",) if stretched else ()
    return replace(model, module=module.eval(), blueprint=blueprint, notices=notices)


def _fitted(module: nn.Module, old: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of an empty module, of those of one for other images; which are not as they were. ValueError for one
    that has another shape and is no table of places."""
    before = module.embed.before if isinstance(module, Encoder) else 0
    given, stretched = dict[str, Tensor](), list[str]()
    for name, wanted in module.state_dict().items():
        given[name] = old[name].clone()
        if wanted.shape != old[name].shape:
            try:
                given[name] = stretch(old[name], wanted.shape[0], before)
            except ValueError as error:
                raise ValueError(f"{name} {list(old[name].shape)} would be {list(wanted.shape)}: {error}") from error
            stretched.append(name)
    return given, stretched


def stretch(table: Tensor, rows: int, before: int = 0) -> Tensor:
    """A table of places [F + side², D] as one of `rows` = F + other², by bicubic interpolation over rows and columns;
    the first F, `before`, are kept. ValueError where either is no square (Dosovitskiy et al. 2021, §3.2)."""
    there, wanted = math.isqrt(max(0, len(table) - before)), math.isqrt(max(0, rows - before))
    if table.ndim != 2 or min(there, wanted) < 1 or (there**2, wanted**2) != (len(table) - before, rows - before):
        raise ValueError(f"behind {before} rows stand no squares of places, and only these can be stretched")
    first, wide = table[:before], torch.promote_types(table.dtype, torch.float32)
    grid = table[before:].to(wide).unflatten(0, (there, there)).permute(2, 0, 1)[None]  # [1, D, side, side]
    grid = functional.interpolate(grid, size=(wanted, wanted), mode="bicubic", align_corners=False)
    return torch.cat((first, grid[0].permute(1, 2, 0).flatten(0, 1).to(table.dtype)))
