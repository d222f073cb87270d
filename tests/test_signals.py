"""Pictures: from files to patches, as batches that any seed gives again, as a run, and as answers about new ones."""

import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given
from hypothesis import strategies as st
from odd.pictures import patches as by_definition

import weft as library
from weft.batch import Place
from weft.data.signals import Augment, Labelled, Patches, SignalSettings, prepare_signals, read_processor
from weft.data.signals.classes import known_as
from weft.data.signals.given import given_pictures
from weft.data.signals.idx import read_idx
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.pictures import MOST_PIXELS, opened
from weft.data.signals.prepare import Found
from weft.data.signals.varied import varied
from weft.files import DamagedFile
from weft.models import FAMILIES, Blueprint
from weft.objectives import Classes

Image = pytest.importorskip("PIL.Image", reason="pictures are read with pillow")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx(path: Path, array: np.ndarray) -> Path:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 3]))
def test_patches_are_cut_as_defined_and_go_back_to_the_same_pixels(side: int, patch: int, channels: int) -> None:
    processor = Patches(side * patch, patch, channels, mean=(0.3,) * channels, std=(0.2,) * channels)
    pictures = noise(2, side * patch, side * patch, channels)
    scaled = torch.from_numpy((pictures.astype(np.float32) / 255 - 0.3) / 0.2).permute(0, 3, 1, 2)
    rows = processor.rows(pictures)
    np.testing.assert_allclose(rows, by_definition(scaled, patch).numpy(), atol=1e-5)
    assert rows.shape[-1] == processor.channels_of_place
    np.testing.assert_array_equal(processor.pixels(rows), pictures)


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("30 pixels", {"image": 30}),
        ("grey", {"channels": 2}),
        ("mean has 2", {"mean": (0.1, 0.2)}),
        ("above 0", {"std": (0.0,)}),
    ],
)
def test_a_processor_that_can_be_none_is_refused(said: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=said):
        Patches(**({"image": 28, "patch": 4, "channels": 3} | changes))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["ViTImageProcessorPil", "CLIPImageProcessorPil"])
def test_pixels_are_those_of_the_reference(kind: str, tmp_path: Path) -> None:
    from weft.hub.preprocessor import patches

    transformers = pytest.importorskip("transformers")
    crop = kind.startswith("CLIP")
    sizes = dict(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}) if crop else dict(size=24)
    theirs = getattr(transformers, kind)(**sizes)
    theirs.save_pretrained(tmp_path)
    processor = patches(json.loads((tmp_path / "preprocessor_config.json").read_text()), 8, 3)
    picture = Image.fromarray(noise(37, 61, 3))
    picture.save(tmp_path / "one.png")
    wanted = torch.from_numpy(np.asarray(theirs(picture)["pixel_values"]))
    rows = processor.rows(processor.read(tmp_path / "one.png")[None])
    torch.testing.assert_close(torch.from_numpy(rows), by_definition(wanted, 8), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("said", "theirs"),
    [
        ("do_resize is false", {"do_resize": False}),
        ("rescale_factor", {"rescale_factor": 0.5}),
        ("understood is one number", {"size": {"height": 3, "width": 4}}),
        ("resample is 5", {"resample": 5}),
        ("not padded", {"do_pad": True}),
        ("equal ones", {"do_center_crop": True, "size": {"shortest_edge": 30}, "crop_size": 24}),
    ],
)
def test_a_published_processor_of_other_pixels_is_refused_by_name(said: str, theirs: dict[str, Any]) -> None:
    from weft.hub.preprocessor import patches

    with pytest.raises(ValueError, match=said):
        patches(theirs, 8, 3)


def test_what_is_see_through_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "empty.png")
    assert (opened(tmp_path / "empty.png", 3) == 255).all()


