"""Texts and images: what CLIP, SigLIP and their towers are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from odd import Given
from odd.pictures import Pictures, patches
from weft.nn import Layout


@dataclass(frozen=True, eq=False)
class Texts(Given):
    """Three rows of ids, each with its end token, behind which some are padded; or full ones, where a row is read at
    its last place (`full`)."""

    tokens: Tensor
    lengths: Tensor
    full: bool = False

    @staticmethod
    def of(config: Any, full: bool = False) -> Texts:
        """Ids below the end token, which is the largest; padding is 1, or the end token where the config says so."""
        longest, end = config.max_position_embeddings, config.vocab_size - 1
        generator = torch.Generator().manual_seed(1)
        tokens = torch.randint(3, end, (3, longest), generator=generator)
        lengths = torch.tensor([longest, 2, longest * 2 // 3])
        if not full:
            for row, length in zip(tokens, lengths, strict=True):
                row[length - 1 :] = config.pad_token_id
                row[length - 1] = end
        return Texts(tokens, lengths, full)

    @property
    def here(self) -> Layout:
        return Layout() if self.full else Layout.ragged(self.lengths, self.tokens.shape[1])

    @property
    def real(self) -> Tensor:
        return (torch.arange(self.tokens.shape[1]) < self.lengths[:, None]) | self.full

    @property
    def mask(self) -> Tensor | None:
        return None if self.full else self.real.long()

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """States, without padding, and what is made of each row."""
        out = model(input_ids=self.tokens, attention_mask=self.mask)
        pooled = out["text_embeds"] if "text_embeds" in out else out["pooler_output"]
        return torch.cat((out["last_hidden_state"][self.real].flatten(), pooled.flatten()))

    def ours(self, module: nn.Module) -> Tensor:
        hidden, _ = module(self.tokens, self.here)
        pooled = module.pool(hidden, self.tokens, self.here)  # type: ignore[operator]
        return torch.cat((hidden[self.real].flatten(), pooled.flatten()))

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """The tables of tokens."""
        return model.get_input_embeddings().weight, module.get_parameter("embed.weight")


@dataclass(frozen=True, eq=False)
class Views(Pictures):
    """Images for a tower, which may bring their vectors into a common space."""

    @staticmethod
    def of(config: Any) -> Views:
        made = Pictures.of(config)
        return Views(made.pixels, made.patch)

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        pixels = self.pixels.to(next(model.parameters()).dtype)
        out = model(pixel_values=pixels)
        return out["image_embeds"] if "image_embeds" in out else super().theirs(model, states=states)

    def ours(self, module: nn.Module) -> Tensor:
        hidden, _ = module(patches(self.pixels.to(next(module.parameters()).dtype), self.patch))
        if module.pooler is None:
            return hidden
        pooled = module.pool(hidden)  # type: ignore[operator]
        return pooled if "pooler.project.weight" in module.state_dict() else hidden + pooled[:, None]


@dataclass(frozen=True, eq=False)
class Pairs(Given):
    """Texts and images, all against all."""

    texts: Texts
    views: Views

    @staticmethod
    def of(config: Any, full: bool = False) -> Pairs:
        return Pairs(Texts.of(config.text_config, full), Views.of(config.vision_config))

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """Scores of a text for each image, and the vectors that they are made of: of like texts and images the scores
        lie too close together to be held against one another alone."""
        pixels = self.views.pixels[:2].to(next(model.parameters()).dtype)
        out = model(input_ids=self.texts.tokens, attention_mask=self.texts.mask, pixel_values=pixels)
        return torch.cat([out[name].flatten() for name in ("logits_per_text", "text_embeds", "image_embeds")])

    def ours(self, module: nn.Module) -> Tensor:
        rows = patches(self.views.pixels[:2].to(next(module.parameters()).dtype), self.views.patch)
        (texts, images), _ = module(rows, self.texts.tokens, None, self.texts.here)
        return torch.cat([x.flatten() for x in (module.scores(texts, images), texts, images)])  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What turns a patch into a vector, which is furthest from the scores."""
        convolution = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
        return convolution.weight, module.get_parameter("image.embed.lift.weight")


FULL_TEXTS, FULL_PAIRS = partial(Texts.of, full=True), partial(Pairs.of, full=True)
