"""The page of a run, and that of several: whole, offline, and safe from what is written on it."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from commands import good, weft

from weft.files import DamagedFile
from weft.training.hardware import hardware
from weft.training.report import PAGE, compare, write_report
from weft.training.report.charts import POINTS, Axis, Chart, Line, draw, powers, short, thinned, ticks
from weft.training.report.facts import flat, read_run
from weft.training.report.markup import EMPTY, Html, h, joined, table

EVIL = '<script>alert("1")</script> & </style> \x00\x1b $body'


class Page(HTMLParser):
    """A page, taken apart: every element is closed where it should be, and what it would fetch is known."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.elements: list[str] = []
        self.charts: list[dict[str, Any]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        self.elements.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "action", "data") or (name == "href" and tag != "a"):
                self.fetched.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.fetched.append(f"{tag} {name}={value}")
            if name == "data-chart":
                self.charts.append(json.loads(value or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in EMPTY
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def page(path: Path) -> Page:
    """A page that must be self-contained."""
    text = path.read_text(encoding="utf-8")
    found = Page(text)
    assert not found.fetched and not re.search(r"url\(|@import|https?://|import\(|fetch\(", text)
    assert "default-src 'none'" in text and found.elements.count("script") == found.elements.count("style") == 1
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of 600 steps, written by hand."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = [
        {"step": n, "loss": 2 + 6 / n, "terms": {"next": 2 + 6 / n, "balance": 0.1}, "rate": 1e-3, "norm": 0.5,
         "tokens": 100 * n, "seconds": 0.5 * n, "tokens_per_second": 200.0, "gflops": 50.0, "memory": 10**9}
        for n in range(1, 601)
    ]  # fmt: skip
    lines[7]["loss"] = None
    for step in (200, 400, 600):
        lines.append({"step": step, "evaluation": {"nats_per_token": 3.0 - step / 1000, "bits_per_byte": None}})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = {"family": EVIL, "config": {"width": 64, "tied": True}, "parts": {"position": None}}
    settings = {"model": model, "data": {"paths": ["a", EVIL]}, "train": {"steps": 600, "rate": 1e-3}}
    (folder / "run.json").write_text(json.dumps({"recipe": EVIL, "settings": settings, "data_digest": "abc"}))
    report = {
        "figures": {"bits_per_byte": 1.5, "nats_per_token": 2.4, "perplexity": 11.0, "tokens": 500.0},
        "baselines": {EVIL: 2.0},
        "samples": [{"prompt": EVIL, "text": EVIL, "translates": True}],
        "decisions": {
            "precision": {"dtype": "bf16", "reason": EVIL, "bf16_gflops": 100.0, "fp32_gflops": 50.0},
            "compile": False, "threads": 2, "processes": 2, "given": {EVIL: "matmul"},
        },
        "data": {"documents": [9, 1], "tokens": [9000, 1000], "digest": "abc"},
        "hardware": {"processor": EVIL}, "notices": [EVIL], "changed": ["train.rate"], "seconds": 300.0,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_the_page_says_everything_and_nothing_in_it_is_markup(run: Path) -> None:
    path = write_report(run)
    assert path == run / PAGE
    found, text = page(path), path.read_text(encoding="utf-8")
    words = "".join(found.words)
    assert words.count('<script>alert("1")</script> & </style> \ufffd\ufffd $body') == 11
    parts = ("1.5", "held-out bits per byte", "25%", "of the machine's matrix peak", "1.0 GB", "5:00", "50 GFLOP/s")
    for part in (*parts, "All 3 evaluations", "9,000 trained on, 1,000 held out", "25.0% of 200 GFLOP/s"):
        assert part in words, part
    assert "<mark>0.001</mark>" in text and "<mark>600</mark>" not in text
    titles = [word for word in found.words if word in ("Loss", "Learning rate", "Losses by name, unweighted")]
    assert titles == ["Loss", "Learning rate", "Losses by name, unweighted"] and len(found.charts) == 5
    names = [line["name"] for line in found.charts[0]["lines"]]
    assert names == ["training", "held out, nats per token"]
    assert found.charts[0]["lines"][1]["points"] == [[200, 2.8], [400, 2.6], [600, 2.4]]
    assert write_report(run) == path  # again: it is ours


def test_a_log_alone_is_enough(run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "report.json"):
        (run / name).unlink()
    words = "".join(page(write_report(run)).words)
    assert "mine" in words and "600 steps, 60,000 tokens" in words and "Settings" not in words
    assert "2.4" in words  # the last evaluation
    (run / "log.jsonl").write_text("")
    assert "Curves" not in "".join(page(write_report(run)).words)
    with pytest.raises(ValueError, match="holds no log.jsonl"):
        write_report(tmp_path)


def test_other_peoples_files_are_not_replaced(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<html>my own</html>")
    with pytest.raises(ValueError, match="is not a page that weft wrote"):
        write_report(run, mine)
    with pytest.raises(ValueError, match="is a folder"):
        write_report(run, tmp_path)
    assert mine.read_text() == "<html>my own</html>"


@pytest.mark.parametrize("name", ["run.json", "report.json", "log.jsonl"])
def test_a_damaged_file_is_named(name: str, run: Path) -> None:
    (run / name).write_text("[1, 2\n")
    with pytest.raises(ValueError, match=name):
        write_report(run)
    if name != "log.jsonl":
        (run / name).write_text("[1, 2]\n")
        with pytest.raises(DamagedFile, match=name):
            write_report(run)


def test_two_runs_are_compared_where_they_differ(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "a b" / "mine"))
    write_report(run)
    facts = json.loads((other / "run.json").read_text())
    facts["settings"]["train"]["rate"] = 2e-3
    (other / "run.json").write_text(json.dumps(facts))
    told = json.loads((other / "report.json").read_text())
    told["figures"]["bits_per_byte"] = 1.25
    (other / "report.json").write_text(json.dumps(told))
    path = compare([run, other, run], tmp_path / "pages" / "both.html")
    found, text = page(path), path.read_text()
    words = "|".join(found.words)
    assert "2 runs compared" in words and "a b/mine" in words and "train.rate|0.001|0.002" in words
    assert "train.steps" not in words and "Elsewhere" not in words and "<b>1.25</b>" in text and "digests" not in words
    assert 'href="../mine/report.html"' in text and text.count("href=") == 1  # the other has no page
    assert len(found.charts) == 6 and all(len(chart["lines"]) == 2 for chart in found.charts)
    facts["data_digest"] = "another"
    (other / "run.json").write_text(json.dumps(facts))
    words = "|".join(page(compare([run, other], path)).words)
    assert "the digests differ" in words and "data digest|abc|another" in words
    assert "<b>1.25</b>" not in path.read_text()
    with pytest.raises(ValueError, match="two folders or more"):
        compare([run, run], path)


def test_data_that_are_not_known_are_not_the_same_data(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    told = json.loads((other / "report.json").read_text())
    told["figures"]["bits_per_byte"] = 1.25
    (other / "report.json").write_text(json.dumps(told))
    assert "<b>1.25</b>" in compare([run, other], tmp_path / "page.html").read_text()  # the same digest in both
    for folder, unknown in ((other, "other"), (run, "mine, other")):  # as weft.train leaves them
        (folder / "run.json").unlink()
        path = compare([run, other], tmp_path / "page.html")
        words = "|".join(page(path).words)
        assert "1.25" in words and "<b>1.25</b>" not in path.read_text()
        assert f"no best is marked: {unknown}|" in words and "the digests differ" not in words


def test_many_runs_have_names_and_lines_of_their_own(run: Path, tmp_path: Path) -> None:
    runs = [Path(shutil.copytree(run, tmp_path / str(n) / "same" / "run")) for n in range(8)]
    text = compare(runs, tmp_path / "all.html").read_text()
    assert "7/same/run" in text and "key s1 dashed" in text


def test_the_command(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    monkeypatch.chdir(tmp_path)
    assert good("report", run).out.strip() == str(run / PAGE)
    assert good("report", run, run, "--out", "x.html").out.strip() == "x.html"
    assert good("report", run, other).out.strip() == "comparison.html"
    page(tmp_path / "comparison.html")
    for words in ((run, other), (run, "--out", "x.html"), (run, other, "--out", "x.html")):
        done = weft("report", *words)
        assert done.status == 1 and ".html is there already: replace it with --overwrite" in done.err
        good("report", *words, "--overwrite")
    (tmp_path / "x.html").write_text("mine")
    done = weft("report", run, "--out", "x.html", "--overwrite")
    assert done.status == 1 and "x.html is not a page that weft wrote" in done.err
    good("report", run)  # a run's own page is written anew
    failed = weft("report", tmp_path / "nowhere")
    assert failed.status == 1 and "is no folder" in failed.err


def test_a_run_leaves_its_page(trained: Path) -> None:
    words = "|".join(page(trained / PAGE).words)
    told = json.loads((trained / "report.json").read_text())
    for part in ("trained on", "torch", "Samples", "Settings", "kernel of", told["data"]["digest"]):
        assert part in words, part
    assert told["samples"] and told["decisions"]["precision"]["dtype"] == "fp32"
    assert {"train.steps", "train.batch", "data.source"} <= set(told["changed"]) and "train.clip" not in told["changed"]
    assert set(flat(json.loads((trained / "run.json").read_text())["settings"])) >= set(told["changed"])


def test_a_stopped_run_has_a_page_that_says_so(stopped: Path) -> None:
    words = "".join(page(stopped / PAGE).words)
    assert "stopped before its end at step 3 of 6: --resume goes on" in words
    assert "Samples" not in words


def test_markup_is_only_what_was_made_as_markup() -> None:
    assert (
        h("p", "a < b", Html("<i>c</i>"), attributes={"title": '"x"'})
        == '<p title="&quot;x&quot;">a &lt; b<i>c</i></p>'
    )
    assert joined(["<", h("br")]) == "&lt;<br/>"
    assert "&lt;td&gt;" in table([["a", "<td>"]])


def test_axes_have_round_numbers() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(3, 3) == [3] and powers(1, 560) == [1, 2, 5, 10, 20, 50, 100, 200, 500]
    assert powers(1, 1e8) == [10.0**power for power in range(9)] and powers(3, 4) == [3, 4]
    assert [short(x) for x in (0, 0.001, 2.5, 1200, 45000, 1.2e6)] == ["0", "0.001", "2.5", "1,200", "45k", "1.2M"]


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(1, 2.0), (2, 2.0)], [(0, -1.0), (5, 3.0)], [(1, 1e-9), (9, 1e9)]])
@pytest.mark.parametrize("logarithmic", [True, False])
def test_any_points_can_be_drawn(points: list[tuple[float, float]], logarithmic: bool) -> None:
    figure = draw(Chart("t", [Line("a", points), Line("none", [])], logarithmic=logarithmic))
    assert bool(figure) is bool(points) and "nan" not in figure and "inf" not in figure


def test_a_long_line_keeps_its_shape_and_its_beginning() -> None:
    line = Line("a", [(n, 1 / n) for n in range(1, 100_001)])
    for logarithmic in (False, True):
        points = thinned(line, Axis(1, 100_000, 0, 600, logarithmic)).points
        assert len(points) <= POINTS and points == tuple(sorted(points))
    assert points[0] == (1, 1) and points[-1][0] > 99_000  # where most happens, a logarithmic axis shows each step


def test_the_machine_is_described() -> None:
    found = hardware()
    assert found["torch"] and found["processor"] and found["cores"] and all(isinstance(v, str) for v in found.values())


def test_the_typical_step_is_not_the_first(run: Path) -> None:
    facts = read_run(run)
    assert facts.typical("tokens_per_second") == 200.0 and facts.typical("nothing") is None
    assert facts.share() == 0.25 and facts.evaluated("bits_per_byte") == []
