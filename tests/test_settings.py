"""Settings changed by path, and to JSON and back."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.settings import SettingError, change, from_data, to_data


@dataclass(frozen=True)
class Sgd:
    momentum: float = 0.9


@dataclass(frozen=True)
class Adam:
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = 0.1


@dataclass(frozen=True)
class Lora:
    rank: int
    alpha: float = 1.0


@dataclass(frozen=True)
class Train:
    steps: int = 100
    rate: float = 1e-3
    compile: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    optimiser: Adam | Sgd = field(default_factory=Adam)
    clip: float | None = 1.0

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps={self.steps} must be at least 0")


@dataclass(frozen=True)
class Run:
    train: Train = field(default_factory=Train)
    name: str = "run"
    note: str | None = None
    paths: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    sgd: Sgd | None = None
    lora: Lora | None = None
    towers: dict[str, Sgd] = field(default_factory=dict)
    folder: Path = Path("out")
    seed: int | str = 0
    layers: list[int] = field(default_factory=list)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train.steps", "200", 200),
        ("train.steps", "1e6", 1_000_000),
        ("train.steps", "1_000", 1000),
        ("train.steps", " 12 ", 12),
        ("train.rate", "3e-4", 3e-4),
        ("train.rate", "1", 1.0),
        ("train.compile", "yes", True),
        ("train.compile", "True", True),
        ("train.compile", "0", False),
        ("train.precision", "bf16", "bf16"),
        ("train.clip", "none", None),
        ("train.clip", "0.5", 0.5),
        ("train.optimiser", "Sgd", Sgd()),
        ("train.optimiser.betas", "0.8,0.9", (0.8, 0.9)),
        ("name", "a=b, c", "a=b, c"),
        ("note", "None", None),
        ("note", "hello", "hello"),
        ("paths", "a.txt, b.txt", ("a.txt", "b.txt")),
        ("paths", "", ()),
        ("sizes.wide", "1e3", 1000),
        ("model.width", "384", 384),
        ("model.rate", "1e-3", 1e-3),
        ("model.tied", "true", True),
        ("model.position", "rope", "rope"),
        ("model.rope.theta", "1e4", 1e4),
        ("sgd.momentum", "0.5", 0.5),
        ("sgd", "none", None),
        ("towers.image.momentum", "0.5", 0.5),
        ("folder", "a/b", Path("a/b")),
        ("seed", "3", 3),
        ("seed", "three", "three"),
        ("layers", "1,2", [1, 2]),
    ],
)
def test_a_change_is_typed_by_its_field(path: str, text: str, value: object):
    run = Run()
    found: Any = change(run, path, text)
    assert run == Run()
    for name in path.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_a_change_keeps_the_rest():
    run = change(change(Run(name="kept"), "train.steps", "5"), "model.depth", "2")
    assert change(run, "model.width", "8") == Run(train=Train(steps=5), name="kept", model={"depth": 2, "width": 8})


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("train.stps", "1", "Train has no setting 'stps'; did you mean 'steps'.*it has: steps, rate, compile"),
        ("trian.steps", "1", "Run has no setting 'trian'; did you mean 'train'"),
        ("train.steps", "many", "train.steps=many: the value is a whole number, not 'many'"),
        ("train.steps", "1.5", "a whole number"),
        ("train.steps", "1e999999999", "a whole number"),
        ("train.steps", "nan", "a whole number"),
        ("train.steps", "-1", "train.steps: steps=-1 must be at least 0"),
        ("train.rate", "nan", "a finite number"),
        ("layers", "[1]", r"the value is a whole number each, with commas between, not '\[1\]'"),
        ("train.rate", "inf", "a finite number"),
        ("train.compile", "maybe", "true or false"),
        ("train.precision", "fp23", "did you mean 'fp32'.*one of fp32, bf16"),
        ("train.clip", "tight", "a finite number or none"),
        ("train.optimiser.betas", "0.9", "betas=0.9"),
        ("train.steps.more", "1", "the single value 100 has no 'more' inside"),
        ("train", "1", "set what is inside it: train.steps, train.rate"),
        ("lora.alpha", "2", "Lora cannot do without rank"),
        ("", "1", "no setting ''"),
        ("clip", "1", "Run has no setting 'clip'"),
        ("note.x", "1", "it is none"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(path: str, text: str, message: str):
    with pytest.raises(SettingError, match=message):
        change(Run(), path, text)


def test_settings_are_a_dataclass():
    with pytest.raises(SettingError, match="a dataclass"):
        change({"a": 1}, "a", "2")


finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
trains = st.builds(
    Train,
    steps=st.integers(0, 10**30),
    rate=finite,
    optimiser=st.builds(Adam, betas=st.tuples(finite, finite)) | st.builds(Sgd, momentum=finite),
    clip=st.none() | finite,
)
runs = st.builds(
    Run,
    train=trains,
    name=st.text(),
    note=st.none() | st.text(),
    paths=st.lists(st.text(), max_size=3).map(tuple),
    sizes=st.dictionaries(st.text(), st.integers(), max_size=3),
    model=st.dictionaries(st.text(), plain, max_size=3),
    lora=st.none() | st.builds(Lora, rank=st.integers()),
    towers=st.dictionaries(st.text(), st.builds(Sgd, momentum=finite), max_size=2),
    seed=st.integers() | st.text(),
    layers=st.lists(st.integers(), max_size=3),
)


@given(runs)
def test_to_json_and_back(run: Run):
    text = json.dumps(to_data(run), allow_nan=False)
    assert from_data(Run, json.loads(text)) == run


@given(st.integers(-(10**30), 10**30), finite, st.booleans())
def test_what_is_printed_is_read_back(whole: int, number: float, flag: bool):
    assert change(Run(), "sizes.x", str(whole)).sizes["x"] == whole
    assert change(Run(), "train.rate", repr(number)).train.rate == number
    assert change(Run(), "train.compile", str(flag)).train.compile is flag


@given(st.text())
def test_no_text_does_anything_but_fit_or_be_refused(text: str):
    for path in ("train.steps", "train.rate", "train.compile", "train.precision", "model.x", "seed", "layers", text):
        try:
            change(Run(), path, text)
        except SettingError as error:
            assert path in str(error)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"nam": "x"}, "Run has no setting 'nam'; did you mean 'name'"),
        ({"train": {"stpes": 1}}, "Run.train: Train has no setting 'stpes'"),
        ({"train": {"steps": 1.0}}, "Run.train.steps is a whole number, not 1.0"),
        ({"train": {"steps": True}}, "a whole number, not True"),
        ({"train": {"steps": -1}}, "Run.train: steps=-1 must be"),
        ({"train": {"rate": "fast"}}, "a finite number"),
        ({"train": {"rate": float("nan")}}, "nan"),
        ({"train": {"precision": "fp64"}}, "one of fp32, bf16, not 'fp64'"),
        ({"train": {"optimiser": {"class": "Lion"}}}, "optimiser is"),
        ({"train": 3}, "Run.train is Train, not 3"),
        ({"paths": "a"}, "Run.paths"),
        ({"paths": [1]}, r"Run.paths\[0\] is text, not 1"),
        ({"lora": {"alpha": 1.0}}, "Lora cannot do without rank"),
        ({"train": {"optimiser": {"class": "Adam", "betas": [0.9]}}}, "2 values are needed, not 1"),
        ([], r"Run is Run, not \[\]"),
    ],
)
def test_reading_is_strict(data: Any, message: str):
    with pytest.raises(SettingError, match=message):
        from_data(Run, data)


def test_absent_fields_take_their_defaults():
    assert from_data(Run, {"train": {"steps": 3}}) == Run(train=Train(steps=3))


def test_what_has_no_json_is_not_written():
    with pytest.raises(SettingError, match="Train.rate holds inf"):
        to_data(Train(rate=float("inf")))
    with pytest.raises(SettingError, match="Run.model.x holds a Sgd"):
        to_data(Run(model={"x": Sgd()}))
