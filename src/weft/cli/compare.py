"""The verb that compares ways to pretrain; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson


def compare(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="a comparison (`weft list`), or one's own, .toml or .json")
    ],
    out: Annotated[Path, typer.Option("--out", help="folder of its runs, its table and its picture")],
    data: Annotated[
        Path | None, typer.Option("--data", help="folder of the files that it names; --debug makes its own without")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="of all pretrainings together, here: sets the budget; tuning comes on top"),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="tiny models and few steps: ends in seconds")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="do what is not finished yet")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="discard an earlier comparison in the folder")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only the result")] = False,
    as_json: AsJson = False,
) -> None:
    """Pretrain families with objectives at equal operations, and again at equal tokens; fine-tune each; one table.

    weft compare pretraining_objectives --data sets/ --out runs/objectives
    weft compare mine.toml --data sets/ --out runs/mine --minutes 20
    weft cp pretraining_objectives mine.toml
    """
    from weft.cli.comparing import command

    command(
        name,
        data,
        out,
        minutes=minutes,
        debug=debug,
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
        as_json=as_json,
    )
