"""What a run that begins with a saved model takes from it: settings that the model decided are refused by name."""

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from commands import good, weft

import weft as library
from weft.batch import Unfit
from weft.data.signals import Patches
from weft.data.signals.tables import SeriesSettings
from weft.data.sources import Say, quiet
from weft.hub import Language, Stops
from weft.hub.error import LoadError
from weft.models import Blueprint
from weft.recipes.folder import Existing, check_same
from weft.recipes.modality import MODALITIES, Modality
from weft.recipes.recipe import Recipe
from weft.settings import SettingError
from weft.training.settings import TrainSettings

Image = pytest.importorskip("PIL.Image", reason="pictures are read with pillow")
FIXED = [(name, field) for name, modality in MODALITIES.all().items() for field in modality.fixed]


def other(kind: Any, value: Any) -> str:
    """A setting's text that means another value."""
    if get_args(kind):  # one of some words
        return next(str(word) for word in get_args(kind) if word != value)
    return {bool: str(not value).lower(), str: "runs/other"}.get(kind, str(value + 1) if kind is not str else "")


@pytest.mark.parametrize(("modality", "field"), FIXED)
def test_what_the_model_decided_is_not_unheard(modality: str, field: str) -> None:
    kind = MODALITIES.get(modality).settings
    value = getattr(kind(), field)
    text = other(get_type_hints(kind)[field], value)
    saved = Recipe("further", Blueprint.of("gpt2", "debug"), kind(), TrainSettings(steps=1), begin=Path("runs/saved"))
    with pytest.raises(SettingError, match=f"data.{field}={text}: runs/saved keeps the .* leave it out"):
        saved.change(f"data.{field}", text)
    assert saved.change(f"data.{field}", str(value).lower() if kind is bool else str(value)).data == kind()
    new = Recipe("new", Blueprint.of("gpt2", "debug"), kind(), TrainSettings(steps=1))
    assert getattr(new.change(f"data.{field}", text).data, field) != value


@pytest.mark.parametrize(("modality", "field"), FIXED)
def test_a_resumed_run_does_not_overhear_it(modality: str, field: str) -> None:
    kind, blueprint = MODALITIES.get(modality).settings, Blueprint.of("gpt2", "debug")
    recipe = Recipe("run", blueprint, kind(), TrainSettings(steps=1))
    text = other(get_type_hints(kind)[field], getattr(kind(), field))
    found = Existing(Language(None, Stops(), {}, {}), blueprint, recipe.settings(blueprint), "digest")
    kept = MODALITIES.get(modality).fixed
    check_same(Path("runs/mine"), found, recipe.settings(blueprint), "digest", kept)
    with pytest.raises(ValueError, match=f"data.{field} was .* when runs/mine was started"):
        changed = recipe.change(f"data.{field}", text).settings(blueprint)
        check_same(Path("runs/mine"), found, changed, "digest", kept)


def shapes(folder: Path, names: str, seed: int = 0) -> Path:
    """A folder of pictures for each class, told apart by where they are bright."""
    draw = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 60, (12, 12), np.uint8)
            at = 3 * ("abcdef".index(name) % 4)
            pixels[at : at + 3] = 250
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def accuracy(run: Path, data: Path) -> float:
    return good("eval", run, "--data", data, "--json").data["accuracy"]


