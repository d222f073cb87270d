"""The table of damaged files, one row each: a published folder that cannot be true is refused by name, or, where it can
still be one, what is strange about it is said. Nothing is run, and nothing large is made."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import weft
from weft.data import Characters
from weft.files import read_tensors, write_tensors
from weft.hub.model import Model
from weft.models import Blueprint

SIZES = dict(vocab=64, context=16, width=16, depth=2, heads=4, kv_heads=2, hidden=20)
WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
FIRST = "model.embed_tokens.weight"


@cache
def model() -> Model:
    blueprint = Blueprint.of("llama", **SIZES)
    return Model(blueprint.build(), blueprint)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder: one file of weights."""
    weft.save(model(), tmp_path / "model")
    return tmp_path / "model"


# ------------------------------------------------------------------------------------------------------ ways to damage

Damage = Callable[[Path], Any]


def content(change: Callable[[bytes], bytes]) -> Damage:
    """Other bytes in the file of weights."""

    def damage(folder: Path) -> None:
        path = folder / WEIGHTS
        path.write_bytes(change(path.read_bytes()))

    return damage


def header(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Another header in front of the same data; `change` edits it, or returns the text of another."""

    def edited(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        fields = json.loads(data[8 : 8 + length])
        given = change(fields)
        text = given if isinstance(given, bytes) else json.dumps(fields).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return content(edited)


def first(**changes: Any) -> Damage:
    """The first tensor's entry in the header says something else."""
    return header(lambda fields: fields[FIRST].update(changes))


def moved(name: str, by: int) -> Damage:
    """Both offsets of a tensor."""

    def change(fields: dict[str, Any]) -> None:
        fields[name]["data_offsets"] = [place + by for place in fields[name]["data_offsets"]]

    return header(change)


def config(**changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """Other tensors, in a sound file."""

    def damage(folder: Path) -> None:
        given = {name: tensor.clone() for name, tensor in read_tensors(folder / WEIGHTS).items()}
        change(given)
        write_tensors(folder / WEIGHTS, given)

    return damage


def shards(change: Callable[[Path, dict[str, Any]], Any]) -> Damage:
    """Two files with an index, whose weight_map is changed."""

    def damage(folder: Path) -> None:
        weft.save(model(), folder, shard=6000)
        path = folder / INDEX
        data = json.loads(path.read_text())
        change(folder, data["weight_map"])
        path.write_text(json.dumps(data))

    return damage


def twice(folder: Path, places: dict[str, Any]) -> None:
    """The first tensor of one shard is in the other too."""
    one, other = sorted(set(places.values()))[:2]
    name = next(name for name, place in places.items() if place == one)
    given = read_tensors(folder / one)[name].clone()
    write_tensors(folder / other, {**read_tensors(folder / other), name: given})


def elsewhere(folder: Path, places: dict[str, Any]) -> None:
    one, other = sorted(set(places.values()))[:2]
    places[next(name for name, place in places.items() if place == one)] = other


def another(name: str, data: bytes = b"") -> Damage:
    """A file of this name in place of the weights."""

    def damage(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(data)

    return damage


def large_tokenizer(folder: Path) -> None:
    Characters.train(["".join(map(chr, range(500, 600)))], 0).save(folder)


def stored(name: str, tensor: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    return tensors(lambda given: given.update({name: tensor(given[name])}))


# ------------------------------------------------------------------------------------------------------------ the table

NORM, LAST = "model.norm.weight", "model.layers.1.mlp.down_proj.weight"
ROWS: dict[str, tuple[Damage, str, str]] = {
    # what is wrong: (how it is made so, the file that is named, what is said)
    "empty": (content(lambda data: b""), WEIGHTS, "has 0 bytes"),
    "7 bytes": (content(lambda data: data[:7]), WEIGHTS, "has 7 bytes"),
    "header length 0": (content(lambda data: bytes(8) + data[8:]), WEIGHTS, "says its header has 0 bytes"),
    "header past the end": (content(lambda data: struct.pack("<Q", 10**9) + data[8:]), WEIGHTS, "1000000000 bytes"),
    "header of 2^63": (content(lambda data: struct.pack("<Q", 2**63) + data[8:]), WEIGHTS, f"{2**63} bytes"),
    "header not UTF-8": (content(lambda data: data[:8] + b"\xff" + data[9:]), WEIGHTS, "the header is not UTF-8"),
    "header not JSON": (header(lambda fields: b"{nothing}"), WEIGHTS, "the header is not JSON"),
    "header a list": (header(lambda fields: b"[1, 2]"), WEIGHTS, "the header is a list"),
    "duplicate key": (header(lambda fields: b'{"a": 1, "a": 2}'), WEIGHTS, "the key 'a' twice"),
    "unknown dtype": (first(dtype="F13"), WEIGHTS, f"{FIRST!r} has the unknown dtype 'F13'"),
    "a dtype no weight has": (stored(NORM, lambda tensor: tensor.to(torch.uint8)), WEIGHTS, f"{NORM!r} is U8"),
    "whole numbers for weights": (stored(NORM, lambda tensor: tensor.long()), WEIGHTS, "int64"),
    "negative shape": (first(shape=[-64, 16]), WEIGHTS, "has the shape [-64, 16]"),
    "fractional shape": (first(shape=[64, 16.0]), WEIGHTS, "has the shape [64, 16.0]"),
    "overflowing shape": (first(shape=[2**40, 2**40]), WEIGHTS, "whose product overflows"),
    "offsets reversed": (first(data_offsets=[100, 0]), WEIGHTS, "the first not the larger"),
    "offsets overlapping": (moved(LAST, -4), WEIGHTS, "overlaps another tensor"),
    "a hole": (moved(LAST, 4), WEIGHTS, "leaves a hole"),
    "past the end": (content(lambda data: data[:-1]), WEIGHTS, "cut short?"),
    "trailing bytes": (content(lambda data: data + b"\0"), WEIGHTS, "1 bytes follow the last tensor"),
    "dtype x shape is not the bytes": (first(shape=[63, 16]), WEIGHTS, "takes 4032 bytes, its offsets hold 4096"),
    "a missing shard": (
        shards(lambda folder, places: (folder / sorted(set(places.values()))[0]).unlink()),
        "model-00001-of-0000",
        "is missing",
    ),
    "a shard elsewhere": (
        shards(lambda folder, places: places.update({FIRST: "../../x"})),
        INDEX,
        f"puts {FIRST} into '../../x'",
    ),
    "an absolute shard": (
        shards(lambda folder, places: places.update({FIRST: "/etc/x.safetensors"})),
        INDEX,
        "'/etc/x.safetensors'",
    ),
    "a tensor absent from its shard": (shards(elsewhere), "model-0000", "puts here"),
    "a tensor in two shards": (shards(twice), "model-0000", "puts elsewhere"),
    "an index without its map": (shards(lambda folder, places: places.clear()), INDEX, "has no weight_map"),
    "an index that was lost": (shards(lambda folder, places: None), WEIGHTS, f"no {INDEX}"),
    "two sets of weights": (shards(lambda folder, places: (folder / WEIGHTS).write_bytes(b"")), "", "has both"),
    "a missing tensor": (tensors(lambda given: given.pop(NORM)), WEIGHTS, f"lacks {NORM}"),
    "an unexpected tensor": (
        tensors(lambda given: given.update({"model.extra.weight": torch.zeros(2)})),
        WEIGHTS,
        "has model.extra.weight, which the model does not",
    ),
    "a tensor of another shape": (stored(NORM, lambda tensor: tensor[:-1]), WEIGHTS, f"{NORM} is [15], config.json"),
    "width 0": (config(hidden_size=0), CONFIG, "width = 0, but it must be between 1"),
    "heads that do not divide the width": (
        config(num_attention_heads=5, num_key_value_heads=5, head_dim=None),
        CONFIG,
        "5 heads do not divide the width 16",
    ),
    "key/value heads that do not divide the heads": (config(num_key_value_heads=3), CONFIG, "3 key/value heads do not"),
    "10^12 layers": (config(num_hidden_layers=10**12), CONFIG, "depth = 1000000000000"),
    "a fractional size": (config(hidden_size=12.5), CONFIG, "hidden_size is a whole number, not 12.5"),
    "a field that is not understood": (
        config(use_magic=True),
        CONFIG,
        "the field 'use_magic' (True) is not understood",
    ),
    "a value that is not understood": (config(pretraining_tp=2), CONFIG, "pretraining_tp is 2; understood is 1"),
    "an unknown activation": (config(hidden_act="swoosh"), CONFIG, "hidden_act is 'swoosh'"),
    "an unknown rope": (config(rope_parameters={"rope_type": "spiral"}), CONFIG, "rope_type is 'spiral'"),
    "another family": (config(model_type="lama"), CONFIG, "did you mean 'llama'?"),
    "another class": (config(architectures=["LlamaForScience"]), CONFIG, "architectures is ['LlamaForScience']"),
    "quantised weights": (config(quantization_config={"quant_method": "gptq"}), CONFIG, "quantised (gptq)"),
    "a config that is no object": (lambda folder: (folder / CONFIG).write_text("[]"), CONFIG, "holds a list"),
    "a config that is not JSON": (lambda folder: (folder / CONFIG).write_text("{"), CONFIG, "is not JSON"),
    "a vocabulary larger than the embedding": (large_tokenizer, "", "the tokenizer has 101 ids, the model's"),
    "a damaged tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json", ""),
    "pickled weights": (another("pytorch_model.bin", b"\x80\x02"), WEIGHTS, "weft convert"),
    "GGUF": (another("model.gguf", b"GGUF"), WEIGHTS, "take the folder it was made from"),
    "an adapter alone": (another("adapter_config.json", b"{}"), WEIGHTS, "load the model it was made for"),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_cannot_be_true_is_refused_by_name(name: str, folder: Path) -> None:
    damage, file, said = ROWS[name]
    weft.load(folder)  # whole as it is, and all is imported that loading imports
    damage(folder)
    if name == "an index that was lost":
        (folder / INDEX).unlink()
    size = sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(weft.LoadError) as caught:
            weft.load(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(caught.value)
    assert str(folder / file) in str(caught.value)
    assert said in str(caught.value)
    assert peak < 20 * size + 2**22


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_said(number: float, folder: Path) -> None:
    stored(NORM, lambda tensor: tensor.fill_(number))(folder)
    assert weft.load(folder).notices == (f"weights that are no finite numbers: {NORM}",)


def test_code_in_a_folder_is_said_and_never_run(folder: Path, tmp_path: Path) -> None:
    config(auto_map={"AutoModel": "evil.Model"})(folder)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert weft.load(folder).notices == (
        "config.json names code of its own (auto_map): it is ignored",
        "the folder brings code (evil.py): it is never run",
    )
    assert not (tmp_path / "ran").exists()
