"""Pictures pixel by pixel: colours, rows by class, drawn pictures, and the judge's command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given
from hypothesis import strategies as st

import weft as library
from weft.batch import IGNORED, Place
from weft.data.signals import Colours, Labelled, read_processor, write_processor
from weft.data.signals.colours import nearest, palette
from weft.data.signals.made import SHAPES, made_pictures
from weft.generate import generate
from weft.models import Blueprint
from weft.nn import Decoder, Encoder
from weft.objectives import NextToken
from weft.recipes.modalities.pixel_rows import PixelRows, nats_by_class, openings, pictures_of
from weft.recipes.modality import Drawn

Image = pytest.importorskip("PIL.Image", reason="pictures are written with pillow")
MODEL = Blueprint.of("imagegpt", "debug", context=18)
COLOURS = Colours(4, tuple((level,) for level in range(0, 256, 36)), by_class=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.integers(1, 12))
def test_each_pixel_is_the_nearest_colour(seed: int, channels: int, count: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 5, 5, channels)).astype(np.uint8)
    how = Colours.of(pixels, count)
    assert how == Colours.of(pixels, count) and len(how.colours) == count and how.channels == channels
    ids = how.rows(pixels)
    assert ids.shape == (3, 25) and ids.dtype == np.int64
    table = np.array(how.colours)
    far = ((pixels.reshape(3, 25, 1, channels).astype(int) - table) ** 2).sum(-1)
    assert (np.take_along_axis(far, ids[..., None], -1)[..., 0] == far.min(-1)).all()
    drawn = how.pixels(ids)
    assert (drawn.shape == pixels.shape and (how.rows(drawn) == ids).all()) or len(set(how.colours)) < count


def test_a_palette_has_the_colours_that_there_are_and_lies_where_pixels_do() -> None:
    few = np.array([[7], [200], [7], [90]], np.uint8)
    assert palette(few, 3) == ((7,), (90,), (200,)) and palette(few, 4) == ((7,), (90,), (200,), (200,))
    draw = np.random.default_rng(0)
    pixels = np.concatenate([draw.normal(middle, 2, (500, 3)) for middle in (40, 120, 220)]).round().astype(np.uint8)
    found = np.array(palette(pixels, 3))
    assert abs(found - np.array([[40], [120], [220]])).max() < 3
    assert nearest(pixels, found.astype(np.float32)).tolist() == [0] * 500 + [1] * 500 + [2] * 500


def test_colours_are_written_beside_the_model(tmp_path: Path) -> None:
    write_processor(tmp_path, COLOURS, SHAPES)
    assert read_processor(tmp_path) == (COLOURS, SHAPES)
    pictures, _ = made_pictures(1, 9, 3, 0)
    Image.fromarray(pictures[0]).save(tmp_path / "one.png")
    assert COLOURS.read(tmp_path / "one.png").shape == (4, 4, 1)
    for said, make in (
        ("1 number each", lambda: Colours(4, ((1, 2),))),
        ("from 0 to 255", lambda: Colours(4, ((256,),))),
        ("at least 1 pixel", lambda: Colours(0, ((1,),))),
        ("make them so", lambda: COLOURS.rows(np.zeros((1, 5, 5, 1), np.uint8))),
    ):
        with pytest.raises(ValueError, match=said):
            make()


def rows(*, by_class: bool) -> PixelRows:
    pictures, labels = made_pictures(10, 4, 1, 0)
    return PixelRows(Labelled(pictures, labels, COLOURS), 8, by_class=by_class)


def test_a_row_begins_with_its_class_and_each_place_says_the_next_pixel() -> None:
    data = rows(by_class=True)
    batch = data.batch([Place(0, 3), Place(0, 7)])
    ids = torch.from_numpy(COLOURS.rows(data.data.signals))[[3, 7]]  # type: ignore[attr-defined]
    assert batch.labels is not None
    assert batch.tokens[:, :2].tolist() == [[8, 3], [8, 2]] and torch.equal(batch.tokens[:, 2:], ids[:, :-1])
    assert (batch.labels[:, 0] == IGNORED).all() and torch.equal(batch.labels[:, 1:], ids)
    plain = rows(by_class=False).batch([Place(0, 3)])
    assert plain.labels is not None
    assert plain.tokens[0].tolist() == [8, *ids[0, :-1].tolist()] and torch.equal(plain.labels, ids[:1])


def test_the_nats_of_a_class_are_those_that_are_trained() -> None:
    module = MODEL.build(seed=3)
    assert isinstance(module, Decoder)
    data = rows(by_class=True)
    signals, labels = data.data.signals[:4], data.data.labels[:4]  # type: ignore[attr-defined]
    found = nats_by_class(module, COLOURS, 8, 5, signals)
    loss = NextToken().losses(module, data.batch([Place(0, number) for number in range(4)]))["loss"]
    assert found.shape == (4, 5) and loss.count == 4 * 16
    assert float(loss.sum.detach()) == pytest.approx(found[np.arange(4), labels].sum(), rel=1e-5)


def test_what_is_drawn_hangs_on_the_class_and_the_seed_alone() -> None:
    module = MODEL.build(seed=3)
    assert isinstance(module, Decoder)
    with torch.no_grad():
        for part in module.embed.parameters():
            part.mul_(20)
    asked = openings(COLOURS, SHAPES, 8, ["disc", "cross", "disc"])
    assert asked == [[8, 1], [8, 2], [8, 1]]
    drawn = pictures_of(module, COLOURS, asked, Drawn(seed=4))
    assert drawn.shape == (3, 4, 4, 1) and (drawn == pictures_of(module, COLOURS, asked, Drawn(seed=4))).all()
    assert (drawn[:2] == pictures_of(module, COLOURS, asked[:2], Drawn(seed=4))).all()
    still = pictures_of(module, COLOURS, asked, Drawn(temperature=0))
    wanted = generate(module, asked[:1], new=16, sampling=library.Sampling(temperature=0))[0].ids
    assert (still[0] == still[2]).all() and (COLOURS.rows(still)[0] == np.array(wanted)).all()


def test_classes_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match="no class is called 'dog'; there are square"):
        openings(COLOURS, SHAPES, 8, ["dog"])
    with pytest.raises(ValueError, match="of no class"):
        openings(Colours(4, COLOURS.colours), SHAPES, 8, ["disc"])
    assert openings(Colours(4, COLOURS.colours), SHAPES, 8, ["", ""]) == [[8], [8]]


def folders(root: Path) -> Path:
    pictures, labels = made_pictures(30, 12, 1, 5)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = root / ("val" if number % 3 == 0 else "train") / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(path)
    return root


def test_a_model_of_pixels_trains_resumes_draws_and_is_judged(tmp_path: Path) -> None:
    data, run = folders(tmp_path / "pictures"), tmp_path / "run"
    words = ["train", "imagegpt", "--data", data, "--set", "model.size=debug", "--set", "data.by_class=true", "--quiet"]
    words += ["--set", "model.context=18", "--set", "train.batch=8", "--out", run, "--set"]
    said = good(*words, "train.steps=6").out
    assert "held-out bits per pixel" in said
    good(*words, "train.steps=9", "--resume")
    figures = json.loads((run / "report.json").read_text())["figures"]
    assert figures["bits_per_pixel"] == pytest.approx(figures["loss"] / np.log(2))
    grid = tmp_path / "grid.png"
    good("generate", run, "--prompt", "disc", "--prompt", "cross", "--count", 3, "--out", grid)
    with Image.open(grid) as made:
        assert made.size[0] == 3 * 60 + 4
    assert "leave --tokens" in weft("generate", run, "--tokens", 3, "--out", grid, "--overwrite").err
    assert "no class is called" in weft("generate", run, "--prompt", "dog", "--out", grid, "--overwrite").err
    scored = good("eval", run, "--data", data)
    assert "of 10 pictures" in scored.out and "the 10 of 30 pictures that the run held out" in scored.err
    copy = data.rename(tmp_path / "moved")
    scored = good("eval", run, "--data", copy)
    assert "of 10 pictures" in scored.out and "what is called train is left out" in scored.err
    data = copy.rename(data)
    judge = tmp_path / "judge"
    good("train", "vit", "--data", data, "--out", judge, "--quiet", "--set", "model.size=debug", "--set",
         "model.image=12", "--set", "train.steps=3", "--set", "train.batch=8")  # fmt: skip
    found = good("eval", run, "--judge", judge, "--data", data, "--count", 2, "--json").data
    assert found["pictures"] == 10 and 0 <= found["right"] <= 1 and found["frechet"] >= 0
    assert set(found["right_by_class"]) == set(SHAPES)
    assert "pictures are what was asked" in good("eval", run, "--judge", judge, "--data", data, "--count", 1).out
    assert "draws no pictures" in weft("eval", judge, "--judge", judge, "--data", data).err
    vectors = tmp_path / "vectors.npy"
    good("embed", judge, "--input", data, "--out", vectors)
    model = library.load(judge)
    files = sorted(path for path in data.rglob("*.png"))
    states = model.encode(model.rows(files))
    assert isinstance(model.module, Encoder)
    np.testing.assert_allclose(np.load(vectors), model.module.pool(states).detach(), rtol=1e-5, atol=1e-6)
    assert model.logits(model.rows(files[:2])).shape == (2, 5)
    assert "it makes no vectors" in weft("embed", run, "--input", data, "--out", tmp_path / "x.npy").err


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("set model.context=18", ["data.image=4", "data.by_class=true", "model.context=17"]),
        ("5 classes are written as colours", ["data.by_class=true", "model.context=18", "model.vocab=4"]),
        ("data.channels=2", ["data.channels=2"]),
    ],
)
def test_models_that_do_not_fit_pixels_are_refused(said: str, changes: list[str], tmp_path: Path) -> None:
    sets = [word for change in changes for word in ("--set", change)]
    done = weft("train", "imagegpt", "--debug", "--quiet", "--out", tmp_path / "run", *sets)
    assert done.status and said in done.err and not (tmp_path / "run").exists()
