"""The command line: every verb, every kind of setting, resuming, and what it says to those who got something wrong."""

import gzip
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from commands import TINY, good, snapshot, weft

from weft.data import DataSettings, prepare
from weft.files import read_tensors
from weft.hub import load
from weft.models import FAMILIES
from weft.nn import SCHEMES, measure
from weft.recipes import RECIPES
from weft.training import checkpoints
from weft.training.log import read
from weft.training.watch import Watcher

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
LINES = [f"{who} {what} number {n}" for n in range(6) for who in ("a cat", "a dog") for what in ("sees", "hears")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder's run, whole; read it only."""
    out = tmp_path_factory.mktemp("trained") / "run"
    good("train", "llama", "--out", out, *TINY)
    return out


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder–decoder's run, whole; read it only."""
    out = tmp_path_factory.mktemp("translator") / "run"
    good("train", "transformer", "--out", out, *TINY)
    return out


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 6 steps that was asked to stop after the third; read it only."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        assert weft("train", "llama", "--out", out, *TINY, *SIX).status == 130
    return out


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"the {n}th line of a small book\n" for n in range(60)))
    return path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the runs here; those above are drawn. It is as if matplotlib were missing."""

    def draw(*_: object, **__: object) -> None:
        raise ValueError("drawing needs matplotlib")

    monkeypatch.setattr(import_module("weft.recipes.run"), "draw", draw)


@pytest.fixture
def one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run decides for the same kernel, whatever the clock says; else two runs need not have the same bits."""
    monkeypatch.setattr(measure, "costs", lambda *_, **__: {"matmul": 1.0})


SIX = ("--set", "train.steps=6", "--set", "train.checkpoint_every=2", "--set", "model.dropout=0.1")


