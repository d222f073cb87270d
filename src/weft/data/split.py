"""What is trained on and what is held out: decided by content, so that no text is on both sides."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from weft.data.pairs import Pair
from weft.data.sources import Document

T = TypeVar("T")

_HELD_OUT_NAMES = ("dev", "val", "valid", "validation")
_BESIDE_NAMES = ("test", "readme", "license", "licence")  # may lie beside train and valid; used for neither
# Files of a data set that comes split; train.py beside val.py is a program.
_DATA_SUFFIXES = ("", "txt", "text", "md", "csv", "tsv", "json", "jsonl", "gz")


def split(documents: Sequence[Document], held_out: float = 0.1, seed: int = 0) -> tuple[list[Document], list[Document]]:
    """(train, valid), in their order, with about the share `held_out` of the documents in valid.

    - A data set of files train.* and dev|val|valid|validation.* in one folder is already split; test.* is left out.
    - Else each document goes by the hash of its text: equal documents to one side. Of two or more different ones,
      neither side is empty.
    - A single document is cut, at a line's end if one is near: "name[:cut]" to train, "name[cut:]" to valid.

    ValueError where there is nothing to split.
    """
    _check(held_out)
    given = _given(documents)
    if given is not None:
        return given
    texts = {document.text for document in documents}
    if held_out and len(texts) == 1:
        cut = _cut(documents[0], held_out)
        head = [Document(f"{document.name}[:{cut}]", document.text[:cut]) for document in documents]
        return head, [Document(f"{documents[0].name}[{cut}:]", documents[0].text[cut:])]
    return _by_hash(documents, lambda document: document.text, held_out, seed)


def split_pairs(pairs: Sequence[Pair], held_out: float = 0.1, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """(train, valid) by the hash of each pair's source; pairs of equal sources to one side.

    ValueError where there are not two different sources.
    """
    _check(held_out)
    if held_out and len({source for source, _ in pairs}) < 2:
        raise ValueError(f"{len(pairs)} pairs with one source text cannot be split: give held-out pairs of their own")
    return _by_hash(pairs, lambda pair: pair[0], held_out, seed)


def _check(held_out: float) -> None:
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out={held_out} is a share of the texts: at least 0 and less than 1")


def _by_hash(items: Sequence[T], key: Callable[[T], str], held_out: float, seed: int) -> tuple[list[T], list[T]]:
    if not items:
        raise ValueError("there are no documents to split")
    shares = {text: _share(text, seed) for text in map(key, items)}
    held = {text for text, share in shares.items() if share < held_out}
    if held_out and not held:
        held = {min(shares, key=lambda text: shares[text])}
    if len(held) == len(shares):
        held.remove(max(shares, key=lambda text: shares[text]))
    return [item for item in items if key(item) not in held], [item for item in items if key(item) in held]


def _share(text: str, seed: int) -> float:
    """Where a text falls between 0 and 1."""
    word = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()[:8]
    return int.from_bytes(word, "big") / 2**64


def _given(documents: Sequence[Document]) -> tuple[list[Document], list[Document]] | None:
    """The split that the files' names already say; None where they say none."""
    found = [(PurePosixPath(document.name).parent, _side(document.name), document) for document in documents]
    folders = {folder for folder, side, _ in found if side == "train"}
    folders &= {folder for folder, side, _ in found if side == "valid"}
    if not folders:
        return None
    sides: dict[str, list[Document]] = {"train": [], "valid": [], "beside": []}
    for folder, side, document in found:
        if side not in sides or (side != "beside" and folder not in folders):
            raise ValueError(
                f"{min(folders)} holds a split of its own (train.* and valid.*), but {document.name} is in neither: "
                "name the files of the split alone, or the others"
            )
        sides[side].append(document)
    return sides["train"], sides["valid"]


def _side(name: str) -> str:
    """What a file's name says it is for: train, valid, beside (neither) or other."""
    word, _, suffixes = PurePosixPath(name).name.lower().partition(".")
    if word in _BESIDE_NAMES:
        return "beside"
    if word in ("train", *_HELD_OUT_NAMES) and all(suffix in _DATA_SUFFIXES for suffix in suffixes.split(".")):
        return "train" if word == "train" else "valid"
    return "other"


def _cut(document: Document, held_out: float) -> int:
    """Where to cut a single document: after the line, or else the word, that ends nearest to where it should be."""
    text = document.text
    if len(text) < 2:
        raise ValueError(f"{document.name} has {len(text)} characters: too few to hold any out")
    target = min(max(round(len(text) * (1 - held_out)), 1), len(text) - 1)
    reach = max(1, min(target, len(text) - target) // 2)
    for mark in ("\n", " "):
        before = text.rfind(mark, target - reach, target) + 1
        after = text.find(mark, target, target + reach) + 1
        cuts = [cut for cut in (before, after) if 0 < cut < len(text)]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - target))
    return target
