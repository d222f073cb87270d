"""Series as a run: tables split by time, rows that ask for what is held out, and what is simpler than a model."""

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given, settings
from hypothesis import strategies as st

import weft as library
from weft.batch import IGNORED, Place
from weft.data.signals.stretches import Stretches, held_out, learned
from weft.data.signals.tables import SeriesSettings, filled, prepare_series
from weft.evaluate.forecasts import Autoregression, autoregression, line_between
from weft.models import Blueprint
from weft.models.forecasting import Autoregressive, Between
from weft.nn import Layout
from weft.objectives import OBJECTIVES
from weft.objectives.series import Told

TINY = ("--set", "model.size=debug", "--set", "train.batch=4", "--set", "train.kernel=eager", "--quiet")
FOUR = ("--set", "model.context=16", "--set", "model.lags=4", "--set", "train.steps=4")


def table(path: Path, count: int = 90, columns: tuple[str, ...] = ("a", "b")) -> Path:
    """Waves with noise."""
    draw, at = np.random.default_rng(1), np.arange(count)[:, None]
    values = 50 + 9 * np.sin(at * np.array([0.4, 0.7])[: len(columns)]) + draw.normal(0, 1, (count, len(columns)))
    lines = [",".join(columns), *(",".join(f"{number:.4f}" for number in row) for row in values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def asked(data: Stretches) -> list[int]:
    """The place in the series of every label, row by row."""
    found = list[int]()
    for number in range(len(data)):
        labels = data.batch([Place(0, number)]).labels
        assert labels is not None
        found += [int(data.starts[number]) + place for place in (labels[0] != IGNORED).nonzero()[:, 0].tolist()]
    return found


@given(st.integers(4, 60), st.integers(2, 20), st.integers(0, 1), st.sampled_from([0.0, 0.5]), st.data())
def test_what_is_held_out_is_asked_once(count: int, length: int, ahead: int, past: float, data: Any) -> None:
    length = min(length, count)
    first, values = data.draw(st.integers(max(1, ahead), count - 1)), np.random.randn(count, 2).astype(np.float32)
    rows = held_out(values, first, length, ahead=ahead, past=past)
    assert asked(rows) == list(range(first - ahead, count - ahead))
    batch = rows.batch([Place(0, 0)])
    assert torch.equal(batch.tokens[0], torch.from_numpy(values[rows.starts[0] :][:length]))
    assert len(held_out(values, first, length, ahead=ahead, past=past, times=3)) == 3 * len(rows)
    whole = learned(values, length, ahead=ahead, past=past)
    assert len(whole) == count - length + 1 and set(asked(whole)) <= set(range(count - ahead))
    assert max(asked(whole)) == count - 1 - ahead and min(asked(whole)) == 0


def test_nothing_of_what_is_held_out_is_trained_on(tmp_path: Path) -> None:
    path = table(tmp_path / "some.csv")
    whole = prepare_series(SeriesSettings(paths=(str(path),), held_out=0.2))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:73], *["1e6,-1e6"] * 18]) + "\n")
    other = prepare_series(SeriesSettings(paths=(str(path),), held_out=0.2))
    assert whole.split == other.split == 72 and whole.processor == other.processor
    sides = [one.learned(16, ahead=1, past=0.5) for one in (whole, other)]
    places = [Place(0, number) for number in range(len(sides[0]))]
    assert torch.equal(sides[0].batch(places).tokens, sides[1].batch(places).tokens)
    np.testing.assert_allclose(whole.values[:72].mean(axis=0), 0, atol=1e-5)


