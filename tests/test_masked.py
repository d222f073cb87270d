"""Masked tokens: what is hidden hangs on nothing but the sample, and what it costs; the heads of an encoder."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from parts import randomised
from torch import Tensor
from torch.nn import functional

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Bytes, Mixture, Packed, Pairs, train_tokenizer
from weft.models import Blueprint
from weft.nn import Encoder, Layout
from weft.objectives import MaskedTokens, NextToken, layout
from weft.objectives.masked import MaskedRows, mask_of
from weft.training.loop import train
from weft.training.reader import draw
from weft.training.settings import TrainSettings
from weft.training.watch import Record, Watcher
from weft.training.world import World

TEXTS = ["the weaver mends the red thread at dawn", "a thread, a loom: the red and the grey", "at dusk the loom stands"]
BYTES = Bytes()
MASK, END = 259, BYTES.end


def stream(lengths: Sequence[int], seed: int = 0) -> np.ndarray:
    """END document END document ... END, of letters."""
    letters = np.random.default_rng(seed)
    return np.array([END, *(i for n in lengths for i in (*letters.integers(60, 90, n).tolist(), END))], np.int32)


def rows(
    context: int = 40, seed: int = 0, how: MaskedTokens | None = None, lengths: Sequence[int] = (30, 5, 60, 9, 70)
):
    data = Blocks(stream(lengths), context, shift=False, isolate=True, end=END)
    return MaskedRows(data, how or MaskedTokens(), BYTES, seed), data


def encoder(**changes: Any) -> Encoder:
    module = Blueprint.of("bert", "debug", vocab=BYTES.vocab, **changes).build()
    assert isinstance(module, Encoder)
    return randomised(module)


def labels_of(batch: Batch) -> Tensor:
    assert batch.labels is not None
    return batch.labels


# ---------------------------------------------------------------- what is hidden


def test_so_many_of_the_real_tokens_are_asked_for_and_never_an_end_or_padding():
    masked, data = rows()
    places = [Place(0, number) for number in range(len(data))]
    batch, plain = masked.batch(places), data.batch(places)
    assert batch.segments is not None and plain.segments is not None and (plain.segments == 0).any()
    asked = labels_of(batch) != IGNORED
    able = (plain.tokens != END) & (plain.segments > 0)
    assert not (asked & ~able).any()
    assert torch.equal(labels_of(batch)[asked], plain.tokens[asked])
    assert torch.equal(batch.tokens[~asked], plain.tokens[~asked])
    assert asked.sum(1).tolist() == [max(1, round(0.15 * n)) for n in able.sum(1).tolist()]
    assert torch.equal(batch.segments, plain.segments) and batch.samples == plain.samples
    assert MaskedTokens().counts(batch) == {"loss": int(asked.sum())}


@pytest.mark.parametrize("share", [0.15, 0.4])
@pytest.mark.parametrize(("hidden", "random"), [(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_of_those_four_fifths_are_masked_a_tenth_is_random_a_tenth_stays(share: float, hidden: float, random: float):
    masked, data = rows(200, how=MaskedTokens(share, hidden=hidden, random=random), lengths=[399])
    fates = Counter[str]()
    for epoch in range(100):
        batch, plain = masked.batch([Place(epoch, 0)]), data.batch([Place(epoch, 0)])
        asked = labels_of(batch) != IGNORED
        for now, was in zip(batch.tokens[asked].tolist(), plain.tokens[asked].tolist(), strict=True):
            fates["masked" if now == MASK else "kept" if now == was else "random"] += 1
    total = fates.total()
    assert total == 100 * round(share * 199)
    assert fates["masked"] / total == pytest.approx(hidden, abs=0.03 if 0 < hidden < 1 else 4e-3)
    assert fates["random"] / total == pytest.approx(random, abs=0.02)


def test_noise_is_a_function_of_seed_epoch_and_sample_alone():
    masked, data = rows()
    count = len(data)
    whole = masked.batch([Place(3, number) for number in range(count)])
    back = masked.batch([Place(3, number) for number in reversed(range(count))])
    for number in range(count):
        alone = masked.batch([Place(3, number)])
        for batch, row in ((whole, number), (back, count - 1 - number)):
            assert torch.equal(alone.tokens[0], batch.tokens[row])
            assert torch.equal(labels_of(alone)[0], labels_of(batch)[row])
    other = [rows(seed=1)[0].batch([Place(3, 0)]), masked.batch([Place(4, 0)]), masked.batch([Place(3, 1)])]
    assert all(not torch.equal((labels_of(batch) != IGNORED)[0], (labels_of(whole) != IGNORED)[0]) for batch in other)


def test_no_companions_padding_moves_the_noise():
    """A mixture's rows are as long as the longest of a batch."""
    short, long = (Blocks(stream([200], seed), context, end=END) for seed, context in ((1, 12), (2, 31)))
    mixture = Mixture([short, long], [1.0, 1.0])
    masked = MaskedRows(mixture, MaskedTokens(0.4), BYTES)
    places = [mixture.place(position, 0) for position in range(8)]
    together = masked.batch(places)
    for row, place in enumerate(places):
        alone = masked.batch([place])
        width = alone.tokens.shape[1]
        assert torch.equal(together.tokens[row, :width], alone.tokens[0])
        assert torch.equal(labels_of(together)[row, :width], labels_of(alone)[0])


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("processes", [1, 2])
def test_micro_batches_and_processes_hide_the_same(parts: int, processes: int):
    masked, _ = rows(lengths=[400])
    (whole,) = draw(masked, 16, TrainSettings(batch=8), World())
    settings = TrainSettings(batch=8, micro_batches=parts)
    shares = [draw(masked, 16, settings, World(rank, processes)) for rank in range(processes)]
    found = torch.cat([shares[rank][part].tokens for part in range(parts) for rank in range(processes)])
    assert torch.equal(found, whole.tokens)


