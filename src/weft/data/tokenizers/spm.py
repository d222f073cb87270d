"""SentencePiece's model file (Kudo and Richardson 2018), read without its library: the few fields of the protobuf that
say what text becomes, each checked before anything is built of it."""

import base64
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import normalizers

from weft.data.tokenizers.charsmap import check_charsmap
from weft.data.tokenizers.form import library_form, special_token
from weft.files import DamagedFile

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_UNIGRAM, _PAIRS = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's ways of writing a value
_LONGEST = 512  # characters of a piece; SentencePiece's own limit is 16 unless told otherwise
SPACE = "▁"
# No text takes a byte by spelling its name, "<0x41>": see Unigrams.
_NEVER = -1000.0


class Piece(NamedTuple):
    """One piece: its id is its place. `kind` is NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED or BYTE."""

    name: str
    score: float
    kind: int


class SentencePieces(NamedTuple):
    """What a model file says. pairs: it is BPE, else unigram; falls: what is unknown falls back to bytes; charsmap: the
    compiled normalisation; prefix: a space is put before the text; collapse: spaces at the edges are dropped, and
    others made one."""

    pieces: tuple[Piece, ...]
    pairs: bool
    falls: bool
    charsmap: bytes
    prefix: bool
    collapse: bool


def read_spm(path: Path) -> SentencePieces:
    """The model in a .model or .spm file; DamagedFile where it is none, or does what no reader here can vouch for."""
    data = path.read_bytes()
    try:
        return _model(data)
    except ValueError as error:  # UnicodeDecodeError is one
        raise DamagedFile(f"{path}: {error}") from error


def translated(model: SentencePieces) -> dict[str, Any]:
    """The same tokenizer in the tokenizers library's form. Control pieces and the unknown are special tokens.

    Spaces become "▁" by a normalizer, and no cutting into words is needed: SentencePiece looks at whole texts too.
    """
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        told = base64.b64encode(model.charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": told})
    if model.collapse:
        steps.append({"type": "Replace", "pattern": {"Regex": r"\A +| +\z"}, "content": ""})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    steps += [{"type": "Prepend", "prepend": SPACE}] if model.prefix else []
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    unknown = next(number for number, piece in enumerate(model.pieces) if piece.kind == UNKNOWN)
    special = [
        special_token(piece.name, number)
        for number, piece in enumerate(model.pieces)
        if piece.kind in (UNKNOWN, CONTROL)
    ]
    return library_form(
        _pairs(model, unknown) if model.pairs else _unigram(model, unknown),
        normalizer={"type": "Sequence", "normalizers": steps},
        cut=None,
        decoder=_decoder(model),
        special=special,
    )


def _decoder(model: SentencePieces) -> dict[str, Any]:
    if not model.pairs and not model.falls:
        scheme = "always" if model.prefix else "never"
        return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": True}
    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}]
    steps += [{"type": "ByteFallback"}, {"type": "Fuse"}]
    steps += [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if model.prefix else []
    return {"type": "Sequence", "decoders": steps}


def _unigram(model: SentencePieces, unknown: int) -> dict[str, Any]:
    best = max((piece.score for piece in model.pieces if piece.kind == NORMAL), default=0.0)

    def score(piece: Piece) -> float:
        """What is defined by hand is always taken: as SentencePiece scores it."""
        if piece.kind == USER_DEFINED:
            return len(piece.name) * best - 0.1
        return _NEVER if piece.kind == BYTE else piece.score

    scores = [[piece.name, score(piece)] for piece in model.pieces]
    return {"type": "Unigram", "unk_id": unknown, "vocab": scores, "byte_fallback": model.falls}


def _pairs(model: SentencePieces, unknown: int) -> dict[str, Any]:
    """BPE: the file has scores where the library wants merges. Every two pieces that make up a third are one; the
    likeliest third is merged first."""
    text = {piece.name: piece.score for piece in model.pieces if piece.kind == NORMAL}
    merges = []
    for name, score in text.items():
        cuts = ((name[:place], name[place:]) for place in range(1, len(name)))
        merges += [(-score, -len(left), left, right) for left, right in cuts if left in text and right in text]
    merges.sort(key=lambda merge: merge[:2])
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": model.pieces[unknown].name,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.falls,
        "ignore_merges": False,
        "vocab": {piece.name: number for number, piece in enumerate(model.pieces)},
        "merges": [[left, right] for _, _, left, right in merges],
    }


# ---- protobuf ----


