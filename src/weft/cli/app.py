"""The verbs and their options. Everything heavy is imported inside a command, so that --help answers at once."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from weft.allocator import keep_memory
from weft.cli.asks import evaluate, fill, score
from weft.cli.compare import compare
from weft.cli.datasets import data
from weft.cli.folders import AsJson, Overwrite, attention, convert, embed, translate, verify
from weft.cli.forebears import ngram, vectors
from weft.cli.hear import transcribe
from weft.cli.make import generate
from weft.cli.tune import predict, tune

app = typer.Typer(
    name="weft",
    help="Every transformer of the lectures from the same block: train, evaluate, generate, look inside.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

tokenizer = typer.Typer(help="Train a tokenizer, or see what one makes of a text.", no_args_is_help=True)
app.add_typer(tokenizer, name="tokenizer")
app.add_typer(data, name="data")
app.add_typer(vectors, name="vectors")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"weft {version('weft')}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print it and leave")
    ] = False,
) -> None:
    """Every transformer of the lectures from the same block."""


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(metavar="RECIPE|FAMILY|DIR|FILE.py", help="what to train; `weft list` names recipes")
    ],
    data: Annotated[list[str] | None, typer.Option("--data", help="file, folder or pattern; may be repeated")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="folder the run is written to")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="model.*, objective.*, data.*, train.*")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part", metavar="PLACE=DIR", help="of two towers: text or image begins as a saved model; repeated"
        ),
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="what is minimised; several: masked+next_sentence")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="of .csv, .tsv, .jsonl and .parquet: where the text is (data.column)")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="of what is written of held-out sources, bleu say; repeated")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="of weights, order and dropout (train.seed)")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="of the processor (train.threads)")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps (train.device)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last good checkpoint")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="discard an earlier run in the folder")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="a tiny run that ends in seconds")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print parameters, FLOPs, memory and time, and train nothing")
    ] = False,
    log: Annotated[
        list[str] | None, typer.Option("--log", help="also log to tensorboard or wandb; may be repeated")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only the result")] = False,
) -> None:
    """Train a recipe, a family on your own text, a saved model further, or a recipe of your own.

    weft train python_stdlib --out runs/python
    weft train llama --data notes/ --out runs/notes --set train.minutes=10 --set model.position=alibi
    weft train t5 --data notes/ --objective spans --set objective.mean=5 --out runs/spans
    weft train runs/notes --data more.txt --out runs/more
    weft train clip --data captions.tsv --part text=models/minilm --set train.frozen=text --out runs/mine
    weft cp python_stdlib mine.py, edit it, weft train mine.py
    """
    from weft.cli.train import command

    short = {
        "objective": objective,
        "data.column": column,
        "train.seed": seed,
        "train.threads": threads,
        "train.device": device,
    }
    words = [f"{path}={value}" for path, value in short.items() if value is not None] + (changes or [])
    command(
        name,
        tuple(data or ()),
        out,
        words,
        part or [],
        resume=resume,
        overwrite=overwrite,
        debug=debug,
        dry_run=dry_run,
        metrics=metric,
        log=log or [],
        quiet=quiet,
    )


@app.command()
def cp(
    name: Annotated[str, typer.Argument(metavar="RECIPE|COMPARISON", help="a shipped one; `weft list` names them")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="where its copy is written: .py; of a comparison .toml")],
) -> None:
    """Give a recipe to edit: its file, copied; `weft train FILE.py` runs it. A comparison's: `weft compare FILE`."""
    from weft.cli.copy import command

    command(name, file)


app.command("eval")(evaluate)


for _verb in (
    generate,
    score,
    fill,
    translate,
    transcribe,
    attention,
    tune,
    predict,
    compare,
    embed,
    ngram,
    convert,
    verify,
):
    app.command()(_verb)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="a run's folder, or several to compare")],
    out: Annotated[
        Path | None, typer.Option("--out", help="the page; default: DIR/report.html, or comparison.html for several")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """A run as one page, to be opened in a browser: curves, figures, samples, settings; or several runs side by side.

    weft report runs/python
    weft report runs/rope runs/alibi --out positions.html
    """
    from weft.cli.report import command

    command(folders, out, overwrite=overwrite)


@app.command("list")
def list_names(as_json: AsJson = False) -> None:
    """What there is: recipes, families, position schemes, kernels, objectives, sources, tokenizers."""
    from weft.cli.names import command

    command(as_json=as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a recipe, a family, a model's folder, or owner/name")],
    as_json: AsJson = False,
) -> None:
    """What a recipe, a family or a trained model is made of."""
    from weft.cli.show import command

    command(name, as_json=as_json)


@tokenizer.command("train")
def train_tokenizer(
    kind: Annotated[str, typer.Option("--kind", help="bpe, wordpiece, unigram, bytes, characters or word")] = "bpe",
    vocab: Annotated[
        int, typer.Option("--vocab", help="most ids; 0: as many as bytes, characters or word need")
    ] = 4096,
    data: Annotated[list[str] | None, typer.Option("--data", help="file, folder or pattern; may be repeated")] = None,
    text: Annotated[str | None, typer.Option("--text", help="train on this text instead, and show its pieces")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="folder it is written to; without one it is shown")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier one in the folder")] = False,
    merges: Annotated[bool, typer.Option("--merges", help="of bpe: every merge, not only the first ten")] = False,
    column: Annotated[
        str, typer.Option("--column", help="which holds the text, in .csv, .tsv, .jsonl and .parquet")
    ] = "text",
    as_json: AsJson = False,
) -> None:
    """Train a tokenizer on files or on one text, and show what it learned.

    weft tokenizer train --kind bpe --vocab 8192 --data notes/ --out tokenizers/notes
    weft tokenizer train --text aaabdaaabac
    """
    from weft.cli.tokenizer import Texts, train

    texts = Texts(tuple(data or ()), text, column)
    train(kind, vocab, texts, out, overwrite=overwrite, merges=merges, as_json=as_json)


@tokenizer.command("show")
def show_tokenizer(
    name: Annotated[
        str, typer.Argument(metavar="DIR|KIND", help="a tokenizer's or a run's folder; or a kind, trained on the text")
    ],
    text: Annotated[str, typer.Option("--text", help="what is cut into pieces")],
    as_json: AsJson = False,
) -> None:
    """Cut a text into pieces: each in its colour, its id below.

    weft tokenizer show runs/python --text "for name in names:"
    weft tokenizer show bytes --text "naïve"
    """
    from weft.cli.tokenizer import show

    show(name, text, as_json=as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. What people did wrong is one line on standard error and exit status 1 or 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a character must not end a command
    keep_memory()
    try:
        app(arguments)
    except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
        if os.environ.get("WEFT_TRACEBACK") or (isinstance(error, RuntimeError) and not _memory(error)):
            raise
        from rich.console import Console

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("[bold red]error[/]", end=" ")
        console.print(_text(error), markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _memory(error: BaseException) -> bool:
    """Whether it says that memory ran out. On the CPU torch has no error of its own for it."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)


def _text(error: BaseException) -> str:
    """An error in words for people."""
    if _memory(error):
        size = re.search(r"allocate (\d+) bytes", str(error))
        wanted = f" ({int(size[1]) / 1e9:,.1f} GB at once were asked for)" if size else ""
        return f"there is not enough memory{wanted}: make the model, its context or the batch smaller"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
