"""How many classes a head of others tells apart: their config names each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = ("id2label", "label2id", "num_labels")


def classes_of(theirs: Mapping[str, Any]) -> int:
    """As many as have names; without names as many as are said, of which two are the default."""
    labels = theirs.get("id2label")
    return len(labels) if isinstance(labels, dict) and labels else theirs.get("num_labels", 2)


def named(classes: int) -> dict[str, Any]:
    """The names of classes that nobody named."""
    names = [f"LABEL_{number}" for number in range(classes)]
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }
