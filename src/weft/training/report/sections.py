"""The parts of one run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weft.training.curve import LONG, smooth
from weft.training.report.charts import Chart, Line, draw
from weft.training.report.facts import LIKELIHOOD, Facts
from weft.training.report.markup import Html, folded, h, joined, section, styled, table
from weft.training.watch import clock, size, thousands
from weft.training.watch.figures import flops

BITS = "bits_per_byte"
COUNTS = ("tokens", "bytes")  # figures that say how much was evaluated, and not how well
NOTHING = "(nothing)"  # in the place of an empty text, for people
WORDS = {True: "yes", False: "no", None: "default", "": "–"}


def head(facts: Facts) -> Html:
    """The name, a line on what it is, and whether it is whole."""
    model = facts.settings.get("model.family", "")
    parameters = facts.told.get("parameters")
    said = [
        f"recipe {facts.recipe}" if facts.recipe and facts.recipe != facts.name else "",
        f"a {model} of {thousands(parameters)} parameters" if model and isinstance(parameters, int) else str(model),
        f"{_whole(facts.last('step') or 0)} steps, {_whole(facts.last('tokens') or 0)} {facts.unit}",
        str(facts.told.get("finished", "")),
    ]
    line = styled("p", "quiet", " · ".join(text for text in said if text))
    if facts.stopped is None and not facts.told.get("interrupted"):
        return joined([h("h1", facts.name), line])
    where = "" if facts.stopped is None else " at step {:,} of {:,}".format(*facts.stopped)
    note = f"stopped before its end{where}: --resume goes on"
    return joined([h("h1", facts.name), line, styled("p", "stopped", note)])


def tiles(facts: Facts) -> Html:
    """The figures that a person looks for first."""
    figures, told = facts.figures(), facts.told
    quality = [name for name in (BITS, LIKELIHOOD, "perplexity") if name in figures]
    quality += [name for name in figures if name not in (*quality, *COUNTS)]
    # of a run that was stopped they are not of the weights that it has
    at = "" if facts.stopped is None else f", at step {facts.evaluations[-1]['step']:,}" if facts.evaluations else ""
    shown = [(f"{figures[name]:.4g}", f"held-out {words(name)}{at}") for name in quality[:4]]
    if not quality and (loss := facts.last("loss")) is not None:
        shown.append((f"{loss:.4g}", "training loss, last step"))
    seconds = told.get("seconds") or facts.last("seconds")
    speed, share = facts.typical("tokens_per_second"), facts.share()
    shown += [(clock(seconds), "of training")] if seconds else []
    shown += [(thousands(speed), f"{facts.unit} per second")] if speed else []
    shown += [(f"{share:.0%}", "of the machine's matrix peak")] if share is not None else []
    made = [styled("div", "tile" + (" first" if not place else ""), h("b", value), h("span", name))
            for place, (value, name) in enumerate(shown)]  # fmt: skip
    return styled("div", "tiles", *made) if made else Html()


def baselines(facts: Facts) -> Html:
    """The model beside what needs no training, where both were scored."""
    ours, others = facts.figures().get(BITS), facts.part("baselines")
    if ours is None or not others:
        return Html()
    rows = {"this model": ours} | {str(name): float(value) for name, value in others.items()}
    most = max(rows.values())
    bars = [
        joined([
            h("span", name),
            h("div", attributes={"class": "bar" if place else "bar ours", "style": f"width:{value / most:.2%}"}),
            h("span", f"{value:z.3f}"),
        ])
        for place, (name, value) in enumerate(rows.items())
    ]  # fmt: skip
    note = styled("p", "quiet", "bits per byte of the same held-out text; fewer are better")
    return section("Beside the baselines", styled("div", "bars", *bars), note)


def metrics(facts: Facts) -> Html:
    """What the model's own texts were scored, where they were, and by which definition."""
    found = [(str(name), told) for name, told in facts.part("metrics").items() if isinstance(told, dict)]
    if not found:
        return Html()
    rows = [(words(name), f"{float(told['value']):.2f}", str(told["signature"])) for name, told in found]
    return section("What it wrote of the held-out sources", table(rows, ("metric", "score", "definition")))


def curves(facts: Facts) -> Html:
    """Loss, rate, gradient norm, speed; losses by name where there are several."""
    losses, drawn = facts.series("loss"), []
    means = list(zip((step for step, _ in losses), smooth([loss for _, loss in losses]), strict=True))
    held = next(((name, found) for name in (LIKELIHOOD, "loss") if (found := facts.evaluated(name))), None)
    lines = [Line("each step", losses, 0, "faint"), Line("training", means, 0)]
    if held is not None:
        lines.append(Line(f"held out, {words(held[0])}", held[1], 1, "dots"))
    drawn.append(Chart("Loss", lines, logarithmic=bool(losses) and losses[-1][0] >= LONG))
    drawn.append(Chart("Learning rate", [Line("rate", facts.series("rate"), 3)]))
    drawn.append(Chart("Gradient norm, before clipping", [Line("norm", facts.series("norm"), 4)]))
    drawn.append(
        Chart(f"{facts.unit.capitalize()} per second", [Line(f"{facts.unit}/s", facts.series("tokens_per_second"), 2)])
    )
    drawn += _terms(facts)
    made = [figure for chart in drawn if (figure := draw(chart))]
    return section("Curves", styled("div", "charts", *made)) if made else Html()


