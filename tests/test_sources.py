"""Sources: files of records, texts in memory, and texts that can be read once only."""

import csv
import gzip
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weft.data import (
    DataSettings,
    Document,
    TextFiles,
    Texts,
    open_source,
    own,
    prepare,
    read_records,
    split,
    store_texts,
    stored_texts,
)
from weft.files import DamagedFile
from weft.recipes.folder import TOKENS
from weft.recipes.folder import WRITTEN as RUN_FILES
from weft.training import checkpoints
from weft.training.watch.exporters import REPLACED

WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CELLS = st.text(st.sampled_from("ab,\"\n\r\t é'"), max_size=6)


def texts(path: Path, column: str = "text") -> list[tuple[int, str | None]]:
    return [(line, text) for line, text in read_records(path, column)]


# ---- records ----


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6),
    st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
)
@example([["a", 'say "x"\nand y', ""]], ("\r\n", csv.QUOTE_MINIMAL))
def test_a_csv_is_read_as_pythons_own_module_reads_it(tmp_path_factory, rows: list[list[str]], form: tuple[str, int]):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=form[0], quoting=form[1]).writerows([["id", "text", "more"], *rows])
    with path.open(encoding="utf-8", newline="") as file:
        expected = [row["text"] for row in csv.DictReader(file)]
    found = texts(path)
    assert [text for _, text in found] == expected
    whole = path.read_text("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    assert all(line <= whole.count("\n") for line, _ in found)


def test_a_row_is_named_after_the_line_on_which_it_begins(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('text,n\n"one\nstill one",1\n\ntwo,2\n')
    assert texts(path) == [(2, "one\nstill one"), (5, "two")]
    assert [document.name for document in TextFiles((str(path),)).documents()] == [f"{path}:2", f"{path}:5"]


@given(st.lists(st.dictionaries(st.sampled_from(["text", "a", "b"]), st.none() | WRITTEN), max_size=6))
def test_a_jsonl_is_read_as_pythons_own_module_reads_it(tmp_path_factory, rows: list[dict[str, str | None]]):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl.gz"
    ascii_only = [number % 2 == 0 for number in range(len(rows))]
    lines = [json.dumps(row, ensure_ascii=plain) + "\n" for row, plain in zip(rows, ascii_only, strict=True)]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    if any(rows) and not any("text" in row for row in rows):
        with pytest.raises(ValueError, match=r"a.jsonl.gz has no column 'text': choose one .*; there are: '(a|b)'"):
            texts(path)
    else:
        assert texts(path) == [(number, json.loads(line).get("text")) for number, line in enumerate(lines, start=1)]


@given(st.lists(st.lists(st.text(st.sampled_from("ab\",' é"), max_size=5), min_size=2, max_size=2), max_size=5))
def test_a_tsv_has_no_quotes(tmp_path_factory, rows: list[list[str]]):
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [["text", "n"], *rows]), "utf-8")
    assert [text for _, text in texts(path)] == [row[0] for row in rows]


def test_a_value_may_be_long_and_the_modules_limit_stays_as_it_was(tmp_path: Path):
    before, path = csv.field_size_limit(), tmp_path / "a.csv"
    path.write_text(f"text\n{'x' * (before + 1)}\n")
    ((_, text),) = texts(path)
    assert text is not None and len(text) == before + 1
    assert csv.field_size_limit() == before


def test_another_column_is_chosen_and_rows_without_text_are_counted(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one"}\n\n{"body": null}\n{"text": "x"}\n{"body": ""}\n{"body": "two"}\n')
    said: list[str] = []
    source = open_source("text", [str(path)], column="body", say=said.append)
    assert list(source.documents()) == [Document(f"{path}:1", "one"), Document(f"{path}:6", "two")]
    assert said == [f"3 of 5 rows have no 'body' and were left out; the first is {path}:3"]
    settings = DataSettings(paths=(str(path),), column="body", tokenizer="bytes", vocab=0, held_out=0.5)
    assert prepare(settings, 8, pairs=False).notices == tuple(said)


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", '{"text": null}\n{"text": ""}\n'), ("a.csv", "text,n\n,1\n,2\n")]
)
def test_rows_without_any_text_are_said_to_be_so(name: str, content: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"none of the 2 rows in .*{name} has any 'text': there is no text"):
        list(TextFiles((str(tmp_path / name),)).documents())


