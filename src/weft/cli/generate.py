"""`weft generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace

from weft.cli.shared import opened
from weft.hub import USUAL, Written, find


def command(
    name: str, prompts: list[str], asked: Mapping[str, float | None], *, tokens: int, beams: int, as_json: bool
) -> None:
    """Print what follows each prompt: as it is written, or, where it must be known whole (beams, JSON), at the end.

    asked: fields of a Sampling; None where nobody said, and the usual one is taken.
    """
    said = {name: value for name, value in asked.items() if value is not None}
    sampling = replace(USUAL, **said) if said else None
    model = opened(find(name))
    if as_json or beams != 1:
        made = [model.generate(prompt, sampling, tokens=tokens, beams=beams) for prompt in prompts]
        if as_json:
            results = [_data(prompt, row) for prompt, row in zip(prompts, made, strict=True)]
            print(json.dumps(results if len(results) > 1 else results[0]))
            return
        for prompt, row in zip(prompts, made, strict=True):
            print(row.text if model.translates else f"{prompt}{row.text}")
        return
    for prompt in prompts:
        pieces = model.stream(prompt, sampling, tokens=tokens)
        if not model.translates:
            _write(prompt)
        for piece in pieces:
            _write(piece)
        _write("\n")


def _data(prompt: str, row: Written) -> dict[str, object]:
    return {
        "prompt": prompt,
        "text": row.text,
        "tokens": len(row.ids),
        "reason": row.reason,
        "logprob": row.logprob,
    }


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
