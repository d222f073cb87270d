"""Every recipe beyond text in full, one after another, and a table of what came of each.

    python benchmarks/recipes.py DATA RUNS [--only vit cct …] [--seeds 1] [--minutes SHARE]

DATA: the folder of the data sets that the recipes' docstrings name. RUNS: a folder a run, RUNS/NAME for seed 0 and
RUNS/NAME-1 … for more (of a run that begins with another, always with that one's seed 0). A run that is finished is
not run again, one that was cut goes on: the same command until all are done. --minutes 0.5 gives those that count
minutes half of their own. RUNS/recipes.md is the table, written anew after each run; what was begun and not finished
stands in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FEW = "--set data.examples=600 --set train.steps=600 --set train.batch=64 --set train.evaluate_every=0"
LIKE = (
    "--set objective.smoothing=0.1 --set data.augment.crop=1 --set data.augment.light=0 --set data.augment.shift=2 "
    "--set data.augment.erase=0.25 --set train.rate=1e-3"
)
CLOTHES, EMOJI, DIGITS = "DATA/fashion_mnist", "DATA/noto_emoji", "DATA/spoken_digits/recordings.tar.gz"
CHORALES = "DATA/jsb_chorales/satb_16th.json.gz"
HIDDEN = "--objective masked_vectors --set train.weight_decay=0.1"
CO2 = "--set data.paths=co2 --set data.missing=last --set data.columns=co2"
TASKS = f"--data clothes={CLOTHES} --data mood=DATA/sst2 --data answer={EMOJI}"


@dataclass(frozen=True)
class Task:
    """name: of the run. train: words behind `weft train`, DATA/… and RUNS/… in place of the folders. bar: what is to be
    reached, for people. judge: the run whose model says whether drawn pictures show what was asked. after: runs that
    must be there."""

    name: str
    train: str
    bar: str = ""
    judge: str = ""
    after: tuple[str, ...] = ()


QUEUE = (
    Task("vit", f"fashion_vit --data {CLOTHES}", "accuracy 0.88"),
    Task("cct", f"fashion_cct --data {CLOTHES}", "accuracy 0.90, aim 0.92"),
    Task("hidden", f"fashion_hidden --data {CLOTHES}"),
    Task("views", f"fashion_views --data {CLOTHES}"),
    Task("scratch", f"fashion_vit --data {CLOTHES} {FEW}"),
    Task("few", f"RUNS/hidden --objective classes --data {CLOTHES} {FEW} {LIKE}", "scratch + 0.03", after=("hidden",)),
    Task(
        "few_views", f"RUNS/views --objective classes --data {CLOTHES} {FEW} {LIKE}", "scratch + 0.03", after=("views",)
    ),
    Task("imagegpt", f"fashion_imagegpt --data {CLOTHES}", "0.70 as asked", "vit"),
    Task("vqgan", f"fashion_vqgan --data {CLOTHES}"),
    Task(
        "codes", f"fashion_codes --data {CLOTHES} --set data.quantiser=RUNS/vqgan", "0.70 as asked", "vit", ("vqgan",)
    ),
    Task("diffusion", f"fashion_diffusion --data {CLOTHES}", "0.70 as asked", "vit"),
    Task("emoji_diffusion", f"emoji_diffusion --data {EMOJI}"),
    Task("emoji_clip", f"emoji_clip --data {EMOJI}", "recall at 5 0.40, zero-shot 0.60"),
    Task("emoji_siglip", f"emoji_siglip --data {EMOJI}", "recall at 5 0.40, zero-shot 0.60"),
    *(
        Task(f"digits_{who}", f"digits_ctc --data {DIGITS} --set data.held_out_speaker={who}", "mean 0.95, worst 0.88")
        for who in ("george", "jackson", "lucas", "nicolas", "yweweler")
    ),
    Task("digits_whisper", f"digits_whisper --data {DIGITS}", "word error rate 0.12"),
    Task("bach", f"bach --data {CHORALES}"),
    Task("bach_sinusoid", f"bach --data {CHORALES} --set model.position=sinusoid", "worse than bach"),
    Task("cartpole_cloning", "cartpole_cloning"),
    Task(
        "cartpole", "cartpole_decision --set data.against=RUNS/cartpole_cloning", "rho 0.8", "", ("cartpole_cloning",)
    ),
    Task("pendulum_cloning", "pendulum_cloning"),
    Task(
        "pendulum", "pendulum_decision --set data.against=RUNS/pendulum_cloning", "rho 0.8", "", ("pendulum_cloning",)
    ),
    Task("llava", f"emoji_llava --data {EMOJI}", "above blind"),
    Task("blind", f"emoji_llava --data {EMOJI} --set data.blind=true"),
    Task("unit", f"unit_three {TASKS}", "each within 0.02 of one alone"),
    *(Task(f"unit_{name}", f"unit_three {TASKS} --set data.tasks={name}") for name in ("clothes", "mood", "answer")),
    Task("perceiver_fashion", f"perceiver_fashion --data {CLOTHES}", "accuracy 0.85"),
    Task("perceiver_digits", f"perceiver_digits --data {DIGITS}", "accuracy 0.85"),
    Task("sunspots", "sunspots", "not above linear autoregression"),
    Task("sunspots_hidden", f"sunspots {HIDDEN} --set train.rate=2e-3 --set train.steps=600", "below interpolation"),
    Task("co2", f"sunspots {CO2} --set model.context=64 --set model.reads=rises", "not above linear autoregression"),
    Task("co2_hidden", f"sunspots {HIDDEN} {CO2} --set train.rate=1e-4 --set train.steps=300", "below interpolation"),
    Task("macro", "sunspots --set data.paths=macrodata", "not above linear autoregression"),
    Task(
        "macro_hidden",
        f"sunspots {HIDDEN} --set data.paths=macrodata --set train.rate=2e-3 --set train.steps=1500",
        "below interpolation",
    ),
)


def weft(words: list[str]) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, what it says going to the terminal, what it prints kept."""
    return subprocess.run([sys.executable, "-m", "weft", *words], stdout=subprocess.PIPE, text=True)


