"""How CLIP's and SigLIP's towers make a vector of a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.nn import (
    MLP,
    Block,
    CrossAttention,
    Field,
    Full,
    LayerNorm,
    Layout,
    Linear,
    Memory,
    Position,
    Residual,
    Stack,
)
from weft.nn.context import Context
from weft.nn.encoder import PlacePooler, RowPooler


class End(PlacePooler):
    """The state at the first place that holds an id, or, for None, at the first that holds the row's largest one: where
    the first text of a row ends."""

    pairs = False

    def __init__(self, end: int | None, project: Linear | None = None) -> None:
        super().__init__(project)
        self.end = end

    def place(self, tokens: Tensor, here: Layout) -> Tensor:
        """ValueError for a row without it, on a CPU: elsewhere asking would wait for the device."""
        real = torch.ones_like(tokens, dtype=torch.bool) if here.segments is None else here.segments > 0
        if self.end is None:
            return tokens.where(real, -1).argmax(dim=1)  # [B]
        found = (tokens == self.end) & real  # [B, T]
        some = found.any(dim=1)  # [B]
        if tokens.device.type == "cpu" and not torch.compiler.is_compiling() and not bool(some.all()):
            rows = (~some).nonzero()[:, 0].tolist()
            raise ValueError(
                f"rows {rows} hold no end token ({self.end}), whose state is the text's: put one behind it"
            )
        return found.int().argmax(dim=1)  # [B]


class Last(PlacePooler):
    """The state at the last place that is no padding."""

    def place(self, tokens: Tensor, here: Layout) -> Tensor:
        if here.segments is None:
            return torch.full_like(tokens[:, 0], tokens.shape[1] - 1)  # [B]
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return places.where(here.segments > 0, 0).amax(dim=1)  # [B]


class Mean(RowPooler):
    """The mean of the states of all places that are no padding, in fp32 at least."""

    def forward(self, x: Tensor, tokens: Tensor, here: Layout) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if here.segments is None:
            return x.mean(dim=1)  # [B, D]
        real = (here.segments > 0).to(x.dtype)[..., None]  # [B, T, 1]
        return (x * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)  # [B, D]


class Probe(nn.Module):
    """y + mlp(norm(y)) of y = attention(probe, x), whose query is trained (Zhai et al. 2022, §3.2).
    x [B, T, D] -> [B, D]."""

    def __init__(self, width: int, heads: int, hidden: int, *, act: str, eps: float) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(1, width))
        looking = Residual(CrossAttention(width, heads, field="memory"), skip=0.0)  # the probe itself is not added
        mlp = Residual(MLP(width, hidden, act=act), pre=LayerNorm(width, eps=eps))
        memory = Field(Position(), Full(), keys="memory")
        self.stack = Stack([Block(cross=looking, mlp=mlp)], fields={"memory": memory})
        self.reset()

    def reset(self) -> None:
        nn.init.normal_(self.probe, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        here, query = Layout(), self.probe.to(x.dtype).expand(len(x), 1, -1)  # [B, 1, D]
        return self.stack(query, Context(here, Memory(x, here)))[0][:, 0]  # [B, D]
