"""Every pretraining objective on real text for a minute: held-out nats beside the best constant guess.

    python benchmarks/pretraining.py [--minutes 1] [--objectives masked spans …] [--out FOLDER]

The recipes pretrain_*: Python's standard library, a tenth of its files held out; a model of 4 layers, width 128 and
context 128 over 2,048 subwords. Distillation, which has no recipe, is of the model that the same text gave before. Each
line is one run of `weft train`, whose command is printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from weft.recipes.pretraining import FAMILY_OF, pretraining

TAUGHT = {"distil": "next_token", "distil_masked": "masked"}  # by the model of which objective
RUNS = (*FAMILY_OF, *TAUGHT)


def words(objective: str, out: Path, minutes: float) -> list[str]:
    """The command of one run."""
    teacher = TAUGHT.get(objective)
    like = pretraining(teacher or objective)
    sets = [f"train.minutes={minutes}", f"data.store={out / 'tokens'}"]
    own = []
    if teacher:
        own = ["--objective", objective]
        sets += [f"objective.teacher={out / like.name}", f"data.tokenizer={out / like.name}", "data.store="]
    words = [word for change in sets for word in ("--set", change)]
    return ["train", like.name, *own, "--out", str(place(objective, out)), "--overwrite", "--quiet", *words]


def place(objective: str, out: Path) -> Path:
    """The run's folder."""
    return out / (f"taught_{objective}" if objective in TAUGHT else pretraining(objective).name)


def main() -> None:
    """Run them one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--objectives", nargs="+", default=RUNS, choices=RUNS)
    parser.add_argument("--out", type=Path, default=Path("runs/pretraining"))
    given = parser.parse_args()
    rows = list[str]()
    for objective in given.objectives:
        command = words(objective, given.out, given.minutes)
        print(f"weft {shlex.join(command)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "weft", *command], check=True, stdout=subprocess.DEVNULL)
        found = json.loads((place(objective, given.out) / "report.json").read_text())
        ours, guess = found["figures"]["nats_per_token"], found["constant"]
        beside = "–" if guess is None else f"{guess:.3f} | {guess - ours:.3f}"
        family = FAMILY_OF[TAUGHT.get(objective, objective)]
        rows.append(f"| {objective} | {family} | {found['steps']} | {ours:.3f} | {beside} |")
        print(rows[-1], flush=True)
    print(
        "\n| objective | family | steps | held-out nats | one guess for all | below it by |\n|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
