"""Episodes: from files and from play to rows that any seed gives again, as a run, and acting in a world."""

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given
from hypothesis import strategies as st

from weft.batch import Place
from weft.data.signals import EpisodeSettings, Steps, Windows, prepare_episodes, read_processor
from weft.data.signals.controllers import CONTROLLERS
from weft.data.signals.episodes import Episode, Episodes, checked, joined, read_episodes, write_episodes
from weft.data.signals.played import play
from weft.data.signals.steps import Scaling, fitted
from weft.data.signals.worlds import open_world
from weft.hub import load
from weft.models import Blueprint
from weft.recipes import rollouts

CONFIG = Blueprint.of("decision_transformer", "debug").config


def episodes(*lengths: int, discrete: bool = False, seed: int = 0) -> list[Episode]:
    draw, made = np.random.default_rng(seed), list[Episode]()
    for length in lengths:
        actions = draw.integers(0, 3, length) if discrete else draw.uniform(-2, 2, (length, 1)).astype(np.float32)
        states = draw.normal(3, 2, (length, 2)).astype(np.float32)
        made.append(Episode(states, actions, draw.normal(size=length)))
    return made


def processor_of(found: Episodes, **changes: Any) -> Steps:
    return fitted(found, Scaling(), **({"window": 4, "returns": True} | changes))


# ------------------------------------------------------------------------------------------------------------- rows


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_the_return_to_go_is_a_reward_and_that_of_the_next_step(lengths: list[int]) -> None:
    found = joined(episodes(*lengths), "here")
    to_go, last = found.to_go, set((found.starts + found.lengths - 1).tolist())
    for step, reward in enumerate(found.rewards):
        after = 0.0 if step in last else to_go[step + 1]
        assert to_go[step] == pytest.approx(reward + after)
    np.testing.assert_allclose(to_go[found.starts], found.returns)


@given(st.integers(0, 50), st.integers(1, 6), st.booleans())
def test_a_window_is_a_stretch_of_an_episode_whatever_is_beside_it(seed: int, window: int, discrete: bool) -> None:
    found = joined(episodes(7, 1, 4, 2, discrete=discrete), "here", 3)
    processor = processor_of(found, window=window)
    data, whole = (
        Windows(found, processor, seed),
        np.concatenate((found.to_go[:, None], found.states, found.actions), 1),
    )
    together = data.batch([Place(2, sample) for sample in range(len(data))])
    assert together.segments is not None and together.order is not None
    for sample in range(len(data)):
        alone = data.batch([Place(2, sample)])
        assert torch.equal(alone.tokens[0], together.tokens[sample])
        there = together.segments[sample] == 1
        times, start = together.order[sample][there], int(found.starts[data.owner[sample]])
        assert 1 <= len(times) <= window and torch.equal(times, times[0] + torch.arange(len(times)))
        assert not there[len(times) :].any() and int(times[-1]) < found.lengths[data.owner[sample]]
        wanted = processor.rows(whole[start + int(times[0]) : start + int(times[-1]) + 1])
        np.testing.assert_array_equal(together.tokens[sample][there].numpy(), wanted)


def test_every_step_is_read_as_often_as_any_other() -> None:
    found = joined(episodes(9, 2, 30), "here")
    data, counts = Windows(found, processor_of(found, window=5), 0), [np.zeros(length) for length in found.lengths]
    for epoch in range(800):
        batch = data.batch([Place(epoch, sample) for sample in range(len(data))])
        assert batch.order is not None and batch.segments is not None
        for sample, owner in enumerate(data.owner):
            counts[owner][batch.order[sample][batch.segments[sample] == 1].numpy()] += 1
    for count in counts:
        assert count.max() / count.min() < 1.15


