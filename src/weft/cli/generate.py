"""`weft generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from weft.cli.shared import note, opened, printer, unheard
from weft.generate import Beams, Sampling
from weft.hub import USUAL, Model, Written, find
from weft.outputs import check_file
from weft.recipes.modality import Drawn, of_folder, reads_signals


@dataclass(frozen=True)
class Asked:
    """What was asked for. drawn, searched: fields of a Sampling and of a Beams; None where nobody said. chat: prompts
    are a user's messages."""

    prompts: Sequence[str]
    drawn: Mapping[str, float | None]
    beams: int
    searched: Mapping[str, Any]
    chat: bool = False

    @property
    def sampling(self) -> Sampling | None:
        """How tokens are drawn; None: as usual."""
        said = _said(self.drawn)
        return replace(USUAL, **said) if said else None

    @property
    def search(self) -> int | Beams:
        """How rows are searched for; ValueError for settings of a search that is none."""
        said = _said(self.searched)
        if said and self.beams == 1:
            option, value = next(iter(said.items()))
            raise ValueError(f"--{option.replace('_', '-')} {value} belongs to a search: give --beams 5, say, too")
        return Beams(self.beams, **said) if said and self.beams > 1 else self.beams

    def given(self, model: Model, prompt: str) -> str | list[int]:
        """What the model goes on with."""
        return model.chat_ids([{"role": "user", "content": prompt}]) if self.chat else prompt


def command(
    name: str,
    asked: Asked,
    signals: Mapping[str, Any],
    *,
    tokens: int | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Print text, or write what a model of signals makes into a file. signals: what is said of signals alone, fields of
    a `Drawn`; None where nobody said."""
    folder = find(name)
    if not reads_signals(folder):
        unheard("signals, and this model writes text: leave it out", {"out": out, **signals})
        text(name, asked, tokens=200 if tokens is None else tokens, as_json=as_json)
        return
    if asked.chat or asked.beams != 1:
        raise ValueError("--chat and --beams are of text, and this model makes signals: leave them out")
    if out is None:
        raise ValueError(f"{name} makes no text: say where what it makes is written, --out FILE")
    modality = of_folder(folder)
    drawn = Drawn(prompts=tuple(asked.prompts), **_said({**signals, "tokens": tokens, **asked.drawn}))
    for file in modality.written(drawn, out):
        check_file(file, reads=modality.read(drawn), overwrite=overwrite)
    made = modality.generate(folder, drawn, out, say=note)
    if as_json:
        print(json.dumps({"model": name, "out": str(out), "made": made}))
        return
    printer().print(made, soft_wrap=True)


def text(name: str, asked: Asked, *, tokens: int, as_json: bool) -> None:
    """Print what follows each prompt: as it is written, or, where it must be known whole (beams, JSON), at the end. Of
    a chat the answer alone is printed, as is a translation."""
    sampling, search = asked.sampling, asked.search
    model = opened(find(name))
    if not asked.prompts:
        raise ValueError(f'{name} writes text, and has nothing to go on with: give it --prompt "…"')
    given = [asked.given(model, prompt) for prompt in asked.prompts]
    alone = model.translates or asked.chat
    if as_json or search != 1:
        made = [model.generate(prompt, sampling, tokens=tokens, beams=search) for prompt in given]
        if as_json:
            results = [_data(prompt, row) for prompt, row in zip(asked.prompts, made, strict=True)]
            print(json.dumps(results if len(results) > 1 else results[0]))
            return
        for prompt, row in zip(asked.prompts, made, strict=True):
            print(row.text if alone else f"{prompt}{row.text}")
        return
    for prompt, start in zip(asked.prompts, given, strict=True):
        pieces = model.stream(start, sampling, tokens=tokens)
        if not alone:
            _write(prompt)
        for piece in pieces:
            _write(piece)
        _write("\n")


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _data(prompt: str, row: Written) -> dict[str, object]:
    told: dict[str, object] = {
        "prompt": prompt,
        "text": row.text,
        "tokens": len(row.ids),
        "reason": row.reason,
        "logprob": row.logprob,
    }
    return told if row.score is None else told | {"score": row.score}


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