def _model(data: bytes) -> SentencePieces:
    fields = list(_fields(data))
    trainer = _once(_only(fields, 2, _BYTES, b""))
    normal = _once(_only(fields, 3, _BYTES, b""))
    kind = trainer(3, _VARINT, _UNIGRAM)
    if kind not in (_UNIGRAM, _PAIRS):
        raise ValueError(f"its model_type is {kind}: SentencePiece models that can be read are 1, unigram, and 2, bpe")
    if trainer(24, _VARINT, 0) or not normal(5, _VARINT, 1):
        raise ValueError("it writes a space after a word, or leaves it as it is: not known to give the same ids here")
    charsmap = normal(2, _BYTES, b"")
    check_charsmap(charsmap)
    pieces = tuple(_piece(value, number) for number, value in enumerate(_all(fields, 1)))
    falls = bool(trainer(35, _VARINT, 0))
    _check_pieces(pieces, falls)
    _check_defined(pieces, charsmap, pairs=kind == _PAIRS)
    return SentencePieces(
        pieces, kind == _PAIRS, falls, charsmap, bool(normal(3, _VARINT, 1)), bool(normal(4, _VARINT, 1))
    )


def _piece(data: bytes, number: int) -> Piece:
    value = _once(data)
    name = value(1, _BYTES, b"").decode("utf-8")
    (score,) = struct.unpack("<f", value(2, _FIXED32, bytes(4)))
    kind = value(3, _VARINT, NORMAL)
    if not 0 < len(name) <= _LONGEST or not math.isfinite(score) or kind not in range(NORMAL, BYTE + 1):
        raise ValueError(
            f"the piece {number} has {len(name)} characters, score {score} and type {kind}: it needs 1 to {_LONGEST}, "
            f"a finite number and 1 to {BYTE}"
        )
    if kind == UNUSED:
        raise ValueError(f"the piece {number}, {name!r}, is never used (type {kind}): not known to give the same ids")
    return Piece(name, score, kind)


def _check_pieces(pieces: tuple[Piece, ...], falls: bool) -> None:
    names = {piece.name for piece in pieces}
    unknown = [piece.name for piece in pieces if piece.kind == UNKNOWN]
    if len(names) < len(pieces) or len(unknown) != 1:
        raise ValueError(
            f"it has {len(pieces)} pieces with {len(names)} names, and {len(unknown)} for what is unknown: each name "
            "stands once, and one is for the unknown"
        )
    known = {f"<0x{number:02X}>" for number in range(256)} if falls else set()
    spelt = {piece.name for piece in pieces if piece.kind == BYTE}
    if spelt != known:
        raise ValueError(f"{len(spelt)} pieces stand for bytes, and {len(known)} are needed: all 256 of them or none")


def _check_defined(pieces: tuple[Piece, ...], charsmap: bytes, *, pairs: bool) -> None:
    """ValueError for pieces defined by hand that this reader would not keep whole: all of a BPE, which SentencePiece
    protects from merges, and those that the normalisation changes, from which SentencePiece protects them."""
    defined = [piece.name for piece in pieces if piece.kind == USER_DEFINED]
    if defined and pairs:
        raise ValueError(f"the piece {defined[0]!r} of a BPE is set apart (type {USER_DEFINED}): not known here")
    normal = normalizers.Precompiled(charsmap) if charsmap else None
    changed = [name for name in defined if normal and normal.normalize_str(name) != name]
    if changed:
        raise ValueError(f"the piece {changed[0]!r} is set apart, and its normalisation changes it: not known here")


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Every field of a message: its number, how it is written, its value. ValueError where it is no message."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, how = tag >> 3, tag & 7
        if how == _VARINT:
            value, place = _varint(data, place)
            yield number, how, value
            continue
        if how == _BYTES:
            length, place = _varint(data, place)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(how, -1)
        if number == 0 or not 0 <= length <= len(data) - place:
            raise ValueError(
                f"it is no SentencePiece model, or cut short: field {number} ends past its {len(data)} bytes"
            )
        yield number, how, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(data[place : place + 10]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, place + count + 1
    raise ValueError("it is no SentencePiece model, or cut short: a number does not end")


def _all(fields: list[tuple[int, int, Any]], wanted: int) -> list[bytes]:
    if any(number == wanted and how != _BYTES for number, how, _ in fields):
        raise ValueError(f"it is no SentencePiece model: field {wanted} is no message")
    return [value for number, _, value in fields if number == wanted]


def _only(fields: list[tuple[int, int, Any]], wanted: int, form: int, default: Any) -> Any:
    """The value of a field that stands at most once; `default` where it does not."""
    found = [(how, value) for number, how, value in fields if number == wanted]
    if len(found) > 1 or (found and found[0][0] != form):
        raise ValueError(f"it is no SentencePiece model: field {wanted} stands {len(found)} times, or in another form")
    return found[0][1] if found else default


def _once(data: bytes) -> Callable[[int, int, Any], Any]:
    """What reads the fields of a message, each of which stands at most once."""
    fields = list(_fields(data))
    return lambda wanted, form, default: _only(fields, wanted, form, default)