def test_rows_are_scaled_and_go_back() -> None:
    found = joined(episodes(40, 30), "here")
    processor = processor_of(found)
    rows = processor.rows(np.concatenate((found.to_go[:, None], found.states, found.actions), axis=1))
    np.testing.assert_allclose(rows[:, :3].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(rows[:, :3].std(0), 1, atol=1e-4)
    assert np.abs(rows[:, 3]).max() == pytest.approx(1)
    np.testing.assert_allclose(processor.actions(rows[:, 3:]), found.actions, atol=1e-5)
    blanked = processor_of(found, returns=False).rows(
        np.concatenate((found.to_go[:, None], found.states, found.actions), 1)
    )
    assert not blanked[:, 0].any() and np.array_equal(blanked[:, 1:], rows[:, 1:])


# ------------------------------------------------------------------------------------------------------------ files


def lines(path: Path, parts: list[Episode]) -> Path:
    rows = [{name: getattr(part, name).tolist() for name in ("states", "actions", "rewards")} for part in parts]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("discrete", [True, False])
def test_every_kind_of_file_gives_the_same_episodes(discrete: bool, tmp_path: Path) -> None:
    parts = episodes(3, 1, 5, discrete=discrete)
    write_episodes(tmp_path / "a.npz", parts)
    for path in (tmp_path / "a.npz", lines(tmp_path / "a.jsonl", parts), lines(tmp_path / "a.jsonl.gz", parts)):
        found = read_episodes(path)
        assert [len(one.states) for one in found] == [3, 1, 5]
        for one, other in zip(found, parts, strict=True):
            for name in ("states", "actions", "rewards"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
                assert getattr(one, name).dtype == getattr(other, name).dtype


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("line 1 has 0 steps", {"states": [], "actions": [], "rewards": []}),
        ("states are lists of unlike lengths", {"states": [[1], [1, 2]], "actions": [0, 0], "rewards": [0, 0]}),
        ("2 states, 1 actions and 2 rewards", {"states": [[1], [2]], "actions": [0], "rewards": [0, 0]}),
        ("rewards hold what is no finite number", {"states": [[1]], "actions": [0], "rewards": [float("nan")]}),
        ("states hold what is no finite number", {"states": [["x"]], "actions": [0], "rewards": [0]}),
        (
            "line 1, step 1, number 0 of states is 1e.39",
            {"states": [[1], [1e39]], "actions": [0, 1], "rewards": [0, 0]},
        ),
        ("line 1, step 0 of rewards is -1e.300", {"states": [[1]], "actions": [0], "rewards": [-1e300]}),
        ("step 1 has the action 1000000000", {"states": [[1], [1]], "actions": [0, 10**9], "rewards": [0, 0]}),
        ("step 0 has the action -1", {"states": [[1]], "actions": [-1], "rewards": [0]}),
        ("asked is '1e.40'", {"states": [[1]], "actions": [0], "rewards": [0], "asked": 1e40}),
        ("whole numbers", {"states": [[1]], "actions": [0.5], "rewards": [0]}),
        ("asked is 'much'", {"states": [[1]], "actions": [0], "rewards": [0], "asked": "much"}),
        ("an object with states, actions, rewards", {"states": [[1]], "actions": [0]}),
        ("an object with states, actions, rewards", [1]),
    ],
)
def test_an_episode_that_can_be_none_is_named(said: str, text: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(text) + "\n")
    with pytest.raises(ValueError, match=said) as error:
        read_episodes(path)
    assert "bad.jsonl" in str(error.value)


def test_a_damaged_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    write_episodes(path, episodes(3, 2))
    whole, arrays = path.read_bytes(), dict(np.load(path))
    bad = {
        "no whole .npz": whole[:200],
        "0 steps": arrays | {"lengths": np.array([3, 0, 2])},
        "sum to 6": arrays | {"lengths": np.array([3, 3])},
        "no array 'rewards'": {name: array for name, array in arrays.items() if name != "rewards"},
        "lengths are whole numbers": arrays | {"lengths": np.array([3.0, 2.0])},
        "cannot be read": arrays | {"rewards": np.array([{}] * 5, dtype=object)},
    }
    for said, what in bad.items():
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            np.savez(path, **what)
        with pytest.raises(ValueError, match=said) as error:
            read_episodes(path)
        assert "bad.npz" in str(error.value)
    for gone in ("gone.npz", "gone.txt"):
        with pytest.raises(ValueError, match="gone"):
            read_episodes(tmp_path / gone)


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("none is given", EpisodeSettings()),
        ("there is no file gone.npz", EpisodeSettings(paths=("gone.npz",))),
        ("no world is named", EpisodeSettings(source="played")),
        ("data.held_out=0", EpisodeSettings(held_out=0)),
        ("data.window=0", EpisodeSettings(source="made_episodes", window=0)),
        ("data.targets=1", EpisodeSettings(source="made_episodes", targets=1)),
        ("data.count=0", EpisodeSettings(source="played", world="points", count=0)),
        ("1 episodes 0 are held out", EpisodeSettings(source="played", world="points", count=1)),
    ],
)
def test_settings_that_give_no_rows_are_refused(said: str, settings: EpisodeSettings) -> None:
    with pytest.raises(ValueError, match=said):
        prepare_episodes(settings, CONFIG, None)


