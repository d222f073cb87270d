"""GPT-NeoX."""

from typing import Any

from odd import Case


def _neox(greedy: bool = True, **fields: Any) -> Case:
    return Case("GPTNeoXForCausalLM", "GPTNeoXConfig", fields, greedy)


def _rope(part: float, theta: float, **scaling: Any) -> dict[str, Any]:
    return dict(rope_type="default", rope_theta=theta, partial_rotary_factor=part) | scaling


_SMALL = dict(vocab_size=97, hidden_size=42, num_hidden_layers=2, num_attention_heads=3, intermediate_size=50)
_SMALL |= dict(max_position_embeddings=64)
_HALF = _SMALL | dict(hidden_size=36)  # heads of 12, half of which turns
CASES = {
    "neox": (
        _neox(**_SMALL, layer_norm_eps=1e-6),  # a quarter of a head of 14 is 3, and 4 numbers turn
        _neox(vocab_size=53, hidden_size=66, num_hidden_layers=2, num_attention_heads=3, intermediate_size=31,
              use_parallel_residual=False, hidden_act="gelu_new", layer_norm_eps=1e-3),
        _neox(vocab_size=211, hidden_size=42, num_hidden_layers=2, num_attention_heads=7, intermediate_size=44,
              attention_bias=False, tie_word_embeddings=True, rope_parameters=_rope(1.0, 5e5)),
        _neox(vocab_size=31, hidden_size=49, num_hidden_layers=11, num_attention_heads=7, intermediate_size=9,
              hidden_act="relu", use_parallel_residual=False, attention_bias=False, rope_parameters=_rope(0.6, 777.0)),
        _neox(**_HALF, rotary_pct=0.5, rotary_emb_base=333),
        _neox(**_HALF, rope_parameters=_rope(0.5, 777.0, rope_type="linear", factor=3.0)),
        _neox(**_HALF, rope_parameters=_rope(0.5, 777.0, rope_type="yarn", factor=4.0,
                                             original_max_position_embeddings=16)),
        _neox(False, **{**_HALF, "max_position_embeddings": 8},
              rope_parameters=_rope(0.5, 777.0, rope_type="dynamic", factor=2.0)),
        Case("GPTNeoXModel", "GPTNeoXConfig", dict(vocab_size=61, hidden_size=44, num_hidden_layers=2,
             num_attention_heads=1, intermediate_size=19, tie_word_embeddings=True), False),
    ),
}  # fmt: skip
