"""Make docs/objectives.md: every objective on one sentence, inputs and targets side by side, by the code that trains.

PYTHONPATH=src python docs/objectives.py
"""

from pathlib import Path

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Words
from weft.models import Blueprint
from weft.objectives import OBJECTIVES, Objective, bare, objective_from_text

SENTENCE = "Thank you for inviting me to your party last week ."
OTHER = "the weaver mends the red thread and sings a quiet song at dawn ."
FAMILIES = {"Encoder": "bert", "Decoder": "llama", "EncoderDecoder": "t5"}
HEAD = """# Objectives on one sentence

Made by `python docs/objectives.py`: the rows that each objective gives a model of the sentence

> Thank you for inviting me to your party last week .

`weft train FAMILY --objective NAME` trains with it; `weft list` says of which models. ␃ ends a text, ▒ is the mask,
⟨1⟩ ⟨2⟩ … are sentinels, · is a place that nothing is asked of. What is drawn is a function of the seed, the epoch and
the sample.

| objective | what is read | what is asked |
|---|---|---|
"""


def spelt(ids: torch.Tensor, words: Words, objective: Objective) -> str:
    """Ids as a person reads them."""
    marks = {words.vocab: "▒", words.end: "␃", IGNORED: "·"}
    marks |= {words.vocab + 1 + number: f"⟨{number + 1}⟩" for number in range(100)}
    return " ".join(marks[i] if i in marks else words.decode([i]) for i in ids.tolist())


def shown(name: str, words: Words) -> tuple[str, str]:
    """What is read and what is asked, of the first epoch in which something is."""
    objective = objective_from_text(name)
    kind = next((FAMILIES[cls.__name__] for cls in objective.carriers if cls.__name__ in FAMILIES), "bert")
    if "EncoderDecoder" in [cls.__name__ for cls in objective.carriers]:
        kind = "t5"
    module = Blueprint.of(kind, "debug").build()
    ids = [words.end, *words.encode(SENTENCE), words.end]
    rows = Blocks(np.array(ids, np.int32), len(ids) - 1, shift=False)
    if objective.pairs:
        return f"{SENTENCE} ␃", "Danke für die Einladung letzte Woche . ␃"
    objective.length(bare(module), 64)
    if "next_sentence" in name:
        other = [*words.encode(OTHER), words.end]
        rows = Blocks(np.array([*ids, *other], np.int32), len(ids) - 1, shift=False)
    batch = objective.turn(rows, words, 4).batch([Place(1, 0)])
    return told(batch, words, objective)


def told(batch: Batch, words: Words, objective: Objective) -> tuple[str, str]:
    """A row of a batch, both sides."""
    side = batch if batch.source is None else batch.source
    real = torch.ones_like(side.tokens[0], dtype=torch.bool) if side.segments is None else side.segments[0] > 0
    read = spelt(side.tokens[0][real], words, objective)
    asked = list[str]()
    if batch.labels is not None:
        labels = batch.labels[0] if batch.source is not None else batch.labels[0][real]
        asked.append(spelt(labels, words, objective))
    asked += [f"{key} = {int(t[0])}" for key, t in batch.asked.items() if t.ndim == 1]
    return read, "; ".join(asked)


def page() -> str:
    """The page's text."""
    words = Words.train([SENTENCE, OTHER, "Danke für die Einladung letzte Woche ."], 0)
    names = [name for name in OBJECTIVES.names() if OBJECTIVES.get(name).__module__.startswith("weft.")]
    lines = list[str]()
    for name in [*names, "masked+next_sentence"]:
        read, asked = shown(name, words)
        lines.append(f"| `{name}` | {read} | {asked or 'nothing beside the row itself'} |")
    summaries = "\n".join(f"- `{name}`: {' '.join((OBJECTIVES.get(name).__doc__ or '').split())}" for name in names)
    return HEAD + "\n".join(lines) + "\n\n## What each is\n\n" + summaries + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "objectives.md").write_text(page(), encoding="utf-8")
