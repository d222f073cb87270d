"""docs/what_attention_buys.py: what came before attention beside a transformer, by one command."""

import importlib.util
import math
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pages import ROOT

import weft
from weft.recipes.account import count_parameters


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("what_attention_buys", ROOT / "docs" / "what_attention_buys.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


def rows(page: Path) -> dict[str, list[str]]:
    """The lines of the page's tables by the model's name."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text().splitlines()]
    return {row[0]: row[1:] for row in cells if len(row) > 5 and re.match(r"[\d.]+$", row[1])}


def test_the_page_is_made_by_a_command(script: ModuleType, tmp_path: Path, no_picture: None) -> None:
    page, out = tmp_path / "page.md", tmp_path / "runs"
    script.main(["--debug", "--out", str(out), "--page", str(page)])
    found = rows(page)
    names = ("bigram", "Kneser–Ney, 3", "Kneser–Ney, 4", "transformer (llama", "rnn", "transformer")
    assert len(found) == len(names) and all(any(row.startswith(name) for row in found) for name in names)
    for bits, perplexity, *_ in (row for name, row in found.items() if name not in ("rnn", "transformer")):
        assert 2 ** float(bits) == pytest.approx(float(perplexity), rel=2e-3)
    assert all("–" not in row for row in found.values())  # operations were counted everywhere
    both = [int(found[name][2].replace(",", "")) for name in ("rnn", "transformer")]
    assert both[0] == pytest.approx(both[1], rel=0.06)
    written = page.read_text()
    assert str(tmp_path) not in written and written.count("weft train") == 3 and "tok:13a" in written
    for shared in ("data.alike=128", "train.checkpoint_every=40", "train.keep=5"):  # as the recipe has it, by both
        assert written.count(shared) == 2, shared

    # Finished runs are taken as they are, wherever they lie.
    moved = Path(shutil.move(out / "transformer", tmp_path / "elsewhere"))
    again = tmp_path / "again.md"
    words = ["--debug", "--out", str(out), "--page", str(again), "--only", "translation"]
    script.main([*words, "--run", f"transformer={moved}", "--run", f"rnn={out / 'rnn'}"])
    assert not (out / "transformer").exists() and "weft train" not in again.read_text()
    same = rows(again)
    assert [row[:-1] for row in same.values()] == [found[name][:-1] for name in ("rnn", "transformer")]


def test_what_the_command_cannot_do_is_said(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([], "--data FOLDER is needed"),
        (["--debug", "--run", "lstm=x"], "--run lstm: NAME=DIR"),
        (["--debug", "--run", f"rnn={tmp_path}"], "the folder of no finished run"),
    ):
        with pytest.raises(SystemExit):
            script.main(words)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("vocab", [500, 6000])
def test_the_rnn_has_as_many_parameters(script: ModuleType, vocab: int) -> None:
    blueprint = weft.Blueprint.of("transformer", "small").change("vocab", str(vocab))
    rnn = weft.Blueprint.of("rnn", "small").change("vocab", str(vocab))
    for change in script.matched(weft.Model(blueprint.empty(), blueprint)):
        rnn = rnn.change(*change.split("="))
    counts = [count_parameters(one) for one in (rnn, blueprint)]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)
    assert math.isclose(rnn.config.width, 2 * rnn.config.hidden)


def test_operations_have_prefixes(script: ModuleType) -> None:
    assert [script.shown(x) for x in (3, 1500, 2.5e9, 1e18)] == ["3", "1.5 k", "2.5 G", "1 E"]
