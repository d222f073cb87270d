"""Perceiver IO (Jaegle et al. 2022) on signals: rows of any vectors, each with its place written beside it.

A row is the places of a `grid` in row-major order: pixels (224, 224), a sound's frames (3000,), a video's (16, 224,
224); shorter rows are those whose last places are missing. `where` says what tells places apart: "fourier", sines and
cosines of each coordinate and the coordinate itself, "learned", a trained vector a place that a linear layer projects,
or "nothing", of rows that say it themselves and may be of any length. One output query asks for the row's class; a
model without `tasks` ends at its latents.

With `crossings` = 8 and `depth` = 6 it is the first Perceiver (Jaegle et al. 2021), but for the weights of the first
look and for the query, in place of which that one takes the mean of its latents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from weft.models.family import FAMILIES, Family
from weft.models.labels import NAMES, classes_of, named
from weft.models.latents import DEBUG, EveryRow, Latent, Perceiver, looking, perceiver, start
from weft.models.places import Beside, Fourier, Trained
from weft.models.published import Found, Published, Read, Seam, Table
from weft.models.published_latents import INERT, KEYS, names
from weft.models.signals import NoIds
from weft.nn import Attention, RowHead, Scheme
from weft.nn.vectors import First


@dataclass(frozen=True)
class Signals(NoIds, Latent):
    channels: int = 3
    grid: tuple[int, ...] = (224, 224)
    where: Literal["fourier", "learned", "nothing"] = "fourier"
    bands: int = 64  # frequencies of each coordinate
    resolution: tuple[int, ...] | None = None  # of the grid that the highest is the Nyquist frequency of; None: grid
    place: int = 256  # the width of what tells a place, where that is learned
    lift: int | None = None  # the width that a linear layer makes of the channels; None: they are read as they are
    query_heads: int = 1
    classes: int = 1000
    tasks: tuple[str, ...] = ("classes",)

    @property
    def context(self) -> int:
        """Places of the grid."""
        return math.prod(self.grid)

    @property
    def width(self) -> int:
        """Of what the head reads."""
        return self.latent_width


# fmt: off
def build(c: Signals, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Perceiver:
    if min(c.grid, default=0) < 1 or c.context > 2**31:
        raise ValueError(f"grid = {c.grid}, but it has at least one axis, of at least one place each, and 2**31 in all")
    if c.tasks not in ((), ("classes",)):
        raise ValueError(f"tasks = {c.tasks}, but there is the task classes, or none")
    wide, places = c.latent_width, {
        "fourier": partial(Fourier, c.grid, c.bands, c.resolution or c.grid), "nothing": lambda: None,
        "learned": partial(Trained, c.context, c.place),
    }
    embed = Beside(c.channels, lift=c.lift, places=places[c.where]())
    if not c.tasks:
        return perceiver(c, embed, embed.width, position, attention, {})
    ask = looking(wide, wide, c.query_heads, wide, wide, widening=1, act=c.act, skip=True, rate=c.attention_dropout,
                  drop=c.dropout)
    heads = {"classes": RowHead(wide, c.classes)}
    return perceiver(c, embed, embed.width, position, attention, heads, EveryRow(1, wide), ask, First())


LEARNED, FOURIER = "PerceiverForImageClassificationLearned", "PerceiverForImageClassificationFourier"
BARE = "PerceiverModel"
WHERE = {LEARNED: "learned", FOURIER: "fourier", BARE: "nothing"}
FIXED = {LEARNED: dict(channels=3, lift=256, place=256), FOURIER: dict(channels=3, bands=64, resolution=(224, 224))}


def _read(theirs: Mapping[str, Any]) -> Read:
    """What stands beside a pixel is its class's to say; the bare class is given vectors that hold it."""
    kind = (theirs.get("architectures") or [LEARNED])[0]
    side = theirs.get("image_size", 56)
    grid = (side, side) if isinstance(side, int) else tuple(side)
    if kind == BARE:
        grid = (theirs.get("max_position_embeddings", 2048),)
        return Read(dict(where="nothing", channels=theirs.get("d_model", 768), grid=list(grid)))
    own = {name: list(value) if isinstance(value, tuple) else value for name, value in FIXED.get(kind, {}).items()}
    return Read(dict(where=WHERE.get(kind, "learned"), grid=list(grid), classes=classes_of(theirs), **own))


def _write(c: Signals, position: Scheme | None) -> dict[str, Any] | None:
    """The class, and what it reads; None where it is built otherwise."""
    plain, kind = Signals(), next(kind for kind, where in WHERE.items() if where == c.where)
    if position is not None or c.query_heads != 1 or bool(c.tasks) != (kind != BARE):
        return None
    read = dict(channels=c.channels, lift=c.lift, place=c.place, bands=c.bands, resolution=c.resolution)
    wanted = dict(channels=c.channels, lift=None, place=plain.place, bands=plain.bands, resolution=None)
    if read != wanted | FIXED.get(kind, {}):
        return None
    if kind == BARE:
        return {"architectures": [kind], "d_model": c.channels, "max_position_embeddings": c.grid[0]} if (
            len(c.grid) == 1 and c.classes == plain.classes) else None
    if len(c.grid) != 2 or c.grid[0] != c.grid[1]:
        return None
    return {"architectures": [kind], "image_size": c.grid[0]} | named(c.classes)


def table(c: Signals) -> Table:
    read, ask = "perceiver.input_preprocessor", "perceiver.decoder.decoder"
    learned = (
        ("embed.lift", f"{read}.convnet_1x1", f"flat {c.channels}:1:1"),
        ("embed.places.weight", f"{read}.position_embeddings.position_embeddings", ""),
        ("embed.places.project", f"{read}.positions_projection", ""),
    )
    head = ("heads.classes.out", f"{ask}.final_layer", "optional")
    return (*(learned if c.where == "learned" else ()), *names(ask), head)


FAMILIES.register("perceiver", Family(
    name="perceiver", config=Signals, build=build, initialise=start, objective="classes",
    reads="signals", modality="pictures", packs=False,
    swaps=("attention",), weights=table,
    sizes={
        "debug": DEBUG | dict(grid=[6, 6], channels=1, bands=5, classes=5),
        "small": dict(latents=64, latent_width=192, blocks=2, depth=3, heads=6, cross_heads=1, widening=2,
                      cross_widening=2, attention_dropout=0.0, channels=1, grid=[28, 28], bands=16, classes=10),
        "imagenet": dict(latents=512, latent_width=1024, blocks=8, depth=6, cross_heads=1, attention_dropout=0.0),
    },
    published=Published(
        "perceiver", {LEARNED: ("classes",), FOURIER: ("classes",), BARE: ()}, KEYS, heads="tasks", prefix="perceiver.",
        bare=frozenset({BARE}), training=("dropout",), inert=INERT | {"vocab_size"},
        seam=Seam((*NAMES, "image_size", "d_model", "max_position_embeddings"),
                  ("where", "channels", "grid", "lift", "place", "bands", "resolution", "query_heads", "classes"),
                  _read, _write),
        found=(Found("perceiver.decoder.decoder.final_layer.weight", "tasks", "classes"),),
    ),
    summary="latents that look at pixels or frames with their places beside them, and one query for the class",
))
