"""What a comparison came to: figures of each candidate with their intervals, and beside the first one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from weft.evaluate import METRICS, Bootstrap, Interval, holm, over_seeds
from weft.evaluate.intervals import Corpus
from weft.recipes.comparing.budget import Budget, Cost
from weft.recipes.comparing.comparison import Candidate, Comparison
from weft.recipes.comparing.parts import Answers, Pretrained, pretraining, read_result, tunings

LEVEL = 0.05  # p below it is called a difference


@dataclass(frozen=True)
class Beside:
    """A candidate beside the first. difference: its metric less the first's, with its interval. p: two-sided;
    corrected: for all that are told in the same round (Holm). better: None where that is no significant difference."""

    difference: Interval
    p: float
    corrected: float = 1.0
    better: bool | None = None


@dataclass(frozen=True)
class Cell:
    """A candidate on a task with so many labels (0: all). each: of every seed; deviation: over them, None of one seed;
    interval: of their mean, over seeds and examples. constant: what the commonest answer scores."""

    tuning: str
    count: int
    metric: str
    each: tuple[float, ...]
    interval: Interval
    deviation: float | None
    constant: float | None
    beside: Beside | None = None


@dataclass(frozen=True)
class Row:
    """A candidate in a round. flops, tokens: of one pretraining; seconds: of its steps, and nats: held out, means over
    pretrainings. Nats of different objectives are nats of different questions."""

    round: str
    candidate: str
    family: str
    objective: str
    parameters: int
    steps: int
    tokens: int
    flops: float
    seconds: float
    nats: float | None
    constant: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Figures:
    """A row of each candidate in each round. flops, tokens: what each was given. level: of intervals."""

    flops: float
    tokens: int
    level: float
    rows: tuple[Row, ...]


def collect(
    comparison: Comparison, costs: Mapping[str, Cost], budget: Budget, sizes: Mapping[str, int], out: Path
) -> Figures:
    """Of finished parts. DamagedFile for one that is not what was written."""
    rows, bootstrap = list[Row](), Bootstrap()
    for name, steps in budget.steps.items():
        told, first = list[Row](), None
        for candidate in comparison.candidates:
            found = _answers(comparison, candidate, steps[candidate.name], sizes, out)
            cells = tuple(_cell(key, answers, bootstrap) for key, answers in found.items())
            if first is None:
                first = found
            else:
                cells = tuple(
                    replace(cell, beside=_beside(answers, first[key], bootstrap))
                    for cell, (key, answers) in zip(cells, found.items(), strict=True)
                )
            told.append(_row(comparison, candidate, name, steps[candidate.name], costs[candidate.name], cells, out))
        rows += _corrected(told)
    return Figures(budget.flops, budget.tokens, bootstrap.level, tuple(rows))


def _answers(
    comparison: Comparison, candidate: Candidate, steps: int, sizes: Mapping[str, int], out: Path
) -> dict[tuple[str, int], list[Answers]]:
    """By task and number of labels, those of every seed."""
    found = dict[tuple[str, int], list[Answers]]()
    for seed in range(comparison.seeds):
        begin = pretraining(comparison, candidate, steps, seed, out)
        for part in tunings(comparison, begin, sizes, seed):
            found.setdefault((part.tuning.name, part.count), []).append(read_result(part))
    return found


def _row(
    comparison: Comparison, candidate: Candidate, name: str, steps: int, cost: Cost, cells: tuple[Cell, ...], out: Path
) -> Row:
    runs: list[Pretrained] = [
        read_result(pretraining(comparison, candidate, steps, number, out)) for number in range(comparison.pretrained)
    ]
    nats = [run.nats for run in runs if run.nats is not None]
    return Row(
        round=name,
        candidate=candidate.name,
        family=candidate.family,
        objective=candidate.objective,
        parameters=cost.parameters,
        steps=steps,
        tokens=steps * cost.tokens,
        flops=steps * cost.flops,
        seconds=sum(run.seconds for run in runs) / len(runs),
        nats=sum(nats) / len(nats) if nats else None,
        constant=runs[0].constant,
        cells=cells,
    )


def _cell(key: tuple[str, int], answers: list[Answers], bootstrap: Bootstrap) -> Cell:
    each, metric = tuple(one.score for one in answers), METRICS.get(answers[0].metric)
    found = bootstrap.runs(_corpora(answers), len(answers[0].gold))
    bound = {"high": min(found.high, metric.perfect)} if metric.higher else {"low": max(found.low, metric.perfect)}
    return Cell(
        tuning=key[0],
        count=key[1],
        metric=metric.name,
        each=each,
        interval=replace(found, **bound),  # nothing is better than perfect, whatever t says
        deviation=over_seeds(each).deviation if len(each) > 1 else None,
        constant=answers[0].constant,
    )


def _beside(answers: list[Answers], first: list[Answers], bootstrap: Bootstrap) -> Beside:
    found = bootstrap.paired_runs(_corpora(answers), _corpora(first), len(answers[0].gold))
    return Beside(found.difference, found.p)


def _corpora(answers: list[Answers]) -> list[Corpus]:
    return [METRICS.get(one.metric).at(one.predicted, one.gold) for one in answers]


def _corrected(rows: list[Row]) -> list[Row]:
    """The same, p corrected for all of a round's, and what is a difference said."""
    beside = [cell.beside for row in rows for cell in row.cells if cell.beside is not None]
    raised = iter(holm([one.p for one in beside]))

    def told(cell: Cell) -> Cell:
        if cell.beside is None:
            return cell
        p, higher = next(raised), METRICS.get(cell.metric).higher
        better = None if p >= LEVEL else (cell.beside.difference.value > 0) is higher
        return replace(cell, beside=replace(cell.beside, corrected=p, better=better))

    return [replace(row, cells=tuple(map(told, row.cells))) for row in rows]