def test_sixteen_bits_are_eight_and_thirty_two_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 30000], [257, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert opened(tmp_path / "deep.png", 1)[..., 0].tolist() == [[0, 117], [1, 255]]
    Image.fromarray(np.full((2, 2), 0.5, np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(ValueError, match="real.tif holds numbers of 32 bits"):
        opened(tmp_path / "real.tif", 1)


def test_a_picture_is_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    picture, said = Image.fromarray(noise(4, 6, 3)), Image.Exif()
    said[0x0112] = 3  # upside down
    picture.save(tmp_path / "turned.png", exif=said)
    assert (opened(tmp_path / "turned.png", 3) == np.asarray(picture)[::-1, ::-1]).all()


def test_damaged_and_oversized_pictures_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(noise(40, 40, 3)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:300])
    (tmp_path / "no.png").write_bytes(b"this is text")
    large = bytearray(good.read_bytes())
    large[16:24] = struct.pack(">II", 20_000, 5_000)  # the head says 100 megapixels, and there are none
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    (tmp_path / "large.png").write_bytes(bytes(large))
    for name, said in (("cut.png", "damaged"), ("no.png", "no picture"), ("large.png", f"{MOST_PIXELS:,}")):
        with pytest.raises(ValueError, match=said) as error:
            opened(tmp_path / name, 3)
        assert name in str(error.value)
    with pytest.raises(ValueError, match="no file"):
        opened(tmp_path / "gone.png", 3)


def test_idx_files_are_read_and_damaged_ones_named(tmp_path: Path) -> None:
    array = noise(3, 4, 5)
    np.testing.assert_array_equal(read_idx(idx(tmp_path / "a-idx3-ubyte.gz", array)), array)
    whole = idx(tmp_path / "a-idx3-ubyte", array)
    np.testing.assert_array_equal(read_idx(whole), array)
    for name, data in (
        ("short", whole.read_bytes()[:-1]),
        ("long", whole.read_bytes() + b"x"),
        ("empty", b""),
        ("huge", bytes([0, 0, 8, 3]) + struct.pack(">III", 1 << 20, 1 << 20, 1 << 10)),
        ("text", b"not an idx file"),
        ("broken.gz", b"\x1f\x8b\x08not gzip"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            read_idx(tmp_path / name)


def test_variations_are_a_function_of_seed_epoch_and_sample() -> None:
    pictures, labels = made_pictures(10, 12, 1, 0)
    processor, augment = Patches(12, 4, 1), Augment(flip=True, shift=2, erase=0.5)
    data = Labelled(pictures, labels, processor, augment=augment, seed=3)
    together = data.batch([Place(1, 4), Place(1, 5), Place(2, 4)])
    alone = data.batch([Place(1, 4)])
    assert torch.equal(together.tokens[0], alone.tokens[0])
    assert not torch.equal(together.tokens[0], together.tokens[2])
    assert together.asked["label"].tolist() == [4, 0, 4]
    still = Labelled(pictures, labels, processor).batch([Place(1, 4)])
    assert torch.equal(still.tokens, torch.from_numpy(processor.rows(pictures[4:5])))


@given(st.integers(0, 100))
def test_each_variation_does_what_it_says(seed: int) -> None:
    picture = noise(9, 9, 1) // 2 + 100
    draw = np.random.default_rng(seed)
    assert varied(picture, Augment(), draw) is picture
    flipped = varied(picture, Augment(flip=True), draw)
    assert (flipped == picture).all() or (flipped == picture[:, ::-1]).all()
    moved = varied(picture, Augment(shift=2), draw)
    places = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    inner = picture[2:-2, 2:-2]
    assert any((moved[2 + d : 7 + d, 2 + r : 7 + r] == inner).all() for d, r in places)
    by = next((d, r) for d, r in places if (moved[2 + d : 7 + d, 2 + r : 7 + r] == inner).all())
    down, right = ((np.arange(9) - step).clip(0, 8) for step in by)
    assert (moved == picture[down][:, right]).all()  # beyond the edge it is as at the edge, not black
    erased = varied(picture, Augment(erase=1.0), draw)
    assert 1 <= (erased == 0).sum() <= 45 and ((erased == picture) | (erased == 0)).all()


@given(st.integers(0, 2**32 - 1), st.integers(5, 14), st.integers(5, 14), st.sampled_from([1, 3]))
def test_cut_and_lit_pictures_stay_pictures(seed: int, height: int, width: int, channels: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)
    how = Augment(crop=0.2, light=0.5)
    one, again = (varied(picture, how, np.random.default_rng(seed)) for _ in range(2))
    assert one.dtype == np.uint8 and one.shape == picture.shape and (one == again).all()
    level = np.full_like(picture, 100)
    assert (varied(level, Augment(crop=0.1), np.random.default_rng(seed)) == 100).all()
    lit = varied(level, Augment(light=0.5), np.random.default_rng(seed))
    assert len(np.unique(lit)) == 1 and 50 <= lit.flat[0] <= 150
    ramp = np.tile(np.linspace(0, 250, width)[None, :, None], (height, 1, channels)).round().astype(np.uint8)
    cut = varied(ramp, Augment(crop=0.2), np.random.default_rng(seed)).astype(int)
    assert (np.diff(cut, axis=1) >= 0).all() and np.ptp(cut) <= 250 and (np.ptp(cut, axis=0) == 0).all()
    dark = varied(picture, Augment(light=0.0001), np.random.default_rng(seed)).astype(int)
    assert abs(dark - picture).max() <= 1


def test_a_cutting_of_all_is_the_picture_and_less_is_a_part_of_it() -> None:
    picture = np.arange(144, dtype=np.uint8).reshape(12, 12, 1)
    nearly = varied(picture, Augment(crop=0.9999), np.random.default_rng(3))
    assert nearly.shape == picture.shape
    cuts = [varied(picture, Augment(crop=0.1), np.random.default_rng(seed)) for seed in range(50)]
    spans = [int(cut.max()) - int(cut.min()) for cut in cuts]
    assert min(spans) < 80 and max(spans) > 100 and len({cut.tobytes() for cut in cuts}) == 50


def test_the_loss_with_smoothing_is_that_against_smoothed_labels() -> None:
    blueprint = Blueprint.of("vit", "debug")
    module = blueprint.build(seed=1)
    pictures, labels = made_pictures(6, 12, 1, 0)
    batch = Labelled(pictures, labels, Patches(12, 4, 1)).batch([Place(0, number) for number in range(6)])
    objective = Classes(smoothing=0.2)
    losses, scores = objective.losses(module, batch), objective.scores(module, batch)
    total = sum(loss.weight * loss.sum for loss in losses.values())
    wanted = torch.nn.functional.cross_entropy(scores, batch.asked["label"], label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(total, wanted)
    assert {name: loss.count for name, loss in losses.items()} == objective.counts(batch)
    assert torch.equal(objective.guesses(module, batch), scores.argmax(-1))


def folders(root: Path, count: int = 20) -> Path:
    """Pictures in a folder for each class."""
    pictures, labels = made_pictures(count, 14, 3, 5)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = root / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


def test_what_is_hidden_is_no_class_and_no_picture(tmp_path: Path) -> None:
    config, asked = Blueprint.of("vit", "debug", image=12).config, SignalSettings(paths=(str(folders(tmp_path)),))
    plain = prepare_signals(asked, config, None)
    for name in (".thumbnails/0.png", "__MACOSX/1.png", f"{SHAPES[0]}/._0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    found = prepare_signals(asked, config, None)
    assert (found.classes, found.digest) == (plain.classes, plain.digest)
    assert len(given_pictures(tmp_path, Patches(12, 4, 1), found.classes).names) == 20


def test_classes_are_known_by_their_names_and_else_by_their_numbers() -> None:
    assert known_as(("b", "a"), ("a", "b", "c")) == [1, 0]
    assert known_as(("0", "2"), ("a", "b", "c")) == [0, 2] and known_as(("0", "2"), ("0", "1", "10", "2")) == [0, 3]
    assert known_as(("a", "d"), ("a", "b", "c")) is None and known_as(("3",), ("a", "b", "c")) is None
    data = Found(np.zeros((2, 4, 4, 1), np.uint8), np.array([1, 0]), ("0", "1"), None)
    assert data.called(("a", "b")).classes == ("a", "b") and data.called(("a", "b", "c")).classes == ("0", "1")
    assert data.called(("2", "1", "0")).labels.tolist() == [1, 2]
    with pytest.raises(ValueError, match="two of its classes 'a'"):
        known_as(("a",), ("a", "a"))


def test_folders_and_idx_files_give_the_same_rows(tmp_path: Path) -> None:
    config = Blueprint.of("vit", "debug", image=12).config
    pictures, labels = made_pictures(20, 12, 1, 0)
    for side, part in (("train", slice(0, 15)), ("dev", slice(15, 20))):
        idx(tmp_path / f"{side}-images-idx3-ubyte.gz", pictures[part, ..., 0])
        idx(tmp_path / f"{side}-labels-idx1-ubyte.gz", labels[part].astype(np.uint8))
        for number in range(20)[part]:
            path = tmp_path / "folders" / side / str(labels[number]) / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[number, ..., 0]).save(path)
    found = prepare_signals(SignalSettings(paths=(str(tmp_path),)), config, None)
    assert (len(found.train), len(found.held_out)) == (15, 5) and found.classes == tuple("01234")
    same = prepare_signals(SignalSettings(paths=(str(tmp_path / "folders"),)), config, None)
    order = np.argsort(same.train.labels, kind="stable")
    wanted = np.argsort(found.train.labels, kind="stable")
    np.testing.assert_array_equal(same.train.signals[order], found.train.signals[wanted])
    assert same.processor == found.processor


@pytest.mark.parametrize(
    ("said", "settings", "config"),
    [
        ("one folder", SignalSettings(), {}),
        ("one folder", SignalSettings(paths=("gone",)), {}),
        ("no idx files", SignalSettings(paths=(".",)), {}),
        ("held_out=1.5", SignalSettings(held_out=1.5), {}),
        ("5 classes", SignalSettings(source="made_pictures"), {"classes": 3}),
        ("number of pixels", SignalSettings(augment=Augment(shift=-1)), {}),
        ("share of the pictures", SignalSettings(augment=Augment(erase=2)), {}),
        ("share of each picture", SignalSettings(augment=Augment(crop=0)), {}),
        ("share of the light", SignalSettings(augment=Augment(light=1)), {}),
    ],
)
def test_data_that_give_no_rows_are_refused(
    said: str, settings: SignalSettings, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        prepare_signals(settings, Blueprint.of("vit", "debug", **config).config, None)


def test_a_run_on_pictures_trains_resumes_and_answers(tmp_path: Path) -> None:
    data = folders(tmp_path / "pictures")
    words = ["train", "vit", "--data", data, "--set", "model.size=debug", "--set", "model.channels=3", "--set"]
    words += ["train.batch=8", "--set", "data.augment.flip=true", "--set", "train.checkpoint_every=3", "--quiet"]
    length = ["--set", "train.steps=8", "--set", "train.kernel=sdpa"]  # two runs may measure another each
    whole, again = tmp_path / "whole", tmp_path / "again"
    said = good(*words, *length, "--out", whole).out
    assert "held-out accuracy" in said and (whole / "loss.png").is_file()
    good(*words, *length, "--out", again)
    for step in sorted((again / "checkpoints").iterdir())[-1:]:
        for path in sorted(step.rglob("*"), reverse=True):
            path.unlink()
        step.rmdir()
    good(*words, *length, "--out", again, "--resume")
    files = [(folder / "model.safetensors").read_bytes() for folder in (whole, again)]
    assert files[0] == files[1]
    found = tmp_path / "found.jsonl"
    assert "20 predictions" in good("predict", whole, "--data", data, "--out", found).out
    scored = good("eval", whole, "--data", data, "--json").data
    assert scored["examples"] == 3 and f"accuracy {scored['accuracy']:.4g}" in good("eval", whole, "--data", data).out
    assert "--stride" in weft("eval", whole, "--data", data, "--stride", 3).err
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert len(lines) == 20 and {line["class"] for line in lines} <= set(SHAPES)
    assert all(abs(sum(line["probabilities"].values()) - 1) < 1e-3 for line in lines)
    model = library.load(whole)
    library.save(model, tmp_path / "saved")
    good("predict", tmp_path / "saved", "--data", data, "--out", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == found.read_bytes()
    assert model.reads is not None and set(model.reads.classes) == set(SHAPES)


@pytest.mark.parametrize("family", [name for name in FAMILIES.names() if FAMILIES.get(name).reads != "text"])
def test_a_family_of_signals_trains_or_is_refused_by_name(family: str, tmp_path: Path) -> None:
    done = weft("train", family, "--debug", "--quiet", "--out", tmp_path / "run", "--set", "train.steps=2")
    if done.status:
        assert family in done.err or "choose another objective" in done.err
        assert not (tmp_path / "run").exists()
    else:
        assert (tmp_path / "run" / "processor.json").is_file()


def test_a_processor_that_is_damaged_is_named(tmp_path: Path) -> None:
    assert read_processor(tmp_path) is None
    for text in ("[]", "{}", '{"processor": {"name": "gone"}, "classes": []}', "no json"):
        (tmp_path / "processor.json").write_text(text)
        with pytest.raises(DamagedFile, match="processor.json"):
            read_processor(tmp_path)
