"""The token store: what goes in comes out, what changed is refused, and a run finds its own again."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, good, weft
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.data import (
    Blocks,
    Bytes,
    DataSettings,
    Document,
    MadeOf,
    Mixture,
    Packed,
    Store,
    Texts,
    is_store,
    open_store,
    prepare,
    remove_store,
    tokenise,
    train_tokenizer,
    trained_before,
)
from weft.data.names import Side
from weft.data.progress import lines
from weft.data.split import decide, survey
from weft.data.store import Part
from weft.data.tokenise import write_store
from weft.files import DamagedFile

WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MADE = MadeOf({"seed": 0}, "abc")
TRAIN, HELD_OUT = Side.TRAIN, Side.HELD_OUT
spelt, END = Bytes().encode, Bytes().end
TEXTS = [f"<{n} {'0123456789 ' * n}>" for n in range(30)]


def made(folder: Path, *sources: Sequence[tuple[Side, str]]) -> Store:
    """A store of texts with their sides, in bytes."""
    documents = [[(side, Document("x", text)) for side, text in source] for source in sources]
    write_store(folder, Bytes(), documents, MADE)
    return open_store(folder, MADE)


def prepared(folder: Path | None = None, **changes):
    """Thirty texts, their tokens kept in a folder."""
    wanted = DataSettings(store="" if folder is None else str(folder), tokenizer="bytes", vocab=0, held_out=0.3)
    return prepare(replace(wanted, **changes), 16, pairs=False, sources=[Texts(TEXTS)])


# ---- round trip ----


@given(
    st.lists(st.lists(st.tuples(st.sampled_from([TRAIN, HELD_OUT]), WRITTEN), max_size=6), min_size=1, max_size=3),
    st.integers(1, 40),
)
def test_what_is_stored_comes_back(tmp_path_factory, sources: list[list[tuple[Side, str]]], batch: int):
    folder = tmp_path_factory.mktemp("store") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenise, "BATCH", batch)
        store = made(folder, *sources)
    held = [text for source in sources for side, text in source if side == HELD_OUT]
    trained = [[text for side, text in source if side == TRAIN] for source in sources]
    assert len(store.train) == len(sources)
    for part, texts in zip((*store.train, store.held_out), (*trained, held), strict=True):
        assert part.documents == len(texts)
        assert part.tokens.tolist() == [END, *(number for text in texts for number in (*spelt(text), END))]
        found = [part.tokens[a : b - 1].tolist() for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)]
        assert found == [spelt(text) for text in texts]
        assert part.tokens.dtype == np.uint16
    assert store.text.read_bytes() == "".join(held).encode()
    assert store.held_out_bytes == len("".join(held).encode())
    assert store.verified and isinstance(store.tokenizer, Bytes)


class Wide(Bytes):
    """Says it has so many ids."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self._most = vocab

    @property
    def vocab(self) -> int:
        return self._most


