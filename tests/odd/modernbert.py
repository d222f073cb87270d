"""ModernBERT."""

from typing import Any

from odd import Case


def _modern(kind: str = "ModernBertForMaskedLM", **fields: Any) -> Case:
    return Case(kind, "ModernBertConfig", {"pad_token_id": 0, **fields})


_SMALL = dict(vocab_size=97, hidden_size=30, num_hidden_layers=5, num_attention_heads=5, intermediate_size=44)
_THETAS = dict(full_attention=dict(rope_type="default", rope_theta=777.0))
_THETAS |= dict(sliding_attention=dict(rope_type="default", rope_theta=55.0))
CASES = {
    "modernbert": (
        _modern(**_SMALL, local_attention=4, norm_eps=1e-3, rope_parameters=_THETAS),
        _modern(vocab_size=53, hidden_size=28, num_hidden_layers=2, num_attention_heads=7, intermediate_size=50,
                local_attention=7, global_attn_every_n_layers=2, attention_bias=True, mlp_bias=True, norm_bias=True,
                classifier_bias=True, decoder_bias=False, hidden_activation="silu", classifier_activation="relu",
                tie_word_embeddings=False),
        _modern(**_SMALL, local_attention=3, classifier_bias=True, tie_word_embeddings=False, layer_types=[
            "sliding_attention", "full_attention", "full_attention", "sliding_attention", "full_attention"]),
        _modern(**_SMALL, global_attn_every_n_layers=1, norm_bias=True),
        _modern("ModernBertModel", **_SMALL, local_attention=6, attention_bias=True, global_attn_every_n_layers=4),
    ),
}  # fmt: skip
