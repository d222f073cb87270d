"""Files made here, so that a comparison can be tried where there is no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from weft.data import DataSettings
from weft.data.made import sentences
from weft.files import write_bytes
from weft.recipes.comparing.comparison import Comparison, FineTuning
from weft.recipes.tuning import Columns

SIDES = {"train": (60, 1000), "dev": (24, 2000)}  # examples, and the seed that they are made of


def debugged(comparison: Comparison) -> Comparison:
    """The same candidates and tasks at sizes that end in seconds: the least budget that is alike within 5%, families'
    debug sizes (and those of a candidate's own settings), eight labelled examples, one seed."""
    return replace(
        comparison,
        flops=0.0,
        tokens=0,
        slack=0.05,
        pretrained=1,
        seeds=1,
        size="debug",
        model={},
        train=comparison.train | {"batch": 2},
        data=replace(comparison.data, vocab=384),
        tunings=tuple(
            replace(tuning, counts=(8,), epochs=0.1, steps=4, context=None, train=tuning.train | {"batch": 4})
            for tuning in comparison.tunings
        ),
    )


def with_made_data(comparison: Comparison) -> Comparison:
    """The same on text and examples that are made here. ValueError for a task of which none are."""
    for tuning in comparison.tunings:
        if tuning.task not in EXAMPLES:
            raise ValueError(
                f"the tuning {tuning.name}: no examples of the task {tuning.task} are made here, only of "
                f"{', '.join(EXAMPLES)}: give --data"
            )
    made = tuple(
        replace(tuning, data=_name(tuning, "train"), dev=_name(tuning, "dev"), columns=Columns(), metric=None)
        for tuning in comparison.tunings
    )
    return replace(comparison, data=DataSettings(source="made", vocab=comparison.data.vocab), tunings=made)


def write_made(comparison: Comparison, folder: Path) -> None:
    """Write the files that `with_made_data` names."""
    for tuning in comparison.tunings:
        for side, (count, seed) in SIDES.items():
            write_bytes(folder / _name(tuning, side), EXAMPLES[tuning.task](sentences(count, seed)).encode())


def _name(tuning: FineTuning, side: str) -> str:
    return f"{tuning.task}-{side}{ENDINGS[tuning.task]}"


def _classified(texts: list[str]) -> str:
    """Of each sentence, whether something is seen, heard, or else."""
    rows = [f"{text}\t{int('sees' in text or 'hears' in text)}" for text in texts]
    return "\n".join(["text\tlabel", *rows]) + "\n"


def _tagged(texts: list[str]) -> str:
    """Of each word, whether it is an article."""
    words = [[f"{word}\t{'DET' if word in ('the', 'a') else 'X'}" for word in text.split()] for text in texts]
    return "\n\n".join("\n".join(lines) for lines in words) + "\n"


EXAMPLES = {"classify": _classified, "tag": _tagged}
ENDINGS: Mapping[str, str] = {"classify": ".tsv", "tag": ".conll"}
