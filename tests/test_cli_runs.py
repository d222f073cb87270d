"""Runs from the command line: stopped, resumed to the same bits, refused, overwritten."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import ENVIRONMENT, SIX, TINY, good, snapshot, stop_after, weft

from weft.files import read_json
from weft.models import reading
from weft.training import checkpoints, measure
from weft.training.log import read
from weft.training.watch import MEASURED

pytestmark = pytest.mark.usefixtures("no_picture")


def without_clock(folder: Path) -> list[dict[str, object]]:
    """The lines of a run's log, but for what depends on the time."""
    return [{k: v for k, v in line.items() if k not in MEASURED} for line in read(folder / "log.jsonl")]


@pytest.mark.parametrize("family", reading("text"))
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
    kept = {name for name in before if name not in ("loss.png", "report.json", "report.html")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_resumed_run_is_described_by_what_it_runs_with(copy: Path, stopped: Path, tmp_path: Path):
    good(
        "train", "llama", "--out", copy, *TINY, "--resume", "--set", "train.steps=4", "--set", "train.evaluate_every=3"
    )
    settings = read_json(copy / "run.json")["settings"]
    assert (settings["train"]["steps"], settings["train"]["evaluate_every"]) == (4, 3)
    assert "train.evaluate_every" in read_json(copy / "report.json")["changed"]
    good("report", copy, stopped, "--out", tmp_path / "both.html")
    page = (tmp_path / "both.html").read_text()
    assert "train.evaluate_every" in page[page.index("Settings that differ") :]


def test_a_resumed_run_is_described_before_its_end(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    stop_after(monkeypatch, 4)
    assert weft("train", "llama", "--out", out, *TINY, *SIX, "--resume", "--set", "train.steps=9").status == 130
    assert read_json(out / "run.json")["settings"]["train"]["steps"] == 9


# ---------------------------------------------------------------- a saved model, further


@pytest.fixture
def parent(notes: Path, tmp_path: Path) -> Path:
    """A run whose data settings are none of the defaults."""
    settings = ("rows=pack", "seed=3", "held_out=0.3", "column=body", "tokenizer=bytes")
    words = [word for setting in settings for word in ("--set", f"data.{setting}")]
    good("train", "llama", "--data", notes, "--out", tmp_path / "parent", *TINY, *words)
    return tmp_path / "parent"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Records, of which two have no text."""
    path = tmp_path / "notes.jsonl"
    texts = [f"note {n} of a small book " * 3 for n in range(40)]
    path.write_text("".join(json.dumps({"body": text}) + "\n" for text in [*texts, "", ""]))
    return path


def test_a_saved_model_goes_on_with_the_data_settings_of_its_run(parent: Path, notes: Path, tmp_path: Path):
    good("train", parent, "--data", notes, "--out", tmp_path / "on", *TINY)
    was, now = (read_json(folder / "run.json") for folder in (parent, tmp_path / "on"))
    assert now["settings"]["data"] == was["settings"]["data"]
    assert now["data_digest"] == was["data_digest"]  # the same texts are held out
    notices = read_json(tmp_path / "on" / "report.json")["notices"]
    assert not any("holds out" in text or "was trained on" in text for text in notices), notices


def test_another_split_than_the_models_own_is_heard_and_said(parent: Path, notes: Path, tmp_path: Path):
    other = ("--set", "data.seed=4", "--set", "data.rows=stream")
    good("train", parent, "--data", notes, "--out", tmp_path / "on", *TINY, *other)
    data = read_json(tmp_path / "on" / "run.json")["settings"]["data"]
    assert (data["seed"], data["rows"], data["held_out"]) == (4, "stream", 0.3)
    notices = read_json(tmp_path / "on" / "report.json")["notices"]
    assert any(f"held-out documents are texts that {parent} was trained on" in text for text in notices), notices
    (said,) = (text for text in notices if "holds out" in text)
    assert f"data.seed was 3 when {parent} was trained and is 4 now" in said


def test_a_saved_model_keeps_its_tokenizer(parent: Path, notes: Path, tmp_path: Path):
    for change in ("data.tokenizer=bpe", "data.vocab=9999"):
        done = weft("train", parent, "--data", notes, "--out", tmp_path / "on", *TINY, "--set", change)
        assert done.status == 1 and f"{change}: {parent} keeps the tokenizer it was trained with" in done.err
    assert not (tmp_path / "on").exists()


def test_a_saved_model_without_data_says_what_to_name(parent: Path, tmp_path: Path):
    done = weft("train", parent, "--out", tmp_path / "on", "--quiet")
    assert done.status == 1 and "with --data" in done.err and not (tmp_path / "on").exists()


def test_what_the_data_had_to_say_is_in_the_report_of_a_quiet_run(parent: Path):
    notices = read_json(parent / "report.json")["notices"]
    assert any("2 rows have no 'body'" in text for text in notices), notices
    assert "have no &#x27;body&#x27;" in (parent / "report.html").read_text()


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
        (["--set", "data.vocab=280"], "data.vocab was 384 .* is 280 now"),
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


def test_overwrite_removes_what_was_written_for_other_tools(stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    events, there = out / "tensorboard" / "events.out.tfevents.1.host", out / "wandb"
    mine, other = there / "offline-run-20240101_000000-abc123", there / "run-20240101_000000-xyz789"
    for path in (events, mine / "run-abc123.wandb", other / "run-xyz789.wandb"):
        path.parent.mkdir(parents=True)
        path.write_text("points")
    (out / "wandb.json").write_text('{"id": "abc123"}')
    for name, goal in (("latest-run", mine), ("debug.log", other / "run-xyz789.wandb")):
        (there / name).symlink_to(goal)
    good("train", "llama", "--out", out, *TINY, "--overwrite")
    assert not (out / "tensorboard").exists() and not (out / "wandb.json").exists()
    assert sorted(path.name for path in there.iterdir()) == ["debug.log", other.name]  # another run's stay
    shutil.rmtree(there)
    (out / "wandb.json").write_text('{"entity": "me"}')
    good("train", "llama", "--out", out, *TINY, "--overwrite")
    assert (out / "wandb.json").read_text() == '{"entity": "me"}'  # not of weft's making


FOREIGN = {
    "another program's": '{"recipe": "soup", "servings": 4}',
    "a list": "[1, 2]",
    "empty": "",
    "no JSON": "run: fast",
}


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_run_json_of_another_program_makes_nothing_weft_s(text: str, flag: str, tmp_path: Path):
    out = tmp_path / "run"
    (out / "checkpoints" / "step-00000001").mkdir(parents=True)
    names = ("config.json", "tokenizer.json", "model.safetensors", "checkpoints/step-00000001/state.json")
    for name in names:
        (out / name).write_text('{"of": "another program"}')
    (out / "run.json").write_text(text)
    before = snapshot(out)
    done = weft("train", "llama", "--out", out, *TINY, flag)
    assert done.status == 1 and f"{out / 'run.json'} is not what weft writes there" in done.err
    assert snapshot(out) == before


def test_another_programs_run_json_beside_checkpoints_of_weft_s_is_still_not_weft_s(stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    (out / "run.json").write_text('{"experiment": 7}')  # as beside those of `weft.train`, called by a person's script
    before = snapshot(out)
    assert weft("train", "llama", "--out", out, *TINY, "--overwrite").status == 1
    assert snapshot(out) == before


@pytest.mark.parametrize("data", [b"", b'{"recipe": "lla', b"\0" * 64], ids=["empty", "cut short", "zeros"])
def test_a_damaged_run_json_of_weft_s_can_be_overwritten(data: bytes, stopped: Path, tmp_path: Path):
    out = Path(shutil.copytree(stopped, tmp_path / "run"))
    (out / "run.json").write_bytes(data)
    done = weft("train", "llama", "--out", out, *TINY, *SIX, "--resume")
    assert done.status == 1 and f"{out / 'run.json'}: the file is not JSON" in done.err
    good("train", "llama", "--out", out, *TINY, "--overwrite")
    assert [line["step"] for line in read(out / "log.jsonl")] == [1, 2, 2]


@pytest.mark.parametrize("left", [("run.json",), ("run.json", "config.json")], ids=["the first", "the first two"])
def test_a_run_killed_while_it_was_laid_out_says_the_way_out(left: Sequence[str], trained: Path, tmp_path: Path):
    out = tmp_path / "run"
    out.mkdir()
    for name in left:
        shutil.copy(trained / name, out)
    before = snapshot(out)
    done = weft("train", "llama", "--out", out, *TINY, "--resume")
    assert done.status == 1 and "no tokenizer.json" in done.err and "discard the run with --overwrite" in done.err
    assert snapshot(out) == before
    good("train", "llama", "--out", out, *TINY, "--overwrite")
    assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "checkpoints", "tensorboard", "wandb.json"]
)
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
