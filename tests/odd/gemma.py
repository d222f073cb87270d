"""Gemma 2 and 3."""

from typing import Any

from odd import Case


def _gemma2(kind: str = "Gemma2ForCausalLM", **fields: Any) -> Case:
    return Case(kind, "Gemma2Config", fields, kind != "Gemma2Model")


def _gemma3(kind: str = "Gemma3ForCausalLM", greedy: bool = True, **fields: Any) -> Case:
    return Case(kind, "Gemma3TextConfig", fields, greedy and kind != "Gemma3TextModel")


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(head_dim=10, intermediate_size=50, max_position_embeddings=64, sliding_window=4)
_ONE = dict(vocab_size=53, hidden_size=25, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1)
_ONE |= dict(head_dim=8, intermediate_size=31, hidden_activation="gelu", max_position_embeddings=64, sliding_window=7)
_ODD = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
CASES = {
    "gemma2": (
        _gemma2(**_SMALL, rms_norm_eps=1e-3, query_pre_attn_scalar=17, attn_logit_softcapping=3.0,
                final_logit_softcapping=2.0, rope_parameters=dict(rope_theta=777.0)),
        _gemma2(**_ONE, tie_word_embeddings=False, attn_logit_softcapping=None, final_logit_softcapping=None,
                attention_bias=True),
        _gemma2(**_SMALL | dict(num_hidden_layers=4), layer_types=_ODD,
                rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=777.0)),
        _gemma2("Gemma2Model", **_SMALL | dict(num_hidden_layers=1, sliding_window=1), final_logit_softcapping=None),
    ),
    "gemma3": (
        _gemma3(**_SMALL | dict(num_hidden_layers=2), rms_norm_eps=1e-3, query_pre_attn_scalar=17,
                layer_types=["full_attention", "sliding_attention"], final_logit_softcapping=2.0),
        _gemma3(**_SMALL | dict(num_hidden_layers=7), attn_logit_softcapping=1.0, rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=5e4),
            sliding_attention=dict(rope_type="default", rope_theta=50.0))),
        _gemma3(**_ONE | dict(num_hidden_layers=4), tie_word_embeddings=False, attention_bias=True, layer_types=_ODD,
                rope_parameters=dict(
                    full_attention=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16),
                    sliding_attention=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                           rope_theta=99.0, original_max_position_embeddings=16))),
        _gemma3("Gemma3TextModel", **_SMALL | dict(num_hidden_layers=1)),
    ),
}  # fmt: skip
