"""What a person sees of a run while it goes on, and what is counted for it."""

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TextIO

import pytest
import torch
from counting import Next, Samples
from rich.console import Console
from test_training import BASE, Stranger, go, score

from weft.batch import Batch
from weft.flops import Counter
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import KERNELS, kernels
from weft.objectives import OBJECTIVES
from weft.registry import UnknownName
from weft.training import curve
from weft.training.flops import memory
from weft.training.log import read
from weft.training.loop import train
from weft.training.watch import (
    LiveWatcher,
    NotebookWatcher,
    PlainWatcher,
    Record,
    Several,
    Watcher,
    choose_watcher,
    picture,
)
from weft.training.watch.exporters import exporters
from weft.training.watch.figures import Pace, flops, size, thousands
from weft.training.watch.panel import panel


def record(step: int, **more: Any) -> Record:
    return replace(Record(step, 3.0 / step, {"loss": 3.0 / step}, 1e-3, 1.0, step * 100, 1.0, 7300.0), **more)


class Remembers(Watcher):
    """What it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        self.told.append(("begin", steps, done))

    def step(self, record: Record) -> None:
        self.told.append(("step", record.step))

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        self.told.append(("evaluated", step))

    def close(self) -> None:
        self.told.append(("close",))


def test_where_there_is_no_terminal_there_are_some_twenty_plain_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    watcher = choose_watcher(stream=stream)
    assert isinstance(watcher, PlainWatcher) and type(choose_watcher(silent=True)) is Watcher
    train(Stranger(), Samples(), Next(), replace(BASE, steps=100, keep=1), tmp_path, evaluate=score, watch=watcher)
    text = stream.getvalue()
    assert "step 100/100   loss " in text and "huge not finite" in text and "\x1b" not in text
    assert 20 <= sum(" loss " in line and line.startswith("step") for line in text.splitlines()) <= 50
    assert "FLOP/s" in text and "B   left" in text and "of the peak" not in text  # fp32 was asked for, not measured


def left(how: str) -> TextIO:
    """A stream that nobody reads any more."""
    if how == "a pipe":  # standard error in `weft train … 2>&1 | head`
        reader, writer = os.pipe()
    else:  # a terminal whose window was closed: EIO
        reader, writer = os.openpty()
    stream = os.fdopen(writer, "w")
    os.close(reader)
    if how == "a closed stream":
        stream.close()
    return stream


LISTENERS: dict[str, Callable[[TextIO], Watcher]] = {
    "lines": PlainWatcher,
    "panel": lambda stream: LiveWatcher(Console(file=stream, force_terminal=True, width=80)),
}


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")  # the panel draws in a thread
@pytest.mark.parametrize("how", ["a pipe", "a terminal", "a closed stream"])
@pytest.mark.parametrize("kind", LISTENERS)
def test_nobody_listening_stops_no_run(kind: str, how: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    stream = left(how)
    watcher = LISTENERS[kind](stream)

    def evaluate(module: torch.nn.Module) -> dict[str, float]:
        time.sleep(0.25)  # longer than between two drawings
        return score(module)

    result = train(Stranger(), Samples(), Next(), BASE, tmp_path, evaluate=evaluate, watch=watcher)
    with contextlib.suppress(OSError):
        stream.close()
    assert result.progress.step == BASE.steps
    os.write(1, b"the result\n")  # where results go is as it was
    assert capfd.readouterr().out == "the result\n"


def test_nobody_looking_at_a_notebook_stops_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Display):
        def display(self, shown: dict[str, str], *, raw: bool, display_id: bool) -> "Display":
            return super().display(shown, raw=raw, display_id=display_id)

        def update(self, shown: dict[str, str], *, raw: bool) -> None:
            raise BrokenPipeError("the browser has gone")

    module = ModuleType("IPython.display")
    module.display = Broken().display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    result = train(Stranger(), Samples(), Next(), BASE, evaluate=score, watch=NotebookWatcher())
    assert result.progress.step == BASE.steps


@pytest.mark.parametrize("kind", LISTENERS)
def test_a_stream_that_lacks_a_character_gets_all_the_others(kind: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    with LISTENERS[kind](stream) as watcher:
        watcher.notice("naïve – careful")
        watcher.begin(10, 0, "a model")
        watcher.step(record(1))
        watcher.notice("later")
    said = stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "na?ve ? careful" in said and "a model" in said and "later" in said


def test_a_terminal_that_was_busy_is_heard_again() -> None:
    class Busy(io.StringIO):
        left = 2

        def write(self, text: str, /) -> int:
            self.left -= 1
            if self.left >= 0:
                raise BlockingIOError("busy")
            return super().write(text)

    stream = Busy()
    watcher = PlainWatcher(stream)
    watcher.notice("lost")
    watcher.notice("heard")
    assert stream.getvalue() == "note: heard\n"


def test_the_panel_draws() -> None:
    stream = io.StringIO()
    with LiveWatcher(Console(file=stream, force_terminal=True, width=100)) as watcher:
        watcher.begin(10, 0, "a model", 100.0)
        for number in range(1, 6):
            watcher.step(record(number, gflops=62.0, memory=1_230_000_000))
        watcher.notice("careful [bold]here[/]")
    text = stream.getvalue()
    for words in ("5 of 10", "7.3k tokens/s", "62% of the peak, 62 GFLOP/s", "1.2 GB", "careful [bold]here[/]"):
        assert words in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_panel_fits_into_any_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, record=True)
    pace = Pace(2_000_000, 0, 500.0)
    console.print(panel(pace, width))  # before the first step
    for number in (1, 2, 1_000_000):
        pace.add(record(number, gflops=310.0, memory=10**9))
    console.print(panel(pace, width))
    lines = console.export_text().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines) and "1,000,000 of 2,000,000" in "\n".join(lines)
    assert len(lines) == 8  # two panels of an empty line and three others


def test_what_was_not_counted_is_left_out() -> None:
    pace = Pace(10, 0)
    assert "GFLOP" not in pace.figures() and pace.left() == "-:--"
    pace.add(record(1, gflops=5.0))
    assert "of the peak" not in pace.figures() and "5 GFLOP/s" in pace.figures()
    pace.add(record(2, gflops=9.0, loss=None))
    assert pace.gflops == 9.0 and pace.loss == 3.0  # the first step's speed is not that of the others


def test_numbers_as_people_read_them() -> None:
    assert [thousands(n) for n in (950, 7300, 1.2e6, 7e9)] == ["950", "7.3k", "1.2M", "7.0B"]
    assert [flops(n) for n in (0.05, 412, 1234)] == ["0.05 GFLOP/s", "412 GFLOP/s", "1.2 TFLOP/s"]
    assert [size(n) for n in (None, 412e6, 1.23e9)] == ["", "412 MB", "1.2 GB"]
    assert picture([4, 3, 2, 1], width=4) == "█▆▃▁" and picture([1.0]) == ""


class Display:
    """IPython's display, as far as it is used."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, shown: dict[str, str], *, raw: bool, display_id: bool) -> "Display":
        assert raw and display_id
        self.shown.append(shown)
        return self

    def update(self, shown: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(shown)


def test_a_notebook_has_one_display_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display()
    module = ModuleType("IPython.display")
    module.display = display.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with NotebookWatcher():
        pass  # a run that ends before it begins shows nothing
    assert not display.shown
    with NotebookWatcher() as watcher:
        watcher.notice("read 3 documents")
        assert "step" not in display.shown[-1]["text/html"]
        watcher.begin(4, 0, "<b>a model</b>", 10.0)
        for number in (1, 2, 3):
            watcher.step(record(number, gflops=5.0))
        watcher.evaluated(3, {"loss": 1.25})
        watcher.notice("<script>alert(1)</script>")
    html = display.shown[-1]["text/html"]
    assert "&lt;b&gt;a model" in html and "<script" not in html and "polyline" in html
    assert "50% of the peak" in html and "loss 1.25" in html and "step 3" in display.shown[-1]["text/plain"]
    assert len(display.shown) <= 6


def test_a_notebook_is_recognised_and_needs_no_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert isinstance(choose_watcher(), NotebookWatcher)
    assert isinstance(choose_watcher(stream=io.StringIO()), PlainWatcher)


def test_several_are_told_and_all_are_closed() -> None:
    class Fails(Watcher):
        def close(self) -> None:
            raise OSError("no room")

    first, last = Remembers(), Remembers()
    with pytest.raises(OSError, match="no room"), Several([first, Fails(), last]) as watcher:
        watcher.begin(2, 0, "a model", 1.0)
        watcher.step(record(1))
        watcher.evaluated(1, {})
    assert first.told == last.told == [("begin", 2, 0), ("step", 1), ("evaluated", 1), ("close",)]
    assert isinstance(choose_watcher(silent=True, also=[first]), Several)


class Writer:
    """TensorBoard's SummaryWriter, as far as it is used."""

    made: ClassVar[list[Any]] = []

    def __init__(self, log_dir: str, purge_step: int | None) -> None:
        self.log_dir, self.purge_step, self.closed = log_dir, purge_step, False
        self.points: list[tuple[str, float, int]] = []
        Writer.made.append(self)

    def add_text(self, name: str, text: str, step: int) -> None: ...

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.points.append((name, value, step))

    def close(self) -> None:
        self.closed = True


def test_tensorboard_gets_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    Writer.made.clear()
    watchers = exporters(["tensorboard"], tmp_path, {})
    assert not list(tmp_path.iterdir()) and not Writer.made  # nothing is written before the run begins
    train(Stranger(), Samples(), Next(), BASE, tmp_path, evaluate=score, watch=Several(watchers))
    (writer,) = Writer.made
    assert writer.closed and writer.purge_step is None and writer.log_dir == str(tmp_path / "tensorboard")
    assert [step for name, _, step in writer.points if name == "loss"] == list(range(1, 13))
    names = {name for name, _, _ in writer.points}
    assert {"loss/next", "loss/size", "rate", "speed/gflops", "evaluation/loss"} <= names
    assert "evaluation/huge" not in names  # not finite
    old = tmp_path / "tensorboard" / "events.out.tfevents.1"
    old.parent.mkdir()
    old.touch()
    (again,) = exporters(["tensorboard"], tmp_path, {})
    again.begin(20, 12, "on")
    assert Writer.made[-1].purge_step == 13 and old.exists()
    again.begin(20, 0, "anew")
    assert not old.exists()


def test_weights_and_biases_goes_on_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    points: list[tuple[dict[str, float], int]] = []

    class There:
        def log(self, values: dict[str, float], step: int) -> None:
            points.append((values, step))

        def finish(self) -> None:
            points.append(({}, -1))

    def init(**words: Any) -> There:
        begun.append(words)
        return There()

    fake = ModuleType("wandb")
    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for done in (0, 6, 0):
        (watcher,) = exporters(["wandb"], tmp_path / "run", {"train": {"steps": 12}})
        with watcher:
            watcher.begin(12, done, "a model")
            watcher.step(record(done + 1))
            watcher.evaluated(done + 1, {"loss": 2.0, "huge": None})
    first, second, third = (words["id"] for words in begun)
    assert first == second != third and begun[0]["name"] == "run" and begun[0]["config"] == {"train": {"steps": 12}}
    assert points[0][0]["loss"] == 3.0 and points[1] == ({"evaluation/loss": 2.0}, 1) and points[2] == ({}, -1)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_extra_is_named_with_its_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"{name} is not installed: pip install 'weft\[{name}\]'"):
        exporters([name], tmp_path, {})
    with pytest.raises(UnknownName, match="did you mean 'tensorboard'"):
        exporters(["tensorbord"], tmp_path, {})


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", reading("text"))
def test_counting_changes_no_bit(family: str, kernel: str) -> None:
    """A resumed run counts where a whole one does not: SiLU's gradient has other bits under torch's own counter."""
    blueprint = Blueprint.of(family, "debug").change("dropout", "0.1")
    module = blueprint.build(seed=1).train()
    kernels.use(module, kernel)
    declared = FAMILIES.get(family)
    objective = OBJECTIVES.get(declared.objective)(**declared.terms(blueprint.config))
    tokens = torch.randint(0, blueprint.config.vocab, (3, 21), generator=torch.Generator().manual_seed(3))
    batch = Batch(tokens[:, :-1], tokens[:, 1:], source=Batch(tokens) if objective.pairs else None)

    def gradients(precision: torch.dtype) -> list[torch.Tensor]:
        module.zero_grad()
        torch.manual_seed(5)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            loss = objective.losses(module, batch)["loss"].sum
        loss.backward()
        return [loss.detach(), *(p.grad.clone() for p in module.parameters() if p.grad is not None)]

    for precision in (torch.float32, torch.bfloat16):
        alone = gradients(precision)
        with Counter() as counter:
            counted = gradients(precision)
        assert all(torch.equal(a, b) for a, b in zip(alone, counted, strict=True))
        assert counter.total > 0


