"""Texts that a program has: in memory as they are; from an iterable, which can be read once only, by way of a file."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft.data.sources import COLUMN, Document, TextFiles
from weft.files import new_folder

_FILE = "texts.jsonl.gz"
_QUICK = 1  # gzip's level: a third of the size, at little cost


@dataclass(frozen=True)
class Texts:
    """A source of texts in memory, called "name:0", "name:1" and so on. Empty ones are left out.

    ValueError for what is no text, and for an iterator, which is empty the second time it is read: `store_texts` first.
    """

    texts: Sequence[str]
    name: str = "texts"

    def __post_init__(self) -> None:
        if isinstance(self.texts, str) or not isinstance(self.texts, Sequence):
            raise ValueError(
                f"texts are a list of texts, not a {type(self.texts).__name__}: what can be read once only is stored "
                "first, with store_texts(texts, folder)"
            )
        for number, text in enumerate(self.texts):
            _check(text, number)

    def documents(self) -> Iterator[Document]:
        """ValueError where there is no text."""
        if not any(self.texts):
            raise ValueError(f"{self.name} has no text: {len(self.texts)} texts, none with anything in it")
        for number, text in enumerate(self.texts):
            if text:
                yield Document(f"{self.name}:{number}", text)


def store_texts(texts: Iterable[str], folder: Path | str) -> TextFiles:
    """Write texts, as they come, into a new folder, and return the source that reads them back, any number of times.

    The folder is there whole or not at all. ValueError where it is there already, or for what is no text.
    """
    with new_folder(folder) as inside, gzip.open(inside / _FILE, "wt", _QUICK, "utf-8", newline="\n") as file:
        for number, text in enumerate(texts):
            _check(text, number)
            file.write(json.dumps({COLUMN: text}) + "\n")
    return stored_texts(folder)


def stored_texts(folder: Path | str) -> TextFiles:
    """The source that `store_texts` wrote into a folder. ValueError where there is none."""
    path = Path(folder) / _FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing: write it with store_texts")
    return TextFiles((str(path),))


def _check(text: object, number: int) -> None:
    if not isinstance(text, str):
        raise ValueError(f"text {number} is a {type(text).__name__}, not a text: decode it first")
