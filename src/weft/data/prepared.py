"""What is asked of the data, and what came of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from weft.batch import Tokenizer
from weft.data.blocks import Blocks, Pairs
from weft.data.mixture import Mixture, proportions
from weft.data.pack import Packed
from weft.data.sources import COLUMN
from weft.data.store import Store
from weft.data.tokenizers import MOST_IDS
from weft.files import new_folder

RowKind = Literal["stream", "isolate", "pack"]


@dataclass(frozen=True)
class DataSettings:
    """What is read, and how it becomes rows.

    rows: "stream": one stream of documents, cut into rows; "isolate": the same, and the documents of a row do not see
    one another; "pack": whole documents, as many as fit into a row, that do not see one another. Pairs have a row each,
    and none of column, weights, rows and store.
    """

    source: str = "text"  # a registered source; for encoder–decoders a registered source of pairs
    paths: tuple[str, ...] = ()
    column: str = COLUMN  # which holds the text, in files of records (.csv, .tsv, .jsonl, .parquet)
    weights: tuple[float, ...] = ()  # one for each path, each then a source of its own, read in these proportions
    tokenizer: str = "bpe"  # a registered kind, or a folder with a tokenizer.json
    vocab: int = 4096  # most ids the tokenizer may have
    held_out: float = 0.1  # share of the documents that is never trained on
    seed: int = 0  # of the split
    rows: RowKind = "stream"
    store: str = ""  # a folder to keep the tokens in and find them again, also for other runs; "": the run's own
    directions: tuple[
        str, ...
    ] = ()  # of pairs: en-de of a folder of train.en, train.de, val.en …; several in one model
    columns: tuple[str, ...] = ()  # of pairs in tables: the source's and the target's; 1,2 without a header
    prefixes: tuple[str, ...] = ()  # of pairs in tables: what stands before the sources of each path, its task's name
    alike: int = 0  # of pairs: so many of about one length come together (a step's rows: less padding); 0: none do

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 <= self.vocab <= MOST_IDS:
            raise ValueError(f"data.vocab={self.vocab}, but it must be between 0 and {MOST_IDS:,}")
        if self.alike < 0:
            raise ValueError(f"data.alike={self.alike}, but it is a number of rows: train.batch, or 0 for none")
        if self.weights:
            proportions(self.weights)
            if len(self.weights) != len(self.paths):
                raise ValueError(
                    f"{len(self.weights)} data.weights and {len(self.paths)} paths: with weights each path is a source "
                    "of its own, so give one weight for each --data, or none"
                )


@dataclass(frozen=True)
class Prepared:
    """Datasets, and what a person should know of them.

    held_out_bytes: UTF-8 bytes of the held-out text. documents: how many to train on and held out; of pairs, the pairs.
    digest: of every token on both sides and of the settings: equal digests mean equal rows. store: where the tokens
    are; None for pairs. Where it was given no place to stay, it goes with this object, or with `close`.
    """

    tokenizer: Tokenizer
    train: Blocks | Packed | Pairs | Mixture
    held_out: Blocks | Packed | Pairs
    train_tokens: int
    held_out_tokens: int
    held_out_bytes: int
    documents: tuple[int, int]
    digest: str
    notices: tuple[str, ...] = ()
    store: Store | None = None
    scratch: Scratch | None = None
    text: bytes | None = None  # that is held out, where there is no store

    @property
    def held_out_text(self) -> bytes:
        """The held-out text, documents joined; read from the store."""
        if self.text is not None:
            return self.text
        assert self.store is not None
        return self.store.text.read_bytes()

    def keep(self, folder: Path) -> Prepared:
        """The same, with its store moved to `folder`; a store that has a place of its own stays there."""
        if self.store is None or self.scratch is None:
            return self
        self.scratch.move(self.store.folder, folder)
        return replace(self, store=replace(self.store, folder=folder), scratch=None)

    def close(self) -> None:
        """Remove a store that was given no place. Without effect after `keep`."""
        if self.scratch is not None:
            self.scratch.remove()


class Scratch:
    """A hidden folder that goes when this object goes, or the process ends; a killed one leaves it to `sweep`."""

    def __init__(self, parent: Path | None) -> None:
        """`parent`: where it lies; None: where the system keeps what is temporary."""
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".tokens.", suffix=".writing", dir=parent))
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, True)

    def move(self, inside: Path, final: Path) -> None:
        """Move the folder `inside` to `final`, whole or not at all; ValueError where something is there."""
        if final.exists() and (not final.is_dir() or any(final.iterdir())):
            raise ValueError(f"{final} is already there: choose another folder, or remove it")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(inside, final)
        except OSError:  # another disk
            with new_folder(final) as copy:
                shutil.copytree(inside, copy, dirs_exist_ok=True)
        self.remove()