def test_ids_take_two_bytes_where_they_fit_and_four_where_not(tmp_path: Path):
    for vocab, kind in ((1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)):
        write_store(tmp_path / str(vocab), Wide(vocab), [[(TRAIN, Document("x", "abc"))]], MADE)
        (part,) = open_store(tmp_path / str(vocab)).train
        assert part.tokens.dtype == kind and part.tokens.tolist() == [END, *spelt("abc"), END]
    with pytest.raises(ValueError, match=f"ids {min(spelt('abc'))} to {max(spelt('abc'))} and says it has 98"):
        write_store(tmp_path / "bad", Wide(98), [[(TRAIN, Document("x", "abc"))]], MADE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["65536", "65537"]


def test_a_document_that_cannot_be_spelt_is_named_and_nothing_is_left(tmp_path: Path):
    documents = [(TRAIN, Document("good", "ab")), (TRAIN, Document("bad", "axb"))]
    with pytest.raises(ValueError, match=r"bad: the character 'x'"):
        write_store(tmp_path / "tokens", train_tokenizer("characters", ["ab"]), [documents], MADE)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def full_at_last(file: Any) -> None:  # a network's disk says so when a file is closed, and it is closed
        file.file.close()
        full()

    for method, fails in (("write", full), ("close", full_at_last)):
        with monkeypatch.context() as patch:
            patch.setattr(f"weft.data.store._File.{method}", fails)
            with pytest.raises(OSError, match=r"No space left on device: .*/tokens'"):
                write_store(tmp_path / "tokens", Bytes(), [[(TRAIN, Document("x", "abc"))]], MADE)
        assert not list(tmp_path.iterdir())


# ---- refusals ----


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store; read it only."""
    folder = tmp_path_factory.mktemp("whole") / "tokens"
    made(folder, [(TRAIN, "one"), (HELD_OUT, "two"), (TRAIN, "three")])
    return folder


NAMES = ("store.json", "tokenizer.json", "train-0.tokens", "train-0.offsets", *(
    f"held-out.{kind}" for kind in ("tokens", "offsets", "txt")
))  # fmt: skip


@settings(max_examples=150)
@given(st.sampled_from(NAMES), st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_is_refused_naming_the_file(tmp_path_factory, whole: Path, name: str, at: int, flip: int):
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("flip") / "tokens"))
    data = bytearray((folder / name).read_bytes())
    data[at % len(data)] ^= flip
    (folder / name).write_bytes(data)
    with pytest.raises(DamagedFile, match=name):
        open_store(folder, MADE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verify", [None, False])
def test_a_file_cut_short_or_long_or_gone_is_refused_naming_it(
    name: str, verify: bool | None, whole: Path, tmp_path: Path
):
    folder = Path(shutil.copytree(whole, tmp_path / "tokens"))
    data = (folder / name).read_bytes()
    for wrong in (data[:-1], b"", data + b"\0"):
        (folder / name).write_bytes(wrong)
        with pytest.raises(DamagedFile, match=name):
            open_store(folder, MADE, verify=verify)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        open_store(folder, MADE, verify=verify)


def test_a_store_that_leads_elsewhere_is_refused(whole: Path, tmp_path: Path):
    from weft.data import store

    folder = Path(shutil.copytree(whole, tmp_path / "tokens"))
    facts = json.loads((folder / "store.json").read_text())
    del facts["sha256"]
    facts["files"]["../../x"] = facts["files"].pop("held-out.txt")
    (folder / "store.json").write_bytes(store._dump(facts | {"sha256": store.digest(store._dump(facts))}))
    with pytest.raises(DamagedFile, match=r"store.json describes a store of other files"):
        open_store(folder)


def test_a_store_of_other_things_is_refused_naming_them(whole: Path):
    was = json.loads((whole / "store.json").read_text())["made_of"]
    for wanted, message in (
        (MadeOf({"seed": 1}, "abc"), "the setting data.seed was 0 and is 1 now. Give the same"),
        (MadeOf({"seed": 0, "vocab": 9}, "abc"), "the setting data.vocab was not given and is 9 now. Give the same"),
        (MadeOf({"seed": 0}, "abd"), "the source is another .sha256 abc…, now abd…"),
        (MadeOf({"seed": 0}, "abc", "f" * 64), f"the tokenizer is another .sha256 {was['tokenizer'][:12]}…, now ffff"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            open_store(whole, wanted)
        assert str(caught.value).count(" was ") + str(caught.value).count(" is another ") == 1  # what changed, no more
    assert open_store(whole, MadeOf({"seed": 0}, "abc", was["tokenizer"])).train


def test_a_store_is_removed_and_what_lies_beside_it_stays(whole: Path, tmp_path: Path):
    folder = Path(shutil.copytree(whole, tmp_path / "tokens"))
    mine = ["mine.offsets", "mine.tokens", "mine.txt", "train-1.tokens"]
    for name in mine:
        (folder / name).write_text("mine")
    remove_store(folder)
    assert sorted(path.name for path in folder.iterdir()) == mine and not is_store(folder)
    remove_store(folder)
    for damage in (b"", b"{}", (whole / "store.json").read_bytes()):
        folder = Path(shutil.copytree(whole, tmp_path / "other"))
        (folder / "store.json").write_bytes(damage)
        remove_store(folder)
        assert not folder.exists()


# ---- preparing with one ----


def test_a_second_run_finds_the_tokens_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = prepared(tmp_path / "tokens", tokenizer="bpe", vocab=300)
    for name in ("write_store", "train_tokenizer"):
        monkeypatch.setattr(import_module("weft.data.prepare"), name, None)
    second = prepared(tmp_path / "tokens", tokenizer="bpe", vocab=300)
    assert second.digest == first.digest and second.held_out_text == first.held_out_text
    assert second.tokenizer.encode("text") == first.tokenizer.encode("text")
    third = prepare(
        DataSettings(store=str(tmp_path / "tokens"), held_out=0.3), 16, pairs=False, sources=[Texts(TEXTS)],
        tokenizer=first.tokenizer,
    )  # fmt: skip
    assert third.digest == first.digest


@pytest.mark.parametrize("kind, vocab", [("bpe", 300), ("bytes", 0), ("characters", 0)])
def test_a_tokenizer_read_back_is_the_same_tokenizer(kind: str, vocab: int, tmp_path: Path):
    first = prepared(tokenizer=kind, vocab=vocab).keep(tmp_path / "tokens")
    assert first.store is not None
    again = open_store(tmp_path / "tokens").tokenizer
    kept = prepare(
        DataSettings(held_out=0.3), 16, pairs=False, sources=[Texts(TEXTS)], tokenizer=again, kept=tmp_path / "tokens"
    )
    assert kept.digest == first.digest and kept.scratch is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": 0.5}, "the setting data.held_out was 0.3 and is 0.5 now"),
        ({"seed": 1}, "the setting data.seed was 0 and is 1 now"),
        ({"tokenizer": "characters"}, "the setting data.tokenizer was bytes and is characters now"),
        ({"vocab": 300}, "the setting data.vocab was 0 and is 300 now"),
    ],
)
def test_another_setting_does_not_find_them(changes: dict[str, object], message: str, tmp_path: Path):
    prepared(tmp_path / "tokens")
    with pytest.raises(ValueError, match=f"the data are not those of the token store .*{message}"):
        prepared(tmp_path / "tokens", **changes)


def test_other_text_does_not_find_them_either(tmp_path: Path):
    wanted = DataSettings(store=str(tmp_path / "tokens"), tokenizer="bytes", vocab=0)
    prepare(wanted, 16, pairs=False, sources=[Texts(TEXTS)])
    with pytest.raises(ValueError, match=r"the source is another \(sha256 \w{12}…, now \w{12}…\)"):
        prepare(wanted, 16, pairs=False, sources=[Texts([*TEXTS[:-1], "other"])])
    with pytest.raises(ValueError, match="the tokenizer is another"):
        prepare(wanted, 16, pairs=False, sources=[Texts(TEXTS)], tokenizer=train_tokenizer("characters", TEXTS))


def test_rows_and_context_do_not_change_the_tokens(tmp_path: Path):
    digests = {prepared(tmp_path / "tokens", rows=rows).digest for rows in ("stream", "isolate", "pack")}
    assert len(digests) == 3


def test_a_folder_of_other_things_is_not_written_over(tmp_path: Path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match=r"is there and is no token store: choose another folder"):
        prepared(tmp_path)


def test_tokens_without_a_place_go_when_they_are_not_kept(tmp_path: Path):
    for keep in (False, True):
        found = prepare(
            DataSettings(tokenizer="bytes", vocab=0), 16, pairs=False, sources=[Texts(TEXTS)], scratch=tmp_path
        )
        assert [path.name[:8] for path in tmp_path.iterdir()] == [".tokens."]
        found = found.keep(tmp_path / "tokens") if keep else found
        found.close()
        assert [path.name for path in tmp_path.iterdir()] == ["tokens"] * keep
        if keep:
            assert found.held_out_text and is_store(tmp_path / "tokens")
    with pytest.raises(ValueError, match="texts:0 has 1 characters"):
        prepare(DataSettings(), 16, pairs=False, sources=[Texts(["a"])], scratch=tmp_path)
    with pytest.raises(ValueError, match="vocab=20 is too small"):
        prepare(DataSettings(vocab=20), 16, pairs=False, sources=[Texts(TEXTS)], scratch=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_tokens_are_kept_on_another_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    found = prepared()
    monkeypatch.setattr("weft.data.prepared.os.replace", other_disk)
    kept = found.keep(tmp_path / "tokens")
    assert kept.store is not None and open_store(tmp_path / "tokens").digests == kept.store.digests
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_documents_are_read_as_a_stream_and_never_all_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenise, "BATCH", 100)
    alive, most = set[int](), 0

    class Counted(str):
        def __new__(cls, text: str):
            nonlocal most
            found = super().__new__(cls, text)
            alive.add(id(found))
            most = max(most, len(alive))
            return found

        def __del__(self) -> None:
            alive.discard(id(self))

    class Many:
        def documents(self):
            for number in range(500):
                yield Document(f"{number}", Counted(f"document {number}"))

    found = prepare(DataSettings(tokenizer="bytes", vocab=0), 16, pairs=False, sources=[Many()])
    assert sum(found.documents) == 500
    assert most < 60


def test_progress_is_told():
    said: list[str] = []
    advance = lines(said.append, every=-1.0)
    advance("tokenised", 2_000_000, 8_000_000)
    assert said and said[0].startswith("tokenised 2.0 of 8.0 million characters, ")


# ---- several sources ----


def folders(tmp_path: Path) -> tuple[str, ...]:
    for name, count in (("a", 40), ("b", 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number} " * 9)
    return str(tmp_path / "a"), str(tmp_path / "b")


@pytest.mark.parametrize("rows", ["stream", "isolate", "pack"])
def test_weights_make_a_source_of_each_path(rows: str, tmp_path: Path):
    paths = folders(tmp_path)
    wanted = DataSettings(paths=paths, weights=(3, 1), tokenizer="bytes", vocab=0, rows=rows)  # type: ignore[arg-type]
    said: list[str] = []
    found = prepare(wanted, 32, pairs=False, say=said.append)
    assert isinstance(found.train, Mixture) and found.train.block == 4
    times = ", ".join(f"{epochs:.2f}" for epochs in found.train.epochs(len(found.train)))
    assert f"by their weights, the sources are read {times} times in {len(found.train)} rows" in said[-1]
    places = [found.train.place(position, seed=1) for position in range(40)]
    sources = [found.train.source(place.sample) for place in places]
    assert all(sorted(sources[at : at + 4]) == [0, 0, 0, 1] for at in range(37))
    texts = [found.tokenizer.decode(row.tolist()) for row in found.train.batch(places).tokens]
    assert all(("ab"[source]) in text and "ba"[source] not in text for source, text in zip(sources, texts, strict=True))
    together = prepare(DataSettings(paths=paths, tokenizer="bytes", vocab=0), 32, pairs=False)
    assert b"a" in found.held_out_text and b"b" in found.held_out_text and together.digest != found.digest
    assert isinstance(found.held_out, Packed if rows == "pack" else Blocks)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path):
    paths = folders(tmp_path)
    for weights, message in (
        ((1.0,), "1 data.weights and 2 paths"),
        ((1.0, 0.0), "weights 1.0, 0.0: each is above 0"),
        ((1.0, 1e-9), "round them"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(DataSettings(paths=paths, weights=weights), 32, pairs=False)
    with pytest.raises(ValueError, match="2 sources and 0 data.weights"):
        prepare(DataSettings(), 32, pairs=False, sources=[Texts(TEXTS), Texts(TEXTS)])


def both_sides(wanted: DataSettings) -> tuple[set[str], set[str]]:
    """The texts that are trained on, of all sources, and those that are held out."""
    store = prepare(wanted, 32, pairs=False).store
    assert store is not None

    def texts(part: Part) -> set[str]:
        ends = zip(part.offsets[:-1], part.offsets[1:], strict=True)
        return {Bytes().decode([int(i) for i in part.tokens[a : b - 1]]) for a, b in ends}

    return set().union(*map(texts, store.train)), texts(store.held_out)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("held_out", [0.02, 0.3])
def test_sources_of_a_mixture_hold_out_the_same_texts(seed: int, held_out: float, tmp_path: Path):
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, numbers in ((a, range(30)), (b, range(27, 31))):
        folder.mkdir()
        for n in numbers:
            (folder / f"{n}.txt").write_text(f"text {n}\n" * 9)
    paths = (str(a), str(b))
    wanted = DataSettings(paths=paths, weights=(1, 2), tokenizer="bytes", vocab=0, held_out=held_out, seed=seed)
    train, held = both_sides(wanted)
    assert train and held and not train & held and len(train | held) == 31


@pytest.mark.parametrize("seed", range(6))
def test_a_text_that_is_a_source_and_in_another_is_not_cut(seed: int, tmp_path: Path):
    (tmp_path / "all").mkdir()
    for n in range(20):
        (tmp_path / "all" / f"{n}.txt").write_text(f"book {n}\n" * 200)
    paths = (str(tmp_path / "all"), str(tmp_path / "all" / "3.txt"))
    wanted = DataSettings(paths=paths, weights=(1, 1), tokenizer="bytes", vocab=0, held_out=0.3, seed=seed)
    try:
        train, held = both_sides(wanted)
    except ValueError as error:  # the book is held out, and is all that the second source has
        assert "nothing is left to train on of the source that begins with" in str(error)
        return
    assert {len(text.split("\n")) for text in train | held} == {201} and not train & held


# ---- a model that is trained further ----


def test_held_out_text_that_the_parent_trained_on_is_counted(tmp_path: Path):
    book, other = "".join(f"line {n} of it\n" for n in range(400)), "".join(f"{n}\n" for n in range(900))
    parent = made(tmp_path / "a", [(TRAIN, book[:4000]), (HELD_OUT, book[4000:]), (TRAIN, "short")])
    for number, (documents, count) in enumerate(
        [
            ([(HELD_OUT, book), (TRAIN, other)], 1),  # whole, where its beginning was trained on
            ([(HELD_OUT, "short"), (HELD_OUT, "shor"), (HELD_OUT, book[:4000])], 2),
            ([(HELD_OUT, book[4000:]), (HELD_OUT, other), (TRAIN, "short")], 0),
        ]
    ):
        assert trained_before(made(tmp_path / f"b{number}", documents), parent) == count
    whole = made(tmp_path / "c", [(TRAIN, book)])
    assert trained_before(parent, whole) == 1
    write_store(tmp_path / "d", train_tokenizer("bpe", [book], 300), [[(HELD_OUT, Document("x", book))]], MADE)
    with pytest.raises(ValueError, match="are of different tokenizers, so their texts are not compared"):
        trained_before(open_store(tmp_path / "d"), parent)


# ---- the split, in one pass that keeps no text ----


@given(st.lists(WRITTEN, min_size=2, max_size=12), st.floats(0.01, 0.99))
def test_sides_are_what_the_shares_say(texts: list[str], held_out: float):
    if len(set(texts)) < 2:
        return
    shares = {t: int.from_bytes(hashlib.sha256(f"3:{t}".encode()).digest()[:8], "big") / 2**64 for t in texts}
    held = {text for text, share in shares.items() if share < held_out} or {min(shares, key=lambda t: shares[t])}
    if len(held) == len(shares):
        held.remove(max(shares, key=lambda t: shares[t]))
    (sides,) = decide([survey([Document("x", text) for text in texts], seed=3)], held_out)
    assert [side == HELD_OUT for side in sides.of] == [text in held for text in texts]
    assert not sides.count(Side.LEFT_OUT)


# ---- on the command line ----


def rows_of(path: Path, count: int = 30) -> Path:
    path.write_text("".join(json.dumps({"n": n, "body": f"the {n}th line " * 9}) + "\n" for n in range(count)))
    return path


def test_a_run_keeps_its_tokens_and_finds_them_again(tmp_path: Path):
    data, out = rows_of(tmp_path / "a.jsonl"), tmp_path / "run"
    (out / ".tokens.killed.writing").mkdir(parents=True)  # what a killed process left
    words = ("train", "llama", "--data", data, "--out", out, *TINY, "--set", "data.column=body")
    good(*words, "--overwrite")
    assert is_store(out / "tokens") and not list(out.glob(".*"))
    tokens = out / "tokens" / "train-0.tokens"
    before = tokens.read_bytes()
    good(*words, "--resume")
    assert tokens.read_bytes() == before
    remove_store(out / "tokens")
    good(*words, "--resume")
    assert tokens.read_bytes() == before
    shutil.copytree(out, tmp_path / "copy")
    (tmp_path / "copy" / "tokens" / "train-0.tokens").write_bytes(b"cut short")
    assert "train-0.tokens has 9 bytes" in weft(*words[:5], tmp_path / "copy", *words[6:], "--resume").err
    with data.open("a") as file:
        file.write('{"body": "one more"}\n')
    assert "the source is another (sha256" in weft(*words, "--resume").err
    good(*words, "--overwrite")
    assert tokens.read_bytes() != before
    assert good("eval", out, "--data", data, "--column", "body", "--json").data["bytes"] > 1000
    done = weft("eval", out, "--data", data)
    assert (
        done.status == 1
        and "has no column 'text': choose one (data.column, --column); there are: 'n', 'body'" in done.err
    )


def test_several_runs_share_a_store(tmp_path: Path):
    data = rows_of(tmp_path / "a.jsonl")
    store = ("--set", f"data.store={tmp_path / 'tokens'}", "--set", "data.column=body", "--set", "data.rows=pack")
    for name in ("a", "b"):
        good("train", "llama", "--data", data, "--out", tmp_path / name, *TINY, *store)
        assert not (tmp_path / name / "tokens").exists()
    good("train", "llama", "--data", data, "--out", tmp_path / "a", *TINY, *store, "--overwrite")
    assert is_store(tmp_path / "tokens")
    done = weft("train", "llama", "--data", data, "--out", tmp_path / "c", *TINY, *store, "--set", "data.vocab=290")
    assert done.status == 1 and "the setting data.vocab was 384 and is 290 now" in done.err
    assert not (tmp_path / "c").exists()


def test_sources_are_mixed_on_the_command_line(tmp_path: Path):
    paths = [word for path in folders(tmp_path) for word in ("--data", path)]
    good("train", "llama", *paths, "--out", tmp_path / "run", *TINY, "--set", "data.weights=3,1")
    good("train", "llama", *paths, "--out", tmp_path / "run", *TINY, "--set", "data.weights=3,1", "--resume")
    done = weft("train", "llama", *paths, "--out", tmp_path / "other", *TINY, "--set", "data.weights=3,1,2")
    assert done.status == 1 and "3 data.weights and 2 paths" in done.err
