"""Perceiver IO, on images, on vectors and on text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odd import Case, Given
from weft.nn import Layout


@dataclass(frozen=True, eq=False)
class Shown(Given):
    """Three images of noise, or of the bare class three ragged rows of vectors. `pixels` is what the reference is
    given, [3, C, side, side] or [3, T, C]; lengths: of the rows, None of images."""

    pixels: Tensor
    lengths: Tensor | None = None

    @staticmethod
    def images(config: Any) -> Shown:
        generator = torch.Generator().manual_seed(1)
        return Shown(torch.randn(3, 3, config.image_size, config.image_size, generator=generator))

    @staticmethod
    def vectors(config: Any) -> Shown:
        generator = torch.Generator().manual_seed(1)
        return Shown(torch.randn(3, 13, config.d_model, generator=generator), torch.tensor([13, 1, 8]))

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        given = self.pixels.to(next(model.parameters()).dtype)
        mask = None if self.lengths is None else (torch.arange(13) < self.lengths[:, None]).long()
        out = model(inputs=given, attention_mask=mask)
        return out["last_hidden_state"] if out.get("logits") is None else out["logits"]

    def ours(self, module: nn.Module) -> Tensor:
        given = self.pixels.to(next(module.parameters()).dtype)
        rows = given.flatten(2).transpose(1, 2) if self.lengths is None else given  # [3, T, C]
        hidden, _ = module(rows, None if self.lengths is None else Layout.ragged(self.lengths, 13))
        return module.logits(hidden) if module.heads else hidden  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What makes keys of the input."""
        encoder = next(part for name, part in model.named_modules() if name.endswith("encoder"))
        own = module.get_parameter("look.layers.0.cross.branch.k.weight")
        return encoder.cross_attention.attention.self.key.weight, own


@dataclass(frozen=True, eq=False)
class Written(Given):
    """Ragged rows of ids, padded on the right. The reference scores all places of the context; the row's are kept."""

    tokens: Tensor
    lengths: Tensor

    @staticmethod
    def of(config: Any) -> Written:
        generator = torch.Generator().manual_seed(1)
        return Written(torch.randint(1, config.vocab_size, (3, 13), generator=generator), torch.tensor([13, 1, 8]))

    @property
    def real(self) -> Tensor:
        return torch.arange(13) < self.lengths[:, None]

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        return model(inputs=self.tokens, attention_mask=self.real.long())["logits"][:, :13]

    def ours(self, module: nn.Module) -> Tensor:
        return module.logits(module(self.tokens, Layout.ragged(self.lengths, 13))[0])  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        return model.perceiver.input_preprocessor.embeddings.weight, module.get_parameter("embed.weight")

    def kept(self, scores: Tensor) -> Tensor:
        return scores[self.real]


def _case(kind: str, **fields: Any) -> Case:
    given = {"PerceiverModel": Shown.vectors, "PerceiverForMaskedLM": Written.of}.get(kind, Shown.images)
    return Case(kind, "PerceiverConfig", fields, given=given)


LEARNED, FOURIER = "PerceiverForImageClassificationLearned", "PerceiverForImageClassificationFourier"
CASES = {
    "perceiver": (
        _case("PerceiverModel", d_model=22, num_latents=9, d_latents=28, num_blocks=3, num_self_attends_per_block=2,
              num_self_attention_heads=7, num_cross_attention_heads=2, self_attention_widening_factor=2,
              cross_attention_shape_for_attention="q", max_position_embeddings=50),
        _case(LEARNED, image_size=6, num_latents=7, d_latents=30, num_blocks=2, num_self_attends_per_block=3,
              num_self_attention_heads=5, num_cross_attention_heads=2, cross_attention_widening_factor=3, num_labels=5),
        _case(FOURIER, image_size=5, num_latents=5, d_latents=24, num_self_attends_per_block=1,
              num_self_attention_heads=3, num_cross_attention_heads=1, hidden_act="relu", use_query_residual=False,
              num_labels=2),
        _case(FOURIER, image_size=7, num_latents=6, d_latents=20, num_self_attends_per_block=2, qk_channels=36,
              v_channels=20, num_self_attention_heads=4, num_cross_attention_heads=2, num_labels=3,
              attention_probs_dropout_prob=0.3),
    ),
    "perceiver_text": (
        _case("PerceiverForMaskedLM", vocab_size=97, max_position_embeddings=19, d_model=24, num_latents=11,
              d_latents=30, num_blocks=2, num_self_attends_per_block=2, num_self_attention_heads=5,
              num_cross_attention_heads=3, self_attention_widening_factor=2),
        _case("PerceiverForMaskedLM", vocab_size=61, max_position_embeddings=23, d_model=40, num_latents=6,
              d_latents=28, num_self_attends_per_block=3, num_self_attention_heads=2, num_cross_attention_heads=7,
              qk_channels=42, v_channels=28, use_query_residual=False, hidden_act="gelu_new",
              cross_attention_widening_factor=2, attention_probs_dropout_prob=0.0),
    ),
}  # fmt: skip
