"""Make docs/what-attention-buys.md: a transformer beside what came before it, on the same data and by the same metrics.

    PYTHONPATH=src python docs/what_attention_buys.py --data FOLDER --minutes 30
    … --run text=runs/plays --run transformer=runs/multi30k --run rnn=runs/rnn   # finished runs, not trained again
    … --only text; … --only translation
    … --debug --page /tmp/page.md   # its own data, ends in seconds

FOLDER holds tinyshakespeare/ (train.txt.gz, dev.txt.gz) and multi30k/ (train.en.gz, train.de.gz, val.en.gz, val.de.gz).
Each network is trained for --minutes, the RNN with as many parameters as the transformer, on the same subwords and in
the same batches; beside a finished transformer, on the data of that run and for as long. Runs stay in --out, and one
that is finished there is not trained again: remove its folder, or give another --out, to train it otherwise. Costs
three times --minutes, and a few minutes of counting and translating.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import shlex
import sys
import time
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import weft
from weft.batch import Batch, Dataset
from weft.cli import main as command
from weft.data import Blocks, Bytes, DataSettings, Pairs, open_source, places, read_pairs, stream
from weft.data.made import made_pairs, sentences
from weft.data.progress import counted
from weft.evaluate import Bigram, Counted, NGram, Score, counted_likelihood
from weft.evaluate.bleu import bleu, tokenised_bleu
from weft.files import read_json
from weft.flops import Counter
from weft.hub.score import score
from weft.hub.translation import translate
from weft.models import FAMILIES
from weft.objectives import OBJECTIVES
from weft.recipes.account import count_parameters
from weft.recipes.find import find
from weft.settings import to_data
from weft.training.hardware import hardware
from weft.training.report.facts import read_run
from weft.training.settings import LENGTHS, TrainSettings

ADDS, ORDERS = (1.0, 0.1, 0.01, 0.001), (3, 4, 5, 6, 7, 8)
STRIDE = 64  # rows that overlap, so that the transformer always sees 193 bytes or more, as the n-grams see all they can
BATCH = 64  # pairs whose forward pass is counted
TEXT = ("context=256", "width=256", "depth=4", "heads=4", "hidden=688", "tied=true", "dropout=0.1")
RECIPE, PLAIN = find("multi30k"), find("transformer")  # whose settings the transformer has, and what they change


def changed(
    told: Mapping[str, Any], usual: Mapping[str, Any], part: str = "", *, but: Collection[str] = ()
) -> list[str]:
    """Settings that are not the usual ones, as a command has them; part: "train.", say."""
    return [
        f"{part}{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in told.items()
        if value != usual.get(name) and name not in but
    ]


PARTS = [f"{place}={part['name']}" for place, part in RECIPE.model.to_data()["parts"].items() if part]
TRANSFORMER = [*changed(to_data(RECIPE.model.config), to_data(PLAIN.model.config), but=("vocab",)), *PARTS]
FALLING = ("train.schedule=linear", "train.floor=0.05")
TUNED = {  # of each network, apart from its size and from what the RNN shares with the transformer
    "text": ("train.optimiser=muon", "train.rate=8e-3", "train.schedule=linear", "train.floor=0.0"),
    "transformer": (
        *changed(to_data(RECIPE.minimised), to_data(PLAIN.minimised), "objective."),
        *changed(to_data(RECIPE.train), to_data(PLAIN.train), "train.", but=LENGTHS),
        f"data.alike={RECIPE.data.alike}",
        "data.held_out=0.01",
    ),
    "rnn": ("model.dropout=0.1", "train.optimiser=adamw", "train.rate=6e-3", *FALLING),  # tried: benchmarks/RESULTS.md
}
SHARED = ("batch", "checkpoint_every", "keep", "last", "average")  # of a run's train settings, by both translators
OUT = Path("runs/attention")
SMALL = ("train.steps=2", "train.batch=8", "train.last=0", "train.precision=fp32", "train.kernel=matmul")  # of --debug


@dataclass(frozen=True)
class Row:
    """A model's line. scores: as they are printed; trained: operations of all its training, None where a compiled run
    was not counted; each: of one token that is predicted; seconds: of training, and of translating where it does."""

    name: str
    scores: tuple[str, ...]
    parameters: int
    trained: float | None
    each: float
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        trained = "–" if self.trained is None else shown(self.trained)
        seconds = " | ".join(f"{value:,.1f}" for value in self.seconds)
        cells = (self.name, *self.scores, f"{self.parameters:,}", trained, shown(self.each), seconds)
        return f"| {' | '.join(cells)} |"


def shown(operations: float) -> str:
    """With a prefix: 1.5 G."""
    if operations < 1e3:
        return f"{operations:.0f}"
    power = min(6, int(np.log10(operations)) // 3)
    return f"{operations / 1e3**power:.3g} {' kMGTPE'[power]}"


# ------------------------------------------------------------------------------------------------------------ training


@dataclass(frozen=True)
class Given:
    """What was asked for on the command line."""

    data: Path
    out: Path
    minutes: float
    debug: bool
    runs: dict[str, Path]
    commands: list[str]  # that made the runs, as they are told

    @property
    def budget(self) -> str:
        """How long networks were trained, in a sentence."""
        if self.debug:
            return "Networks took two steps: nothing is learned in them."
        minutes = "a minute" if self.minutes == 1 else f"{self.minutes:g} minutes"
        return f"A network not finished before was given {minutes}, in steps of its first ones' length."

    def run(self, name: str, words: Sequence[str], minutes: float | None = None) -> Path:
        """The folder of a network's run: given, finished here before, or trained now."""
        if name in self.runs:
            self.commands.append(f"# {name}: the finished run {self.runs[name].name}")
            return self.runs[name]
        folder = self.out / name
        length = SMALL if self.debug else (f"train.minutes={self.minutes if minutes is None else minutes:g}",)
        sets = [word for change in (*TUNED[name], *length) for word in ("--set", change)]
        whole = ["train", *words, *sets, "--out", str(folder), "--quiet"]
        self.commands.append(self.told(whole))
        if not whole_run(folder):
            print(f"weft {shlex.join(whole)}", file=sys.stderr)
            with contextlib.redirect_stdout(sys.stderr), finished():
                command([*whole, "--overwrite"])
        return folder

    def told(self, words: Sequence[str]) -> str:
        """A command without the folders of this machine."""
        said = f"weft {shlex.join(words)}".replace(f"{self.data}/", "FOLDER/").replace(f"{self.out}/", f"{OUT}/")
        for folder in self.runs.values():
            said = said.replace(str(folder), f"runs/{folder.name}")
        return said


