"""Fine-tuning beside a plain loop of transformers: the metric over seeds, and the time of a step.

    python benchmarks/fine_tuning.py MODEL --data FOLDER --out DIR [--tasks sst2 ud wnut17 wikigold squad_v2]
                                     [--seeds 3] [--theirs 1] [--steps 0] [--precision fp32]

MODEL: an encoder's folder, a trained MiniLM say. FOLDER has train and dev files in sst2/ (.tsv.gz), ud_english_ewt/
(.conllu.gz), wnut17/ and wikigold/ (.conll.gz), squad_v2/ (.json.gz). --seeds: of weft; --theirs: of the reference.

The reference: the model's class in transformers with a new head, AdamW as torch makes it, a linear fall of the rate,
gradients clipped at 1, the same rows in the same order with the same padding, dropout as the folder has it. Both train
in fp32, or with --precision bf16 under autocast, and are scored in fp32.
With --steps N nothing is scored: N steps of each, in turns, three rounds, the median time of a step of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weft.batch import Place
from weft.evaluate import over_seeds
from weft.recipes.tuning import USUAL, Columns, Tuning, tune
from weft.recipes.tuning.prepare import Prepared, prepare
from weft.training.log import read
from weft.training.settings import TrainSettings


@dataclass(frozen=True)
class Asked:
    """A task on a data set: files, columns, epochs and rate; the class of transformers that does the same."""

    task: str
    folder: str
    suffix: str
    kind: str
    epochs: float
    columns: Columns = field(default_factory=Columns)
    context: int = 128
    rate: float = 1e-4


TASKS = {
    "sst2": Asked(
        "classify", "sst2", "tsv.gz", "BertForSequenceClassification", 3, Columns("1", label="2", header=False)
    ),
    "ud": Asked("tag", "ud_english_ewt", "conllu.gz", "BertForTokenClassification", 2),
    "wnut17": Asked("tag", "wnut17", "conll.gz", "BertForTokenClassification", 4),
    "wikigold": Asked("tag", "wikigold", "conll.gz", "BertForTokenClassification", 6),
    "squad_v2": Asked("answer", "squad_v2", "json.gz", "BertForQuestionAnswering", 2, context=256),
}


def tuning(asked: Asked, given: argparse.Namespace, seeds: int) -> Tuning:
    files = (given.data / asked.folder / f"{name}.{asked.suffix}" for name in ("train", "dev"))
    settings = replace(USUAL, epochs=asked.epochs, rate=asked.rate, precision=given.precision, log_every=1)
    return Tuning(given.model, asked.task, *files, asked.columns, context=asked.context, seeds=seeds, train=settings)


class Theirs:
    """The reference's model and loop."""

    def __init__(self, asked: Asked, model: Path, prepared: Prepared, seed: int) -> None:
        import transformers

        torch.manual_seed(seed)
        classes = {} if asked.task == "answer" else {"num_labels": len(prepared.description.labels)}
        self.model = getattr(transformers, asked.kind).from_pretrained(model, **classes)
        self.task, self.prepared, self.seed = asked.task, prepared, seed

    def run(self, settings: TrainSettings, steps: int, of: int) -> Iterator[float]:
        """Seconds of each of the first `steps` steps of a run of `of`."""
        plain = [p for name, p in self.model.named_parameters() if "bias" in name or "LayerNorm" in name]
        others = [p for name, p in self.model.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
        optimiser = torch.optim.AdamW(
            [{"params": others, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=settings.rate,
            betas=(settings.beta1, settings.beta2),
        )
        warmup = settings.warmup_steps(of)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / max(1, warmup), (of - step) / max(1, of - warmup))
        )
        data = self.prepared.train.data
        self.model.train()
        for step in range(steps):
            began = time.perf_counter()
            numbers = range(step * settings.batch, (step + 1) * settings.batch)
            batch = data.batch([data.place(number, self.seed) for number in numbers])
            asked = {
                "classify": lambda b=batch: {"labels": b.asked["label"]},
                "tag": lambda b=batch: {"labels": b.labels},
                "answer": lambda b=batch: {"start_positions": b.asked["start"], "end_positions": b.asked["stop"]},
            }[self.task]()
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
                loss = self.model(**self.inputs(batch), **asked).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
            optimiser.step()
            schedule.step()
            loss.item()
            yield time.perf_counter() - began

    @staticmethod
    def inputs(batch: Any) -> dict[str, Any]:
        mask = torch.ones_like(batch.tokens) if batch.segments is None else batch.segments
        return {"input_ids": batch.tokens, "attention_mask": mask, "token_type_ids": batch.types}

    def metric(self) -> float:
        """Of the dev set."""
        dev, data = self.prepared.dev, self.prepared.dev.data
        rows: list[np.ndarray] = []
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(data), 32):
                numbers = range(start, min(start + 32, len(data)))
                batch = data.batch([Place(0, number) for number in numbers])
                found = self.model(**self.inputs(batch))
                if self.task == "classify":
                    rows += list(found.logits.numpy())
                    continue
                scores = found.logits if self.task == "tag" else torch.stack((found.start_logits, found.end_logits), -1)
                lengths = [data.length(number) for number in numbers]
                rows += [row[:length].numpy() for row, length in zip(scores, lengths, strict=True)]
        metric = self.prepared.metric
        return metric.score(dev.predicted(rows, metric.needs), dev.gold(metric.needs)).value


def scored(name: str, given: argparse.Namespace) -> dict[str, Any]:
    asked = TASKS[name]
    made = tuning(asked, given, given.seeds)
    found = tune(made, given.out / name, overwrite=True)
    if found.interrupted:
        raise SystemExit(f"{name} was stopped in seed {len(found.scores)}: nothing is said of it")
    theirs = []
    prepared = prepare(made, lambda text: None)
    steps = int(asked.epochs * len(prepared.train.data)) // made.train.batch
    for seed in range(given.theirs):
        reference = Theirs(asked, given.model, prepared, seed)
        seconds = list(reference.run(made.train, steps, steps))
        theirs.append((reference.metric(), sum(seconds)))
    return {
        "task": name,
        "metric": found.metric.name,
        "weft": found.scores,
        "mean": statistics.mean(found.scores),
        "error": 0.0 if len(found.scores) < 2 else over_seeds(found.scores).deviation / len(found.scores) ** 0.5,
        "constant": found.constant,
        "seconds": found.seconds / len(found.scores),
        "theirs": [metric for metric, _ in theirs],
        "their seconds": [seconds for _, seconds in theirs],
    }


def timed(name: str, given: argparse.Namespace) -> dict[str, Any]:
    asked = TASKS[name]
    made = tuning(asked, given, 1)
    settings = replace(made.train, epochs=0, steps=given.steps, evaluate_every=given.steps, checkpoint_every=0)
    prepared = prepare(made, lambda text: None)
    ours, theirs = [], []
    for _ in range(3):
        out = given.out / f"{name}-timed"
        tune(replace(made, train=settings, dev=made.dev), out, overwrite=True)
        lines = [line for line in read(out / "seed-0" / "log.jsonl") if "loss" in line]
        ours += np.diff([line["seconds"] for line in lines])[2:].tolist()
        theirs += list(Theirs(asked, given.model, prepared, 0).run(settings, given.steps, given.steps))[3:]
    mine, other = statistics.median(ours), statistics.median(theirs)
    return {"task": name, "weft ms": 1000 * mine, "transformers ms": 1000 * other, "ratio": mine / other}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--theirs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.tasks:
        print(json.dumps(timed(name, given) if given.steps else scored(name, given)), flush=True)


if __name__ == "__main__":
    main()
