"""Which layers look at a window alone, as published folders say it: `layer_types`, and older ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from weft.models.published import Read, Seam
from weft.nn import Scheme

_FIELDS = {"full_attention": "self", "sliding_attention": "local"}


def layers(older: Callable[[Mapping[str, Any]], Sequence[str]], *names: str) -> Seam:
    """The seam of a family with a field `pattern`: the fields that its layers look through, over and over.

    older: what a file without `layer_types` means; names: of the fields it reads and nobody else does.
    """
    return Seam(("layer_types", *names), ("pattern",), partial(_read, older), _write)


def spread(pattern: Sequence[str], depth: int) -> list[str]:
    """The field of each layer. ValueError for a pattern of nothing."""
    if not pattern:
        raise ValueError("the pattern is empty: name the field that each layer looks through, self or local")
    return [pattern[layer % len(pattern)] for layer in range(depth)]


def _read(older: Callable[[Mapping[str, Any]], Sequence[str]], theirs: Mapping[str, Any]) -> Read:
    """The shortest pattern that gives every layer its field."""
    given = theirs.get("layer_types")
    if given is None:
        names = list(older(theirs))
    elif not isinstance(given, list) or not given or any(kind not in _FIELDS for kind in given):
        raise ValueError(f"layer_types is {given!r}; it is a list of {' and '.join(_FIELDS)}, one a layer")
    else:
        names = [_FIELDS[kind] for kind in given]
        depth = theirs.get("num_hidden_layers", len(names))
        if len(names) != depth:
            raise ValueError(f"layer_types has {len(names)} entries and num_hidden_layers is {depth}: make them agree")
    periods = range(1, len(names) + 1)
    return Read({"pattern": next(names[:n] for n in periods if spread(names[:n], len(names)) == names)})


def _write(c: Any, position: Scheme | None) -> dict[str, Any]:
    theirs = {ours: name for name, ours in _FIELDS.items()}
    return {"layer_types": [theirs[name] for name in spread(c.pattern, c.depth)]}