def whole_run(folder: Path) -> bool:
    """Whether a run was finished in a folder."""
    return (folder / "report.json").is_file() and not read_json(folder / "report.json")["interrupted"]


@contextlib.contextmanager
def finished() -> Iterator[None]:
    """A command line leaves when it is done; it is an error where it leaves with one."""
    try:
        yield
    except SystemExit as leaving:
        if leaving.code:
            raise


def model_sets(changes: Sequence[str]) -> list[str]:
    """Words of a command for the model's sizes."""
    return [word for change in changes for word in ("--set", f"model.{change}")]


def trained_operations(folder: Path) -> float | None:
    """Of all steps of a run: those of a token, by the typical step, times its tokens."""
    facts = read_run(folder)
    lines = [line for line in facts.steps if line.get("gflops") and line.get("tokens_per_second")]
    each = [1e9 * line["gflops"] / line["tokens_per_second"] for line in lines]
    return float(np.median(each)) * float(facts.told["tokens"]) if each else None


@torch.no_grad()
def forward_operations(model: weft.Model, dataset: Dataset[Batch]) -> float:
    """Of the forward pass, for each token that is predicted: counted in one batch of rows as they come."""
    family = FAMILIES.get(model.blueprint.family)
    objective = OBJECTIVES.get(family.objective)(**family.terms(model.config))
    batch = dataset.batch(places(0, range(min(BATCH, len(dataset)))))
    with Counter() as counter:
        losses = objective.losses(model.module, batch)
    return counter.total / losses["loss"].count