def placed(words: str, data: Path, runs: Path) -> list[str]:
    """With the folders in their places."""
    return words.replace("DATA/", f"{data}/").replace("RUNS/", f"{runs}/").split()


def run(task: Task, seed: int, data: Path, runs: Path, share: float) -> None:
    """Train, or go on with what was cut, and let drawn pictures be judged."""
    out, words = folder(task, seed, runs), placed(task.train, data, runs)
    if seed:
        words += ["--set", f"train.seed={seed}"]
    if share != 1 and (minutes := minutes_of(words)):
        words += ["--set", f"train.minutes={minutes * share:g}"]
    if not finished(out):
        weft(["train", *words, "--out", str(out), *(["--resume"] if (out / "run.json").is_file() else [])])
    if task.judge and finished(out) and not (out / "judged.json").is_file():
        asked = ["eval", str(out), "--judge", str(runs / task.judge), "--data", str(data / "fashion_mnist")]
        found = weft([*asked, "--count", "100", "--json"])
        if not found.returncode:
            (out / "judged.json").write_text(found.stdout)


def minutes_of(words: list[str]) -> float:
    """How long a recipe asks for; 0 where it counts steps."""
    shown = subprocess.run(
        [sys.executable, "-m", "weft", "show", words[0], "--json"], stdout=subprocess.PIPE, text=True
    )
    said = "train.minutes" in " ".join(words) or "train.steps" in " ".join(words) or shown.returncode
    return 0.0 if said else float(json.loads(shown.stdout)["train"]["minutes"])


def folder(task: Task, seed: int, runs: Path) -> Path:
    """Of one of its runs."""
    return runs / (f"{task.name}-{seed}" if seed else task.name)


def finished(out: Path) -> bool:
    """Whether a run came to its end."""
    path = out / "report.json"
    return path.is_file() and not json.loads(path.read_text())["interrupted"]


def told(out: Path) -> dict[str, float]:
    """The figures of a finished run, and of its judge."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    found = {name: float(value) for name, value in report["figures"].items()}
    found |= {name: float(metric["value"]) for name, metric in report["metrics"].items()}
    found |= {f"({name})": float(value) for name, value in report["baselines"].items()}
    if (out / "judged.json").is_file():
        judged = json.loads((out / "judged.json").read_text())
        found |= {f"judged {name}": value for name, value in judged.items() if isinstance(value, float)}
    return found


def table(seeds: int, runs: Path) -> str:
    """A row for each run."""
    lines = ["| run | bar | steps | minutes | figures |", "|---|---|---|---|---|"]
    for task in QUEUE:
        for seed in range(seeds):
            out = folder(task, seed, runs)
            if not finished(out):
                lines += [f"| {out.name} | {task.bar} | | | not finished |"] if out.exists() else []
            else:
                report = json.loads((out / "report.json").read_text())
                said = ", ".join(f"{name} {value:.4g}" for name, value in told(out).items())
                lines.append(
                    f"| {out.name} | {task.bar} | {report['steps']:,} | {report['seconds'] / 60:.1f} | {said} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", nargs="+", choices=[task.name for task in QUEUE])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0, help="so many times each recipe's own")
    asked = parser.parse_args()
    data, runs = asked.data.resolve(), asked.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    for task in QUEUE:
        if asked.only and task.name not in asked.only:
            continue
        needs = (*task.after, *([task.judge] if task.judge else []))
        if lacks := [name for name in needs if not finished(runs / name)]:
            print(f"{task.name} waits for {', '.join(lacks)}", file=sys.stderr)
            continue
        for seed in range(asked.seeds):
            run(task, seed, data, runs, asked.minutes)
            (runs / "recipes.md").write_text(table(asked.seeds, runs))
    print(table(asked.seeds, runs))


if __name__ == "__main__":
    main()
