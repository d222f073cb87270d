"""Text in: sources, pairs, splits, blocks, order."""

import gzip
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weft.batch import IGNORED, Batch
from weft.data import (
    PAIR_SOURCES,
    SOURCES,
    Blocks,
    Bytes,
    DataSettings,
    Document,
    Pairs,
    Prepared,
    TextFiles,
    Texts,
    open_pairs,
    open_source,
    place,
    places,
    prepare,
    read_pairs,
    read_text,
    split,
    split_pairs,
    stream,
)

# ---- sources ----


def names(source: TextFiles) -> list[str]:
    return [Path(document.name).name for document in source.documents()]


def test_a_folder_is_searched_in_order_for_text(tmp_path: Path):
    for name in ("b.txt", "a.md", "sub/c.py", "sub/.hidden.txt", ".git/x.txt", "__pycache__/y.py", "z.bin", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"packed\r\n"))
    source = TextFiles((str(tmp_path),))
    assert names(source) == ["a.md", "b.txt", "d.txt.gz", "e.txt", "c.py"]
    assert [document.text for document in source.documents()][2] == "packed\r\n"
    assert names(TextFiles((str(tmp_path / "*.txt"), str(tmp_path)))) == ["b.txt", "e.txt", "a.md", "d.txt.gz", "c.py"]
    assert names(TextFiles((str(tmp_path / "**" / "*.py"),))) == ["y.py", "c.py"]
    assert names(TextFiles((str(tmp_path / "z.bin"),))) == ["z.bin"]


def test_what_cannot_be_read_is_said(tmp_path: Path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "bad.txt").write_bytes(b"abc\xffd")
    (tmp_path / "wide.txt").write_bytes("hello".encode("utf-16"))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "void").mkdir()
    cases = {
        "nothing.txt": "there is no file or folder .*nothing.txt",
        "empty.txt": "empty.txt is empty",
        "empty*": "every file in .* is empty",
        "bad.txt": "bad.txt is not UTF-8: byte 3 is 0xff",
        "wide.txt": "looks like UTF-16",
        "cut.txt.gz": "not a whole .gz",
        "void": "no text files match",
        "*.nothing": "no text files match",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message):
            list(TextFiles((str(tmp_path / name),)).documents())
    with pytest.raises(ValueError, match="no data: name files"):
        list(TextFiles(()).documents())
    with pytest.raises(ValueError, match="~nobody-of-this-name/x: nobody of that name has a home folder"):
        list(TextFiles(("~nobody-of-this-name/x",)).documents())


