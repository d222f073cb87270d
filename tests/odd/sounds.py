"""Sounds: what Whisper and the Conformers are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odd import Given
from weft.generate import GREEDY, generate
from weft.nn import EncoderDecoder, Layout


@dataclass(frozen=True, eq=False)
class Spoken(Given):
    """Three sounds of noise, fp32 [3, T, mels], and what is written of them: ragged rows of ids."""

    frames: Tensor
    tokens: Tensor
    lengths: Tensor

    @staticmethod
    def of(config: Any) -> Spoken:
        """As long as the reference's config says."""
        generator = torch.Generator().manual_seed(1)
        frames = torch.randn(3, 2 * config.max_source_positions, config.num_mel_bins, generator=generator)
        tokens = torch.randint(2, config.vocab_size, (3, 11), generator=generator)
        return Spoken(frames, tokens, torch.tensor([11, 1, 7]))

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """Scores; of the bare class, states times the table of what is written."""
        out = model(
            input_features=self.frames.mT.to(next(model.parameters()).dtype),
            decoder_input_ids=self.tokens,
            decoder_attention_mask=(torch.arange(self.tokens.shape[1]) < self.lengths[:, None]).long(),
        )
        if "logits" in out:
            return out["logits"]
        return out["last_hidden_state"] @ model.get_input_embeddings().weight.T

    def ours(self, module: nn.Module) -> Tensor:
        """The same of ours."""
        assert isinstance(module, EncoderDecoder)
        here = Layout.ragged(self.lengths, self.tokens.shape[1])
        hidden, _ = module(self.frames.to(next(module.parameters()).dtype), self.tokens, None, here)
        return module.logits(hidden)

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What turns a few frames into a vector."""
        convolution = next(part for part in model.modules() if isinstance(part, nn.Conv1d))
        return convolution.weight, module.get_parameter("embed.convolutions.0.weight")

    def kept(self, scores: Tensor) -> Tensor:
        """Without padding."""
        return scores[torch.arange(self.tokens.shape[1]) < self.lengths[:, None]]

    def same_tokens(self, model: Any, module: nn.Module) -> bool:
        """The likeliest token after each that was written: theirs from whole rows, ours from a cache of all rows. (The
        reference's own way to write follows rules of time stamps, which are no part of the model.)"""
        start, new = model.config.decoder_start_token_id, 7
        made = generate(module, list(self.frames), new=new, sampling=GREEDY, start=start)
        ids = torch.full((len(self.frames), 1), start)
        with torch.no_grad():
            for _ in range(new):
                out = model(input_features=self.frames.mT, decoder_input_ids=ids)
                scores = out["logits"] if "logits" in out else out[0] @ model.get_input_embeddings().weight.T
                ids = torch.cat((ids, scores[:, -1:].argmax(dim=-1)), dim=1)
        return [list(row.ids) for row in made] == ids[:, 1:].tolist()


@dataclass(frozen=True, eq=False)
class Waves(Given):
    """Three sounds of noise, fp32 [3, samples]."""

    samples: Tensor

    @staticmethod
    def of(config: Any) -> Waves:
        """All of one length."""
        return Waves(torch.randn(3, 137, generator=torch.Generator().manual_seed(1)))

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """Scores; of the bare class, states."""
        out = model(input_values=self.samples.to(next(model.parameters()).dtype))
        return out["logits"] if "logits" in out else out["last_hidden_state"]

    def ours(self, module: nn.Module) -> Tensor:
        """The same of ours."""
        hidden, _ = module(self.samples.to(next(module.parameters()).dtype)[..., None])
        return module.logits(hidden) if module.heads else hidden  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """What turns a few samples into a vector."""
        convolution = next(part for part in model.modules() if isinstance(part, nn.Conv1d))
        return convolution.weight, module.get_parameter("embed.convolutions.0.weight")
