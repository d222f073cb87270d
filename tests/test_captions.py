"""Captions: from tables, folders and arrays to pairs, a run that finds the right text, and answers about new
pictures."""

import gzip
import json
import struct
import zlib
from dataclasses import replace
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
from weft.batch import Batch, Place
from weft.data.captions import Captioned, CaptionSettings, filled, open_captions, prepare_captions, rows_of
from weft.data.captions.given import read_array
from weft.data.captions.made import made_captions
from weft.data.captions.split import key, split
from weft.data.signals import Augment, Patches
from weft.data.signals.varied import varied
from weft.data.tokenizers import train_tokenizer
from weft.evaluate.retrieval import ranks, recalls, vectors_of_pairs
from weft.files import DamagedFile
from weft.hub import Model
from weft.hub.matching import scores
from weft.models import FAMILIES, Blueprint
from weft.nn.towers import Towers
from weft.objectives import OBJECTIVES, TERM, layout
from weft.objectives.matched import ContrastPairs, Matched, SigmoidPairs, belongs

Image = pytest.importorskip("PIL.Image", reason="pictures are read with pillow")

PAIRS = {"clip": ContrastPairs(), "siglip": SigmoidPairs()}
FIT = Patches(12, 4, 1)


def data(count: int = 24, **changes: Any) -> Captioned:
    pictures, rows = made_captions(count, 12, 1, 0)
    words = train_tokenizer("word", [row["text"] for row in rows])
    settings: dict[str, Any] = {"templates": ("{text}",)} | changes
    return Captioned(pictures, rows, FIT, words, 16, **settings)


def built(family: str, seed: int = 1) -> Towers:
    module = Blueprint.of(family, "debug").change("text.end", "0").build(seed=seed) if family == "clip" else None
    module = module or Blueprint.of(family, "debug").build(seed=seed)
    assert isinstance(module, Towers)
    return module


def rows(data: Captioned, *samples: int, epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


def test_a_batch_is_a_function_of_seed_epoch_and_sample() -> None:
    made = data(templates=("{text}", "{shape}: {text}"), drop=0.3, augment=Augment(zoom=0.2, turn=10, colour=0.3))
    together, alone = rows(made, 3, 4, 5, epoch=2), rows(made, 4, epoch=2)
    assert together.source is not None and alone.source is not None
    assert torch.equal(together.source.tokens[1], alone.source.tokens[0])
    kept = together.segments[1] > 0  # type: ignore[index]
    assert torch.equal(together.tokens[1][kept], alone.tokens[0])
    texts = {made.text(Place(epoch, 4)) for epoch in range(30)}
    assert len(texts) > 3 and all(text for text in texts)
    assert not torch.equal(rows(made, 4).source.tokens, alone.source.tokens)  # type: ignore[union-attr]


@given(st.floats(0, 0.9), st.floats(0, 180), st.floats(0, 1), st.integers(0, 99))
def test_a_varied_picture_has_no_value_that_is_not_between_its_own(
    zoom: float, turn: float, colour: float, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(60, 100, (9, 7, 3), dtype=np.uint8)
    made = varied(picture, Augment(zoom=zoom, turn=turn, colour=colour), np.random.default_rng(seed))
    assert made.shape == picture.shape and made.dtype == np.uint8
    assert made.min() >= 60 * (1 - colour) - 1 and made.max() <= 100 * (1 + colour) + 1
    if not colour and not zoom and turn == 0:
        assert (made == picture).all()


def test_what_is_read_ends_where_the_model_reads_it() -> None:
    words = train_tokenizer("word", ["a red disc in a frame"])
    batch = rows_of(["a red disc", "a red disc in a frame and more of it"], words, 6)
    assert batch.segments is not None and batch.segments.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert batch.tokens[0, 3] == words.end and batch.tokens[1, 5] == words.end
    assert filled("{b} of {a}, {b}", {"a": "x", "b": "{a}"}) == "{a} of x, {a}"
    with pytest.raises(ValueError, match=r"column 'c'; there are: a"):
        filled("{c}", {"a": "x"})


@given(st.lists(st.sampled_from([f"{who} {what}" for who in ("man", "woman", "a") for what in "abcdefgh"]), min_size=5))
def test_twins_are_held_out_together_and_no_more_than_asked(texts: list[str]) -> None:
    held = split(texts, 0.3, ("man", "woman"), 0)
    sides = {key(text, ("man", "woman")): side for text, side in zip(texts, held, strict=True)}
    assert all(sides[key(text, ("man", "woman"))] == side for text, side in zip(texts, held, strict=True))
    assert held.sum() <= round(0.3 * len(texts))
    assert (split(texts[::-1], 0.3, ("man", "woman"), 0)[::-1] == held).all()


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 5)), min_size=4, max_size=30))
def test_all_captions_of_a_picture_are_on_one_side(rows: list[tuple[str, int]]) -> None:
    texts, pictures = [text for text, _ in rows], [picture for _, picture in rows]
    held = split(texts, 0.4, (), 0, pictures)
    for of in (texts, pictures):
        assert len(set(zip(of, held.tolist(), strict=True))) == len(set(of))


