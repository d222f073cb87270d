"""What the guides show runs, and every test that docs/trust.md names is there."""

import re
from pathlib import Path

import pytest
from pages import ROOT, shown

import weft
from weft.data import Bytes
from weft.evaluate.prompting import read_task
from weft.hub import Model
from weft.models import Blueprint


def test_the_guide_to_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(shown("docs/training.md"), start=1):
        exec(compile(block, f"docs/training.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("200 ") and "resumed at step 200" in said and "epochs was 20 and is 30 now" in said
    assert "sea" in said.splitlines()[-2] and said.splitlines()[-1] == "1.0 accuracy 1 (share equal)"


def test_the_guide_to_published_weights_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    blueprint = Blueprint.of("gpt2", "debug")
    weft.save(Model(blueprint.build(seed=0), blueprint), tmp_path / "models" / "gpt2")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(shown("docs/published.md"), start=1):
        exec(compile(block, f"docs/published.md, block {number}", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "torch.Size([1, 4, 131])",
        "()",
        "left out: embed.position.weight",
        "torch.Size([1, 4, 131])",
        "True",
    ]
    kept = [(Path("models") / name / "model.safetensors").read_bytes() for name in ("gpt2", "copy")]
    assert kept[0] == kept[1]


def test_the_guide_to_writing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    blueprint = Blueprint.of("llama", "debug", vocab=384, context=128)
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "models" / "talker")
    masked = Blueprint.of("bert", "debug", vocab=384, context=32)
    weft.save(Model(masked.build(seed=0), masked, Bytes()), tmp_path / "models" / "masked")
    template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
    (tmp_path / "models" / "talker" / "chat_template.jinja").write_text(template)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(shown("docs/generation.md"), start=1):
        exec(compile(block, f"docs/generation.md, block {number}", "exec"), names)
    said = capsys.readouterr().out.split()
    assert float(said[-1]) == len("user: Who are you?\nassistant: ")


def test_the_guide_to_evaluation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    (shipped,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mood.toml").write_text(shipped)
    assert read_task(tmp_path / "mood.toml").known == ("no", "yes")
    blueprint = Blueprint.of("llama", "debug", vocab=384, context=256)
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "models" / "writer")
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(shown("docs/evaluation.md"), start=1):
        exec(compile(block, f"docs/evaluation.md, block {number}", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[:3] in ([f"Review: {text}", f"Mood: {mood}", ""] for text, mood in SAID)
    assert said[6:8] == ["Review: a lovely story", "Mood:"] and said[8].startswith(
        "Draw(seed=0, random_labels=0.0) acc"
    )


SAID = [("dull from the first minute", "bad"), ("great music", "good"), ("awful", "bad")]


def test_the_page_on_word_vectors_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = shown("docs/vectors.md")
    exec(compile(block, "docs/vectors.md", "exec"), {})
    assert capsys.readouterr().out.startswith("['") and (tmp_path / "runs" / "rhyme" / "words.json").is_file()


def test_every_test_that_is_named_exists() -> None:
    page = (ROOT / "docs" / "trust.md").read_text()
    named = re.findall(r"`(test_\w+)::(test_\w+)`", page)
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / f"{file}.py").read_text(), re.M), f"{file}::{test}"
    assert re.findall(r"^\| (T\d+) \|", page, re.M) == [f"T{number}" for number in range(1, 15)]
