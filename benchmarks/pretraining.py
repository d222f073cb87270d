"""Every pretraining objective on real text for a minute: held-out nats beside the best constant guess.

    python benchmarks/pretraining.py [--minutes 1] [--objectives masked spans …] [--out FOLDER]

The text is Python's standard library, a tenth of its files held out; a model of 4 layers, width 128 and context 128
over 2,048 subwords, its family the objective's usual one. A teacher for distillation is the model that the same text
gave a minute before. Each line is one run of `weft train`, whose command is printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

SIZE = ("context=128", "width=128", "heads=4", "hidden=512", "dropout=0.0")
DEPTHS = {"t5": ("encoder_depth=4", "decoder_depth=4", "head_width=32"), "bart": ("encoder_depth=4",)}
RUNS = {  # objective: its family
    "next_token": "llama", "prefix": "t5", "masked": "bert", "masked+next_sentence": "bert",
    "masked+sentence_order": "albert", "span_boundary": "spanbert", "replaced": "electra", "spans": "t5",
    "replace_spans": "t5", "drop_tokens": "t5", "mass": "t5", "bert_style": "t5", "deshuffle": "t5", "denoise": "bart",
    "distil": "llama", "distil_masked": "bert",
}  # fmt: skip
TEACHERS = {"distil": "next_token", "distil_masked": "masked"}


def words(objective: str, family: str, out: Path, minutes: float) -> list[str]:
    """The command of one run."""
    size = [f"model.{change}" for change in (*SIZE, *DEPTHS.get(family, ("depth=4",)))]
    rest = ["data.source=python_stdlib", "data.vocab=2048", f"data.store={out / 'tokens'}", f"train.minutes={minutes}"]
    rest += ["train.batch=16", "train.rate=2e-3", "train.evaluate_every=0", "train.checkpoint_every=100000"]
    if teacher := TEACHERS.get(objective):
        rest += [f"objective.teacher={out / teacher}", f"data.tokenizer={out / teacher}"]
    else:
        rest += ["data.tokenizer=bpe"]
    sets = [word for change in (*size, *rest) for word in ("--set", change)]
    place = ["--out", str(out / objective), "--overwrite", "--quiet"]
    return ["train", family, "--objective", objective, *place, *sets]


def main() -> None:
    """Run them one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--objectives", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--out", type=Path, default=Path("runs/pretraining"))
    given = parser.parse_args()
    rows = list[str]()
    for objective in given.objectives:
        command = words(objective, RUNS[objective], given.out, given.minutes)
        print(f"weft {shlex.join(command)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "weft", *command], check=True, stdout=subprocess.DEVNULL)
        found = json.loads((given.out / objective / "report.json").read_text())
        ours, guess = found["figures"]["nats_per_token"], found["constant"]
        beside = "–" if guess is None else f"{guess:.3f} | {guess - ours:.3f}"
        rows.append(f"| {objective} | {RUNS[objective]} | {found['steps']} | {ours:.3f} | {beside} |")
        print(rows[-1], flush=True)
    print(
        "\n| objective | family | steps | held-out nats | one guess for all | below it by |\n|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
