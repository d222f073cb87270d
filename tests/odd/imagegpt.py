"""Image GPT: rows of ids, as of texts."""

from typing import Any

from odd import Case


def _image(**fields: Any) -> Case:
    return Case("ImageGPTForCausalImageModeling", "ImageGPTConfig", fields)


CASES = {
    "imagegpt": (
        _image(vocab_size=29, n_positions=25, n_embd=30, n_layer=3, n_head=5, n_inner=41, layer_norm_epsilon=1e-3),
        _image(vocab_size=12, n_positions=36, n_embd=28, n_layer=2, n_head=7, activation_function="gelu_new"),
        _image(vocab_size=50, n_positions=49, n_embd=21, n_layer=4, n_head=1, n_inner=13, activation_function="relu",
               resid_pdrop=0.2, embd_pdrop=0.2, attn_pdrop=0.2),
    ),
}  # fmt: skip
