"""`weft generate`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson, Overwrite


def generate(
    name: Annotated[str, typer.Argument(metavar="DIR", help="a model's folder, or owner/name on the hub")],
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="text to continue, or to translate; of signals a class, a caption …; repeated"),
    ] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="most tokens to add; default of text: 200")] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", help="0 takes the likeliest token; default: 0.8 of text, 1 of signals"),
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", help="draw from the k likeliest; default: all")] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", help="draw from the likeliest that make up p; default: 1")
    ] = None,
    beams: Annotated[int, typer.Option("--beams", help="search with n beams instead of drawing")] = 1,
    length_penalty: Annotated[
        float | None,
        typer.Option("--length-penalty", help="of beams: 0 ranks whole rows, 1 means by token; default: 0.6"),
    ] = None,
    early_stopping: Annotated[
        str | None,
        typer.Option(
            "--early-stopping", metavar="never|likely|always", help="when beams end before all has been tried"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="the same seed gives the same text; default: 0")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="the prompt is a user's message in a chat")] = False,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", help="of pictures out of noise: how much more than usual the prompt counts"),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="of pictures out of noise: levels visited")] = None,
    count: Annotated[int | None, typer.Option("--count", help="of signals: how many for each prompt")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="of signals: the file, .png of pictures say")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Continue a prompt, streaming as it is written; or make pictures, music …, into a file.

    weft generate runs/notes --prompt "Once" --beams 5 --length-penalty 0.8 --early-stopping likely
    weft generate owner/name --chat --prompt "Who are you?"
    """
    from weft.cli.generate import Asked, command

    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    searched = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    asked = Asked(prompt or [], drawn, beams, searched, chat=chat)
    signals = {"count": count, "guidance": guidance, "steps": steps}
    command(name, asked, signals, tokens=tokens, out=out, overwrite=overwrite, as_json=as_json)
