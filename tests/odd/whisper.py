"""Whisper. Its frames are as many as the reference insists on: twice the places of its table."""

from __future__ import annotations

from typing import Any

from odd import Case
from odd.sounds import Spoken


def _whisper(kind: str = "WhisperForConditionalGeneration", **fields: Any) -> Case:
    own = dict(vocab_size=61, num_mel_bins=7, d_model=30, encoder_layers=2, decoder_layers=3, encoder_ffn_dim=44,
               encoder_attention_heads=5, decoder_attention_heads=3, decoder_ffn_dim=23, max_source_positions=13,
               max_target_positions=29, pad_token_id=1, bos_token_id=3, eos_token_id=1,
               decoder_start_token_id=2, suppress_tokens=None, begin_suppress_tokens=None)  # fmt: skip
    return Case(kind, "WhisperConfig", own | fields, given=Spoken.of)


CASES = {
    "whisper": (
        _whisper(scale_embedding=True),
        _whisper(d_model=44, encoder_attention_heads=4, decoder_attention_heads=11, encoder_layers=3, decoder_layers=1,
                 num_mel_bins=12, activation_function="relu", max_source_positions=9),
        _whisper(d_model=20, encoder_attention_heads=10, decoder_attention_heads=2, num_mel_bins=5, encoder_layers=1,
                 activation_function="gelu_new", tie_word_embeddings=False, max_target_positions=41),
        _whisper("WhisperModel", vocab_size=97, decoder_layers=1),
    ),
}  # fmt: skip
