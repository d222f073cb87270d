"""BLOOM."""

from typing import Any

from odd import Case


def _bloom(**fields: Any) -> Case:
    return Case("BloomForCausalLM", "BloomConfig", fields)


CASES = {
    "bloom": (
        _bloom(vocab_size=97, hidden_size=30, n_layer=3, n_head=5, layer_norm_epsilon=1e-3),
        _bloom(vocab_size=53, hidden_size=28, n_layer=2, n_head=7, apply_residual_connection_post_layernorm=True),
        _bloom(vocab_size=211, hidden_size=36, n_layer=2, n_head=12, tie_word_embeddings=False, pretraining_tp=3),
        _bloom(vocab_size=31, n_embed=21, n_layer=11, n_head=1, seq_length=77),
        Case("BloomModel", "BloomConfig", dict(vocab_size=61, hidden_size=33, n_layer=2, n_head=3), False),
    ),
}  # fmt: skip