def test_a_row_of_nothing_but_ends_is_asked_nothing():
    data = Blocks(np.full(9, END, np.int32), 8, end=END)
    batch = MaskedRows(data, MaskedTokens(), BYTES).batch([Place(0, 0)])
    assert MaskedTokens().counts(batch) == {"loss": 0}
    loss = MaskedTokens().losses(encoder(), batch)["loss"]
    assert loss.count == 0 and loss.sum.item() == 0 and loss.sum.requires_grad


def test_shares_that_cannot_be_and_pairs_are_refused():
    for share in (0.0, 1.1, -1.0):
        with pytest.raises(ValueError, match=f"share = {share} of a row"):
            MaskedTokens(share)
    for hidden, random in ((0.8, 0.3), (-0.1, 0.5)):
        with pytest.raises(ValueError, match=f"hidden = {hidden} and random = {random}"):
            MaskedTokens(hidden=hidden, random=random)
    pairs = MaskedRows(Pairs([("one", "eins")], BYTES, 16), MaskedTokens(), BYTES)
    with pytest.raises(ValueError, match="these are pairs: give data of texts"):
        pairs.batch([Place(0, 0)])


# ---------------------------------------------------------------- which id hides


def test_the_mask_is_the_tokenizers_own_or_one_id_more():
    objective = MaskedTokens()
    wordpiece, bpe = (train_tokenizer(kind, TEXTS, 300) for kind in ("wordpiece", "bpe"))
    words = train_tokenizer("word", TEXTS)
    assert wordpiece.pieces([mask_of(wordpiece)]) == [b""]
    assert wordpiece.mask == mask_of(wordpiece) == 4 and objective.ids(wordpiece) == wordpiece.vocab
    assert mask_of(BYTES) == MASK and objective.ids(BYTES) == 384
    for tokenizer in (bpe, words):
        assert tokenizer.mask is None
        assert mask_of(tokenizer) == tokenizer.vocab and objective.ids(tokenizer) == tokenizer.vocab + 1
    assert all(MASK not in BYTES.encode(text) for text in TEXTS)


def test_other_objectives_leave_rows_and_ids_as_they_are():
    _, data = rows()
    assert NextToken().turn(data, BYTES, 0) is data and NextToken().ids(BYTES) == 384


# ---------------------------------------------------------------- what it costs