def test_episodes_of_another_world_are_refused(tmp_path: Path) -> None:
    write_episodes(tmp_path / "a.npz", episodes(3, 2, 4, 5, 3, 3, 2, 2))
    with pytest.raises(ValueError, match="world=points"):
        prepare_episodes(EpisodeSettings(paths=(str(tmp_path),), world="points"), CONFIG, None)
    with pytest.raises(ValueError, match="unlike|of one kind"):
        joined([*episodes(2), *episodes(2, discrete=True)], "here")
    with pytest.raises(ValueError, match="actions 0 to 2, and there are 0 to 1"):
        joined([Episode(np.ones((3, 2), np.float32), np.array([0, 1, 2]), np.zeros(3))], "here", 2)
    processor = processor_of(joined(episodes(3, 4), "here"))
    other = Episode(np.ones((2, 5), np.float32), np.ones((2, 1), np.float32), np.zeros(2))
    with pytest.raises(ValueError, match="states of 5 numbers, and the model reads 2"):
        processor.steps_of(other, "there")
    with pytest.raises(ValueError, match="an action is one of several"):
        processor.steps_of(episodes(2, discrete=True)[0], "there")


# ----------------------------------------------------------------------------------------------------------- worlds


def test_a_processor_learns_its_world_once(tmp_path: Path) -> None:
    config = Blueprint.of("decision_transformer", "debug", actions="continuous").config
    write_episodes(tmp_path / "a.npz", [checked(one._asdict(), "here") for one in episodes(*range(3, 19))])
    settings = EpisodeSettings(paths=(str(tmp_path / "a.npz"),))
    first = prepare_episodes(settings, config, None).processor
    assert first.world == "" and first.steps == 18
    there = prepare_episodes(replace(settings, world="pushes"), config, first).processor
    assert there == replace(first, world="pushes", steps=20)
    for same in (settings, replace(settings, world="pushes")):
        assert prepare_episodes(same, config, there).processor == there
    with pytest.raises(ValueError, match="data.world=pushes, but the model is to act in elsewhere: leave data.world"):
        prepare_episodes(replace(settings, world="pushes"), config, replace(there, world="elsewhere"))


@pytest.mark.parametrize("name", CONTROLLERS.names())
def test_what_is_played_is_a_function_of_the_seed_and_of_many_qualities(name: str) -> None:
    if name not in ("points", "pushes"):
        pytest.importorskip("gymnasium", reason="its environments are acted in")
    count = 40
    one, again, other = (play(open_world(name), name, count, seed) for seed in (3, 3, 4))
    for field in ("states", "actions", "rewards", "lengths"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    assert not np.array_equal(one.returns, other.returns)
    few = play(open_world(name), name, 5, 3)  # an episode does not hang on how many there are
    np.testing.assert_array_equal(few.returns, one.returns[:5])
    counted, _ = np.histogram(one.returns, 4)
    assert counted.min() >= 1, counted


def test_worlds_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ValueError, match=r"pip install 'weft\[control\]'"):
        open_world("CartPole-v1")
    assert open_world("points").rules.discrete
    with pytest.raises(ValueError, match="nobody here knows how to play elsewhere"):
        play(open_world("points"), "elsewhere", 3, 0)


