"""`weft convert`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from rich.table import Table
from rich.text import Text

from weft.cli.shared import note, printer
from weft.hub.convert import convert, size_of

MUTED = "dim"


def command(
    source: str,
    target: Path,
    dtype: str | None,
    shard: str | None,
    *,
    kv_heads: int | None,
    unsafe_pickle: bool,
    as_json: bool,
) -> None:
    """Write the model anew, and print what was read and every file that was written."""
    most = None if shard is None else size_of(shard)
    done = convert(source, target, dtype=dtype, shard=most, kv_heads=kv_heads, unsafe_pickle=unsafe_pickle)
    for text in done.notices:
        note(text)
    layout = "huggingface" if done.published else "weft"
    if as_json:
        read = {"read": str(done.read), "tensors": done.tensors, "bytes": done.bytes}
        print(json.dumps(read | {"written": str(target), "layout": layout, "files": dict(done.written)}))
        return
    console = printer()
    said = "the Hugging Face layout" if done.published else "weft's own layout: no other library has this model"
    text = f"{done.read}: {done.tensors:,} tensors, {_size(done.bytes)}"
    console.print(Text.assemble(("read     ", MUTED), text), soft_wrap=True)
    console.print(Text.assemble(("written  ", MUTED), f"{target}, in {said}"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right", style=MUTED)
    for file, size in done.written.items():
        table.add_row(f"  {file}", _size(size))
    console.print(table)
    console.print(Text.assemble(("see it   ", MUTED), f"weft show {shlex.quote(str(target))}"), soft_wrap=True)


def _size(count: int) -> str:
    """Bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"
