"""LLaVA: a text model beside a tower of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odd import Case, Given
from odd.pictures import patches
from weft.nn import Layout


@dataclass(frozen=True, eq=False)
class Prompts(Given):
    """Three ragged rows, padded on the right, with two images, none and one among their tokens."""

    tokens: Tensor
    lengths: Tensor
    pixels: Tensor
    patch: int
    counts: tuple[int, ...] = (2, 0, 1)

    @staticmethod
    def of(config: Any) -> Prompts:
        generator = torch.Generator().manual_seed(1)
        vision, token = config.vision_config, config.image_token_index
        each = (vision.image_size // vision.patch_size) ** 2
        each += vision.model_type == "clip_vision_model" and config.vision_feature_select_strategy == "full"
        each -= vision.model_type != "clip_vision_model" and config.vision_feature_select_strategy != "full"
        rows = [torch.randint(1, token, (length,), generator=generator) for length in (4, 7, 3)]
        image = torch.full((each,), token)
        rows = [torch.cat((row[:2], image, row[2:], image[: each if many == 2 else 0])) if many else row
                for row, many in zip(rows, Prompts.counts, strict=True)]  # fmt: skip
        lengths = torch.tensor([len(row) for row in rows])
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=token)  # not an image's: padding
        shape = (sum(Prompts.counts), vision.num_channels, vision.image_size, vision.image_size)
        return Prompts(tokens, lengths, torch.randn(shape, generator=generator), vision.patch_size)

    @property
    def here(self) -> Layout:
        return Layout.ragged(self.lengths, self.tokens.shape[1])

    @property
    def source(self) -> tuple[Tensor, Layout]:
        """Each row's images, one after another, and which of them are there."""
        images, each = list(patches(self.pixels, self.patch)), (self.pixels.shape[-1] // self.patch) ** 2
        rows = [[images.pop(0) for _ in range(many)] for many in self.counts]
        empty = torch.zeros(each, self.pixels.shape[1] * self.patch**2)
        made = torch.stack([torch.cat([*row, *[empty] * (max(self.counts) - len(row))]) for row in rows])
        return made, Layout.ragged(torch.tensor(self.counts) * each, made.shape[1])

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """Scores."""
        real = torch.arange(self.tokens.shape[1]) < self.lengths[:, None]
        plain = self.tokens.where(real, 0)  # the reference would count padding
        pixels = self.pixels.to(next(model.parameters()).dtype)
        return model(input_ids=plain, attention_mask=real.long(), pixel_values=pixels)["logits"]

    def ours(self, module: nn.Module) -> Tensor:
        source, source_here = self.source
        hidden, _ = module(
            self.tokens, self.here, source=source.to(next(module.parameters()).dtype), source_here=source_here
        )
        return module.logits(hidden)  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What turns a patch into a vector."""
        convolution = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
        return convolution.weight, module.get_parameter("tower.embed.lift.weight")

    def kept(self, scores: Tensor) -> Tensor:
        """Without padding."""
        return scores[torch.arange(self.tokens.shape[1]) < self.lengths[:, None]]


_TEXT: dict[str, Any] = dict(
    model_type="llama", vocab_size=97, hidden_size=36, num_hidden_layers=2, num_attention_heads=6, head_dim=10,
    num_key_value_heads=3, intermediate_size=50, max_position_embeddings=64, pad_token_id=0,
)  # fmt: skip
_VISION: dict[str, Any] = dict(
    model_type="clip_vision_model", hidden_size=28, intermediate_size=50, num_hidden_layers=3, num_attention_heads=7,
    image_size=10, patch_size=5, num_channels=2,
)  # fmt: skip


def _llava(**fields: Any) -> Case:
    fields = dict(text_config=_TEXT, vision_config=_VISION, image_token_index=91, image_seq_length=4) | fields
    return Case("LlavaForConditionalGeneration", "LlavaConfig", fields, given=Prompts.of)


CASES = {
    "llava": (
        _llava(),
        _llava(vision_feature_select_strategy="full", vision_feature_layer=-1, projector_hidden_act="relu",
               multimodal_projector_bias=False, image_token_index=96, tie_word_embeddings=True),
        _llava(vision_feature_layer=1, text_config=dict(
            model_type="mistral", vocab_size=97, hidden_size=30, num_hidden_layers=2, num_attention_heads=5,
            num_key_value_heads=1, intermediate_size=31, sliding_window=4, hidden_act="gelu",
            tie_word_embeddings=True)),
        _llava(vision_config=dict(
            model_type="siglip_vision_model", hidden_size=30, intermediate_size=44, num_hidden_layers=2,
            num_attention_heads=5, image_size=10, patch_size=5, num_channels=3), vision_feature_select_strategy="full",
            text_config=_TEXT | dict(model_type="qwen2", hidden_size=24)),
    ),
}  # fmt: skip
