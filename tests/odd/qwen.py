"""Qwen 2 and 3."""

from typing import Any

from odd import Case


def _qwen(number: int, kind: str = "ForCausalLM", **fields: Any) -> Case:
    return Case(f"Qwen{number}{kind}", f"Qwen{number}Config", fields, kind != "Model")


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(head_dim=10, intermediate_size=50, max_position_embeddings=64)
_TIED = dict(vocab_size=53, hidden_size=25, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1)
_TIED |= dict(intermediate_size=31, tie_word_embeddings=True, head_dim=6, hidden_act="gelu")
_LONG = dict(rope_type="yarn", factor=4.0, rope_theta=777.0, original_max_position_embeddings=16)
_ODD = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]


def _cases(number: int, **more: Any) -> tuple[Case, ...]:
    return (
        _qwen(number, **_SMALL, rms_norm_eps=1e-3, use_sliding_window=True, sliding_window=4, max_window_layers=1,
              **more),
        _qwen(number, **_TIED, rope_parameters=_LONG),
        _qwen(number, **_SMALL | dict(num_hidden_layers=4), layer_types=_ODD, use_sliding_window=True,
              sliding_window=3, rope_parameters=dict(rope_theta=777.0)),
        _qwen(number, "Model", **_SMALL, tie_word_embeddings=True, use_sliding_window=False),
    )  # fmt: skip


CASES = {"qwen2": _cases(2), "qwen3": _cases(3, attention_bias=True)}
