"""What is said of signals, by a person and to one: options that are heard or refused by name, and results in words."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from weft.cli.card import print_card
from weft.evaluate import Score
from weft.recipes import Recipe, Report, find
from weft.recipes.account import Sample
from weft.recipes.modality import MODALITIES, Drawn

MAKES = ("codes", "drawings", "music", "pixels", "series")


@pytest.mark.parametrize("name", MAKES)
def test_a_modality_hears_what_it_says_it_hears(name: str) -> None:
    modality = MODALITIES.get(name)
    said = {"count": 2, "tokens": 3, "temperature": 0.5, "top_k": 3, "top_p": 0.5, "seed": 1, "guidance": 2.0}
    for field, value in (said | {"steps": 5, "prompts": ("x",)}).items():
        asked = Drawn(**{field: value})  # type: ignore[arg-type]
        if field in modality.hears:
            modality.heard(asked)
            continue
        with pytest.raises(ValueError, match=f"--{field.replace('_', '-')} .* is not heard by models of"):
            modality.heard(asked)
    with pytest.raises(ValueError, match="x.jpg"):
        modality.written(Drawn(), Path("x.jpg"))
    with pytest.raises(ValueError, match="x.jpg|prompt"):  # before a model is looked for
        modality.generate(Path("no such folder"), Drawn(), Path("x.jpg"))


@pytest.mark.parametrize("field", ["count", "tokens", "steps"])
@pytest.mark.parametrize("number", [0, -1])
def test_at_least_one_is_made(field: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"--{field} {number}, but at least 1"):
        Drawn(**{field: number})  # type: ignore[arg-type]


def test_what_is_nothing_is_said_to_be(tmp_path: Path) -> None:
    recipe: Recipe = find("digits_ctc")
    samples = (Sample("high", "", translates=True), Sample("low", "lo", translates=True))
    report = Report(
        out=tmp_path, figures={"loss": 1.0}, baselines={"always so": -1e-9}, samples=samples, seconds=1.0, steps=1,
        tokens=1, interrupted=False, curve=None, page=tmp_path / "x.html", constant=-0.0,
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=100)
    print_card(console, recipe, report)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "-0.000" not in text and "0.000" in text and "high → (nothing)" in text and "low → lo" in text
    assert str(Score(-0.0, "of two", "r2")) == "r2 0 (of two)"
