"""Wav2Vec2-Conformer. Rows are not padded: the reference's norms and convolutions hear padding."""

from __future__ import annotations

from typing import Any

from odd import Case
from odd.sounds import Waves


def _heard(kind: str = "Wav2Vec2ConformerForCTC", **fields: Any) -> Case:
    own = dict(vocab_size=19, hidden_size=30, num_hidden_layers=2, num_attention_heads=5, intermediate_size=44,
               conv_dim=[6, 10], conv_kernel=[5, 3], conv_stride=[3, 2], conv_depthwise_kernel_size=7,
               num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0, apply_spec_augment=False,
               layerdrop=0.0)  # fmt: skip
    return Case(kind, "Wav2Vec2ConformerConfig", own | fields, given=Waves.of)


CASES = {
    "wav2vec2_conformer": (
        _heard(),
        _heard(hidden_size=42, num_attention_heads=3, num_hidden_layers=3, feat_extract_norm="layer", conv_bias=True,
               conv_dim=[7, 9, 11], conv_kernel=[4, 3, 2], conv_stride=[2, 1, 2], hidden_act="swish",
               conv_depthwise_kernel_size=3, layer_norm_eps=1e-3, pad_token_id=4, max_source_positions=9),
        _heard(hidden_size=20, num_attention_heads=10, num_hidden_layers=1, position_embeddings_type=None,
               feat_extract_activation="relu", conv_depthwise_kernel_size=11, mask_time_prob=0.0),
        _heard("Wav2Vec2ConformerModel", hidden_size=28, num_attention_heads=2, intermediate_size=13),
    ),
}  # fmt: skip
