"""What the command line says to those who got something wrong: one message, with the way out, and nothing touched."""

import errno
import gzip
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import SIX, TINY, good, snapshot, weft

pytestmark = pytest.mark.usefixtures("no_picture")


def write_bad_files(folder: Path) -> None:
    packed = gzip.compress(b"some text to read\n" * 500)
    pairs = "a cat\teine Katze\na dog\tein Hund\n"
    files = {
        "empty.txt": b"",
        "latin.txt": "caf\xe9".encode("latin-1"),
        "wide.txt": "hello".encode("utf-16"),
        "cut.txt.gz": packed[: len(packed) // 2],
        "plain.gz": b"plain",
        "good.txt": b"the quick brown fox\n" * 20,
        "three.txt": b"1\n2\n3\n",
        "one.txt": b"1\n",
        "tabs.tsv": f"{pairs}a cow eine Kuh\n".encode(),
        "same.tsv": b"a\tb\na\tc\n",
        "bare.tsv": b"a\t\nb\t\n",
        "misspelt.py": b"from weft.training.settings import TrainSettings\n\n\ntrain = TrainSettings(stepz=3)\n",
        "broken.py": b"import weft\nrecipe = Recipe(name='a'\nother = 3\n",
        "long.tsv": b"".join(b"%d%s\tb\n" % (n, b"xyz" * 99) for n in range(9)),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "hollow").mkdir()


TRAIN, PAIRS = "train llama --debug --out OUT", "train transformer --debug --out OUT"
BAD = [
    # data
    ("train llama --out OUT", "no data: name files, folders or patterns with --data"),
    (f"{TRAIN} --data HERE/nope.txt", "there is no file or folder HERE/nope.txt"),
    (f"{TRAIN} --data HERE/*.nope", "no text files match HERE/*.nope"),
    (f"{TRAIN} --data HERE/hollow", "no text files match HERE/hollow"),
    (f"{TRAIN} --data HERE/empty.txt", "HERE/empty.txt is empty"),
    (f"{TRAIN} --data HERE/latin.txt", "HERE/latin.txt is not UTF-8: byte 3 is 0xe9"),
    (f"{TRAIN} --data HERE/wide.txt", "byte 0 is 0xff, it looks like UTF-16"),
    (f"{TRAIN} --data HERE/cut.txt.gz", "HERE/cut.txt.gz is not a whole .gz file"),
    (f"{TRAIN} --data HERE/plain.gz", "HERE/plain.gz is not a whole .gz file"),
    (f"{TRAIN} --data HERE/good.txt --set data.held_out=0", "held_out=0.0 leaves nothing to evaluate on"),
    (f"{TRAIN} --set data.source=pairs", "this family reads one text"),
    (f"{PAIRS} --data HERE/three.txt --data HERE/one.txt", "three.txt has 3 lines and HERE/one.txt has 1"),
    (f"{PAIRS} --data HERE/tabs.tsv", "HERE/tabs.tsv, line 3: source, one tab, target; there are 0 tabs"),
    (f"{PAIRS} --data HERE/same.tsv", "2 pairs with one source text cannot be split"),
    (f"{PAIRS} --data HERE/bare.tsv", "held-out pairs have empty targets"),
    (f"{PAIRS} --data HERE/long.tsv --set data.tokenizer=bytes", "fits into context=64"),
    (f"{PAIRS} --data a --data b --data c", "3 paths were given"),
    ("eval RUN --data HERE/nope.txt", "there is no file or folder HERE/nope.txt"),
    ("eval RUN --data HERE/empty.txt", "HERE/empty.txt is empty"),
    ("eval RUN --data HERE/latin.txt", "byte 3 is 0xe9"),
    ("eval PAIRED --data HERE/bare.tsv --rows pack", "data.rows=pack, but each pair has rows of its own"),
    (f"{TRAIN} --data HERE/good.txt --set data.source=made", "reads no paths, and was given HERE/good.txt"),
    (f"{TRAIN} --set data.tokenizer=HERE/hollow", "HERE/hollow is no folder with a tokenizer.json"),
    # a dry run refuses what the run would
    (f"{TRAIN} --data HERE/nope.txt --dry-run", "there is no file or folder HERE/nope.txt"),
    (f"{TRAIN} --data HERE/good.txt --set data.held_out=7 --dry-run", "held_out=7.0 is a share of the texts"),
    (f"{TRAIN} --data HERE/good.txt --set data.vocab=20 --dry-run", "vocab=20 is too small"),
    (f"{TRAIN} --data HERE/good.txt --set train.steps=0 --dry-run", "above 0; given: nothing"),
    (f"{PAIRS} --data HERE/hollow --dry-run", "HERE/hollow"),
    (f"{PAIRS} --set data.rows=pack --dry-run", "data.rows=pack, but each pair has rows of its own"),
    # a recipe of one's own
    ("train HERE/misspelt.py --out OUT", "HERE/misspelt.py, line 4: TypeError:"),
    ("train HERE/misspelt.py --out OUT", "unexpected keyword argument 'stepz'"),
    ("train HERE/broken.py --out OUT", "HERE/broken.py, line 2: "),
    # names and settings
    ("train lama --out OUT", "no recipe, no family and no model's folder is called 'lama'; did you mean 'llama'?"),
    ("train shakespear_char --out OUT", "did you mean 'shakespeare_char'?"),
    ("show pythn_stdlib", "did you mean 'python_stdlib'?"),
    (f"{TRAIN} --set train.rat=1", "no setting 'rat'; did you mean 'rate'?"),
    (f"{TRAIN} --set trian.rate=1", "did you mean train.rate?"),
    (
        f"{TRAIN} --set steps=1",
        "did you mean train.steps? settings are addressed as model.*, objective.*, data.*, train.*",
    ),
    (f"{TRAIN} --set positon=rope", "did you mean model.position?"),
    (f"{TRAIN} --set vocab=9", "did you mean data.vocab?"),
    (f"{TRAIN} --set data=9", "unknown setting 'data'; did you mean data.…?"),
    (f"{TRAIN} --set train.steps", "write it as a.b=c"),
    (f"{TRAIN} --set train.steps=", "train.steps=: the value is a whole number"),
    (f"{TRAIN} --set train.steps=1.5", "train.steps=1.5: the value is a whole number"),
    (f"{TRAIN} --set train.steps=0", "length is one of steps, tokens, epochs and minutes, above 0; given: nothing"),
    (f"{TRAIN} --set train.rate=nan", "a finite number"),
    (f"{TRAIN} --set train.schedule=linaer", "did you mean 'linear'?"),
    (f"{TRAIN} --set train.micro_batches=3", "8 rows does not split into 3"),
    (f"{TRAIN} --set model.tied=perhaps", "true or false"),
    (f"{TRAIN} --set model.size=hug", "has no size 'hug'"),
    (f"{TRAIN} --set model.heads=5", "5 heads do not divide the width 48"),
    (
        f"{TRAIN} --set model.vocab=300 --set data.tokenizer=bytes",
        "model.vocab=300, but the tokenizer has 384 ids: leave",
    ),
    (
        f"{TRAIN} --set data.tokenizer=bytes --set model.vocab=200",
        "model.vocab=200, but the tokenizer has 384 ids: leave",
    ),
    (f"{TRAIN} --set model.kv_heads=3", "3 key/value heads do not divide 4 heads"),
    (f"{TRAIN} --set model.width=0", "width = 0, but it must be between 1 and"),
    (f"{TRAIN} --set model.width=1e30", "but it must be between 1 and"),
    (f"{TRAIN} --set model.depth=1e12", "depth = 1000000000000"),
    (f"{TRAIN} --set model.dropout=1", "dropout = 1.0"),
    (f"{TRAIN} --set model.position=rop", "did you mean 'rope'?"),
    (f"{TRAIN} --set model.position.theta=1", "name a scheme before its settings"),
    (f"{TRAIN} --set data.source=tex", "did you mean 'text'?"),
    (f"{TRAIN} --set data.tokenizer=byts", "did you mean 'bytes'?"),
    (f"{TRAIN} --set data.vocab=20", "vocab=20 is too small"),
    (f"{TRAIN} --set data.vocab=1e12", "data.vocab=1000000000000, but it must be between"),
    # folders
    ("train llama --debug --out RUN", "is not empty: go on with --resume, discard it with --overwrite"),
    ("train llama --debug --out RUN --resume --overwrite", "choose one"),
    ("train llama --debug --out HERE/good.txt", "the output HERE/good.txt is a file: choose a folder"),
    ("train llama --debug --out HERE/good.txt/x", "cannot write the output HERE/good.txt/x"),
    ("eval HERE/nope --data HERE/good.txt", "HERE/nope is not a folder"),
    ("generate HERE/hollow --prompt a", "HERE/hollow/config.json is missing"),
    ("show HERE/hollow", "HERE/hollow/config.json is missing"),
    # drawing
    ("generate RUN --prompt a --tokens 0", "tokens = 0, but it must be at least 1"),
    ("generate RUN --prompt a --beams 0", "beams = 0, but it must be at least 1"),
    ("generate RUN --prompt a --beams 0 --json", "beams = 0, but it must be at least 1"),
    (
        "generate RUN --prompt a --length-penalty 0.8",
        "--length-penalty 0.8 belongs to a search: give --beams 5, say, too",
    ),
    ("generate RUN --prompt a --early-stopping always --json", "--early-stopping always belongs to a search"),
    (
        "generate RUN --prompt a --beams 2 --early-stopping soon",
        "early_stopping = 'soon', but it is one of never, likely",
    ),
    (
        "generate RUN --prompt a --beams 2 --length-penalty -1",
        "length_penalty = -1.0, but it must be finite and at least 0",
    ),
    ("generate RUN --prompt a --beams 0 --length-penalty 1", "beams = 0, but it must be at least 1"),
    ("generate RUN --prompt a --chat", "this model's folder has no chat template"),
    ("generate RUN --prompt a --beams 3 --temperature 0.5 --top-k 4", "beams = 3 search for the likeliest row"),
    ("generate RUN --prompt a --beams 3 --seed 1 --json", "leave out the beams, or temperature, top_k, top_p and seed"),
    ("generate RUN --prompt a --temperature -1", "temperature = -1.0"),
    ("generate RUN --prompt a --temperature nan", "temperature = nan"),
    ("generate RUN --prompt a --top-p 0", "top_p = 0.0"),
    ("generate RUN --prompt a --top-k -1", "top_k = -1"),
    (f"generate RUN --prompt {'x' * 70}", "has 71 tokens, the context 64: shorten it"),
]


@pytest.mark.parametrize("line, fragment", BAD, ids=[line for line, _ in BAD])
def test_what_is_wrong_is_said_in_one_message(
    line: str, fragment: str, tmp_path: Path, trained: Path, translator: Path
):
    write_bad_files(tmp_path)
    places = {"HERE": str(tmp_path), "OUT": str(tmp_path / "out"), "RUN": str(trained), "PAIRED": str(translator)}

    def placed(text: str) -> str:
        for name, path in places.items():
            text = text.replace(name, path)
        return text

    before = snapshot(trained)
    done = weft(*(placed(word) for word in line.split()))
    assert done.status == 1 and done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("error ") and placed(fragment) in last
    assert not (tmp_path / "out").exists() and snapshot(trained) == before


@pytest.mark.parametrize("words", [("train", "llama", *TINY), ("eval",)], ids=["train", "eval"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_path_is_not_the_folder_one_is_in(
    words: Sequence[str], empty: str, trained: Path, book: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(book.parent)
    where = ("--out", book.parent / "run") if words[0] == "train" else (trained,)
    done = weft(*words, *where, "--data", empty)
    assert done.status == 1 and not done.out
    expected = f"there is no file or folder {empty}" if empty else "or pattern"  # they are what is to be named instead
    assert expected in done.err
    assert not (book.parent / "run").exists()


@pytest.mark.parametrize("words", [("train", "llama", *TINY), ("eval",)], ids=["train", "eval"])
def test_an_error_of_the_disk_names_the_file_it_befell(
    words: Sequence[str], trained: Path, book: Path, monkeypatch: pytest.MonkeyPatch
):
    read = Path.read_bytes

    def broken(path: Path) -> bytes:
        if path.name == book.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))  # says no name, as the system does
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    where = ("--out", book.parent / "run") if words[0] == "train" else (trained,)
    done = weft(*words, *where, "--data", book)
    assert done.status == 1
    assert f"{book} cannot be read (Input/output error): make it readable, or leave it out" in done.err


def test_a_folder_that_cannot_be_listed_is_not_passed_over(trained: Path, book: Path, monkeypatch: pytest.MonkeyPatch):
    closed, listing = book.parent / "closed", os.scandir
    closed.mkdir()

    def scandir(path: Path | str) -> object:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = weft("eval", trained, "--data", book.parent)
    assert done.status == 1 and f"{closed} cannot be read (Permission denied)" in done.err


def test_text_that_a_vocabulary_cannot_spell_names_its_file_and_offset(tmp_path: Path):
    (tmp_path / "train.txt").write_text("abc\n" * 50)
    (tmp_path / "dev.txt").write_text("abc\nabz\n")
    characters = ("--set", "data.tokenizer=characters", "--set", "data.vocab=0", "--data", tmp_path)
    done = weft("train", "llama", "--out", tmp_path / "run", *TINY, *characters)
    assert done.status == 1 and f"{tmp_path}/dev.txt: the character 'z' (U+007A) at offset 6" in done.err
    (tmp_path / "dev.txt").write_text("abc\n")
    good("train", "llama", "--out", tmp_path / "run", *TINY, *characters)
    (tmp_path / "other.txt").write_text("xabc")
    done = weft("eval", tmp_path / "run", "--data", tmp_path / "other.txt")
    assert done.status == 1 and f"{tmp_path}/other.txt: the character 'x' (U+0078) at offset 0" in done.err


@pytest.mark.parametrize("name", ["config.json", "run.json", "tokenizer.json"])
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"null", b"[" * 20000], ids=lambda data: repr(data[:4]))
def test_a_damaged_description_is_named_and_nothing_is_written(name: str, data: bytes, stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    (out / name).write_bytes(data)
    before = snapshot(out)
    done = weft("train", "llama", "--out", out, *TINY, *SIX, "--resume")
    assert done.status == 1 and done.err.count(str(out / name)) == 1
    assert snapshot(out) == before


def test_weights_that_are_damaged_are_named(copy: Path):
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-9])
    done = weft("generate", copy, "--prompt", "a")
    assert done.status == 1 and f"{copy}/model.safetensors" in done.err and "cut short" in done.err


