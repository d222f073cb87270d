"""`weft transcribe`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import Overwrite


def transcribe(
    words: Annotated[
        list[str], typer.Argument(metavar="FILE… DIR", help="sounds, and last a model's folder, or owner/name")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="a file; of several sounds a folder; default: standard output")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="txt, srt, vtt or json; default: what --out is called, else txt")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="that is spoken, en say; default: the one that is heard")
    ] = None,
    translate: Annotated[bool, typer.Option("--translate", help="write it in English, whatever is spoken")] = False,
    times: Annotated[bool, typer.Option("--times/--no-times", help="no: the model is not asked when")] = True,
    silence: Annotated[
        float, typer.Option("--silence", help="nobody speaks where that is likelier than this, and the text unsure")
    ] = 0.6,
    unsure: Annotated[
        float, typer.Option("--unsure", help="a text is, whose mean log-probability is below this, in nats")
    ] = -1.0,
    overwrite: Overwrite = False,
) -> None:
    """Write down what is said in sounds of any length, and when.

    weft transcribe talk.flac runs/digits --out talk.srt
    weft transcribe one.wav two.mp3 owner/name --language de --format json --out heard/
    """
    if len(words) < 2:
        raise ValueError("name at least one sound, and last a model's folder: weft transcribe sound.wav DIR")
    from weft.cli.transcribe import command
    from weft.hub.transcribe import How

    how = How(language, translate, times, silence, unsure)
    command([Path(word) for word in words[:-1]], words[-1], how, out, form, overwrite=overwrite)