def test_a_picture_with_several_captions_finds_any_of_them_and_is_not_learned(tmp_path: Path) -> None:
    pictures, _ = made_captions(8, 12, 3, 5)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    lines = [f"{'./' * (side % 2)}{n}.png\tsight {n} from {side}" for n in range(8) for side in range(5)]
    (tmp_path / "captions.tsv").write_text("\n".join(["file\ttext", *lines]))
    found = prepare_captions(replace(SETTINGS, held_out=0.25, paths=(str(tmp_path / "captions.tsv"),)), COLOURED, 24)
    seen, kept = ({Path(row["file"]).name for row in side.rows} for side in (found.train, found.held_out))
    assert len(kept) == 2 and not seen & kept
    towers = Blueprint.of("siglip", "debug").change("text.vocab", str(found.tokenizer.vocab))
    towers = towers.change("image.channels", "3").build()
    assert isinstance(towers, Towers)
    right = vectors_of_pairs(towers, found.held_out)[2]
    names = [Path(row["file"]).name for row in found.held_out.rows]
    assert (right == np.equal.outer(names, names)).all()
    run, few = tmp_path / "run", ("--set", "data.image_column=file", "--set", "data.held_out=0.25")
    words = (
        "--data",
        tmp_path / "captions.tsv",
        "--quiet",
        "--set",
        "train.steps=1",
        "--set",
        "model.image.channels=3",
    )
    good("train", "siglip", "--debug", "--out", run, *few, *words)
    told = json.loads((run / "report.json").read_text())["metrics"]["image_to_text_recall_at_5"]
    asked = good("eval", run, "--data", tmp_path / "captions.tsv", "--json").data
    assert asked["image_to_text_recall_at_5"] == pytest.approx(told["value"]) and asked["examples"] == 10


def test_as_many_are_held_out_as_asked_where_groups_allow_it() -> None:
    texts = [f"{who} {number}" for number in range(60) for who in ("man", "woman", "person")] + [
        f"x{n}" for n in range(20)
    ]
    assert split(texts, 0.1, ("man", "woman", "person"), 0).sum() == 20
    assert key("Woman’s Hat!", ("woman",)) == "s hat" and key("++", ()) == "++"


def table(folder: Path, count: int = 40, ending: str = ".tsv") -> Path:
    """Pictures, and a table that names them."""
    pictures, made = made_captions(count, 14, 3, 5)
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    said = [{"file": f"{number}.png", **row} for number, row in enumerate(made)]
    path = folder / f"train{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in said))
    else:
        mark = "\t" if ending == ".tsv" else ","
        lines = [mark.join(said[0]), *(mark.join(row.values()) for row in said)]
        path.write_text("\n".join(lines) + "\n")
    return path


