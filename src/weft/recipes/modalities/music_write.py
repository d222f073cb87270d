"""What a model of music writes, and how likely it finds pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from weft.batch import IGNORED
from weft.data.names import Side
from weft.data.order import places
from weft.data.progress import counted
from weft.data.sides import of_part
from weft.data.signals.music import write_midi
from weft.data.signals.notation import Notation
from weft.data.signals.notes import END, Piece
from weft.data.signals.pieces import Pieces
from weft.data.signals.roll import draw_roll
from weft.data.signals.scores import MIDI, MusicSettings, Named, held_of, read_pieces, written
from weft.data.sources import Say, quiet
from weft.evaluate import Bootstrap
from weft.files import write_bytes
from weft.generate import Sampling, decode, row_seeds
from weft.hub import Model, load
from weft.nn import Decoder
from weft.objectives import layout
from weft.recipes.folder import Own, own_data
from weft.recipes.modalities.music_feed import scores
from weft.recipes.modality import Drawn
from weft.recipes.predicted import Predicted
from weft.training.world import place

LONGEST, ROWS = 2048, 16  # events of a piece that does not end before; rows of a pass


def opened(folder: Path | str, device: str) -> tuple[Model, Decoder, Notation]:
    """A model of music, its module and its notation. ValueError for a model of anything else."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    notation = None if model.reads is None else model.reads.processor
    if not isinstance(notation, Notation) or not isinstance(model.module, Decoder):
        raise ValueError(f"{folder} writes no music: name a model that was trained on some")
    return model, model.module, notation


def files_of(asked: Drawn, out: Path) -> tuple[Path, ...]:
    """The file of each piece that is asked for: one of the name of `out`, of several out-1, out-2 …. ValueError for an
    ending of which no music is written."""
    if out.suffix.lower() not in (*MIDI, ".png"):
        raise ValueError(f"{out}: music is written as {', '.join(MIDI)}, or drawn as .png; name the file so")
    count = max(1, len(asked.prompts)) * asked.count
    return (out,) if count == 1 else tuple(out.with_stem(f"{out.stem}-{number}") for number in range(1, count + 1))


def play(folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
    """Write pieces as MIDI files, or where `out` ends in .png as piano rolls (`files_of`). prompts: MIDI files to go on
    from; none: from the beginning. A piece ends where the model ends it, after `tokens` events, or where the model can
    place no more. The same seed gives the same piece. ValueError for another ending, and prompts that the model cannot
    read."""
    files = files_of(asked, out)
    model, module, notation = opened(folder, device)
    starts = [notation.read(Path(prompt))[:-1].tolist() for prompt in asked.prompts] or [[END]]
    prompts = [start for start in starts for _ in range(asked.count)]
    pieces = composed(model, module, notation, prompts, asked, say)
    for file, piece in zip(files, pieces, strict=True):
        if out.suffix.lower() == ".png":
            draw_roll(piece, file)
        else:
            write_midi(piece, file)
    quarters = ", ".join(f"{piece.steps / piece.per_quarter:g}" for piece in pieces)
    return (
        f"{', '.join(map(str, files))}: {quarters} quarters, {', '.join(str(len(one.notes)) for one in pieces)} notes"
    )


def composed(
    model: Model, module: Decoder, notation: Notation, prompts: list[list[int]], asked: Drawn, say: Say = quiet
) -> list[Piece]:
    """The piece that follows each prompt, ids from END on, the prompt included."""
    rows, most = [list(prompt) for prompt in prompts], asked.tokens or LONGEST
    seeds = tuple(row_seeds(asked.seed, len(prompts)))
    sampling = Sampling(asked.temperature, top_k=asked.top_k, top_p=asked.top_p, seed=seeds)
    advance = counted(say, "events written", most)
    for step in decode(module, prompts, new=most, sampling=sampling, stop=(END,), start=END):
        for row, token in zip(rows, step.tokens, strict=True):
            if token is not None:
                row.append(token)
        advance(1)
    return [notation.decode(row) for row in rows]


class Likely(NamedTuple):
    """Of each piece: -log p, how many events it has, its end included, and how many steps."""

    nats: np.ndarray
    events: np.ndarray
    steps: np.ndarray


def predict_music(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    *,
    labelled: bool = True,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each piece: its name, its events and steps, -log p of all of it, and by the event.

    data: a file of chorales, a MIDI file, a folder. labelled: of those that the model was trained on, what was held out
    alone; of others a part called train is left out where there are others. The score is -log p by the event over all
    of them, its interval over pieces. ValueError or DamagedFile names what is wrong.
    """
    model, module, notation = opened(folder, device)
    own, apart = own_data(Path(folder), Path(data)) if labelled else None, False
    if own is not None:
        found, apart = _own(own, notation, say)
    else:
        found = read_pieces(Path(data), notation, say=say)
        if labelled and len({one.side == Side.TRAIN for one in found}) > 1:
            found = [one for one in found if one.side != Side.TRAIN]
            say(f"of {data} the part to train on is left out: {len(found):,} pieces are scored")
    likely = likelihoods(module, found, notation, model.config.context, say)
    if out is not None:
        lines = _lines(found, likely)
        write_bytes(Path(out), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    score, beside = scores(float(likely.nats.sum()), int(likely.events.sum()), int(likely.steps.sum()), notation)
    several = len(found) > 1

    def mean(at: np.ndarray) -> float:
        return float(likely.nats[at].sum() / likely.events[at].sum())

    interval = Bootstrap().corpus(mean, len(found)) if several else None
    return Predicted(len(found), score, interval, (beside,), apart=apart)


def _lines(pieces: list[Named], likely: Likely) -> list[dict[str, object]]:
    """What is said of each piece."""
    return [
        {
            "piece": one.name,
            "events": int(events),
            "steps": int(steps),
            "nats": round(float(nats), 4),
            "nats_per_event": round(float(nats / events), 5),
        }
        for one, nats, events, steps in zip(pieces, *likely, strict=True)
    ]


def _own(own: Own, notation: Notation, say: Say) -> tuple[list[Named], bool]:
    """Those of one of a run's paths that are asked, see `of_part`."""
    settings: MusicSettings = own.settings
    parts = [read_pieces(Path(path), notation, say=say) for path in settings.paths]
    found = [one for part in parts for one in part]
    sides = [one.side for one in found]
    held = own.still(held_of(found, settings), [one.name for one in found], sides)
    return of_part(held, sides, parts, own.number, "pieces", say)


def likelihoods(module: Decoder, pieces: list[Named], notation: Notation, context: int, say: Say = quiet) -> Likely:
    """-log p of each piece, in rows as in a run's evaluation."""
    data = Pieces(written(pieces, notation), notation, context)
    device, nats = next(module.parameters()).device, np.zeros(len(pieces))
    advance = counted(say, "rows read", len(data))
    with torch.inference_mode():
        for start in range(0, len(data), ROWS):
            numbers = range(start, min(start + ROWS, len(data)))
            batch = data.batch(places(0, numbers)).to(device)
            hidden, _ = module(batch.tokens, layout(batch))  # [B, T, D]
            assert batch.labels is not None
            for row, number in enumerate(numbers):
                here = slice(row, row + 1)
                piece, _ = data.rows[number]
                nats[piece] += float(module.nats(hidden[here], batch.labels[here], ignored=IGNORED))
            advance(len(numbers))
    events = np.array([len(ids) - 1 for ids in data.pieces])
    return Likely(nats, events, np.array([one.piece.steps for one in pieces]))
