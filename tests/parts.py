"""What the tests of the parts share: how close is close, rows of documents, and a small decoder."""

import torch
from torch import Tensor

from weft.models import FAMILIES
from weft.nn import (
    MLP,
    SCHEMES,
    Alibi,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Field,
    LayerNorm,
    Layout,
    Learned,
    LMHead,
    Position,
    Residual,
    RMSNorm,
    Rope,
    Stack,
    Window,
    rope,
)
from weft.nn.context import Context

PLAIN, CTX = Layout(), Context(Layout())
CPU = torch.device("cpu")


def schemes(family: str) -> list[str]:
    """The position schemes that a family says it takes, by name: all, or none but "none"."""
    return list(SCHEMES) if "position" in FAMILIES.get(family).swaps else ["none"]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """|a - b| <= tolerance times b's standard deviation, or times 0.1 where that is less (a gradient that is zero)."""
    assert a.shape == b.shape, f"{list(a.shape)} is not {list(b.shape)}"
    assert torch.isfinite(a).all(), "not finite"
    size = max(float(b.detach().double().std()) if b.numel() > 1 else 1.0, 0.1)
    a, b = a.detach(), b.detach()
    gap = float((a.double() - b.double()).abs().max()) / size if a.numel() else 0.0
    assert gap <= tolerance, f"off by {gap:.2e} standard deviations, more than {tolerance:.0e}"


LONG = 150  # three blocks of the blocked kernel, the last one not full


def packed(rows: list[list[int]]) -> Layout:
    """Rows of documents by their lengths; what is left of LONG is padding."""
    segments = torch.zeros(len(rows), LONG, dtype=torch.int64)
    for row, lengths in enumerate(rows):
        at = 0
        for number, length in enumerate(lengths, 1):
            segments[row, at : at + length] = number
            at += length
    return Layout(segments=segments)


RAGGED_LEFT = Layout.ragged(torch.tensor([3, 140]), LONG, side="left")
PACKED = packed([[60, 60, 30], [10, 100]])
SCALINGS = {
    "linear": (rope.Linear(4.0), {"rope_type": "linear", "factor": 4.0}),
    "dynamic": (rope.Dynamic(2.5, 64), {"rope_type": "dynamic", "factor": 2.5}),
    "yarn": (
        rope.Yarn(8.0, 32),
        {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32},
    ),
    "yarn, not truncated": (
        rope.Yarn(32.0, 40, truncate=False, fast=20.0, slow=2.0),
        {
            "rope_type": "yarn",
            "factor": 32.0,
            "original_max_position_embeddings": 40,
            "truncate": False,
            "beta_fast": 20.0,
            "beta_slow": 2.0,
        },
    ),
    "yarn, all pairs slowed": (
        rope.Yarn(4.0, 200_000),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 200_000},
    ),
    "yarn, mscale": (
        rope.Yarn(40.0, 4096, mscale=1.0, mscale_all_dim=0.7),
        {
            "rope_type": "yarn",
            "factor": 40.0,
            "original_max_position_embeddings": 4096,
            "mscale": 1.0,
            "mscale_all_dim": 0.7,
        },
    ),
    "yarn, attention factor": (
        rope.Yarn(4.0, 128, attention_factor=1.3),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "attention_factor": 1.3},
    ),
    "llama3": (
        rope.Llama3(8.0, 1024, low=1.0, high=4.0),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "original_max_position_embeddings": 1024,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    ),
}


def tiny(
    *, window: int = 3, order: list[int] | None = None, stem: bool = True, position: Position | None = None
) -> Decoder:
    """Two layers, the first with `position` (Rope), the second with a short window; every parameter random."""

    def layer(field: str) -> Block:
        own = Attention(16, 4, 2, field=field, bias="qkvo")
        return Block(attn=Residual(own, pre=RMSNorm(16)), mlp=Residual(MLP(16, 24), pre=LayerNorm(16)))

    fields = {"self": Field(position or Rope(4), Causal()), "local": Field(Alibi(4), Window(window))}
    stack = Stack([layer("self"), layer("local")], fields=fields, order=order, norm=RMSNorm(16))
    embed = Embed(23, 16, position=Learned(256, 16) if stem else None)
    return randomised(Decoder(embed, stack, head=LMHead(16, 23, tied=True)))


def randomised(module):
    """Every parameter drawn anew, norms and biases too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
            if parameter.ndim == 1:
                parameter.add_(1.0)
    return module.eval()
