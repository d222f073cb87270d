"""Make docs/objectives.md: every objective on one sentence, inputs and targets side by side, by the code that trains.

PYTHONPATH=src python docs/objectives.py
"""

import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Words
from weft.models import Blueprint
from weft.objectives import OBJECTIVES, ReplacedTokens, objective_from_text
from weft.objectives.distil import Lessons
from weft.objectives.replaced import Detecting
from weft.objectives.table import Damaged, Way

SENTENCE = "Thank you for inviting me to your party last week ."
OTHER = "the weaver mends the red thread and sings a quiet song at dawn ."
HEAD = """# Objectives on one sentence

Made by `python docs/objectives.py`: the rows that each objective gives a model of the sentence

> Thank you for inviting me to your party last week .

`weft train FAMILY --objective NAME` trains with it; `weft list` says of which models. ␃ ends a text, ▒ is the mask,
⟨1⟩ ⟨2⟩ … are sentinels, · is a place that nothing is asked of; `name = number` is asked of the row as a whole, `text`
which of the batch's texts it is. What is drawn is a function of the seed, the epoch and the sample.

| objective | what is read | what is asked |
|---|---|---|
"""


def spelt(ids: torch.Tensor, words: Words) -> str:
    """Ids as a person reads them."""
    marks = {words.vocab: "▒", words.end: "␃", IGNORED: "·"}
    marks |= {words.vocab + 1 + number: f"⟨{number + 1}⟩" for number in range(100)}
    return " ".join(marks[i] if i in marks else words.decode([i]) for i in ids.tolist())


def row_of(name: str, texts: list[list[int]], words: Words) -> Blocks:
    """The text as one row; behind it another row, or in it another sentence, where there must be two."""
    joined = [words.end, *(i for text in texts for i in (*text, words.end))]
    if name == "contrast":
        return Blocks(np.array(joined, np.int32), len(joined) - 1, shift=False)
    alone = len(texts[0]) + 1
    used = joined if "next_sentence" in name else joined[: alone + 1]
    return Blocks(np.array(used, np.int32), alone, shift=False)


def shown(name: str, words: Words) -> list[tuple[str, str, str]]:
    """Of what, what is read and what is asked, in the first epoch."""
    objective = objective_from_text(name)
    if objective.pairs:
        return [(f"`{name}`", f"{SENTENCE} ␃", "Danke für die Einladung letzte Woche . ␃")]
    texts = [words.encode(SENTENCE), words.encode(OTHER)]
    if isinstance(objective, Damaged):
        return [damaged(ways, texts, words) for ways in (*((way,) for way in get_args(Way)), objective.ways)]
    batch = objective.turn(row_of(name, texts, words), words, 4).batch([Place(1, 0)])
    read, asked = told(batch, words)
    if isinstance(objective, ReplacedTokens):
        return [(f"`{name}`: generator", read, asked), (f"`{name}`: the model", *detected(objective, batch, words))]
    if isinstance(objective, Lessons):
        asked += "; of every token the teacher's scores and state"
    return [(f"`{name}`", read, asked)]


def damaged(ways: tuple[Way, ...], texts: list[list[int]], words: Words) -> tuple[str, str, str]:
    """BART's ways to damage a text, in the first epoch in which it is not as it was; sentences are permuted where there
    are two."""
    text = [*texts[0], *texts[1]] if "permutation" in ways else texts[0]
    rows = Blocks(np.array([words.end, *text, words.end], np.int32), len(text) + 1, shift=False)
    turned = Damaged(ways=ways).turn(rows, words, 4)
    found = (told(turned.batch([Place(epoch, 0)]), words) for epoch in itertools.count(1))
    return f"`denoise`, ways={','.join(ways)}", *next(pair for pair in found if pair[0] != pair[1])


def detected(objective: ReplacedTokens, batch: Batch, words: Words) -> tuple[str, str]:
    """What the discriminator reads, with guesses of a new generator, and what it is asked of every token."""
    blueprint = Blueprint.of("electra", "debug", vocab=objective.ids(words))
    module = objective.wrap(blueprint.build(seed=0), blueprint, 0, lambda folder: blueprint.build())
    assert isinstance(module, Detecting)
    tokens, replaced, _ = objective.filled(module.eval(), batch)
    return spelt(tokens[0], words), " ".join("replaced" if one else "kept" for one in replaced[0].tolist())


def told(batch: Batch, words: Words) -> tuple[str, str]:
    """A row of a batch, both sides."""
    side = batch if batch.source is None else batch.source
    real = torch.ones_like(side.tokens[0], dtype=torch.bool) if side.segments is None else side.segments[0] > 0
    asked = list[str]()
    if batch.labels is not None:
        asked.append(spelt(batch.labels[0] if batch.source is not None else batch.labels[0][real], words))
    asked += [f"{key} = {int(t[0])}" for key, t in batch.asked.items() if t.ndim == 1]
    return spelt(side.tokens[0][real], words), "; ".join(asked)


def page() -> str:
    """The page's text."""
    words = Words.train([SENTENCE, OTHER, "Danke für die Einladung letzte Woche ."], 0)
    every = [name for name in OBJECTIVES.names() if OBJECTIVES.get(name).__module__.startswith("weft.")]
    names = [name for name in every if not OBJECTIVES.get(name).of_signals]
    found = [line for name in [*names, "masked+next_sentence"] for line in shown(name, words)]
    lines = [f"| {what} | {read} | {asked} |" for what, read, asked in found]
    texts, signals = summaries(names), summaries([name for name in every if name not in names])
    return HEAD + "\n".join(lines) + f"\n\n## What each is\n\n{texts}\n\n## Of signals\n\n{signals}\n"


def summaries(names: list[str]) -> str:
    """What each is, in its own words."""
    return "\n".join(f"- `{name}`: {' '.join((OBJECTIVES.get(name).__doc__ or '').split())}" for name in names)


if __name__ == "__main__":
    (Path(__file__).parent / "objectives.md").write_text(page(), encoding="utf-8")
