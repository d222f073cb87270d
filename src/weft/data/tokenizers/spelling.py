"""What a token stands for: the decoder of a tokenizer.json as a table, so that text comes piece by piece."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from weft.data.tokenizers.table import utf8

BYTES = {f"<0x{number:02X}>": bytes([number]) for number in range(256)}
# WordPiece's decoder takes these spaces away, in each token by itself.
_CLEANED = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class Spelt(NamedTuple):
    """The bytes of a token; and those that it has where a text begins or ends, where they differ."""

    piece: bytes
    first: bytes | None = None
    last: bytes | None = None


Speller = Callable[[str], Spelt | None]  # None: the token has characters that stand for no byte


def read_sentences(decoder: Mapping[str, Any] | None) -> Speller:
    """What the decoder of a SentencePiece model makes of a token: Metaspace, or a sequence of Replace, ByteFallback,
    Fuse and Strip. ValueError for another."""
    step = dict(decoder or {})
    if step.get("type") == "Metaspace":
        scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
        space = step["replacement"]
        return lambda token: Spelt(
            utf8(token.replace(space, " ")), None if scheme == "never" else utf8(token.replace(space, ""))
        )
    steps = step["decoders"] if step.get("type") == "Sequence" else [step]
    kinds = [part.get("type") for part in steps]
    if [kind for kind in ("Replace", "ByteFallback", "Fuse", "Strip") if kind in kinds] != kinds:
        raise ValueError(
            f"its decoder is {', '.join(map(str, kinds))}: known are Metaspace, or Replace, ByteFallback, Fuse, Strip"
        )
    told = dict(zip(kinds, steps, strict=True))
    before, after = "", ""
    if "Replace" in told:
        before, after = told["Replace"]["pattern"].get("String", ""), told["Replace"]["content"]
    strip = told.get("Strip", {"start": 0, "stop": 0, "content": " "})
    if ("Replace" in told and not before) or strip["start"] > 1 or strip["stop"] or "Fuse" not in told:
        raise ValueError(f"its decoder is {steps}: not known to give text piece by piece")

    def spell(token: str) -> Spelt:
        piece = BYTES.get(token) if "ByteFallback" in told else None
        piece = piece or utf8(token.replace(before, after) if before else token)
        return Spelt(piece, piece.removeprefix(utf8(strip["content"])) if strip["start"] else None)

    return spell


def read_words(decoder: Mapping[str, Any] | None, prefix: str) -> Speller:
    """What WordPiece's decoder makes of a token: a space before each that begins a word. ValueError for another."""
    if not decoder or decoder.get("type") != "WordPiece" or decoder["prefix"] != prefix:
        raise ValueError(f"its decoder is {decoder}: of WordPiece tokenizers those with WordPiece's own are known")

    def clean(text: str) -> str:
        for before, after in _CLEANED if decoder["cleanup"] else ():
            text = text.replace(before, after)
        return text

    def spell(token: str) -> Spelt:
        inside = token.startswith(prefix)
        piece = token.removeprefix(prefix) if inside else f" {token}"
        return Spelt(utf8(clean(piece)), utf8(clean(token)))

    return spell