def test_classes_keep_their_names_where_a_model_goes_on(tmp_path: Path) -> None:
    run, few = tmp_path / "run", ("--quiet", "--set", "train.steps=1", "--set", "train.rate=1e-9")
    words = ("--quiet", "--set", "train.steps=60", "--set", "train.batch=16", "--set", "train.rate=3e-3")
    good("train", "vit", "--debug", "--data", shapes(tmp_path / "abc", "abc"), "--out", run, *words)
    good("train", run, "--data", shapes(tmp_path / "bc", "bc", 1), "--out", tmp_path / "further", *few)
    assert accuracy(tmp_path / "further", tmp_path / "bc") == accuracy(run, tmp_path / "bc") > 0.8
    good("train", run, "--data", shapes(tmp_path / "ad", "ad"), "--out", tmp_path / "other", *few)
    said = json.loads((tmp_path / "other" / "report.json").read_text())["notices"]
    assert any("none is 'd': its head begins anew, for the 2 classes" in notice for notice in said)
    kept, made = (library.load(folder).module.state_dict() for folder in (run, tmp_path / "other"))
    head = {name for name in kept if kept[name].shape != made[name].shape}
    assert head and all(name.startswith("heads.classes.") for name in head)
    near = {name: float((kept[name] - made[name]).abs().max()) for name in kept if name not in head}
    assert max(near.values()) < 1e-6
    good("train", run, "--data", tmp_path / "ad", "--out", tmp_path / "other", *few, "--resume")
    inside = ("predict", run, "--data", tmp_path / "bc", "--out")  # what is read there is pictures
    good(*inside, tmp_path / "bc" / "found.jsonl")
    good(*inside, tmp_path / "bc" / "found.jsonl", "--overwrite")
    picture = tmp_path / "bc" / "b" / "0.png"
    before = picture.read_bytes()
    assert "is what is read" in weft(*inside, picture, "--overwrite").err and picture.read_bytes() == before
    done = weft("train", run, "--data", tmp_path / "ad", "--out", tmp_path / "less", *few, "--set", "model.depth=1")
    assert done.status == 1 and "layers.1" in done.err  # no layer is dropped in silence


def test_a_model_that_draws_by_class_refuses_others(tmp_path: Path) -> None:
    shapes(tmp_path / "ab", "ab")
    pixels = ("--set", "data.by_class=true", "--set", "data.image=3", "--quiet", "--set", "train.steps=1")
    good("train", "imagegpt", "--debug", "--data", tmp_path / "ab", "--out", tmp_path / "run", *pixels)
    done = weft("train", tmp_path / "run", "--data", shapes(tmp_path / "bd", "bd"), "--out", tmp_path / "on", "--quiet")
    assert done.status == 1 and "the data have a class 'd'" in " ".join(done.err.split())


def test_a_published_model_goes_on_with_its_own_pixels_and_other_classes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = dict(image_size=12, patch_size=4, num_channels=1, hidden_size=32, num_hidden_layers=2)
    config = transformers.ViTConfig(
        **sizes, num_attention_heads=4, intermediate_size=64, id2label={0: "tench", 1: "shark", 2: "ray"}
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    said = {"size": {"height": 12, "width": 12}, "image_mean": [0.25], "image_std": [0.125], "resample": 3}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(said))
    words = ("--out", tmp_path / "run", "--quiet", "--set", "train.steps=1")
    good("train", tmp_path / "vit", "--data", shapes(tmp_path / "ab", "ab"), *words)
    found = library.load(tmp_path / "run")
    assert found.reads is not None and found.reads.classes == ("a", "b")
    assert found.reads.processor == Patches(12, 4, 1, (0.25,), (0.125,), "bicubic")
    assert found.config.classes == 2


class Failing(Modality):
    """One whose data are not opened."""

    settings, made, called = SeriesSettings, "made_series", "nothing"

    def __init__(self, error: ValueError) -> None:
        self.error = error

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "begin", "source", "reworded"),
    [
        (Unfit("of others"), Path("runs/mine"), "made_series", True),
        (Unfit("of others"), Path("runs/mine"), "series", False),
        (Unfit("of others"), None, "made_series", False),
        (ValueError("set model.classes=3"), Path("runs/mine"), "made_series", False),
        (LoadError("processor.json is damaged"), Path("runs/mine"), "made_series", False),
    ],
)
def test_only_what_a_model_cannot_read_is_answered_with_other_data(
    error: ValueError, begin: Path | None, source: str, reworded: bool
) -> None:
    blueprint = Blueprint.of("series", "debug")
    recipe = Recipe("run", blueprint, SeriesSettings(source=source), TrainSettings(steps=1), begin=begin)
    with pytest.raises(ValueError) as raised:
        Failing(error).feed(recipe, None, Path("runs/new"), quiet)
    said = str(raised.value)
    assert ("runs/mine cannot go on with what data.source=made_series makes" in said) == reworded and str(error) in said
