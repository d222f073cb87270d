"""GPT2."""

from typing import Any

from odd import Case


def _gpt2(**fields: Any) -> Case:
    return Case("GPT2LMHeadModel", "GPT2Config", fields)


CASES = {
    "gpt2": (
        _gpt2(vocab_size=97, n_positions=29, n_embd=30, n_layer=3, n_head=5, layer_norm_epsilon=1e-3),
        _gpt2(vocab_size=53, n_positions=21, n_embd=28, n_layer=2, n_head=7, n_inner=50, activation_function="gelu",
              tie_word_embeddings=False),
        _gpt2(vocab_size=211, n_positions=64, n_embd=36, n_layer=1, n_head=3, n_inner=20, activation_function="relu",
              layer_norm_epsilon=1e-6),
        _gpt2(vocab_size=31, n_positions=23, n_embd=21, n_layer=12, n_head=1, activation_function="silu"),
        Case("GPT2Model", "GPT2Config", dict(vocab_size=61, n_positions=19, n_embd=33, n_layer=2, n_head=11), False),
    ),
}  # fmt: skip