SETTINGS = CaptionSettings(image_column="file", held_out=0.2)
COLOURED = Patches(12, 4, 3)


def test_every_form_gives_the_same_captions(tmp_path: Path) -> None:
    found = [
        open_captions(replace(SETTINGS, paths=(str(table(tmp_path / ending[1:], 20, ending)),)), COLOURED)
        for ending in (".tsv", ".csv", ".jsonl")
    ]
    folder = tmp_path / "beside"
    folder.mkdir()
    for number, text in enumerate(found[0].texts):
        (tmp_path / "tsv" / f"{number}.png").rename(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(text + "\n")
    found.append(open_captions(replace(SETTINGS, paths=(str(folder),)), COLOURED))
    pictures, made = made_captions(20, 14, 3, 5)
    np.save(tmp_path / "csv" / "train_all.npy", pictures)
    with gzip.open(tmp_path / "jsonl" / "x.npy.gz", "wb") as file:
        np.save(file, pictures)
    found.append(open_captions(replace(SETTINGS, paths=(str(tmp_path / "csv"),), image_column="gone"), COLOURED))
    found.append(open_captions(replace(SETTINGS, paths=(str(tmp_path / "jsonl"),), pictures="x.npy.gz"), COLOURED))
    for one in found:
        assert one.texts == tuple(row["text"] for row in made)
        np.testing.assert_array_equal(one.signals, found[0].signals)


@pytest.mark.parametrize(
    ("said", "error", "change"),
    [
        ("train.tsv, line 4: there is no file .*2.png", DamagedFile, lambda folder: (folder / "2.png").unlink()),
        ("line 4: .*2.png is a damaged", DamagedFile, lambda folder: cut(folder / "2.png")),
        ("line 4: .*2.png is a picture of 20,000 x 5,000", DamagedFile, lambda folder: enlarge(folder / "2.png")),
        ("train.tsv, line 3: 'text' is empty", DamagedFile, lambda folder: edit(folder, 2, ["1.png", " ", "x", "y"])),
        ("line 3: the row has 1 values", DamagedFile, lambda folder: edit(folder, 2, ["1.png"])),
        ("no column 'text'", ValueError, lambda folder: edit(folder, 0, ["file", "words", "colour", "shape"])),
        ("no column 'file'", ValueError, lambda folder: edit(folder, 0, ["image", "text", "colour", "shape"])),
        ("has no rows", ValueError, lambda folder: (folder / "train.tsv").write_text("file\ttext\n")),
        ("several tables", ValueError, lambda folder: (folder / "other.csv").write_text("file,text\n")),
    ],
)
def test_bad_rows_are_named_with_file_and_line(said: str, error: type[Exception], change: Any, tmp_path: Path) -> None:
    table(tmp_path, 6)
    change(tmp_path)
    with pytest.raises(error, match=said):
        open_captions(replace(SETTINGS, paths=(str(tmp_path),)), COLOURED)


def edit(folder: Path, line: int, values: list[str]) -> None:
    lines = (folder / "train.tsv").read_text().split("\n")
    lines[line] = "\t".join(values)
    (folder / "train.tsv").write_text("\n".join(lines))


def cut(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:300])


def enlarge(path: Path) -> None:
    """The head says 100 megapixels, and there are none."""
    large = bytearray(path.read_bytes())
    large[16:24] = struct.pack(">II", 20_000, 5_000)
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    path.write_bytes(bytes(large))


