"""`weft verify` and `weft show` of a folder: what is proved is true, and what is off is named."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import good, weft
from published_cases import CASES, Case, published, reference

from weft.data import Bytes
from weft.files import digest, read_tensors, write_tensors
from weft.hub import LoadError, Model, load, save
from weft.hub.against import compare
from weft.hub.probe import fingerprint, probe_for
from weft.hub.verify import verify
from weft.models import Blueprint, reading

pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = reading("text")
KINDS = {case.kind: case for name in published() if name in NAMES for case in CASES.get(name, ())}


def ours(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """A debug-sized model on bytes, saved."""
    blueprint = Blueprint.of(name, "debug").change("vocab", "384")
    for path, text in changes:
        blueprint = blueprint.change(path, text)
    save(Model(blueprint.build(seed=1), blueprint, Bytes()), folder)
    return folder


def theirs(case: Case, folder: Path) -> Path:
    pytest.importorskip("transformers")
    reference(case).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_proved(name: str, tmp_path: Path) -> None:
    folder = ours(name, tmp_path)
    found = verify(folder)
    file = folder / "model.safetensors"
    assert found.good and found.family == name and found.tokenizer is not None and found.tokenizer <= found.embedding
    assert [(f.name, f.bytes, f.sha256) for f in found.files] == [(file.name, file.stat().st_size, digest(file))]
    assert found.tensors == len(read_tensors(file)) and found.dtypes == {"float32": found.tensors}
    assert found.parameters == sum(tensor.numel() for tensor in read_tensors(file).values())
    assert json.loads(json.dumps(found.to_data()))["fingerprint"]["text"] == found.fingerprint.text


@pytest.mark.parametrize("name", NAMES)
def test_a_fingerprint_withstands_noise_and_not_another_model(name: str, tmp_path: Path) -> None:
    model = load(ours(name, tmp_path / "one"))
    probe = probe_for(model)
    logits = probe.logits(model)
    found = fingerprint(logits, probe.kept(logits))
    noise = torch.rand(logits.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noisy = logits + 0.5 * found.slack * logits[probe.kept(logits)].std() * noise
    assert found.slack > 1e-6 and fingerprint(noisy, probe.kept(logits)).text == found.text
    other = replace(model, module=model.blueprint.build(seed=2))
    assert fingerprint(probe.logits(other), probe.kept(logits)).text != found.text
    again = probe_for(load(tmp_path / "one"))
    assert torch.equal(again.tokens, probe.tokens) and int(probe.tokens.max()) < model.config.vocab
    assert len(set(probe.tokens.flatten().tolist())) > 0.9 * probe.tokens.numel()


def test_the_probe_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """Fingerprints of other machines and days are compared with it: it never changes."""
    probe = probe_for(load(ours("llama", tmp_path)))
    assert probe.tokens[0, :6].tolist() == [237, 90, 327, 181, 34, 271] and probe.lengths.tolist() == [16, 10, 1]


def test_weights_that_are_no_numbers_are_named_and_fail(tmp_path: Path) -> None:
    folder = ours("gpt2", tmp_path)
    tensors = read_tensors(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("ln_f.weight"))
    tensors[name] = tensors[name].clone()
    tensors[name][3] = float("nan")
    write_tensors(folder / "model.safetensors", tensors)
    done = weft("verify", folder)
    assert done.status == 1 and name in done.out and "no finite numbers" in done.out
    assert weft("verify", folder, "--json").data["not_finite"] == [name]


@pytest.mark.parametrize(("copied", "tied"), [("none", True), ("equal", True), ("different", False)])
def test_ties_are_told(copied: str, tied: bool, tmp_path: Path) -> None:
    folder = ours("gpt2", tmp_path)
    tensors = dict(read_tensors(folder / "model.safetensors"))
    if copied != "none":
        table = tensors["transformer.wte.weight"]
        tensors["lm_head.weight"] = table.clone() if copied == "equal" else table + 1
        write_tensors(folder / "model.safetensors", tensors)
    found = verify(folder)
    (tie,) = found.ties
    assert (tie.file, tie.one) == ("one" if copied == "none" else copied, tied)
    assert found.shared == (("head",) if tied else ())
    assert "lm_head.weight and transformer.wte.weight" in good("verify", folder).out


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_agrees_with_the_reference_layer_by_layer(kind: str, tmp_path: Path) -> None:
    case = KINDS[kind]
    found = verify(theirs(case, tmp_path), against="transformers")
    assert found.against is not None and found.good and found.against.kind == kind
    assert found.against.worst.difference < 1e-5
    places = [row.place for row in found.against.rows]
    assert sum(".layers." in place for place in places) == sum(depths(load(tmp_path)))
    assert sum("embeddings" in place for place in places) == sum("hidden" in place for place in places)


def depths(model: Model) -> list[int]:
    """Of each stack, from the config; a decoder's that is left out is its encoder's, a step may be several layers."""
    config = vars(model.config)
    steps = [depth or config["encoder_depth"] for name, depth in config.items() if name.endswith("depth")]
    return [depth * config.get("repeats", config.get("blocks", 1)) for depth in steps]


@pytest.mark.parametrize("part", ["heads.next_sentence.out.weight", "pooler.dense.weight", "embed.types.weight"])
def test_a_second_head_and_what_only_it_reads_are_compared_too(part: str, tmp_path: Path) -> None:
    case = KINDS["BertForPreTraining"]
    model = load(theirs(replace(case, fields=case.fields | {"type_vocab_size": 2}), tmp_path))
    with torch.no_grad():
        model.module.get_parameter(part)[1, 0] += 0.5
    found = compare(model, tmp_path, probe_for(model), "transformers", 1e-4)
    assert found.first_off is not None
    assert found.first_off.place == ("stack: embeddings" if "types" in part else "logits of next_sentence")
    assert [row.place for row in found.rows[-2:]] == ["logits of masked", "logits of next_sentence"]


def test_a_tampered_layer_is_the_first_that_is_off(tmp_path: Path) -> None:
    case = Case("LlamaForCausalLM", "LlamaConfig", CASES["llama"][3].fields)
    model = load(theirs(case, tmp_path))
    with torch.no_grad():
        model.module.get_parameter("stack.layers.3.mlp.branch.up.weight")[0, 0] += 0.5
    found = compare(model, tmp_path, probe_for(model), "transformers", 1e-4)
    assert found.first_off is not None and found.first_off.place == "stack.layers.3"
    assert found.first_off.theirs == "model.layers.3"
    assert all(row.difference < 1e-5 for row in found.rows[:4]) and found.worst.difference > 1e-4


def test_the_command_marks_what_is_off_and_fails(tmp_path: Path) -> None:
    folder = theirs(CASES["gpt2"][0], tmp_path)
    done = good("verify", folder, "--against", "transformers")
    assert "worst" in done.out and "all within 0.0001" in done.out and "transformer.h.2" in done.out
    strict = weft("verify", folder, "--against", "transformers", "--tolerance", "1e-12")
    assert strict.status == 1 and "the first that is off: stack.layers.0" in strict.out
    data = weft("verify", folder, "--against", "transformers", "--tolerance", "1e-12", "--json")
    assert data.status == 1 and data.data["good"] is False and len(data.data["against"]["rows"]) == 6
    for words, told in ((("--against", "flax"), "there is transformers"), (("--tolerance", "0"), "above 0")):
        done = weft("verify", folder, *words)
        assert done.status == 1 and told in done.err


def test_what_cannot_be_compared_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ours("llama", tmp_path / "own", ("position", "alibi"))
    pytest.importorskip("transformers")
    with pytest.raises(LoadError, match="weft's own layout"):
        verify(folder, against="transformers")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="pip install transformers"):
        verify(folder, against="transformers")


def test_show_tells_of_a_published_folder(tmp_path: Path) -> None:
    folder = ours("gpt2", tmp_path / "model")
    data = good("show", folder, "--json").data
    assert data["folder"]["classes"] == ["GPT2LMHeadModel"] and data["folder"]["layout"] == "published"
    assert data["folder"]["dtypes"] == {"float32": len(read_tensors(folder / "model.safetensors"))}
    assert data["description"]["parameters"] == data["model"]["parameters"] == verify(folder).parameters
    shown = good("show", folder).out
    assert "GPT2LMHeadModel" in shown and "cache in bf16" in shown and "2 equal layers" in shown
    shutil.copy(folder / "config.json", tmp_path)
    assert weft("show", tmp_path).status == 1  # a published config alone does not say whether the head is tied
