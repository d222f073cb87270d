"""Verbs on published folders, and their options; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the file --out where it is there already")]
POOLINGS = ("cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")  # the hub's, which needs torch


def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="a run, a published folder, or owner/name on the hub")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="the folder it is written to: new, or empty")],
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="of the weights: fp32, bf16, fp16; default: as they are")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard-size", metavar="2GB", help="most bytes of a file; default: one file")
    ] = None,
    kv_heads: Annotated[
        int | None,
        typer.Option("--kv-heads", help="as many key/value heads, each the mean of a group; 1: multi-query"),
    ] = None,
    unsafe_pickle: Annotated[
        bool,
        typer.Option("--unsafe-pickle", help="read .bin, .pt: tensors alone, in a process of its own"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model anew as a folder that other libraries read: a run published, a dtype changed, shards, a pickle,
    fewer key/value heads.

    weft convert runs/notes published/notes --dtype bf16
    weft convert runs/notes models/grouped --kv-heads 2, then weft train models/grouped --data notes/
    weft convert models/old models/new --unsafe-pickle
    """
    from weft.cli.convert import command

    command(source, target, dtype, shard, kv_heads=kv_heads, unsafe_pickle=unsafe_pickle, as_json=as_json)


def embed(
    name: Annotated[str, typer.Argument(metavar="DIR", help="a model's folder, or owner/name on the hub")],
    source: Annotated[
        Path,
        typer.Option(
            "--input", help="a text a line; .csv, .tsv, .jsonl, .parquet: a text a row; of pictures: a file or folder"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="the vectors, .npy: fp32 [texts, width]")],
    column: Annotated[
        str | None,
        typer.Option("--column", help="which holds the text, in .csv, .tsv, .jsonl and .parquet; default: text"),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option("--pooling", help=f"{', '.join(POOLINGS)}: one, normalised; default: as the folder declares it"),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Vectors: one for each line of a file, or of a model of pictures, or of captions, one for each picture.

    weft embed models/minilm --input sentences.txt --out vectors.npy
    """
    from weft.cli.embed import command

    command(name, source, out, column, pooling, overwrite=overwrite, as_json=as_json)


def verify(
    name: Annotated[str, typer.Argument(metavar="DIR", help="a model's folder, or owner/name on the hub")],
    against: Annotated[
        str | None, typer.Option("--against", help="also compare with this library layer by layer: transformers")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="of that, in standard deviations of the library's numbers")
    ] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Load a folder strictly and print what that proves; exit status 1 where something is off."""
    from weft.cli.verify import command

    command(name, against, tolerance, as_json=as_json)


def translate(
    name: Annotated[str, typer.Argument(metavar="DIR", help="an encoder–decoder's folder, or owner/name on the hub")],
    beams: Annotated[int, typer.Option("--beams", help="of the search; 1 takes the likeliest token each time")] = 5,
    length_penalty: Annotated[
        float | None, typer.Option("--length-penalty", help="0 ranks whole rows, 1 means by token; default: 0.6")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="the language asked for, of a model of several directions: de")
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", help="most tokens of a translation")] = 200,
    batch: Annotated[int, typer.Option("--batch", help="lines searched at once; changes only time and memory")] = 32,
) -> None:
    """Translate standard input, line by line.

    weft translate runs/german < english.txt > german.txt
    """
    from weft.cli.translate import command

    command(name, beams=beams, length_penalty=length_penalty, to=to, tokens=tokens, batch=batch)


def attention(
    name: Annotated[str, typer.Argument(metavar="DIR", help="an encoder–decoder's folder, or owner/name on the hub")],
    source: Annotated[str, typer.Option("--source", help="what the model reads")],
    target: Annotated[
        str | None, typer.Option("--target", help="what it is made to write; default: what it would write")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="a page with every head's map (.html), or a picture of the layers (.png)")
    ] = Path("attention.html"),
    overwrite: Overwrite = False,
) -> None:
    """Draw where a decoder looks in its source while it writes.

    weft attention runs/german --source "A dog runs." --target "Ein Hund rennt." --out dog.png
    """
    from weft.cli.attention import command

    command(name, source, target, out, overwrite=overwrite)
