"""LLaMA, Mistral and Mixtral."""

from typing import Any

from odd import Case


def _llama(greedy: bool = True, **fields: Any) -> Case:
    return Case("LlamaForCausalLM", "LlamaConfig", fields, greedy)


def _mistral(kind: str = "MistralForCausalLM", **fields: Any) -> Case:
    return Case(kind, "MistralConfig", fields, kind != "MistralModel")


def _mixtral(kind: str = "MixtralForCausalLM", **fields: Any) -> Case:
    return Case(kind, "MixtralConfig", fields, kind != "MixtralModel")


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(head_dim=10, intermediate_size=50, max_position_embeddings=64)
_LONG = dict(rope_theta=777.0, original_max_position_embeddings=16)
_FACTORS = dict(short_factor=[1.0, 1.1, 1.3, 1.7, 2.9], long_factor=[1.0, 2.0, 3.5, 7.0, 9.0], rope_type="longrope")
CASES = {
    "llama": (
        _llama(**_SMALL, rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=5e5)),
        _llama(vocab_size=53, hidden_size=25, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
               head_dim=8, intermediate_size=31, tie_word_embeddings=True),
        _llama(vocab_size=211, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=44,
               hidden_act="gelu_pytorch_tanh", attention_bias=True, mlp_bias=True),
        _llama(vocab_size=31, hidden_size=14, num_hidden_layers=11, num_attention_heads=7, head_dim=4,
               intermediate_size=9, attention_bias=True),
        _llama(**_SMALL, rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=777.0)),
        _llama(**_SMALL, rope_parameters=dict(rope_type="yarn", factor=4.0, **_LONG)),
        _llama(**_SMALL, rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                              high_freq_factor=4.0, **_LONG)),
        _llama(False, **{**_SMALL, "max_position_embeddings": 8},
               rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=777.0)),
        _llama(**_SMALL, rope_parameters=dict(factor=4.0, **_LONG | dict(original_max_position_embeddings=32),
                                              **_FACTORS)),
        _llama(False, **_SMALL, rope_parameters=_LONG | dict(original_max_position_embeddings=12, **_FACTORS)),
        Case("LlamaModel", "LlamaConfig", dict(**_SMALL, tie_word_embeddings=True), False),
    ),
    "mistral": (
        _mistral(**_SMALL, sliding_window=5, rms_norm_eps=1e-3, rope_parameters=dict(rope_theta=777.0)),
        _mistral(vocab_size=53, hidden_size=25, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
                 head_dim=8, intermediate_size=31, tie_word_embeddings=True, sliding_window=None),
        _mistral(**_SMALL, sliding_window=1, hidden_act="mish",
                 rope_parameters=dict(rope_type="yarn", factor=4.0, **_LONG)),
        _mistral("MistralModel", vocab_size=31, hidden_size=14, num_hidden_layers=7, num_attention_heads=7,
                 num_key_value_heads=7, head_dim=4, intermediate_size=9, sliding_window=100, tie_word_embeddings=True),
    ),
    "mixtral": (
        _mixtral(**_SMALL | dict(num_hidden_layers=2, intermediate_size=20), sliding_window=5, rms_norm_eps=1e-3,
                 num_local_experts=5, num_experts_per_tok=3, router_aux_loss_coef=0.02),
        _mixtral(vocab_size=53, hidden_size=20, num_hidden_layers=3, num_attention_heads=5, num_key_value_heads=1,
                 head_dim=8, intermediate_size=28, tie_word_embeddings=True, num_local_experts=3,
                 num_experts_per_tok=1, hidden_act="gelu", rope_parameters=dict(rope_theta=777.0)),
        _mixtral("MixtralModel", **_SMALL | dict(num_hidden_layers=1, intermediate_size=52), num_local_experts=2,
                 tie_word_embeddings=True),
    ),
}  # fmt: skip
