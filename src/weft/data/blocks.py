"""Datasets: text as batches. Which sample is which depends on the seed and the epoch alone, never on the batch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place, Tokenizer
from weft.data.alike import alike_order
from weft.data.order import Shuffled, mix
from weft.data.pairs import Pair
from weft.data.sources import Document
from weft.data.tokenise import encode_documents
from weft.data.tokenizers import around, as_source, encode_many, target_side

_AT_ONCE = 256  # documents encoded together


def stream(
    documents: Sequence[Document], tokenizer: Tokenizer, advance: Callable[[int], None] = lambda more: None
) -> np.ndarray:
    """END document END document ... END, int32 [N]: every document is begun by an END and ended by one. Of a tokenizer
    that begins a text with another id, BEGIN document END BEGIN document END ... BEGIN. advance: hears how many
    documents more are done.

    ValueError, naming the document, where the tokenizer cannot spell it.
    """
    first, after = (np.asarray(ids, np.int32) for ids in around(tokenizer))
    parts = [first]
    for start in range(0, len(documents), _AT_ONCE):
        these = documents[start : start + _AT_ONCE]
        for ids in encode_documents(these, tokenizer):
            parts += [ids, after]
        advance(len(these))
    return np.concatenate(parts)


class Blocks(Shuffled):
    """A stream of N tokens cut into rows of `context`, each place predicting the next token.

    Sample i of an epoch is tokens[o + i * context : o + (i + 1) * context + 1].

    - shift=True, for training: the phase o is a function of (seed, epoch), so that a token is not always predicted from
      the same place of a row. All rows are full (of a stream that fills one); fewer than 2 * context tokens, at the two
      ends, are left out of an epoch, others each time.
    - shift=False, for evaluation: o is 0 and every token but the first is predicted exactly once; the last row may be
      short, and is then padded (segments 0, labels IGNORED).
    - stride=S, for evaluation: rows begin S tokens after one another, and of every row but the first the places that
      the row before it predicted are not asked for again (labels IGNORED): every token but the first is predicted
      exactly once, from at least context - S + 1 tokens before it, where the stream has as many. None: S = context.

    isolate=True keeps the documents of a row apart: `segments` numbers them from 1, `order` restarts in each (and in
    each row). What begins a document belongs to it; the label of a document's last token is the END after it. Where
    another id than END begins documents, END is read too, and nobody is asked for what begins the next (IGNORED).
    """

    def __init__(
        self,
        tokens: np.ndarray,
        context: int,
        *,
        shift: bool = True,
        seed: int = 0,
        stride: int | None = None,
        isolate: bool = False,
        end: int | None = None,
        begin: int | None = None,
    ) -> None:
        """`tokens`: integers [N], N >= 2, also a memory map; `end`: the end id, needed to isolate; `begin`: the id that
        begins a document, where that is another."""
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or len(tokens) < 2:
            raise ValueError(f"blocks need at least 2 tokens in one row, not {tokens.dtype} {list(tokens.shape)}")
        if context < 1:
            raise ValueError(f"context={context} must be at least 1")
        if isolate and end is None:
            raise ValueError("isolate=True needs end, the id between documents: give the tokenizer's")
        if begin is not None and end is None:
            raise ValueError(f"begin={begin} needs end beside it, which may be the same id: give the tokenizer's")
        if stride is not None and (shift or not 1 <= stride <= context):
            raise ValueError(
                f"stride={stride} is from 1 to context={context}, and of rows that no phase shifts: give another "
                "stride, and shift=False"
            )
        self.tokens = tokens
        self.context = context
        self.stride = stride or context
        self.seed = seed
        self._begin = (end if begin is None else begin) if isolate else None
        self._unasked = None if begin == end else begin
        predicted = len(tokens) - 1
        if shift:
            # Even the latest phase, context - 1, leaves this many full rows.
            self._length = max(1, (predicted - context + 1) // context)
            self._phases = min(context, max(0, predicted - self._length * context) + 1)
        else:
            self._length = 1 + max(0, -(-(predicted - context) // self.stride))
            self._phases = 1

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._length

    def phase(self, epoch: int) -> int:
        """Where the first row of an epoch starts."""
        return mix(self.seed, epoch) % self._phases

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, as rows of `context` tokens."""
        rows = check(places, len(self))
        phases = np.asarray([self.phase(epoch) for epoch, _ in places])
        at = (phases + rows * self.stride)[:, None] + np.arange(self.context + 1)  # [B, T+1]
        last = len(self.tokens) - 1
        window = self.tokens[np.minimum(at, last)].astype(np.int64)  # [B, T+1]
        tokens, labels = window[:, :-1], window[:, 1:].copy()  # [B, T]
        real = at[:, 1:] <= last  # [B, T] whether there is a token to predict
        labels[~real] = IGNORED
        labels[rows > 0, : self.context - self.stride] = IGNORED
        if self._unasked is not None:
            labels[labels == self._unasked] = IGNORED
        order = segments = None
        if self._begin is not None:
            starts = tokens == self._begin
            starts[:, 0] = True
            here = np.arange(self.context)
            order = here - np.maximum.accumulate(np.where(starts, here, 0), axis=1)  # [B, T]
            segments = np.where(real, np.cumsum(starts, axis=1), 0)
        elif not real.all():
            segments = real.astype(np.int64)
        return Batch(
            tokens=torch.tensor(tokens),
            labels=torch.tensor(labels),
            order=None if order is None else torch.tensor(order),
            segments=None if segments is None else torch.tensor(segments),
            samples=tuple(rows.tolist()),
        )