def test_missing_values_are_filled_from_before_or_refused(tmp_path: Path) -> None:
    values = np.array([[np.nan], [1.0], [np.nan], [3.0], [np.nan]])
    found = filled(values, ("a",))
    assert found.values.tolist() == [[1], [1], [1], [3], [3]] and (~found.known).sum() == 3
    assert "3 missing values are as the last one before them, 1 before any other as the first" in found.said()
    with pytest.raises(ValueError, match="'a' has no value"):
        filled(values[:1], ("a",))
    path = table(tmp_path / "some.csv", columns=("a",))
    lines = path.read_text().splitlines()
    lines[4], lines[73], lines[74], lines[80] = '""', '""', '""', '""'  # the held-out part begins with two
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="line 5: 'a' is empty .*data.missing=last"):
        prepare_series(SeriesSettings(paths=(str(path),)))
    found = prepare_series(SeriesSettings(paths=(str(path),), held_out=0.2, missing="last"))
    assert found.notices == (
        "4 missing values, 3 of them held out, are as the last one before them; none of them is scored",
    )
    assert found.split == 72 and (found.values[[72, 73]] == found.values[71]).all()  # not from the future
    held = found.held_out(16, ahead=1, past=0.5, times=1)
    assert sorted({*range(71, 89)} - {*asked(held)}) == [71, 72, 78]  # the places that are followed by a filled one
    assert asked(found.learned(16, ahead=1, past=0.5)).count(2) == 0
    for first, last in ((1, 73), (73, 91)):
        gone = [line if not first <= number < last else '""' for number, line in enumerate(lines)]
        path.write_text("\n".join(gone) + "\n")
        with pytest.raises(ValueError, match=r"'a' has no value in the first 72|last 18 rows.* have no value"):
            prepare_series(SeriesSettings(paths=(str(path),), held_out=0.2, missing="last"))


@pytest.mark.parametrize("name", ["next_vector", "masked_vectors"])
def test_what_is_missing_is_never_asked_number_by_number(name: str) -> None:
    objective, draw = OBJECTIVES.get(name)(), np.random.default_rng(0)
    assert isinstance(objective, Told)
    values, known = draw.normal(size=(60, 2)).astype(np.float32), draw.random((60, 2)) < 0.6
    module = Blueprint.of("series", "debug", channels=2, tasks=[objective.asks]).build(seed=1).eval()
    if name == "masked_vectors":
        module = Blueprint.of("series", "debug", channels=2, looks="both", tasks=["hidden"]).build(seed=1).eval()

    def losses(values: np.ndarray, module: torch.nn.Module) -> tuple[float, int, float | None]:
        rows = held_out(values, 20, 12, ahead=objective.ahead, past=objective.past, known=known)
        data = objective.turn_signals(rows, 0)
        batch = data.batch([Place(0, number) for number in range(len(rows))])
        loss = objective.losses(module, batch)["loss"]
        assert loss.count == objective.counts(batch)["loss"]
        return float(loss.sum.detach()), loss.count, objective.constant(module, [batch])

    one, deaf = losses(values, module), copy.deepcopy(module)
    for weights in deaf.parameters():
        weights.data.zero_()  # it tells 0, whatever it reads: what missing numbers are filled by is read
    others = np.where(known, values, 50 * draw.normal(size=values.shape)).astype(np.float32)
    assert losses(others, deaf) == pytest.approx(losses(values, deaf), rel=1e-5)
    assert losses(others, module)[1:] == pytest.approx(one[1:], rel=1e-5)
    rows = held_out(values, 20, 12, ahead=objective.ahead, past=objective.past, known=known)
    batch = objective.turn_signals(rows, 0).batch([Place(0, number) for number in range(len(rows))])
    vectors, places = objective.wanted(batch)
    which = objective.known(batch)
    assert which is not None
    told = module.logits(module(batch.tokens)[0])[places].detach()  # type: ignore[operator]
    squares = (told - vectors[places]).square().numpy()
    means = [row[there].mean() for row, there in zip(squares, which[places].numpy(), strict=True)]
    assert one[0] == pytest.approx(sum(means), rel=1e-4) and one[1] == len(means) and one[2] is not None


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("one file", {"paths": ()}),
        ("one file", {"paths": ("a.csv", "b.csv")}),
        ("line 3: 'b' 'word' is no finite number", {}),
        ("no column 'c'", {"columns": ("c",)}),
        ("held_out=1", {"held_out": 1.0}),
    ],
)
def test_what_is_no_series_is_named(said: str, changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,word\n")
    with pytest.raises(ValueError, match=said):
        prepare_series(replace(SeriesSettings(paths=(str(tmp_path / "bad.csv"),)), **changes))


def test_too_few_rows_are_named(tmp_path: Path) -> None:
    done = weft("train", "series", "--data", table(tmp_path / "few.csv", 12), "--out", tmp_path / "run", *TINY, *FOUR)
    assert done.status == 1 and "12 rows" in done.err and "model.context" in done.err
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------- what is simpler


def test_least_squares_find_the_autoregression_that_made_a_series() -> None:
    draw, weights = np.random.default_rng(0), np.array([[[0.5, 0.2], [0.0, 0.4]], [[-0.3, 0.0], [0.1, 0.2]]])
    rows = [np.ones(2), np.zeros(2)]
    for _ in range(4000):
        rows.append(np.array([0.3, -0.1]) + weights[0] @ rows[-1] + weights[1] @ rows[-2] + draw.normal(0, 0.1, 2))
    values = np.stack(rows)
    found = autoregression(values, most=4)
    assert not found.apart and found.order in (2, 3, 4)
    np.testing.assert_allclose(found.weights[:2], weights, atol=0.06)
    exact = Autoregression(weights, np.array([0.3, -0.1]), False)
    told = exact.told(values, 5)
    np.testing.assert_allclose(told[0], exact.bias + weights[0] @ values[4] + weights[1] @ values[3])
    assert exact.error(values, 2000) == pytest.approx(0.01, rel=0.1)
    apart = Autoregression.fit(values, 2, apart=True)
    assert (apart.weights[:, 0, 1] == 0).all() and apart.title.endswith("of each column")
    one = Autoregression.fit(values[:, :1], 2)
    np.testing.assert_allclose(apart.weights[:, 0, 0], one.weights[:, 0, 0])
    for wrong in (lambda: Autoregression.fit(values[:3], 3), lambda: autoregression(values[:7])):
        with pytest.raises(ValueError, match="rows"):
            wrong()


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 3))
def test_a_model_can_begin_as_any_autoregression(channels: int, order: int, more: int) -> None:
    draw = np.random.default_rng(order)
    linear = Autoregression(draw.normal(size=(order, channels, channels)), draw.normal(size=channels), False)
    part, values = Autoregressive(channels, order + more), draw.normal(size=(12, channels))
    part.begin(torch.from_numpy(linear.weights), torch.from_numpy(linear.bias))
    told = part(torch.from_numpy(values[None]).float(), Layout())[0]
    np.testing.assert_allclose(told[order - 1 : -1].detach().numpy(), linear.told(values, order), atol=1e-4)
    part.reset()
    rows = torch.from_numpy(values[None]).float()
    assert torch.equal(part(rows, Layout()), rows)


