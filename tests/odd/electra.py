"""ELECTRA: generators and discriminators, with embeddings narrower than the model, as wide, and wider."""

from typing import Any

from odd import Case


def _case(kind: str, **fields: Any) -> Case:
    return Case(kind, "ElectraConfig", fields)


CASES = {
    "electra": (
        _case("ElectraForMaskedLM", vocab_size=97, embedding_size=14, hidden_size=30, num_hidden_layers=3,
              num_attention_heads=5, intermediate_size=44, max_position_embeddings=29, type_vocab_size=3,
              hidden_act="relu", layer_norm_eps=1e-3),
        _case("ElectraForMaskedLM", vocab_size=53, embedding_size=28, hidden_size=28, num_hidden_layers=2,
              num_attention_heads=7, intermediate_size=50, max_position_embeddings=21, tie_word_embeddings=False),
        _case("ElectraForPreTraining", vocab_size=211, embedding_size=50, hidden_size=36, num_hidden_layers=2,
              num_attention_heads=3, intermediate_size=20, max_position_embeddings=64, type_vocab_size=1,
              hidden_act="gelu_new", attention_probs_dropout_prob=0.3),
        _case("ElectraForPreTraining", vocab_size=31, embedding_size=27, hidden_size=27, num_hidden_layers=2,
              num_attention_heads=1, intermediate_size=13, max_position_embeddings=23, hidden_act="silu"),
        _case("ElectraModel", vocab_size=67, embedding_size=9, hidden_size=22, num_hidden_layers=1,
              num_attention_heads=2, intermediate_size=17, max_position_embeddings=14),
    ),
}  # fmt: skip