def test_an_environment_that_is_not_there_or_of_another_kind_is_named() -> None:
    pytest.importorskip("gymnasium", reason="its environments are acted in")
    with pytest.raises(ValueError, match="did you mean CartPole-v1"):
        open_world("CartPol-v1")
    with pytest.raises(ValueError, match=r"actions one of several \(Discrete\)"):
        open_world("Taxi-v4")
    done = weft("train", "cartpole_decision", "--set", "data.world=Nowhere-v0", "--out", "never")
    assert done.status == 1 and "there is no world 'Nowhere-v0'" in done.err and not Path("never").exists()


# ----------------------------------------------------------------------------------------------------------- acting


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("control") / "run"
    good(
        "train",
        "cartpole_decision",
        "--debug",
        "--quiet",
        "--out",
        out,
        "--set",
        "data.rollouts=3",
        *("--set", "data.targets=4"),
    )
    return out


def test_what_is_earned_is_taken_off_what_is_asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(run)
    processor, seen = rollouts.reader_of(model, run), list[np.ndarray]()
    real = rollouts.next_actions

    def watched(model: Any, processor: Steps, steps: np.ndarray, time: int) -> np.ndarray:
        seen.append(steps.copy())
        return real(model, processor, steps, time)

    monkeypatch.setattr(rollouts, "next_actions", watched)
    asked = np.array([7.5])
    got = rollouts.act(model, processor, asked, [5], [np.random.default_rng(0)])
    world = open_world(processor.world)
    state, left = world.begin(5), 7.5
    for number, steps in enumerate(seen):
        assert steps.shape[1] == min(number + 1, processor.window)
        assert steps[0, -1, 0] == pytest.approx(left)
        np.testing.assert_allclose(steps[0, -1, 1:3], state)
        if number + 1 < len(seen):
            taken = seen[number + 1][0, -2, 3:]
            state, reward, _ = world.act(taken)
            left -= reward
    assert len(seen) == 20 and got.shape == (1,)


def test_an_episode_is_the_same_alone_and_beside_others(run: Path) -> None:
    model = load(run)
    processor = rollouts.reader_of(model, run)
    asked, begins = np.array([3.0, 18.0, 9.0]), [1, 2, 3]
    together = rollouts.act(model, processor, asked, begins, [np.random.default_rng(n) for n in begins])
    for row, begin in enumerate(begins):
        alone = rollouts.act(model, processor, asked[row : row + 1], [begin], [np.random.default_rng(begin)])
        assert alone[0] == pytest.approx(together[row], abs=1e-4)


