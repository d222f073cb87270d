"""What a model of series says of a table: what follows each row, and what follows the last."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weft.data.progress import counted
from weft.data.sides import kept_back
from weft.data.signals.series import Series, read_table
from weft.data.signals.stretches import held_out
from weft.data.signals.tables import Filled, filled, prepare_series
from weft.data.sources import Say, quiet
from weft.evaluate import Bootstrap, Score
from weft.evaluate.forecasts import squared_errors
from weft.files import write_bytes
from weft.hub import Model, load
from weft.nn import Encoder
from weft.objectives.series import NextVector
from weft.recipes.folder import own_data
from weft.recipes.modality import Drawn
from weft.recipes.predicted import Predicted
from weft.training.world import place

AHEAD, ROWS = 12, 64  # rows that are told behind the last where nobody says how many; rows of a pass


def opened(folder: Path | str, device: str) -> tuple[Model, Encoder, Series]:
    """A model that tells what follows, its module and its processor. ValueError for a model of anything else."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    processor = None if model.reads is None else model.reads.processor
    if not isinstance(processor, Series) or not isinstance(model.module, Encoder):
        raise ValueError(f"{folder} reads no series: name a model that was trained on one")
    if NextVector.asks not in model.module.heads:
        raise ValueError(
            f"{folder} tells hidden rows and not what follows: train one with the objective next_vector, its own"
        )
    return model, model.module, processor


def given(data: Path, processor: Series, say: Say) -> Filled:
    """A table's rows, normalised, fp32 [T, C], and which of their numbers stood there. ValueError for fewer than two,
    and for what is no table."""
    found = filled(read_table(data, processor.columns, gaps=True).values, processor.columns)
    if not found.known.all():
        say(found.said())
    if len(found.values) < 2:
        raise ValueError(f"{data} has {len(found.values)} row, and what follows one is told from at least 2")
    return Filled(processor.rows(found.values[None])[0], found.known)


@torch.inference_mode()
def following(module: Encoder, values: np.ndarray, context: int, say: Say = quiet, *, since: int = 1) -> np.ndarray:
    """What is told of each row from `since` on by those before it, normalised [T - since, C]."""
    length, device = min(context, len(values)), next(module.parameters()).device
    data = held_out(values, since, length, ahead=NextVector.ahead, past=NextVector.past)
    told, advance = list[np.ndarray](), counted(say, "rows read", len(data))
    for number in range(len(data)):
        start, first, stop = (int(part[number]) for part in (data.starts, data.firsts, data.stops))
        rows = torch.from_numpy(values[start : start + length])[None].to(device)
        states, _ = module(rows)
        made = module.logits(states, NextVector.asks)[0].float().cpu().numpy()  # [T, C]
        told.append(made[first - start : stop - start])
        advance(1)
    return np.concatenate(told)


@torch.inference_mode()
def ahead(module: Encoder, values: np.ndarray, context: int, count: int) -> np.ndarray:
    """The `count` rows that follow the last, each told from those before it, told ones among them, [count, C]."""
    device, rows = next(module.parameters()).device, list(values[-context:])
    for _ in range(count):
        states, _ = module(torch.from_numpy(np.stack(rows[-context:]))[None].to(device))
        rows.append(module.logits(states, NextVector.asks)[0, -1].float().cpu().numpy())
    return np.stack(rows[-count:])


def predict_series(
    folder: Path | str, data: Path | str, out: Path | str | None, *, labelled: bool, device: str, say: Say = quiet
) -> Predicted:
    """Write one JSON object for each row of a table but the first, {"row", "told", "was"}, told from those before it,
    and one for each of the 12 that follow the last, {"row", "told"}; rows are counted from 1, numbers are the table's,
    and null is what is missing there.

    labelled: the squared error of normalised numbers is computed, and for each column the root of it in its own units,
    of what is not missing; of a table that the model was trained on, its last rows alone are told, those that were held
    out. ValueError where nothing is to be scored.
    """
    model, module, processor = opened(folder, device)
    own, since, apart = own_data(Path(folder), Path(data)) if labelled else None, 1, False
    if own is not None:
        series = prepare_series(own.settings, processor, say)
        values, apart = series.values, series.digest in own.split
        known = np.ones(values.shape, bool) if series.known is None else series.known
        if apart:
            since = series.split
            kept_back(np.arange(len(values)) >= since, "rows", say)
    else:
        values, known = given(Path(data), processor, say)
    context = model.config.context
    told = following(module, values, context, say, since=since)
    if out is not None:
        made = processor.values(np.concatenate((told, ahead(module, values, context, AHEAD))))  # [T - since + 12, C]
        lines = [{"row": row, "told": _named(line, processor)} for row, line in enumerate(made, since + 1)]
        for line, was, there in zip(lines, processor.values(values[since:]), known[since:], strict=False):
            line["was"] = {
                name: number if measured else None
                for (name, number), measured in zip(_named(was, processor).items(), there, strict=True)
            }
        write_bytes(Path(out), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    if not labelled:
        return Predicted(len(told), None, None)
    if not known[since:].any():
        raise ValueError(f"{data} has no value behind its first row: there is nothing to score")
    found = _scored(told.astype(np.float64), values[since:], known[since:], processor)
    return replace(found, apart=apart)


def _scored(told: np.ndarray, was: np.ndarray, known: np.ndarray, processor: Series) -> Predicted:
    """Of rows that were told, normalised [N, C], where they are known."""
    errors = squared_errors(told, was, known)  # [n], of rows of which something is
    how = "of each row, told from those before it; of numbers less the mean, by the deviation, of what was trained on"
    own = "root of the mean squared error of the next row, in the table's units"
    beside = tuple(
        Score(float(np.sqrt(column[there].mean()) * std), own, name)
        for name, std, column, there in zip(
            processor.columns, processor.std, np.square(told - was).T, known.T, strict=True
        )
        if there.any()
    )
    interval = Bootstrap().mean(errors) if len(errors) > 1 else None
    return Predicted(len(errors), Score(float(errors.mean()), how, "squared_error"), interval, beside)


def roll(folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
    """Write the `tokens` rows (None: 12) that follow a table's last as a .csv of its columns. ValueError where not one
    table is given to go on from."""
    if len(asked.prompts) != 1:
        raise ValueError("what follows is told of one table, once: --prompt FILE.csv")
    model, module, processor = opened(folder, device)
    values, count = given(Path(asked.prompts[0]), processor, say).values, asked.tokens or AHEAD
    made = processor.values(ahead(module, values, model.config.context, count))
    lines = [",".join(processor.columns), *(",".join(f"{number:.10g}" for number in row) for row in made)]
    write_bytes(out, ("\n".join(lines) + "\n").encode())
    return f"{out}: {count} rows"


def _named(row: np.ndarray, processor: Series) -> dict[str, Any]:
    return {name: float(f"{number:.10g}") for name, number in zip(processor.columns, row, strict=True)}
