"""Phi-3."""

from typing import Any

from odd import Case


def _phi3(kind: str = "Phi3ForCausalLM", greedy: bool = True, **fields: Any) -> Case:
    return Case(kind, "Phi3Config", fields | dict(pad_token_id=0), greedy and kind != "Phi3Model")


_SMALL = dict(vocab_size=97, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(intermediate_size=50, max_position_embeddings=64)
_FACTORS = dict(rope_type="longrope", short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.0, 3.5], rope_theta=777.0)
_PART = dict(partial_rotary_factor=0.75)
CASES = {
    "phi3": (
        _phi3(**_SMALL, rms_norm_eps=1e-3, sliding_window=4, rope_parameters=dict(rope_theta=777.0)),
        _phi3(**_SMALL, original_max_position_embeddings=32, rope_parameters=_FACTORS | _PART,
              resid_pdrop=0.1, embd_pdrop=0.2, attention_dropout=0.3),
        _phi3(greedy=False, **_SMALL, original_max_position_embeddings=12, rope_parameters=_FACTORS | _PART),
        _phi3(vocab_size=53, hidden_size=30, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
              intermediate_size=31, tie_word_embeddings=True, hidden_act="gelu", attention_dropout=0.1),
        _phi3("Phi3Model", **_SMALL | dict(num_key_value_heads=6, num_hidden_layers=1, tie_word_embeddings=True),
              rope_parameters=dict(rope_type="default", rope_theta=50.0, partial_rotary_factor=0.5)),
    ),
}  # fmt: skip
