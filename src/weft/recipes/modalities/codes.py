"""Codes of pictures, which a decoder goes on with from a class: pictures are drawn code by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from weft.data.progress import counted
from weft.data.signals import PROCESSOR, Patches
from weft.data.signals.codes import MADE, CodeSettings
from weft.data.sources import Say, quiet
from weft.generate import Sampling, generate, row_seeds
from weft.hub import load
from weft.hub.folder import CONFIG
from weft.hub.preprocessor import reads_of
from weft.hub.weights import WEIGHTS
from weft.models.coding import Coder
from weft.nn import Decoder, LMHead
from weft.recipes.folder import QUANTISER, Existing
from weft.recipes.modalities.code_feed import CodeFeed, open_codes, open_quantiser
from weft.recipes.modalities.drawn import Draws, class_number, each_often
from weft.recipes.modality import MODALITIES, Changes, Drawn
from weft.recipes.recipe import Recipe
from weft.training.world import place

ROWS = 64  # pictures that are drawn at once


class Codes(Draws):
    """Rows of codes behind a class."""

    settings = CodeSettings
    made = "made_pictures"
    called = "codes of pictures"
    keeps = (PROCESSOR, f"{QUANTISER}/{CONFIG}", f"{QUANTISER}/{WEIGHTS}")
    fixed = ("quantiser",)
    hears = ("prompts", "count", "temperature", "top_k", "top_p", "seed")

    @property
    def debug(self) -> Changes:
        """Also a quantiser that nobody trained."""
        return (*super().debug, ("data.quantiser", MADE))

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> CodeFeed:
        """See `open_codes`."""
        return open_codes(recipe, found, out, say)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that does not go on with ids."""
        if not isinstance(recipe.model.empty(), Decoder):
            raise ValueError(
                f"codes are gone on with by a decoder, and {recipe.model.family} is none: choose another (`weft list`)"
            )

    def draw(
        self, folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Pictures of the classes that are asked for; without any, of each in turn."""
        self.heard(asked)
        return drawn_by_codes(folder, asked, device=device, say=say)


def drawn_by_codes(
    folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pictures, uint8 [N, image, image, channels], and the class that each was to be of. ValueError for a class that
    the model does not know, and for a folder without the model that paints codes."""
    where = device if device != "auto" else place("auto")
    reads, model = reads_of(folder), load(folder, device=where)
    if reads is None or not isinstance(reads.processor, Patches) or not (folder / QUANTISER).is_dir():
        raise ValueError(f"{folder} has no {QUANTISER}/ beside its weights, which would paint what it draws")
    quantiser = open_quantiser(str(folder / QUANTISER), where).module
    numbers = [class_number(name, reads.classes) for name in each_often(asked, reads.classes)]
    names = tuple(reads.classes[number] for number in numbers)
    writer, size = narrowed(model.module, quantiser.codes), (reads.processor.image // reads.processor.patch) ** 2
    seeds, advance, parts = row_seeds(asked.seed, len(names)), counted(say, "drawn", len(names)), list[np.ndarray]()
    for start in range(0, len(names), ROWS):
        stop = min(start + ROWS, len(names))
        drawn = Sampling(asked.temperature, asked.top_k, asked.top_p, seed=tuple(seeds[start:stop]))
        prompts = [[quantiser.codes + number] for number in numbers[start:stop]]
        written = generate(writer, prompts, new=size, sampling=drawn, context=size + 1)
        parts.append(painted(quantiser, reads.processor, [row.ids for row in written]))
        advance(stop - start)
    return np.concatenate(parts), names


@torch.no_grad()
def painted(quantiser: Coder, processor: Patches, ids: list[tuple[int, ...]]) -> np.ndarray:
    """The pictures of rows of codes, uint8 [N, image, image, channels]."""
    device = next(quantiser.parameters()).device
    return processor.pixels(quantiser.decode(torch.tensor(ids, device=device)).cpu().numpy())


def narrowed(module: nn.Module, count: int) -> Decoder:
    """The same decoder, which writes the first `count` ids alone: those of classes begin a row and are never written.
    ValueError for a model that is no decoder."""
    if not isinstance(module, Decoder):
        raise ValueError("codes are gone on with by a decoder, and this model is none")
    own, table = module.head, module.table if module.head.weight is None else module.head.weight
    assert table is not None
    head = LMHead(own.width, count, bias=own.bias is not None, scale=own.scale, softcap=own.softcap)
    head.weight = nn.Parameter(table[:count].detach(), requires_grad=False)
    if own.bias is not None:
        head.bias = nn.Parameter(own.bias[:count].detach(), requires_grad=False)
    return Decoder(module.embed, module.stack, head=head).eval()


MODALITIES.register("codes", Codes())
