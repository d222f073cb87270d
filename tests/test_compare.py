"""Ways to pretrain compared: equal budgets, what is written, going on after a kill, what is refused."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from commands import good, stop_after
from commands import weft as run

from weft.data import prepare
from weft.files import DamagedFile
from weft.recipes.begin import opened
from weft.recipes.comparing import Candidate, Comparison, compare, find_comparison, read_comparison
from weft.recipes.comparing.budget import Cost, budget, cost
from weft.recipes.comparing.comparison import as_text, tuning_of
from weft.recipes.comparing.folder import clear
from weft.recipes.comparing.made import debugged, with_made_data
from weft.recipes.comparing.run import _flops_in
from weft.training.flops import operations
from weft.training.reader import draw
from weft.training.watch import Record, Watcher
from weft.training.world import ALONE

SHIPPED = "pretraining_objectives"
SMALL = """
seeds = 2
slack = 0.05
size = "debug"

[data]
source = "text"
paths = ["text.txt"]
vocab = 300

[train]
batch = 2

[[candidates]]
name = "masked"
family = "bert"
objective = "masked"
pooling = "mean"

[[candidates]]
name = "causal"
family = "gpt2"
objective = "next_token"

[[tunings]]
name = "mood"
task = "classify"
data = "moods/train.tsv"
dev = "moods/dev.tsv"
counts = [6, 0]
steps = 3
epochs = 0.1
train = { batch = 4 }
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data; read it only."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text("".join(f"the {n}th line of a small book, and not its last\n" for n in range(300)))
    (folder / "moods").mkdir()
    for side, count in (("train", 30), ("dev", 20)):
        rows = [f"a {'good' if n % 3 else 'bad'} film, the {n}th\t{int(n % 3 > 0)}" for n in range(count)]
        (folder / "moods" / f"{side}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    (folder / "moods" / "other.tsv").write_text("text\tlabel\na good film\t1\nneither\t2\n")
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of one's own; read it only."""
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def compared(data: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That comparison, done; read it only."""
    out = tmp_path_factory.mktemp("compared") / "out"
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        compare(read_comparison(small), data, out)
    return out


@pytest.fixture
def quick(no_picture: None) -> None:
    """Without the runs' own pictures."""


def no_pictures(patch: pytest.MonkeyPatch) -> None:
    """Without the runs' own pictures, which take longer than the runs."""

    def undrawn(*_: object, **__: object) -> None:
        raise ValueError("drawing needs matplotlib")

    patch.setattr(import_module("weft.recipes.run"), "draw", undrawn)


def figures(out: Path) -> Any:
    """What was written, without what a clock says and without the machine."""
    found = json.loads((out / "comparison.json").read_text())
    del found["hardware"]
    for row in found["rows"]:
        del row["seconds"]
    return found


# ------------------------------------------------------------------------------------------------------------ budgets


def test_whole_runs_of_every_objective_take_the_same_operations(tmp_path: Path) -> None:
    """A tenth of each run's steps is counted here, where the budget counted a few: RTD's generator, spans' stacks."""
    comparison = with_made_data(debugged(find_comparison(SHIPPED)))
    comparison = replace(comparison, data=replace(comparison.data, store=str(tmp_path / "tokens")))
    recipes = {one.name: comparison.recipe(one, steps=1, seed=0) for one in comparison.candidates}
    costs = {name: cost(recipe, lambda text: None, timed=False) for name, recipe in recipes.items()}
    made = budget(costs, 0.0, 0, slack=0.01)
    assert min(made.steps["flops"].values()) == 50  # the dearest takes no more
    spent, read = dict[str, float](), dict[str, int]()
    for name, recipe in recipes.items():
        prepared, objective = prepare(recipe.data, recipe.length, pairs=False), recipe.minimised
        blueprint = recipe.fitted(objective.ids(prepared.tokenizer))
        module = objective.wrap(blueprint.build(seed=0), blueprint, 0, opened)
        rows = objective.turn(prepared.train, prepared.tokenizer, 0)
        whole = made.steps["flops"][name]
        counted = [operations(module, objective, draw(rows, 2 * at, recipe.train, ALONE)) for at in range(0, whole, 10)]
        spent[name] = sum(counted) / len(counted) * whole
        read[name] = made.steps["tokens"][name] * 2 * recipe.length
    assert len(spent) == 4 and all(abs(one / made.flops - 1) < 0.01 for one in spent.values()), spent
    assert all(abs(one / made.tokens - 1) < 0.01 for one in read.values()), read
    assert read["masked"] == made.steps["flops"]["masked"] * 2 * recipes["masked"].length  # derived from the first
    ours, theirs = costs["replaced"], costs["masked"]
    assert ours.flops / ours.tokens > 1.3 * theirs.flops / theirs.tokens  # two models read each row


def test_a_budget_that_whole_steps_cannot_meet_is_refused() -> None:
    costs = {"a": Cost(1e6, 100, 1), "b": Cost(7e6, 90, 1)}
    assert budget(costs, 7e8, 90_000, slack=0.01).steps == {
        "flops": {"a": 700, "b": 100},
        "tokens": {"a": 900, "b": 1000},
    }
    with pytest.raises(ValueError, match=r"budget of 3.1e\+07 FLOPs is 4.4 steps of the candidate b.*raise the budget"):
        budget(costs, 3.1e7, 0, slack=0.01)
    with pytest.raises(ValueError, match="budget of 1.23e[+]03 tokens is 12.3 steps of the candidate a"):
        budget(costs, 7e8, 1234, slack=0.01)


def test_minutes_are_of_all_pretrainings_together() -> None:
    comparison = replace(find_comparison(SHIPPED), pretrained=2)
    names = [one.name for one in comparison.candidates]
    costs = {name: Cost(1e9 * (1 + n), 1000, 1, seconds=0.1 * (1 + n)) for n, name in enumerate(names)}
    made = budget(costs, _flops_in(10.0, comparison, costs), 0, slack=0.01)
    seconds = 0.0
    for steps in ({"flops": made.steps["flops"]}, {"tokens": made.steps["tokens"]}):
        for round_, each in steps.items():
            ran = [name for name in each if round_ == "flops" or name != names[0]]  # the first's are one run
            seconds += sum(costs[name].seconds * each[name] * 2 for name in ran)
    assert seconds == pytest.approx(600, rel=0.01)


# ---------------------------------------------------------------------------------------------------------- whole runs


@pytest.mark.usefixtures("quick")
def test_the_shipped_comparison_runs_in_debug(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = good("compare", SHIPPED, "--debug", "--out", out, "--quiet")
    assert all(name in done.out for name in ("equal FLOPs", "equal tokens", "masked", "replaced", "spans", "causal"))
    found = figures(out)
    rows = {(row["round"], row["candidate"]): row for row in found["rows"]}
    assert len(rows) == 8
    for (round_, name), row in rows.items():
        spent = row["flops"] / found["flops"] if round_ == "flops" else row["tokens"] / found["tokens"]
        assert abs(spent - 1) < 0.05, (round_, name)
        assert [(cell["tuning"], cell["count"]) for cell in row["cells"]] == [
            ("speech", 8),
            ("sentiment", 8),
        ]
        assert all(len(cell["each"]) == 1 and cell["interval"]["low"] >= 0 for cell in row["cells"])
        assert all((cell["beside"] is None) == (name == "masked") for cell in row["cells"])
    table = (out / "comparison.md").read_text()
    assert "sentiment, 8" in table and "no significant difference" in table
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    steps = json.loads((out / "compare.json").read_text())["budget"]["steps"]
    for name in ("masked", "spans"):  # each part is a folder like any other
        folder = out / name / f"{steps['flops'][name]}-steps"
        assert good("show", folder / "pretrained-0", "--json").data["model"]["parameters"] > 0
        assert json.loads((folder / "sentiment-8-seed-0" / "task.json").read_text())["task"] == "classify"


def test_what_was_written_says_what_was_done(compared: Path, small: Path) -> None:
    found = figures(compared)
    first, second = found["rows"][:2]
    assert (first["candidate"], second["candidate"]) == ("masked", "causal")
    cell = first["cells"][0]
    assert cell["metric"] == "accuracy" and cell["constant"] == pytest.approx(0.65)
    assert cell["interval"]["value"] == pytest.approx(sum(cell["each"]) / 2)
    other = second["cells"][0]["beside"]
    assert other["difference"]["value"] == pytest.approx(
        second["cells"][0]["interval"]["value"] - cell["interval"]["value"]
    )
    assert other["corrected"] >= other["p"]
    mean = f"{cell['interval']['value']:.3f} ± {cell['deviation']:.3f} ["
    assert mean in (compared / "comparison.md").read_text()
    told = json.loads((compared / "compare.json").read_text())
    assert told["comparison"]["name"] == "small" and set(told["data"]) == {
        "text.txt", "moods/train.tsv", "moods/dev.tsv",
    }  # fmt: skip
    settings = json.loads((compared / "causal" / f"{second['steps']}-steps" / "pretrained-0" / "run.json").read_text())
    assert settings["settings"]["train"]["steps"] == second["steps"]


def test_stopped_and_killed_it_goes_on_and_comes_to_the_same(
    compared: Path, data: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, words = tmp_path / "out", ("compare", small, "--data", data, "--out", tmp_path / "out", "--quiet")
    no_pictures(monkeypatch)
    with monkeypatch.context() as patch:
        stop_after(patch, 7)  # Ctrl-C within the first part
        stopped = run(*words)
    assert stopped.status == 130 and "--resume goes on" in stopped.out
    (checkpoint,) = out.glob("masked/*/pretrained-0/checkpoints/*")
    assert checkpoint.name == "step-00000007"
    refused = run(*words)
    assert refused.status == 1 and "go on with --resume" in refused.err

    def killed(_: Watcher, record: Record) -> None:
        if record.step == 2 and len(list(out.glob("*/*-steps/*.json"))) == 4:  # within a tuning
            raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "step", killed)
        assert run(*words, "--resume").status == 1
    finished = {path: path.stat().st_mtime_ns for path in out.glob("*/*-steps/*.json")}
    assert len(finished) == 4 and not (out / "comparison.json").exists()
    good(*words, "--resume", "--minutes", 3)  # the budget is what it was
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    assert figures(out) == figures(compared)  # to the same bits


def test_overwriting_removes_what_it_wrote_and_nothing_else(compared: Path, data: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(compared, tmp_path / "out"))
    (out / "notes.txt").write_text("mine")
    clear(out)
    assert [path.name for path in out.rglob("*")] == ["notes.txt"]


# ------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('family = "bert"', 'family = "bort"', "the candidate masked: no family is called 'bort'; did you mean 'bert'"),
        ('objective = "masked"', 'objective = "maskd"', "the candidate masked: no objective is called 'maskd'"),
        ('objective = "masked"', 'objective = "next_token"', "the candidate masked: next_token asks a decoder, and"),
        ('objective = "next_token"', 'objective = "translate"', "the candidate causal: translate asks an encoder"),
        ('name = "causal"', 'name = "masked"', "2 candidates are called 'masked'"),
        ('name = "causal"', 'name = "a/b"', "the candidate 'a/b' names a folder"),
        ("batch = 2", "steps = 2", "train.steps=2: a comparison decides steps"),
        ("batch = 2", "bach = 2", "TrainSettings has no setting 'bach'; did you mean 'batch'"),
        ("seeds = 2", "seed = 2", "small.toml: Comparison: Comparison has no setting 'seed'; did you mean 'seeds'"),
        ("seeds = 2", "seeds = 2\npretrained = 3", "pretrained=3 and seeds=2"),
        ("seeds = 2", "seeds = 2\nflops = 1e5", "raise the budget to"),
        ("seeds = 2", "seeds = [", "small.toml is no TOML"),
        ('task = "classify"', 'task = "clasify"', "the tuning mood: no task is called 'clasify'; did you mean"),
        ("counts = [6, 0]", "counts = [6]\ncolumns = { first = 1 }", "mood: first says nothing to the task classify"),
        ('task = "classify"', 'task = "classify"\nmetric = "acuracy"', "mood of the candidate masked: no metric"),
        ('task = "classify"', 'task = "classify"\nmetric = "pearson"', "metric 'pearson' needs numbers"),
        ("epochs = 0.1", "epochs = 0.1\ncontext = 99999", "masked: rows of 99999 tokens, and the model places"),
        ("train = { batch = 4 }", "train = { rate = -1 }", "the tuning mood of the candidate masked: rate is -1"),
        ("train = { batch = 4 }", "train = { warmup = 5 }", "warmup 5 is longer than the whole run of 3 steps"),
        ("train = { batch = 4 }", "train = { average = 0.9 }", "average and best each say"),
        ('objective = "next_token"', 'objective = "next_token"\npooling = "pooler"',
         "mood of the candidate causal: pooling=pooler, and this model has no pooler"),
        ('dev = "moods/dev.tsv"', 'dev = "moods/other.tsv"', "other.tsv, .*line 3.*'2'"),
        ("counts = [6, 0]", "counts = [31]", "train.tsv has 30 examples: ask for fewer, or for all"),
        ("counts = [6, 0]", "counts = [6, 6]", "counts=.6, 6.: name how many"),
        ('dev = "moods/dev.tsv"', 'dev = "moods/den.tsv"', "there is no file .*moods/den.tsv: small reads text.txt"),
        ('paths = ["text.txt"]', 'paths = ["book.txt"]', "there is no file .*book.txt"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    was: str, now: str, said: str, data: Path, tmp_path: Path
) -> None:
    assert was in SMALL
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace(was, now))
    with pytest.raises(ValueError, match=said):
        compare(read_comparison(path), data, tmp_path / "out")
    assert not list(tmp_path.glob("out/*/*-steps"))


def test_the_command_refuses_in_words(data: Path, small: Path, compared: Path, tmp_path: Path) -> None:
    for words, said in (
        (("pretraining_objectivs",), "no comparison is called 'pretraining_objectivs'; did you mean"),
        (("mine.toml",), "there is no file mine.toml"),
        ((SHIPPED,), "--data names the folder they are in"),
        ((SHIPPED, "--data", tmp_path), "there is no file"),
        ((small, "--data", data, "--minutes", 0), "--minutes 0: give a time above 0"),
    ):
        refused = run("compare", *words, "--out", tmp_path / "out")
        assert refused.status == 1 and said in refused.err, refused.err
    other = tmp_path / "small.toml"
    other.write_text(SMALL.replace("steps = 3", "steps = 4"))
    refused = run("compare", other, "--data", data, "--out", compared, "--resume")
    assert refused.status == 1 and "comparison.tunings.0.steps was 3" in refused.err and "is 4 now" in refused.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused = run("compare", small, "--data", data, "--out", tmp_path / "full", "--overwrite")
    assert refused.status == 1 and "is not a comparison's folder" in refused.err


def test_a_damaged_result_is_named(compared: Path, data: Path, small: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(compared, tmp_path / "out"))
    path = next(out.glob("*/*/mood-6-seed-0.json"))
    path.write_text('{"metric": "accuracy"}')
    with pytest.raises(DamagedFile, match=r"mood-6-seed-0.json: .*remove it, and its part is done again"):
        compare(read_comparison(small), data, out, resume=True)


def test_only_some_tasks_have_made_examples(small: Path, tmp_path: Path) -> None:
    comparison = read_comparison(small)
    tunings = (replace(comparison.tunings[0], task="regress"),)
    with pytest.raises(ValueError, match="no examples of the task regress are made here"):
        compare(replace(comparison, tunings=tunings), None, tmp_path / "out", debug=True)


# --------------------------------------------------------------------------------------------------------------- parts


def test_a_comparison_can_be_copied_listed_and_written_as_json(tmp_path: Path, small: Path) -> None:
    done = good("cp", SHIPPED, tmp_path / "mine.toml")
    assert "weft compare" in done.out
    mine = find_comparison(str(tmp_path / "mine.toml"))
    assert replace(mine, name=SHIPPED) == find_comparison(SHIPPED)
    assert f"weft compare {tmp_path / 'mine.toml'}" in (tmp_path / "mine.toml").read_text()
    assert "there already" in run("cp", SHIPPED, tmp_path / "mine.toml").err
    assert "a file of TOML" in run("cp", SHIPPED, tmp_path / "mine.py").err
    assert SHIPPED in good("list", "--json").data["comparisons"]
    pair = {"family": "bert", "objective": "masked"}
    data = {"candidates": [{"name": "a", **pair}, {"name": "b", **pair, "model": {"position": "rope"}}]}
    (tmp_path / "two.json").write_text(json.dumps(data))
    two = find_comparison(str(tmp_path / "two.json"))
    two.check()
    assert two.candidates == (Candidate("a", **pair), Candidate("b", **pair, model={"position": "rope"}))
    assert two.recipe(two.candidates[1], steps=1, seed=0).model.position is not None


def test_a_tuning_is_as_long_as_its_epochs_or_its_least_steps() -> None:
    comparison = find_comparison(SHIPPED)
    tuning = replace(comparison.tunings[1], epochs=2.0, steps=50, train={"batch": 10})
    begin, folder = Path("a"), Path("sets")

    def steps(count: int) -> int:
        made = tuning_of(tuning, comparison.candidates[3], begin=begin, folder=folder, count=count, of=1000, seed=5)
        assert made.pooling == "last" and made.train.seed == 5 and made.data == folder / "sst2" / "train.tsv.gz"
        assert made.train.evaluate_every == made.train.steps  # no checkpoint is chosen by what is reported
        return made.train.steps

    assert [steps(count) for count in (100, 300, 0)] == [50, 60, 200]
    tags = replace(tuning, task="tag")  # a tag is read from its own word's state, whatever is said of whole rows
    whole = tuning_of(tags, comparison.candidates[3], begin=begin, folder=folder, count=9, of=9, seed=0)
    assert whole.pooling is None


def test_values_of_a_file_are_read_as_words_of_a_command_are() -> None:
    assert [as_text(value) for value in (1, 0.5, True, "rope", ["a", 2])] == ["1", "0.5", "True", "rope", "a,2"]


def test_a_comparison_needs_two_candidates() -> None:
    with pytest.raises(ValueError, match="needs two candidates or more, and one has 1"):
        Comparison("one", (Candidate("a", "bert", "masked"),)).check()