# ---------------------------------------------------------------------------------------------------------------- text


def text_rows(given: Given) -> list[Row]:
    """Models of one text, byte for byte."""
    folder = given.data / "tinyshakespeare"
    train, dev = (list(open_source("text", (str(folder / f"{name}.txt.gz"),)).documents()) for name in ("train", "dev"))
    tokens, held_out, size = stream(train, Bytes()), stream(dev, Bytes()), sum(len(d.text.encode()) for d in dev)
    orders = ORDERS[:2] if given.debug else ORDERS
    cut = len(tokens) * 9 // 10  # the settings of counted models are chosen on the last tenth of the training text
    rest, last = tokens[:cut], tokens[cut:]
    add = min(ADDS, key=lambda a: counted_likelihood(Bigram.fit(rest, 384, a), last, bytes=None).nats)
    best = min(orders, key=lambda n: counted_likelihood(NGram.fit(rest, 384, n), last, bytes=None).nats)
    rows = [counted_row(f"bigram, {add:g} added to each count", tokens, held_out, size, add=add)]
    for order in sorted({orders[0], best}):
        rows.append(counted_row(f"Kneser–Ney, {order}-grams", tokens, held_out, size, order=order))
    sizes = ("size=debug",) if given.debug else TEXT
    words = ["llama", "--data", str(folder), "--set", "data.tokenizer=bytes", *model_sets(sizes)]
    run = given.run("text", words)
    return [*rows, text_row(run, folder / "dev.txt.gz")]


def counted_row(
    name: str, tokens: np.ndarray, held_out: np.ndarray, size: int, *, add: float | None = None, order: int = 0
) -> Row:
    """A model that is counted: a bigram where something is added, Kneser–Ney of an order where not."""
    print(f"counting: {name}", file=sys.stderr)
    began = time.perf_counter()
    model: Counted = NGram.fit(tokens, 384, order) if add is None else Bigram.fit(tokens, 384, add)
    seconds = time.perf_counter() - began
    found = counted_likelihood(model, held_out, bytes=size)
    bits, each = found.bits_per_byte or 0.0, found.byte_perplexity or 0.0
    # A quotient or two for each number that is kept is all the arithmetic that counting takes.
    return Row(name, (f"{bits:.3f}", f"{each:.3f}"), model.parameters, 2.0 * model.parameters, model.flops, (seconds,))


def text_row(run: Path, dev: Path) -> Row:
    """A transformer, from its run's folder."""
    model, told = weft.load(run), read_json(run / "report.json")
    context = int(model.config.context)
    found = score(model, (str(dev),), stride=min(STRIDE, context))
    if found.bits_per_byte is None or found.byte_perplexity is None:
        raise ValueError(f"{run} has a lossy tokenizer, and bytes are compared: give a run of bytes, characters or bpe")
    tokens = stream(list(open_source("text", (str(dev),)).documents()), model.need_tokenizer())
    return Row(
        f"transformer ({model.blueprint.family}, context {context})",
        (f"{found.bits_per_byte:.3f}", f"{found.byte_perplexity:.3f}"),
        count_parameters(model.blueprint),
        trained_operations(run),
        forward_operations(model, Blocks(tokens, context, shift=False)),
        (float(told["seconds"]),),
    )


# --------------------------------------------------------------------------------------------------------- translation


def translation_rows(given: Given) -> tuple[list[Row], list[Score]]:
    """The transformer, and the RNN with as many parameters and minutes; and the scores as sacrebleu signs them."""
    folder = given.data / "multi30k"
    pairs = ["--data", str(folder / "train.en.gz"), "--data", str(folder / "train.de.gz"), "--objective", "translate"]
    small, vocab = (("size=debug",), 384) if given.debug else (TRANSFORMER, 4000)
    first = given.run("transformer", ["transformer", *pairs, *model_sets(small), "--set", f"data.vocab={vocab}"])
    model, told = weft.load(first), read_json(first / "report.json")
    minutes = told["seconds"] / 60 if "transformer" in given.runs else None
    second = given.run("rnn", ["rnn", *shared_with(first), *model_sets(matched(model))], minutes)
    found = [translator_row(run, folder, given) for run in (second, first)]
    return [row for row, _ in found], [one for _, scores in found for one in scores]


