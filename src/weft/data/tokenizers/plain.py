"""The tokenizers library, made to read text as nothing but text."""

from __future__ import annotations

import json
from typing import Any

import tokenizers

# Before a special's name this makes a text that no cutting into words leaves whole: letter, space, letter.
_UNSPELLABLE = "x "


def plain_library(data: dict[str, Any], mark: str = _UNSPELLABLE) -> tokenizers.Tokenizer:
    """The library's tokenizer for the ids of plain text: nothing is cut short, padded, added or drawn at random, and
    specials have names that no text spells, with `mark` before them. `encode_special_tokens` alone would not do: a
    Unigram model finds "</s>" in text by its own vocabulary."""
    added = data.get("added_tokens") or []
    special = {token["content"] for token in added if token["special"]}

    def name(token: str) -> str:
        return f"{mark}{token}" if token in special else token

    model = dict(data["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {name(token): number for token, number in model["vocab"].items()}
    else:
        model["vocab"] = [[name(token), score] for token, score in model["vocab"]]
    if model.get("unk_token") is not None:
        model["unk_token"] = name(model["unk_token"])
    if model.get("dropout") is not None:
        model["dropout"] = None
    plain = {**data, "model": model, "truncation": None, "padding": None, "post_processor": None}
    plain["added_tokens"] = [{**token, "content": name(token["content"])} for token in added]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(plain))
    tokenizer.encode_special_tokens = True
    for token in added:
        given = tokenizer.token_to_id(name(token["content"]))
        if given != token["id"]:
            raise ValueError(
                f"the token {token['content']!r} says its id is {token['id']}, the library makes it {given}"
            )
    return tokenizer
