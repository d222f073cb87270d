"""Bit-identical loss over ten debug steps, against the stored trace: `make same` guards refactors.

    python tests/same.py            # compare; exit status 1 and both traces where a bit differs
    python tests/same.py --update   # store what this tree computes, after a change that is meant to change numbers

Bits are a fact of a processor and a torch version; where the store has no trace of this machine's kind, the losses are
compared to 1e-4 instead, and that is said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from weft.data import DataSettings, prepare
from weft.models import FAMILIES, Blueprint, reading
from weft.objectives import OBJECTIVES
from weft.training.loop import train
from weft.training.settings import TrainSettings
from weft.training.watch import Record, Watcher

STORE = Path(__file__).parent / "same.json"
STEPS = 10


def kind() -> str:
    """What decides the bits."""
    return f"torch {torch.__version__.split('+')[0]}, {torch.backends.cpu.get_cpu_capability()}"


class Losses(Watcher):
    """Keeps the loss of each step, exactly."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def step(self, record: Record) -> None:
        assert record.loss is not None
        self.found.append(record.loss.hex())


def trace(family: str, optimiser: str) -> list[str]:
    """The losses of ten steps, as exact hexadecimal numbers."""
    pairs = FAMILIES.get(family).objective == "translate"
    blueprint = Blueprint.of(family, "debug")
    data = prepare(
        DataSettings(source="made_pairs" if pairs else "made", vocab=300), blueprint.config.context, pairs=pairs
    )
    declared = FAMILIES.get(family)
    objective = OBJECTIVES.get(declared.objective)(**declared.terms(Blueprint.of(family, "debug").config))
    module = blueprint.change("vocab", str(objective.ids(data.tokenizer))).change("dropout", "0.1").build(seed=1)
    settings = TrainSettings(steps=STEPS, batch=4, micro_batches=2, optimiser=optimiser, precision="fp32", threads=1)
    watch = Losses()
    train(module, objective.turn(data.train, data.tokenizer, 0), objective, settings, watch=watch)
    return watch.found


def main() -> int:
    now = {
        f"{family}/{optimiser}": trace(family, optimiser)
        for family in reading("text")
        for optimiser in ("adamw", "muon")
    }
    stored = json.loads(STORE.read_text()) if STORE.is_file() else {}
    if "--update" in sys.argv:
        STORE.write_text(json.dumps(stored | {kind(): now}, indent=1) + "\n")
        print(f"stored {len(now)} traces for {kind()}")
        return 0
    exact = kind() in stored
    if not stored:
        print("nothing is stored: run it once with --update")
        return 1
    then = stored.get(kind(), next(iter(stored.values())))
    if not exact:
        print(f"no trace was stored for {kind()}; comparing to 1e-4 with that of {next(iter(stored))}")
    for name in sorted(now.keys() - then.keys()):
        print(f"no trace was stored for {name}: nothing guards it until --update stores one")
    wrong = [name for name in then if not _same(then[name], now.get(name, []), exact)]
    for name in wrong:
        print(f"{name} differs\n  stored {_plain(then[name])}\n  now    {_plain(now.get(name, []))}")
    print(
        f"{len(then) - len(wrong)} of {len(then)} traces of {STEPS} steps are {'bit-identical' if exact else 'close'}"
    )
    return 1 if wrong else 0


def _same(then: list[str], now: list[str], exact: bool) -> bool:
    if exact:
        return then == now
    pairs = zip(map(float.fromhex, then), map(float.fromhex, now), strict=True)
    return len(then) == len(now) and all(abs(a - b) < 1e-4 for a, b in pairs)


def _plain(losses: list[str]) -> str:
    return " ".join(f"{float.fromhex(loss):.9f}" for loss in losses)


if __name__ == "__main__":
    sys.exit(main())
