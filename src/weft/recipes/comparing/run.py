"""A comparison, run: planned, done part by part, and written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.data.sources import Say
from weft.files import sweep, write_bytes, write_json
from weft.outputs import locked
from weft.recipes.comparing import folder as folders
from weft.recipes.comparing.budget import Budget, Cost, budget, cost
from weft.recipes.comparing.comparison import Comparison
from weft.recipes.comparing.figures import Figures, collect
from weft.recipes.comparing.made import debugged, with_made_data, write_made
from weft.recipes.comparing.parts import Pretraining, Watch, parts, pretrain, result_of, tune_part
from weft.recipes.comparing.picture import draw
from weft.recipes.comparing.table import as_markdown
from weft.settings import from_data, to_data
from weft.training.hardware import hardware
from weft.training.loop import SILENT
from weft.training.world import join


@dataclass(frozen=True)
class Plan:
    """What is to be done: the comparison, where its files are, what steps cost, and examples of each tuning."""

    comparison: Comparison
    folder: Path
    costs: Mapping[str, Cost]
    budget: Budget
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Compared:
    """What a comparison came to. figures: none where it was interrupted. picture: None where it could not be drawn."""

    out: Path
    figures: Figures | None
    picture: Path | None
    interrupted: bool


def compare(
    comparison: Comparison,
    folder: Path | None,
    out: Path | str,
    *,
    debug: bool = False,
    minutes: float = 0.0,
    resume: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda: SILENT,
) -> Compared:
    """Run a comparison into the folder `out`, on the files in `folder` (None, of a debug run: made here).

    minutes: of all pretrainings together, on this machine; they set the budget in place of the comparison's own; 0 does
    not. What is finished is not done again by `resume`; a kill costs at most the part it befell. ValueError names
    whatever is wrong, before anything is trained.
    """
    out = Path(out)
    if join().size > 1:
        raise ValueError(f"a comparison runs in one process, and these are {join().size}: start it without torchrun")
    if debug:
        comparison = debugged(comparison)
    if folder is None and not debug:
        raise ValueError(
            f"{comparison.name} reads {', '.join(folders.files(comparison))}: --data names the folder they are in"
        )
    if folder is None:
        comparison = with_made_data(comparison)
    comparison.check()
    folders.check_folder(out, resume=resume, overwrite=overwrite)
    with locked(out):
        plan = _plan(comparison, folder, out, minutes, resume=resume, overwrite=overwrite, say=watch().notice)
        if not _done(plan, out, watch):
            return Compared(out, None, None, True)
        return _written(plan, out, watch().notice)


def _plan(
    comparison: Comparison, folder: Path | None, out: Path, minutes: float, *, resume: bool, overwrite: bool, say: Say
) -> Plan:
    """The data read, steps counted, and said so in the folder. ValueError where what is resumed was another."""
    found = folders.existing(out) if resume else None
    if folder is None:
        folder = out / folders.MADE
        write_made(comparison, folder)
    facts: dict[str, Any] = {"comparison": to_data(comparison), "data": folders.digests(comparison, folder)}
    sizes, here = folders.sizes(comparison, folder), folders.placed(comparison, folder, out)
    if found is not None:
        folders.check_same(out, found, facts)
        if minutes:
            say(f"the budget is the one that {out} was started with: --minutes is not used")
        costs = {name: from_data(Cost, data) for name, data in found["costs"].items()}
        return Plan(here, folder, costs, from_data(Budget, found["budget"]), sizes)
    if overwrite:
        folders.clear(out)  # after what was read was found good
    sweep(out)
    costs, given = _counted(here, minutes, say)
    facts |= {"costs": {name: to_data(one) for name, one in costs.items()}, "budget": to_data(given)}
    write_json(out / folders.COMPARE, facts)
    return Plan(here, folder, costs, given, sizes)


def _counted(comparison: Comparison, minutes: float, say: Say) -> tuple[dict[str, Cost], Budget]:
    """What a step of each candidate costs, and what each is given."""
    costs = dict[str, Cost]()
    for candidate in comparison.candidates:
        say(f"counting the operations of a step: {candidate.name}")
        costs[candidate.name] = cost(comparison.recipe(candidate, steps=1, seed=0), say, timed=minutes > 0)
    flops = _flops_in(minutes, comparison, costs) if minutes else comparison.flops
    tokens = 0 if minutes else comparison.tokens
    return costs, budget(costs, flops, tokens, slack=comparison.slack)


def _flops_in(minutes: float, comparison: Comparison, costs: Mapping[str, Cost]) -> float:
    """Operations of each pretraining, so that all of them take so many minutes at the speed that was measured."""
    first = costs[comparison.candidates[0].name]
    seconds = 0.0  # for one operation of every candidate, and for the tokens that the first reads in it
    for number, one in enumerate(costs.values()):
        seconds += one.seconds / one.flops
        seconds += 0.0 if number == 0 else one.seconds / one.tokens * first.tokens / first.flops
    return 60 * minutes / (comparison.pretrained * seconds)


def _done(plan: Plan, out: Path, watch: Watch) -> bool:
    """Do every part that is not done yet; False where one was interrupted."""
    comparison, say = plan.comparison, watch().notice
    todo = parts(comparison, plan.budget, plan.sizes, out)
    left = [part for part in todo if not result_of(part).is_file()]
    if len(left) < len(todo):
        say(f"{len(todo) - len(left)} of {len(todo)} parts are done already")
    for number, part in enumerate(left, start=len(todo) - len(left) + 1):
        say(f"part {number} of {len(todo)}: {part.title}")
        finished = (
            pretrain(comparison, part, watch) if isinstance(part, Pretraining) else tune_part(part, plan.folder, watch)
        )
        if not finished:
            return False
    return True


def _written(plan: Plan, out: Path, say: Say) -> Compared:
    """Figures as JSON, a table and a picture."""
    say("comparing the answers …")
    figures = collect(plan.comparison, plan.costs, plan.budget, plan.sizes, out)
    write_json(out / folders.RESULT, to_data(figures) | {"hardware": hardware()})
    write_bytes(out / folders.TABLE, as_markdown(plan.comparison, figures, hardware()).encode())
    picture: Path | None = out / folders.PICTURE
    try:
        draw(plan.comparison, figures, out / folders.PICTURE)
    except ValueError as error:
        say(str(error))
        picture = None
    return Compared(out, figures, picture, False)
