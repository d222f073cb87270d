"""T5, mT5 and UMT5."""

from typing import Any

from odd import Case


def _t5(apart: str = "", **fields: Any) -> Case:
    return Case("T5ForConditionalGeneration", "T5Config", {"decoder_start_token_id": 0, **fields}, apart=apart)


def _mt5(name: str = "MT5", kind: str = "ForConditionalGeneration", apart: str = "", **fields: Any) -> Case:
    own = {"decoder_start_token_id": 0, **fields}
    return Case(f"{name}{kind}", f"{name}Config", own, greedy=kind != "Model", apart=apart)


CASES = {
    "t5": (
        _t5(vocab_size=97, d_model=30, d_kv=7, num_heads=5, d_ff=44, num_layers=3, num_decoder_layers=2,
            layer_norm_epsilon=1e-3),
        _t5(vocab_size=53, d_model=28, d_kv=6, num_heads=3, d_ff=50, num_layers=2, feed_forward_proj="gated-gelu",
            apart="lm_head", scale_decoder_outputs=False),
        _t5(vocab_size=211, d_model=20, d_kv=12, num_heads=7, d_ff=21, num_layers=1, num_decoder_layers=3,
            relative_attention_num_buckets=6, relative_attention_max_distance=9, feed_forward_proj="gated-silu",
            apart="lm_head"),
        _t5(vocab_size=31, d_model=33, d_kv=8, num_heads=1, d_ff=17, num_layers=4, feed_forward_proj="gelu"),
        _t5(vocab_size=384, d_model=22, d_kv=5, num_heads=3, d_ff=37, num_layers=3, num_decoder_layers=1,
            feed_forward_proj="gated-gelu", apart="lm_head", scale_decoder_outputs=False),  # ByT5
    ),
    "mt5": (
        _mt5(vocab_size=97, d_model=30, d_kv=7, num_heads=5, d_ff=44, num_layers=3, num_decoder_layers=2,
             layer_norm_epsilon=1e-3),
        _mt5(vocab_size=53, d_model=28, d_kv=6, num_heads=3, d_ff=50, num_layers=2, apart="lm_head"),
        _mt5(vocab_size=211, d_model=20, d_kv=12, num_heads=7, d_ff=21, num_layers=1, num_decoder_layers=3,
             relative_attention_num_buckets=6, relative_attention_max_distance=9, feed_forward_proj="relu"),
        _mt5(kind="Model", vocab_size=31, d_model=33, d_kv=8, num_heads=1, d_ff=17, num_layers=2),
    ),
    "umt5": (
        _mt5("UMT5", vocab_size=97, d_model=30, d_kv=7, num_heads=5, d_ff=44, num_layers=3, num_decoder_layers=2,
             layer_norm_epsilon=1e-3),
        _mt5("UMT5", vocab_size=53, d_model=28, d_kv=6, num_heads=3, d_ff=50, num_layers=2, apart="lm_head"),
        _mt5("UMT5", vocab_size=211, d_model=20, d_kv=12, num_heads=7, d_ff=21, num_layers=1, num_decoder_layers=3,
             relative_attention_num_buckets=6, relative_attention_max_distance=9, feed_forward_proj="gated-silu"),
    ),
}  # fmt: skip
