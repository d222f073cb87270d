"""Images: what ViT and its kin are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odd import Given
from weft.nn import Layout


@dataclass(frozen=True, eq=False)
class Pictures(Given):
    """Three images of noise, fp32 [3, C, side, side], in patches of `patch` pixels."""

    pixels: Tensor
    patch: int

    @staticmethod
    def of(config: Any) -> Pictures:
        """As large as the reference's config says."""
        generator = torch.Generator().manual_seed(1)
        shape = (3, config.num_channels, config.image_size, config.image_size)
        return Pictures(torch.randn(shape, generator=generator), config.patch_size)

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """Scores; of a bare class, states with the pooled one added where there is one."""
        parameter = next(model.parameters())
        out = model(pixel_values=self.pixels.to(parameter.dtype))
        if "logits" in out:
            return out["logits"]
        pooled = out.get("pooler_output")
        return out["last_hidden_state"] + (0 if pooled is None else pooled[:, None])

    def ours(self, module: nn.Module) -> Tensor:
        """The same of ours."""
        rows = patches(self.pixels.to(next(module.parameters()).dtype), self.patch)
        hidden, _ = module(rows)
        if module.heads:
            return module.logits(hidden)  # type: ignore[operator]
        return hidden + module.pool(hidden)[:, None]  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What turns a patch into a vector."""
        convolution = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
        return convolution.weight, module.get_parameter("embed.lift.weight")


def patches(pixels: Tensor, patch: int) -> Tensor:
    """[B, C, height, width] -> [B, patches, C · patch · patch], by the definition: one patch after another."""
    rows, columns = pixels.shape[2] // patch, pixels.shape[3] // patch
    cut = [
        pixels[:, :, patch * row : patch * (row + 1), patch * column : patch * (column + 1)].flatten(1)
        for row in range(rows)
        for column in range(columns)
    ]
    return torch.stack(cut, dim=1)


@dataclass(frozen=True, eq=False)
class Hidden(Pictures):
    """Such images, most of whose patches are hidden: noise, fp32 [3, P], says which are seen."""

    noise: Tensor
    visible: int

    @staticmethod
    def of(config: Any) -> Hidden:
        """As the reference's config says."""
        pictures, patches = Pictures.of(config), (config.image_size // config.patch_size) ** 2
        noise = torch.rand(3, patches, generator=torch.Generator().manual_seed(3))
        return Hidden(pictures.pixels, pictures.patch, noise, int(patches * (1 - config.mask_ratio)))

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """What patches hold, in our order; of a bare class, states."""
        out = model(pixel_values=self.pixels.to(next(model.parameters()).dtype), noise=self.noise)
        if "logits" not in out:
            return out["last_hidden_state"]
        return channels_first(out["logits"], self.pixels.shape[1])

    def ours(self, module: nn.Module) -> Tensor:
        """The same of ours."""
        rows, order = self.seen(module)
        hidden, _ = module(rows, Layout(order=order))
        return module.heads["patches"](hidden, order=order) if module.heads else hidden  # type: ignore[index]

    def seen(self, module: nn.Module) -> tuple[Tensor, Tensor]:
        """The patches that are seen [3, V, C] and their places [3, V]: those of the least noise."""
        order = self.noise.argsort(dim=1)[:, : self.visible]  # [3, V]
        rows = patches(self.pixels.to(next(module.parameters()).dtype), self.patch)
        return rows.gather(1, order[..., None].expand(-1, -1, rows.shape[-1])), order


def channels_first(pixels: Tensor, channels: int) -> Tensor:
    """Patches [B, P, row · column · channel] as [B, P, channel · row · column], by the definition."""
    return torch.cat([pixels[..., channel::channels] for channel in range(channels)], dim=-1)
