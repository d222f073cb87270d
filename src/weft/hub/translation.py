"""Many lines through an encoder–decoder: batched by length, given back in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer, Translation, as_source, asking
from weft.generate import Beams
from weft.hub.model import Model
from weft.nn import EncoderDecoder

BEAMS = Beams(5, length_penalty=0.6)  # Vaswani et al. 2017, §6.1, with a beam more


def translate(
    model: Model,
    lines: Sequence[str],
    *,
    beams: int | Beams = BEAMS,
    to: str | None = None,
    tokens: int = 200,
    batch: int = 32,
    advance: Callable[[int], None] = lambda more: None,
) -> list[str]:
    """A translation for each line, in the order of the lines; of an empty line an empty one. It is what the model
    writes, with the line breaks that it writes.

    Lines of about one length are searched together, the longest first, `batch` at a time: what a line becomes does not
    depend on its companions (G10). to: the language asked for, of a model of several directions. advance: hears how
    many lines more are ready. ValueError for a model that does not translate, for a language that it cannot be asked
    for, and, naming its number, for a line that the model's context has no room for.
    """
    module = model.module
    if not isinstance(module, EncoderDecoder):
        raise ValueError(
            f"a {model.blueprint.family} goes on with a text and translates none: `weft generate` is for it, and an "
            "encoder–decoder for this"
        )
    tokenizer, room = model.need_tokenizer(), module.source_context or model.config.context
    if to is not None:
        lines = [f"{_asked(tokenizer, to)} {line}" if line.strip() else line for line in lines]
    lengths = [len(as_source(tokenizer, tokenizer.encode(line))) for line in lines]
    for number, length in enumerate(lengths, start=1):
        if length > room:
            raise ValueError(f"line {number} has {length} tokens and the model reads {room}: cut it into sentences")
    order = [number for number in sorted(range(len(lines)), key=lambda n: -lengths[n]) if lines[number].strip()]
    found = [""] * len(lines)
    for start in range(0, len(order), batch):
        here = order[start : start + batch]
        rows = model.generate_all([lines[number] for number in here], tokens=tokens, beams=beams)
        for number, row in zip(here, rows, strict=True):
            found[number] = row.text
        advance(len(here))
    return found


def _asked(tokenizer: Tokenizer, language: str) -> str:
    """The word that asks for a language. ValueError where it is no token of the model's own."""
    words = tokenizer.words if isinstance(tokenizer, LibraryTokenizer | Translation) else ()
    if (word := asking(language)) in words:
        return word
    known = [word for word in words if word.startswith(">>") and word.endswith("<<")]
    if not known:
        raise ValueError(f"the model was trained on one direction and is not asked for {language!r}: leave --to out")
    raise ValueError(f"the model was not trained to write {language!r}: it knows {', '.join(w[2:-2] for w in known)}")
