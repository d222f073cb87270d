"""Verbs of fine-tuning, and their options; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson, Overwrite

Text = Annotated[
    str | None, typer.Option("--text", help="column of the text, or of the words; by name, or by number from 1")
]
Pair = Annotated[str | None, typer.Option("--pair", help="column of the second text of a pair")]
Label = Annotated[str | None, typer.Option("--label", help="column of the class, the number, the choice or the tag")]
Choices = Annotated[
    list[str] | None, typer.Option("--choice", help="column of a text to choose among; repeat it for each")
]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="no: the first row is one like the others; number the columns"),
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps (train.device)")]


def tune(
    name: Annotated[str, typer.Argument(metavar="DIR", help="a model's folder, or owner/name on the hub")],
    task: Annotated[str, typer.Option("--task", help="classify, regress, tag, answer or choose")],
    data: Annotated[Path, typer.Option("--data", help="what is learned: .tsv, .csv, .jsonl, .conll, .conllu, SQuAD")],
    dev: Annotated[Path, typer.Option("--dev", help="what the best checkpoint is chosen by, of the same form")],
    out: Annotated[Path, typer.Option("--out", help="folder of the tuned model")],
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    choices: Choices = None,
    first: Annotated[
        int | None, typer.Option("--first", help="of choices: the number that means the first of them; default: 0")
    ] = None,
    header: Header = None,
    labels: Annotated[str | None, typer.Option("--labels", help="the classes, a,b,c; default: those of --data")] = None,
    examples: Annotated[
        int | None, typer.Option("--examples", help="learn from so many, chosen by --seed, of each class in proportion")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="`weft list` names them; default: the task's")] = None,
    pooling: Annotated[
        str | None, typer.Option("--pooling", help="what is read of a row: pooler, first, mean or last token")
    ] = None,
    layers: Annotated[str, typer.Option("--layers", help="all; head: nothing else trains; or the last K")] = "all",
    language: Annotated[
        float,
        typer.Option("--language", help="of a decoder: how much a row's own next tokens weigh beside; GPT-1: 0.5"),
    ] = 0.0,
    longest: Annotated[int | None, typer.Option("--longest", help="tokens of a row; what is longer is cut")] = None,
    every_piece: Annotated[
        bool, typer.Option("--every-piece", help="of tags: every piece of a word learns, not its first alone")
    ] = False,
    stride: Annotated[
        int | None,
        typer.Option("--stride", help="of questions: a window over a long text begins so many tokens on; 128"),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="runs; the mean and the deviation are printed")] = 1,
    epochs: Annotated[float | None, typer.Option("--epochs", help="train.epochs; default: 3")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="train.rate; default: 5e-5")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="train.batch; default: 32")] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="evaluations without a better one that end a run (train.patience)")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="train.a=c", help="any train.* setting")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="of the first run (train.seed)")] = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last good checkpoint")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="discard an earlier tuning in the folder")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only the result")] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model for a task, and print the metric on --dev.

    weft tune models/minilm --task classify --data train.tsv --dev dev.tsv --out runs/mood
    weft tune models/minilm --task regress --data a.tsv --dev b.tsv --text 1 --pair 2 --label 3 --no-header --out runs/x
    weft tune models/minilm --task tag --data train.conllu --dev dev.conllu --rate 1e-4 --seeds 3 --out runs/tags
    weft tune models/minilm --task answer --data train.json --dev dev.json --layers 4 --out runs/answers
    """
    from weft.cli import tuning

    short = {"epochs": epochs, "rate": rate, "batch": batch, "patience": patience, "seed": seed, "device": device}
    words = [f"train.{name}={value}" for name, value in short.items() if value is not None] + (changes or [])
    tuning.tune(
        tuning.Tuning(
            begin=name,
            task=task,
            data=data,
            dev=dev,
            columns=tuning.Columns(text, pair, label, tuple(choices or ()), header, first),
            metric=metric,
            pooling=tuning.pooling(pooling),
            layers=tuning.layers(layers),
            language=language,
            context=longest,
            every_piece=every_piece,
            stride=stride,
            labels=tuple(name.strip() for name in labels.split(",")) if labels else (),
            examples=examples,
            seeds=seeds,
            train=tuning.settings(words),
        ),
        out,
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
        as_json=as_json,
    )


def predict(
    name: Annotated[
        str, typer.Argument(metavar="DIR", help="what `weft tune` or `weft train` wrote, or a published model")
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="a table of the form it was tuned on, pictures, sounds, series, episodes; labels are not read",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="one JSON object a line, for each row, picture, sound or question")
    ],
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    choices: Choices = None,
    header: Header = None,
    among: Annotated[
        Path | None, typer.Option("--among", help="texts to choose from, one a line; of a model of captions")
    ] = None,
    score: Annotated[bool, typer.Option("--score", help="the labels are there: print the metric, too")] = False,
    device: Device = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """What a model says of what it has not seen: the classes of texts and pictures, tags, answers, captions, words
    that are heard, what comes next. A column that is not named is the one it was tuned on, and so is whether there is
    a header.

    weft predict runs/mood --data new.tsv --out moods.jsonl
    weft predict runs/clothes --data shoes/ --out found.jsonl
    """
    from weft.cli import tuning

    given = tuning.Columns(text, pair, label, tuple(choices or ()), header)
    tuning.predict(
        name,
        data,
        out,
        given,
        device or "auto",
        among=among,
        score=score,
        overwrite=overwrite,
        as_json=as_json,
    )
