"""DistilBERT."""

from typing import Any

from odd import Case


def _case(kind: str, **fields: Any) -> Case:
    return Case(kind, "DistilBertConfig", fields)


CASES = {
    "distilbert": (
        _case("DistilBertForMaskedLM", vocab_size=97, dim=30, n_layers=3, n_heads=5, hidden_dim=44,
              max_position_embeddings=29),
        _case("DistilBertForMaskedLM", vocab_size=53, dim=28, n_layers=2, n_heads=7, hidden_dim=50,
              max_position_embeddings=21, activation="relu", tie_word_embeddings=False, attention_dropout=0.0),
        _case("DistilBertForMaskedLM", vocab_size=31, dim=22, n_layers=5, n_heads=1, hidden_dim=13,
              max_position_embeddings=14, activation="silu", sinusoidal_pos_embds=True, dropout=0.3),
        _case("DistilBertModel", vocab_size=211, dim=33, n_layers=1, n_heads=3, hidden_dim=20,
              max_position_embeddings=64),
    ),
}  # fmt: skip
