"""`weft translate`: many lines, batched by length, given back in their order."""

import io
import sys
from pathlib import Path

import pytest
from commands import weft

from weft.data import Pairs
from weft.hub import load
from weft.hub.translation import BEAMS, translate
from weft.recipes.translations import scored

LINES = ["the moon sees two lamps at dawn.", "", "no one sells", "a grey cat follows the long road on Sundays.", "a"]


def test_each_line_becomes_what_it_becomes_alone(translator: Path) -> None:
    model, heard = load(translator), list[int]()
    found = translate(model, LINES, tokens=12, batch=2, advance=heard.append)
    alone = [model.generate(line, tokens=12, beams=BEAMS).text.replace("\n", " ") if line else "" for line in LINES]
    assert found == alone and heard == [2, 2]
    assert translate(model, LINES[::-1], tokens=12, batch=3) == found[::-1]
    assert translate(model, [], tokens=3) == []


def test_from_standard_input_to_standard_output(translator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(LINES) + "\n"))
    done = weft("translate", translator, "--tokens", 8, "--beams", 1)
    assert done.status == 0 and done.out.count("\n") == len(LINES)
    assert done.out.split("\n")[:-1] == translate(load(translator), LINES, tokens=8, beams=1)


@pytest.mark.usefixtures("slow")
def test_scoring_translations_says_how_far_it_is(translator: Path) -> None:
    said, pairs = list[str](), [(line, line) for line in LINES if line]
    model = load(translator)
    scored(model, Pairs(pairs, model.need_tokenizer(), 64), ["accuracy"], {}, said.append)
    assert said[-1] == "translated: 4 of 4, 1.3 a second"


def test_what_cannot_be_translated_is_refused(translator: Path, trained: Path) -> None:
    with pytest.raises(ValueError, match="a llama goes on with a text and translates none"):
        translate(load(trained), ["x"])
    with pytest.raises(ValueError, match=r"line 2 has \d+ tokens and the model reads \d+: cut it"):
        translate(load(translator), ["x", "the moon " * 200])
    assert (
        "--length-penalty 0.5 belongs to a search"
        in weft("translate", translator, "--beams", 1, "--length-penalty", 0.5).err
    )
