"""Falcon."""

from typing import Any

from odd import Case


def _falcon(**fields: Any) -> Case:
    return Case("FalconForCausalLM", "FalconConfig", fields)


_NEW = dict(new_decoder_architecture=True)
_LONG = dict(rope_type="yarn", factor=4.0, rope_theta=777.0, original_max_position_embeddings=16)
CASES = {
    "falcon": (
        _falcon(vocab_size=97, hidden_size=30, num_hidden_layers=3, num_attention_heads=5, layer_norm_epsilon=1e-3),
        _falcon(vocab_size=53, hidden_size=36, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=3, **_NEW,
                ffn_hidden_size=50, activation="gelu_new", bias=True),
        _falcon(vocab_size=211, hidden_size=36, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=2, **_NEW,
                num_ln_in_parallel_attn=1, alibi=True, tie_word_embeddings=False),
        _falcon(vocab_size=31, hidden_size=33, num_hidden_layers=3, num_attention_heads=11, multi_query=False,
                parallel_attn=False, alibi=True, bias=True, activation="relu"),
        _falcon(vocab_size=47, hidden_size=30, num_hidden_layers=2, num_attention_heads=3, num_kv_heads=3, alibi=True,
                hidden_dropout=0.1, attention_dropout=0.2),
        _falcon(vocab_size=59, hidden_size=28, num_hidden_layers=11, num_attention_heads=7, multi_query=False,
                rope_parameters=dict(rope_type="default", rope_theta=5e5)),
        _falcon(vocab_size=71, hidden_size=48, num_hidden_layers=2, num_attention_heads=6, parallel_attn=False,
                max_position_embeddings=64, rope_parameters=_LONG),
        _falcon(vocab_size=43, hidden_size=22, num_hidden_layers=2, num_attention_heads=1, num_kv_heads=1, **_NEW),
        Case("FalconModel", "FalconConfig", dict(vocab_size=61, hidden_size=36, num_hidden_layers=2,
             num_attention_heads=9, num_kv_heads=9, **_NEW), False),
    ),
}  # fmt: skip
