"""`weft vectors train|near|analogy|plot`."""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from weft.cli.shared import note, printer
from weft.data import open_source
from weft.outputs import check_file
from weft.settings import SettingError, change
from weft.vectors import Corpus, Learned, Near, Vectors, VectorSettings, learn, read
from weft.vectors.space import TENSORS, WORDS


@dataclass(frozen=True)
class Asked:
    """What is read, and how it is learned."""

    paths: tuple[str, ...]
    column: str
    kind: str
    changes: tuple[str, ...]
    seed: int

    def settings(self) -> VectorSettings:
        """SettingError, a ValueError, for a change that is none."""
        settings = change(replace(VectorSettings(), seed=self.seed), "kind", self.kind)
        for words in self.changes:
            name, equals, value = words.partition("=")
            if not equals:
                raise SettingError(f"--set {words}: a setting and its value, width=200 for one")
            settings = change(settings, name, value)
        settings.check()
        return settings


def train(asked: Asked, out: Path, *, least: int, lower: bool, overwrite: bool, as_json: bool) -> None:
    """Learn and write vectors, and print what came of it."""
    settings = asked.settings()
    check_out(out, overwrite)
    console = Console(stderr=True)
    with console.status("reading …") as status:
        documents = open_source("text", asked.paths, column=asked.column, say=note).documents()
        corpus = read(documents, least=least, lower=lower, say=lambda text: status.update(f"read {text}"))
    began = time.perf_counter()
    vectors, last = learned(corpus, settings, console)
    seconds = time.perf_counter() - began
    vectors.save(out)
    facts = {
        "kind": settings.kind,
        "words": len(corpus.words),
        "tokens": len(corpus.tokens),
        "epochs": settings.epochs,
        "nats_per_score": last,
        "seconds": seconds,
    }
    if as_json:
        print(json.dumps(facts | {"out": str(out)}))
        return
    printer().print(
        f"{settings.kind}: {len(corpus.words):,} words of {len(corpus.tokens):,} in running text, {settings.epochs} "
        f"times in {seconds:.1f} s; {last:.3f} nats a score at the end, {math.log(2):.3f} before\n"
        f"written  {out / TENSORS}, {out / WORDS}\n"
        f"try      weft vectors near {shlex.quote(str(out))} {corpus.words[min(100, len(corpus.words) - 1)]}",
        soft_wrap=True,
    )


def learned(corpus: Corpus, settings: VectorSettings, console: Console) -> tuple[Vectors, float]:
    """The vectors, and the nats of the last scores; a bar says how far it is."""
    figures = "{task.fields[nats]:.3f} nats, {task.fields[speed]:,.0f} words/s"
    columns = TextColumn(settings.kind), BarColumn(), TextColumn(figures), TimeRemainingColumn()
    told = [Learned(0.0, 0.0, 0.0)]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0, nats=0.0, speed=0.0)

        def watch(at: Learned) -> None:
            told[0] = at
            progress.update(task, completed=at.share, nats=at.nats, speed=at.words_per_second)

        return learn(corpus, settings, watch=watch), told[0].nats


def check_out(out: Path, overwrite: bool) -> None:
    """ValueError where `out` is not to be written to."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output {out} is a file: choose a folder")
    ours = (out / WORDS).is_file() and (out / TENSORS).is_file()
    if ours and not overwrite:
        raise ValueError(f"{out} holds word vectors already: replace them with --overwrite, or choose another folder")
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise ValueError(f"{out} has other things in it: choose a new folder, or an empty one")


def near(folder: Path, words: list[str], count: int, *, as_json: bool) -> None:
    """Print the neighbours of each word."""
    vectors = Vectors.load(folder)
    found = {word: vectors.near(word, count) for word in words}
    if as_json:
        print(json.dumps({word: [asdict(one) for one in nearest] for word, nearest in found.items()}))
        return
    printer().print(beside(found))


def analogy(folder: Path, a: str, b: str, c: str, count: int, *, as_json: bool) -> None:
    """Print what is to C as A is to B."""
    found = Vectors.load(folder).analogy(a, b, c, count)
    if as_json:
        print(json.dumps({"a": a, "b": b, "c": c, "found": [asdict(one) for one in found]}))
        return
    printer().print(beside({f"{a} - {b} + {c}": found}))


def plot(folder: Path, words: list[str], neighbours: int, out: Path, *, overwrite: bool) -> None:
    """Draw words, each with so many neighbours."""
    from weft.vectors.picture import draw

    if out.suffix != ".png":
        raise ValueError(f"--out {out}: the picture is written as .png")
    if neighbours < 0:
        raise ValueError(f"--near {neighbours}: a word has 0 neighbours or more in the picture")
    check_file(out, overwrite=overwrite)
    vectors = Vectors.load(folder)
    groups = [[word, *(one.word for one in (vectors.near(word, neighbours) if neighbours else ()))] for word in words]
    share = draw(vectors, groups, out)
    printer().print(f"{out}: {sum(share):.0%} of the variance is on this plane", soft_wrap=True)


def beside(found: dict[str, list[Near]]) -> Table:
    """Lists of words side by side, each with its cosine."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in found:
        table.add_column(title, no_wrap=True)
        table.add_column("", style="dim", justify="right")
    for row in zip(*found.values(), strict=True):
        table.add_row(*(cell for one in row for cell in (one.word, f"{one.cosine:.3f}")))
    return table
