"""The parts of a comparison: each a run's folder, or a tuning's, and beside it what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.data.sources import quiet
from weft.files import DamagedFile, read_json, write_json
from weft.recipes.comparing.budget import Budget
from weft.recipes.comparing.comparison import Candidate, Comparison, FineTuning, tuning_of
from weft.recipes.run import run
from weft.recipes.tuning import KINDS, read_tuned, tune
from weft.recipes.tuning.scores import score
from weft.settings import SettingError, from_data, to_data
from weft.training import checkpoints
from weft.training.watch import Watcher
from weft.training.world import place

Watch = Callable[[], Watcher]


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining came to. nats: held-out, for each label that its objective asks; constant: of the best
    constant guess, None where the labels are not known. seconds: of training steps."""

    steps: int
    seconds: float
    nats: float | None
    constant: float | None


@dataclass(frozen=True)
class Answers:
    """What a tuned model came to on the dev file. predicted, gold: of each example, as its metric reads them. constant:
    the metric of the commonest answer."""

    metric: str
    score: float
    constant: float | None
    seconds: float
    predicted: list[Any]
    gold: list[Any]


@dataclass(frozen=True)
class Pretraining:
    """A candidate's pretraining, by its number. out: the folder of the comparison."""

    out: Path
    candidate: Candidate
    steps: int
    number: int

    @property
    def folder(self) -> Path:
        """The run's. Rounds that come to the same number of steps are one run."""
        return self.out / self.candidate.name / f"{self.steps}-steps" / f"pretrained-{self.number}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.candidate.name}, {self.steps:,} steps, pretraining {self.number}"


@dataclass(frozen=True)
class Tuned:
    """A tuning of what a pretraining gave. count: labelled examples, 0 for all; of: those there are."""

    begin: Pretraining
    tuning: FineTuning
    count: int
    of: int
    seed: int

    @property
    def folder(self) -> Path:
        """The tuning's."""
        name = f"{self.tuning.name}-{self.count or 'all'}-seed-{self.seed}"
        return self.begin.folder.parent / name

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.begin.candidate.name}, {self.begin.steps:,} steps, {self.folder.name}"


Part = Pretraining | Tuned


def parts(comparison: Comparison, budget: Budget, sizes: Mapping[str, int], out: Path) -> list[Part]:
    """All of them, each once, in an order in which they can be done. sizes: examples of each tuning."""
    found = dict[Path, Part]()
    for seed in range(comparison.seeds):
        for steps in budget.steps.values():
            for candidate in comparison.candidates:
                begin = pretraining(comparison, candidate, steps[candidate.name], seed, out)
                found.setdefault(begin.folder, begin)
                for tuned in tunings(comparison, begin, sizes, seed):
                    found.setdefault(tuned.folder, tuned)
    return list(found.values())


def pretraining(comparison: Comparison, candidate: Candidate, steps: int, seed: int, out: Path) -> Pretraining:
    """With which a tuning of this seed begins."""
    return Pretraining(out, candidate, steps, seed % comparison.pretrained)


def tunings(comparison: Comparison, begin: Pretraining, sizes: Mapping[str, int], seed: int) -> Iterator[Tuned]:
    """Those of one seed."""
    for tuning in comparison.tunings:
        for count in tuning.counts:
            yield Tuned(begin, tuning, count, sizes[tuning.name], seed)


def result_of(part: Part) -> Path:
    """The file that says what a part came to; where it is, the part is done."""
    return part.folder.with_name(f"{part.folder.name}.json")


def read_result(part: Part) -> Any:
    """A `Pretrained`, or `Answers`. DamagedFile where the file is not what was written."""
    path = result_of(part)
    data = read_json(path)
    try:
        return from_data(Pretrained if isinstance(part, Pretraining) else Answers, data)
    except (SettingError, AttributeError) as error:
        raise DamagedFile(f"{path}: {error}: remove it, and its part is done again") from error


def pretrain(comparison: Comparison, part: Pretraining, watch: Watch) -> bool:
    """Do a part, or go on with it, and write what it came to; False where it was interrupted."""
    recipe = comparison.recipe(part.candidate, steps=part.steps, seed=part.number)
    resume = begun(part.folder)
    report = run(recipe, part.folder, resume=resume, overwrite=not resume, watch=watch())
    if report is None or report.interrupted:
        return False
    nats = report.figures.get("nats_per_token")
    write_json(result_of(part), to_data(Pretrained(report.steps, report.seconds, nats, report.constant)))
    return True


def tune_part(part: Tuned, folder: Path, watch: Watch) -> bool:
    """Do a part, or go on with it, and write what it came to; False where it was interrupted."""
    tuning = tuning_of(
        part.tuning,
        part.begin.candidate,
        begin=part.begin.folder,
        folder=folder,
        count=part.count,
        of=part.of,
        seed=part.seed,
    )
    resume = any(map(begun, part.folder.glob("seed-*")))
    outcome = tune(tuning, part.folder, resume=resume, overwrite=not resume, watch=watch)
    if outcome.interrupted:
        return False
    assert outcome.score is not None
    predicted, gold = answers(part, folder, tuning.train.device)
    found = Answers(outcome.metric.name, outcome.score, outcome.constant, outcome.seconds, predicted, gold)
    write_json(result_of(part), to_data(found))
    return True


def answers(part: Tuned, folder: Path, device: str) -> tuple[list[Any], list[Any]]:
    """What the tuned model says of each example of the dev file, and what is right, as its metric reads them."""
    tuned = read_tuned(part.folder)
    description, kind = tuned.description, KINDS.get(tuned.description.task)
    metric = kind.fitting(description.metric, f"the task {description.task}")
    examples = kind.read(folder / part.tuning.dev, description.columns, labelled=True)
    rows = kind.encode(examples, description, tuned.model.need_tokenizer(), quiet, labelled=True)
    scores = score(tuned.module.to(place(device)), rows.data, description.objective, labelled=False).rows
    return rows.predicted(scores, metric.needs), rows.gold(metric.needs)


def begun(folder: Path) -> bool:
    """Whether a run in a folder left a checkpoint to go on from."""
    parent = folder / checkpoints.FOLDER
    return parent.is_dir() and bool(checkpoints.steps(parent))