def test_a_folder_without_weights_or_checkpoint_says_so(copy: Path):
    (copy / "model.safetensors").unlink()
    shutil.rmtree(copy / "checkpoints")
    done = weft("generate", copy, "--prompt", "a")
    assert done.status == 1 and "nothing was trained here yet" in done.err


def test_a_run_that_diverges_ends_with_the_step_and_the_samples(tmp_path: Path):
    done = weft("train", "llama", "--out", tmp_path / "run", *TINY, "--set", "train.rate=1e30", "--set", "train.clip=0")
    assert done.status == 1 and "step 2" in done.err and "samples" in done.err and "Lower the rate" in done.err


def test_memory_that_runs_out_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def build(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64000000000 bytes.")

    monkeypatch.setattr("weft.models.Blueprint.build", build)
    done = weft("train", "llama", "--out", tmp_path / "run", *TINY)
    assert done.status == 1 and "not enough memory (64.0 GB at once were asked for)" in done.err
    assert not (tmp_path / "run").exists()


def test_our_own_mistakes_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("weft.models.Blueprint.build", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        weft("train", "llama", "--out", tmp_path / "run", *TINY)


def test_ctrl_c_outside_of_training_is_status_130(trained: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weft.hub.load", interrupted)
    assert weft("generate", trained, "--prompt", "a").status == 130


def test_a_message_keeps_what_looks_like_markup(copy: Path):
    strange = copy.parent / "[bold]run[" / "]"
    done = weft("eval", strange, "--data", "x")
    assert done.status == 1 and "[bold]run[/]" in done.err
    strange.parent.mkdir()
    copy.rename(strange)
    assert str(strange) in good("show", strange).out
