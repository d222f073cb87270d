"""Is a row that sees nothing finite (and zero) in every kernel, forward and backward? And what does raw SDPA give?

    PYTHONPATH=src python benchmarks/spikes/hidden_rows.py

Packed rows with padding in front (segment 0), so that whole rows of scores are hidden; H 6 over G 2 key heads; fp32 and
bf16, with and without a position bias. Each kernel against eager in fp64.

Printed here: all four kernels zeros, finite forward and backward, fp32 within 1e-06, bf16 within 2e-02 (out) and 9e-03
(gradients). Raw SDPA, FLASH and MATH on the CPU, torch 2.13: zeros and finite gradients for a bool mask and for -inf
added; the mean of v for the smallest finite number added. No NaN.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from weft.nn import KERNELS, Alibi, Causal, Field, Layout, Position, Scoring, attend
from weft.nn.kernels import able

warnings.filterwarnings("ignore")
B, T, H, G, K = 2, 192, 6, 2, 32


def layout() -> Layout:
    segments = torch.ones(B, T, dtype=torch.int64)
    segments[0, :70] = 0  # the first 70 queries of row 0 see nothing
    segments[1, 100:] = 2
    segments[1, 180:] = 0
    return Layout(segments=segments)


def main() -> None:
    print("kernel   type  bias  hidden rows  finite out/grad   max |out - fp64|   max |grad - fp64| / max |grad|")
    for dtype, biased in itertools.product((torch.float32, torch.bfloat16), (False, True)):
        torch.manual_seed(0)
        drawn = [torch.randn(B, T, heads, K).to(dtype) for heads in (H, G, G)]
        seed = torch.randn(B, T, H, K).to(dtype)
        field = Field(Alibi(H) if biased else Position(), Causal())
        sight = field.among(layout(), T, torch.device("cpu"))
        want_out = want = None
        for name in ("reference", *KERNELS):
            exact = name == "reference"
            q, k, v = ((x.double() if exact else x.clone()).requires_grad_() for x in drawn)
            how = Scoring()
            if not exact and not able(name, sight, how):
                print(f"{name:8} not able")
                continue
            out = attend(q, k, v, replace(sight, kernel="eager" if exact else name), how)
            out.backward(seed.double() if exact else seed)
            grads = [x.grad.double() for x in (q, k, v)]
            if exact:
                want_out, want = out.detach(), grads
                continue
            hidden = "zeros" if (out[0, :70] == 0).all() and (q.grad[0, :70] == 0).all() else "NOT ZERO"
            finite = f"{bool(out.isfinite().all())}/{all(bool(g.isfinite().all()) for g in grads)}"
            gap = (out.double() - want_out).abs().max().item()
            worst = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(grads, want, strict=True))
            kind = "fp32" if dtype == torch.float32 else "bf16"
            print(f"{name:8} {kind} {biased!s:5} {hidden:12} {finite:17} {gap:.1e}            {worst:.1e}")
    print("\nraw scaled_dot_product_attention, row 0 of 192 fully hidden:")
    cases = itertools.product(
        (torch.float32, torch.bfloat16), ("bool", "-inf", "min"), (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH)
    )
    for dtype, kind, backend in cases:
        q, k, v = (torch.randn(1, 2, T, K).to(dtype).requires_grad_() for _ in range(3))
        mask = torch.ones(T, T, dtype=torch.bool)
        mask[0] = False
        if kind != "bool":
            fill = float("-inf") if kind == "-inf" else torch.finfo(dtype).min
            mask = torch.zeros(T, T, dtype=dtype).masked_fill(~mask, fill)
        with sdpa_kernel(backend):
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        row = out[0, :, 0]
        mean = (row - v[0].mean(dim=1)).abs().max() < 1e-2
        what = (
            "NaN" if row.isnan().any() else "zeros" if (row == 0).all() else "mean of v" if mean else "something else"
        )
        out.sum().backward()
        finite = all(bool(x.grad.isfinite().all()) for x in (q, k, v))
        print(f"  {dtype!s:15} mask {kind:5} {backend.name:16} -> {what:10} gradient finite: {finite}")


if __name__ == "__main__":
    main()