@given(st.lists(st.booleans(), min_size=3, max_size=12))
def test_the_line_between_is_that_of_the_definition(hidden: list[bool]) -> None:
    gaps = np.array([hidden])
    rows = np.random.default_rng(0).normal(size=(1, len(hidden), 2)).astype(np.float32) + 3
    seen = torch.from_numpy(np.where(gaps[..., None], 0, rows))
    found = Between()(seen, Layout())
    np.testing.assert_allclose(found.numpy(), line_between(seen.numpy(), gaps), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("tasks", "reads"), [("next", "values"), ("next", "rises"), ("hidden", "values")])
def test_documents_and_padding_are_kept_apart(tasks: str, reads: str) -> None:
    blueprint = Blueprint.of("series", "debug", tasks=[tasks], reads=reads, lags=3)
    module = blueprint.build(seed=1).eval()
    for parameter in module.parameters():
        parameter.normal_(std=0.3)
    rows = torch.randn(1, 9, 3)
    alone = [module.logits(module(part)[0]) for part in (rows[:, :4], rows[:, 4:])]  # type: ignore[operator]
    packed = Layout(segments=torch.tensor([[1] * 4 + [2] * 5]))
    both = module.logits(module(rows, packed)[0])  # type: ignore[operator]
    torch.testing.assert_close(both, torch.cat(alone, dim=1), atol=1e-4, rtol=1e-4)
    if tasks == "next":
        changed = rows.clone()
        changed[:, 6] += 1.0
        after = module.logits(module(changed)[0])  # type: ignore[operator]
        assert torch.equal(after[:, :6], module.logits(module(rows)[0])[:, :6])  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------------------ as a run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("series")
    done = good("train", "series", "--data", table(root / "some.csv"), "--out", root / "run", *TINY, *FOUR)
    assert "linear autoregression" in done.out and "the last value" in done.out and "squared error" in done.out
    return root / "run"


