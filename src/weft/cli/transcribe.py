"""`weft transcribe`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weft.cli.shared import note, opened, printer
from weft.data.progress import counted
from weft.data.signals import read_sound
from weft.files import write_bytes
from weft.hub import find
from weft.hub.hearing import processor_of
from weft.hub.spoken import FORMATS
from weft.hub.transcribe import How, transcribe
from weft.outputs import check_file


def command(files: Sequence[Path], name: str, how: How, out: Path | None, form: str | None, *, overwrite: bool) -> None:
    """Write down each sound: to standard output, into one file, or, of several, into a folder."""
    ending = out.suffix[1:] if out is not None and not out.is_dir() and len(files) == 1 else ""
    called = ending if ending in FORMATS else None
    form = form or called or "txt"
    if form not in FORMATS:
        raise ValueError(f"--format {form}: it is one of {', '.join(FORMATS)}")
    if called not in (None, form):
        raise ValueError(f"--format {form} is not what --out {out} is called, which is {called}: leave one of them out")
    targets = _targets(files, out, form)
    for target in targets.values():
        check_file(target, reads=tuple(files), overwrite=overwrite)
    model = opened(find(name))
    processor = processor_of(model)
    for file in files:
        samples = read_sound(file, rate=processor.rate)
        seconds = len(samples) / processor.rate
        advance = counted(note, f"{file.name}: seconds heard", round(seconds))
        found = transcribe(model, str(file), samples, how, advance=lambda more, by=advance: by(round(more)))
        written = found.written(form)
        if file in targets:
            write_bytes(targets[file], written.encode())
            printer().print(f"{file}  {targets[file]}", soft_wrap=True)
        else:
            print(written, end="")


def _targets(files: Sequence[Path], out: Path | None, form: str) -> dict[Path, Path]:
    """The file that each sound's text is written to. ValueError where two would be one."""
    if out is None:
        return {}
    if len(files) == 1 and not out.is_dir():
        return {files[0]: out}
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file, and {len(files)} sounds were given: name a folder")
    out.mkdir(parents=True, exist_ok=True)
    targets = {file: out / f"{file.stem}.{form}" for file in files}
    if len(set(targets.values())) < len(files):
        raise ValueError("two of the sounds have one name, and their texts would be one file: write them apart")
    return targets