def test_records_lie_beside_texts_in_a_folder(tmp_path: Path):
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "b.csv").write_text("text\nrow\n")
    (tmp_path / "c.csv").touch()
    found = [document.text for document in TextFiles((str(tmp_path),)).documents()]
    assert found == ["plain", "row"]
    with pytest.raises(ValueError, match=r"c.csv is empty"):
        list(TextFiles((str(tmp_path / "c.csv"),)).documents())


DAMAGED = {
    "a.csv": [
        (b"", None),
        (b"n,body\n1,x\n", "has no column 'text': choose one .*; there are: 'n', 'body'"),
        (b"text,text\n1,x\n", "2 columns called 'text'"),
        (b"text,n\none,1\ntwo\n", "line 3: the row has 1 values and the header 2"),
        (b'text,n\n"one"x,1\n', "line 2: ',' expected after '\"'"),
        (b'text,n\none,1\n"two\n', "line 3: unexpected end of data"),
        (b"text,n\none,1\nt\xffo,2\n", "a.csv is not UTF-8: byte 14 is 0xff"),
        ("text\nx\n".encode("utf-16"), "not UTF-8: byte 0 is 0xff, it looks like UTF-16"),
    ],
    "a.jsonl": [
        (b'{"text": "x"}\n{"text": \n', "line 2: not JSON, at character"),
        (b'["x"]\n', "line 1: a row is an object"),
        (b'{"text": "x"}\n\n{"text": 3}\n', "line 3: 'text' is 3, not a text"),
        (b'{"text": ["x"]}\n', "line 1: 'text' is .*, not a text"),
        (b"[" * 100_000 + b"\n", "line 1: not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}\n", "line 1: not JSON"),
        (b'{"text": "' + b"x" * (1 << 20) + b'\xc3"}\n', f"not UTF-8: byte {10 + (1 << 20)} is 0xc3"),
        (b'{"text": "\xe2\x82', "not UTF-8: byte 10 is 0xe2"),
    ],
    "a.jsonl.gz": [
        (gzip.compress(b'{"text": "x"}\n' * 99, mtime=0)[:-9], "not a whole .gz"),
        (b"{}\n", "not a whole .gz"),
        (gzip.compress(b'{"text": "\xff"}\n', mtime=0), "a.jsonl.gz is not UTF-8: byte 10 is 0xff"),
        (gzip.compress(b'{"text": "\xff"}\n', mtime=0)[:-8] + bytes(8), "not a whole .gz file: CRC check failed"),
    ],
    "a.tsv": [(b"text\tn\none\n", "line 2: the row has 1 values and the header 2")],
}


@pytest.mark.parametrize(
    ("name", "data", "message"), [(name, *case) for name, cases in DAMAGED.items() for case in cases]
)
def test_a_damaged_row_is_named(name: str, data: bytes, message: str | None, tmp_path: Path):
    (tmp_path / name).write_bytes(data)
    if message is None:
        assert texts(tmp_path / name) == []
        return
    with pytest.raises(ValueError, match=message) as caught:
        texts(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_lone_surrogate_is_named(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": "t\\ud800o"}\n')
    with pytest.raises(ValueError, match=r"a.jsonl:2: the text has a lone surrogate, .* at offset 1"):
        prepare(DataSettings(paths=(str(path),), tokenizer="bytes", vocab=0), 8, pairs=False)


def test_records_that_come_split_are_used_so(tmp_path: Path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(f'{{"text": "{name} {n}"}}\n' for n in range(3)))
    train, held_out = split(list(TextFiles((str(tmp_path),)).documents()))
    assert [document.text for document in train] == [f"train {n}" for n in range(3)]
    assert [document.text for document in held_out] == [f"valid {n}" for n in range(3)]


def folder_of_a_run(folder: Path) -> Path:
    """What a run leaves, with its store of tokens, and a note beside."""
    (folder / "checkpoints" / "step-1").mkdir(parents=True)
    (folder / "run.json").write_text('{"recipe": "x", "settings": {}, "data_digest": ""}')
    for name in (
        "log.jsonl",
        "log-1.jsonl",
        "report.html",
        "config.json",
        "tokenizer.json",
        "checkpoints/step-1/state.json",
    ):
        (folder / name).write_text("{}")
    wanted = DataSettings(source="made", tokenizer="bytes", vocab=0, store=str(folder / "tokens"))
    prepare(wanted, 8, pairs=False)
    (folder / "note.txt").write_text("of mine")
    return folder


def test_what_weft_wrote_is_no_data_where_it_is_not_named(tmp_path: Path):
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "store.json").write_text('{"open": "9 to 5"}')
    run = folder_of_a_run(tmp_path / "runs" / "x")
    said: list[str] = []
    for path in (tmp_path, tmp_path / "**"):
        found = [d.text for d in open_source("text", [str(path)], say=said.append).documents()]
        assert found == ["plain", '{"open": "9 to 5"}', "of mine"]
    assert all(
        re.match(r"\d+ files that weft wrote \(of runs, .*left out; the first is .*runs/x/", text) for text in said
    )
    assert len(said) == 2
    assert [d.text for d in TextFiles((str(run / "tokens" / "held-out.txt"),)).documents()]
    for path in (run / "tokens", run / "*.json"):
        with pytest.raises(ValueError, match="text files in .* were written by weft, .* name a file itself"):
            list(TextFiles((str(path),)).documents())


def test_runs_without_a_description_and_models_are_known_too(tmp_path: Path):
    for name in ("mine/log.jsonl", "mine/checkpoints/state.json", "logs/log.jsonl", "other/config.json", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}\n')
    for name, text in (("config.json", '{"model_type": "weft"}'), ("tokenizer.json", "{}"), ("README.md", "of mine")):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text(text)
    found = {Path(d.name).relative_to(tmp_path).as_posix() for d in TextFiles((str(tmp_path),)).documents()}
    assert found == {"a.txt", "logs/log.jsonl:1", "model/README.md", "other/config.json"}


def test_what_a_run_writes_is_known_to_be_its_own():
    assert set(RUN_FILES) | {checkpoints.FOLDER, TOKENS, *REPLACED} <= set(own._RUN)


def test_a_column_of_files_without_columns_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("plain")
    with pytest.raises(ValueError, match=r"data.column=body, but none of the 1 files in .* is of records"):
        list(open_source("text", [str(tmp_path)], column="body").documents())


def test_a_table_without_a_header_is_explained(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("a movie\t1\nanother\t0\n")
    with pytest.raises(ValueError, match="there are: 'a movie', '1', by its first row, which names the columns: put"):
        list(TextFiles((str(tmp_path / "a.tsv"),)).documents())


def test_a_source_without_columns_has_none_to_choose():
    with pytest.raises(ValueError, match=r"data.column=body, but the source 'made' has no columns"):
        open_source("made", column="body")


# ---- parquet ----


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Writes a .parquet of these columns, in row groups of two."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    def write(**columns: object) -> Path:
        write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=2)
        return tmp_path / "a.parquet"

    return write


def test_a_parquet_gives_a_document_a_row(parquet: Callable[..., Path]):
    rows = ["one", None, "", "zwei\nDrei", "🙂"]
    path = parquet(text=rows, n=list(range(5)))
    assert texts(path) == list(enumerate(rows, start=1))
    said: list[str] = []
    found = list(TextFiles((str(path),), say=said.append).documents())
    assert [document.name for document in found] == [f"{path}:{n}" for n in (1, 4, 5)]
    assert said == [f"2 of 5 rows have no 'text' and were left out; the first is {path}:2"]


def test_a_parquet_of_categories_is_text_too(parquet: Callable[..., Path]):
    import pyarrow

    path = parquet(text=pyarrow.array(["a", "b", "a"]).dictionary_encode())
    assert [text for _, text in texts(path)] == ["a", "b", "a"]


def test_what_is_no_parquet_is_said(parquet: Callable[..., Path]):
    import pyarrow

    path = parquet(n=[1, 2], text=[1.5, 2.0])
    with pytest.raises(DamagedFile, match=r"a.parquet: 'text' holds double, not text: .* there are: n, text"):
        texts(path)
    with pytest.raises(ValueError, match=r"has no column 'body'.*'n', 'text'"):
        texts(path, "body")
    path = parquet(text=pyarrow.array([b"ok", b"a\xff"]).cast(pyarrow.string(), safe=False))
    with pytest.raises(DamagedFile, match=r"a.parquet, row 2: 'text' is not UTF-8: byte 1"):
        texts(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DamagedFile, match=r"a.parquet cannot be read as .parquet"):
        texts(path)


def test_without_pyarrow_the_way_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"a.parquet: reading .parquet needs pyarrow: pip install 'weft\[parquet\]'"):
        texts(tmp_path / "a.parquet")


