"""ALBERT: groups that do not divide the depth, layers within a group, more groups than steps."""

from typing import Any

from odd import Case


def _case(kind: str, **fields: Any) -> Case:
    return Case(kind, "AlbertConfig", fields)


CASES = {
    "albert": (
        _case("AlbertForMaskedLM", vocab_size=97, embedding_size=14, hidden_size=30, num_hidden_layers=4,
              num_attention_heads=5, intermediate_size=44, max_position_embeddings=29, type_vocab_size=3,
              layer_norm_eps=1e-3),
        _case("AlbertForMaskedLM", vocab_size=53, embedding_size=35, hidden_size=28, num_hidden_layers=5,
              num_hidden_groups=2, inner_group_num=3, num_attention_heads=7, intermediate_size=50,
              max_position_embeddings=21, hidden_act="relu", tie_word_embeddings=False),
        _case("AlbertForPreTraining", vocab_size=211, embedding_size=36, hidden_size=36, num_hidden_layers=2,
              num_hidden_groups=3, num_attention_heads=3, intermediate_size=20, max_position_embeddings=64,
              type_vocab_size=1, hidden_act="gelu"),
        _case("AlbertForPreTraining", vocab_size=41, embedding_size=9, hidden_size=26, num_hidden_layers=7,
              num_hidden_groups=3, num_attention_heads=2, intermediate_size=33, max_position_embeddings=17,
              tie_word_embeddings=False, hidden_dropout_prob=0.2),
        _case("AlbertModel", vocab_size=31, embedding_size=11, hidden_size=21, num_hidden_layers=3, inner_group_num=2,
              num_attention_heads=1, intermediate_size=13, max_position_embeddings=23),
    ),
}  # fmt: skip
