"""DeBERTa, first version and second."""

from typing import Any

from odd import Case


def _v1(kind: str = "DebertaForMaskedLM", **fields: Any) -> Case:
    return Case(kind, "DebertaConfig", fields)


def _v2(kind: str = "DebertaV2ForMaskedLM", **fields: Any) -> Case:
    return Case(kind, "DebertaV2Config", fields)


_SMALL = dict(vocab_size=97, hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=44)
_SMALL |= dict(max_position_embeddings=29)
_FLAT = dict(vocab_size=53, hidden_size=28, num_hidden_layers=2, num_attention_heads=7, intermediate_size=50)
_FLAT |= dict(max_position_embeddings=21, hidden_act="relu", layer_norm_eps=1e-3)
_APART = dict(relative_attention=True, position_biased_input=False)
CASES = {
    "deberta": (
        _v1(**_SMALL, **_APART, pos_att_type="c2p|p2c"),
        _v1(**_FLAT, relative_attention=True, pos_att_type=["p2c"], type_vocab_size=3, max_relative_positions=5,
            tie_word_embeddings=False),
        _v1(**_FLAT, **_APART, pos_att_type=["c2p"], max_relative_positions=40, legacy=False),
        _v1(**_SMALL, relative_attention=True, type_vocab_size=1, hidden_act="tanh"),
        _v1(**_SMALL, pos_att_type=["c2p"], legacy=False, tie_word_embeddings=False),
        _v1("DebertaModel", **_FLAT, **_APART, pos_att_type=["p2c", "c2p"], max_relative_positions=6),
    ),
    "deberta_v2": (
        _v2(**_SMALL, **_APART, pos_att_type="p2c|c2p", share_att_key=True, position_buckets=6,
            norm_rel_ebd="layer_norm", legacy=False),
        _v2(**_FLAT, **_APART, pos_att_type=["c2p", "p2c"], position_buckets=4, max_relative_positions=9,
            conv_kernel_size=3, conv_act="gelu", norm_rel_ebd="layer_norm", attention_head_size=4),
        _v2(**_SMALL, relative_attention=True, pos_att_type=["c2p"], type_vocab_size=2, max_relative_positions=5,
            tie_word_embeddings=False),
        _v2(**_FLAT, **_APART, pos_att_type=["p2c"], position_buckets=64, conv_kernel_size=5, conv_groups=4),
        _v2(**_SMALL, relative_attention=True, conv_kernel_size=1, share_att_key=True),
        _v2("DebertaV2Model", **_FLAT, pos_att_type=["p2c"], conv_kernel_size=3),
        _v2("DebertaV2Model", **_SMALL, **_APART, pos_att_type=["p2c"], share_att_key=True, position_buckets=5),
    ),
}  # fmt: skip