def shared_with(run: Path) -> list[str]:
    """Words of a command for the data, subwords, smoothing, batches and averaged checkpoints of a finished run."""
    told = read_json(run / "run.json")["settings"]
    usual = {"data": to_data(DataSettings()), "train": to_data(TrainSettings())}
    words = [word for path in told["data"]["paths"] for word in ("--data", path)]
    train = {name: value for name, value in told["train"].items() if name in SHARED}
    changes = [
        f"data.tokenizer={run}",
        f"objective.smoothing={told['objective']['smoothing']}",
        *changed(told["data"], usual["data"], "data.", but=("modality", "paths", "tokenizer", "vocab")),
        *changed(train, usual["train"], "train."),
    ]
    return [*words, "--objective", "translate", *(word for change in changes for word in ("--set", change))]


def matched(other: weft.Model) -> tuple[str, ...]:
    """Sizes of the RNN that give it as many parameters, as nearly as widths in steps of 8 can, and the same context.

    Words and what the head reads are half as wide as the state: it has three tables, where the transformer has one.
    """
    wanted, vocab = count_parameters(other.blueprint), other.config.vocab

    def sizes(width: int) -> dict[str, int]:
        return {"embedding": width // 2, "width": width, "alignment": width, "hidden": width // 2}

    def parameters(width: int) -> int:
        blueprint = weft.Blueprint.of("rnn", "small")
        for name, value in {"vocab": vocab, **sizes(width)}.items():
            blueprint = blueprint.change(name, str(value))
        return count_parameters(blueprint)

    widths = range(8, 2049, 8)
    upper = min(max(1, bisect_left(widths, wanted, key=parameters)), len(widths) - 1)
    best = min(widths[upper - 1 : upper + 1], key=lambda width: abs(parameters(width) - wanted))
    return tuple(f"{name}={value}" for name, value in (sizes(best) | {"context": other.config.context}).items())


def translator_row(run: Path, folder: Path, given: Given) -> tuple[Row, list[Score]]:
    """A translator, from its run's folder: BLEU of its translations of the held-out captions."""
    model, told = weft.load(run), read_json(run / "report.json")
    pairs = read_pairs(folder / "val.en.gz", folder / "val.de.gz")[: 8 if given.debug else None]
    sources, references = [source for source, _ in pairs], [target for _, target in pairs]
    began = time.perf_counter()
    advance = counted(partial(print, file=sys.stderr), f"{run.name}: translated", len(pairs))
    written = translate(model, sources, advance=advance, tokens=16 if given.debug else 100)
    seconds = time.perf_counter() - began
    scores = [tokenised_bleu(written, references), bleu(written, references)]
    dataset = Pairs(pairs, model.need_tokenizer(), int(model.config.context), begins=model.begins)
    row = Row(
        model.blueprint.family,
        tuple(f"{one.value:.2f}" for one in scores),
        count_parameters(model.blueprint),
        trained_operations(run),
        forward_operations(model, dataset),
        (float(told["seconds"]), seconds),
    )
    return row, scores


# ------------------------------------------------------------------------------------------------------------ the page

HEAD = """# What attention buys

Made by `python docs/what_attention_buys.py`: a transformer beside what came before it, on the same data and by the same
metrics. FLOPs are of matrix products (a multiplication and an addition are two); of counted models, all there are.
Seconds are of training, or of counting, without reading and evaluating. {budget}

"""
ON_TEXT = """## One text: tinyshakespeare, byte for byte

Every model predicts every byte of the held-out text once (and the end of it). The bigram's addend and the longest grams
were chosen on the last tenth of the training text. The transformer reads rows of its context that begin {stride} bytes
after one another.

| model | bits per byte | perplexity of a byte | parameters | FLOPs to train | FLOPs a byte | seconds |
|---|---:|---:|---:|---:|---:|---:|
"""
ON_PAIRS = """## Translation: multi30k, English to German

An RNN with additive attention (Bahdanau et al. 2015) and the Transformer (Vaswani et al. 2017), with as many
parameters, for as many minutes, over the same subwords; a beam of 5. BLEU is of the captions set aside for validation,
which no run was trained on or stopped by.

| model | tokenised BLEU | sacreBLEU | parameters | FLOPs to train | FLOPs a piece | seconds | seconds to translate |
|---|---:|---:|---:|---:|---:|---:|---:|
"""


def machine() -> str:
    """Where the seconds were measured."""
    found = hardware()
    return ", ".join(f"{name} {found[name]}" for name in ("processor", "cores", "memory", "torch") if name in found)


def page(given: Given, only: str) -> str:
    """The page's text."""
    text = HEAD.format(budget=given.budget)
    if only != "translation":
        rows = text_rows(given)
        text += ON_TEXT.format(stride=STRIDE) + "\n".join(map(str, rows)) + "\n\n"
        below = float(rows[-2].scores[0]) - float(rows[-1].scores[0])
        side = "below" if below > 0 else "above"
        text += f"The transformer is {abs(below):.3f} bits per byte {side} the longest grams.\n\n"
    if only != "text":
        rows, scores = translation_rows(given)
        text += ON_PAIRS + "\n".join(map(str, rows)) + "\n\n"
        above = float(rows[1].scores[0]) - float(rows[0].scores[0])
        side = "above" if above > 0 else "below"
        text += f"The transformer is {abs(above):.2f} tokenised BLEU {side} the RNN.\n\n"
        signed = {one.name: one.signature for one in scores}
        text += "\n".join(f"- {name}: `{signature}`" for name, signature in signed.items()) + "\n\n"
    commands = "\n".join(given.commands)
    return f"{text}## The runs\n\n```bash\n{commands}\n```\n\nMachine: {machine()}.\n"


def made(folder: Path) -> None:
    """Data of our own, laid out as the real ones are."""
    files = {"tinyshakespeare/train": sentences(300, 0), "tinyshakespeare/dev": sentences(20, 1)}
    pairs = made_pairs()
    for name, part in (("train", pairs[:360]), ("val", pairs[360:])):
        files |= {f"multi30k/{name}.en": [source for source, _ in part], f"multi30k/{name}.de": [t for _, t in part]}
    for name, lines in files.items():
        path = folder / (f"{name}.txt.gz" if "." not in name else f"{name}.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def main(words: Sequence[str] | None = None) -> None:
    """Train what is not there, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with tinyshakespeare/ and multi30k/")
    parser.add_argument("--out", type=Path, default=OUT, help="where runs are, and are kept")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training, for each network")
    parser.add_argument("--run", action="append", default=[], metavar="NAME=DIR", help="text, transformer or rnn")
    parser.add_argument("--only", choices=("both", "text", "translation"), default="both")
    parser.add_argument("--page", type=Path, default=Path(__file__).parent / "what-attention-buys.md")
    parser.add_argument("--debug", action="store_true", help="data of its own and tiny runs: seconds")
    asked = parser.parse_args(words)
    runs = dict(one.partition("=")[::2] for one in asked.run)
    if strange := [name for name in runs if name not in TUNED or not runs[name]]:
        parser.error(f"--run {strange[0]}: NAME=DIR, and NAME is one of {', '.join(TUNED)}")
    if missing := [folder for folder in runs.values() if not whole_run(Path(folder))]:
        parser.error(f"--run {missing[0]}: the folder of no finished run (report.json says so of one)")
    if asked.debug:
        asked.data = asked.out / "data"
        made(asked.data)
    elif asked.data is None:
        parser.error("--data FOLDER is needed: the folder with tinyshakespeare/ and multi30k/ (`weft data get`)")
    given = Given(asked.data, asked.out, asked.minutes, asked.debug, {n: Path(f) for n, f in runs.items()}, [])
    asked.page.write_text(page(given, asked.only), encoding="utf-8")
    print(asked.page)


if __name__ == "__main__":
    main()
