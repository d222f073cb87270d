"""Pictures as codes: the nearest code, the step straight through, a judge trained beside, a decoder that draws them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from weft.batch import Batch, Dataset, Place
from weft.data.signals import Labelled, Patches
from weft.data.signals.codes import CodeRows
from weft.data.signals.made import made_pictures
from weft.hub import Model, load, save
from weft.models import Blueprint
from weft.models.coding import Codebook, Coder, cut, folded
from weft.nn import Decoder
from weft.objectives import TERM
from weft.objectives.autoencode import CODEBOOK, COMMITMENT, DISCRIMINATOR, GENERATOR, Adversarial, Autoencode, straight
from weft.objectives.discriminator import Discriminator, detached, hinge

TINY = Blueprint.of("vqgan", "debug")


def never(name: str) -> torch.nn.Module:
    raise AssertionError(f"{name} is opened")


def wrapped(how: Autoencode, seed: int = 1) -> Adversarial:
    module = how.wrap(TINY.build(seed=seed), TINY, seed, never)
    assert isinstance(module, Adversarial)
    return module.train()


def pictures(count: int = 12) -> Labelled:
    signals, labels = made_pictures(count, 12, 1, 0)
    return Labelled(signals, labels, Patches(12, 4, 1, (0.3,), (0.25,)))


def rows(data: Dataset[Batch], *samples: int, epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 3]))
def test_patches_fold_to_the_picture_they_were_cut_from(side: int, patch: int, channels: int) -> None:
    shape = (2, side * patch, side * patch, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    made = torch.from_numpy(Patches(side * patch, patch, channels, (0.0,), (1 / 255,)).rows(pixels))
    whole = folded(made, channels)
    torch.testing.assert_close(whole, torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0)
    assert torch.equal(cut(whole, patch), made)


@given(st.integers(0, 50), st.booleans())
def test_the_nearest_code_is_that_of_brute_force(seed: int, unit: bool) -> None:
    torch.manual_seed(seed)
    book, vectors = Codebook(17, 3, unit=unit), torch.randn(2, 5, 3)
    own, given = (book.placed(each).double() for each in (book.weight, vectors))
    apart = (given[:, :, None] - own).square().sum(-1)  # [2, 5, 17]
    assert torch.equal(book.nearest(vectors), apart.argmin(-1))
    if unit:
        torch.testing.assert_close(own.norm(dim=-1), torch.ones(17, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_step_straight_through_has_the_gradient_of_the_identity() -> None:
    states, codes = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
    given = torch.randn(2, 3, 4)
    out = straight(states, codes)
    torch.testing.assert_close(out, codes)
    (out * given).sum().backward()
    assert states.grad is not None and torch.equal(states.grad, given) and codes.grad is None


def test_each_term_reaches_what_it_trains_alone() -> None:
    how = Autoencode(judged_from=0)
    module, batch = wrapped(how), rows(how.turn_signals(pictures(), 0), 0, 1, 2)
    parts = {
        "lift": module.model.lift, "book": module.model.codebook, "paint": module.model.paint, "judge": module.judge
    }  # fmt: skip
    wanted = {
        TERM: {"lift", "paint"},
        COMMITMENT: {"lift"},
        CODEBOOK: {"book"},
        GENERATOR: {"lift", "paint"},
        DISCRIMINATOR: {"judge"},
    }
    for name, reached in wanted.items():
        module.zero_grad()
        how.losses(module, batch)[name].sum.backward()
        found = {
            part
            for part, inner in parts.items()
            if any(weight.grad is not None and bool(weight.grad.any()) for weight in inner.parameters())
        }
        assert found == reached, name


def test_the_terms_are_those_of_the_papers() -> None:
    how = Autoencode(judged_from=0, commitment=0.3)
    module, batch = wrapped(how), rows(how.turn_signals(pictures(), 0), 0, 1, 2)
    losses = how.losses(module, batch)
    assert {name: loss.count for name, loss in losses.items()} == how.counts(batch) == dict.fromkeys(losses, 3)
    coder = module.model
    states = coder.states(batch.tokens)
    codes = coder.codebook.look(coder.encode(batch.tokens))
    told = coder(batch.tokens)
    distance = (states - codes).square().sum(-1).mean(-1).sum()
    torch.testing.assert_close(losses[TERM].sum, (told - batch.tokens).abs().mean((1, 2)).sum())
    torch.testing.assert_close(losses[COMMITMENT].sum, distance)
    torch.testing.assert_close(losses[CODEBOOK].sum, distance)
    assert losses[COMMITMENT].weight == 0.3
    real, made = (module.judge(folded(each, 1)).flatten(1) for each in (batch.tokens, told))
    torch.testing.assert_close(losses[GENERATOR].sum, -made.mean(1).sum())
    judged = ((1 - real).clamp(min=0) + (1 + made).clamp(min=0)).mean(1).sum()
    torch.testing.assert_close(losses[DISCRIMINATOR].sum, judged)


def test_the_loss_and_gradient_of_parts_are_those_of_the_whole() -> None:
    how = Autoencode(judged_from=1)
    module = wrapped(how)
    data = how.turn_signals(pictures(), 0)
    batch = data.batch([Place(0, 0), Place(1, 1), Place(1, 2), Place(0, 3)])
    assert how.counts(batch)[GENERATOR] == 2 and how.counts(batch)[TERM] == 4

    def gradients(*parts: tuple[int, int]) -> list[Tensor]:
        counts = how.counts(batch)
        total = torch.zeros(())
        for part in parts:
            for name, loss in how.losses(module, batch.rows(*part)).items():
                total = total + loss.weight * loss.sum / counts[name]
        return list(torch.autograd.grad(total, list(module.parameters())))

    for ours, whole in zip(gradients((0, 1), (1, 3), (3, 4)), gradients((0, 4)), strict=True):
        torch.testing.assert_close(ours, whole, atol=1e-5, rtol=1e-4)


def test_the_adaptive_weight_is_the_ratio_of_the_gradients_at_the_last_layer() -> None:
    how = Autoencode(judged_from=0, adaptive=True)
    plain = dataclasses.replace(how, adaptive=False)
    module, batch = wrapped(how), rows(how.turn_signals(pictures(), 0), 0, 1, 2)
    losses = plain.losses(module, batch)
    norms = [
        torch.autograd.grad(losses[name].sum / 3, module.last, retain_graph=True)[0].norm()
        for name in (TERM, GENERATOR)
    ]
    weighed = how.losses(module, batch)[GENERATOR].sum
    torch.testing.assert_close(weighed, losses[GENERATOR].sum * norms[0] / (norms[1] + 1e-4))
    assert how.couples == (GENERATOR,) and plain.couples == ()
    with torch.no_grad():
        assert how.losses(module, batch)[GENERATOR].sum.isfinite()


def test_idle_codes_begin_anew_at_vectors_of_the_pictures_and_only_in_training() -> None:
    how = Autoencode(idle=3, adversarial=0)
    module, batch = wrapped(how), rows(pictures(), 0, 1, 2, 3)
    book = module.model.codebook
    with torch.no_grad():
        book.weight.copy_(torch.eye(4)[:1].expand_as(book.weight) + 1e-3 * torch.randn_like(book.weight))
    states = module.model.states(batch.tokens).detach()
    before = len(module.model.encode(batch.tokens).unique())
    module.eval()
    for _ in range(9):
        how.losses(module, batch)
    assert not module.unused.any()
    module.train()
    was = book.weight.detach().clone()
    for _ in range(2):
        how.losses(module, batch)
    assert torch.equal(book.weight, was)
    how.losses(module, batch)
    moved = (book.weight != was).any(1).nonzero()[:, 0]
    assert len(moved)
    own = states.flatten(0, 1)
    assert all(((own - book.weight[code]).abs().amax(1) < 1e-6).any() for code in moved)
    assert len(module.model.encode(batch.tokens).unique()) > before


def test_what_is_held_fast_has_a_gradient_to_what_it_reads_alone() -> None:
    judge, given = Discriminator(1, 4), torch.randn(2, 1, 12, 12, requires_grad=True)
    torch.testing.assert_close(detached(judge, given), judge(given))
    detached(judge, given).sum().backward()
    assert given.grad is not None and given.grad.any() and all(part.grad is None for part in judge.parameters())
    torch.testing.assert_close(hinge(torch.full((2, 3), 2.0), torch.full((2, 3), -0.5)), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("at least 0", lambda: Autoencode(idle=-1)),
        ("patches divide the image", lambda: Blueprint.of("vqgan", "debug", patch=8).build()),
        ("patches divide the image", lambda: Blueprint.of("vqgan", "debug", image=14).build()),
        ("asks Coder", lambda: Autoencode().check(Blueprint.of("vit", "debug").build())),
        ("beside the model", lambda: Autoencode().losses(TINY.build(), rows(pictures(), 0))),
        ("one each", lambda: CodeRows(np.zeros((2, 3), np.int64), np.zeros(1, np.int64), 4)),
    ],
)
def test_what_cannot_be_is_refused(said: str, make: Any) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_row_of_codes_begins_with_its_class_and_predicts_each_next_one() -> None:
    data = CodeRows(np.array([[3, 1, 2], [0, 0, 1]]), np.array([1, 0]), 4)
    batch = rows(data, 0, 1)
    assert batch.tokens.tolist() == [[5, 3, 1], [4, 0, 0]]
    assert batch.labels is not None and batch.labels.tolist() == [[3, 1, 2], [0, 0, 1]]


def test_a_saved_coder_makes_the_same_codes_and_pictures(tmp_path: Path) -> None:
    module = TINY.build(seed=3)
    assert isinstance(module, Coder)
    tokens = rows(pictures(), 0, 1).tokens
    save(Model(module, TINY), tmp_path / "saved")
    again = load(tmp_path / "saved").module
    assert isinstance(again, Coder) and torch.equal(again.encode(tokens), module.encode(tokens))
    assert torch.equal(again(tokens), module(tokens))
    assert torch.equal(module.encode(tokens)[1:], module.encode(tokens[1:]))


def test_codes_are_learned_then_drawn_and_a_run_is_whole(tmp_path: Path) -> None:
    book, run, grid = tmp_path / "book", tmp_path / "run", tmp_path / "grid.png"
    steps = ["--set", "train.steps=3", "--quiet"]
    good("train", "fashion_vqgan", "--debug", *steps, "--out", book)
    words = ["train", "fashion_codes", "--debug", "--set", f"data.quantiser={book}", *steps]
    good(*words, "--out", run)
    for path in sorted(book.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    good("generate", run, "--prompt", "disc", "--prompt", "cross", "--count", 3, "--seed", 4, "--out", grid)
    first = grid.read_bytes()
    assert first.startswith(b"\x89PNG")
    good("generate", run, "--prompt", "disc", "--prompt", "cross", "--count", 3, "--seed", 4, "--out", grid,
         "--overwrite")  # fmt: skip
    assert grid.read_bytes() == first
    assert "no class is called 'sofa'" in weft("generate", run, "--prompt", "sofa", "--out", tmp_path / "no.png").err
    good(*words, "--set", "train.steps=5", "--out", run, "--resume")
    good("train", "fashion_codes", "--debug", *steps, "--out", run, "--overwrite")
    assert "makes no codes" in weft(*words[:-1], "--set", f"data.quantiser={run}", "--out", tmp_path / "no").err


def test_a_decoder_draws_codes_and_no_class() -> None:
    from weft.recipes.modalities.codes import narrowed

    for tied in (True, False):
        module = Blueprint.of("llama", "debug", vocab=21, tied=tied).build(seed=1)
        assert isinstance(module, Decoder)
        tokens = torch.tensor([[16, 1, 2]])
        hidden, _ = module(tokens)
        torch.testing.assert_close(narrowed(module, 16).logits(hidden), module.logits(hidden)[..., :16])
