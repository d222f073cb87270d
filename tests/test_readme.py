"""What the README and CONTRIBUTING show runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import ENVIRONMENT, TINY, good
from pages import shown

import weft
from weft.data import Bytes
from weft.files import write_json
from weft.hub import Model
from weft.models import Blueprint


def minilm() -> None:
    """A small model in the sentence-transformers layout."""
    blueprint, place = Blueprint.of("bert", "debug", vocab=384), Path("models/minilm")
    weft.save(Model(blueprint.build(), blueprint, Bytes()), place)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"path": path, "type": f"x.{kind}"} for path, kind in zip(("", "1_Pooling", "2"), kinds, strict=True)]
    write_json(place / "modules.json", modules)
    (place / "1_Pooling").mkdir()
    write_json(place / "1_Pooling" / "config.json", {"pooling_mode": "mean"})


def test_the_tour_in_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, no_picture: None
) -> None:
    monkeypatch.chdir(tmp_path)
    good("train", "python_stdlib", "--out", "runs/demo", *TINY)
    parts, folder, published, own = shown("README.md")
    names: dict[str, object] = {}
    exec(compile(parts, "README.md", "exec"), names)
    assert type(names["mine"]).__name__ == "Decoder"
    assert "torch.Size([2, 64, 131])" in capsys.readouterr().out
    exec(compile(folder, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    minilm()
    exec(compile(published, "README.md", "exec"), {})
    assert (Path("models") / "copy" / "1_Pooling" / "config.json").is_file()
    assert "torch.Size([2, 48])" in capsys.readouterr().out
    exec(compile(own, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0


def test_the_family_of_an_afternoon_trains_and_writes(tmp_path: Path) -> None:
    (code,) = shown("CONTRIBUTING.md")
    (tmp_path / "palm.py").write_text(code)
    commands = (["train", "palm", "--out", "run", *TINY], ["generate", "run", "--prompt", "the moon", "--tokens", "3"])
    program = "import sys, palm; from weft.cli import main; main(sys.argv[1:])"
    for words in commands:  # in a process of its own: a registered family would stay
        done = subprocess.run(
            [sys.executable, "-c", program, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout, done.stderr
