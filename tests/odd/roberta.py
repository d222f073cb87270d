"""RoBERTa and XLM-R. No row holds the padding id: the reference gives its vector no gradient."""

from typing import Any

from odd import Case


def _case(kind: str, **fields: Any) -> Case:
    config = "XLMRobertaConfig" if kind.startswith("XLM") else "RobertaConfig"
    return Case(kind, config, fields, avoid=(fields.get("pad_token_id", 1),))


CASES = {
    "roberta": (
        _case("RobertaForMaskedLM", vocab_size=97, hidden_size=30, num_hidden_layers=3, num_attention_heads=5,
              intermediate_size=44, max_position_embeddings=29, type_vocab_size=1, layer_norm_eps=1e-3),
        _case("RobertaForMaskedLM", vocab_size=53, hidden_size=28, num_hidden_layers=2, num_attention_heads=7,
              intermediate_size=50, max_position_embeddings=21, hidden_act="relu", tie_word_embeddings=False,
              pad_token_id=5, type_vocab_size=3, layer_norm_eps=1e-5),
        _case("RobertaForMaskedLM", vocab_size=31, hidden_size=21, num_hidden_layers=6, num_attention_heads=1,
              intermediate_size=13, max_position_embeddings=14, hidden_act="gelu_new", pad_token_id=0,
              attention_probs_dropout_prob=0.0),
        _case("RobertaModel", vocab_size=211, hidden_size=36, num_hidden_layers=1, num_attention_heads=3,
              intermediate_size=20, max_position_embeddings=64, hidden_act="silu"),
    ),
    "xlm_roberta": (
        _case("XLMRobertaForMaskedLM", vocab_size=101, hidden_size=22, num_hidden_layers=3, num_attention_heads=2,
              intermediate_size=35, max_position_embeddings=40, type_vocab_size=1, layer_norm_eps=1e-5),
        _case("XLMRobertaForMaskedLM", vocab_size=37, hidden_size=15, num_hidden_layers=2, num_attention_heads=3,
              intermediate_size=50, max_position_embeddings=18, tie_word_embeddings=False, pad_token_id=3),
        _case("XLMRobertaModel", vocab_size=67, hidden_size=33, num_hidden_layers=2, num_attention_heads=11,
              intermediate_size=20, max_position_embeddings=19, hidden_act="relu"),
    ),
}  # fmt: skip