class Pairs(Shuffled):
    """Source and target texts: the encoder reads source END, the decoder reads END target and predicts target END. Of
    a published model, the encoder reads the source with what its tokenizer puts around it, and what its decoder begins
    with stands before the target; of several such ids those behind the first are given, and not asked for.

    Rows are padded on the right, as long as the batch needs; segments are 1 where there is a token and 0 where not. A
    pair of which either side, with what stands around it, is longer than `context` is left out: `dropped` counts them;
    `pairs` holds the others, `ids` their ids, with nothing around them.
    """

    def __init__(
        self, pairs: Sequence[Pair], tokenizer: Tokenizer, context: int, *, begins: Sequence[int] = (), alike: int = 0
    ) -> None:
        """begins: the ids that the decoder begins with; none: END. alike: so many of about one length follow one
        another (`alike_order`); 0: none do. ValueError where no pair is short enough."""
        self.pairs: list[Pair] = []
        self.context = context
        self._tokenizer, self._end = tokenizer, tokenizer.end
        self._begins = tuple(begins) or (tokenizer.end,)
        room = context - len(as_source(tokenizer, []))
        self.ids: list[tuple[np.ndarray, np.ndarray]] = []
        sources = encode_many(tokenizer, [source for source, _ in pairs])
        targets = encode_many(target_side(tokenizer), [target for _, target in pairs])
        for pair, source, target in zip(pairs, sources, targets, strict=True):
            if len(source) <= room and len(target) + len(self._begins) <= context:
                self.pairs.append(pair)
                self.ids.append((source, target))
        self.dropped = len(pairs) - len(self.pairs)
        if not self.pairs:
            raise ValueError(f"none of {len(pairs)} pairs fits into context={context} tokens: give pairs, or raise it")
        self._alike, self._order = alike, ((-1, -1), np.zeros(0, np.int64))

    def place(self, position: int, seed: int) -> Place:
        """What is read at `position` of an endless run."""
        if not self._alike:
            return super().place(position, seed)
        epoch, within = divmod(position, len(self))
        at, order = self._order
        if at != (seed, epoch):
            lengths = np.array([max(len(source), len(target)) for source, target in self.ids])  # of either side
            order = alike_order(lengths, self._alike, seed, epoch)
            self._order = (seed, epoch), order  # at once: threads read ahead
        return Place(epoch, int(order[within]))

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.pairs)

    @property
    def around(self) -> tuple[int, ...]:
        """The ids that stand around every source and before every target; of weft's own models, END alone."""
        return *as_source(self._tokenizer, []), *self._begins

    def batch(self, places: Sequence[Place]) -> Batch:
        """These pairs, the same in every epoch."""
        rows = check(places, len(self))
        chosen = [self.ids[row] for row in rows]
        given = np.full(len(self._begins) - 1, IGNORED)
        inputs = [np.concatenate([self._begins, target]) for _, target in chosen]
        labels = [np.concatenate([given, target, [self._end]]) for _, target in chosen]
        sources = [np.asarray(as_source(self._tokenizer, source.tolist())) for source, _ in chosen]
        samples = tuple(rows.tolist())
        return Batch(
            tokens=_pad(inputs, self._end),
            labels=_pad(labels, IGNORED),
            segments=_pad([np.ones_like(row) for row in inputs], 0),
            source=Batch(
                tokens=_pad(sources, self._end),
                segments=_pad([np.ones_like(row) for row in sources], 0),
                samples=samples,
            ),
            samples=samples,
        )


def check(places: Sequence[Place], length: int) -> np.ndarray:
    """The samples' numbers as int64 [B]; ValueError where one is no sample."""
    rows = np.asarray([index for _, index in places], np.int64)
    if len(rows) == 0 or rows.min() < 0 or rows.max() >= length:
        raise ValueError(
            f"samples {rows.tolist()} of a data set of {length}: at least one, each from 0 to {length - 1}"
        )
    return rows


def _pad(rows: Sequence[np.ndarray], value: int) -> torch.Tensor:
    """Rows of any length as int64 [B, longest], filled with `value` on the right."""
    padded = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(padded)
