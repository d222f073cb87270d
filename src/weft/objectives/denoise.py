"""Texts as pairs: what is left of one is read, and the text, or what is missing, is written (T5, BART, MASS)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from weft.batch import IGNORED, Batch, Dataset, Place, Sentinels, Tokenizer
from weft.nn import Decoder, EncoderDecoder
from weft.objectives.loss import Loss
from weft.objectives.noise import Marks, Words
from weft.objectives.turned import Turned, mask_of, one_document, padded
from weft.objectives.wrapped import bare
from weft.objectives.writing import Writing, layout

Noise = Callable[[Tensor, Generator], tuple[Tensor, Tensor]]  # ids [n] -> inputs and targets
SENTINELS = 100  # of a tokenizer without any: T5's number of them


@dataclass(frozen=True)
class Denoise(Writing):
    """-log p(targets | inputs), both made of a row of text by noise.

    An encoder–decoder reads inputs END and writes targets END. A decoder reads them one behind the other, inputs END
    targets END, and is asked for the targets. Rows are cut as long as both sides, whatever is drawn, fit into the
    model's context. sentinels: hidden spans become some.
    """

    carriers = (EncoderDecoder, Decoder)
    likelihood = False
    sentinels: ClassVar[bool] = False

    @abstractmethod
    def noise(self, marks: Marks, words: Words) -> Noise:
        """What makes inputs and targets of a text's ids."""

    def targets(self, n: int) -> int:
        """The most tokens that targets of a text of n tokens have; the inputs have n at the most."""
        return n

    def length(self, module: nn.Module, context: int) -> int:
        """The longest text whose inputs and targets fit into a context, with what ends them. ValueError for none."""
        one_row = isinstance(bare(module), Decoder)

        def fits(n: int) -> bool:
            read, written = n + 1, self.targets(n) + 1
            return (read + written if one_row else max(read, written)) <= context

        longest = next((n for n in range(context, 1, -1) if fits(n)), None)
        if longest is None:
            raise ValueError(
                f"{self.title}: no text fits twice into a context of {context} tokens: raise model.context"
            )
        return longest

    def marks(self, tokenizer: Tokenizer) -> Marks:
        """The mask and the sentinels: the tokenizer's own, else ids behind its last."""
        mask = mask_of(tokenizer)
        own = tokenizer.sentinels if isinstance(tokenizer, Sentinels) else ()
        free = max(tokenizer.vocab, mask + 1)
        return Marks(mask, own or range(free, free + SENTINELS), tokenizer.vocab)

    def ids(self, tokenizer: Tokenizer) -> int:
        """Those of the tokenizer, the mask and, where they are used, the sentinels."""
        marks = self.marks(tokenizer)
        most = max(marks.sentinels) if self.sentinels else marks.mask
        return max(tokenizer.vocab, most + 1)

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Turned:
        """Pairs of inputs and targets."""
        return NoisyRows(data, self, tokenizer, seed)

    def losses(self, module: EncoderDecoder | Decoder, batch: Batch) -> dict[str, Loss]:
        """The term "loss", and "balance" where it is weighed. ValueError for a batch without a source."""
        if batch.source is None:
            raise ValueError(f"{self.title} needs inputs and targets: turn the data by this objective")
        if isinstance(module, Decoder):
            batch = in_one_row(batch)
            hidden, auxiliary = module(batch.tokens, layout(batch))  # [B, T, D]
        else:
            here = layout(batch.source), layout(batch)
            hidden, auxiliary = module(batch.source.tokens, batch.tokens, *here)  # [B, T, D]
        return self.terms(module, hidden, auxiliary, batch)


class NoisyRows(Turned):
    """Pairs made of a data set's rows: source is inputs END, the target END targets, labels targets END.

    Padding is no part of a text, nor is what begins it where a row does. ValueError for rows that keep several
    documents apart.
    """

    purpose = "noise"

    def __init__(self, data: Dataset[Batch], how: Denoise, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__(data, tokenizer, seed)
        self.how = how
        self._marks = how.marks(tokenizer)
        self._noise = how.noise(self._marks, Words(tokenizer))

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each with its own noise."""
        rows = self.texts(places)
        one_document(rows, f"{self.how.title} makes a pair of each row")
        end, sources, targets = torch.tensor([self.tokenizer.end]), list[Tensor](), list[Tensor]()
        for row, place in enumerate(places):
            ids = rows.tokens[row] if rows.segments is None else rows.tokens[row][rows.segments[row] > 0]
            ids = ids[int(ids[:1].eq(self.tokenizer.begin).sum()) :]  # what begins a text is not of it
            given, asked = self._noise(ids, self.draw(place))
            sources.append(torch.cat((given, end)))
            targets.append(torch.cat((asked, end)))
        tokens = [torch.cat((end, target[:-1])) for target in targets]
        source = Batch(padded(sources, int(end)), segments=padded([torch.ones_like(s) for s in sources], 0))
        return Batch(
            padded(tokens, int(end)),
            padded(targets, IGNORED),
            segments=padded([torch.ones_like(target) for target in targets], 0),
            source=source,
            samples=rows.samples,
        )


def in_one_row(batch: Batch) -> Batch:
    """Pairs as a decoder reads them: the source up to its END, then the target with its labels, padded on the right.

    [B, S] and [B, T] -> [B, longest of both together - 1]: the END that ends a source is the one that begins its
    target.
    """
    source, place = batch.source, torch.arange
    assert source is not None and source.segments is not None and batch.segments is not None
    assert batch.labels is not None
    (_, s), device = source.tokens.shape, source.tokens.device
    read = (source.segments > 0).sum(dim=1, keepdim=True) - 1  # [B, 1]
    whole = read + (batch.segments > 0).sum(dim=1, keepdim=True)  # [B, 1]
    here = place(int(whole.max()), device=device)[None]  # [1, n]
    index = torch.where(here < read, here, s + here - read).clamp(max=s + batch.tokens.shape[1] - 1)  # [B, n]
    real = here < whole
    tokens = torch.cat((source.tokens, batch.tokens), dim=1).gather(1, index)  # [B, n]
    labels = torch.cat((torch.full_like(source.tokens, IGNORED), batch.labels), dim=1).gather(1, index)
    end = batch.tokens[:, :1]
    return Batch(
        torch.where(real, tokens, end),
        labels.masked_fill(~real, IGNORED),
        segments=None if bool(real.all()) else real.long(),
        samples=batch.samples,
    )
