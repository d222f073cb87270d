"""Every pretraining objective on real text for a minute: held-out nats beside the best constant guess.

    python benchmarks/pretraining.py [--minutes 1] [--objectives masked spans …] [--out FOLDER]

The recipes pretrain_*: Python's standard library, a tenth of its files held out; a model of 4 layers, width 128 and
context 128 over 2,048 subwords. Distillation is of the model that the same text gave before. Each line is
one run of `weft train`, whose command is printed.
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


def words(objective: str, out: Path, minutes: float) -> list[str]:
    """The command of one run."""
    sets, teacher = [f"train.minutes={minutes}"], TAUGHT.get(objective)
    if teacher:
        sets += [f"{path}={out / pretraining(teacher).name}" for path in ("objective.teacher", "data.tokenizer")]
    else:
        sets.append(f"data.store={out / 'tokens'}")
    words = [word for change in sets for word in ("--set", change)]
    name = pretraining(objective).name
    return ["train", name, "--out", str(out / name), "--overwrite", "--quiet", *words]


def main() -> None:
    """Run them one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--objectives", nargs="+", default=tuple(FAMILY_OF), choices=FAMILY_OF)
    parser.add_argument("--out", type=Path, default=Path("runs/pretraining"))
    given = parser.parse_args()
    rows = list[str]()
    for objective in given.objectives:
        command = words(objective, given.out, given.minutes)
        print(f"weft {shlex.join(command)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "weft", *command], check=True, stdout=subprocess.DEVNULL)
        found = json.loads((given.out / pretraining(objective).name / "report.json").read_text())
        ours, guess = found["figures"]["nats_per_token"], found["constant"]
        beside = "– | –" if guess is None else f"{guess:.3f} | {guess - ours:.3f}"
        rows.append(f"| {objective} | {FAMILY_OF[objective]} | {found['steps']} | {ours:.3f} | {beside} |")
        print(rows[-1], flush=True)
    print(
        "\n| objective | family | steps | held-out nats | one guess for all | below it by |\n|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
