"""Does a tied head survive building on the meta device and loading with assign=True? By function against by assignment.

    PYTHONPATH=src python benchmarks/spikes/meta_tying.py

By function: the tied head owns no weight and is handed the table at each call. Assignment: head.weight = embed.weight.

Printed here: by function llama 48000, gpt2 66000, transformer 101136 parameters before and after, logits equal, by
assign=True and by to_empty; `reset` leaves nothing untouched, no buffers. By assignment gpt2 66000 -> 72288 (two tables)
both ways; with one copy on disk `head.weight` is missing and stays on meta.
"""

from __future__ import annotations

import torch
from torch import nn

from weft.models.family import FAMILIES
from weft.nn import Decoder, LMHead, initialise


def build(name: str, device: str, *, by_assignment: bool = False) -> nn.Module:
    family = FAMILIES.get(name)
    extra = {} if name == "gpt2" else {"tied": True}
    config = family.config(**{**family.sizes["debug"], **extra})
    torch.manual_seed(0)
    with torch.device(device):
        module = family.build(config)
        if by_assignment:
            assert isinstance(module, Decoder)
            module.head = LMHead(config.width, config.vocab)
            module.head.weight = module.embed.weight
    return module


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def scores(module: nn.Module, name: str) -> torch.Tensor:
    tokens = torch.arange(8)[None]
    x = module(tokens, tokens)[0] if name == "transformer" else module(tokens)[0]
    return module.logits(x)


def tell(what: str, before: int, module: nn.Module, name: str, want: torch.Tensor) -> None:
    head = getattr(module, "head")
    tied = "one" if head.weight is None or head.weight is module.embed.weight else "TWO"
    gap = (scores(module, name) - want).abs().max().item()
    print(f"{name:11} {what:44} {before:6} -> {count(module):6} parameters, {tied} table(s), logits ±{gap:.0e}")


def main() -> None:
    for name in ("llama", "gpt2", "transformer"):
        whole = build(name, "cpu").eval()
        state, want = whole.state_dict(), scores(whole, name)
        module = build(name, "meta")
        before = count(module)
        module.load_state_dict(state, assign=True)
        tell("functional: meta, load assign=True", before, module.eval(), name, want)
        module = build(name, "meta").to_empty(device="cpu")
        module.load_state_dict(state)
        tell("functional: meta, to_empty, load", before, module.eval(), name, want)
        module = build(name, "meta").to_empty(device="cpu")
        for parameter in module.parameters():
            nn.init.constant_(parameter, float("nan"))
        initialise.reset(module)
        left = [key for key, value in module.state_dict().items() if not value.isfinite().all()]
        print(
            f"{name:11} functional: meta, to_empty, reset: left untouched {left or 'nothing'}; buffers {len(list(module.buffers()))}"
        )
    name = "gpt2"
    whole = build(name, "cpu", by_assignment=True).eval()
    want = scores(whole, name)
    state = {key: value.clone() for key, value in whole.state_dict().items()}  # as read from a file: two tensors
    print(f"by assignment the state dict has {len(state)} entries, functional {len(build(name, 'cpu').state_dict())}")
    module = build(name, "meta", by_assignment=True)
    before = count(module)
    module.load_state_dict(state, assign=True)
    tell("assignment: meta, load assign=True", before, module.eval(), name, want)
    module = build(name, "meta", by_assignment=True)
    lean = {key: value for key, value in state.items() if key != "head.weight"}  # one copy on disk
    missing = module.load_state_dict(lean, strict=False, assign=True).missing_keys
    print(
        f"{name:11} assignment: one copy on disk, assign=True: missing {missing}, head on {module.head.weight.device}"
    )
    module = build(name, "meta", by_assignment=True).to_empty(device="cpu")
    module.load_state_dict(state)
    tell("assignment: meta, to_empty, load", before, module.eval(), name, want)


if __name__ == "__main__":
    main()
