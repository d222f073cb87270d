"""A family with another position scheme trains (the loss falls), resumes to the same bits, saves, loads and, where it
writes, generates what it computes."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parts import schemes
from representatives import BASE, CONTEXT, DATA, Case, family_case, go
from torch import nn

from weft.generate import GREEDY, generate
from weft.hub import Model, load, save
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import Encoder, EncoderDecoder
from weft.training.log import read

PAIRS = [(family, scheme) for family in reading("text") for scheme in schemes(family)]


def diagonal(family: str, scheme: str) -> bool:
    """Some of the matrix, spread over all schemes, one of each family, and the README's own; the rest is slow."""
    own = schemes(family)[zlib.crc32(family.encode()) % len(schemes(family))]
    spread = zlib.crc32(f"{family}/{scheme}".encode()) % 9 == 0
    return spread or scheme == own or (family, scheme) == ("bert", "rope")


MATRIX = [pytest.param(*pair, marks=() if diagonal(*pair) else pytest.mark.slow) for pair in PAIRS]


def blueprint(family: str, scheme: str, **more: object) -> Blueprint:
    _, _, vocab = DATA[FAMILIES.get(family).objective]
    return Blueprint.of(family, "debug", vocab=vocab, context=CONTEXT, **more).change("position", scheme)


def test_every_family_and_every_scheme_is_swapped_in_the_suite() -> None:
    seen = [pair for pair in PAIRS if diagonal(*pair)]
    assert {scheme for _, scheme in seen} == {scheme for _, scheme in PAIRS}
    assert {family for family, _ in seen} == {family for family, _ in PAIRS} and ("bert", "rope") in seen


@pytest.mark.parametrize(("family", "scheme"), MATRIX)
def test_a_swapped_scheme_trains_resumes_saves_and_writes(family: str, scheme: str, tmp_path: Path) -> None:
    case = family_case(family)

    def fresh(seed: int, dropout: float) -> nn.Module:
        return blueprint(family, scheme, dropout=dropout).build(seed=seed)

    swapped, trained = Case(fresh, case.data, case.objective), fresh(0, 0.1)
    settings = replace(BASE, steps=24, checkpoint_every=12, average=0.0, evaluate_every=0)
    go(swapped, tmp_path / "whole", settings, module=trained)
    losses = [line["loss"] for line in read(tmp_path / "whole" / "log.jsonl") if "loss" in line]
    assert sum(losses[-4:]) < 0.95 * sum(losses[:4]), f"the loss does not fall: {losses[0]:.3f} to {losses[-1]:.3f}"

    go(swapped, tmp_path / "cut", settings)
    for folder in sorted((tmp_path / "cut" / "checkpoints").iterdir())[1:]:  # as if it had ended after the first
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    go(swapped, tmp_path / "cut", settings, seed=1, resume=True)
    ours, theirs = traces_of(tmp_path / "whole"), traces_of(tmp_path / "cut")
    assert ours == theirs

    plan = blueprint(family, scheme)
    module = plan.build(seed=0)
    module.load_state_dict(trained.state_dict())
    save(Model(module, plan), tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.blueprint.build().state_dict().keys() == module.state_dict().keys()
    for name, tensor in again.module.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name]), name
    writes_what_it_computes(again.module)


def traces_of(out: Path) -> dict[str, bytes]:
    """The newest checkpoint's tensors."""
    newest = max((out / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}


@torch.no_grad()
def writes_what_it_computes(module: nn.Module) -> None:
    """Greedy tokens from a cache are the likeliest of whole passes."""
    if isinstance(module, Encoder):
        return
    pairs, prompt = isinstance(module, EncoderDecoder), [3, 1, 4, 1, 5]
    (row,) = generate(module, [prompt], new=5, sampling=GREEDY, start=0 if pairs else None)
    ids = [0] if pairs else list(prompt)
    for token in row.ids:
        given = (torch.tensor([prompt]), torch.tensor([ids])) if pairs else (torch.tensor([ids]),)
        assert int(module.logits(module(*given)[0])[0, -1].argmax()) == token  # type: ignore[operator]
        ids.append(token)
