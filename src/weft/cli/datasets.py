"""Commands on public data sets, and their options; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson

data = typer.Typer(help="Known public data sets: see which there are, and fetch one.", no_args_is_help=True)


@data.command("list")
def list_sets(as_json: AsJson = False) -> None:
    """Which public data sets are known: what they are, their size and licence, and whether their digests are.

    weft data list
    """
    from weft.cli.public import show

    show(as_json=as_json)


@data.command("get")
def get_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a data set; `weft data list` names them")],
    out: Annotated[
        Path | None, typer.Option("--out", help="also copy it into this folder, new or empty; default: the cache alone")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a public data set into the cache, checked; what is there already is not fetched again.

    weft data get tinyshakespeare
    weft data get multi30k --out data/multi30k
    """
    from weft.cli.public import get

    get(name, out, as_json=as_json)
