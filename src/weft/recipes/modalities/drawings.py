"""Pictures drawn out of noise, after a caption or a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.batch import Tokenizer
from weft.data.captions import rows_of
from weft.data.drawings import DrawingSettings, prepare_drawings
from weft.data.progress import counted
from weft.data.signals import PROCESSOR, Patches
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.generate import Denoising, denoise, row_seeds
from weft.hub import load, read_language
from weft.hub.folder import TOKENIZER
from weft.hub.preprocessor import reads_of
from weft.models.diffusing import Denoiser
from weft.nn import Layout
from weft.recipes.folder import Existing
from weft.recipes.modalities.drawing_feed import DrawingFeed
from weft.recipes.modalities.drawn import Draws, class_number, each_often
from weft.recipes.modality import MODALITIES, Changes, Drawn
from weft.recipes.recipe import Recipe
from weft.training.world import place

ROWS = 64  # pictures that are drawn at once
NOTHING = ""  # a prompt that asks for nothing


class WithDrawings(Draws):
    """Rows of ids, and rows of patches that belong to them."""

    settings = DrawingSettings
    made = "made_captions"
    called = "drawings"
    keeps = (PROCESSOR, TOKENIZER)
    fixed = ("tokenizer", "vocab")
    hears = ("prompts", "count", "seed", "guidance", "steps")

    @property
    def debug(self) -> Changes:
        """Also the column of what is made."""
        return (*super().debug, ("data.text_column", "text"))

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> DrawingFeed:
        """See `prepare_drawings`."""
        where = recipe.begin if found is None else out
        known = None if where is None else reads_of(where)
        made = None if known is None else known.processor
        assert made is None or isinstance(made, Patches), "its run read pictures"
        language = None if where is None else read_language(where) if found is None else found.language
        config = recipe.model.config
        drawings = prepare_drawings(
            recipe.data,
            Patches(config.image, config.patch, config.channels),
            config.context,
            processor=made,
            tokenizer=None if language is None else language.tokenizer,
            say=say,
        )
        objective = recipe.minimised
        held_out = objective.turn_signals(drawings.held_out, 0)
        check(held_out, objective)
        train = objective.turn_signals(drawings.train, recipe.train.seed)
        return DrawingFeed(recipe, recipe.fitted(drawings.tokenizer.vocab), train, held_out, (), drawings)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that draws nothing."""
        if not isinstance(recipe.model.empty(), Denoiser):
            raise ValueError(
                f"{recipe.model.family} draws no pictures out of noise: choose another family (`weft list`), or other "
                "data"
            )

    def draw(
        self, folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Pictures of the captions or classes that are asked for; without any, of each class in turn."""
        self.heard(asked)
        return drawn_out_of_noise(folder, asked, device=device, say=say)


def drawn_out_of_noise(
    folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pictures, uint8 [N, image, image, channels], and what each was to show. ValueError for a class that
    the model does not know, for no prompt where there are no classes, and for a folder whose model draws nothing."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    reads, module, tokenizer = model.reads, model.module, model.need_tokenizer()
    if reads is None or not isinstance(reads.processor, Patches) or not isinstance(module, Denoiser):
        raise ValueError(f"{folder} draws no pictures out of noise: name the run of a model that does")
    names = each_often(asked, reads.classes)
    if not names:
        raise ValueError(f'{folder} draws what is asked for: give it --prompt "…"')
    if reads.classes:
        names = tuple(name and reads.classes[class_number(name, reads.classes)] for name in names)
    processor, config = reads.processor, model.config
    least, most = bounds(processor)
    usual = Denoising()
    how = Denoising(
        min(config.steps, usual.steps) if asked.steps is None else asked.steps,
        usual.guidance if asked.guidance is None else asked.guidance,
        least=least,
        most=most,
    )
    shape = (config.places, processor.channels_of_place)
    seeds, advance, parts = row_seeds(asked.seed, len(names)), counted(say, "drawn", len(names)), list[np.ndarray]()
    for start in range(0, len(names), ROWS):
        tokens, here = prompts_as_rows(names[start : start + ROWS], tokenizer, config.context)
        rows = denoise(module, tokens, here, shape, how, seeds[start : start + ROWS])
        parts.append(processor.pixels(rows.cpu().numpy()))
        advance(len(rows))
    return np.concatenate(parts), names


def prompts_as_rows(prompts: Sequence[str], tokenizer: Tokenizer, context: int) -> tuple[Tensor, Layout]:
    """Rows of ids, int64 [N, T], as they were trained on; a prompt that asks for nothing is all padding."""
    rows = rows_of(prompts, tokenizer, context)
    assert rows.segments is not None
    asks = torch.tensor([[prompt != NOTHING] for prompt in prompts])
    return rows.tokens, Layout(segments=rows.segments * asks)


def bounds(processor: Patches) -> tuple[Tensor, Tensor]:
    """What black and white are in a patch's numbers, fp32 [C] both."""

    def each(values: tuple[float, ...]) -> Tensor:
        of_channel = torch.tensor(values).expand(processor.channels)
        return of_channel.repeat_interleave(processor.patch**2)

    mean, std = each(processor.mean), each(processor.std)
    return -mean / std, (1 - mean) / std


MODALITIES.register("drawings", WithDrawings())
