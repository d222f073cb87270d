"""What a published folder may bring and is not read, and formats that are refused with what to do instead."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import weft

from weft.data import Bytes
from weft.files import read_json, write_json
from weft.hub import LoadError, Model, load, save
from weft.models import Blueprint

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder in three shards."""
    blueprint = Blueprint.of("llama", "debug").change("vocab", "384")
    save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "model", shard=150_000)
    return tmp_path / "model"


def edit(path: Path, **changes: object) -> None:
    write_json(path, read_json(path) | changes)


# ---------------------------------------------------------------- P2: code


def test_code_in_a_folder_is_never_run_and_that_is_said(folder: Path, tmp_path: Path):
    own = 'import pathlib\npathlib.Path(__file__).with_name("ran").write_text("")\nraise SystemExit("ran")\n'
    for file in ("modeling_own.py", "configuration_own.py", "tokenization_own.py", "__init__.py", "weft.py"):
        (folder / file).write_text(own)
    own_classes = {"AutoConfig": "configuration_own.Own", "AutoModelForCausalLM": "modeling_own.Own"}
    expected = load(folder).logits(torch.arange(9)[None])
    edit(folder / "config.json", auto_map=own_classes)
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_own.Own"]}}))
    model = load(folder)
    assert torch.equal(model.logits(torch.arange(9)[None]), expected)
    assert not (folder / "ran").exists()
    assert "config.json names code of its own (auto_map): it is ignored" in model.notices
    assert any("__init__.py, configuration_own.py, " in text and "never run" in text for text in model.notices)
    save(model, tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.py"))


# ---------------------------------------------------------------- P3: nothing leads out


@pytest.mark.parametrize(
    "file",
    [
        "../out.safetensors",
        "../model/../out.safetensors",
        "sub/in.safetensors",
        "..\\out.safetensors",
        "C:\\out.safetensors",
        "{tmp}/out.safetensors",
        "file://out.safetensors",
        "out.safetensors\0",
        "out\0.safetensors",
        "out\n.safetensors",
        "..",
        ".",
        "",
        "~",
        "config.json",
        "out.bin",
        "../out.safetensors/",
    ],
)
def test_an_index_that_leads_out_of_its_folder_is_refused(file: str, folder: Path, tmp_path: Path):
    file = file.replace("{tmp}", str(tmp_path))
    data = read_json(folder / INDEX)
    moved, kept = data["weight_map"]["model.norm.weight"], folder / INDEX
    shutil.copy(folder / moved, tmp_path / "out.safetensors")  # what it leads to would be read
    shutil.copytree(folder, folder / "sub")
    shutil.copy(folder / moved, folder / "sub" / "in.safetensors")
    data["weight_map"] = {name: file if at == moved else at for name, at in data["weight_map"].items()}
    kept.write_text(json.dumps(data))
    with pytest.raises(LoadError, match=r"index\.json puts .* into .*: a shard is a \.safetensors file in the same fo"):
        load(folder)


def test_a_folder_in_the_place_of_a_shard_is_refused_by_name(folder: Path):
    shard = folder / read_json(folder / INDEX)["weight_map"]["model.norm.weight"]
    shard.unlink()
    shard.mkdir()
    with pytest.raises(LoadError, match=f"{shard.name} is no file: {INDEX} names it: fetch the folder again"):
        load(folder)


def test_a_shard_may_be_a_link_as_in_the_cache_of_the_hub(folder: Path, tmp_path: Path):
    expected = load(folder).logits(torch.arange(9)[None])
    (tmp_path / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(tmp_path / "blobs" / str(number))
        path.symlink_to(Path("..") / "blobs" / str(number))
    assert torch.equal(load(folder).logits(torch.arange(9)[None]), expected)


# ---------------------------------------------------------------- other formats


def only(folder: Path, *names: str) -> None:
    """Leave these files alone, written anew where they are not there."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
    for name in names:
        (folder / name).touch()


def quantised(**how: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", quantization_config=how)


FORMATS: dict[str, tuple[Callable[[Path], None], str]] = {
    "GGUF": (
        lambda folder: only(folder, "model-q4.gguf"),
        r"config\.json is missing: the folder holds GGUF, which .*: take",
    ),
    "GGUF with a config": (lambda folder: only(folder, "model-q4.gguf", "config.json"), "the folder holds GGUF, which"),
    "GPTQ": (
        quantised(quant_method="gptq", bits=4),
        r"quantised \(gptq\), which cannot be turned back exactly: take the",
    ),
    "AWQ": (quantised(quant_method="awq", bits=4), r"quantised \(awq\), which cannot be turned back exactly: take the"),
    "bitsandbytes": (quantised(quant_method="bitsandbytes", load_in_4bit=True), r"quantised \(bitsandbytes\), which"),
    "an adapter": (
        lambda folder: only(folder, "adapter_config.json", "adapter_model.safetensors"),
        "holds an adapter, which changes a model and is none: load the model it was made for",
    ),
    "a pickle": (
        lambda folder: only(folder, "config.json", "pytorch_model.bin"),
        "are pickled, .* `weft convert .* NEW --unsafe-pickle` reads it in a process of its own",
    ),
    "another library": (
        lambda folder: only(folder, "config.json", "tf_model.h5"),
        "weights for another library, and weft",
    ),
    "shards alone": (lambda folder: (folder / INDEX).unlink(), "there are shards, but no model.safetensors.index.json"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_are_refused_with_what_to_do_instead(name: str, folder: Path, tmp_path: Path):
    change, fragment = FORMATS[name]
    change(folder)
    with pytest.raises(LoadError, match=fragment) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    done = weft("convert", folder, tmp_path / "new")
    assert done.status == 1 and str(caught.value) in done.err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("file", "fragment"),
    [
        ("model-q4.gguf", "the folder holds GGUF, which"),
        ("pytorch_model.bin", "the weights are pickled, .* `weft convert .*pytorch_model.bin NEW --unsafe-pickle`"),
        ("model.onnx", r"weft loads a folder with config\.json and model\.safetensors"),
    ],
)
def test_a_file_is_no_folder(file: str, fragment: str, folder: Path):
    (folder / file).touch()
    with pytest.raises(LoadError, match=rf"{file} is a file: {fragment}"):
        load(folder / file)
