"""Pictures out of noise: the schedule, what noise does, the denoising loop, and what a text changes."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import good, weft
from hypothesis import given
from hypothesis import strategies as st
from pages import shown
from torch import Tensor

from weft.batch import Batch, Dataset, Place
from weft.data import train_tokenizer
from weft.data.captions import Captioned
from weft.data.drawings import DrawingSettings, prepare_drawings
from weft.data.signals import Patches
from weft.data.signals.made import SHAPES, made_pictures
from weft.generate import Denoising, ddim, denoise
from weft.generate.denoise import guided, levels
from weft.hub import Model, load, save
from weft.models import Blueprint
from weft.models.diffusing import Denoiser, Schedule, kept
from weft.nn import SCHEMES, CrossAttention, Layout
from weft.objectives import TERM
from weft.objectives.diffusion import MOMENT, NOISE, Diffusion

Image = pytest.importorskip("PIL.Image", reason="pictures are written with pillow")
TINY = Blueprint.of("dit", "debug")
SCHEDULES = [Schedule(100, "noise"), Schedule(100, "velocity")]


def woken(blueprint: Blueprint = TINY, seed: int = 1) -> Denoiser:
    """A model whose gates are not 0, as they are before any training."""
    module = blueprint.build(seed=seed)
    assert isinstance(module, Denoiser)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "modulate" in name or "painter.last" in name:
                weight.normal_(std=0.2)
    return module


def captioned(count: int = 12) -> Captioned:
    signals, labels = made_pictures(count, 12, 1, 0)
    rows = [{"text": SHAPES[label]} for label in labels]
    tokenizer = train_tokenizer("characters", SHAPES)
    return Captioned(signals, rows, Patches(12, 4, 1, (0.3,), (0.25,)), tokenizer, 16, templates=("{text}",))


def rows(data: Dataset[Batch], *samples: int, epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_what_is_kept_is_a_cosine_squared_and_falls(steps: int) -> None:
    found = kept(steps)
    assert found.shape == (steps + 1,) and float(found[0]) == 1
    assert bool((found[1:] < found[:-1]).all()) and 0 < float(found[-1]) < 2e-3
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    for level in range(steps):
        wanted = math.cos((level / steps + 0.008) / 1.008 * math.pi / 2) ** 2 / start
        assert float(found[level]) == pytest.approx(wanted, rel=1e-9)


@given(st.sampled_from(SCHEDULES), st.integers(1, 90), st.integers(0, 20))
def test_picture_and_noise_are_told_from_one_another(schedule: Schedule, at: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, noise, level = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.tensor([at, 91 - at])
    noisy, told = schedule.noised(x, noise, level), schedule.wanted(x, noise, level)
    torch.testing.assert_close(schedule.picture(noisy, told, level), x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(schedule.noise(noisy, x, level), noise, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("level", [1, 40, 100])
def test_a_noised_picture_has_the_mean_and_spread_of_the_paper(level: int) -> None:
    share, x = float(kept(100)[level]), torch.tensor([-1.0, 0.5, 2.0]).expand(40_000, 1, 3)
    noisy = SCHEDULES[0].noised(x, torch.randn_like(x), torch.full((len(x),), level))
    torch.testing.assert_close(noisy.mean(0), math.sqrt(share) * x[0], atol=0.02, rtol=0)
    torch.testing.assert_close(noisy.var(0), torch.full((1, 3), 1 - share), atol=0.03, rtol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_loop_finds_the_picture_of_one_who_knows_it(schedule: Schedule, steps: int) -> None:
    picture = torch.rand(3, 4, 5) * 2 - 1

    def tell(noisy: Tensor, level: Tensor) -> Tensor:
        return schedule.wanted(picture, schedule.noise(noisy, picture, level), level)

    bounds = dict(least=-1.0, most=1.0)
    torch.testing.assert_close(
        ddim(tell, schedule, torch.randn(3, 4, 5), Denoising(steps, **bounds)), picture, atol=1e-4, rtol=1e-3
    )
    draws = [torch.Generator().manual_seed(row) for row in range(3)]
    drawn = ddim(tell, schedule, torch.randn(3, 4, 5), Denoising(steps, eta=1.0, **bounds), draws)
    torch.testing.assert_close(drawn, picture, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_what_is_drawn_of_a_normal_distribution_is_distributed_so(eta: float) -> None:
    """Of x ~ N(m, s²) the best that can be told is known: E[ε | noisy] is linear."""
    schedule, mean, spread, count = Schedule(200, "noise"), 0.7, 0.4, 4000

    def tell(noisy: Tensor, level: Tensor) -> Tensor:
        left, added = schedule.shares(level)
        return added * (noisy - left * mean) / (left.square() * spread**2 + added.square())

    draws = [torch.Generator().manual_seed(row) for row in range(count)]
    drawn = ddim(tell, schedule, torch.randn(count, 1, 1), Denoising(200, eta=eta, least=-5.0, most=5.0), draws)
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.03)
    assert float(drawn.std()) == pytest.approx(spread, abs=0.03)


def test_levels_go_evenly_from_the_last_to_none() -> None:
    assert levels(10, 10) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0] and levels(1000, 4) == [1000, 750, 500, 250, 0]
    with pytest.raises(ValueError, match="11 steps through 10 levels"):
        levels(10, 11)


def test_noise_is_drawn_by_seed_epoch_and_sample_and_texts_are_dropped_as_often_as_asked() -> None:
    data, how = captioned(), Diffusion(drop=0.5)
    noised = how.turn_signals(data, 3)
    together, alone = rows(noised, 3, 4, 5), rows(noised, 4)
    for name in (NOISE, MOMENT):
        assert torch.equal(together.asked[name][1], alone.asked[name][0])
        assert not torch.equal(rows(noised, 4, epoch=1).asked[name], alone.asked[name])
        assert not torch.equal(rows(how.turn_signals(data, 4), 4).asked[name], alone.asked[name])
    places = [Place(epoch, sample) for epoch in range(40) for sample in range(12)]
    many, plain = noised.batch(places), data.batch(places)
    assert many.segments is not None and plain.segments is not None and many.source is not None
    there = many.segments.sum(1) > 0
    assert 0.4 < float(there.float().mean()) < 0.6
    assert torch.equal(many.segments[there], plain.segments[there])
    assert 0.45 < float(many.asked[MOMENT].mean()) < 0.55 and float(many.asked[MOMENT].max()) < 1
    assert float(many.asked[NOISE].mean()) == pytest.approx(0, abs=0.01)
    assert bool((Diffusion(drop=0).turn_signals(data, 3).batch(places).segments == plain.segments).all())  # type: ignore[union-attr]


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_the_loss_is_that_of_the_paper_and_of_parts_that_of_the_whole(predicts: str) -> None:
    module, how = woken(TINY.change("predicts", predicts)).train(), Diffusion()
    batch = rows(how.turn_signals(captioned(), 0), 0, 1, 2, 3)
    assert batch.source is not None
    x, noise = batch.source.tokens, batch.asked[NOISE]
    level = 1 + (batch.asked[MOMENT] * 100).long()
    share = kept(100)[level][:, None, None].float()
    wanted = noise if predicts == "noise" else share.sqrt() * noise - (1 - share).sqrt() * x
    memory = module.read(batch.tokens, Layout(segments=batch.segments))
    told = module(share.sqrt() * x + (1 - share).sqrt() * noise, level, memory)
    loss = how.losses(module, batch)[TERM]
    torch.testing.assert_close(loss.sum, (told - wanted).square().mean((1, 2)).sum())
    assert loss.count == 4 == how.counts(batch)[TERM]
    assert how.constant(module, [batch]) == pytest.approx(float(wanted.square().mean()), rel=1e-5)

    def gradients(*parts: tuple[int, int]) -> list[Tensor]:
        total = sum(how.losses(module, batch.rows(*part))[TERM].sum for part in parts)
        assert isinstance(total, Tensor)
        return list(torch.autograd.grad(total, list(module.parameters())))

    for ours, whole in zip(gradients((0, 1), (1, 4)), gradients((0, 4)), strict=True):
        torch.testing.assert_close(ours, whole, atol=1e-5, rtol=1e-4)


def test_a_text_changes_what_is_told_and_nothing_asked_hangs_on_none() -> None:
    module, batch = woken(), rows(captioned(), 0, 1)
    noisy, level = torch.randn(2, 9, 16), torch.tensor([50, 50])

    def told(tokens: Tensor, segments: Tensor | None) -> Tensor:
        return module(noisy, level, module.read(tokens, Layout(segments=segments)))

    assert not torch.allclose(told(batch.tokens, batch.segments), told(batch.tokens.flip(0), batch.segments))
    nothing = torch.zeros_like(batch.tokens)
    assert torch.equal(told(batch.tokens, nothing), told(batch.tokens.flip(0), nothing))
    padded = torch.nn.functional.pad(batch.tokens, (0, 3), value=1)
    there = torch.ones_like(batch.tokens)
    torch.testing.assert_close(told(padded, torch.nn.functional.pad(there, (0, 3))), told(batch.tokens, None))
    for part in module.modules():
        if isinstance(part, CrossAttention):
            torch.nn.init.zeros_(part.v.weight)
    assert torch.equal(told(batch.tokens, there), told(batch.tokens.flip(0), there))
    other = module(noisy, torch.tensor([50, 90]), module.read(batch.tokens))
    same = module(noisy, level, module.read(batch.tokens))
    assert torch.allclose(other[0], same[0], atol=1e-5) and not torch.allclose(other[1], same[1])


def test_guidance_goes_beyond_the_text_and_a_row_does_not_feel_its_companions() -> None:
    module, batch = woken(), rows(captioned(), 0, 1, 2)
    assert batch.segments is not None
    memory = module.read(batch.tokens, Layout(segments=batch.segments))
    plain = module.read(batch.tokens, Layout(segments=batch.segments * 0))
    noisy, level = torch.randn(3, 9, 16), torch.full((3,), 40)
    asked, nothing = module(noisy, level, memory), module(noisy, level, plain)
    for scale in (0.0, 1.0, 3.0):
        torch.testing.assert_close(
            guided(module, memory, scale)(noisy, level), nothing + scale * (asked - nothing), atol=1e-4, rtol=1e-4
        )
    here, how = Layout(segments=batch.segments), Denoising(5, 2.0, eta=0.5, least=-2.0, most=2.0)
    together = denoise(module.train(), batch.tokens, here, (9, 16), how, seed=(4, 5, 6))
    alone = denoise(module, batch.tokens[1:2], Layout(segments=batch.segments[1:2]), (9, 16), how, seed=(5,))
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)
    assert module.training and float(together.abs().max()) <= 2
    whole = denoise(module, batch.tokens, here, (9, 16), how, seed=7)
    assert torch.equal(whole, denoise(module, batch.tokens, here, (9, 16), how, seed=7))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_position_scheme_learns_saves_and_loads(scheme: str, tmp_path: Path) -> None:
    blueprint = TINY.change("position", scheme)
    module, how = woken(blueprint).train(), Diffusion()
    batch = rows(how.turn_signals(captioned(), 0), 0, 1)
    how.losses(module, batch)[TERM].sum.backward()
    assert all(part.grad is not None and bool(part.grad.isfinite().all()) for part in module.parameters())
    save(Model(module.eval(), blueprint), tmp_path / "saved")
    again = load(tmp_path / "saved").module
    assert isinstance(again, Denoiser)
    assert torch.equal(how.losses(again, batch)[TERM].sum, how.losses(module, batch)[TERM].sum)


def test_classes_are_captions_too(tmp_path: Path) -> None:
    fit = Patches(12, 4, 1)
    settings = DrawingSettings(source="made_pictures", tokenizer="characters", vocab=0)
    found = prepare_drawings(settings, fit, 16)
    assert found.classes == SHAPES and found.train.text(Place(0, 3)) in SHAPES
    assert prepare_drawings(settings, fit, 16).digest == found.digest
    other = dataclasses.replace(settings, seed=1)
    assert prepare_drawings(other, fit, 16).digest != found.digest
    made = prepare_drawings(DrawingSettings(source="made_captions", vocab=300), fit, 16)
    assert made.classes == () and " " in made.train.text(Place(0, 3))


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("drop = 1", lambda: Diffusion(drop=1)),
        ("guidance = -1", lambda: Denoising(guidance=-1)),
        ("at least 1 step", lambda: Denoising(steps=0)),
        ("asks Denoiser", lambda: Diffusion().check(Blueprint.of("vit", "debug").build())),
        ("turn pairs of both", lambda: Diffusion().losses(woken(), rows(captioned(), 0))),
        ("patches divide", lambda: Blueprint.of("dit", "debug", patch=5).build()),
        ("no source is called", lambda: prepare_drawings(DrawingSettings(source="pictured"), Patches(12, 4, 1), 16)),
        ("data.asked=.* of drawings nothing reads it", DrawingSettings(asked="{text}").check),
        ("data.alike=.* by their classes nothing", DrawingSettings(source="pictures", alike=("x",)).check),
        ("data.drop=.* by their classes nothing", DrawingSettings(source="pictures", drop=0.5).check),
        (
            "12 tokens",
            lambda: woken()(torch.randn(1, 12, 16), torch.tensor([1]), woken().read(torch.zeros(1, 1).long())),
        ),
    ],
)
def test_what_cannot_be_is_refused(said: str, make: Any) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_run_resumes_to_the_same_bits_and_draws(tmp_path: Path) -> None:
    whole, part, grid = tmp_path / "whole", tmp_path / "part", tmp_path / "grid.png"
    words = ["train", "fashion_diffusion", "--debug", "--quiet", "--set", "train.checkpoint_every=3"]
    words += ["--set", "train.kernel=matmul"]  # two runs on a busy machine may measure otherwise
    good(*words, "--set", "train.steps=6", "--out", whole)
    good(*words, "--set", "train.steps=6", "--out", part)
    for step in sorted((part / "checkpoints").iterdir())[-1:]:
        for path in step.rglob("*"):
            path.unlink()
        step.rmdir()
    good(*words, "--set", "train.steps=6", "--out", part, "--resume")
    assert (whole / "model.safetensors").read_bytes() == (part / "model.safetensors").read_bytes()
    asked = ["generate", whole, "--prompt", "disc", "--prompt", 2, "--count", 2, "--steps", 3, "--guidance", 1.5]
    good(*asked, "--out", grid)
    first = grid.read_bytes()
    good(*asked, "--out", grid, "--overwrite")
    assert grid.read_bytes() == first
    for extra, said in (
        (["--top-k", 3], "leave --top-k out"),
        (["--count", 0], "--count 0, but at least 1 is made"),
        (["--steps", 0], "--steps 0, but at least 1 is made"),
        (["--prompt", "sofa"], "no class"),
        (["--steps", 900], "900 steps"),
    ):
        assert said in weft(*asked, *extra, "--out", tmp_path / "no.png").err
    judge = tmp_path / "judge"
    good("train", "vit", "--debug", "--quiet", "--set", "train.steps=2", "--out", judge)
    pictures, labels = made_pictures(20, 12, 1, 3)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = tmp_path / "real" / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(path)
    words = ["eval", whole, "--judge", judge, "--data", tmp_path / "real", "--count", 1, "--json"]
    assert good(*words, "--seeds", 5).data["seed"] == 5 and "--judge DIR" in weft("eval", whole).err
    found = good(*words).data
    assert found["pictures"] == len(SHAPES) and 0 <= found["right"] <= 1 and found["frechet"] >= 0


def test_captions_are_drawn_and_text_is_told_no_guidance(tmp_path: Path) -> None:
    run = tmp_path / "run"
    good("train", "emoji_diffusion", "--debug", "--quiet", "--set", "train.steps=2", "--out", run)
    made = good("generate", run, "--prompt", "a red disc", "--count", 3, "--steps", 2, "--out", tmp_path / "a.png")
    assert "3 pictures" in made.out
    said = weft("generate", run, "--prompt", "a red disc", "--out", tmp_path / "a.jpg").err
    assert "call it a.png" in said and "note: drawn" not in said  # before anything is
    assert "give it --prompt" in weft("generate", run, "--out", tmp_path / "b.png").err
    text = tmp_path / "text"
    good("train", "gpt2", "--debug", "--quiet", "--set", "train.steps=2", "--out", text)
    assert "--guidance is of signals" in weft("generate", text, "--prompt", "a", "--guidance", 2).err


def test_the_guide_to_drawing_runs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, names = tmp_path / "run", dict[str, Any]()
    good("train", "fashion_diffusion", "--debug", "--quiet", "--set", "train.steps=2", "--out", run)
    for block in shown("docs/drawing.md"):
        exec(compile(block, "docs/drawing.md", "exec"), names)
    names["draw"](str(run))
    assert "(8, 12, 12, 1)" in capsys.readouterr().out