def samples(facts: Facts) -> Html:
    """What the model wrote."""
    made = facts.told.get("samples")
    shown = []
    for sample in made if isinstance(made, list) else []:
        between, nothing = (" → ", NOTHING) if sample.get("translates") else ("", "")
        text = str(sample.get("text", "")) or nothing
        shown.append(styled("div", "sample", h("b", str(sample.get("prompt", ""))), between, text))
    return section("Samples", *shown)


def speed(facts: Facts) -> Html:
    """How fast it was, and what it took."""
    gflops, share, peak = facts.typical("gflops"), facts.share(), facts.peak()
    rows = {
        f"{facts.unit} per second": _whole(facts.typical("tokens_per_second")),
        "matrix products": "" if gflops is None else flops(gflops),
        "of the measured peak": f"{share:.1%} of {flops(peak)}" if share is not None else "",
        "memory, at most": size(facts.last("memory")),
        "time in steps": clock(facts.last("seconds") or 0),
    }
    return _facts("Speed", rows)


def data(facts: Facts) -> Html:
    """What was read."""
    told = facts.part("data")
    both = ("documents", "tokens")
    rows = {name: _both(told.get(name)) for name in both}
    rows |= {words(name): as_text(value) for name, value in told.items() if name not in (*both, "digest")}
    return _facts("Data", rows | {"digest": str(told.get("digest") or facts.digest)})


def decisions(facts: Facts) -> Html:
    """What was decided once, by measuring or by request."""
    told = facts.part("decisions")
    precision = told.get("precision")
    rows = {}
    if isinstance(precision, dict):
        rows["precision"] = f"{precision.get('dtype')}: {precision.get('reason')}"
    rows |= {f"kernel of {name}": str(kernel) for name, kernel in (told.get("given") or {}).items()}
    rows |= {name: as_text(told[name]) for name in ("compile", "threads", "processes") if name in told}
    return _facts("Decisions", rows)


def hardware(facts: Facts) -> Html:
    """What it ran on."""
    return _facts("Machine", {name: str(value) for name, value in facts.part("hardware").items()})


def settings(facts: Facts) -> Html:
    """All of them; those that are not at their default are marked."""
    changed = facts.told.get("changed") or ()
    parts: dict[str, list[tuple[str, str]]] = {}
    for name, value in facts.settings.items():
        part, _, rest = name.partition(".")
        shown = h("mark", as_text(value)) if name in changed else as_text(value)
        parts.setdefault(part, []).append((rest, shown))
    columns = [h("div", h("h3", part), table(rows)) for part, rows in parts.items()]
    note = styled("p", "quiet", h("mark", "marked"), " where it is not the default") if changed else ""
    return section("Settings", note, styled("div", "settings", *columns)) if columns else Html()


def notices(facts: Facts) -> Html:
    """What the run had to say."""
    said = facts.told.get("notices")
    listed = [h("li", str(text)) for text in said] if isinstance(said, list) else []
    return section("Notices", h("ul", *listed)) if listed else Html()


def evaluations(facts: Facts) -> Html:
    """Every evaluation, as a table."""
    names = list(dict.fromkeys(name for line in facts.evaluations for name in line["evaluation"]))
    rows = [
        [f"{line['step']:,}", *(as_text(line["evaluation"].get(name)) for name in names)] for line in facts.evaluations
    ]
    return (
        folded(f"All {len(rows)} evaluations", table(rows, ["step", *map(words, names)])) if len(rows) > 1 else Html()
    )


def words(name: str) -> str:
    """A name in words."""
    return name.replace("_", " ")


def as_text(value: Any) -> str:
    """A setting or a figure as people read it."""
    if isinstance(value, bool) or value is None or value == "":
        return WORDS[value]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 1):
        return f"{value:,.0f}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _terms(facts: Facts) -> list[Chart]:
    names = list(dict.fromkeys(name for line in facts.steps for name in line.get("terms") or {}))
    if len(names) < 2:
        return []
    lines = []
    for place, name in enumerate(names):
        points = [(line["step"], line["terms"][name]) for line in facts.steps if name in (line.get("terms") or {})]
        means = smooth([value for _, value in points])
        lines.append(Line(name, list(zip((step for step, _ in points), means, strict=True)), place))
    return [Chart("Losses by name, unweighted", lines)]


def _facts(title: str, rows: Mapping[str, str]) -> Html:
    shown = [(name, value) for name, value in rows.items() if value]
    return section(title, table(shown)) if shown else Html()


def _both(value: Any) -> str:
    """[trained on, held out]."""
    if not isinstance(value, Sequence) or len(value) != 2:
        return ""
    return f"{value[0]:,} trained on, {value[1]:,} held out"


def _whole(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"