def test_folders_without_texts_and_damaged_arrays_are_named(tmp_path: Path) -> None:
    table(tmp_path, 3).unlink()
    asked = replace(SETTINGS, paths=(str(tmp_path),))
    with pytest.raises(ValueError, match=r"0\.png has no 0\.txt beside it"):
        open_captions(asked, COLOURED)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("a cross" if number else " \n")
    with pytest.raises(DamagedFile, match=r"0\.txt is empty"):
        open_captions(asked, COLOURED)
    array = tmp_path / "a.npy"
    np.save(array, np.zeros((2, 4, 4, 3), np.uint8))
    whole = array.read_bytes()
    assert read_array(array).shape == (2, 4, 4, 3)
    huge = whole.replace(b"(2, 4, 4, 3)", b"(9999999, 99, 99, 3)").replace(b" " * 8 + b"\n", b"\n")
    for content, said in (
        (whole[:-1], "has 95"), (whole + b"x", "has 97"), (b"no array", "magic"), (huge, "no whole array"),
    ):  # fmt: skip
        array.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            read_array(array)
    np.save(array, np.zeros((2, 4, 4, 3), np.int64))
    with pytest.raises(ValueError, match="int64"):
        read_array(array)


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("one table", {"paths": ()}),
        ("held_out=1.5", {"held_out": 1.5}),
        ("drop=1", {"drop": 1.0}),
        ("no column in it", {"templates": ("plain",)}),
        ("set both or neither", {"class_column": "shape"}),
        ("asks for a column 'gone'", {"source": "made_captions", "templates": ("{gone}",)}),
        ("between 0 and 0.9", {"augment": Augment(zoom=1.5)}),
    ],
)
def test_settings_that_give_no_captions_are_refused(said: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=said):
        prepare_captions(replace(CaptionSettings(vocab=300), **changes), FIT, 16)


@pytest.mark.parametrize("family", PAIRS)
def test_the_loss_is_the_definition(family: str) -> None:
    how, module, batch = PAIRS[family], built(family), rows(data(), 0, 1, 2, 3, 4)
    assert OBJECTIVES.get(FAMILIES.get(family).objective)() == how and how.couples == (TERM,)
    loss, right = how.losses(module, batch)[TERM], belongs(batch)
    vectors, _ = module(batch.source.tokens, batch.tokens, None, layout(batch))  # type: ignore[union-attr]
    scores = module.scores(*vectors)
    wanted = torch.zeros(())
    for row in range(5):
        if family == "siglip":
            signs = torch.where(right[row], 1.0, -1.0)
            wanted = wanted - (signs * scores[row]).sigmoid().log().sum()
            continue
        for side in (scores, scores.mT):
            wanted = wanted - side[row].log_softmax(-1)[right[row]].mean() / 2
    torch.testing.assert_close(loss.sum, wanted)
    assert loss.count == 5 and {name: one.count for name, one in how.losses(module, batch).items()} == how.counts(batch)
    alone = how.losses(module, rows(data(), 0))[TERM]
    assert alone.count == 0 and float(alone.sum.detach()) == 0
    constant = how.constant(module, [batch])
    best = min(float(how.nats(torch.full((5, 5), value), right)) / 5 for value in np.linspace(-5, 5, 401))
    assert constant == pytest.approx(best, abs=1e-3)


def library_layout(batch: Batch) -> Any:
    from weft.objectives import layout

    return layout(batch)


def test_equal_texts_belong_to_each_others_images() -> None:
    made = data(templates=("{shape}",))
    batch = rows(made, 0, 1, 5)  # shapes come in turn, of five
    assert belongs(batch).tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    pairs = replace(batch, asked={"picture": torch.tensor([4, 7, 7])})  # one text of two pictures, one of them of two
    assert belongs(pairs).tolist() == [[True, True, True], [False, True, True], [True, True, True]]
    scores, right = torch.randn(3, 3), belongs(pairs)
    wanted = sum(-side.log_softmax(-1)[row][one[row]].mean() for side, one in ((scores, right), (scores.mT, right.mT))
                 for row in range(3)) / 2  # fmt: skip
    assert float(ContrastPairs().nats(scores, right)) == pytest.approx(float(wanted))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", PAIRS)
