"""`weft tune` and `weft predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

from rich.table import Table

from weft.cli.shared import interval, note, part_line, printer, unheard
from weft.hub import find
from weft.objectives.tasks_head import Pooling
from weft.outputs import check_file
from weft.recipes import tuning as recipes
from weft.recipes.modality import of_folder, reads_signals
from weft.recipes.tuning import USUAL, Columns, Outcome, Tuning
from weft.registry import suggest
from weft.settings import SettingError, change
from weft.training.settings import LENGTHS, TrainSettings
from weft.training.watch import choose_watcher
from weft.training.world import join, leave


def settings(words: Sequence[str]) -> TrainSettings:
    """The usual settings with "train.a=b" applied in turn; one length takes the place of another. SettingError."""
    found = USUAL
    for word in words:
        path, equals, text = (part.strip() for part in word.partition("="))
        head, _, name = path.partition(".")
        if head != "train" or not name or not equals:
            raise SettingError(f"--set {word}: write it as train.a=b, for instance --set train.warmup=50")
        if name in ("best", "highest"):
            raise SettingError(f"--set {word}: the best checkpoint is that of the metric: choose it by --metric")
        if name in LENGTHS:
            found = replace(found, **dict.fromkeys(LENGTHS, 0))
        found = change(found, name, text)
        if name in LENGTHS and getattr(found, name) <= 0:
            raise SettingError(f"{path}={text}: the length of a run is above 0; leave it out, or give another")
    return found


def pooling(word: str | None) -> Pooling | None:
    """One of the poolings. ValueError for another word."""
    if word is None:
        return None
    known: dict[str, Pooling] = {name: name for name in get_args(Pooling)}
    if word not in known:
        raise ValueError(f"--pooling {word}: {suggest(word, known)}")
    return known[word]


def layers(word: str) -> int | None:
    """None for "all", 0 for "head", or a number. ValueError for another word."""
    if word in ("all", "head"):
        return None if word == "all" else 0
    if not word.isdecimal() or int(word) < 1:
        raise ValueError(f"--layers {word}: all, head, or the number of last layers that train")
    return int(word)


def tune(tuning: Tuning, out: Path, *, resume: bool, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Tune and print. What was interrupted ends in status 130."""
    try:
        found = recipes.tune(
            tuning, out, resume=resume, overwrite=overwrite, watch=lambda: choose_watcher(silent=quiet)
        )
        main = join().main
    finally:
        leave()
    if main and as_json:
        print(json.dumps(_facts(found)))
    elif main:
        _print(found)
    if found.interrupted:
        raise SystemExit(130)


def _facts(found: Outcome) -> dict[str, object]:
    """What there is to say, as plain data."""
    return {
        "model": str(found.out),
        "metric": found.metric.name,
        "scores": list(found.scores),
        "seed": found.best,
        "figures": found.figures,
        "constant": found.constant,
        "spread": None if found.spread is None else asdict(found.spread),
        "seconds": found.seconds,
        "interrupted": found.interrupted,
    }


def _print(found: Outcome) -> None:
    console, table = printer(), Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    if found.scores:
        table.add_row(f"dev {found.metric.name}", f"{found.score:.4f}", found.metric.definition)
    if found.spread is not None:
        each = ", ".join(f"{score:.4f}" for score in found.scores)
        spread = f"{found.spread.mean:.4f} ± {found.spread.deviation:.4f}"
        table.add_row(f"over {found.spread.count} seeds", spread, f"mean and standard deviation of {each}")
    if found.constant is not None:
        table.add_row("the commonest", f"{found.constant:.4f}", "what answering that alone scores")
    table.add_row("training", f"{found.seconds:.1f} s")
    console.print(table)
    if found.interrupted:
        console.print("stopped; the same command with --resume goes on")
    else:
        console.print(f"model       {found.out}", soft_wrap=True)
        console.print(f"go on       weft predict {found.out} --data … --out predictions.jsonl", soft_wrap=True)


def predict(
    name: str, data: Path, out: Path, given: Columns, device: str, *, among: Path | None = None, score: bool,
    overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict, and print how many and, where asked, the metric."""
    folder = find(name)
    if reads_signals(folder):
        modality = of_folder(folder)
        check_file(out, reads=(data,), endings=modality.endings, overwrite=overwrite)
        if given.said:
            raise ValueError(f"{', '.join(given.said)} is said of columns, and {name} reads signals: leave it out")
        if among is not None:
            unheard("what is chosen from a file: score without --among", {"score": score})
            done = modality.among(folder, data, out, among, device=device, say=note)
        else:
            done = modality.predict(folder, data, out, labelled=score, device=device, say=note)
    else:
        check_file(out, reads=(data,), overwrite=overwrite)
        unheard("a model of captions: leave it out", {"among": among})
        done = recipes.predict(folder, data, out, columns=given, labelled=score, device=device, say=note)
    if as_json:
        scored, between = (None if one is None else asdict(one) for one in (done.score, done.interval))
        said = {"model": name, "examples": done.examples, "score": scored, "interval": between, "out": str(out)}
        print(json.dumps(said))
        return
    if done.score is not None:
        printer().print(f"{done.score}{interval(done.interval)}")
    for more in done.more:
        printer().print(str(more))
    for part in done.parts:
        printer().print(part_line(part))
    printer().print(f"{done.examples:,} predictions: {out}", soft_wrap=True)