def test_a_run_says_what_is_simpler_and_resumes_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    words = ("train", "series", "--data", run.parent / "some.csv", *TINY, *FOUR, "--set", "train.checkpoint_every=2")
    for folder in ("whole", "again"):
        good(*words, "--out", tmp_path / folder)
    for step in sorted((tmp_path / "again" / "checkpoints").iterdir())[-1:]:
        for path in sorted(step.rglob("*"), reverse=True):
            path.unlink()
        step.rmdir()
    good(*words, "--out", tmp_path / "again", "--resume")
    files = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("whole", "again")]
    assert files[0] == files[1]


def test_a_model_that_is_not_trained_is_the_autoregression(tmp_path: Path) -> None:
    data = table(tmp_path / "some.csv", 120)
    none = (
        "--set",
        "train.rate=1e-12",
        "--set",
        "train.steps=1",
        "--set",
        "model.lags=16",
        "--set",
        "model.context=40",
    )
    good("train", "series", "--data", data, "--out", tmp_path / "run", *TINY, *none)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (linear,) = (value for name, value in report["baselines"].items() if "linear" in name)
    assert report["figures"]["loss"] == pytest.approx(linear, rel=1e-3)


def test_what_follows_is_predicted_row_by_row_and_ahead(run: Path, tmp_path: Path) -> None:
    data, found = run.parent / "some.csv", tmp_path / "found.jsonl"
    good("predict", run, "--data", data, "--out", found)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(2, 90 + 1 + 12))
    assert lines[0]["was"] == {name: pytest.approx(float(number)) for name, number in zip(
        ("a", "b"), data.read_text().splitlines()[2].split(","), strict=True
    )}  # fmt: skip
    assert "was" not in lines[-1]
    good("predict", run, "--data", data, "--out", found, "--score", "--overwrite")
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    errors = [line["told"]["a"] - line["was"]["a"] for line in lines if "was" in line]
    report = json.loads((run / "report.json").read_text())["figures"]
    done = good("eval", run, "--data", data, "--json")
    scored = done.data
    assert "the 9 of 90 rows that the run held out" in done.err and scored["examples"] == 9
    assert scored["a"] == pytest.approx(np.sqrt(np.square(errors).mean()), rel=1e-3)
    assert scored["squared_error"] == pytest.approx(report["loss"], rel=1e-3)
    data.rename(tmp_path / "moved.csv")  # and is no longer known
    scored = good("eval", run, "--data", tmp_path / "moved.csv", "--json").data
    data = (tmp_path / "moved.csv").rename(data)
    assert scored["examples"] == 89
    good("generate", run, "--prompt", data, "--out", tmp_path / "ahead.csv", "--tokens", 3)
    rows = (tmp_path / "ahead.csv").read_text().splitlines()
    assert rows[0] == "a,b" and len(rows) == 4
    assert [float(number) for number in rows[1].split(",")] == pytest.approx(list(lines[9]["told"].values()), rel=1e-5)
    text = data.read_text().splitlines()
    data_again = tmp_path / "longer.csv"
    data_again.write_text("\n".join([*text, rows[1]]) + "\n")
    good("generate", run, "--prompt", data_again, "--out", tmp_path / "next.csv", "--tokens", 1)
    after = (tmp_path / "next.csv").read_text().splitlines()[1]
    assert [float(number) for number in after.split(",")] == pytest.approx(
        [float(number) for number in rows[2].split(",")], rel=1e-4
    )


def test_bad_tables_and_words_are_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,word\n")
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text("a,c\n1,2\n3,4\n")
    for name, said in (("bad", "'b' 'word'"), ("one", "1 row"), ("other", "no column 'b'")):
        words = ("--data", tmp_path / f"{name}.csv", "--out", tmp_path / "found.jsonl")
        assert said in weft("predict", run, *words).err
    assert "written as .csv" in weft("generate", run, "--out", tmp_path / "x.txt").err
    assert "--prompt FILE.csv" in weft("generate", run, "--out", tmp_path / "x.csv").err