def test_the_loss_is_the_cross_entropy_of_the_scores_where_it_is_asked():
    masked, data = rows(how=MaskedTokens(0.4))
    module, batch = encoder(), masked.batch([Place(0, number) for number in range(len(data))])
    loss = MaskedTokens().losses(module, batch)["loss"]
    scores = module.logits(module(batch.tokens, layout(batch))[0])
    expected = functional.cross_entropy(scores.flatten(0, 1), labels_of(batch).flatten(), reduction="sum")
    assert loss.count == int((labels_of(batch) != IGNORED).sum())
    torch.testing.assert_close(loss.sum, expected)
    parameters = list(module.parameters())
    for mine, other in zip(
        torch.autograd.grad(loss.sum, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["isolate", "pack"])
def test_packed_documents_give_the_loss_and_gradients_of_separate_rows(kind: str):
    tokens, how = stream([11, 6, 14, 3]), MaskedTokens(0.4)
    if kind == "isolate":
        data: Any = Blocks(tokens, 64, shift=False, isolate=True, end=END)
    else:
        data = Packed(tokens, np.flatnonzero(tokens == END) + 1, 64, end=END)
    module, batch = encoder(), MaskedRows(data, how, BYTES).batch([Place(0, 0)])
    assert batch.segments is not None and batch.segments.max() >= 4
    parameters = list(module.parameters())
    packed = how.losses(module, batch)["loss"]
    total, count = torch.zeros(()), 0
    for number in range(1, int(batch.segments.max()) + 1):
        own = batch.segments[0] == number
        loss = how.losses(module, Batch(batch.tokens[:, own], labels_of(batch)[:, own]))["loss"]
        total, count = total + loss.sum, count + loss.count
    assert packed.count == count
    torch.testing.assert_close(packed.sum, total)
    for mine, other in zip(
        torch.autograd.grad(packed.sum, parameters), torch.autograd.grad(total, parameters), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


def test_what_follows_from_its_neighbours_is_learned():
    """Letters in their order, over and over: a hidden one follows from any other."""
    tokens = np.array([END, *(60 + n % 13 for n in range(600))], np.int32)
    data = MaskedRows(Blocks(tokens, 32, end=END), MaskedTokens(), BYTES)
    module = Blueprint.of("bert", "debug", vocab=BYTES.vocab).build()
    losses: list[float] = []
    watch = Watcher()

    def seen(record: Record) -> None:
        assert record.loss is not None
        losses.append(record.loss)

    watch.step = seen  # type: ignore[method-assign]
    settings = TrainSettings(steps=60, batch=16, rate=3e-3, precision="fp32", threads=1, kernel="matmul")
    train(module, data, MaskedTokens(), settings, watch=watch)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


# ---------------------------------------------------------------- the encoder


def test_a_head_is_asked_by_its_name_and_what_there_is_is_said():
    module = encoder(pooler=True, tasks=["next_sentence", "masked"])
    x, _ = module(torch.randint(BYTES.vocab, (2, 9)))
    assert module.logits(x).shape == (2, 2) and module.logits(x, "masked").shape == (2, 9, BYTES.vocab)
    assert torch.equal(module.logits(x), module.logits(x, "next_sentence"))
    with pytest.raises(ValueError, match="no head is called 'mask'; there are next_sentence, masked"):
        module.logits(x, "mask")
    labels = torch.tensor([1, 0])
    expected = functional.cross_entropy(module.logits(x), labels, reduction="sum")
    torch.testing.assert_close(module.nats(x, labels, "next_sentence"), expected)


def test_an_encoder_without_heads_only_encodes():
    module = encoder(tasks=[])
    x, auxiliary = module(torch.randint(BYTES.vocab, (2, 9)))
    assert x.shape == (2, 9, 48) and auxiliary is None
    with pytest.raises(ValueError, match="this encoder has no head"):
        module.nats(x, torch.zeros(2, 9, dtype=torch.int64))
    with pytest.raises(ValueError, match="this encoder has no pooler"):
        module.pool(x)


def test_the_pooler_does_not_feel_what_pads_a_row():
    module, tokens = encoder(pooler=True), torch.randint(BYTES.vocab, (2, 9))
    together = module.pool(module(tokens, Layout.ragged(torch.tensor([9, 4]), 9))[0])
    alone = module.pool(module(tokens[1:, :4])[0])
    torch.testing.assert_close(together[1:], alone)


def test_what_cannot_be_built_says_why():
    with pytest.raises(ValueError, match="'next_sentence' reads a row's pooled vector, and there is no pooler"):
        Blueprint.of("bert", "debug", tasks=["masked", "next_sentence"]).build()
    with pytest.raises(ValueError, match="no task is called 'span': there are masked and next_sentence"):
        Blueprint.of("bert", "debug", tasks=["span"]).build()
    with pytest.raises(ValueError, match="types = 0"):
        Blueprint.of("bert", "debug", types=0).build()


def test_types_are_refused_where_there_are_none():
    decoder: Any = Blueprint.of("gpt2", "debug").build()
    tokens = torch.zeros(1, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="token types were given, but this embedding has none"):
        decoder.embed(tokens, Layout(), types=tokens)
