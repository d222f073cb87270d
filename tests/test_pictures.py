"""What reads pictures: what is refused, what is pooled, and what stands before the patches."""

import pytest
import torch
from torch import nn

from weft.hub.fields import read_fields, write_fields
from weft.models import Blueprint
from weft.nn import Encoder
from weft.nn.dropout import DropBranch
from weft.objectives import OBJECTIVES

PATCHED = ("vit", "deit")


def rows(blueprint: Blueprint, count: int = 3, seed: int = 0) -> torch.Tensor:
    """Images of noise, in patches [B, P, C]."""
    c = blueprint.config
    return torch.randn(count, c.context, c.channels * c.patch**2, generator=torch.Generator().manual_seed(seed))


def encoder(blueprint: Blueprint, seed: int = 0) -> Encoder:
    module = blueprint.build(seed=seed)
    assert isinstance(module, Encoder)
    return module


def stir(module: nn.Module, seed: int = 0) -> None:
    """Every parameter random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)


@pytest.mark.parametrize("name", PATCHED)
def test_it_is_drawn_by_its_seed_and_learns_everywhere(name: str) -> None:
    blueprint = Blueprint.of(name, "debug", dropout=0.1, branch_dropout=0.2)
    one, same, other = (blueprint.build(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one) and any(not torch.equal(one[k], other[k]) for k in one)
    module = encoder(blueprint).train()
    torch.manual_seed(0)
    hidden, _ = module(rows(blueprint, 8))
    module.nats(hidden, torch.arange(8) % 5, "classes").backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


@pytest.mark.parametrize("name", PATCHED)
def test_what_cannot_be_a_model_is_refused(name: str) -> None:
    for changes, said in (
        (dict(image=13), "no whole number of patches"),
        (dict(tasks=["masked"]), "no task is called 'masked'"),
        (dict(dense=True), "leave one out"),
        (dict(branch_dropout=1.0), "below 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Blueprint.of(name, "debug", **changes).build()


@pytest.mark.parametrize("name", PATCHED)
def test_other_than_its_vectors_are_refused(name: str) -> None:
    module, given = encoder(Blueprint.of(name, "debug")), rows(Blueprint.of(name, "debug"))
    for wrong in (given[..., :-1], torch.zeros(2, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="make them with its processor"):
            module(wrong)
    with pytest.raises(ValueError, match="10 tokens, but the trained positions end at 9"):
        module(torch.cat((given, given[:, :1]), dim=1))


def test_the_classes_of_deit_are_the_mean_of_two_heads_of_two_tokens() -> None:
    blueprint = Blueprint.of("deit", "debug", taught=True)
    module = encoder(blueprint)
    stir(module)
    hidden, _ = module(rows(blueprint))
    assert hidden.shape == (3, 2 + 9, 48)
    head = module.heads["classes"]
    by_class = hidden[:, 0] @ head.first.weight.T + head.first.bias  # type: ignore[union-attr, operator]
    by_teacher = hidden[:, 1] @ head.second.weight.T + head.second.bias  # type: ignore[union-attr, operator]
    torch.testing.assert_close(module.logits(hidden), (by_class + by_teacher) / 2)
    for got, wanted in zip(head.each(hidden), (by_class, by_teacher), strict=True):  # type: ignore[operator]
        torch.testing.assert_close(got, wanted)
    objective = OBJECTIVES.get("classes")()
    assert "classes" in module.heads and objective.heads == ("classes",)


def test_which_class_of_the_references_a_deit_is_written_as() -> None:
    for changes, kind in (
        (dict(taught=True), "DeiTForImageClassificationWithTeacher"),
        (dict(taught=False), "DeiTForImageClassification"),
        (dict(taught=False, tasks=[], dense=True), "DeiTModel"),
    ):
        written = write_fields(Blueprint.of("deit", "debug", **changes))
        assert written is not None and written["architectures"] == [kind]
    changed = Blueprint.of("deit", "debug", taught=True)
    origin = write_fields(Blueprint.of("deit", "debug", taught=False))
    written = write_fields(changed, origin)
    assert written is not None and written["architectures"] == ["DeiTForImageClassificationWithTeacher"]


@pytest.mark.parametrize("name", PATCHED)
def test_what_is_not_understood_of_a_config_is_named(name: str) -> None:
    for field, value in (("pooler_act", "relu"), ("pooler_output_size", 7), ("use_mask_token", True)):
        with pytest.raises(ValueError, match=field):
            read_fields({"model_type": name, field: value})
    with pytest.raises(ValueError, match="MaskedImageModeling"):
        read_fields({"model_type": name, "architectures": ["DeiTForMaskedImageModeling"]})
    kept = write_fields(Blueprint.of(name, "debug", branch_dropout=0.3))
    assert kept is not None and read_fields(kept).blueprint.config.branch_dropout == 0.3


def test_a_branch_is_dropped_whole_and_more_often_the_deeper_it_lies() -> None:
    rates = [DropBranch.at(0.4, layer, 5) for layer in range(5)]
    assert rates[0] is None and [part.rate for part in rates if part] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert DropBranch.at(0.0, 3, 5) is None and DropBranch.at(0.4, 0, 1) is None
    drop, x = DropBranch(0.25), torch.ones(4000, 2, 3)
    assert drop.eval()(x) is x
    torch.manual_seed(0)
    rows = drop.train()(x)
    assert set(rows.flatten(1).sum(dim=1).tolist()) == {0.0, 8.0}  # all or nothing: 6 / (1 - 0.25)
    assert float((rows == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