def test_what_is_missing_is_not_scored(run: Path, tmp_path: Path) -> None:
    rows = (run.parent / "some.csv").read_text().splitlines()
    rows[40] = rows[40].split(",")[0] + ","
    (tmp_path / "gaps.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "empty.csv").write_text("\n".join([*rows[:2], ","]) + "\n")
    done = good("predict", run, "--data", tmp_path / "gaps.csv", "--out", tmp_path / "found.jsonl", "--score")
    assert "1 missing values" in done.err and "none of them is scored" in done.err
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert lines[38]["was"]["b"] is None and lines[38]["was"]["a"] is not None
    errors = {name: [line["told"][name] - line["was"][name] for line in lines if "was" in line and line["was"][name]]
              for name in ("a", "b")}  # fmt: skip
    assert [len(found) for found in errors.values()] == [89, 88]
    scored = good("eval", run, "--data", tmp_path / "gaps.csv", "--json").data
    for name, found in errors.items():
        assert scored[name] == pytest.approx(np.sqrt(np.square(found).mean()), rel=1e-3)
    assert "nothing to score" in weft("eval", run, "--data", tmp_path / "empty.csv").err
    assert "of 89 rows" in good("eval", run, "--data", tmp_path / "gaps.csv").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tokens", 0), "--tokens 0, but at least 1"),
        (("--tokens", -3), "--tokens -3"),
        (("--temperature", 0.5), "--temperature 0.5 is not heard by models of series, and --prompt, --tokens are"),
        (("--top-k", 3), "leave --top-k out"),
        (("--seed", 3), "leave --seed out"),
        (("--guidance", 3), "leave --guidance out"),
        (("--count", 2), "leave --count out"),
        (("--count", 0), "--count 0, but at least 1 is made"),
    ],
)
def test_what_no_series_hears_is_refused(run: Path, words: tuple[Any, ...], said: str, tmp_path: Path) -> None:
    made = weft("generate", run, "--prompt", run.parent / "some.csv", "--out", tmp_path / "x.csv", *words)
    assert made.status == 1 and said in made.err and not (tmp_path / "x.csv").exists()


def test_what_is_asked_of_another_model_says_why(run: Path, tmp_path: Path) -> None:
    data = run.parent / "some.csv"
    assert "--column is of text" in weft("eval", run, "--data", data, "--column", "a").err
    said = weft("train", run, "--data", data, "--objective", "masked_vectors", "--out", tmp_path / "no").err
    assert "asks a head 'hidden'" in said and "it has 'next'" in said and "choose a family" not in said
    said = weft("train", run, "--debug", "--out", tmp_path / "no").err
    assert "cannot go on with what data.source=made_series makes on the spot: name data of its own kind, --data" in said
    assert not (tmp_path / "no").exists()
    (tmp_path / "huge.csv").write_text(data.read_text().replace("\n", "\n1e39,1\n", 1))
    said = weft("predict", run, "--data", tmp_path / "huge.csv", "--out", tmp_path / "x.jsonl").err
    assert "huge.csv, line 2: 'a' '1e39' is beyond the 3.4e+38 that are read" in said
    (tmp_path / "data").mkdir()
    inside = tmp_path / "data" / "some.csv"
    inside.write_text(data.read_text())
    for reads in (inside, tmp_path / "data"):
        said = weft("predict", run, "--data", reads, "--out", inside, "--overwrite").err
        assert "what is read" in said and inside.read_text() == data.read_text()
    said = weft("generate", run, "--prompt", inside, "--out", inside, "--overwrite").err
    assert "what is read" in said and inside.read_text() == data.read_text()


def test_hidden_rows_are_told_and_held_against_the_line(tmp_path: Path) -> None:
    words = ("--debug", "--objective", "masked_vectors", *TINY[2:], *FOUR)
    data = table(tmp_path / "some.csv")
    done = good("train", "series", "--data", data, "--out", tmp_path / "run", *words)
    assert "the line between neighbours" in done.out
    assert library.load(tmp_path / "run").config.tasks == ("hidden",)
    said = weft("predict", tmp_path / "run", "--data", data, "--out", tmp_path / "found.jsonl").err
    assert "tells hidden rows" in said


@pytest.mark.skipif(importlib.util.find_spec("statsmodels") is None, reason="statsmodels is not installed")
def test_the_sets_of_statsmodels_are_read() -> None:
    found = prepare_series(SeriesSettings(source="statsmodels", paths=("sunspots",)))
    assert len(found.values) == 309 and found.processor.columns == ("SUNACTIVITY",)
    filled_ones = prepare_series(SeriesSettings(source="statsmodels", paths=("co2",), missing="last"))
    assert len(filled_ones.values) == 2284 and "59 missing" in filled_ones.notices[0]
    with pytest.raises(ValueError, match="no set 'sunspot'.*did you mean"):
        prepare_series(SeriesSettings(source="statsmodels", paths=("sunspot",)))
