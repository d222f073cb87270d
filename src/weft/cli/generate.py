"""`weft generate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from weft.cli.options import Drawing
from weft.hub import Model, load


def command(folder: Path, prompts: list[str], drawing: Drawing, *, as_json: bool) -> None:
    model = load(folder)
    for text in model.notices:
        print(f"note: {text}", file=sys.stderr)
    if as_json or drawing.beams != 1:
        results = [_whole(model, prompt, drawing) for prompt in prompts]
        if as_json:
            print(json.dumps(results if len(results) > 1 else results[0]))
        else:
            for result in results:
                print(result["text"] if model.translates else f"{result['prompt']}{result['text']}")
        return
    for prompt in prompts:
        pieces = model.stream(
            prompt,
            tokens=drawing.tokens,
            temperature=drawing.temperature,
            top_k=drawing.top_k,
            top_p=drawing.top_p,
            seed=drawing.seed,
        )
        if not model.translates:
            _write(prompt)
        for piece in pieces:
            _write(piece)
        _write("\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _whole(model: Model, prompt: str, drawing: Drawing) -> dict[str, object]:
    made = model.generate(
        prompt,
        tokens=drawing.tokens,
        temperature=drawing.temperature,
        top_k=drawing.top_k,
        top_p=drawing.top_p,
        beams=drawing.beams,
        seed=drawing.seed,
    )
    return {
        "prompt": prompt,
        "text": made.text,
        "tokens": len(made.ids),
        "reason": made.reason,
        "logprob": made.logprob,
    }
