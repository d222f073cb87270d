"""A decoder that is given images: what makes embeddings of them, and puts them where its image tokens stand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn import Decoder, Encoder, Layout, Linear
from weft.nn.activation import activation
from weft.nn.context import Context


class Projector(nn.Module):
    """out(act(into(x))). x [.., Di] -> [.., D]."""

    def __init__(self, width_in: int, width: int, *, act: str, bias: bool) -> None:
        super().__init__()
        self.act = activation(act)
        self.into, self.out = Linear(width_in, width, bias=bias), Linear(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.into(x, self.act))  # [.., D]


class Seeing(Decoder):
    """A decoder, and beside it what makes its embeddings of an image's places.

    A row may have several images: its source [B, n·S, C] holds n of S patches each, one after another, which stand in
    the order in which its image tokens do. Where a row has fewer than others the last ones are padding (segment 0 in
    the source's layout). token: the id of an image's places. upto: the layers of the tower that run, see `Stack`; skip:
    so many of an image's first states are left out.
    """

    def __init__(self, text: Decoder, tower: Encoder, project: nn.Module, *, token: int, upto: int, skip: int) -> None:
        super().__init__(text.embed, text.stack, head=text.head)
        self.tower, self.project = tower, project
        self.token, self.upto, self.skip = token, upto, skip

    def look(self, images: Tensor) -> Tensor:
        """Images as patches [N, S, C] -> what stands for each, [N, P, D]."""
        x, here = self.tower.embed.read(images, Layout())
        states, auxiliary = self.tower.stack(x, Context(here), upto=self.upto)
        assert auxiliary is None, "terms of a tower would be lost"
        return self.project(states[:, self.skip :])  # [N, P, D]

    def insert(
        self, tokens: Tensor, source: Tensor, source_here: Layout | None = None, here: Layout | None = None
    ) -> Tensor:
        """See `Decoder.insert`. ValueError for a source of no whole images, and for a row that has more or fewer image
        tokens than states."""
        whole, rows = self.tower.context, len(tokens)
        if source.ndim != 3 or whole is None or source.shape[1] % whole or len(source) != rows:
            raise ValueError(f"{rows} rows are given images of {whole} patches each, not a source of {[*source.shape]}")
        states = self.look(source.unflatten(1, (-1, whole)).flatten(0, 1))  # [B·n, P, D]
        each = states.shape[1]
        states = states.unflatten(0, (rows, -1)).flatten(1, 2)  # [B, n·P, D]
        wanted = tokens == self.token  # [B, T]
        if here is not None and here.segments is not None:
            wanted = wanted & (here.segments > 0)
        if not torch.compiler.is_compiling():
            there = None if source_here is None else source_here.segments
            self._count(wanted, source.shape[1] if there is None else (there > 0).sum(dim=1), each)
        place = (wanted.cumsum(dim=1) - 1).clamp(0, states.shape[1] - 1)  # [B, T], of each one's state
        found = states.gather(1, place[..., None].expand(-1, -1, states.shape[-1]))  # [B, T, D]
        assert self.embed.weight is not None
        embedded = functional.embedding(tokens, self.embed.weight)  # [B, T, D]
        return torch.where(wanted[..., None], found.to(embedded.dtype), embedded)

    def _count(self, wanted: Tensor, patches: Tensor | int, each: int) -> None:
        """ValueError where a row's image tokens, bool [B, T], are not its images' states, `each` of one."""
        assert self.tower.context is not None
        states = torch.as_tensor(patches, device=wanted.device).expand(len(wanted)) // self.tower.context * each
        for row in (wanted.sum(dim=1) != states).nonzero()[:1, 0].tolist():
            raise ValueError(
                f"row {row} has {int(wanted[row].sum())} image tokens ({self.token}), and its images make "
                f"{int(states[row])} states: write {each} of them for each image"
            )
