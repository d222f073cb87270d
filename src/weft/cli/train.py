"""`weft train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weft.cli.card import print_card
from weft.cli.shared import note, printer
from weft.recipes import Recipe, find, run
from weft.recipes.modality import modality_of
from weft.recipes.parts import with_part
from weft.recipes.preview import preview
from weft.settings import SettingError, to_data
from weft.training.plan import plan as planned
from weft.training.plan import print_plan
from weft.training.watch import choose_watcher
from weft.training.watch.exporters import exporters
from weft.training.world import leave


def command(
    name: str,
    data: tuple[str, ...],
    out: Path | None,
    changes: list[str],
    parts: list[str],
    *,
    resume: bool,
    overwrite: bool,
    debug: bool,
    dry_run: bool,
    metrics: list[str] | None,
    log: list[str],
    quiet: bool,
) -> None:
    """Run what `name` says, as changed, and print the card. A run that was interrupted ends in status 130."""
    recipe = settled(find(name), data, changes, parts, debug=debug)
    if metrics is not None:
        recipe = replace(recipe, metrics=tuple(metrics))
    if dry_run:
        recipe.train.check()
        seen = preview(recipe)
        asked = recipe.minimised.predicted
        print_plan(
            printer(), planned(seen.blueprint, recipe.train, asked=asked, samples=seen.samples, trial=seen.trial)
        )
        for text in seen.notices:
            note(text)
        return
    out = out or Path("runs") / recipe.name
    watch = choose_watcher(silent=quiet, also=exporters(log, out, to_data(recipe.train)))
    try:
        report = run(recipe, out, resume=resume, overwrite=overwrite, watch=watch)
    finally:
        leave()
    if report is None:  # one of several processes, and not the one that speaks
        return
    print_card(printer(), recipe, report)
    if report.interrupted:
        raise SystemExit(130)


def settled(recipe: Recipe, data: tuple[str, ...], changes: list[str], parts: list[str], *, debug: bool) -> Recipe:
    """The recipe with --debug, --data, --part and --set applied, in this order, so that what a person says wins.
    --debug needs no file; where --data gives some, they are read as the recipe reads its own."""
    own = recipe.data
    if debug:
        for path, text in recipe.debug:
            recipe = recipe.change(path, text)
    if data:
        recipe = modality_of(own).given(recipe, own, data)
    for part in parts:
        recipe = with_part(recipe, part)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise SettingError(f"--set {change}: write it as a.b=c, for instance --set train.steps=200")
        recipe = recipe.change(path.strip(), text.strip())
    return recipe