def stop_after(patch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C in the middle of a step's bookkeeping."""
    patch.setattr(Watcher, "step", lambda _, record: record.step == step and signal.raise_signal(signal.SIGINT))


def without_clock(folder: Path) -> list[dict[str, object]]:
    """The lines of a run's log, but for what depends on the time."""
    clock = ("seconds", "tokens_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in read(folder / "log.jsonl")]


def python(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, *words], capture_output=True, text=True, env=ENVIRONMENT, **options
    )


# ---------------------------------------------------------------- the door


def test_python_m_weft_is_the_command():
    done = python("-m", "weft", "--version")
    assert (done.returncode, done.stdout) == (0, f"weft {version('weft')}\n")


def test_help_version_and_the_package_itself_import_no_torch():
    program = """
import sys, weft
from weft.cli import main
words = [["--help"], ["--version"], *([verb, "--help"] for verb in ("train", "eval", "generate", "list", "show"))]
for arguments in words:
    try:
        main(arguments)
    except SystemExit as leaving:
        assert not leaving.code, arguments
heavy = {"torch", "numpy", "safetensors", "tokenizers", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    for verb in ("train", "eval", "generate", "list", "show", "--resume", "--overwrite", "--json", "--prompt"):
        assert verb in done.stdout


@pytest.mark.parametrize(
    "words, fragment",
    [
        (["trian"], "Did you mean 'train'"),
        (["train"], "Missing argument 'RECIPE|FAMILY'"),
        (["train", "llama", "--outt", "x"], "--out"),
        (["eval", "x"], "Missing option '--data'"),
        (["generate", "x"], "Missing option '--prompt'"),
        (["generate", "x", "--prompt", "a", "--tokens", "many"], "--tokens"),
    ],
)
def test_words_that_make_no_command_are_status_2(words: list[str], fragment: str):
    done = weft(*words)
    assert done.status == 2 and not done.out
    assert fragment in " ".join(done.err.split())


# ---------------------------------------------------------------- the verbs


def test_training_lays_out_a_folder_and_prints_where_everything_is(trained: Path):
    names = {path.name for path in trained.iterdir()}
    files = {"config.json", "model.safetensors", "tokenizer.json", "run.json", "log.jsonl", "report.json", "loss.png"}
    assert names == {*files, "checkpoints"}
    assert [line["step"] for line in read(trained / "log.jsonl")] == [1, 2, 2]
    facts = json.loads((trained / "report.json").read_text())
    assert facts["figures"]["bits_per_byte"] > 0 and facts["tokens"] == 2 * 2 * 64


def test_the_card_shows_figures_a_sample_and_the_next_command(tmp_path: Path):
    out = tmp_path / "a folder"
    done = good(
        "train", "shakespeare_char", "--debug", "--out", out, "--set", "train.steps=1", "--set", "train.batch=2"
    )
    for text in ("shakespeare_char", "held-out bits per byte", f"weft generate '{out}' --prompt"):
        assert text in done.out
    assert "step 1/1" in done.err and "held out" in done.err  # progress goes elsewhere than the result


@pytest.mark.parametrize("name", FAMILIES.names())
def test_a_context_too_short_for_the_samples_fails_no_run(name: str, tmp_path: Path):
    bytes = ("--set", "data.tokenizer=bytes", "--set", f"model.context={56 if name == 'transformer' else 2}")
    good("train", name, "--out", tmp_path / "run", *TINY, *bytes)


def test_eval_gives_numbers_that_agree_with_their_definitions(trained: Path, book: Path):
    found = good("eval", trained, "--data", book, "--json").data
    assert (found["model"], found["data"]) == (str(trained), [str(book)])
    assert found["bytes"] == len(book.read_bytes())
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    nats = found["nats_per_token"] * found["tokens"]
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / found["bytes"])
    shown = good("eval", trained, "--data", book).out
    assert f"{found['bits_per_byte']:.4f}" in shown and "perplexity" in shown


def test_eval_reads_a_file_once_however_often_it_is_named(trained: Path, book: Path):
    once, twice = (good("eval", trained, *["--data", book] * n, "--json").data for n in (1, 2))
    assert once | {"data": 0} == twice | {"data": 0}


def test_generate_streams_the_prompt_and_the_text_that_json_holds(trained: Path):
    words = ("generate", trained, "--prompt", "the ", "--tokens", 12, "--seed", 5)
    found = good(*words, "--json").data
    assert found.keys() == {"prompt", "text", "tokens", "reason", "logprob"}
    assert found["logprob"] < 0 and 1 <= found["tokens"] <= 12
    assert good(*words).out == f"the {found['text']}\n"


def test_the_same_seed_gives_the_same_text_another_another(trained: Path):
    texts = [good("generate", trained, "--prompt", "a", "--tokens", 20, "--seed", seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_generate_takes_several_prompts_also_with_beams(trained: Path):
    words = ("generate", trained, "--prompt", "a", "--prompt", "", "--tokens", 4)
    for more in ((), ("--beams", 3)):
        found = good(*words, *more, "--json").data
        assert [row["prompt"] for row in found] == ["a", ""]
        assert good(*words, *more).out == f"a{found[0]['text']}\n{found[1]['text']}\n"


def test_a_translator_writes_only_the_translation(translator: Path):
    words = ("generate", translator, "--prompt", "the moon sees", "--tokens", 6)
    assert good(*words).out == good(*words, "--json").data["text"] + "\n"


def test_text_of_any_script_survives_a_terminal_that_lacks_it(tmp_path: Path):
    text = tmp_path / "text.txt"
    text.write_text("ü→日本語😀 " * 200)
    characters = ("--set", "data.tokenizer=characters", "--set", "data.vocab=0")
    good("train", "llama", "--data", text, "--out", tmp_path / "run", *TINY, *characters)
    words = ("generate", tmp_path / "run", "--prompt", "日本", "--tokens", 8)
    written = good(*words).out
    assert written.startswith("日本") and not {*written} - {*"ü→日本語😀 \n"}
    poor = weft(*words, encoding="ascii")
    assert poor.status == 0 and poor.out == written.encode("ascii", "backslashreplace").decode()
    assert f"日本{weft(*words, '--json', encoding='ascii').data['text']}\n" == written


def test_a_reader_that_leaves_early_is_no_accident(trained: Path):
    words = [sys.executable, "-m", "weft", "generate", str(trained), "--prompt", "a", "--tokens", "5"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_list_names_everything_there_is():
    found = good("list", "--json").data
    assert found["recipes"] == RECIPES.names() and found["families"] == FAMILIES.names()
    assert found["positions"] == list(SCHEMES)
    assert {"text", "python_stdlib", "made"} <= set(found["sources"])
    assert {"next_token", "translate"} <= set(found["objectives"])
    shown = good("list").out
    assert all(name in shown for names in found.values() for name in names)


@pytest.mark.parametrize("name", [*RECIPES.names(), *FAMILIES.names()])
def test_show_tells_of_every_name(name: str):
    found = good("show", name, "--json").data
    assert found["name"] == name and found["model"]["parameters"] > 0
    assert found["train"]["steps"] > 0 and found["data"]["held_out"] == 0.1
    assert ("sizes" in found) == (name in FAMILIES.names())
    assert "train.steps" in good("show", name).out


def test_show_tells_of_a_folder_and_a_name_wins_over_a_folder(copy: Path, monkeypatch: pytest.MonkeyPatch):
    parameters = sum(tensor.numel() for tensor in read_tensors(copy / "model.safetensors").values())
    assert good("show", copy, "--json").data["model"]["parameters"] == parameters
    monkeypatch.chdir(copy.parent)
    copy.rename("gpt2")
    assert good("show", "gpt2", "--json").data["model"]["family"] == "gpt2"
    assert good("show", "./gpt2", "--json").data["model"]["family"] == "llama"


# ---------------------------------------------------------------- recipes and data


@pytest.mark.parametrize("name", [*RECIPES.names(), *FAMILIES.names()])
def test_debug_alone_trains_any_name_within_a_moment(name: str, tmp_path: Path):
    good("train", name, "--out", tmp_path / "run", *TINY)
    assert good("generate", tmp_path / "run", "--prompt", "", "--tokens", 3).out
    assert load(tmp_path / "run").config.width == 48


def test_shakespeare_reads_a_folder_of_train_and_dev(tmp_path: Path):
    texts = {"train.txt.gz": "ROMEO: to be, or not\n" * 40, "dev.txt.gz": "to be, not ROMEO: or\n" * 7}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    done = good("train", "shakespeare_char", "--data", tmp_path, "--out", tmp_path / "run", *TINY)
    tokenizer = load(tmp_path / "run").need_tokenizer()
    assert tokenizer.vocab == len(set(texts["train.txt.gz"])) + 1
    (evaluation,) = [line["evaluation"] for line in read(tmp_path / "run" / "log.jsonl") if "evaluation" in line]
    assert evaluation["bytes"] == len(texts["dev.txt.gz"])
    assert "ROMEO:" in done.out


def test_nothing_held_out_is_trained_on(tmp_path: Path):
    texts = [f"<{n} {'text ' * n}>" for n in range(30)]
    for n, text in enumerate([*texts, *texts[:5]]):  # the last ones are copies
        (tmp_path / f"{n:02}.txt").write_text(text)
    settings = DataSettings(paths=(str(tmp_path),), tokenizer="bytes", vocab=0, held_out=0.3)
    found = prepare(settings, 16, pairs=False)
    train, valid = (found.tokenizer.decode(side.tokens.tolist()) for side in (found.train, found.valid))  # type: ignore[union-attr]
    assert valid and all((text in train) != (text in valid) for text in texts)
    assert found.valid_text.decode() == valid
    assert found.digest == prepare(settings, 16, pairs=False).digest


def test_no_source_of_a_held_out_pair_is_trained_on(tmp_path: Path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{line}\t{line[::-1]}{n}\n" for n in range(2) for line in LINES))
    found = prepare(
        DataSettings(source="pairs", paths=(str(path),), tokenizer="bytes", vocab=0, held_out=0.3), 64, pairs=True
    )
    train, valid = ({source for source, _ in side.pairs} for side in (found.train, found.valid))  # type: ignore[union-attr]
    assert valid and train and not train & valid and train | valid == set(LINES)


def test_pairs_come_from_two_files_or_one_of_two_columns(tmp_path: Path, one_kernel: None):
    (tmp_path / "a.txt").write_text("\n".join(LINES) + "\n")
    (tmp_path / "b.txt").write_text("\n".join(line[::-1] for line in LINES) + "\n")
    (tmp_path / "ab.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in LINES))
    files, columns = ("--data", tmp_path / "a.txt", "--data", tmp_path / "b.txt"), ("--data", tmp_path / "ab.tsv")
    found = []
    for n, data in enumerate((files, columns)):
        out = tmp_path / str(n)
        good("train", "transformer", *data, "--out", out, *TINY)
        evaluated = good("eval", out, *data, "--json").data
        assert evaluated["bytes"] == sum(map(len, LINES))
        found.append(((out / "model.safetensors").read_bytes(), evaluated["nats_per_token"]))
    assert found[0] == found[1]


def test_eval_says_which_pairs_it_leaves_out(translator: Path, tmp_path: Path):
    path = tmp_path / "pairs.tsv"
    path.write_text(f"a\tb\n{'xyz' * 100}\tb\n")
    done = good("eval", translator, "--data", path, "--json")
    assert "1 pairs are longer than the context" in done.err and done.data["bytes"] == 1


@pytest.mark.parametrize(
    "name, data",
    [
        ("crlf.txt", b"one\r\ntwo\r\n" * 30),
        ("mark.txt", b"\xef\xbb\xbfwith a byte order mark\n" * 9),
        ("nul.txt", b"a\0b\0\n" * 30),
        ("huge.txt", b"word " * 20000),
        ("short.txt", b"hello"),
        ("blank.txt", b"  \n\n \n"),
        ("z\u00fcge \u65e5\u672c.txt", "\u00fcber\n".encode() * 30),
    ],
)
def test_odd_but_honest_files_are_read_as_they_are(name: str, data: bytes, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(data)
    good("train", "llama", "--data", path, "--out", tmp_path / f"out {name}", *TINY)
    found = good("eval", tmp_path / f"out {name}", "--data", path, "--json").data
    assert found["bytes"] == len(data.removeprefix(b"\xef\xbb\xbf"))


# ---------------------------------------------------------------- settings


def test_settings_of_every_kind_are_heard(tmp_path: Path, book: Path):
    changes = {
        "train.steps": ("1e0", 1),
        "train.rate": ("2e-3", 0.002),
        "train.decay": ("linear", "linear"),
        "train.warmup": ("none", None),
        "train.precision": ("fp32", "fp32"),
        "data.isolate": ("yes", True),
        "data.tokenizer": ("bytes", "bytes"),
        "data.paths": (f"{book}", [str(book)]),
        "data.source": ("text", "text"),
        "model.context": ("1_6", 16),
        "model.kv_heads": ("none", None),
        "model.tied": ("true", True),
        "model.position": ('{"name": "rope", "part": 0.5}', None),
        "model.position.theta": ("5e5", None),
    }
    words = [word for name, (text, _) in changes.items() for word in ("--set", f"{name}={text}")]
    good("train", "llama", "--debug", "--quiet", "--out", tmp_path / "run", "--set", "train.batch=2", *words)
    found = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    found["model"] = found["model"]["config"] | {"position": found["model"]["parts"]["position"]}
    for name, (_, value) in changes.items():
        part, _, field = name.partition(".")
        if "position" not in field:
            assert found[part][field] == value, name
    position = found["model"]["position"]
    assert (position["name"], position["part"], position["theta"]) == ("rope", 0.5, 5e5)


def test_the_last_word_wins_debug_then_data_then_settings(tmp_path: Path, book: Path):
    words = ("--data", book, "--set", "train.steps=5", "--set", "train.steps=1", "--set", "model.width=32")
    good("train", "python_stdlib", "--debug", "--quiet", "--out", tmp_path / "run", *words)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["data"]["source"] == "text" and settings["data"]["paths"] == [str(book)]
    assert settings["train"]["steps"] == 1 and settings["model"]["config"]["width"] == 32


@pytest.mark.parametrize("family", ["llama", "transformer"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_position_scheme_trains_saves_loads_and_generates(scheme: str, family: str, tmp_path: Path):
    out = tmp_path / "run"
    good("train", family, "--out", out, *TINY, "--set", f"model.position={scheme}")
    assert type(load(out).blueprint.position) is SCHEMES[scheme]
    assert good("show", out, "--json").data["model"]["position"]["name"] == scheme
    found = good("generate", out, "--prompt", "the moon", "--tokens", 4, "--temperature", 0, "--json").data
    assert found["tokens"] >= 1 and found["logprob"] < 0
    done = good("train", family, "--out", out, *TINY, "--set", f"model.position={scheme}", "--resume")
    assert done.out


# ---------------------------------------------------------------- stopping, going on, starting anew


@pytest.mark.parametrize("family", ["llama", "transformer"])
def test_a_stopped_run_goes_on_to_the_same_bits(
    family: str, tmp_path: Path, one_kernel: None, monkeypatch: pytest.MonkeyPatch
):
    words = ("train", family, *TINY, *SIX)
    good(*words, "--out", tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        done = weft(*words, "--out", tmp_path / "parts")
    assert done.status == 130 and "with --resume" in done.out
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    good(*words, "--out", tmp_path / "parts", "--resume")
    whole, parts = (snapshot(tmp_path / name) for name in ("whole", "parts"))
    same = ["config.json", "tokenizer.json", "run.json", "model.safetensors"]
    same += [name for name in whole if name.endswith(".safetensors")]
    assert {name: parts[name] for name in same} == {name: whole[name] for name in same}
    assert without_clock(tmp_path / "whole") == without_clock(tmp_path / "parts")


def test_ctrl_c_from_outside_is_status_130_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # The rate does not depend on the length, so that a run stopped somewhere can be ended three steps later.
    settings = ["train.schedule=constant", "train.warmup=0", "train.precision=fp32", "train.batch=2", "train.threads=1"]
    words = ["train", "llama", "--debug", *(word for text in settings for word in ("--set", text))]
    out, same = tmp_path / "stopped", tmp_path / "whole"
    endless = [sys.executable, "-m", "weft", *words, "--out", str(out), "--set", "train.steps=1e9"]
    with subprocess.Popen(
        endless, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=ENVIRONMENT
    ) as run:
        assert run.stderr is not None
        next(line for line in run.stderr if line.startswith("step "))
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
    assert run.returncode == 130, rest
    assert "goes on from" in rest and "Traceback" not in rest
    found = checkpoints.latest(out)
    assert found is not None
    decided = found.state["decisions"]["given"]
    monkeypatch.setattr(measure, "choose", lambda module, *_, **__: measure.replay(module, decided) or decided)
    last = ("--quiet", "--set", f"train.steps={found.step + 3}")
    good(*words, "--out", out, *last, "--resume")
    good(*words, "--out", same, *last)
    assert (out / "model.safetensors").read_bytes() == (same / "model.safetensors").read_bytes()


def test_an_unfinished_run_can_be_used_and_says_so(stopped: Path, book: Path):
    for words in (("generate", stopped, "--prompt", "a", "--tokens", 2), ("eval", stopped, "--data", book, "--json")):
        assert "is not finished: this is its checkpoint of step 3" in good(*words).err


def test_resuming_a_finished_run_changes_no_weight(copy: Path):
    before = snapshot(copy)
    good("train", "llama", "--out", copy, *TINY, "--resume")
    after = snapshot(copy)
    kept = {name for name in before if name not in ("loss.png", "report.json")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_resume_begins_where_nothing_was_begun(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.md").write_text("mine")
    good("train", "llama", "--out", tmp_path / "run", *TINY, "--resume")
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "notes.md").read_text() == "mine"


@pytest.mark.parametrize(
    "words, fragment",
    [
        (["--set", "train.rate=1"], "rate was 0.001 .* is 1.0 now"),
        (["--set", "train.seed=4"], "seed was 0 .* is 4 now"),
        (["--set", "model.heads=2"], "model.heads was 4 .* is 2 now"),
        (["--set", "model.position=alibi"], "model.position was None"),
        (["--set", "data.vocab=280"], "data.vocab was 300 .* is 280 now"),
        (["--set", "data.tokenizer=bytes"], "data.tokenizer was bpe"),
        (["--set", "data.seed=9"], "the data are not those"),
        (["--set", "data.held_out=0.5"], "the data are not those"),
        (["--overwrite"], "choose one"),
    ],
)
def test_another_run_is_not_resumed_and_the_old_one_stays(words: Sequence[str], fragment: str, stopped: Path):
    before = snapshot(stopped)
    done = weft("train", "llama", "--out", stopped, *TINY, *SIX, "--resume", *words)
    assert done.status == 1 and re.search(fragment, done.err), done.err
    assert snapshot(stopped) == before


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_taken(stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    newest, older = checkpoints.steps(out / checkpoints.FOLDER)
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    words = ("train", "llama", "--out", out, *TINY, *SIX, "--resume")
    loud = [word for word in words if word != "--quiet"]
    done = good(*loud)
    assert f"checkpoint {newest.name} is refused" in done.err and f"last good checkpoint is {older.name}" in done.err
    assert "sha256" in done.err and "resumed at step 2" in done.err


def test_where_every_checkpoint_is_damaged_nothing_is_touched(stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    for folder in checkpoints.steps(out / checkpoints.FOLDER):
        (folder / "state.json").write_text("{}")
    before = snapshot(out)
    done = weft("train", "llama", "--out", out, *TINY, *SIX, "--resume")
    assert done.status == 1 and "no checkpoint in" in done.err and "state.json" in done.err
    assert snapshot(out) == before


def test_overwrite_removes_what_weft_wrote_and_nothing_else(stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    mine = {"notes.md": "mine", "sub/config.json": "{}", "checkpoints/keep.txt": "mine too"}
    for name, text in mine.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text)
    (out / "checkpoints" / "refused-step-00000001").mkdir()
    good("train", "llama", "--out", out, *TINY, "--overwrite")
    after = snapshot(out)
    assert {name: after[name].decode() for name in mine} == mine
    assert [path.name for path in checkpoints.steps(out / "checkpoints")] == ["step-00000002"]
    assert [line["step"] for line in read(out / "log.jsonl")] == [1, 2, 2]
    assert not (out / "checkpoints" / "refused-step-00000001").exists()


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "checkpoints"])
def test_another_programs_files_are_never_replaced(flag: str, name: str, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("precious")
    done = weft("train", "llama", "--out", tmp_path / "run", *TINY, flag)
    assert done.status == 1 and f"holds {name} and no run.json" in done.err
    assert snapshot(tmp_path / "run") == {name: b"precious"}


@pytest.mark.parametrize(
    "words",
    [
        ["--data", "nowhere"],
        ["--set", "model.heads=5"],
        ["--set", "train.steps=0"],
        ["--set", "data.held_out=0"],
        ["--set", "data.vocab=9"],
    ],
)
def test_overwrite_discards_nothing_before_the_new_run_can_begin(words: list[str], trained: Path):
    before = snapshot(trained)
    assert weft("train", "llama", "--out", trained, *TINY, "--overwrite", *words).status == 1
    assert snapshot(trained) == before


# ---------------------------------------------------------------- what is wrong, and the way out


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
    # names and settings
    ("train lama --out OUT", "no recipe and no family is called 'lama'; did you mean 'llama'?"),
    ("train shakespear_char --out OUT", "did you mean 'shakespeare_char'?"),
    ("show pythn_stdlib", "did you mean 'python_stdlib'?"),
    (f"{TRAIN} --set train.rat=1", "no setting 'rat'; did you mean 'rate'?"),
    (f"{TRAIN} --set trian.rate=1", "did you mean train.rate?"),
    (f"{TRAIN} --set steps=1", "settings are addressed as model.*, data.* or train.*"),
    (f"{TRAIN} --set train.steps", "write it as a.b=c"),
    (f"{TRAIN} --set train.steps=", "train.steps=: the value is a whole number"),
    (f"{TRAIN} --set train.steps=1.5", "train.steps=1.5: the value is a whole number"),
    (f"{TRAIN} --set train.steps=0", "steps is 0"),
    (f"{TRAIN} --set train.rate=nan", "a finite number"),
    (f"{TRAIN} --set train.schedule=linaer", "did you mean 'linear'?"),
    (f"{TRAIN} --set train.micro_batches=3", "8 rows does not split into 3"),
    (f"{TRAIN} --set model.tied=perhaps", "true or false"),
    (f"{TRAIN} --set model.size=hug", "has no size 'hug'"),
    (f"{TRAIN} --set model.heads=5", "5 heads do not divide the width 48"),
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
    ("generate RUN --prompt a --temperature -1", "temperature = -1.0"),
    ("generate RUN --prompt a --temperature nan", "temperature = nan"),
    ("generate RUN --prompt a --top-p 0", "top_p = 0.0"),
    ("generate RUN --prompt a --top-k -1", "top_k = -1"),
    (f"generate RUN --prompt {'x' * 70}", "has 71 tokens, the context 64: shorten it"),
]


@pytest.mark.parametrize("line, fragment", BAD, ids=[line for line, _ in BAD])
def test_what_is_wrong_is_said_in_one_message(line: str, fragment: str, tmp_path: Path, trained: Path):
    write_bad_files(tmp_path)
    places = {"HERE": str(tmp_path), "OUT": str(tmp_path / "out"), "RUN": str(trained)}

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
    assert done.status == 1 and "step 2" in done.err and "samples" in done.err and "lower the rate" in done.err


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

    monkeypatch.setattr("weft.cli.generate.load", interrupted)
    assert weft("generate", trained, "--prompt", "a").status == 130


def test_a_message_keeps_what_looks_like_markup(tmp_path: Path):
    done = weft("eval", tmp_path / "[bold]run[/]", "--data", "x")
    assert done.status == 1 and "[bold]run[/]" in done.err
