"""`weft verify`."""

from __future__ import annotations

import json

import typer
from rich.table import Table
from rich.text import Text

from weft.cli.shared import note, printer
from weft.hub import find
from weft.hub.against import Comparison
from weft.hub.verify import TieFacts, Verified, verify

TIES = {
    "one": "one of the two is in the file",
    "equal": "both are in the file, with the same numbers",
    "different": "both are in the file, and differ",
}


def command(name: str, against: str | None, tolerance: float, *, as_json: bool) -> None:
    """Print what was proved, and leave with status 1 where something is off."""
    found = verify(find(name), against=against, tolerance=tolerance)
    if as_json:
        print(json.dumps(found.to_data(), allow_nan=False))
    else:
        for text in found.notices:
            note(text)
        _facts(found)
        if found.against is not None:
            _layers(found.against)
    if not found.good:
        raise typer.Exit(1)


def _facts(found: Verified) -> None:
    """A line each, unbroken: digests are copied."""
    console = printer()

    def tell(name: str, text: str, style: str = "") -> None:
        console.print(Text.assemble((f"{name:<13}", "dim"), (text, style)), soft_wrap=True)

    tell("family", found.family)
    for file in found.files:
        tell("file", f"{file.name}  {file.bytes:,} bytes  sha256 {file.sha256}")
    dtypes = ", ".join(f"{count:,} of {dtype}" for dtype, count in found.dtypes.items())
    tell("tensors", f"{dtypes}; each has its place in the model, and the model has no other")
    tell("parameters", f"{found.parameters:,}, tied ones once")
    if found.not_finite:
        tell("weights", f"no finite numbers in {', '.join(found.not_finite)}", "bold red")
    else:
        tell("weights", "all finite")
    for tie in found.ties:
        tell("tie", _tie(tie))
    if found.shared:
        tell("shared", f"{', '.join(found.shared)}: no table of its own, another's is read")
    tell("tokenizer", _tokenizer(found))
    tell(
        "fingerprint",
        f"{found.fingerprint.text}  (differences below {found.fingerprint.slack:.0e} sd cannot change it)",
    )


def _tie(tie: TieFacts) -> str:
    kept = "one tensor in the model" if tie.one else "two in the model"
    return f"{tie.copy} and {tie.original}: {TIES[tie.file]}; {kept}"


def _tokenizer(found: Verified) -> str:
    if found.tokenizer is None:
        return f"none; the embedding has {found.embedding:,} rows"
    spare = found.embedding - found.tokenizer
    return f"{found.tokenizer:,} ids, the embedding has {found.embedding:,} rows" + (f", {spare:,} spare" * bool(spare))


def _layers(found: Comparison) -> None:
    """The comparison, layer by layer, the worst one marked."""
    console = printer()
    console.print(f"\nagainst {found.kind} of {found.library} {found.version}, eager, fp32", style="cyan")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("ours", no_wrap=True)
    table.add_column("theirs")
    table.add_column("max |difference| / sd", justify="right")
    table.add_column()
    for row in found.rows:
        off = not row.difference <= found.tolerance
        mark = "worst" if row is found.worst else ""
        table.add_row(row.place, row.theirs, f"{row.difference:.1e}", mark, style="bold red" if off else None)
    console.print(table)
    first = found.first_off
    if first is None:
        console.print(f"all within {found.tolerance:g}", style="bold green")
    else:
        told = f"the first that is off: {first.place} ({first.difference:.1e} sd, the tolerance is {found.tolerance:g})"
        console.print(told, style="bold red", soft_wrap=True)
