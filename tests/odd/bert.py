"""BERT."""

from typing import Any

from odd import Case


def _bert(kind: str, **fields: Any) -> Case:
    return Case(kind, "BertConfig", fields)


CASES = {
    "bert": (
        _bert("BertForMaskedLM", vocab_size=97, hidden_size=30, num_hidden_layers=3, num_attention_heads=5,
              intermediate_size=44, max_position_embeddings=29, type_vocab_size=3, layer_norm_eps=1e-3),
        _bert("BertForMaskedLM", vocab_size=53, hidden_size=28, num_hidden_layers=2, num_attention_heads=7,
              intermediate_size=50, max_position_embeddings=21, hidden_act="relu", tie_word_embeddings=False),
        _bert("BertForPreTraining", vocab_size=211, hidden_size=36, num_hidden_layers=1, num_attention_heads=3,
              intermediate_size=20, max_position_embeddings=64, type_vocab_size=1, hidden_act="gelu_new"),
        _bert("BertForNextSentencePrediction", vocab_size=31, hidden_size=21, num_hidden_layers=6,
              num_attention_heads=1, intermediate_size=13, max_position_embeddings=23),
    ),
}  # fmt: skip
