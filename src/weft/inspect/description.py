"""A model, described: a value that is data for programs and a table for people."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from weft.settings import to_data


@dataclass(frozen=True)
class FieldFacts:
    """What attentions of one name see. keys: "self" or "memory"; mask, position: in words, "" for no position."""

    name: str
    keys: str
    mask: str
    position: str


@dataclass(frozen=True)
class StackFacts:
    """A stack by its name in the module. depth: layers executed; layers: those that have weights of their own."""

    name: str
    depth: int
    layers: int
    fields: tuple[FieldFacts, ...]


@dataclass(frozen=True)
class Part:
    """A module with parameters of its own, an attention, or what reads another's.

    name:       its path; in layers, from the layer on. layers: the path of these, in which 0-5 stands for six that are
                equal; "" outside. times: how many of it there are.
    kind, says: its class, and what that tells of itself.
    shapes:     of the parameters of one, by name. parameters: of all of them; one that is shared counts at its first
                place.
    """

    name: str
    layers: str
    times: int
    kind: str
    says: str
    shapes: dict[str, list[int]]
    parameters: int


@dataclass(frozen=True)
class CacheBytes:
    """What one row of a cache takes in a dtype. token: of each token; row: of a full row, where windows have forgotten
    what lies behind them; memory: of each source token, in a model that reads a memory."""

    dtype: str
    token: int
    row: int
    memory: int


@dataclass(frozen=True)
class Description:
    """What a model is made of, and what it asks for.

    family:     its name; None of a bare module.
    parameters: all of them, tied ones once.
    context:    the longest row it takes; None: any.
    length:     tokens of the row that `operations` and `cache` are counted for.
    operations: of the forward pass, head included, for each token of such a row (a multiplication and an addition are
                two; a kernel that leaves out what a mask hides is counted as if it did not). An encoder–decoder reads a
                source of the same length, which counts too, and two towers a picture.
    cache:      by dtype; empty for a model that cannot go token by token.
    """

    family: str | None
    parameters: int
    context: int | None
    length: int
    operations: float
    stacks: tuple[StackFacts, ...]
    parts: tuple[Part, ...]
    cache: tuple[CacheBytes, ...]

    def to_data(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return to_data(self)

    def __rich__(self) -> RenderableType:
        return Group(self._facts(), Text(), self._fields(), Text(), self._parts())

    def __str__(self) -> str:
        page = Console(file=io.StringIO(), width=120, color_system=None, highlight=False, emoji=False)
        with page.capture() as caught:
            page.print(self)
        return "\n".join(line.rstrip() for line in caught.get().splitlines())

    def _facts(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(justify="right", style="bold", no_wrap=True)
        table.add_column(style="dim")
        if self.family is not None:
            table.add_row("family", self.family)
        table.add_row("parameters", f"{self.parameters:,}", "tied ones once")
        table.add_row("context", "any" if self.context is None else f"{self.context:,}", "tokens of a row at the most")
        table.add_row("operations", amount(self.operations), f"a token, forward, in rows of {self.length:,}")
        for held in self.cache:
            more = f"; {amount(held.memory)}B a source token" if held.memory else ""
            told = f"a token; {amount(held.row)}B a row of {self.length:,}{more}"
            table.add_row(f"cache in {held.dtype}", f"{amount(held.token)}B", told)
        return table

    def _fields(self) -> Table:
        table = _table("stack", "layers", "field", "keys", "mask", "position", right=("layers",))
        for stack in self.stacks:
            own = "" if stack.depth == stack.layers else f" of {stack.layers}"
            first = [stack.name, f"{stack.depth}{own}"]
            for field in stack.fields or (FieldFacts("", "", "", ""),):
                table.add_row(*first, *(Text(word) for word in (field.name, field.keys, field.mask, field.position)))
                first = ["", ""]
        return table

    def _parts(self) -> Table:
        table, layers = _table("part", "kind", "shapes", "parameters", right=("parameters",)), ""
        for part in self.parts:
            if part.layers and part.layers != layers:
                table.add_row(Text(part.layers), f"{part.times} equal layers" if part.times > 1 else "", "", "")
            layers = part.layers
            shapes = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in part.shapes.items())
            count = f"{part.parameters:,}" if part.shapes else ""
            table.add_row(Text("  " * bool(layers) + part.name), part.kind, Text(shapes or part.says, "dim"), count)
        return table


def amount(number: float) -> str:
    """950, 7.3 k, 1.2 M, 7.0 G."""
    for limit, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return f"{number:.0f} "


def _table(*names: str, right: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table
