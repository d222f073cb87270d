"""Filling blanks: the likeliest words of a masked language model, or of a text-to-text model trained with spans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.batch import Sentinels, Tokenizer
from weft.data import as_source
from weft.data.tokenizers import PieceTable
from weft.generate import beam_search
from weft.hub.hidden import Hiding
from weft.hub.inputs import at_least_one
from weft.hub.model import Model
from weft.nn import Encoder, EncoderDecoder
from weft.objectives.noise.words import inner_pieces

BLANK, TOP, PIECES, SPAN, WIDTH = "_", 5, 1, 8, 5  # the last: beams of a search at the least
HIDDEN = "each blank is told with all the others hidden"
WRITTEN = "blanks are written from the first to the last, each behind the likeliest of those before it"


@dataclass(frozen=True)
class Filling:
    """What may stand in a blank.

    text:        as it stands in the text, without the space that its first word begins with.
    joined:      it goes on with the word before it, as pieces inside a word do. False where nothing stands before it,
                 and of tokenizers whose pieces do not say where words begin.
    ids:         of its tokens.
    probability: of one token, under the model's softmax over all its ids; of several, the product of each one's as it
                 was chosen.
    """

    text: str
    joined: bool
    ids: tuple[int, ...]
    probability: float


@dataclass(frozen=True)
class Filled:
    """blanks: of each, the likeliest first. text: with the likeliest of each in its place. how: what each is told
    from, in words."""

    text: str
    blanks: tuple[tuple[Filling, ...], ...]
    how: str


def fill(model: Model, text: str, *, blank: str = BLANK, top: int = TOP, tokens: int | None = None) -> Filled:
    """The `top` likeliest fillings of each blank in a text.

        fill(weft.load("models/masked"), "This _ a fluffy dog.").blanks[0][0].text

    A masked language model reads the text with `tokens` hidden tokens (None: 1) in each blank, of which it is told the
    likeliest that stand for text; of several blanks each is told with all the others hidden. Several tokens are chosen
    one by one, greedily: of a blank's hidden places first the one of which the model is surest, which gets its `top`
    likeliest tokens, each in a copy of its own; then, in each copy, the surest of those left and its likeliest token.

    A text-to-text model reads the text with a sentinel for each blank and writes what stood there (Raffel et al. 2020),
    at most `tokens` tokens each (None: 8), searched for with beams; of several blanks each is written behind the
    likeliest of those before it. The probability is that of the span and of what ends it, summed over the ends (a
    sentinel, the text's) that the search found. There are fewer than `top` where fewer of the spans that were found end
    in time; where none does, they are cut.

    blank: what marks one; each time it occurs is a blank, so a text with underscores of its own needs another.

    ValueError for a text without a blank, numbers below 1, a text beyond the context, and a model that fills none.
    """
    at_least_one("top", top)
    if tokens is not None:
        at_least_one("tokens", tokens)
    if not blank:
        raise ValueError("blank is empty: name what marks a blank, '_', say")
    parts = text.split(blank)
    if len(parts) == 1:
        raise ValueError(
            f"there is no {blank!r} in {text!r}, so there is nothing to fill: put one where words are missing, or name "
            "what marks a blank (blank=, --blank)"
        )
    if isinstance(model.module, Encoder):
        hiding = Hiding.of(model)
        blanks = _Masked(hiding, Spelling.of(hiding.tokenizer), parts, tokens or PIECES).all(top)
        return _filled(hiding.tokenizer, parts, blanks, HIDDEN)
    if isinstance(model.module, EncoderDecoder):
        return _filled(model.need_tokenizer(), parts, _spans(model, parts, top, tokens or SPAN), WRITTEN)
    raise ValueError(
        f"{type(model.module).__name__} goes on with a text and never sees what stands behind a blank: ask a masked "
        "language model or a text-to-text model trained with spans, or have this one go on: weft generate"
    )


@dataclass(frozen=True)
class Spelling:
    """What ids stand for inside a text. pieces: of each id; spaced: words are pieces that begin with a space, so that
    the space before a word is a part of its token."""

    pieces: Sequence[bytes]
    spaced: bool

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Spelling:
        """Of all its ids."""
        pieces = inner_pieces(tokenizer)
        return cls(pieces, any(len(piece) > 1 and piece.startswith(b" ") for piece in pieces))

    def filling(self, ids: Sequence[int], probability: float, *, first: bool) -> Filling:
        """What ids are. first: nothing stands before them. Those of the model alone, spare rows of the embedding, have
        no text."""
        piece = b"".join(self.pieces[number] for number in ids if number < len(self.pieces))
        opens = piece.startswith(b" ")
        text = piece.removeprefix(b" " if self.spaced else b"").decode("utf-8", errors="replace")
        return Filling(text, self.spaced and bool(text) and not opens and not first, tuple(ids), probability)

    def stem(self, before: str) -> str:
        """A text that goes on in a blank: the space at its end is the blank's, where words begin with one."""
        return before.removesuffix(" ") if self.spaced else before

    def joined(self, before: str, filling: Filling) -> str:
        """A text with what fills the blank at its end."""
        stem = self.stem(before)
        apart = self.spaced and not filling.joined and stem and not stem[-1].isspace()
        return f"{stem}{' ' if apart else ''}{filling.text}"


def spelt(tokenizer: Tokenizer, parts: Sequence[str], marks: Sequence[Sequence[int]], spelling: Spelling) -> list[int]:
    """The ids of a text with special ids between its parts, one more of the parts than of the marks. Where these are
    the tokenizer's own, as it has them: what is around one may depend on it."""
    gaps = [*marks, ()]
    if isinstance(tokenizer, PieceTable) and all(number < tokenizer.vocab for mark in marks for number in mark):
        return tokenizer.encode_parts([x for part, gap in zip(parts, gaps, strict=True) for x in (part, *gap)])
    texts = [*map(spelling.stem, parts[:-1]), parts[-1]]
    return [number for text, gap in zip(texts, gaps, strict=True) for number in (*tokenizer.encode(text), *gap)]


def _filled(tokenizer: Tokenizer, parts: Sequence[str], blanks: list[tuple[Filling, ...]], how: str) -> Filled:
    """The text with the likeliest of each blank."""
    spelling, text = Spelling.of(tokenizer), parts[0]
    for part, (best, *_) in zip(parts[1:], blanks, strict=True):
        text = spelling.joined(text, best) + part
    return Filled(text, tuple(blanks), how)


class _Masked:
    """A text whose blanks are hidden tokens, each of as many pieces."""

    def __init__(self, hiding: Hiding, spelling: Spelling, parts: Sequence[str], pieces: int) -> None:
        self.hiding, self.spelling, self.parts, self.pieces = hiding, spelling, parts, pieces
        marks = [[hiding.mask] * pieces] * (len(parts) - 1)
        self.ids = spelt(hiding.tokenizer, parts, marks, spelling)
        self.places = [place for place, number in enumerate(self.ids) if number == hiding.mask]
        assert len(self.places) == pieces * len(marks), "no text is encoded to the mask"

    def all(self, top: int) -> list[tuple[Filling, ...]]:
        """The likeliest of every blank."""
        starts = range(0, len(self.places), self.pieces)
        return [self._one(number, self.places[start : start + self.pieces], top) for number, start in enumerate(starts)]

    def _one(self, number: int, places: list[int], top: int) -> tuple[Filling, ...]:
        """The likeliest of one blank. Copies of the text are filled place by place."""
        able = self._probabilities([self.ids], places)[0]  # [n, V]
        if top > (most := int((able[0] >= 0).sum())):
            raise ValueError(f"top = {top}, but there are only {most} tokens that stand for text: ask for fewer")
        first = int(able.max(dim=-1).values.argmax())
        found = able[first].topk(top)
        rows, chances = [list(self.ids) for _ in range(top)], found.values.double().tolist()
        for row, token in zip(rows, found.indices.tolist(), strict=True):
            row[places[first]] = token
        open_places = [[place for place in places if place != places[first]] for _ in rows]
        for _ in range(self.pieces - 1):
            able = self._probabilities(rows, places)  # [top, n, V]
            for copy, row in enumerate(rows):
                left = [places.index(place) for place in open_places[copy]]
                best = able[copy, left].max(dim=-1)  # [left]
                surest = int(best.values.argmax())
                row[open_places[copy].pop(surest)] = int(best.indices[surest])
                chances[copy] *= float(best.values[surest])
        begins = number == 0 and not self.parts[0]
        made = [
            self.spelling.filling([row[place] for place in places], chance, first=begins)
            for row, chance in zip(rows, chances, strict=True)
        ]
        return tuple(sorted(made, key=lambda filling: -filling.probability))

    @torch.no_grad()
    def _probabilities(self, rows: list[list[int]], places: list[int]) -> Tensor:
        """Of what stands in these places of each row, over all ids, fp32 [B, n, V]; -1 for ids without text."""
        x = self.hiding.states(rows)[:, torch.tensor(places) + self.hiding.before]  # [B, n, D]
        found = self.hiding.logits(x.flatten(0, 1)).softmax(dim=-1).unflatten(0, x.shape[:2])  # [B, n, V]
        texts = torch.tensor([bool(piece) for piece in self.spelling.pieces], device=found.device)
        found[..., len(texts) :] = -1.0
        return found.index_fill(-1, (~texts).nonzero()[:, 0], -1.0)


def _spans(model: Model, parts: Sequence[str], top: int, tokens: int) -> list[tuple[Filling, ...]]:
    """The likeliest spans of each blank, as an encoder–decoder writes them behind its sentinel."""
    assert isinstance(model.module, EncoderDecoder)
    tokenizer = model.need_tokenizer()
    sentinels = tokenizer.sentinels if isinstance(tokenizer, Sentinels) else ()
    if len(parts) > len(sentinels) or max(sentinels[: len(parts)]) >= model.config.vocab:
        raise ValueError(
            f"{len(parts) - 1} blanks need {len(parts)} sentinels (<extra_id_0> …; one ends the last), and the "
            f"tokenizer has {len(sentinels)}: ask a masked language model, or train with spans and a tokenizer that "
            "has some (--objective spans --set data.tokenizer=bytes)"
        )
    spelling, end = Spelling.of(tokenizer), tokenizer.end
    source = as_source(tokenizer, spelt(tokenizer, parts, [[s] for s in sentinels[: len(parts) - 1]], spelling))
    written, blanks = list(model.begins), list[tuple[Filling, ...]]()
    stop = {number for number in (*sentinels, end) if number < model.module.stem.vocab}
    width = max(top, WIDTH)
    for number, part in enumerate(parts[:-1]):
        written.append(sentinels[number])
        (rows,) = beam_search(
            model.module, [source], width=width, best=width, new=tokens + 1, alpha=0.0, stop=stop, start=written,
            context=model.config.context,
        )  # fmt: skip
        chances = dict[tuple[int, ...], float]()
        for row in [row for row in rows if row.reason == "end"] or rows:
            ids = row.ids[:-1] if row.reason == "end" else row.ids[:tokens]
            chances[ids] = chances.get(ids, 0.0) + math.exp(row.logprob)  # one sentinel or another may end it
        ranked = sorted(chances.items(), key=lambda pair: -pair[1])[:top]
        begins = number == 0 and not part
        blanks.append(tuple(spelling.filling(ids, chance, first=begins) for ids, chance in ranked))
        written += ranked[0][0]
    return blanks
