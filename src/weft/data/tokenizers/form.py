"""tokenizer.json, the tokenizers library's format, put together: the whole and its special tokens."""

from collections.abc import Mapping
from typing import Any


def library_form(
    model: Mapping[str, Any],
    *,
    normalizer: Mapping[str, Any] | None,
    cut: Mapping[str, Any] | None,
    decoder: Mapping[str, Any],
    special: list[dict[str, Any]],
) -> dict[str, Any]:
    """A tokenizer.json that puts nothing around ids: how text is normalised, cut, made into tokens and spelt again."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": normalizer,
        "pre_tokenizer": cut,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def special_token(name: str, number: int) -> dict[str, Any]:
    """A special token as tokenizer.json writes it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": name, **flags, "special": True}
