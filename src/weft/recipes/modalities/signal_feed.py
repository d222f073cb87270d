"""What all rows of signals have in common as the data of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from weft.batch import Batch, Dataset, Tokenizer
from weft.data import named_tokenizer
from weft.evaluate.judged import judged
from weft.hub import read_language, write_model
from weft.models import Blueprint
from weft.recipes.feed import Feed
from weft.recipes.folder import Existing
from weft.recipes.recipe import Recipe


@dataclass(frozen=True)
class SignalFeed(Feed):
    """Rows that a processor makes. The finished model is written in weft's own layout, with what its rows are made by,
    and judged by its mean loss on what is held out."""

    recipe: Recipe
    blueprint: Blueprint
    train: Dataset[Batch]
    held_out: Dataset[Batch]
    notices: tuple[str, ...]
    headline = "loss"

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts beside the signals; None: there are none."""
        return None

    def save(self, tensors: Mapping[str, Tensor], out: Path) -> None:
        """The model, and what `write` writes."""
        write_model(tensors, self.blueprint, self.tokenizer, out)
        self.write(out)

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The mean loss and, where the objective answers, the share of right answers."""
        return judged(module, self.held_out, self.recipe.minimised, share=share, total=total)


def known_tokenizer(recipe: Recipe, found: Existing | None) -> Tokenizer | None:
    """That of the run that goes on, of the model that is begun with, or of the folder that data.tokenizer names; None:
    one is to be trained."""
    if found is not None:
        return found.language.tokenizer
    if recipe.begin is None:
        return named_tokenizer(recipe.data.tokenizer, "data.tokenizer=")
    tokenizer = read_language(recipe.begin).tokenizer
    if tokenizer is None:
        raise ValueError(f"{recipe.begin} has no tokenizer.json, so its weights say nothing of any text")
    return tokenizer
