"""`weft list`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from rich.table import Table
from rich.text import Text

from weft.cli.shared import printer
from weft.data import PAIR_SOURCES, SOURCES, TOKENIZERS
from weft.evaluate import METRICS
from weft.evaluate.prompting import PROMPTS
from weft.models import FAMILIES
from weft.nn import ATTENTIONS, KERNELS, SCHEMES
from weft.objectives import OBJECTIVES
from weft.objectives.loss import KINDS
from weft.recipes import RECIPES, tuning
from weft.recipes.comparing import COMPARISONS

HEADING = "bold cyan"


def command(*, as_json: bool) -> None:
    """Print the names of everything that is registered, with a line on each recipe and family."""
    names = {
        "recipes": RECIPES.names(),
        "comparisons": COMPARISONS.names(),
        "families": FAMILIES.names(),
        "positions": list(SCHEMES),
        "attentions": list(ATTENTIONS),
        "kernels": list(KERNELS),
        "objectives": OBJECTIVES.names(),
        "sources": SOURCES.names(),
        "pairs": PAIR_SOURCES.names(),
        "tokenizers": TOKENIZERS.names(),
        "tasks": tuning.KINDS.names(),
        "metrics": METRICS.names(),
        "prompts": PROMPTS.names(),
    }
    if as_json:
        print(json.dumps(names))
        return
    console, told = (
        printer(),
        {"recipes": _recipe, "comparisons": _comparison, "families": _family, "objectives": _objective},
    )
    wide = max(len(name) for kind in told for name in names[kind])
    for kind, tell in told.items():
        console.print(Text(kind, style=HEADING))
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        table.add_column(min_width=wide, no_wrap=True)
        table.add_column(style="dim")
        for name in names.pop(kind):
            table.add_row(name, _told(name, tell))
        console.print(table)
        console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style=HEADING, min_width=wide + 2)
    table.add_column()
    for kind, listed in names.items():
        table.add_row(kind, ", ".join(listed))
    console.print(table)
    console.print(Text("\nweft show NAME tells more of a recipe, a family or a trained folder", style="dim"))


def _told(name: str, tell: Callable[[str], str]) -> str:
    """What there is to say of a name; another distribution's plug-in may be broken, which is no reason to stop."""
    try:
        return tell(name)
    except Exception as error:
        return f"cannot be loaded: {error}"


def _recipe(name: str) -> str:
    return RECIPES.get(name).summary


def _comparison(name: str) -> str:
    return " ".join(COMPARISONS.get(name).story.split())


def _objective(name: str) -> str:
    objective = OBJECTIVES.get(name)
    kinds = " and ".join(KINDS[kind].split()[-1] + "s" for kind in objective.carriers if kind in KINDS)
    return f"{' '.join((objective.__doc__ or '').split(chr(10) * 2)[0].split())} Of {kinds or 'any module'}."


def _family(name: str) -> str:
    family, proof = FAMILIES.get(name), _proof(_proofs().get(name))
    return f"{family.summary}; sizes {', '.join(family.sizes)}{proof}"


def _proofs() -> dict[str, dict[str, Any]]:
    """What each of weft's own families was proven against, as docs/families.py measured it."""
    return json.loads((files("weft.cli") / "proofs.json").read_text(encoding="utf-8"))


def _proof(found: Mapping[str, Any] | None) -> str:
    """A proof in words; nothing where there is none."""
    if found is None:
        return ""
    how = f"Δ ≤ {found['logits']:.1e} sd" if "logits" in found else f"{found['tests']} tests"
    return f"; {how} beside {found['against']}"
