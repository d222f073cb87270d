"""`weft tokenizer train` and `weft tokenizer show`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.batch import Tokenizer
from weft.cli.pieces import MUTED, coloured, print_pieces, visible
from weft.cli.shared import note, printer
from weft.data import TOKENIZERS, BytePairs, encode_many, named_tokenizer, open_source, train_tokenizer
from weft.data.tokenizers import FILE

ACCENT = "bold cyan"
_FIRST = 10  # merges that are shown
_STEPS = 40  # characters of a text whose pieces are shown after each merge
_SAMPLE = 1 << 22  # characters that are encoded to tell how much shorter text becomes
_ENOUGH = 1 << 16  # ids for what is trained on a text of a command line


@dataclass(frozen=True)
class Texts:
    """What a tokenizer is trained on: files, or one text."""

    paths: tuple[str, ...]
    text: str | None
    column: str

    def check(self) -> None:
        """ValueError where there is nothing, or both."""
        if bool(self.paths) == (self.text is not None):
            given = "both were given" if self.paths else "neither was given"
            raise ValueError(f"a tokenizer is trained on --data PATH or on --text TEXT, and {given}")

    def __iter__(self) -> Iterator[str]:
        if self.text is not None:
            yield self.text
        else:
            source = open_source("text", self.paths, column=self.column, say=note)
            yield from (document.text for document in source.documents())


@dataclass(frozen=True)
class Measure:
    """How many tokens some text becomes. whole: all of the text was counted, not only its beginning."""

    bytes: int
    tokens: int
    whole: bool = True

    @property
    def each(self) -> float | None:
        """UTF-8 bytes that a token stands for, on average; None where there is no token."""
        return self.bytes / self.tokens if self.tokens else None

    def __str__(self) -> str:
        each = "" if self.each is None else f", {self.each:.2f} bytes a token"
        return f"{_count(self.bytes, 'byte')} → {_count(self.tokens, 'token')}{each}"


def train(
    kind: str, vocab: int, texts: Texts, out: Path | None, *, overwrite: bool, merges: bool, as_json: bool
) -> None:
    """Train one, write it where `out` is given, and print what it learned and how much shorter text becomes."""
    TOKENIZERS.get(kind)  # a name that is none is told at once
    texts.check()
    if out is not None:
        _check_out(out, overwrite)
    tokenizer = train_tokenizer(kind, texts, vocab)
    if out is not None:
        tokenizer.save(out)
    found = _measure(tokenizer, texts)
    learned = tokenizer.merges()[: None if merges else _FIRST] if isinstance(tokenizer, BytePairs) else []
    if as_json:
        shown = [[visible(part) for part in pair] for pair in learned]
        print(json.dumps(_facts(kind, tokenizer, found) | {"out": out and str(out), "merges": shown}))
        return
    console = printer()
    _title(console, kind, tokenizer)
    sample = "" if found.whole else ", at the beginning of the text"
    console.print(f"{found}{sample}", style=MUTED)
    if isinstance(tokenizer, BytePairs):
        _merges(console, tokenizer, len(learned), texts.text)
    if texts.text is not None:
        ids = tokenizer.encode(texts.text)
        console.print()
        print_pieces(console, tokenizer.pieces(ids), ids)
    if out is not None:
        text = Text.assemble(("\nwritten  ", MUTED), str(out / FILE), ("\nsee it   ", MUTED))
        console.print(text.append(f'weft tokenizer show {shlex.quote(str(out))} --text "…"'), soft_wrap=True)


def show(name: str, text: str, *, as_json: bool) -> None:
    """Print the pieces of a text, and what it comes back as where that is another."""
    kind, tokenizer = _open(name, text)
    ids = tokenizer.encode(text)
    pieces = tokenizer.pieces(ids)
    found = Measure(len(text.encode()), len(ids))
    back = tokenizer.decode(ids)
    if as_json:
        listed = [
            {"id": number, "text": piece.decode("utf-8", "replace"), "bytes": piece.hex()}
            for number, piece in zip(ids, pieces, strict=True)
        ]
        facts = _facts(kind, tokenizer, found) | {"text": text, "decoded": back, "ids": ids, "pieces": listed}
        print(json.dumps(facts))
        return
    console = printer()
    print_pieces(console, pieces, ids)
    if ids:
        console.print()
    console.print(str(found))
    if back != text:
        shown = visible(back.encode()).replace("␠", " ")
        console.print(Text.assemble(("comes back as ", "yellow"), shown), soft_wrap=True)
    _title(console, kind, tokenizer, "" if name != kind else ", trained on this text alone")


def _open(name: str, text: str) -> tuple[str, Tokenizer]:
    """The tokenizer's kind, and the tokenizer."""
    tokenizer = named_tokenizer(name)
    if tokenizer is None:
        return name, train_tokenizer(name, [text], _ENOUGH)
    kinds = [kind for kind in TOKENIZERS.names() if TOKENIZERS.get(kind) is type(tokenizer)]
    return kinds[0] if kinds else type(tokenizer).__name__, tokenizer


def _check_out(out: Path, overwrite: bool) -> None:
    """ValueError where `out` is not to be written to."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output {out} is a file: choose a folder")
    if (out / "config.json").exists():
        raise ValueError(f"{out} holds a model, whose ids are its own tokenizer's: choose another folder")
    if (out / FILE).exists() and not overwrite:
        raise ValueError(f"{out / FILE} is there already: replace it with --overwrite, or choose another folder")


def _measure(tokenizer: Tokenizer, texts: Iterable[str]) -> Measure:
    """Over the first _SAMPLE characters, or all where there are fewer."""
    size, characters, tokens, whole = 0, 0, 0, True
    for text in texts:
        part = text[: _SAMPLE - characters]
        size, characters = size + len(part.encode()), characters + len(part)
        tokens += sum(map(len, encode_many(tokenizer, [part])))
        whole = len(part) == len(text)
        if not whole:
            break
    return Measure(size, tokens, whole)


def _facts(kind: str, tokenizer: Tokenizer, found: Measure) -> dict[str, object]:
    return {
        "kind": kind,
        "vocab": tokenizer.vocab,
        "lossless": tokenizer.lossless,
        "bytes": found.bytes,
        "tokens": found.tokens,
        "bytes_per_token": found.each,
    }


def _title(console: Console, kind: str, tokenizer: Tokenizer, more: str = "") -> None:
    kept = "lossless" if tokenizer.lossless else "lossy"
    console.print(Text.assemble((kind, ACCENT), (f"  {_count(tokenizer.vocab, 'id')}, {kept}{more}", MUTED)))


def _merges(console: Console, tokenizer: BytePairs, count: int, text: str | None) -> None:
    """The first `count` merges; of a short text, also what its pieces are after each."""
    merges = tokenizer.merges()
    console.print(Text.assemble(("\nmerges", ACCENT), (f"  {count:,} of {len(merges):,}", MUTED)))
    if not merges:
        console.print("  none: no pair of pieces was seen twice", style=MUTED)
        return
    steps = tokenizer.steps(text, count) if text is not None and len(text) <= _STEPS else []
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right", style=MUTED)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for place, (left, right) in enumerate(merges[:count]):
        pair = Text.assemble(visible(left), " ", visible(right), (" → ", MUTED), (visible(left + right), "bold"))
        table.add_row(f"{place + 1:,}", pair, coloured(steps[place]) if steps else "")
    console.print(table)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
