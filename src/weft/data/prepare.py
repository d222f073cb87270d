"""From words on a command line to datasets: read, split, train a tokenizer, tokenise into a store, cut into rows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.batch import Tokenizer
from weft.data.blocks import Blocks, stream
from weft.data.mixture import Mixture
from weft.data.names import Side, named_sides
from weft.data.pack import Packed
from weft.data.pairs import PAIR_SOURCES
from weft.data.prepare_pairs import check_held_out, prepare_pairs
from weft.data.prepared import DataSettings, Prepared, RowKind, Scratch
from weft.data.progress import lines
from weft.data.sources import SOURCES, Document, Say, Source, open_source, quiet
from weft.data.split import Sides, Survey, decide, survey, unchanged
from weft.data.store import MadeOf, Part, Store, is_store, open_store, part_names, tokenizer_digest
from weft.data.tokenise import write_store
from weft.data.tokenizers import around, train_tokenizer
from weft.files import digest


def prepare(
    settings: DataSettings,
    context: int,
    *,
    pairs: bool,
    tokenizer: Tokenizer | None = None,
    begins: Sequence[int] = (),
    sources: Sequence[Source] = (),
    kept: Path | None = None,
    scratch: Path | None = None,
    say: Say = quiet,
) -> Prepared:
    """Datasets of rows of `context` tokens. ValueError for settings or data that give none.

    - pairs: rows for an encoder–decoder, see `prepare_pairs`. They stay in memory: `kept` and `scratch` stay unused.
    - tokenizer: is used as it is (a resumed run's own); None trains one on the training side.
    - begins: the ids that the decoder that reads pairs begins with; none: END.
    - sources: to be read instead of what the settings name; one for each of data.weights. Not for pairs.
    - kept: where an earlier run kept its tokens; they are used where they are those of the same source, settings and
      tokenizer, and refused where not. data.store goes before it, and is written where there is nothing yet.
    - scratch: the folder in which new tokens lie until `Prepared.keep`; None: a temporary one.
    """
    if context < 1:
        raise ValueError(f"rows of {context} tokens hold nothing: set model.context to 1 or more")
    if pairs:
        if sources:
            raise ValueError(
                f"{len(sources)} sources of texts were given, and pairs come from data.source: leave them out"
            )
        return prepare_pairs(settings, context, tokenizer, say, begins)
    for name in ("directions", "columns", "prefixes", "alike"):
        if value := getattr(settings, name):
            raise ValueError(f"data.{name}={value} says something of pairs, and texts are read: leave data.{name} out")
    if not sources:
        settings.check()
    notices = dict[str, None]()  # a source is read several times, and says the same each time

    def notice(text: str) -> None:
        notices[text] = None

    data = _Data.of(_sources(settings, sources, notice), settings, say, notice)
    made_of = data.made_of(settings, tokenizer)
    place = Path(settings.store) if settings.store else kept
    if place is not None and is_store(place):
        store = open_store(place, made_of)
        say(f"the tokens in {place} are of the same text, settings and tokenizer: nothing is tokenised again")
        if not store.verified:
            say(f"{place} is large: the sizes of its files were checked, their digests were not")
        return _prepared(settings, context, store, None, tuple(notices), say)
    if settings.store:
        store = _write(Path(settings.store), data, settings, tokenizer, made_of, say)
        return _prepared(settings, context, store, None, tuple(notices), say)
    temporary = Scratch(scratch)
    try:
        store = _write(temporary.folder / "tokens", data, settings, tokenizer, made_of, say)
        return _prepared(settings, context, store, temporary, tuple(notices), say)
    except BaseException:
        temporary.remove()
        raise


def rows(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    context: int,
    how: RowKind = "stream",
    *,
    stride: int | None = None,
) -> tuple[Blocks | Packed, int]:
    """Documents as evaluation rows, in memory, and their UTF-8 bytes. stride: of rows that overlap, see `Blocks`;
    ValueError for packed rows, each of which holds whole documents."""
    if stride is not None and how == "pack":
        raise ValueError(
            f"stride = {stride} makes rows overlap, and rows that are packed hold whole documents: leave the stride "
            "out, or cut rows as stream or isolate"
        )
    tokens = stream(documents, tokenizer)
    part = Part(tokens, np.flatnonzero(tokens == tokenizer.begin) + 1, len(around(tokenizer)[1]))
    size = sum(len(document.text.encode()) for document in documents)
    return _cut(part, context, how, tokenizer, train=False, stride=stride), size


@dataclass(frozen=True)
class _Data:
    """The sources, what was found in each, and what of it is held out."""

    sources: Sequence[Source]
    surveys: Sequence[Survey]
    sides: Sequence[Sides]

    @classmethod
    def of(cls, sources: Sequence[Source], settings: DataSettings, say: Say, notice: Say) -> _Data:
        advance = lines(say)
        surveys = [survey(source.documents(), settings.seed, advance) for source in sources]
        sides = decide(surveys, settings.held_out)
        held_out = sum(side.counts[1] for side in sides)
        check_held_out(settings, held_out)
        count, size = sum(len(found.words) for found in surveys), sum(found.characters for found in surveys)
        say(f"read {count:,} documents of {size:,} characters; {held_out:,} of them held out")
        for text in _said(sides, settings):
            notice(text)
        return cls(sources, surveys, sides)

    @property
    def characters(self) -> int:
        return sum(found.characters for found in self.surveys)

    def made_of(self, settings: DataSettings, tokenizer: Tokenizer | None) -> MadeOf:
        """What the tokens depend on; the tokenizer by itself where it is given, by its settings where not."""
        named = named_sides([found.names for found in self.surveys]) or []
        contents = [found.digest for found in self.surveys] + [digest(sides.tobytes()) for sides in named]
        source = digest(json.dumps(contents).encode())
        given = {"held_out": settings.held_out, "seed": settings.seed}
        if tokenizer is None:
            return MadeOf(given | {"tokenizer": settings.tokenizer, "vocab": settings.vocab}, source)
        with tempfile.TemporaryDirectory() as folder:
            return MadeOf(given, source, tokenizer_digest(tokenizer, Path(folder)))

    def routed(self) -> list[Iterator[tuple[Side, Document]]]:
        """The documents of each source with their sides; ValueError where they are not those that were surveyed."""
        return [
            side.route(unchanged(source.documents(), found))
            for source, found, side in zip(self.sources, self.surveys, self.sides, strict=True)
        ]

    def training_texts(self) -> Iterator[str]:
        for routed in self.routed():
            yield from (document.text for side, document in routed if side == Side.TRAIN)


def _said(sides: Sequence[Sides], settings: DataSettings) -> Iterator[str]:
    """What a person should know of a split that the files' names say."""
    found = np.sum([np.bincount(one.of, minlength=len(Side)) for one in sides], axis=0)
    train, held_out, left_out, repeated = (int(found[side]) for side in Side)
    if sides[0].named:
        yield (
            f"the data come split by their files' names, {train:,} documents to train on and {held_out:,} held out: "
            f"data.held_out={settings.held_out} is not used"
        )
    if repeated:
        yield (
            f"{repeated:,} of the {repeated + held_out:,} documents that the files' names hold out are among those to "
            "train on too, and were left out of what is held out"
        )
    if left_out:
        yield (
            f"{left_out:,} of {found.sum():,} documents were left out: by their files' names they are of a test "
            "set, or lie beside a data set that comes split"
        )


def _sources(settings: DataSettings, given: Sequence[Source], say: Say) -> list[Source]:
    if given:
        if len(given) != max(1, len(settings.weights)):
            raise ValueError(f"{len(given)} sources and {len(settings.weights)} data.weights: give one for each source")
        return list(given)
    known = SOURCES.names()
    if settings.source in PAIR_SOURCES.names() and settings.source not in known:
        raise ValueError(
            f"data.source={settings.source} gives pairs; this family reads one text: use one of {', '.join(known)}"
        )
    groups = [(path,) for path in settings.paths] if settings.weights else [settings.paths]
    return [open_source(settings.source, paths, column=settings.column, say=say) for paths in groups]


def _write(
    place: Path, data: _Data, settings: DataSettings, tokenizer: Tokenizer | None, made_of: MadeOf, say: Say
) -> Store:
    """A new store. What is there already, and is none, is refused before anything is done."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(f"data.store={place} is there and is no token store: choose another folder")
    if tokenizer is None:
        tokenizer = train_tokenizer(settings.tokenizer, data.training_texts(), settings.vocab)
        say(f"trained a tokenizer of {tokenizer.vocab:,} ids ({settings.tokenizer}) on the training side")
    write_store(place, tokenizer, data.routed(), made_of, characters=data.characters, advance=lines(say))
    return open_store(place, made_of, verify=False)


def _prepared(
    settings: DataSettings, context: int, store: Store, scratch: Scratch | None, notices: tuple[str, ...], say: Say
) -> Prepared:
    tokenizer = store.tokenizer
    parts = [_cut(part, context, settings.rows, tokenizer, seed=settings.seed) for part in store.train]
    train = Mixture(parts, settings.weights, settings.seed) if len(parts) > 1 else parts[0]
    tokens = sum(len(part.tokens) for part in store.train)
    say(f"{tokens:,} tokens to train on, {len(store.held_out.tokens):,} held out ({store.held_out_bytes:,} bytes)")
    for part in parts:
        if isinstance(part, Packed):
            say(f"packed into {len(part):,} rows of {context} tokens, {part.fill:.1%} full")
    if isinstance(train, Mixture):
        times = ", ".join(f"{epochs:.2f}" for epochs in train.epochs(len(train)))
        say(f"by their weights, the sources are read {times} times in {len(train):,} rows, which all have together")
    described = [context, settings.rows, settings.seed, settings.weights]
    digests = [store.digests[f"{name}.tokens"] for name in part_names(len(parts))]
    return Prepared(
        tokenizer=tokenizer,
        train=train,
        held_out=_cut(store.held_out, context, settings.rows, tokenizer, train=False),
        train_tokens=tokens,
        held_out_tokens=len(store.held_out.tokens),
        held_out_bytes=store.held_out_bytes,
        documents=(sum(part.documents for part in store.train), store.held_out.documents),
        digest=digest(json.dumps([described, digests]).encode()),
        notices=notices,
        store=store,
        scratch=scratch,
    )


def _cut(
    part: Part,
    context: int,
    how: RowKind,
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    train: bool = True,
    stride: int | None = None,
) -> Blocks | Packed:
    """A part's tokens as rows."""
    begin, end = tokenizer.begin, tokenizer.end
    if how == "pack":
        return Packed(part.tokens, part.offsets, context, end=end, begin=begin, seed=seed)
    apart = how == "isolate"
    return Blocks(part.tokens, context, shift=train, seed=seed, stride=stride, isolate=apart, end=end, begin=begin)
