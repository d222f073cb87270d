"""BART, mBART, Pegasus and Marian. Padding's vector gets no gradient in the reference: its id is left out."""

from typing import Any

from odd import Case

SMALL = dict(vocab_size=61, d_model=30, encoder_layers=2, decoder_layers=3, encoder_attention_heads=5,
             decoder_attention_heads=3, encoder_ffn_dim=44, decoder_ffn_dim=23, max_position_embeddings=29)  # fmt: skip


def _case(kind: str, config: str, *, apart: str = "", **fields: Any) -> Case:
    """The last token is never forced to be an end."""
    own = dict(pad_token_id=1, bos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=None) | SMALL | fields
    writes = not kind.endswith("Model") or kind == "MarianMTModel"
    return Case(kind, config, own, greedy=writes, apart=apart, avoid=(own["pad_token_id"],))


def _bart(**fields: Any) -> Case:
    return _case("BartForConditionalGeneration", "BartConfig", **fields)


def _mbart(**fields: Any) -> Case:
    return _case("MBartForConditionalGeneration", "MBartConfig", **fields)


def _pegasus(**fields: Any) -> Case:
    return _case("PegasusForConditionalGeneration", "PegasusConfig", **fields)


def _marian(**fields: Any) -> Case:
    return _case("MarianMTModel", "MarianConfig", **fields)


CASES = {
    "bart": (
        _bart(),
        _bart(d_model=21, encoder_attention_heads=7, encoder_layers=1, decoder_layers=4, activation_function="relu",
              scale_embedding=True, tie_word_embeddings=False),
        _bart(d_model=44, encoder_attention_heads=4, decoder_attention_heads=11, activation_function="gelu_new",
              scale_embedding=True, apart="lm_head", max_position_embeddings=64),
        _case("BartModel", "BartConfig", vocab_size=97, decoder_layers=1, scale_embedding=True),
    ),
    "mbart": (
        _mbart(scale_embedding=True),
        _mbart(d_model=33, encoder_attention_heads=1, decoder_layers=1, activation_function="swish",
               tie_word_embeddings=False),
        _mbart(d_model=36, encoder_attention_heads=9, encoder_layers=5, apart="lm_head"),
        _case("MBartModel", "MBartConfig", vocab_size=97, encoder_layers=1),
    ),
    "pegasus": (
        _pegasus(),
        _pegasus(d_model=20, encoder_attention_heads=5, decoder_attention_heads=2, activation_function="relu",
                 scale_embedding=True, pad_token_id=0, decoder_start_token_id=0),
        _pegasus(d_model=21, encoder_attention_heads=7, encoder_layers=4, decoder_layers=1, tie_word_embeddings=False),
        _case("PegasusModel", "PegasusConfig", vocab_size=97, scale_embedding=True),
    ),
    "marian": (
        _marian(scale_embedding=True, activation_function="swish", pad_token_id=59, decoder_start_token_id=59),
        _marian(d_model=20, encoder_attention_heads=5, decoder_attention_heads=2, scale_embedding=True,
                share_encoder_decoder_embeddings=False, decoder_vocab_size=83),
        _marian(d_model=21, encoder_attention_heads=7, tie_word_embeddings=False, max_position_embeddings=64),
        _marian(encoder_layers=4, decoder_layers=1, share_encoder_decoder_embeddings=False, decoder_vocab_size=43,
                tie_word_embeddings=False),
        _marian(apart="lm_head", activation_function="relu"),
        _case("MarianModel", "MarianConfig", vocab_size=97, decoder_vocab_size=97, scale_embedding=True),
    ),
}  # fmt: skip
