"""GPT-OSS."""

from typing import Any

from odd import Case


def _oss(kind: str = "GptOssForCausalLM", **fields: Any) -> Case:
    return Case(kind, "GptOssConfig", fields, kind != "GptOssModel")


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(head_dim=10, intermediate_size=20, max_position_embeddings=64, sliding_window=4)
_ODD = ["sliding_attention", "full_attention", "full_attention"]
CASES = {
    "gpt_oss": (
        _oss(**_SMALL, rms_norm_eps=1e-3, num_local_experts=5, num_experts_per_tok=3, swiglu_limit=0.5),
        _oss(vocab_size=53, hidden_size=20, num_hidden_layers=3, num_attention_heads=5, num_key_value_heads=1,
             head_dim=8, intermediate_size=28, tie_word_embeddings=True, num_local_experts=2, num_experts_per_tok=1,
             attention_bias=False, layer_types=_ODD, sliding_window=1, swiglu_alpha=1.1,
             rope_parameters=dict(rope_type="default", rope_theta=777.0)),
        _oss(**_SMALL, num_local_experts=4, router_aux_loss_coef=0.9, rope_parameters=dict(
            rope_type="yarn", factor=4.0, rope_theta=777.0, original_max_position_embeddings=16, truncate=False)),
        _oss("GptOssModel", **_SMALL | dict(num_hidden_layers=1), num_local_experts=3, num_experts_per_tok=2,
             tie_word_embeddings=True),
    ),
}  # fmt: skip
