"""What docs/training.md shows runs, and every test that docs/trust.md names is there."""

import re
from pathlib import Path

import pytest
from pages import ROOT, shown


def test_the_guide_to_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(shown("docs/training.md"), start=1):
        exec(compile(block, f"docs/training.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("200 ") and "resumed at step 200" in said and "epochs was 20 and is 30 now" in said
    assert "sea" in said.splitlines()[-1]


def test_every_test_that_is_named_exists() -> None:
    page = (ROOT / "docs" / "trust.md").read_text()
    named = re.findall(r"`(test_\w+)::(test_\w+)`", page)
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / f"{file}.py").read_text(), re.M), f"{file}::{test}"
    assert re.findall(r"^\| (T\d+) \|", page, re.M) == [f"T{number}" for number in range(1, 15)]
