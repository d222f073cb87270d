"""From words on a command line to captions: read, split, fit a processor, train a tokenizer."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.batch import Tokenizer
from weft.data.captions.dataset import Captioned, Row, filled
from weft.data.captions.given import TABLES, beside, column, read_pictures, read_table
from weft.data.captions.made import made_captions
from weft.data.captions.settings import CaptionSettings
from weft.data.captions.split import split as split_rows
from weft.data.names import Side, side_above, side_of
from weft.data.sides import check_both, in_use, way_out, without_tests
from weft.data.sides import digest as named_split
from weft.data.signals.listing import tables_in
from weft.data.signals.pictures import Patches
from weft.data.sources import Say, quiet
from weft.data.tokenizers import as_source, encode_many, named_tokenizer, train_tokenizer
from weft.registry import Registry


@dataclass(frozen=True)
class Found:
    """What a source gives: pictures, uint8 [N, image, image, channels], the caption of each, and what else its row says
    by column. sides: of which set each is; none: nobody said. names: where each stands; none: nobody said."""

    signals: np.ndarray
    texts: tuple[str, ...]
    rows: tuple[Row, ...]
    sides: tuple[Side | None, ...] = ()
    names: tuple[str, ...] = ()

    def called(self, column: str) -> list[str]:
        """What tells each from the others: where it stands, its picture, named in a column, and its caption."""
        names = self.names or tuple(map(str, range(len(self.texts))))
        each = zip(names, self.rows, self.texts, strict=True)
        return [f"{name}: {row.get(column, '')}: {text}" for name, row, text in each]

    def held(self, settings: CaptionSettings) -> np.ndarray:
        """Which are held out, bool [N]: as their names say, else see `split_rows`; what is left out never is."""
        named = np.array([side == Side.HELD_OUT for side in self.sides], bool)
        if named.any():
            return named
        held, used = np.zeros(len(self.texts), bool), in_use(self.sides or (None,) * len(self.texts))
        places = np.flatnonzero(used)
        pictures = pictures_of([self.rows[at] for at in places], settings.image_column)
        texts = [self.texts[at] for at in places]
        held[used] = split_rows(texts, settings.held_out, settings.alike, settings.seed, pictures)
        return held

    def only(self, places: np.ndarray) -> Found:
        """Some of them."""
        sides = tuple(self.sides[at] for at in places) if self.sides else ()
        texts, rows = tuple(self.texts[at] for at in places), tuple(self.rows[at] for at in places)
        names = tuple(self.names[at] for at in places) if self.names else ()
        return Found(self.signals[places], texts, rows, sides, names)


@dataclass(frozen=True)
class Captions:
    """Pairs to train on and pairs held out, what made them, and the prompts of each zero-shot class. digest: of all of
    them and of the settings: equal digests mean equal rows. asked: what is held out, read by `CaptionSettings.asked`;
    None where that is "". classes_held_out: int64 [N], which class each held-out row is of; none where there are no
    classes. split: of what the rows are called, see `sides.digest`. longest: ids of the longest text, with what stands
    around it; None: nobody looked, and longer ones are cut."""

    train: Captioned
    held_out: Captioned
    asked: Captioned | None
    processor: Patches
    tokenizer: Tokenizer
    classes: dict[str, tuple[str, ...]]
    classes_held_out: np.ndarray
    digest: str
    split: str
    longest: int | None = None


CAPTION_SOURCES: Registry[Callable[[CaptionSettings, Patches, Say], Found]] = Registry(
    "source of captions", "weft.caption_sources", ()
)


def open_captions(settings: CaptionSettings, fit: Patches, say: Say = quiet) -> Found:
    """What a source gives. ValueError and DamagedFile name the file and the line of what is wrong."""
    return CAPTION_SOURCES.get(settings.source)(settings, fit, say)


def prepare_captions(
    settings: CaptionSettings,
    fit: Patches,
    context: int,
    *,
    processor: Patches | None = None,
    tokenizer: Tokenizer | None = None,
    cut: bool = True,
    say: Say = quiet,
) -> Captions:
    """Pairs for a model that reads pictures as `fit` says and texts of at most `context` ids.

    processor, tokenizer: those there are; None: one is fitted to, or trained on, what is trained on. cut: longer texts
    are; else ValueError names one. ValueError for settings and files that give none.
    """
    settings.check()
    found = open_captions(settings, fit, say)
    found, held = _sides(settings, found, say)
    own = tuple({**row, settings.text_column: text} for row, text in zip(found.rows, found.texts, strict=True))
    learned, kept = ([own[at] for at in np.flatnonzero(side)] for side in (~held, held))
    plain = (f"{{{settings.text_column}}}",)
    templates, classes = settings.templates or plain, _classes(settings, learned)
    texts = _texts(learned, templates, classes)
    tokenizer = tokenizer or _tokenizer(settings, texts)
    longest = None if cut else _longest(settings, [*texts, *_texts(kept, plain, {})], tokenizer, context)
    processor = processor or Patches.of(fit, found.signals[~held])
    seen, unseen = (pictures_of(side, settings.image_column) for side in (learned, kept))
    train = Captioned(
        found.signals[~held], learned, processor, tokenizer, context, pictures=seen,
        templates=templates, drop=settings.drop, augment=settings.augment, seed=settings.seed,
    )  # fmt: skip
    held_out, asked = (
        Captioned(found.signals[held], kept, processor, tokenizer, context, templates=(text,), pictures=unseen)
        if text
        else None
        for text in (*plain, settings.asked)
    )
    assert held_out is not None
    say(f"{len(train):,} captions to train on, {len(held_out):,} held out; {tokenizer.vocab:,} ids")
    digest = _digest(settings, (templates, classes, processor), (found.signals, held), own)
    split, numbers = named_split(found.called(settings.image_column), held), _numbers(settings, kept, classes)
    return Captions(train, held_out, asked, processor, tokenizer, classes, numbers, digest, split, longest)


def _texts(rows: Sequence[Row], templates: Sequence[str], classes: dict[str, tuple[str, ...]]) -> list[str]:
    """All that may be read of rows to train on, and the prompts of classes. ValueError for a row that lacks a column of
    a template."""
    return [
        *(filled(text, row) for row in rows for text in templates),
        *(one for all in classes.values() for one in all),
    ]


def _longest(settings: CaptionSettings, texts: Sequence[str], tokenizer: Tokenizer, context: int) -> int:
    """Ids of the longest text, with what stands around it. ValueError for one that a model cannot read whole."""
    around = len(as_source(tokenizer, []))
    lengths = [len(ids) + around for ids in encode_many(tokenizer, texts)]
    at = int(np.argmax(lengths))
    if lengths[at] > context:
        raise ValueError(
            f"the text {texts[at][:60]!r} is {lengths[at]} ids long, and the text tower reads {context}: shorten it, "
            "or choose a tower with a longer context"
        )
    return lengths[at]


def _tokenizer(settings: CaptionSettings, texts: Sequence[str]) -> Tokenizer:
    """The one in the folder that is named, or a new one, trained on texts."""
    named = named_tokenizer(settings.tokenizer, "data.tokenizer=")
    return named or train_tokenizer(settings.tokenizer, texts, settings.vocab)


def _digest(
    settings: CaptionSettings, made: tuple[object, ...], arrays: Sequence[np.ndarray], rows: Sequence[Row]
) -> str:
    """The sha256 of the settings that rows vary by, of what was made for them, of their arrays and of the rows."""
    digest = hashlib.sha256(repr((settings.augment, settings.drop, settings.seed, settings.asked, *made)).encode())
    for part in arrays:
        digest.update(np.ascontiguousarray(part).data)
    digest.update(json.dumps([dict(row) for row in rows]).encode())
    return digest.hexdigest()


def _sides(settings: CaptionSettings, found: Found, say: Say) -> tuple[Found, np.ndarray]:
    """What is not of a test set, and which of it is held out, bool [N]. ValueError where that is nothing, or all."""
    used, notices = without_tests(found.names or found.texts, found.sides or (None,) * len(found.texts), "captions")
    for text in notices:
        say(text)
    held, found = found.held(settings)[used], found.only(np.flatnonzero(used))
    check_both(held, "captions", way_out(found.sides, settings.held_out))
    return found, held


def pictures_of(rows: Sequence[Row], column: str) -> list[str]:
    """What each row's picture is called, however its name is spelt; where nothing says it, the row's own number."""
    return [os.path.normpath(row[column]) if row.get(column) else str(at) for at, row in enumerate(rows)]


def _classes(settings: CaptionSettings, rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    """The prompts of each class, in the order of their names: every template filled from every row of the class."""
    if not settings.class_column:
        return {}
    found = dict[str, dict[str, None]]()
    for row in rows:
        name = filled(f"{{{settings.class_column}}}", row)
        found.setdefault(name, {}).update(dict.fromkeys(filled(prompt, row) for prompt in settings.prompts))
    return {name: tuple(found[name]) for name in sorted(found)}


def _numbers(settings: CaptionSettings, rows: Sequence[Row], classes: dict[str, tuple[str, ...]]) -> np.ndarray:
    """Which class each row is of. ValueError for one that nothing is trained on."""
    if not classes:
        return np.zeros(0, np.int64)
    names = list(classes)
    for row in rows:
        if row[settings.class_column] not in classes:
            raise ValueError(
                f"{settings.class_column} {row[settings.class_column]!r} is held out and never trained on, so that no "
                "prompt tells it apart: give it more rows, or another data.seed"
            )
    return np.array([names.index(row[settings.class_column]) for row in rows], np.int64)


def captions(settings: CaptionSettings, fit: Patches, say: Say) -> Found:
    """A table with a picture and a text a row, a folder that holds one table, or a folder of pictures, each with its
    text in a .txt beside it."""
    if len(settings.paths) != 1 or not Path(settings.paths[0]).exists():
        given = ", ".join(settings.paths) or "nothing"
        raise ValueError(f"captions come from one table (.tsv, .csv, .jsonl) or folder (--data PATH), not {given}")
    path, side = Path(settings.paths[0]), None
    if path.is_dir():
        tables = _tables(path, say)
        if len(tables) > 1:
            raise ValueError(f"{path} holds several tables ({tables[0].name}, {tables[1].name} …): name one of them")
        if not tables:
            lines, texts, pixels = beside(path, fit, say)
            names = tuple(Path(line.where).relative_to(path).as_posix() for line in lines)
            return Found(pixels, tuple(texts), tuple(line.row for line in lines), tuple(map(side_above, names)), names)
        path = tables[0]
        side = Side.LEFT_OUT if side_of(path.name) == Side.LEFT_OUT else None
    lines = read_table(path)
    texts = column(lines, settings.text_column, path, "set data.text_column")
    pixels = read_pictures(path, lines, settings, fit, say)
    names = tuple(f"{path.name}, row {number}" for number in range(1, len(lines) + 1))
    return Found(pixels, tuple(texts), tuple(line.row for line in lines), (side,) * len(lines), names)


def _tables(folder: Path, say: Say) -> list[Path]:
    """The tables of a folder; where there are others, but for those that are called as a test set."""
    there = tables_in(folder, TABLES)
    names = [path.name for path in there]
    sides = list(map(side_of, names))
    if not in_use(sides).any():
        return there
    used, notices = without_tests(names, sides, "tables")
    for text in notices:
        say(text)
    return [there[at] for at in np.flatnonzero(used)]


def made(settings: CaptionSettings, fit: Patches, say: Say) -> Found:
    """Pictures made on the spot, of shapes of some colour."""
    signals, rows = made_captions(240, fit.image, fit.channels, settings.seed)
    return Found(signals, tuple(row["text"] for row in rows), tuple(rows))


CAPTION_SOURCES.register("captions", captions)
CAPTION_SOURCES.register("made_captions", made)