def test_a_run_acts_answers_and_is_judged(run: Path, tmp_path: Path) -> None:
    found = json.loads((run / "report.json").read_text())
    assert {"spearman", "highest_return"} == found["metrics"].keys()
    reads = read_processor(run)
    assert reads is not None and isinstance(reads.processor, Steps) and reads.processor.world == "points"
    first, again = (good("eval", run, "--seeds", "0,5").out for _ in range(2))
    assert first == again and first.count("returns asked in points") == 2
    assert f"{found['metrics']['spearman']['value']:.4g}" in first  # a run acts with seed 0
    scored = good("eval", run, "--json").data
    assert scored["spearman"] == pytest.approx(found["metrics"]["spearman"]["value"])
    world = play(open_world("points"), "points", 6, 9)
    parts = [
        Episode(states, actions.argmax(1), rewards)
        for states, actions, rewards in zip(
            *(np.split(part, world.starts[1:]) for part in (world.states, world.actions, world.rewards)), strict=True
        )
    ]
    write_episodes(tmp_path / "more.npz", parts)
    assert 0 <= good("eval", run, "--data", tmp_path / "more.npz", "--json").data["accuracy"] <= 1
    data = lines(
        tmp_path / "more.jsonl", [parts[0]._replace(actions=parts[0].actions[:-1], rewards=parts[0].rewards[:-1])]
    )
    row = json.loads(data.read_text()) | {"asked": 12.5}
    data.write_text(json.dumps(row) + "\n")
    good("predict", run, "--data", data, "--out", tmp_path / "next.jsonl")
    (line,) = [json.loads(text) for text in (tmp_path / "next.jsonl").read_text().splitlines()]
    assert line["asked"] == 12.5 and line["to_go"] == pytest.approx(12.5 - sum(row["rewards"]))
    assert line["step"] == len(parts[0].states) - 1 and line["action"] in range(3)
    assert sum(line["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert "leave --score out" in weft("eval", run, "--data", data).err
    assert "--stride" in weft("eval", run, "--stride", 3).err


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    words = ["train", "cartpole_decision", "--debug", "--quiet", "--out", again, "--set", "data.rollouts=3", "--set"]
    words += ["data.targets=4"]
    good(*words)
    newest = sorted((again / "checkpoints").iterdir())[-1]
    for path in sorted(newest.rglob("*"), reverse=True):
        path.unlink()
    newest.rmdir()
    good(*words, "--resume")
    files = [(folder / "model.safetensors").read_bytes() for folder in (run, again)]
    assert files[0] == files[1]


def test_returns_are_held_against_cloning(run: Path, tmp_path: Path) -> None:
    words = ["--debug", "--quiet", "--set", "train.steps=2", "--set", "data.rollouts=2"]
    cloned = tmp_path / "cloned"
    good("train", "cartpole_cloning", *words, "--out", cloned)
    assert json.loads((cloned / "report.json").read_text())["metrics"].keys() == {"mean_return"}
    good("train", "cartpole_decision", *words, "--set", f"data.against={cloned}", "--out", tmp_path / "run")
    scored = good("eval", tmp_path / "run", "--json").data
    assert {"spearman", "highest_return", "above_cloning"} < scored.keys()
    done = weft("train", "cartpole_cloning", *words, "--set", f"data.against={run}", "--out", tmp_path / "no")
    assert done.status == 0  # what clones is held against nothing
    done = weft("train", "cartpole_decision", *words, "--set", f"data.against={run}", "--out", tmp_path / "other")
    assert "is asked for returns" in done.err


def test_sizes_are_the_datas_and_others_are_refused(run: Path, tmp_path: Path) -> None:
    assert (load(run).config.state, load(run).config.action, load(run).config.context) == (2, 3, 40)
    done = weft("train", "decision_transformer", "--debug", "--set", "model.state=7", "--out", tmp_path / "no")
    assert "model.state=7, but of the episodes it is 2: leave model.state out" in done.err
    write_episodes(tmp_path / "a.npz", [checked(one._asdict(), "here") for one in episodes(*range(3, 20))])
    good("train", "decision_transformer", "--debug", "--quiet", "--data", tmp_path / "a.npz", "--out", tmp_path / "own")
    said = weft("eval", tmp_path / "own").err
    assert "nobody said what world" in said and "CartPole" not in said and "states are 2 numbers" in said
    other = [Episode(np.tile(one.states, 2)[:, :3], one.actions, one.rewards) for one in episodes(*range(3, 20))]
    write_episodes(tmp_path / "three.npz", other)
    words = ("train", tmp_path / "own", "--data", tmp_path / "a.npz", "--quiet", "--set", "train.steps=1")
    acts = ("--set", "data.rollouts=2", "--set", "data.targets=2", "--set", "data.world=pushes")
    good(*words, *acts, "--out", tmp_path / "acts")  # where no world was known, one may be named
    assert "returns asked in pushes" in good("eval", tmp_path / "acts").out
    words = ("train", "decision_transformer", "--debug", "--quiet", "--set", "train.steps=1")
    good(*words, "--data", tmp_path / "three.npz", "--out", tmp_path / "three")
    done = weft("train", tmp_path / "three", "--debug", "--quiet", "--out", tmp_path / "more")
    assert done.status == 1 and "name data of its own kind, --data" in done.err
    assert good("eval", tmp_path / "own", "--data", tmp_path / "a.npz", "--json").data["mse"] > 0
    assert (
        "give it episodes of its own world"
        in weft("predict", run, "--data", tmp_path / "a.npz", "--out", tmp_path / "x").err
    )
    done = weft("train", run, "--data", tmp_path / "a.npz", "--out", tmp_path / "more", "--quiet")
    assert done.status == 1 and "in the model's" in done.err


def test_text_is_still_scored_on_data_alone(tmp_path: Path) -> None:
    done = weft("eval", tmp_path)
    assert done.status == 2 and "Missing option '--data'" in " ".join(done.err.split())
