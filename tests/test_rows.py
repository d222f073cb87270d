"""Rows of whole documents, and rows of several sources: what each sample is, and when it is read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Bytes, Mixture, Packed, Pairs, place, places
from weft.data.mixture import proportions
from weft.data.order import mix_many
from weft.evaluate import likelihood
from weft.models import Blueprint
from weft.objectives import NextToken

END = 0
LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=30)


def stored(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Documents of these lengths as one stream of tokens that are all different but for END, and where each begins."""
    tokens, offsets, number = [END], [1], 1
    for length in lengths:
        tokens += [*range(number, number + length), END]
        number += length
        offsets.append(len(tokens))
    return np.asarray(tokens, np.uint32), np.asarray(offsets)


def packed(lengths: Sequence[int], context: int, seed: int = 0) -> Packed:
    return Packed(*stored(lengths), context, end=END, seed=seed)


def whole(rows: Packed) -> Batch:
    return rows.batch(places(0, range(len(rows))))


# ---- packing ----


@given(LENGTHS, st.integers(1, 16), st.integers(0, 3))
@example([0], 1, 0)
def test_every_token_is_predicted_exactly_once(lengths: list[int], context: int, seed: int):
    rows = packed(lengths, context, seed)
    batch = whole(rows)
    assert batch.labels is not None
    labels = batch.labels[batch.labels != IGNORED].tolist()
    assert Counter(labels) == Counter(rows.tokens[1:].tolist())
    assert rows.fill == pytest.approx(len(labels) / batch.labels.numel())


@given(LENGTHS, st.integers(1, 16))
def test_a_segment_is_a_document_or_a_piece_of_one(lengths: list[int], context: int):
    rows = packed(lengths, context)
    batch = whole(rows)
    assert batch.labels is not None and batch.order is not None and batch.segments is not None
    found = []
    for tokens, labels, order, segments in zip(
        batch.tokens.tolist(), batch.labels.tolist(), batch.order.tolist(), batch.segments.tolist(), strict=True
    ):
        kinds = sorted({number for number in segments if number})
        assert kinds == list(range(1, len(kinds) + 1))
        assert segments == sorted(segments, key=lambda number: number or 10**9)  # the padding comes last
        for kind in kinds:
            at = [place for place, number in enumerate(segments) if number == kind]
            assert [order[place] for place in at] == list(range(len(at)))
            found.append([tokens[at[0]], *(labels[place] for place in at)])
            assert [tokens[place] for place in at[1:]] == found[-1][1:-1]
        assert all(labels[place] == IGNORED for place, number in enumerate(segments) if not number)
    expected, (tokens, offsets) = [], stored(lengths)
    for start, stop in zip(offsets[:-1] - 1, offsets[1:] - 1, strict=True):
        cuts = range(start, stop, context)
        expected += [tokens[cut : min(cut + context, stop) + 1].tolist() for cut in cuts]
    assert sorted(found) == sorted(expected)


@given(st.lists(st.integers(0, 15), min_size=1, max_size=40), st.integers(0, 3))
def test_rows_are_filled_as_best_fit_fills_them(lengths: list[int], seed: int):
    context = 16
    room: list[int] = []
    for size in sorted((length + 1 for length in lengths), reverse=True):
        fits = [number for number, space in enumerate(room) if space >= size]
        if fits:
            room[min(fits, key=lambda number: room[number])] -= size
        else:
            room.append(context - size)
    rows = packed(lengths, context, seed)
    filled = np.add.reduceat(rows.plan.lengths, rows.plan.bounds[:-1])
    assert sorted((context - filled).tolist()) == sorted(room)


def test_little_is_padding_where_documents_are_many():
    lengths = (np.random.default_rng(0).lognormal(4, 1, 3000)).astype(int).tolist()
    assert packed(lengths, 256).fill > 0.995


