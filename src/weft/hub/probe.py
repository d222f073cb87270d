"""A fixed input for any model, and a fingerprint of what the model makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.files import digest
from weft.hub.inputs import written_vocab
from weft.hub.model import Model
from weft.nn import Encoder, EncoderDecoder, Learned

LENGTH = 16  # tokens of the longest row, where the context allows it
_STRIDE = 2654435769  # 2³² / golden ratio: multiples of it, modulo 2³², are spread evenly


@dataclass(frozen=True, eq=False)
class Probe:
    """Ragged rows, padded on the right: a function of vocabulary and context alone, the same on every machine.

    tokens [3, T], lengths [3]; types [3, T]: of an encoder that tells kinds of token apart; source, source_lengths:
    what an encoder–decoder reads, its targets being `tokens`.
    """

    tokens: Tensor
    lengths: Tensor
    types: Tensor | None = None
    source: Tensor | None = None
    source_lengths: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """bool [3, T]: which of `tokens` are none of the padding."""
        return torch.arange(self.tokens.shape[1]) < self.lengths[:, None]

    @property
    def source_real(self) -> Tensor:
        """bool [3, S]: which of `source` are none of the padding."""
        assert self.source is not None and self.source_lengths is not None, "there is no source"
        return torch.arange(self.source.shape[1]) < self.source_lengths[:, None]

    def kept(self, states: Tensor, *, of_source: bool = False) -> Tensor:
        """Which places of states [3, T, .] or [3, S, .], or of one score a place [3, T], are no padding, bool; all, of
        scores of rows [3, .], and of states that are not of the row's places."""
        if states.ndim == 2 and states.shape != self.tokens.shape:
            return torch.ones(len(states), dtype=torch.bool)
        real = self.source_real if of_source else self.real
        return real if states.shape[1] == real.shape[1] else torch.ones(states.shape[:2], dtype=torch.bool)

    @torch.no_grad()
    def logits(self, model: Model, head: str | None = None) -> Tensor:
        """What a model makes of it, in fp32 on the CPU: [3, T, V], or [3, C] where its head is asked of rows; hidden
        states [3, T, D] of an encoder without a head. head: of several, one by name; None: the one by default."""
        device = next(model.module.parameters()).device
        tokens, lengths = self.tokens.to(device), self.lengths.to(device)
        types = None if self.types is None else self.types.to(device)
        if isinstance(model.module, Encoder) and not model.module.heads:
            made = model.encode(tokens, lengths=lengths, types=types)
        elif isinstance(model.module, Encoder):
            made = model.logits(tokens, lengths=lengths, types=types, head=head)
        elif self.source is None or self.source_lengths is None:
            made = model.logits(tokens, lengths=lengths)
        else:
            source, widths = self.source.to(device), self.source_lengths.to(device)
            made = model.logits(source, tokens, lengths=lengths, source_lengths=widths)
        return made.float().cpu()


@dataclass(frozen=True)
class Fingerprint:
    """A short text that two machines can compare.

    It is made of the likeliest token at each place of the probe, and of the standard deviation of each row's logits to
    two digits. Equal: both computed what one model computes, though perhaps not of the same bits: that is what the
    digests of the files say. Different: not the same model, or not computed the same way. The rounding noise of fp32,
    about 1e-6 of a standard deviation, changes it only where it is above `slack`.

    slack: the smallest difference of a logit that could change the text, in standard deviations of the logits.
    """

    text: str
    slack: float


def probe_for(model: Model) -> Probe:
    """The probe of a model's vocabulary and context, without the id of padding where positions begin behind it (from
    it the reference would infer them)."""
    vocab, context = int(model.config.vocab), int(model.config.context)
    longest = max(1, min(LENGTH, context))
    lengths = torch.tensor([longest, max(1, longest * 2 // 3), 1])
    vocab = written_vocab(model.module, model.config)
    tokens = _rows(vocab, longest, 0)
    if isinstance(model.module, Encoder) and isinstance(stem := model.module.embed.position, Learned) and stem.offset:
        tokens = torch.where(tokens == stem.offset - 1, (tokens + 1) % vocab, tokens)
    if isinstance(model.module, EncoderDecoder):
        return Probe(tokens, lengths, None, _rows(vocab, longest, tokens.numel()), lengths.roll(1))
    kinds = model.module.embed.types if isinstance(model.module, Encoder) else None
    if kinds is None or len(kinds.weight) == 1:
        return Probe(tokens, lengths)
    second = torch.arange(longest) >= longest // 2  # a second text, from the middle of each row on
    return Probe(tokens, lengths, second.long().expand_as(tokens))


def fingerprint(logits: Tensor, real: Tensor) -> Fingerprint:
    """Of logits [B, T, V] where `real` [B, T], of rows' [B, C] where `real` [B]; one score a place [B, T] is held
    against 0."""
    if logits.ndim == real.ndim:
        logits = torch.stack((torch.zeros_like(logits), logits), dim=-1)  # [B, T, 2]
    scale = float(logits[real].std(correction=0))
    if not math.isfinite(scale) or scale == 0.0:
        return Fingerprint("none: the logits are all one number, or no numbers", 0.0)
    best = logits[real].topk(min(2, logits.shape[-1])).values  # [N, 2]
    slack = float((best[:, 0] - best[:, -1]).min()) / 2 if best.shape[-1] == 2 else math.inf
    likeliest, spreads = logits[real].argmax(-1).tolist(), list[str]()
    for row, kept in zip(logits, real, strict=True):
        spread = float(row[kept].std(correction=0))
        spreads.append(f"{spread:.1e}")
        step = 10.0 ** (math.floor(math.log10(spread)) - 1) if spread > 0 else math.inf
        slack = min(slack, abs((spread / step) % 1.0 - 0.5) * step)  # how far it is from being rounded the other way
    return Fingerprint(digest(f"{likeliest} {spreads}".encode())[:16], slack / scale)


def _rows(vocab: int, length: int, first: int) -> Tensor:
    """Ids int64 [3, length] spread over the vocabulary, the `first`-th of the sequence on."""
    number = torch.arange(first + 1, first + 1 + 3 * length, dtype=torch.int64)
    return ((number * _STRIDE % 2**32) * vocab // 2**32).view(3, length)