def test_operations_are_those_of_the_formula() -> None:
    x, weight = torch.randn(6, 8), torch.randn(5, 8, requires_grad=True)
    with Counter() as counter:
        (x @ weight.T).sum().backward()
    assert counter.total == 2 * (2 * 6 * 8 * 5)  # forward, and the weight's gradient
    q, k = torch.randn(2, 4, 7, 8, requires_grad=True), torch.randn(2, 2, 9, 8)  # four heads on two of keys
    with Counter() as counter:
        out = torch.nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True)
        forward = counter.total
        out.sum().backward()
    assert forward == 2 * 2 * 4 * 7 * 9 * (8 + 8) and counter.total == forward + 2 * 2 * 4 * 7 * 9 * 5 * 8


def test_the_log_holds_operations_and_memory(tmp_path: Path) -> None:
    go(tmp_path, s=replace(BASE, evaluate_every=0))
    lines = [line for line in read(tmp_path / "log.jsonl") if "evaluation" not in line]
    assert all(line["gflops"] > 0 and line["memory"] > 10**7 for line in lines)
    ratios = [line["gflops"] / line["tokens_per_second"] for line in lines]
    assert max(ratios) < 1.01 * min(ratios)  # operations a token: counted once
    assert lines[-1]["memory"] <= (memory(torch.device("cpu")) or 0)  # the most so far


def test_a_compiled_run_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
    watcher: Any = Watcher()
    seen: list[Record] = []
    watcher.step = seen.append
    train(Stranger(), Samples(), Next(), replace(BASE, compile="on"), watch=watcher)
    assert seen and all(record.gflops is None for record in seen)


def test_the_curve_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    go(tmp_path)
    curve.draw(tmp_path / "log.jsonl", tmp_path / "a" / "loss.png", title="t", validation=[(5, 3.0), (10, 2.5)])
    assert (tmp_path / "a" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert [number for number, _ in curve.evaluations(tmp_path / "log.jsonl", "loss")] == [5, 10, 12]
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ValueError, match="no loss yet"):
        curve.draw(tmp_path / "empty.jsonl", tmp_path / "x.png", title="t")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match="pip install"):
        curve.draw(tmp_path / "log.jsonl", tmp_path / "x.png", title="t")


@pytest.mark.parametrize("length", [0, 1, 2, 5000])
def test_a_mean_lies_between_the_values(length: int) -> None:
    values = [float(place % 7) for place in range(length)]
    means = curve.smooth(values)
    assert len(means) == length and all(0 <= mean <= 6 for mean in means)
    assert json.dumps(means)  # plain numbers
