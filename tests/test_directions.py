"""Parallel texts in a folder: one direction or several in one model, and rows of about one length together."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from commands import weft
from hypothesis import given
from hypothesis import strategies as st

import weft as library
from weft.data import DataSettings, asked_by, asking, by_prefix, prepare, read_directions
from weft.data.alike import alike_order
from weft.data.names import Side
from weft.hub.translation import translate

WORDS = {"en": "the moon sees a road", "de": "der Mond sieht einen Weg", "fr": "la lune voit une route"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty lines to train on and eight held out, in three languages."""
    made = tmp_path_factory.mktemp("parallel")
    for language, text in WORDS.items():
        for name, numbers in (("train", range(40)), ("val", range(40, 48)), ("test", range(3))):
            (made / f"{name}.{language}").write_text("".join(f"{text} {number}\n" for number in numbers))
    return made


@given(st.lists(st.integers(1, 30), min_size=1, max_size=300), st.integers(1, 12), st.integers(0, 3), st.integers(0, 3))
def test_every_sample_comes_once_an_epoch_and_steps_are_of_one_length(
    lengths: list[int], rows: int, seed: int, epoch: int
) -> None:
    sizes = np.array(lengths)
    order = alike_order(sizes, rows, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    assert (order == alike_order(sizes, rows, seed, epoch)).all()
    first = -epoch * len(lengths) % rows  # lacking in the step that the epoch begins in
    whole = [order[at : at + rows] for at in range(first, len(order) - rows + 1, rows)]
    if len(whole) <= 64:  # of one sorting: the steps' ranges of lengths do not overlap
        ranges = sorted((sizes[step].min(), sizes[step].max()) for step in whole)
        assert all(before[1] <= after[0] for before, after in pairwise(ranges))


def test_rows_alike_leave_less_padding(folder: Path, tmp_path: Path) -> None:
    for name, count in (("train", 256), ("val", 8)):
        lines = [" ".join([name] * (1 + number * 7 % 40)) for number in range(count)]
        for language in ("en", "de"):
            (tmp_path / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines))

    def filled(alike: int) -> float:
        settings = DataSettings(
            "pairs", (str(tmp_path),), tokenizer="bytes", vocab=0, directions=("en-de",), alike=alike
        )
        rows = prepare(settings, 300, pairs=True).train
        steps = [rows.batch([rows.place(8 * step + row, 0) for row in range(8)]) for step in range(32)]
        shares = [float((step.segments > 0).float().mean()) for step in steps if step.segments is not None]
        return sum(shares) / len(shares)

    assert filled(8) > 0.9 > 0.8 > filled(0)


def test_files_say_what_is_held_out_and_a_test_set_stays_out(folder: Path) -> None:
    found = read_directions(folder, ["en-de"])
    assert (len(found[Side.TRAIN]), len(found[Side.HELD_OUT])) == (40, 8)
    assert found[Side.HELD_OUT][0] == ("the moon sees a road 40", "der Mond sieht einen Weg 40")
    several = read_directions(folder, ["en-de", "de-en", "en-fr"])
    assert several[Side.TRAIN][40] == (">>en<< der Mond sieht einen Weg 0", "the moon sees a road 0")
    asked = asked_by(DataSettings(directions=("en-de", "de-en", "en-fr")))
    places = by_prefix([source for source, _ in several[Side.HELD_OUT]], asked)
    assert {what: len(found) for what, found in places.items()} == {"into de": 8, "into en": 8, "into fr": 8}
    assert asked_by(DataSettings(directions=("en-de",))) == {}


