"""Encoder–decoders of published folders: what starts a target, whose tables count, which positions are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from odd.bart import CASES as BARTS
from odd.t5 import CASES as T5S
from published_cases import Rows, reference

import weft
from weft.data import Bytes, load_tokenizer, train_tokenizer
from weft.files import read_tensors, write_json, write_tensors
from weft.generate import GREEDY, beam_search, generate
from weft.hub.error import LoadError
from weft.hub.model import Model
from weft.models import FAMILIES, Blueprint

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["", "a", "naïve café — 你好 🙂", "line\nbreak\ttab \x00 end", "<extra_id 0> </ s>"]


def saved(case, folder: Path):
    """The reference's model of a case, and its folder."""
    pytest.importorskip("transformers")
    theirs = reference(case)
    theirs.save_pretrained(folder)
    return theirs


def edited(folder: Path, name: str, **changes) -> None:
    path = folder / name
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


@pytest.mark.parametrize("name", ["mbart", "marian"])
def test_a_target_starts_as_the_folder_says(name: str, tmp_path: Path) -> None:
    """With the start token, and with a forced one after it, which is not given out; greedy and with beams."""
    theirs = saved(BARTS[name][0], tmp_path)
    theirs.generation_config.forced_bos_token_id = 7
    theirs.generation_config.eos_token_id = None
    theirs.generation_config.save_pretrained(tmp_path)
    model = weft.load(tmp_path)
    start, source = theirs.config.decoder_start_token_id, [5, 9, 17, 4]
    assert model.stops.start == start and model.stops.forced == 7
    assert not any("forced_bos" in notice for notice in model.notices)
    ids = torch.tensor([source])
    wanted = theirs.generate(ids, max_new_tokens=8, do_sample=False, use_cache=False)[0].tolist()
    assert wanted[:2] == [start, 7]
    made = generate(model.module, [source], new=7, sampling=GREEDY, start=(start, 7))
    assert list(made[0].ids) == wanted[2:]
    found = beam_search(model.module, [source], new=7, width=1, alpha=0.0, start=(start, 7))
    assert list(found[0][0].ids) == wanted[2:]


def test_a_translation_begins_with_the_language_that_is_forced() -> None:
    tokenizer = Bytes()
    blueprint = Blueprint.of("mbart", "debug", vocab=tokenizer.vocab)
    model = Model(blueprint.build(seed=1), blueprint, tokenizer)
    told = replace(model, stops=model.stops._replace(start=2, forced=300))
    ids = tokenizer.encode("weft")
    wanted = generate(model.module, [[*ids, 1]], new=6, sampling=GREEDY, start=(2, 300), stop=[1])
    assert told.generate("weft", GREEDY, tokens=6).ids == wanted[0].ids
    assert model.generate("weft", GREEDY, tokens=6).ids != wanted[0].ids


@pytest.mark.parametrize("name", ["bart", "mbart"])
@torch.no_grad()
def test_a_shared_table_that_nobody_reads_changes_nothing_and_is_kept(name: str, tmp_path: Path) -> None:
    saved(BARTS[name][1], tmp_path)  # untied
    model, rows = weft.load(tmp_path), Rows.of(61, 9)
    tensors = read_tensors(tmp_path / "model.safetensors")
    tensors["model.shared.weight"] += 1.0
    write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    other = weft.load(tmp_path)
    assert torch.equal(rows.ours(model.module), rows.ours(other.module))
    weft.save(other, tmp_path / "again")
    again = read_tensors(tmp_path / "again" / "model.safetensors")
    assert again.keys() == tensors.keys() and all(torch.equal(again[name], tensors[name]) for name in again)


@torch.no_grad()
def test_tables_that_differ_stay_apart_whatever_the_config_says(tmp_path: Path) -> None:
    """One of the three is another: all three are read, as the reference reads them."""
    saved(BARTS["bart"][0], tmp_path)
    tensors = read_tensors(tmp_path / "model.safetensors")
    shared = tensors["model.shared.weight"]
    tensors |= {f"model.{side}.embed_tokens.weight": shared.clone() for side in ("encoder", "decoder")}
    tensors |= {"lm_head.weight": shared.clone()}
    write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    one = weft.load(tmp_path)
    assert one.config.shared and one.config.tied and not one.notices
    tensors["model.decoder.embed_tokens.weight"].normal_()
    write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    apart, rows = weft.load(tmp_path), Rows.of(61, 9, (1,))
    assert not apart.config.shared and not apart.config.tied and len(apart.notices) == 2
    import transformers

    theirs = transformers.BartForConditionalGeneration.from_pretrained(tmp_path)
    wanted, got = rows.kept(rows.theirs(theirs)), rows.kept(rows.ours(apart.module))
    assert float((wanted - got).abs().max() / wanted.std()) < 1e-5


