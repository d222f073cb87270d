"""GPT-1."""

from typing import Any

from odd import Case


def _gpt1(**fields: Any) -> Case:
    return Case("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", fields)


CASES = {
    "gpt1": (
        _gpt1(vocab_size=97, n_positions=29, n_embd=30, n_layer=3, n_head=5, layer_norm_epsilon=1e-3),
        _gpt1(vocab_size=53, n_positions=21, n_embd=28, n_layer=2, n_head=7, afn="relu", tie_word_embeddings=False),
        _gpt1(vocab_size=31, n_positions=23, n_embd=21, n_layer=11, n_head=1, afn="silu"),
        _gpt1(vocab_size=41, n_positions=33, n_embd=22, n_layer=1, n_head=11, afn="swish", layer_norm_epsilon=1e-6),
        Case("OpenAIGPTModel", "OpenAIGPTConfig", dict(vocab_size=61, n_positions=19, n_embd=33, n_layer=2, n_head=11),
             False),
    ),
}  # fmt: skip
