"""Two towers that begin with saved models: what is taken of a folder, what stays as it was, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from safetensors.torch import load_file
from torch import Tensor

import weft as library
from weft.cli.train import settled
from weft.data.captions.made import made_captions
from weft.data.tokenizers import train_tokenizer
from weft.hub import Model
from weft.hub.sentences import Pooling
from weft.models import FAMILIES, Blueprint
from weft.nn import Encoder, Layout
from weft.nn.towers import Towers
from weft.recipes import find
from weft.recipes.parts import graft
from weft.training.loop import train
from weft.training.modes import frozen
from weft.training.settings import TrainSettings

TEXTS = [row["text"] for row in made_captions(240, 12, 1, 0)[1]]


def encoders(reads: str) -> list[str]:
    named = [name for name in FAMILIES.names() if FAMILIES.get(name).reads == reads]
    return [name for name in named if type(Blueprint.of(name, "debug").empty()) is Encoder]


@pytest.mark.parametrize("name", encoders("text"))
def test_padding_changes_no_vector_of_a_text(name: str) -> None:
    """Also where the tower makes none of its own, and whatever it does beside encoding."""
    module = Blueprint.of("clip", "debug", text=Blueprint.of(name, "debug")).build(seed=1)
    assert isinstance(module, Towers)
    rows = [[7, 5, 130], [9, 8, 6, 4, 130], [3, 130]]
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.tensor([row + [1] * (5 - len(row)) for row in rows])
    together = module.encode_texts(padded, Layout.ragged(lengths, 5))
    alone = torch.cat([module.encode_texts(torch.tensor([row])) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", encoders("signals"))
def test_any_encoder_makes_a_vector_of_a_picture(name: str) -> None:
    image = Blueprint.of(name, "debug")
    module = Blueprint.of("siglip", "debug", image=image, width=24).build(seed=1)
    assert isinstance(module, Towers)
    rows = module.image.embed.blank(2, module.source_context or 40)
    rows = torch.rand(rows.shape) if rows.is_floating_point() else rows
    made = module.encode_images(rows)
    assert made.shape == (2, 24) and bool(made.isfinite().all())


def test_a_text_is_read_as_its_folder_says() -> None:
    bert, tokens = Blueprint.of("bert", "debug", pooler=True), torch.tensor([[5, 6, 7], [8, 9, 1]])
    here = Layout.ragged(torch.tensor([3, 2]), 3)
    for pooling, mode in (("mean", "mean"), ("first", "cls")):
        module = Blueprint.of("clip", "debug", text=bert, pooling=pooling).build(seed=1)
        assert isinstance(module, Towers)
        states = module.text(tokens, here)[0]
        wanted = Pooling((mode,)).pool(states, torch.tensor([3, 2]))
        torch.testing.assert_close(module.text.pool(states, tokens, here), wanted)
    with pytest.raises(ValueError, match="the text tower has its own"):
        Blueprint.of("clip", "debug", pooling="first").build()


def saved(folder: Path, family: str = "bert", *, seed: int = 7, kind: str = "wordpiece", **changes: Any) -> Path:
    """A model of texts, as others publish it where they do, that knows the words of the captions."""
    words = train_tokenizer(kind, TEXTS, 200)
    blueprint = Blueprint.of(family, "debug", **({"vocab": words.vocab} | changes))
    library.save(Model(blueprint.build(seed=seed), blueprint, words), folder)
    return folder


def declare(folder: Path, mode: str) -> Path:
    """What sentence-transformers writes beside a model."""
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"))
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    text = declare(saved(folder / "text", dropout=0.1, pooler=True), "mean_tokens")
    good("train", "cct", "--debug", "--quiet", "--set", "train.steps=1", "--out", folder / "image")
    return {"text": text, "image": folder / "image", "decoder": saved(folder / "decoder", "gpt2")}


def tensors(folder: Path) -> dict[str, Tensor]:
    return library.load(folder).module.state_dict()


def command(folders: dict[str, Path], *words: object) -> list[object]:
    parts = [word for place in ("text", "image") for word in ("--part", f"{place}={folders[place]}")]
    return ["train", "clip", "--debug", *parts, "--quiet", *words]


def test_weights_begin_as_the_folders_have_them(folders: dict[str, Path]) -> None:
    parts = [f"{place}={folders[place]}" for place in ("text", "image")]
    recipe = settled(find("clip"), (), ["model.text.dropout=0.3", "model.width=24"], parts, debug=True)
    assert recipe.model.config.text.config.dropout == 0.3 and recipe.model.config.pooling == "mean"
    module = recipe.model.build(seed=3)
    graft(module, recipe.parts)
    assert isinstance(module, Towers)
    for place, part in (("text", module.text), ("image", module.image)):
        there = tensors(folders[place])
        assert all(torch.equal(tensor, there[name]) for name, tensor in part.state_dict().items())
        assert not any(name.startswith("heads.") for name in part.state_dict())


def test_a_frozen_part_stays_and_the_rest_moves_and_goes_on(folders: dict[str, Path], tmp_path: Path) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    words = command(
        folders, "--set", "train.frozen=text", "--set", "train.steps=6", "--set", "train.checkpoint_every=3"
    )
    words += ["--set", "train.average=0.5", "--set", "train.evaluate_every=2"]
    good(*words, "--out", whole)
    good(*words, "--out", again)
    shutil.rmtree(sorted((again / "checkpoints").iterdir())[-1])
    good(*words, "--out", again, "--resume")
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    found, text, image = tensors(whole), tensors(folders["text"]), tensors(folders["image"])
    mine = {name.removeprefix("text."): tensor for name, tensor in found.items() if name.startswith("text.")}
    assert mine and all(torch.equal(tensor, text[name]) for name, tensor in mine.items())
    moved = [name for name, tensor in image.items() if name.startswith("stack") and not name.endswith("k.bias")]
    assert not any(torch.equal(found[f"image.{name}"], image[name]) for name in moved)
    states = load_file(sorted((whole / "checkpoints").iterdir())[-1] / "optimiser.safetensors")
    assert states and not any(name.startswith("text.") for name in states)
    assert json.loads((whole / "run.json").read_text())["parts"]["text"] == str(folders["text"])
    said = weft(*words, "--set", "train.frozen=image", "--out", again, "--resume").err
    assert "frozen was ['text']" in said and "is ['image'] now" in said
    other = [f"image={tmp_path}/none" if str(word).startswith("image=") else word for word in words]
    shutil.copytree(folders["image"], tmp_path / "none")
    said = " ".join(weft(*other, "--out", again, "--resume").err.split())
    assert f"image began with {folders['image']}" in said and f"--part says {tmp_path / 'none'} now" in said


def test_a_run_is_whole_without_the_folders_it_began_with(folders: dict[str, Path], tmp_path: Path) -> None:
    copies = {place: shutil.copytree(folders[place], tmp_path / place) for place in ("text", "image")}
    run = tmp_path / "run"
    good(*command(copies, "--set", "train.frozen=text,image"), "--out", run)
    reads = [library.load(folder).reads for folder in (run, copies["image"])]
    assert reads[0] is not None and reads[1] is not None and reads[0].processor == reads[1].processor
    for folder in copies.values():
        shutil.rmtree(folder)
    texts, pictures = tmp_path / "texts.txt", tmp_path / "pictures.npy"
    texts.write_text("a red disc\na dark cross in a frame\n")
    np.save(pictures, made_captions(3, 12, 1, 0)[0])
    for asked, count in ((texts, 2), (pictures, 3)):
        good("embed", run, "--input", asked, "--out", tmp_path / "v.npy", "--overwrite")
        assert len(np.load(tmp_path / "v.npy")) == count
    good("predict", run, "--data", pictures, "--among", texts, "--out", tmp_path / "said.jsonl")
    assert "bert" in good("show", run).out
    library.save(library.load(run), tmp_path / "saved")
    ours, theirs = tensors(run), tensors(tmp_path / "saved")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_frozen_parts_evaluate_and_are_given_back_as_they_were() -> None:
    module = Blueprint.of("bert", "debug", dropout=0.5).build(seed=1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tokens = torch.randint(0, 131, (4, 6))

    def loss(model: Encoder, rows: Tensor) -> Tensor:
        states = model.embed.read(rows, Layout())[0]
        assert not model.embed.training and model.stack.training and not states.requires_grad
        return model(rows)[0].square().mean(dim=(1, 2))

    train(module, list(tokens), loss, TrainSettings(steps=2, batch=2, frozen=("embed",)))
    after = module.state_dict()
    assert all(torch.equal(after[name], before[name]) == name.startswith(("embed.", "heads.")) for name in before)
    assert all(weight.requires_grad for weight in module.parameters()) and not module.training
    module.train()
    with frozen(module, ("stack",)):
        assert module.training and module.embed.training and not module.stack.training  # type: ignore[union-attr]
    assert module.stack.training  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"frozen=body: .* it has embed, stack, heads"):
        train(module, list(tokens), loss, TrainSettings(steps=2, batch=2, frozen=("body",)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "text"], "write it as PLACE=DIR"),
        (["--part", "txt={text}"], "clip has no part 'txt'; did you mean 'text'?"),
        (["--part", "width={text}"], "clip has no part 'width'"),
        (["--part", "text={image}/nothing"], "is not a folder"),
        (["--part", "text={image}"], "cct reads signals, and clip's text reads text"),
        (["--part", "image={text}"], "bert reads text, and clip's image reads signals"),
        (["--part", "text={decoder}"], "the text tower is a Decoder, but both are encoders"),
        (["--part", "text={text}", "--part", "text={text}"], "text begins with .* already"),
        (["--part", "text={text}", "--set", "model.text.width=64"], "whose width is 48 and not 64: leave it out"),
        (["--part", "text={text}", "--set", "model.text.position=rope"], "whose position is None and not"),
        (["--part", "text={text}", "--set", "data.vocab=300"], "keeps the tokenizer it was trained with"),
        (["--part", "text={text}", "--set", "train.frozen=txt"], "no part of this name; it has text, image"),
        (["--part", "text={text}", "--set", "data.source=captions"], "captions come from one table"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    words: list[str], said: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    filled = [word.format(**folders) for word in words]
    err = weft("train", "clip", "--debug", *filled, "--out", tmp_path / "run").err
    assert re.search(said, " ".join(err.split())), err
    assert not (tmp_path / "run").exists()


def test_two_widths_are_refused_until_a_common_one_is_said(tmp_path: Path) -> None:
    words = ["train", "siglip", "--debug", "--part", f"text={saved(tmp_path / 'wide', width=64)}", "--quiet"]
    err = weft(*words, "--out", tmp_path / "run").err
    assert "a text is 64 numbers, a picture 48" in " ".join(err.split()) and not (tmp_path / "run").exists()
    good(*words, "--out", tmp_path / "run", "--set", "model.width=32", "--set", "train.steps=1")


@pytest.mark.parametrize(
    ("changes", "mode", "said"),
    [
        ({"vocab": 20}, "", "its tokenizer has .* ids and its embedding 20"),
        ({"context": 4}, "", "ids long, and the text tower reads 4: shorten it"),
        ({}, "max_tokens", "makes a text's vector by max, and a tower by mean or cls"),
    ],
)
def test_folders_that_cannot_be_a_text_tower(changes: dict[str, Any], mode: str, said: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "text", **changes)
    if mode:
        declare(folder, mode)
    err = weft("train", "clip", "--debug", "--part", f"text={folder}", "--out", tmp_path / "run").err
    assert re.search(said, " ".join(err.split())), err


def test_a_folder_without_a_tokenizer_and_other_models_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(folders["text"], bare)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (bare / name).unlink(missing_ok=True)
    out = ("--out", tmp_path / "run")
    assert "no tokenizer.json" in weft("train", "clip", "--debug", "--part", f"text={bare}", *out).err
    said = weft("train", "gpt2", "--debug", "--part", f"text={bare}", *out).err
    assert "gpt2 has no part 'text'" in said and "made of no other models" in said
    said = weft("train", "llava", "--debug", "--part", f"text={bare}", *out).err
    assert "begin with no saved part" in " ".join(said.split())