def test_sinusoids_of_a_file_are_checked(tmp_path: Path) -> None:
    saved(BARTS["pegasus"][0], tmp_path)
    name = "model.encoder.embed_positions.weight"
    tensors = read_tensors(tmp_path / "model.safetensors")
    write_tensors(tmp_path / "model.safetensors", {n: t.half() for n, t in tensors.items()}, {"format": "pt"})
    weft.load(tmp_path)
    tensors[name] = tensors[name].roll(1, 0)
    write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    with pytest.raises(LoadError, match=name):
        weft.load(tmp_path)


@pytest.mark.parametrize(
    "name, switch", [("bart", "normalize_before"), ("marian", "normalize_embedding"), ("mbart", "add_final_layer_norm")]
)
def test_old_switches_that_say_otherwise_are_refused(name: str, switch: str, tmp_path: Path) -> None:
    saved(BARTS[name][0], tmp_path)
    declared = FAMILIES.get(name).published
    assert declared is not None
    (usual,) = declared.only[switch]
    edited(tmp_path, "config.json", **{switch: usual})
    weft.load(tmp_path)
    edited(tmp_path, "config.json", **{switch: not usual})
    with pytest.raises(LoadError, match=switch):
        weft.load(tmp_path)


def test_two_vocabularies_have_two_tables() -> None:
    with pytest.raises(ValueError, match="target_vocab = 70, vocab = 131"):
        Blueprint.of("marian", "debug", target_vocab=70).build()
    blueprint = Blueprint.of("marian", "debug", target_vocab=70, shared=False)
    model = Model(blueprint.build(seed=1), blueprint)
    tokens = torch.tensor([[0, 69]])
    assert model.logits(torch.tensor([[130]]), tokens).shape == (1, 2, 70)
    with pytest.raises(ValueError, match="0 to 69"):
        model.logits(tokens, torch.tensor([[70]]))


@pytest.mark.parametrize("said", [{}, {"extra_ids": 125, "eos_token": "</s>", "pad_token": "<pad>"}], ids=str)
def test_byt5_is_read_without_a_vocabulary(said: dict, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    saved(T5S["t5"][-1], tmp_path)
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer", **said})
    model, theirs = weft.load(tmp_path), transformers.ByT5Tokenizer.from_pretrained(tmp_path)
    assert isinstance(model.tokenizer, Bytes) and model.tokenizer.end == theirs.eos_token_id == 1
    assert model.stops.start == theirs.pad_token_id == 0
    for text in TEXTS:
        assert [*model.tokenizer.encode(text), 1] == theirs(text).input_ids
        assert model.tokenizer.decode(theirs(text).input_ids) == theirs.decode(
            theirs(text).input_ids, skip_special_tokens=True
        )
    assert model.tokenizer.mask == theirs.convert_tokens_to_ids("<extra_id_0>") == 259
    weft.save(model, tmp_path / "again")
    assert isinstance(load_tokenizer(tmp_path / "again"), Bytes)
    theirs.save_pretrained(tmp_path)
    assert isinstance(weft.load(tmp_path).tokenizer, Bytes)


def test_other_numberings_of_bytes_are_refused(tmp_path: Path) -> None:
    saved(T5S["t5"][-1], tmp_path)
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer", "eos_token": "<end>"})
    with pytest.raises(LoadError, match="<end>"):
        weft.load(tmp_path)


def test_what_weft_trains_is_not_made_to_end(tmp_path: Path) -> None:
    """Some classes of the reference force an end as the last token unless generation_config.json speaks."""
    transformers = pytest.importorskip("transformers")
    tokenizer = train_tokenizer("bpe", ["a thread of red and a thread of blue " * 9], 300)
    blueprint = Blueprint.of("bart", "debug", vocab=tokenizer.vocab)
    model = Model(blueprint.build(seed=2), blueprint, tokenizer)
    weft.save(model, tmp_path)
    theirs = transformers.BartForConditionalGeneration.from_pretrained(tmp_path)
    assert theirs.generation_config.forced_eos_token_id is None
    assert theirs.generation_config.decoder_start_token_id == tokenizer.end
