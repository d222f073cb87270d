"""OLMo 2."""

from typing import Any

from odd import Case


def _olmo2(kind: str = "Olmo2ForCausalLM", **fields: Any) -> Case:
    return Case(kind, "Olmo2Config", fields | dict(pad_token_id=0), kind != "Olmo2Model")


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(intermediate_size=50, max_position_embeddings=64)
CASES = {
    "olmo2": (
        _olmo2(**_SMALL, rms_norm_eps=1e-3, rope_parameters=dict(rope_theta=777.0)),
        _olmo2(vocab_size=53, hidden_size=30, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
               intermediate_size=31, tie_word_embeddings=True, attention_bias=True, hidden_act="gelu"),
        _olmo2(**_SMALL, head_dim=10, rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
               high_freq_factor=4.0, rope_theta=777.0, original_max_position_embeddings=16)),
        _olmo2("Olmo2Model", **_SMALL | dict(num_key_value_heads=6, num_hidden_layers=1, tie_word_embeddings=True)),
    ),
}  # fmt: skip
