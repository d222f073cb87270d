"""What classes a saved model of pictures draws or tells apart, beside those of new data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weft.batch import Unfit
from weft.hub.preprocessor import reads_of


def known_classes(folder: Path) -> tuple[str, ...]:
    """What its classes are called; none where it says nothing of any."""
    reads = reads_of(folder)
    return () if reads is None else reads.classes


def check_classes(classes: Sequence[str], names: Sequence[str], folder: Path | None) -> None:
    """Unfit for a class of the data that a model which draws by its own classes, `names`, does not know."""
    if names and (strange := [name for name in classes if name not in names]):
        raise Unfit(
            f"the data have a class {strange[0]!r}, and {folder} draws {', '.join(names[:20])}: leave it out, or train "
            "a new model"
        )