# ---- texts that a program has ----


def test_texts_in_memory_are_a_source():
    source = Texts(["one", "", "two"], name="mine")
    assert list(source.documents()) == [Document("mine:0", "one"), Document("mine:2", "two")]
    found = prepare(DataSettings(tokenizer="bytes", vocab=0), 4, pairs=False, sources=[source])
    assert found.documents == (1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one text", "not a str"),
        (iter(["a"]), "stored first, with store_texts"),
        ((text for text in "ab"), "not a generator"),
        (["a", b"b"], "text 1 is a bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(given, message: str):
    with pytest.raises(ValueError, match=message):
        Texts(given)
    with pytest.raises(ValueError, match="has no text"):
        list(Texts([""]).documents())


@given(st.lists(WRITTEN, min_size=1))
def test_an_iterable_is_stored_and_read_any_number_of_times(tmp_path_factory, given: list[str]):
    folder = tmp_path_factory.mktemp("stored") / "texts"
    source = store_texts(iter(given), folder)
    assert source == stored_texts(folder)
    if any(given):
        for _ in range(2):
            assert [document.text for document in source.documents()] == [text for text in given if text]


def test_an_iterable_that_breaks_off_leaves_nothing(tmp_path: Path):
    def broken() -> Iterator[str]:
        yield "one"
        raise RuntimeError("the network is gone")

    with pytest.raises(RuntimeError, match="the network is gone"):
        store_texts(broken(), tmp_path / "texts")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"texts.jsonl.gz is missing: write it with store_texts"):
        stored_texts(tmp_path / "texts")
    store_texts(["a"], tmp_path / "texts")
    with pytest.raises(ValueError, match="already there"):
        store_texts(["b"], tmp_path / "texts")


@pytest.mark.parametrize(
    "later", [["one", "other"], ["one"], ["one", "two", "three"], ["two", "one"]], ids=lambda later: " ".join(later)
)
def test_a_source_that_changes_while_it_is_read_is_refused(later: list[str]):
    class Moody:
        def __init__(self) -> None:
            self.texts = ["one", "two"]

        def documents(self) -> Iterator[Document]:
            for text in self.texts:
                yield Document(text, text)
            self.texts = later

    with pytest.raises(ValueError, match=r"other texts when it was read again .*store_texts"):
        prepare(DataSettings(tokenizer="bytes", vocab=0), 4, pairs=False, sources=[Moody()])
