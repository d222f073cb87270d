"""What is asked of signals: masked autoencoding, contrast of views, classes; and every family that reads signals."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import weft as library
from weft.batch import Batch, Dataset, Place
from weft.data.signals import Augment, Labelled, Patches
from weft.data.signals.made import made_pictures
from weft.hub import Model
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import ATTENTIONS, SCHEMES, Encoder
from weft.objectives import OBJECTIVES, TERM
from weft.objectives.patches_hidden import PLACES, VECTORS, HiddenPatches
from weft.objectives.views import Views

VIT = Blueprint.of("vit", "debug")
PICTURES = [name for name in reading("signals") if {"image", "patch", "channels"} <= {
    field.name for field in dataclasses.fields(FAMILIES.get(name).config)
}]  # fmt: skip


PARTS = [
    (family, f"{place}={name}")
    for family in PICTURES
    for place, names in (("position", SCHEMES), ("attention", ATTENTIONS))
    if place in FAMILIES.get(family).swaps
    for name in names
]


def never(name: str) -> torch.nn.Module:
    raise AssertionError(f"{name} is opened")


def pictures(count: int = 12, blueprint: Blueprint = VIT, augment: Augment | None = None) -> Labelled:
    config = blueprint.config
    signals, labels = made_pictures(count, config.image, config.channels, 0)
    return Labelled(signals, labels, Patches(config.image, config.patch, config.channels), augment=augment)


def rows(data: Dataset[Batch], *samples: int, epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


def test_what_is_hidden_is_drawn_by_seed_epoch_and_sample() -> None:
    data, how = pictures(), HiddenPatches(share=0.7)
    seen = how.turn_signals(data, 5)
    together, alone = rows(seen, 3, 4, 5), rows(seen, 4)
    assert together.order is not None and alone.order is not None
    assert torch.equal(together.order[1], alone.order[0]) and torch.equal(together.tokens[1], alone.tokens[0])
    assert not torch.equal(rows(seen, 3, 4, 5, epoch=1).order, together.order)  # type: ignore[arg-type]
    assert not torch.equal(rows(how.turn_signals(data, 6), 3, 4, 5).order, together.order)  # type: ignore[arg-type]
    whole = rows(data, 3, 4, 5).tokens
    for row in range(3):
        places = torch.cat((together.order[row], together.asked[PLACES][row]))
        assert places.sort().values.tolist() == list(range(9))
        assert torch.equal(torch.cat((together.tokens[row], together.asked[VECTORS][row])), whole[row][places])
    assert together.order.shape[1] == round(9 * 0.3) and how.counts(together) == {TERM: 3 * 6}


@pytest.mark.parametrize("pool", ["first", "mean"])
def test_hidden_patches_are_told_from_what_is_seen_alone(pool: str) -> None:
    blueprint, how = VIT.change("pool", pool), HiddenPatches(decoder_width=24, decoder_depth=1)
    module = how.wrap(blueprint.build(seed=1), blueprint, 1, never)
    batch = rows(how.turn_signals(pictures(), 0), 0, 1)
    guessed = module(batch)
    other = dataclasses.replace(batch, asked={**batch.asked, VECTORS: torch.randn_like(batch.asked[VECTORS])})
    assert torch.equal(module(other), guessed)
    told = how.told(batch)
    torch.testing.assert_close(told.mean(-1), torch.zeros_like(told[..., 0]), atol=1e-4, rtol=0)
    losses = how.losses(module, batch)
    torch.testing.assert_close(losses[TERM].sum, (guessed - told).square().mean(-1).sum())
    assert losses[TERM].count == how.counts(batch)[TERM]
    again = how.wrap(blueprint.build(seed=1), blueprint, 1, never)
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_the_loss_and_gradient_of_parts_are_those_of_the_whole() -> None:
    how = HiddenPatches(decoder_width=24, decoder_depth=1)
    module = how.wrap(VIT.build(seed=1), VIT, 1, never)
    data = how.turn_signals(pictures(), 0)

    def gradient(*parts: tuple[int, ...]) -> Tensor:
        losses = [how.losses(module, rows(data, *part))[TERM] for part in parts]
        total = sum(loss.sum for loss in losses) / sum(loss.count for loss in losses)
        assert isinstance(total, Tensor)
        return torch.autograd.grad(total, module.model.embed.lift.weight)[0]

    torch.testing.assert_close(gradient((0, 1, 2), (3,)), gradient((0, 1, 2, 3)))


def test_views_are_told_apart_as_defined() -> None:
    how = Views(temperature=0.3, width=8)
    module = how.wrap(VIT.build(seed=1), VIT, 1, never)
    data = how.turn_signals(pictures(augment=Augment(flip=True, shift=3, erase=1.0)), 0)
    batch = rows(data, 0, 1, 2)
    assert len(batch.tokens) == 6 and batch.samples == (0, 1, 2, 0, 1, 2)
    assert not torch.equal(batch.tokens[0], batch.tokens[3])
    assert torch.equal(rows(data, 2, 0).tokens[3], batch.tokens[3])
    hidden, _ = module(batch.tokens)
    head = module.heads["views"]
    vectors = head(module.model.pool(hidden))
    wanted = torch.zeros(())
    for one in range(6):
        near = [torch.cosine_similarity(vectors[one], vectors[two], dim=0) / 0.3 for two in range(6)]
        others = torch.stack([score for two, score in enumerate(near) if two != one])
        wanted = wanted + others.logsumexp(0) - near[(one + 3) % 6]
    loss = how.losses(module, batch)[TERM]
    torch.testing.assert_close(loss.sum, wanted)
    assert loss.count == 6 and how.couples == (TERM,)
    assert how.losses(module, rows(data, 0))[TERM].count == 0
    assert how.constant(module, [batch]) == pytest.approx(np.log(5))


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("share = 1", lambda: HiddenPatches(share=1)),
        ("temperature = 0", lambda: Views(temperature=0)),
        ("this model reads text", lambda: HiddenPatches().check(Blueprint.of("bert", "debug").build())),
        ("this model reads text", lambda: Views().check(Blueprint.of("bert", "debug").build())),
        ("an encoder", lambda: Views().check(Blueprint.of("llama", "debug").build())),
        ("of 9 places hides none", lambda: rows(HiddenPatches(share=0.01).turn_signals(pictures(), 0), 0)),
    ],
)
def test_what_cannot_be_asked_is_refused(said: str, make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(("family", "part"), PARTS)
def test_any_part_goes_into_any_family_of_pictures(family: str, part: str, tmp_path: Path) -> None:
    place, _, name = part.partition("=")
    blueprint = Blueprint.of(family, "debug").change(place, name)
    module = blueprint.build(seed=0)
    batch = rows(pictures(4, blueprint), 0, 1)
    hidden, _ = module.train()(batch.tokens)
    hidden.square().sum().backward()
    assert all(part.grad.isfinite().all() for part in module.parameters() if part.grad is not None)
    library.save(Model(module.eval(), blueprint), tmp_path / "saved")
    again = library.load(tmp_path / "saved").module
    assert torch.equal(again(batch.tokens)[0], module(batch.tokens)[0])


@pytest.mark.parametrize("objective", ["classes", "hidden_patches", "views"])
@pytest.mark.parametrize("family", PICTURES)
def test_each_objective_on_each_family_of_pictures(family: str, objective: str) -> None:
    blueprint, how = Blueprint.of(family, "debug"), OBJECTIVES.get(objective)()
    module = blueprint.build(seed=0)
    try:
        how.check(module)
        wrapped = how.wrap(module, blueprint, 0, never).train()
    except ValueError as error:
        assert how.title in str(error)
        return
    batch = rows(how.turn_signals(pictures(6, blueprint), 0), 0, 1, 2, 3)
    losses = how.losses(wrapped, batch)
    assert {name: loss.count for name, loss in losses.items()} == how.counts(batch)
    total = sum(loss.weight * loss.sum for loss in losses.values())
    assert isinstance(total, Tensor) and total.isfinite()
    total.backward()
    gradients = [parameter.grad for parameter in wrapped.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    assert isinstance(module, Encoder) and next(module.embed.parameters()).grad is not None
