"""Drawn pictures: the judge's figures, and the grid they are written in."""

from pathlib import Path

import numpy as np
import pytest

import weft
from weft.data.signals import Patches, write_processor
from weft.data.signals.grid import write_grid
from weft.data.signals.made import SHAPES, made_pictures
from weft.evaluate.drawn import as_read, drawn, frechet, looked_at
from weft.hub import Model
from weft.models import Blueprint
from weft.recipes.modalities.judge import judged_by

Image = pytest.importorskip("PIL.Image", reason="pictures are written with pillow")
VIT, PATCHES = Blueprint.of("vit", "debug", classes=5), Patches(12, 4, 1)


def test_the_distance_is_that_of_normal_distributions() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(500, 3)), draw.normal(2.0, 3.0, size=(400, 3))
    assert frechet(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet(first, second) == pytest.approx(frechet(second, first))
    assert frechet(first, first + 2) == pytest.approx(12)
    one, other = first[:, :1], second[:, :1]  # of one number: (a - b)² + (s - t)²
    wanted = (one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2
    assert frechet(one, other) == pytest.approx(wanted)
    turn, _ = np.linalg.qr(draw.normal(size=(3, 3)))
    assert frechet(first @ turn, second @ turn) == pytest.approx(frechet(first, second))


def test_a_judge_counts_what_it_takes_for_what_was_asked(tmp_path: Path) -> None:
    pictures, labels = made_pictures(40, 12, 1, 0)
    module = VIT.build(seed=1).train()
    found = drawn(module, PATCHES, SHAPES, pictures, [SHAPES[label] for label in labels], pictures)
    assert module.training and found.distance == pytest.approx(0, abs=1e-6) and found.count == 40
    assert found.right == pytest.approx(np.mean(list(found.by_class.values()))) and set(found.by_class) == set(SHAPES)
    assert drawn(module, PATCHES, SHAPES, 255 - pictures, None, pictures).distance > found.distance
    assert drawn(module, PATCHES, SHAPES, pictures, None, pictures).figures().keys() == {"frechet", "frechet_of_halves"}
    weft.save(Model(module.eval(), VIT), tmp_path)
    write_processor(tmp_path, PATCHES, SHAPES)
    large = pictures.repeat(2, axis=1).repeat(2, axis=2).repeat(3, axis=3)
    assert judged_by(tmp_path, large, None, pictures).distance < found.halves


def test_small_pictures_keep_their_edges_before_a_judge() -> None:
    """Whatever filter the judge's own pictures went through: as pillow enlarges them by Lanczos's."""
    pictures, _ = made_pictures(20, 6, 1, 0)
    module, soft = VIT.build(seed=1), Patches(12, 4, 1, resample="bilinear")
    large = [np.asarray(Image.fromarray(one[..., 0]).resize((12, 12), Image.Resampling.LANCZOS)) for one in pictures]
    wanted, _ = looked_at(module, soft, np.stack(large)[..., None], 5)
    found, _ = looked_at(module, soft, pictures, 5)
    np.testing.assert_array_equal(found, wanted)
    blurred, _ = looked_at(module, soft, np.stack([soft.fitted(one) for one in pictures]), 5)
    assert not np.allclose(found, blurred)


@pytest.mark.parametrize(
    ("said", "asked", "count"),
    [("no class 'dog'", ["dog"] * 8, 8), ("3 classes were asked", ["disc"] * 3, 8), ("at least 2 drawn", None, 1)],
)
def test_what_cannot_be_judged_is_refused(said: str, asked: list[str] | None, count: int) -> None:
    pictures, _ = made_pictures(8, 12, 1, 0)
    with pytest.raises(ValueError, match=said):
        drawn(VIT.build(seed=0), PATCHES, SHAPES, pictures[:count], asked, pictures)


def test_a_judge_must_tell_classes_apart() -> None:
    pictures, _ = made_pictures(8, 12, 1, 0)
    with pytest.raises(ValueError, match="tells classes apart"):
        drawn(Blueprint.of("llama", "debug").build(), PATCHES, SHAPES, pictures, None, pictures)


def test_channels_are_made_as_a_model_reads_them() -> None:
    grey = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    coloured = as_read(grey, Patches(2, 1, 3))
    assert coloured.shape == (2, 2, 3) and (as_read(coloured, Patches(2, 1, 1)) == grey).all()


def test_a_grid_holds_each_picture_at_its_place(tmp_path: Path) -> None:
    pictures = np.stack([np.full((28, 28, 1), number * 40, np.uint8) for number in range(5)])
    path = tmp_path / "grid.png"
    write_grid(path, pictures, 3)
    with Image.open(path) as made:
        assert made.size == (3 * 60 + 4, 2 * 60 + 4)
        seen = np.asarray(made.convert("L"))
    assert [int(seen[30 + 60 * (n // 3), 30 + 60 * (n % 3)]) for n in range(6)] == [0, 40, 80, 120, 160, 255]
    write_grid(path, pictures.repeat(3, axis=-1), 9, ["a very long caption, longer than it is wide"] * 5)
    with Image.open(path) as made:
        assert made.size[0] == 5 * 60 + 4 and (np.asarray(made)[62:74] < 128).any()


@pytest.mark.parametrize(
    ("said", "name", "pictures", "captions"),
    [
        ("call it x.png", "x.jpg", np.zeros((1, 2, 2, 1), np.uint8), None),
        ("uint8", "x.png", np.zeros((1, 2, 2, 1)), None),
        ("uint8", "x.png", np.zeros((2, 2, 1), np.uint8), None),
        ("one each", "x.png", np.zeros((2, 2, 2, 1), np.uint8), ["a"]),
    ],
)
def test_what_is_no_grid_is_refused(
    said: str, name: str, pictures: np.ndarray, captions: list[str] | None, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        write_grid(tmp_path / name, pictures, 2, captions)
