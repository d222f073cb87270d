"""Decision Transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odd import Case, Given
from weft.nn import Layout


@dataclass(frozen=True, eq=False)
class Played(Given):
    """Ends of three episodes, fp32 [3, T, 1 + S + A], padded on the left, which begin at timesteps of their own."""

    rows: Tensor
    times: Tensor
    lengths: Tensor
    state: int

    @staticmethod
    def of(config: Any) -> Played:
        generator, width = torch.Generator().manual_seed(1), 9
        rows = torch.randn(3, width, 1 + config.state_dim + config.act_dim, generator=generator)
        lengths, first = torch.tensor([width, 1, 6]), torch.tensor([0, 11, 5])
        times = (first[:, None] + torch.arange(width) - (width - lengths[:, None])).clamp(min=0)
        return Played(rows, times, lengths, config.state_dim)

    @property
    def real(self) -> Tensor:
        return Layout.ragged(self.lengths, self.rows.shape[1], side="left").segments  # type: ignore[return-value]

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """All three predictions, side by side."""
        rows = self.rows.to(next(model.parameters()).dtype)
        returns, state, action = rows.split((1, self.state, rows.shape[-1] - 1 - self.state), dim=-1)
        out = model(
            states=state, actions=action, rewards=torch.zeros_like(returns), returns_to_go=returns,
            timesteps=self.times * self.real, attention_mask=self.real,
        )  # fmt: skip
        return torch.cat((out["action_preds"], out["return_preds"], out["state_preds"]), dim=-1)

    def ours(self, module: nn.Module) -> Tensor:
        rows = self.rows.to(next(module.parameters()).dtype)
        hidden, _ = module(rows, Layout(order=self.times, segments=self.real))
        return torch.cat([module.logits(hidden, task) for task in ("action", "return", "state")], dim=-1)  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        return model.embed_state.weight, module.get_parameter("embed.states.weight")

    def kept(self, scores: Tensor) -> Tensor:
        return scores[self.real > 0]


def _case(**fields: Any) -> Case:
    return Case("DecisionTransformerModel", "DecisionTransformerConfig", fields, given=Played.of)


CASES = {
    "decision_transformer": (
        _case(state_dim=7, act_dim=3, max_ep_len=23, hidden_size=30, n_layer=3, n_head=5, n_positions=11, n_inner=44,
              layer_norm_epsilon=1e-3),
        _case(state_dim=1, act_dim=5, max_ep_len=19, hidden_size=28, n_layer=2, n_head=7, n_positions=5, vocab_size=3,
              action_tanh=False, activation_function="gelu_new", resid_pdrop=0.2, attn_pdrop=0.0),
    ),
}  # fmt: skip