def test_the_plan_is_a_function_of_the_seed():
    lengths = [3, 4, 5, 3, 4, 5, 9, 9] * 20
    first, again, other = (packed(lengths, 16, seed).plan.starts for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert packed(lengths, 16).batch([Place(0, 3)]).tokens.equal(packed(lengths, 16).batch([Place(7, 3)]).tokens)


def test_packing_refuses_what_is_no_stream_of_documents():
    tokens, offsets = stored([3, 4])
    for wrong in (offsets[:-1], offsets[:1], offsets + 1):
        with pytest.raises(ValueError, match="do not lead from 1 to the end of 10 tokens"):
            Packed(tokens, wrong, 8, end=END)
    with pytest.raises(ValueError, match="context=0"):
        Packed(tokens, offsets, 0, end=END)
    with pytest.raises(ValueError, match="samples"):
        Packed(tokens, offsets, 8, end=END).batch(places(0, [9]))


def test_bits_of_many_numbers_are_mixed():
    found = mix_many(3, 10_000)
    assert len(set(found.tolist())) == 10_000 and not set(found.tolist()) & set(mix_many(4, 10_000).tolist())
    assert abs(np.corrcoef(np.argsort(found), np.arange(10_000))[0, 1]) < 0.05


@pytest.mark.parametrize("context", [24, 8])  # 8: longer documents are cut
def test_packed_rows_cost_and_teach_what_separate_rows_do(context: int):
    module = Blueprint.of("llama", "debug").change("vocab", "64").build(seed=0).eval()
    lengths = [11, 1, 14, 3, 0, 20, 2]
    rows = packed(lengths, context)
    tokens, plan, objective = torch.from_numpy(rows.tokens.astype(np.int64)), rows.plan, NextToken()

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, list(module.parameters())))

    together = objective.losses(module, whole(rows))["loss"]
    alone = torch.zeros(())
    for start, length in zip(plan.starts.tolist(), plan.lengths.tolist(), strict=True):
        piece = tokens[None, start : start + length + 1]
        alone = alone + objective.losses(module, Batch(piece[:, :-1], piece[:, 1:]))["loss"].sum
    assert together.count == sum(lengths) + len(lengths)
    assert together.sum.item() == pytest.approx(alone.item(), rel=1e-5)
    for found, expected in zip(gradients(together.sum), gradients(alone), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_rows_without_a_label_have_no_likelihood():
    class Unlabelled(Packed):
        def batch(self, places: Sequence[Place]) -> Batch:
            found = super().batch(places)
            return replace(found, labels=torch.full_like(found.tokens, IGNORED))

    module = Blueprint.of("llama", "debug").change("vocab", "64").build(seed=0).eval()
    with pytest.raises(ValueError, match="none of the 2 samples has a label: there is nothing to evaluate"):
        likelihood(module, Unlabelled(*stored([7, 7]), 8, end=END), NextToken(), bytes=14)


# ---- mixtures ----


class Numbers:
    """Samples of one token: its source's number and its own; in its own order."""

    def __init__(self, source: int, size: int) -> None:
        self.source, self.size = source, size

    def __len__(self) -> int:
        return self.size

    def place(self, position: int, seed: int) -> Place:
        return place(position, self.size, seed)

    def batch(self, places: Sequence[Place]) -> Batch:
        rows = [[self.source, found.epoch, found.sample] for found in places]
        return Batch(torch.tensor(rows), labels=torch.tensor(rows), samples=tuple(found.sample for found in places))


WEIGHTS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(WEIGHTS, st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 200))
def test_every_window_of_a_block_has_the_weights_and_every_source_its_epochs(
    weights: list[int], sizes: list[int], seed: int, start: int
):
    mixture = Mixture([Numbers(*each) for each in enumerate(sizes[: len(weights)])], weights, seed)
    counts = proportions(weights)
    assert mixture.block == sum(counts) and len(mixture) == sum(sizes[: len(weights)])
    window = [mixture.place(position, seed) for position in range(start, start + mixture.block)]
    assert Counter(mixture.source(found.sample) for found in window) == dict(enumerate(counts))
    every = [mixture.place(position, seed) for position in range(mixture.block * 12)]
    for source, count in enumerate(counts):
        mine = [found for found in every if mixture.source(found.sample) == source]
        assert len(mine) == 12 * count
        epochs = Counter(mine)
        assert set(epochs.values()) == {1}  # never twice in one epoch
        size = sizes[source]
        for epoch in range(len(mine) // size):
            part = mine[epoch * size : (epoch + 1) * size]
            assert {found.epoch for found in part} == {epoch} and len({found.sample for found in part}) == size


@given(WEIGHTS, st.integers(0, 2**63), st.integers(0, 10**15))
def test_a_place_far_out_is_found_at_once(weights: list[int], seed: int, position: int):
    mixture = Mixture([Numbers(number, 7) for number in range(len(weights))], weights)
    found = mixture.place(position, seed)
    source = mixture.source(found.sample)
    per_block = proportions(weights)[source]
    assert found.epoch * 7 <= (position // mixture.block + 1) * per_block
    assert found == mixture.place(position, seed)
    batch = mixture.batch([found])
    assert batch.tokens[0].tolist() == [source, found.epoch, found.sample - 7 * source]


@given(WEIGHTS, st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(1, 5))
def test_how_often_each_source_is_read_is_said(weights: list[int], sizes: list[int], blocks: int):
    """By its weight, not by its size: an epoch of the mixture is not an epoch of each of its sources."""
    sizes = sizes[: len(weights)]
    mixture = Mixture([Numbers(*each) for each in enumerate(sizes)], weights)
    places = blocks * mixture.block
    read = Counter(mixture.source(mixture.place(position, 0).sample) for position in range(places))
    assert mixture.epochs(places) == pytest.approx([read[source] / size for source, size in enumerate(sizes)])
    assert Mixture([Numbers(0, 40), Numbers(1, 10)], [3, 1]).epochs(50) == pytest.approx([37.5 / 40, 12.5 / 10])


def test_a_pattern_is_spread_evenly_and_turned_by_the_seed():
    mixture = Mixture([Numbers(0, 5), Numbers(1, 5)], [3, 1])
    turns = [mixture.source(mixture.place(position, 0).sample) for position in range(400)]
    assert max(len(run) for run in "".join(map(str, turns)).split("1")) == 3
    starts = {
        tuple(mixture.source(mixture.place(p, 0).sample) for p in range(4))
        for mixture in (Mixture([Numbers(0, 5), Numbers(1, 5)], [3, 1], seed) for seed in range(30))
    }
    assert len(starts) == 4


def test_the_rows_of_a_batch_keep_their_order():
    mixture = Mixture([Numbers(0, 3), Numbers(1, 4), Numbers(2, 2)], [1, 1, 1])
    batch = mixture.batch([Place(5, 7), Place(0, 0), Place(2, 6), Place(1, 8), Place(0, 1)])
    assert batch.tokens.tolist() == [[2, 5, 0], [0, 0, 0], [1, 2, 3], [2, 1, 1], [0, 0, 1]]
    assert batch.samples == (7, 0, 6, 8, 1)
    assert batch.order is None and batch.segments is None and batch.labels is not None


def test_rows_of_several_lengths_are_padded():
    blocks = Blocks(np.arange(1, 30), 6)
    isolated = Blocks(np.asarray([0, 5, 6, 0, 7, 0, 8, 9, 0]), 4, shift=False, isolate=True, end=0)
    mixture = Mixture([blocks, isolated], [1, 1])
    batch = mixture.batch([Place(0, len(blocks)), Place(0, 0)])
    assert batch.labels is not None and batch.order is not None and batch.segments is not None
    assert batch.tokens[0].tolist() == [0, 5, 6, 0, 0, 0] and batch.labels[0].tolist()[3:] == [7, IGNORED, IGNORED]
    assert batch.segments.tolist() == [[1, 1, 1, 2, 0, 0], [1] * 6]
    assert batch.order.tolist() == [[0, 1, 2, 0, 0, 0], list(range(6))]
    assert batch.tokens[1].equal(blocks.batch([Place(0, 0)]).tokens[0])


def test_pairs_are_mixed_with_pairs_and_not_with_text():
    first, second = (Pairs([(text, text[::-1])], Bytes(), 16) for text in ("ab", "cdefg"))
    batch = Mixture([first, second], [1, 1]).batch([Place(0, 1), Place(0, 0)])
    assert batch.source is not None and batch.source.segments is not None
    assert batch.source.segments.tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]
    assert batch.source.tokens[0].equal(second.batch([Place(0, 0)]).source.tokens[0])  # type: ignore[union-attr]
    assert batch.samples == batch.source.samples == (1, 0)
    alone = Mixture([first, second], [1, 1]).batch([Place(0, 1)])
    assert alone.source is not None and alone.samples == alone.source.samples == (1,)
    with pytest.raises(ValueError, match="mix like with like"):
        Mixture([first, Blocks(np.arange(9), 3)], [1, 1]).batch([Place(0, 0), Place(0, 1)])


def test_weights_are_exact_as_they_are_written():
    assert proportions([0.7, 0.3]) == [7, 3] and proportions([2, 4]) == [1, 2] and proportions([0.1, 0.25]) == [2, 5]
    for wrong in ([1.0, 0.0], [-1.0], [float("nan")], [float("inf")]):
        with pytest.raises(ValueError, match="each is above 0"):
            proportions(wrong)
    with pytest.raises(ValueError, match="round them"):
        proportions([0.123456789, 1])
    with pytest.raises(ValueError, match="1 data sets and 2 weights"):
        Mixture([Numbers(0, 1)], [1, 1])
    with pytest.raises(ValueError, match="data set 1 of the mixture has no samples"):
        Mixture([Numbers(0, 1), Numbers(1, 0)], [1, 1])
    mixture = Mixture([Numbers(0, 2)], [1])
    for indices in ([], [-1], [2]):
        with pytest.raises(ValueError, match="of a mixture of 2"):
            mixture.batch(places(0, indices))
    with pytest.raises(ValueError, match="position -1"):
        mixture.place(-1, 0)