@pytest.mark.parametrize(
    ("directions", "said"),
    [
        (["en"], "data.directions has 'en': write from which language into which other, as en-de"),
        (["en-en"], "data.directions has 'en-en'"),
        (["en-de", "en-de"], "data.directions has en-de twice"),
        (["en-nl"], r"has no file of nl (train.nl, train.nl.gz); it has "),
    ],
)
def test_directions_that_cannot_be(folder: Path, directions: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_directions(folder, directions)


def test_files_that_do_not_match(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder, and data.directions=en-de"):
        read_directions(folder / "train.en", ["en-de"])
    for language in ("en", "de"):
        (tmp_path / f"train.{language}").write_text("one\ntwo\n")
    with pytest.raises(ValueError, match="files say which they are: put val.en and its like beside train"):
        read_directions(tmp_path, ["en-de", "de-en"])
    (tmp_path / "train2.en").write_text("three\n")
    with pytest.raises(ValueError, match=r"train2\.en has no counterpart in de: .*train2\.de is missing"):
        read_directions(tmp_path, ["en-de"])
    (tmp_path / "train2.de").write_text("three\nfour\n")
    with pytest.raises(ValueError, match=r"train2\.en has 1 lines and .*train2\.de has 2"):
        read_directions(tmp_path, ["en-de"])
    (tmp_path / "train.en.gz").write_text("")
    with pytest.raises(ValueError, match=r"train\.en and .*train\.en\.gz are both train in en: move one"):
        read_directions(tmp_path, ["en-de"])


def test_a_test_set_of_any_usual_name_stays_out(tmp_path: Path) -> None:
    def put(*names: str) -> None:
        for name, language in ((name, language) for name in names for language in ("en", "de")):
            (tmp_path / f"{name}.{language}").write_text(f"{name}\n")

    put("europarl-v7", "test2016", "newstest2014", "tst2013", "test_2017_flickr", "newsdiscusstest2015.de-en")
    assert read_directions(tmp_path, ["en-de"])[Side.TRAIN] == [("europarl-v7", "europarl-v7")]
    put("newsdev2013")
    with pytest.raises(ValueError, match=r"europarl-v7\.en does not say what it is for, and others.* are called train"):
        read_directions(tmp_path, ["en-de"])
    for language in ("en", "de"):
        (tmp_path / f"europarl-v7.{language}").rename(tmp_path / f"train-europarl-v7.{language}")
    assert {side: len(pairs) for side, pairs in read_directions(tmp_path, ["en-de"]).items()} == {0: 1, 1: 1}


def test_one_model_of_several_directions(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "several"
    words = ("--set", "data.directions=en-de,de-en,en-fr", "--set", "train.steps=4")
    done = weft("train", "multi30k", "--debug", "--data", folder, *words, "--out", out)
    assert done.status == 0, done.err
    told = json.loads((out / "report.json").read_text())["metrics"]
    assert {"tokenised_bleu", "tokenised_bleu, into de", "bleu, into fr", "chrf, into en"} <= told.keys()
    assert "tok:13a" in told["bleu"]["signature"]
    assert "tok:13a" in (out / "report.html").read_text()
    model = library.load(out)
    tokenizer = model.need_tokenizer()
    assert len(tokenizer.encode(asking("fr"))) == 1
    (asked,) = translate(model, ["the moon"], to="fr", tokens=8)
    assert [asked] == translate(model, [">>fr<< the moon"], tokens=8)
    with pytest.raises(ValueError, match="was not trained to write 'nl': it knows de, en, fr"):
        translate(model, ["the moon"], to="nl")


def test_a_model_of_one_direction_is_not_asked_and_goes_on_with_other_pairs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "one"
    few = ("--set", "train.steps=2", "--set", "train.batch=4", "--set", "train.precision=fp32")
    done = weft("train", "multi30k", "--debug", "--data", folder, *few, "--out", out)
    assert done.status == 0, done.err
    assert json.loads((out / "report.json").read_text())["data"]["documents"] == [40, 8]
    with pytest.raises(ValueError, match="is not asked for 'de': leave --to out"):
        translate(library.load(out), ["the moon"], to="de")
    more = ("--data", folder / "train.en", "--data", folder / "train.de")
    for words in (more, ("--debug",)):
        done = weft("train", out, *words, *few, "--overwrite", "--out", tmp_path / "further")
        assert done.status == 0, done.err
    done = weft("train", out, "--data", folder, "--out", tmp_path / "more")
    assert done.status == 1 and "is a folder, and pairs come from files" in done.err
    assert "of a folder with a file for each language (train.en, train.de), say data.directions=en-de" in done.err


def test_texts_have_no_directions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n" * 9)
    done = weft("train", "llama", "--data", tmp_path, "--set", "data.directions=en-de", "--out", tmp_path / "out")
    assert "data.directions=('en-de',) says something of pairs" in done.err


def table(path: Path, count: int, first: int = 0) -> Path:
    rows = (f"{number},the moon {number},{'yes' if number % 2 else 'no'}\n" for number in range(first, first + count))
    path.write_text("number,text,answer\n" + "".join(rows))
    return path


def test_several_tasks_of_tables_are_asked_for_by_prefix(tmp_path: Path) -> None:
    words = []
    for task in ("odd", "even"):
        (tmp_path / task).mkdir()
        for name, count, first in (("train", 30, 0), ("dev", 6, 30)):
            words += ["--data", table(tmp_path / task / f"{name}.csv", count, first)]
    prefixes = "is it odd:,is it odd:,is it even:,is it even:"
    words += ["--set", "data.columns=text,answer", "--set", f"data.prefixes={prefixes}", "--set", "data.source=pairs"]
    out = tmp_path / "out"
    done = weft("train", "t5", "--debug", *words, "--set", "train.steps=4", "--metric", "accuracy", "--out", out)
    assert done.status == 0, done.err
    told = json.loads((out / "report.json").read_text())
    assert told["metrics"].keys() == {"accuracy", "accuracy, is it odd:", "accuracy, is it even:"}
    assert told["data"]["documents"] == [60, 12]
    settings = DataSettings("pairs", (str(tmp_path / "odd" / "train.csv"),), columns=("text", "answer"))
    assert prepare(settings, 64, pairs=True).train.pairs[0] == ("the moon 0", "no")


def test_tables_that_are_not_called_train_leave_nothing_to_train_on(tmp_path: Path) -> None:
    paths = [str(table(tmp_path / name, 6)) for name in ("dev.csv", "test2016.csv")]
    with pytest.raises(ValueError, match=r"dev\.csv, .*test2016\.csv: there are no pairs to train on, by the files'"):
        prepare(DataSettings("pairs", tuple(paths), columns=("text", "answer")), 64, pairs=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": ("text",)}, "data.columns=text names 1 columns: a source's and a target's"),
        ({"columns": ("text", "label")}, "label"),
        ({"columns": ("text", "answer"), "prefixes": ("a", "b")}, "2 data.prefixes and 1 paths: give one for each"),
        ({"prefixes": ("a",)}, "data.prefixes are of tables"),
        ({"columns": ("text", "answer"), "directions": ("en-de",)}, "give one of them"),
    ],
)
def test_tables_that_cannot_be_pairs(changes: dict[str, tuple[str, ...]], said: str, tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", 20)
    with pytest.raises(ValueError, match=re.escape(said)):
        prepare(DataSettings("pairs", (str(path),), **changes), 64, pairs=True)  # type: ignore[arg-type]


def test_numbers_name_the_columns_of_a_table_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"a film {number}\t{number % 2}\n" for number in range(20)))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"1": "a song {number}", "2": {number}}}\n' for number in range(20)))
    for name, pair in (("a.tsv", ("a film 0", "0")), ("b.jsonl", ("a song 0", "0"))):
        settings = DataSettings("pairs", (str(tmp_path / name),), columns=("1", "2"), held_out=0.2)
        rows = prepare(settings, 64, pairs=True)
        assert sum(rows.documents) == 20 and pair in [*rows.train.pairs, *rows.held_out.pairs]


def test_a_row_without_a_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "answer": "b"}\n{"text": "c"}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2 has no column 'answer'"):
        prepare(DataSettings("pairs", (str(tmp_path / "a.jsonl"),), columns=("text", "answer")), 64, pairs=True)
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"a\.txt has no columns, and data.columns names some"):
        prepare(DataSettings("pairs", (str(tmp_path / "a.txt"),), columns=("text", "answer")), 64, pairs=True)
