"""`weft translate`: many lines, batched by length, given back in their order."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import good, weft

from weft.data import Pairs
from weft.data.reading import lines_of
from weft.evaluate.bleu import chrf, tokenised_bleu
from weft.hub import Model, load
from weft.hub.translation import BEAMS, translate
from weft.hub.writing import Written
from weft.recipes.translations import scored

LINES = ["the moon sees two lamps at dawn.", "", "no one sells", "a grey cat follows the long road on Sundays.", "a"]


def test_each_line_becomes_what_it_becomes_alone(translator: Path) -> None:
    model, heard = load(translator), list[int]()
    found = translate(model, LINES, tokens=12, batch=2, advance=heard.append)
    alone = [model.generate(line, tokens=12, beams=BEAMS).text if line else "" for line in LINES]
    assert found == alone and heard == [2, 2]
    assert translate(model, LINES[::-1], tokens=12, batch=3) == found[::-1]
    assert translate(model, [], tokens=3) == []


def test_from_standard_input_to_standard_output(translator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(LINES) + "\n"))
    done = weft("translate", translator, "--tokens", 8, "--beams", 1)
    assert done.status == 0 and done.out.count("\n") == len(LINES)
    found = translate(load(translator), LINES, tokens=8, beams=1)
    assert done.out.split("\n")[:-1] == [" ".join(lines_of(text)) for text in found]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeff" + "\r\n".join(LINES) + "\r\n"))  # as training reads it
    assert weft("translate", translator, "--tokens", 8, "--beams", 1).out == done.out


def test_answers_of_several_lines_are_right_where_they_are_the_same(
    translator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(self: Model, prompts: Sequence[str], **_: object) -> list[Written]:
        return [Written(prompt.replace("; ", "\n"), (), "end", 0.0) for prompt in prompts]

    monkeypatch.setattr(Model, "generate_all", same)
    model, pairs = load(translator), [("one; two", "one\ntwo"), ("one; two", "one two"), ("one", "one")]
    found = scored(model, Pairs(pairs, model.need_tokenizer(), 64), ["accuracy"], {}, lambda text: None)
    assert found["accuracy"].value == pytest.approx(2 / 3)
    monkeypatch.setattr(sys, "stdin", io.StringIO("one; two\nthree\n"))
    assert weft("translate", translator, "--beams", 1).out == "one two\nthree\n"  # a line for each


@pytest.mark.usefixtures("slow")
def test_scoring_translations_says_how_far_it_is(translator: Path) -> None:
    said, pairs = list[str](), [(line, line) for line in LINES if line]
    model = load(translator)
    scored(model, Pairs(pairs, model.need_tokenizer(), 64), ["accuracy"], {}, said.append)
    assert said[-1] == "translated: 4 of 4, 0.7 a second"


def test_a_finished_translator_is_scored_on_a_test_set(translator: Path, tmp_path: Path) -> None:
    """By the metrics that are asked for, of what `weft translate` writes unasked; with their signatures."""
    gold = ["der Mond", "a", "niemand verkauft", "eine Katze", "b"]
    lines = [line or "c" for line in LINES]
    (tmp_path / "test.en").write_text("\n".join(lines) + "\n")
    (tmp_path / "test.de").write_text("\n".join(gold) + "\n")
    words = ("eval", translator, "--data", tmp_path / "test.en", "--data", tmp_path / "test.de")
    asked = ("--metric", "tokenised_bleu", "--metric", "chrf")
    found, written = good(*words, *asked, "--json").data, translate(load(translator), lines)
    assert found["pairs"] == 5 and found["beams"] == 5
    for name, score in (("tokenised_bleu", tokenised_bleu(written, gold)), ("chrf", chrf(written, gold))):
        assert found["scores"][name] == {"value": score.value, "signature": score.signature}
    told = good(*words, *asked)
    assert "tokenised bleu" in told.out and "tok:13a" in told.out
    for more, message in (
        (("--metric", "blue"), "did you mean 'bleu'"),
        (("--metric", "pearson"), "needs numbers"),
        (("--metric", "chrf", "--rows", "pack"), "--rows is of held-out likelihood: leave out --metric"),
        (("--metric", "chrf", "--shots", "2"), "--shots is of --task"),
        (("--metric", "chrf", "--task", "sst2"), "--metric is of translations: leave out --task"),
        (("--metric", "chrf", "--to", "fr"), "leave --to out"),
        (("--to", "fr"), "--to is of --metric"),
    ):
        refused = weft(*words, *more)
        assert refused.status == 1 and message in refused.err, refused.err


def test_what_cannot_be_translated_is_refused(translator: Path, trained: Path) -> None:
    with pytest.raises(ValueError, match="a llama goes on with a text and translates none"):
        translate(load(trained), ["x"])
    with pytest.raises(ValueError, match=r"line 2 has \d+ tokens and the model reads \d+: cut it"):
        translate(load(translator), ["x", "the moon " * 200])
    assert (
        "--length-penalty 0.5 belongs to a search"
        in weft("translate", translator, "--beams", 1, "--length-penalty", 0.5).err
    )