def test_a_byte_order_mark_is_no_text(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello\r\n")
    assert read_text(tmp_path / "a.txt") == "hello\r\n"


def test_the_python_library_is_a_source():
    documents = list(open_source("python_stdlib", ["json", "ast.py"]).documents())
    found = [document.name for document in documents]
    assert found[0] == "ast.py"
    assert "json/decoder.py" in found
    assert not any("test" in name.split("/") for name in found)
    for paths in (["no_such_module"], ["json", "no_such_module", "ast.py"]):
        with pytest.raises(ValueError, match=r"no sources of the Python library at [^,]*no_such_module: "):
            list(open_source("python_stdlib", paths).documents())


def test_sources_are_registered():
    assert {"made", "python_stdlib", "text"} <= set(SOURCES.names())
    assert open_source("text", ["a"]) == TextFiles(("a",))


# ---- pairs ----


def test_pairs_are_read_line_by_line(tmp_path: Path):
    (tmp_path / "a.en").write_bytes("one\u2028still one\r\ntwo\n".encode())
    (tmp_path / "a.de.gz").write_bytes(gzip.compress(b"eins\nzwei"))
    expected = [("one\u2028still one", "eins"), ("two", "zwei")]
    assert read_pairs(tmp_path / "a.en", tmp_path / "a.de.gz") == expected
    (tmp_path / "more").write_text("1\n2\n3\n")
    with pytest.raises(ValueError, match="a.en has 2 lines and .*more has 3"):
        read_pairs(tmp_path / "a.en", tmp_path / "more")


def test_two_files_of_pairs_are_not_taken_for_two_sides(tmp_path: Path):
    for name in ("train.tsv", "valid.tsv"):
        (tmp_path / name).write_text("one\teins\ntwo\tzwei\n")
    paths = (str(tmp_path / "train.tsv"), str(tmp_path / "valid.tsv"))
    with pytest.raises(ValueError, match=r"train.tsv and .*valid.tsv have a tab in every line.* into one file"):
        open_pairs(DataSettings("pairs", paths))
    (tmp_path / "de.txt").write_text("eins\nzwei\n")
    assert len(read_pairs(tmp_path / "train.tsv", tmp_path / "de.txt")) == 2
    with pytest.raises(ValueError, match="is a folder, and pairs come from files: name the two line-aligned files"):
        open_pairs(DataSettings("pairs", (str(tmp_path),)))


def test_pairs_are_read_from_two_columns(tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text("one\teins\ntwo\tzwei\n")
    assert read_pairs(path) == [("one", "eins"), ("two", "zwei")]
    for bad, tabs in (("two", 0), ("a\tb\tc", 2)):
        path.write_text(f"one\teins\n{bad}\n")
        with pytest.raises(ValueError, match=f"a.tsv, line 2: .* there are {tabs} tabs"):
            read_pairs(path)


def test_made_text_takes_no_paths():
    assert len(open_pairs(DataSettings(source="made_pairs"))) == 400
    for make in (lambda: open_source("made", ["a.txt"]), lambda: open_pairs(DataSettings("made_pairs", ("a.txt",)))):
        with pytest.raises(ValueError, match="makes its own text and reads no paths, and was given a.txt"):
            make()


def test_pairs_may_come_from_elsewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PAIR_SOURCES, "_values", dict(PAIR_SOURCES._values))
    PAIR_SOURCES.register("loud", lambda paths: [(path, path.upper()) for path in paths])
    assert open_pairs(DataSettings("loud", ("a", "b"))) == [("a", "A"), ("b", "B")]
    with pytest.raises(ValueError, match=r"data.source=loud gives pairs; this family reads one text: .*, text"):
        prepare(DataSettings("loud", ("a",)), 8, pairs=False)
    with pytest.raises(ValueError, match=r"data.source=text gives texts; this family reads pairs: .*loud, .*pairs"):
        open_pairs(DataSettings("text", ("a", "b")))
    with pytest.raises(ValueError, match="no source of pairs is called 'pears'; did you mean 'pairs'"):
        open_pairs(DataSettings("pears"))


@pytest.mark.parametrize(
    ("setting", "value"), [("column", "body"), ("weights", (1.0,)), ("rows", "pack"), ("store", "tokens")]
)
def test_what_means_nothing_for_pairs_is_refused(setting: str, value: object):
    wanted = replace(DataSettings(source="made_pairs", tokenizer="bytes", vocab=0), **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"data.{setting}=.*: leave data.{setting} out"):
        prepare(wanted, 99, pairs=True)
    with pytest.raises(ValueError, match="1 sources of texts were given, and pairs come from data.source"):
        prepare(DataSettings(source="made_pairs"), 99, pairs=True, sources=[Texts(["a", "b"])])


def test_where_a_source_ends_is_part_of_the_digest(tmp_path: Path):
    def prepared(last: str) -> Prepared:
        path = tmp_path / "a.tsv"
        path.write_text("".join(f"{number}\t{number}\n" for number in range(20)) + last)
        return prepare(DataSettings("pairs", (str(path),), tokenizer="bytes", vocab=0), 9, pairs=True)

    def text(found: Prepared) -> list[str]:
        sides = (found.train, found.held_out)
        return ["".join(source + target for source, target in side.pairs) for side in sides]  # type: ignore[union-attr]

    one, other = prepared("ab\tc\n"), prepared("a\tbc\n")
    assert text(one) == text(other) and one.digest != other.digest
    assert one.digest == prepared("ab\tc\n").digest


# ---- splits ----


@given(st.lists(st.text(max_size=3), min_size=2, max_size=30), st.floats(0.01, 0.99), st.integers(0, 3))
def test_no_text_is_on_both_sides(texts: list[str], share: float, seed: int):
    documents = [Document(f"{number}.txt", text) for number, text in enumerate(texts)]
    if len(set(texts)) < 2:
        return
    train, held_out = split(documents, share, seed)
    assert train
    assert held_out
    assert not {document.text for document in train} & {document.text for document in held_out}
    assert sorted([*train, *held_out], key=lambda document: int(document.name[:-4])) == documents
    assert split(documents, share, seed) == (train, held_out)


def test_the_share_held_out_is_about_what_was_asked():
    documents = [Document("x", str(number)) for number in range(2000)]
    assert 150 < len(split(documents, 0.1)[1]) < 250
    assert split(documents, 0.1, seed=0) != split(documents, 0.1, seed=1)
    assert split(documents, 0) == (documents, [])


def test_a_document_stays_on_its_side_when_others_come():
    documents = [Document("x", str(number)) for number in range(200)]
    assert set(split(documents[:100])[1]) <= set(split(documents)[1])


def test_a_single_document_is_cut_at_a_line():
    text = "0123456\n" * 100
    ((head,), (tail,)) = split([Document("book", text)])
    assert head.text + tail.text == text
    assert len(head.text) == 720
    assert (head.name, tail.name) == ("book[:720]", "book[720:]")
    train, held_out = split([Document("a", text), Document("b", text)])
    assert (len(train), len(held_out)) == (2, 1)


@given(st.text(st.sampled_from("ab \n"), min_size=2, max_size=60), st.floats(0.01, 0.99))
def test_both_parts_of_a_single_document_have_text(text: str, held_out: float):
    ((head,), (tail,)) = split([Document("x", text)], held_out)
    assert head.text + tail.text == text
    assert head.text
    assert tail.text


def test_files_that_come_split_are_used_so():
    documents = [Document(f"data/{name}", name) for name in ("README.md", "test.txt", "train.txt", "valid.txt")]
    train, held_out = split(documents)
    assert [document.name for document in train] == ["data/train.txt"]
    assert [document.name for document in held_out] == ["data/valid.txt"]
    with pytest.raises(ValueError, match="a split of its own.*data/notes.txt is no part of one"):
        split([*documents, Document("data/notes.txt", "")])
    program = [Document(f"code/{name}.py", name) for name in ("train", "val", "model")]
    assert sum(map(len, split(program))) == 3


SHARDS = ("train-00000-of-00002", "train-00001-of-00002-0a1b2c3d4e5f6789", "validation-00000-of-00001")


def test_published_shards_are_used_as_they_come():
    names = [f"data/{name}.parquet" for name in (*SHARDS, "test-00000-of-00001")]
    documents = [Document(f"{name}:{row}", f"{name} {row}") for name in names for row in range(1, 4)]
    train, held_out = split(documents)
    assert (train, held_out) == (documents[:6], documents[6:9])
    with pytest.raises(ValueError, match="data/train-1-of-2.parquet is no part of one"):
        split([*documents, Document("data/train-1-of-2.parquet:1", "x")])


@pytest.mark.parametrize("shard", ["", "-00000-of-00001"])
def test_beside_a_test_set_the_training_set_is_split(shard: str):
    test, rows = Document(f"test{shard}.csv:1", "test"), [Document(f"train{shard}.csv:{n}", str(n)) for n in range(200)]
    train, held_out = split([test, *rows], 0.2)
    assert train and 20 < len(held_out) < 60 and sorted(map(rows.index, train + held_out)) == list(range(200))
    ((head,), (tail,)) = split([test, Document(f"train{shard}.txt", "a line\n" * 50)], 0.2)
    assert (head.text, tail.text) == ("a line\n" * 40, "a line\n" * 10)


def test_what_is_left_out_is_said(tmp_path: Path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(f'{{"text": "{name} {n}"}}\n' for n in range(3)))
    settings = DataSettings(paths=(str(tmp_path),), tokenizer="bytes", vocab=0)
    given, left_out = prepare(settings, 8, pairs=False).notices
    assert "3 documents to train on and 3 held out: data.held_out=0.1 is not used" in given
    assert left_out.startswith("3 of 9 documents were left out: by their files' names they are of a test set")
    (tmp_path / "test.jsonl").unlink()
    assert prepare(settings, 8, pairs=False).notices == (given,)


@pytest.mark.parametrize(
    "form",
    ["A/wiki.{}.txt", "A/wiki_{}2.raw", "A/{}-small.jsonl", "A/wiki.{}", "{}/pos/a.txt", "A-{}/{}.txt", "{}.tokens.gz"],
)
@pytest.mark.parametrize("held", ["valid", "dev"])
def test_the_names_of_a_split_are_read_in_their_usual_forms(form: str, held: str):
    documents = [Document(form.replace("{}", word), word) for word in ("train", held, "test")]
    assert split(documents) == (documents[:1], documents[1:2])
    rows = [Document(f"{form.replace('{}', 'train')}x", str(n)) for n in range(9)]
    with pytest.raises(ValueError, match="is no part of one: name the files of the split alone"):
        split([*documents, *rows])


@pytest.mark.parametrize(
    "names",
    ["train-a-model.md test-a-model.md", "train.py val.py", "my-train.txt a.txt test.txt", "dev/train.txt dev/a.txt"],
)
def test_names_that_only_look_like_a_split_are_none(names: str):
    documents = [Document(name, name) for name in names.split()]
    assert sum(map(len, split(documents, 0.4))) == len(documents)


def test_where_it_is_unclear_which_files_are_a_split_it_is_asked():
    documents = [Document(name, name) for name in ("A/train.txt", "B/wiki.valid.txt")]
    with pytest.raises(ValueError, match="A/train.txt and B/wiki.valid.txt seem to be of a split, but differ in more"):
        split(documents)


def test_a_split_given_as_two_files_of_two_folders_is_used(tmp_path: Path):
    for folder, name in (("A", "train"), ("B", "valid")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.txt").write_text(f"{name}\n" * 9)
    paths = (str(tmp_path / "A" / "train.txt"), str(tmp_path / "B" / "valid.txt"))
    found = prepare(DataSettings(paths=paths, tokenizer="bytes", vocab=0), 8, pairs=False)
    assert found.held_out_text == b"valid\n" * 9 and found.documents == (1, 1)


def test_held_out_rows_that_are_trained_on_are_dropped_and_counted(tmp_path: Path):
    for name, numbers in (("train", range(40)), ("valid", range(35, 60)), ("test", range(9))):
        (tmp_path / f"{name}.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in numbers))
    wanted = DataSettings(paths=(str(tmp_path),), tokenizer="bytes", vocab=0, held_out=0.3)
    found = prepare(wanted, 8, pairs=False)
    assert found.documents == (40, 20)
    assert found.held_out_text == "".join(f"row {n}" for n in range(40, 60)).encode()
    assert [notice for notice in found.notices if notice.startswith("5 of the 25 documents that the files' names hold")]
    (tmp_path / "valid.jsonl").write_text('{"text": "row 1"}\n')
    with pytest.raises(ValueError, match="all 1 documents that the files' names hold out are among those to train on"):
        prepare(wanted, 8, pairs=False)


def test_what_cannot_be_split_is_refused():
    for documents in ([], [Document("a", "x")]):
        with pytest.raises(ValueError, match="no documents|a has 1 characters"):
            split(documents)
    with pytest.raises(ValueError, match=r"held_out=1.5"):
        split([Document("a", "x")], 1.5)
    with pytest.raises(ValueError, match="one source text"):
        split_pairs([("a", "b"), ("a", "c")])


def test_pairs_of_one_source_stay_together():
    pairs = [(str(number % 50), str(number)) for number in range(200)]
    train, held_out = split_pairs(pairs, 0.2)
    assert len(train) + len(held_out) == 200
    assert held_out
    assert not {source for source, _ in train} & {source for source, _ in held_out}


# ---- blocks ----


@given(st.lists(st.text(max_size=5), max_size=5))
def test_a_stream_begins_and_ends_each_document(texts: list[str]):
    tokenizer = Bytes()
    tokens = stream([Document("x", text) for text in texts], tokenizer)
    expected = [tokenizer.end]
    for text in texts:
        expected += [*tokenizer.encode(text), tokenizer.end]
    assert tokens.tolist() == expected
    assert tokens.dtype == np.int32


@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 5))
def test_evaluation_predicts_every_token_but_the_first_once(size: int, context: int, rows: int):
    tokens = np.arange(100, 100 + size, dtype=np.int32)
    blocks = Blocks(tokens, context, shift=False)
    predicted: list[int] = []
    for start in range(0, len(blocks), rows):
        batch = blocks.batch(places(3, range(start, min(start + rows, len(blocks)))))
        assert batch.labels is not None
        assert batch.tokens.dtype == torch.int64
        real = batch.labels != IGNORED
        assert torch.equal(batch.labels[real], batch.tokens[real] + 1)
        if batch.segments is None:
            assert real.all()
        else:
            assert torch.equal(batch.segments > 0, real)
        predicted += batch.labels[real].tolist()
    assert predicted == tokens[1:].tolist()


@given(st.integers(2, 80), st.integers(1, 12), st.integers(0, 5))
def test_training_rows_are_full_and_overlap_nowhere(size: int, context: int, epoch: int):
    tokens = np.arange(size, dtype=np.int32)
    blocks = Blocks(tokens, context, seed=1)
    batch = blocks.batch(places(epoch, range(len(blocks))))
    assert batch.labels is not None
    predicted = batch.labels[batch.labels != IGNORED].tolist()
    first = blocks.phase(epoch) + 1
    assert predicted == list(range(first, first + len(predicted)))
    if size > context:
        assert batch.segments is None
        assert batch.order is None
        assert size - 1 - len(predicted) < 2 * context


def test_the_phase_is_a_function_of_seed_and_epoch():
    tokens = np.arange(1000, dtype=np.int32)
    phases = [Blocks(tokens, 16, seed=1).phase(epoch) for epoch in range(400)]
    assert phases == [Blocks(tokens, 16, seed=1).phase(epoch) for epoch in range(400)]
    assert phases != [Blocks(tokens, 16, seed=2).phase(epoch) for epoch in range(400)]
    assert set(phases) == set(range(16))


def test_isolated_documents_are_numbered_and_their_last_token_predicts_the_end():
    tokens = np.asarray([0, 5, 6, 0, 7, 0, 8, 9, 0], np.int32)
    batch = Blocks(tokens, 5, shift=False, isolate=True, end=0).batch(places(0, [0, 1]))
    assert batch.labels is not None
    assert batch.order is not None
    assert batch.segments is not None
    assert batch.tokens[0].tolist() == [0, 5, 6, 0, 7]
    assert batch.labels[0].tolist() == [5, 6, 0, 7, 0]
    assert batch.segments[0].tolist() == [1, 1, 1, 2, 2]
    assert batch.order[0].tolist() == [0, 1, 2, 0, 1]
    assert batch.labels[1].tolist() == [8, 9, 0, IGNORED, IGNORED]
    assert batch.segments[1].tolist() == [1, 1, 1, 0, 0]
    assert batch.samples == (0, 1)


def test_blocks_refuse_what_they_cannot_cut():
    tokens = np.arange(10, dtype=np.int32)
    with pytest.raises(ValueError, match="at least 2 tokens"):
        Blocks(tokens[:1], 4)
    with pytest.raises(ValueError, match="at least 2 tokens"):
        Blocks(tokens.astype(np.float32), 4)
    with pytest.raises(ValueError, match="context=0"):
        Blocks(tokens, 0)
    with pytest.raises(ValueError, match="needs end"):
        Blocks(tokens, 4, isolate=True)
    for indices in ([], [-1], [len(Blocks(tokens, 4))]):
        with pytest.raises(ValueError, match="samples"):
            Blocks(tokens, 4).batch(places(0, indices))


def test_pairs_become_source_and_shifted_target():
    pairs = Pairs([("ab", "x"), ("c", "yz"), ("far too long", "w"), ("v", "")], Bytes(), 4)
    assert (len(pairs), pairs.dropped) == (3, 1)
    assert pairs.pairs[2] == ("v", "")
    batch = pairs.batch(places(0, [0, 1, 2]))
    spelt, end = Bytes().encode, Bytes().end
    x, y, z = spelt("xyz")
    sources = [[*spelt("ab"), end], [*spelt("c"), end, 0], [*spelt("v"), end, 0]]
    assert batch.labels is not None
    assert batch.segments is not None
    assert batch.source is not None
    assert batch.source.segments is not None
    assert batch.segments.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert (batch.tokens * batch.segments).tolist() == [[end, x, 0], [end, y, z], [end, 0, 0]]
    assert batch.labels.tolist() == [[x, end, IGNORED], [y, z, end], [end, IGNORED, IGNORED]]
    assert batch.source.segments.tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert (batch.source.tokens * batch.source.segments).tolist() == sources
    assert batch.rows(1, 2).source is not None
    with pytest.raises(ValueError, match="none of 1 pairs fits into context=2"):
        Pairs([("abc", "d")], Bytes(), 2)


def test_a_batch_is_sliced_moved_and_checked():
    batch = Blocks(np.arange(20, dtype=np.int32), 4, shift=False, isolate=True, end=7).batch(places(0, [0, 1, 2]))
    part = batch.rows(1, 9).to("cpu")
    assert part.samples == (1, 2)
    assert torch.equal(part.tokens, batch.tokens[1:])
    assert part.order is not None
    assert batch.order is not None
    assert torch.equal(part.order, batch.order[1:])
    for start, stop in ((3, 4), (1, 1), (-1, 2)):
        with pytest.raises(ValueError, match="of a batch of 3 are none"):
            batch.rows(start, stop)
    with pytest.raises(ValueError, match=r"labels \[1, 3\] need the shape"):
        Batch(torch.zeros(1, 2, dtype=torch.int64), labels=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="one to one"):
        Batch(torch.zeros(1, 2, dtype=torch.int64), source=Batch(torch.zeros(2, 2, dtype=torch.int64)))
    with pytest.raises(ValueError, match="2 sample numbers for 1 rows"):
        Batch(torch.zeros(1, 2, dtype=torch.int64), samples=(1, 2))


# ---- order ----


@given(st.integers(1, 300), st.integers(0, 2**70), st.integers(0, 3))
def test_each_index_is_read_exactly_once_an_epoch(size: int, seed: int, epoch: int):
    found = [place(position, size, seed) for position in range(epoch * size, (epoch + 1) * size)]
    assert {number for number, _ in found} == {epoch}
    assert sorted(index for _, index in found) == list(range(size))


def test_the_order_changes_with_epoch_and_seed_and_favours_nothing():
    def order(epoch: int, seed: int) -> tuple[int, ...]:
        return tuple(place(epoch * 5 + number, 5, seed)[1] for number in range(5))

    assert order(0, 1) == order(0, 1)
    counts = Counter(order(epoch, seed) for epoch in range(60) for seed in range(60))
    assert len(counts) == 120  # every permutation of five
    assert max(counts.values()) < 2.5 * 3600 / 120
    large = [place(position, 1000, 0)[1] for position in range(1000)]
    assert abs(np.corrcoef(large, range(1000))[0, 1]) < 0.1


def test_a_position_before_the_first_is_refused():
    with pytest.raises(ValueError, match="position -1 among 5"):
        place(-1, 5, 0)
    with pytest.raises(ValueError, match="position 0 among 0"):
        place(0, 0, 0)
