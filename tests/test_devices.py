"""The same on every kind of device that this machine has: the CPU always, a GPU where there is one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parts import LONG, RAGGED_LEFT, randomised
from representatives import BASE, EVERY, Case, go

from weft.nn import KERNELS, Attention, Causal, Context, Field, LayerNorm, Layout, RMSNorm, Rope
from weft.training import checkpoints

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if torch.mps.is_available() else [])]
WHOLE = replace(BASE, steps=6, evaluate_every=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
def test_a_run_learns_what_it_learns_on_a_cpu(case: Case, device: str) -> None:
    """Without dropout, whose draws are the device's own, to what rounding leaves."""
    there, here = case.module(0, 0.0).to(device), case.module(0, 0.0)
    for module in (there, here):
        go(case, None, WHOLE, module=module)
    wanted = dict(here.named_parameters())
    for name, parameter in there.named_parameters():
        assert parameter.device.type == device
        torch.testing.assert_close(parameter.cpu(), wanted[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_a_stopped_run_goes_on_to_the_same_bits(device: str, tmp_path: Path) -> None:
    """Dropout on: the device's own generator is put back too."""
    case = EVERY["llama"]
    whole = case.module(0, 0.1).to(device)
    go(case, None, WHOLE, module=whole)
    out = tmp_path / "run"
    go(case, out, WHOLE, module=case.module(0, 0.1).to(device))
    checkpoints.remove(out / "checkpoints" / "step-00000006")
    again = case.module(1, 0.1).to(device)
    go(case, out, WHOLE, module=again, resume=True)
    for (name, one), other in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("here", [Layout(), RAGGED_LEFT], ids=["plain", "ragged"])
def test_kernels_under_autocast(name: str, here: Layout, device: str) -> None:
    """The norms of q and k may come out in another precision than v, and some devices take softmax in fp32."""
    attention = randomised(Attention(16, 4, 2, q_norm=LayerNorm(4), k_norm=RMSNorm(4))).to(device)
    field, x = Field(Rope(4), Causal()), torch.randn(2, LONG, 16).to(device)
    gradients = []
    for field.kernel in ("eager", name):
        with torch.autocast(device, torch.bfloat16):
            sights = {"self": field.among(here, LONG, torch.device(device))}
            y = attention(x.bfloat16(), Context(here, None, sights))[0]
        y.float().square().mean().backward()
        gradients.append([y.detach().float(), *(p.grad.clone() for p in attention.parameters())])
        attention.zero_grad()
    for (what, _), a, b in zip([("output", None), *attention.named_parameters()], *reversed(gradients), strict=True):
        assert float((a - b).norm()) <= 0.05 * max(float(b.norm()), 0.5), what
