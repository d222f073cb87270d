"""What every metric asks of what it is given: as many predictions as gold, at least one, of the kind it compares."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Label = int | str  # a class: its number or its name


def matched(what: str, predicted: Sequence[Any] | Array, gold: Sequence[Any] | Array) -> int:
    """How many pairs there are. ValueError where one text stands for a list of them, for none, for unequal counts."""
    for name, values in (("predicted", predicted), ("gold", gold)):
        if isinstance(values, str | bytes):
            raise ValueError(f"{what}: {name} is one text, {values[:40]!r}: pass a list, with one entry a sample")
    if len(predicted) != len(gold):
        raise ValueError(
            f"{what}: {len(predicted)} predicted and {len(gold)} gold: pass one prediction for each gold, in its order"
        )
    if not len(gold):
        raise ValueError(f"{what}: 0 predicted and 0 gold, and a score needs at least one: is the split empty?")
    return len(gold)


def labels(
    what: str, predicted: Sequence[Label] | Array, gold: Sequence[Label] | Array
) -> tuple[list[Label], list[Label]]:
    """Both as plain ints, or both as plain strings. ValueError names the first that is neither, or that differs."""
    matched(what, predicted, gold)
    mine, theirs = _plain(what, "predicted", predicted), _plain(what, "gold", gold)
    one_kind(what, {"predicted": mine, "gold": theirs})
    return mine, theirs


def one_kind(what: str, named: dict[str, list[Label]]) -> None:
    """ValueError where some labels are names and others numbers: 1 and "1" would be two classes."""
    first = {isinstance(value, str): (name, value) for name, values in reversed(named.items()) for value in values}
    if len(first) == 2:
        (name, text), (other, number) = first[True], first[False]
        raise ValueError(
            f"{what}: {name} has the name {text!r} and {other} the number {number!r}: a class is written in one way, "
            "so turn the one into the other"
        )


def _plain(what: str, name: str, values: Sequence[Label] | Array) -> list[Label]:
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise ValueError(f"{what}: {name} is of shape {values.shape}, not [N]: take the argmax over the classes first")
    held = values.tolist() if isinstance(values, np.ndarray) else values
    found = [value.item() if isinstance(value, np.generic) else value for value in held]
    for place, value in enumerate(found):
        if not isinstance(value, int | str):
            raise ValueError(
                f"{what} compares classes, and {name}[{place}] is {value!r}, a {type(value).__name__}: pass each class "
                "as an int or a str (of a tensor: .tolist()), or choose a metric of numbers"
            )
    return found


def numbers(what: str, predicted: Sequence[float] | Array, gold: Sequence[float] | Array) -> tuple[Array, Array]:
    """Both as float64 [N]. ValueError names the first that is no finite number."""
    matched(what, predicted, gold)
    return finite(what, "predicted", predicted), finite(what, "gold", gold)


def finite(what: str, name: str, values: Sequence[float] | Array) -> Array:
    """`values` as float64 [N]. ValueError names the first that is no finite number."""
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} is of numbers, and {name} is {found.dtype} of shape {found.shape}, not numbers of shape [N]: "
            "choose a metric that fits, or pass one number a sample"
        )
    strange = np.flatnonzero(~np.isfinite(found))
    if len(strange):
        raise ValueError(
            f"{what}: {name}[{strange[0]}] is {found[strange[0]]}, one of {len(strange)} in {len(found)} that are not "
            "finite: leave those samples out, or look for what made them"
        )
    return found.astype(np.float64)