def test_the_loss_is_the_references(family: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    blueprint, images = Blueprint.of(family, "debug"), torch.randn(4, 1, 12, 12)
    tokens = torch.randint(0, 130, (4, 7))
    tokens[:, -1] = 130
    module = blueprint.build(seed=2)
    library.save(Model(module, blueprint), tmp_path)
    theirs = transformers.AutoModel.from_pretrained(tmp_path)
    wanted = theirs(input_ids=tokens, pixel_values=images, return_loss=True)
    batch = Batch(tokens, source=Batch(by_definition(images, 4)))
    loss = PAIRS[family].losses(module, batch)[TERM]
    torch.testing.assert_close(loss.sum / loss.count, wanted.loss, rtol=1e-5, atol=1e-5)
    wanted.loss.backward()
    (loss.sum / loss.count).backward()
    assert isinstance(module, Towers) and module.scale.grad is not None
    torch.testing.assert_close(module.scale.grad, theirs.logit_scale.grad.view(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", PAIRS.values())
@pytest.mark.parametrize("family", ["gpt2", "bert", "vit", "llava"])
def test_other_models_are_refused(how: Matched, family: str) -> None:
    with pytest.raises(ValueError, match="asks a pair of towers"):
        how.check(Blueprint.of(family, "debug").build())
    with pytest.raises(ValueError, match="these have none"):
        how.losses(built("clip"), Batch(torch.zeros(2, 3, dtype=torch.int64)))


@given(st.integers(1, 6), st.integers(0, 99))
def test_ranks_count_the_wrong_ones_that_are_as_near(size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    cosines, right = draw.integers(0, 4, (size, size)) / 4, np.eye(size, dtype=bool)
    wanted = [sum(row[at] >= row[number] for at in range(size) if at != number) for number, row in enumerate(cosines)]
    assert ranks(cosines, right).tolist() == wanted
    vectors = torch.eye(size)
    assert all(found.all() for found in recalls(vectors, vectors, right).values())


def test_a_run_on_captions_trains_resumes_and_answers(tmp_path: Path) -> None:
    source = table(tmp_path / "pictures")
    words = ["train", "clip", "--data", source, "--set", "model.size=debug", "--set", "model.image.channels=3"]
    words += ["--set", "data.image_column=file", "--set", "data.class_column=shape", "--set", "data.prompts={shape}"]
    words += [
        "--set",
        "train.batch=8",
        "--set",
        "data.augment.zoom=0.1",
        "--set",
        "train.checkpoint_every=3",
        "--quiet",
    ]
    words += ["--set", "train.steps=8", "--set", "data.vocab=300", "--set", "train.kernel=sdpa"]
    whole, again = tmp_path / "whole", tmp_path / "again"
    said = good(*words, "--out", whole).out
    assert "image to text recall at 5" in said and "zero shot accuracy" in said
    good(*words, "--out", again)
    for path in sorted(sorted((again / "checkpoints").iterdir())[-1].rglob("*"), reverse=True):
        path.unlink()
    sorted((again / "checkpoints").iterdir())[-1].rmdir()
    good(*words, "--out", again, "--resume")
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    found = tmp_path / "found.jsonl"
    good("predict", whole, "--data", source.parent, "--out", found)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert len(lines) == 40 and all(len(line["captions"]) == 5 and "class" in line for line in lines)
    choices = tmp_path / "choices.txt"
    choices.write_text("a red disc\na blue cross\n")
    good("predict", whole, "--data", source.parent / "0.png", "--out", found, "--among", choices, "--overwrite")
    assert set(json.loads(found.read_text())["captions"]) == {"a red disc", "a blue cross"}
    scored = good("eval", whole, "--data", source, "--json").data
    assert scored["examples"] == 4 and 0 <= scored["image_to_text_recall_at_5"] <= 1
    for asked, count in ((source.parent, 40), (choices, 2)):
        good("embed", whole, "--input", asked, "--out", tmp_path / "v.npy", "--overwrite")
        vectors = np.load(tmp_path / "v.npy")
        assert len(vectors) == count
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert "no picture" in weft("predict", whole, "--data", choices, "--out", found, "--overwrite").err
    good(
        "train", whole, "--data", source, "--set", "train.steps=2", "--set", "train.batch=4", "--out", tmp_path / "more"
    )


def test_a_saved_model_is_asked_from_python(tmp_path: Path) -> None:
    good("train", "siglip", "--debug", "--out", tmp_path / "run", "--quiet", "--set", "train.steps=2")
    model = library.load(tmp_path / "run")
    pictures, _ = made_captions(3, 12, 1, 0)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture[..., 0]).save(path)
    found = scores(model, paths, ["a dark cross", "a bright disc"])
    assert found.shape == (3, 2) and torch.equal(found, scores(model, pictures, ["a dark cross", "a bright disc"]))
    library.save(model, tmp_path / "saved")
    again = library.load(tmp_path / "saved")
    assert torch.equal(scores(again, paths, ["a dark cross", "a bright disc"]), found)
    with pytest.raises(ValueError, match="no pair"):
        scores(replace(model, module=Blueprint.of("vit", "debug").build()), paths, ["a"])
    with pytest.raises(ValueError, match="a list"):
        scores(model, paths, "a")


@pytest.mark.skipif(not Path("../shared/data/noto_emoji/train.tsv").is_file(), reason="the emoji are not here")
def test_emoji_are_held_out_with_their_twins() -> None:
    from weft.recipes.emoji_clip import recipe

    asked = replace(recipe.data, paths=("../shared/data/noto_emoji",))
    found = prepare_captions(asked, Patches(32, 1, 3), 24)
    assert (len(found.train), len(found.held_out), len(found.classes)) == (1511, 168, 9)


def test_a_published_pair_says_how_pictures_are_read(tmp_path: Path) -> None:
    blueprint = Blueprint.of("clip", "debug")
    library.save(Model(blueprint.build(), blueprint), tmp_path)
    said = {"size": {"shortest_edge": 12}, "crop_size": {"height": 12, "width": 12}, "do_center_crop": True}
    said |= {"resample": 3, "image_mean": [0.4], "image_std": [0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    reads = library.load(tmp_path).reads
    assert reads is not None and reads.processor == Patches(12, 4, 1, (0.4,), (0.3,), "bicubic", "crop")


def test_a_published_pair_is_asked_by_the_commands(tmp_path: Path) -> None:
    pictures, rows = made_captions(6, 12, 1, 0)
    words = train_tokenizer("word", [row["text"] for row in rows])
    blueprint = Blueprint.of("clip", "debug").change("text.end", str(words.end)).change("text.vocab", str(words.vocab))
    model, shown, found = tmp_path / "model", tmp_path / "shown", tmp_path / "vectors.npy"
    library.save(Model(blueprint.build(), blueprint), model)
    words.save(model)
    (model / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 12, "width": 12}}))
    shown.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture[..., 0]).save(shown / f"{number}.png")
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(row["text"] for row in rows))
    good("embed", model, "--input", shown, "--out", found)
    assert np.load(found).shape[0] == 6
    good("predict", model, "--data", shown, "--out", tmp_path / "said.jsonl", "--among", texts)
    assert len((tmp_path / "said.jsonl").read_text().splitlines()) == 6


def test_recalls_are_ranked_in_fp32_under_autocast() -> None:
    """Training in bf16 evaluates under autocast, whose product would round neighbours together, and is no array."""
    texts, images = (torch.nn.functional.normalize(torch.randn(40, 8), dim=-1) for _ in range(2))
    right = np.eye(40, dtype=bool)
    wanted = recalls(texts, images, right)
    with torch.autocast("cpu", torch.bfloat16):
        found = recalls(texts, images, right)
    assert all(np.array_equal(found[name], hits) for name, hits in wanted.items())


def test_a_run_in_bf16_is_evaluated(tmp_path: Path) -> None:
    good("train", "emoji_clip", "--debug", "--set", "train.precision=bf16", "--out", tmp_path / "run")
    assert (tmp_path / "run" / "report.json").is_file()
