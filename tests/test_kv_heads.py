"""Fewer key/value heads: the mean of each group, of a model that then loads, writes and trains on."""

import dataclasses
from pathlib import Path

import pytest
import torch
from commands import TINY, good, weft
from torch import Tensor

from weft.data import Bytes
from weft.files import read_json
from weft.hub import Model, load, save
from weft.hub.convert import convert
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import Attention, Joined

WITH = [
    name for name in reading("text") if "kv_heads" in {f.name for f in dataclasses.fields(FAMILIES.get(name).config)}
]


def made(family: str, *changes: tuple[str, str]) -> Model:
    """A tiny model on bytes with as many key/value heads as heads, every parameter random."""
    blueprint = Blueprint.of(family, "debug").change("vocab", "384").change("heads", "6").change("width", "48")
    for path, text in (("kv_heads", "6"), *changes):
        blueprint = blueprint.change(path, text)
    module = blueprint.build(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(1.0 if parameter.ndim < 2 else 0.0, 0.2, generator=generator)
    return Model(module, blueprint, Bytes())


def saved(model: Model, folder: Path) -> Path:
    save(model, folder)
    return folder


@pytest.mark.parametrize("family", WITH)
@pytest.mark.parametrize("count", [3, 2, 1])
def test_each_new_head_is_the_mean_of_its_group(family: str, count: int, tmp_path: Path):
    before = made(family)
    convert(saved(before, tmp_path / "source"), tmp_path / "new", kv_heads=count)
    after = load(tmp_path / "new")
    assert after.config == dataclasses.replace(before.config, kv_heads=count)
    old, new, changed = before.module.state_dict(), after.module.state_dict(), set[str]()
    for path, part in before.module.named_modules():
        if isinstance(part, Attention):
            ways = ("k", "v", "k_norm.norm")  # the last where one norm is of all keys at once
            changed |= {f"{path}.{way}.{kind}" for way in ways for kind in ("weight", "bias")} & old.keys()
    assert old.keys() == new.keys() and changed
    for name, tensor in old.items():
        if name in changed:
            heads = tensor.unflatten(0, (6, -1))
            tensor = torch.cat([group.mean(0) for group in heads.split(6 // count)])
        torch.testing.assert_close(new[name], tensor, rtol=1e-6, atol=1e-7)
    assert after.generate("ab", tokens=3).ids


def like_neighbours(model: Model, group: int) -> None:
    """Make the heads of each group equal."""

    def alike(tensor: Tensor) -> Tensor:
        heads = tensor.unflatten(0, (6 // group, group, -1))
        return heads[:, :1].expand_as(heads).flatten(0, 2)

    with torch.no_grad():
        for part in (part for part in model.module.modules() if isinstance(part, Attention)):
            for grouped in (part.k, part.v, *([part.k_norm] if isinstance(part.k_norm, Joined) else [])):
                for parameter in grouped.parameters():
                    parameter.copy_(alike(parameter))


@pytest.mark.parametrize("family", WITH)
@pytest.mark.parametrize("group", [2, 3])
@torch.no_grad()
def test_heads_that_are_equal_lose_nothing(family: str, group: int, tmp_path: Path):
    model, tokens = made(family), torch.arange(40).view(2, 20)
    like_neighbours(model, group)
    convert(saved(model, tmp_path / "source"), tmp_path / "new", kv_heads=6 // group, shard=100_000)
    wanted, after = model.logits(tokens), load(tmp_path / "new")
    assert (after.logits(tokens) - wanted).abs().max() <= 1e-5 * wanted.std()
    old, new = model.module.state_dict(), after.module.state_dict()
    for name in old:
        if old[name].shape != new[name].shape:  # exactly the head that all of them are
            assert torch.equal(new[name], old[name].unflatten(0, (6 // group, group, -1))[:, 0].flatten(0, 1)), name


def test_a_grouped_model_is_grouped_further_and_dtypes_are_kept(tmp_path: Path):
    model = made("llama", ("kv_heads", "2"))
    save(model, tmp_path / "source", dtype="bf16")
    convert(tmp_path / "source", tmp_path / "new", kv_heads=1)
    config = read_json(tmp_path / "new" / "config.json")
    assert config["num_key_value_heads"] == 1 and config["dtype"] == "bfloat16"
    convert(tmp_path / "source", tmp_path / "same", kv_heads=2)  # as many as there are: a copy
    for file in (tmp_path / "source").iterdir():
        assert (tmp_path / "same" / file.name).read_bytes() == file.read_bytes()


def test_gpt2_published_with_a_head_for_each_query_goes_into_wefts_layout(tmp_path: Path):
    """Its own layout has no word for groups; what belongs to it stays."""
    folder = saved(made("gpt2", ("kv_heads", "none")), tmp_path / "source")
    assert read_json(folder / "config.json")["model_type"] == "gpt2"
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}')
    done = good("convert", folder, tmp_path / "new", "--kv-heads", "2")
    assert "weft's own layout" in done.out
    after = load(tmp_path / "new")
    assert after.config.kv_heads == 2 and after.tokenizer is not None and after.stops == load(folder).stops


def test_a_run_is_converted_and_trained_on(trained: Path, tmp_path: Path):
    good("convert", trained, tmp_path / "new", "--kv-heads", "1")
    assert load(tmp_path / "new").config.kv_heads == 1 and load(trained).config.kv_heads == 2
    good("generate", tmp_path / "new", "--prompt", "the", "--tokens", "3")
    good("train", tmp_path / "new", "--out", tmp_path / "more", *TINY)
    assert load(tmp_path / "more").config.kv_heads == 1


def test_what_cannot_be_is_said_and_leaves_nothing_behind(tmp_path: Path):
    folder = saved(made("llama"), tmp_path / "source")
    for count in ("4", "0", "12"):
        done = weft("convert", folder, tmp_path / "new", "--kv-heads", count)
        assert done.status == 1 and f"{count} key/value heads cannot be made of 6" in done.err
        assert "choose a divisor of 6 (1, 2, 3, 6)" in done.err
    for family in ("bert", "rnn"):
        blueprint = Blueprint.of(family, "debug")
        other = saved(Model(blueprint.build(seed=0), blueprint), tmp_path / family)
        done = weft("convert", other, tmp_path / "new", "--kv-heads", "2")
        assert done.status == 1 and f"family '{family}' has no number of key/value heads" in done.err
        assert "gpt2" in done.err and "llama" in done.err
    assert not (tmp_path / "new").exists()
