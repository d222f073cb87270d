"""The n-gram model against a slow, obvious reference and against numbers worked out by hand; xz against itself."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from weft.evaluate.baselines import FALLBACK, NGram, bits_per_byte, discounts, ngram_nats, xz_bits_per_byte


def stream(tokens) -> np.ndarray:
    return np.array(tokens, np.int32)


def noise(seed: int, length: int, vocab: int) -> np.ndarray:
    """Skewed tokens, so that every context has frequent, rare and unseen continuations."""
    return np.minimum(np.random.default_rng(seed).geometric(0.45, length) - 1, vocab - 1).astype(np.int32)


def reference(train: list[int], context: list[int], token: int, vocab: int, order: int) -> float:
    """The definition, read aloud: dictionaries and recursion."""
    counts: list[dict[tuple[int, ...], int]] = [{} for _ in range(order + 1)]
    counts[order] = Counter(tuple(train[i : i + order]) for i in range(len(train) - order + 1))
    for k in range(1, order):
        before = defaultdict(set)
        for i in range(len(train) - k):
            before[tuple(train[i + 1 : i + 1 + k])].add(train[i])
        counts[k] = {gram: len(tokens) for gram, tokens in before.items()}

    def p(k: int, history: tuple[int, ...]) -> float:
        if k == 0:
            return 1 / vocab
        d = (0.0, *discounts(np.array(list(counts[k].values()), np.int64)))
        after = [counts[k].get((*history, w), 0) for w in range(vocab)]
        below = p(k - 1, history[1:])
        if sum(after) == 0:
            return below
        rest = sum(d[min(c, 3)] for c in after)
        return (after[token] - d[min(after[token], 3)] + rest * below) / sum(after)

    k = min(order, len(context) + 1)
    return p(k, tuple(context[len(context) - k + 1 :]))


def test_a_case_worked_out_by_hand():
    # a b a c a b, order 2. Bigrams: ab 2, ba 1, ac 1, ca 1; no count of 3, so the discounts are 1/2, 1, 3/2.
    # Different tokens before a: 2, b: 1, c: 1, together 4; given away (1 + 1/2 + 1/2) / 4 = 1/2, evenly over 3 tokens:
    # p1(a) = (2 - 1)/4 + 1/6 = 5/12, p1(b) = p1(c) = (1 - 1/2)/4 + 1/6 = 7/24.
    # After a (3 times): p2(b|a) = (2 - 1)/3 + 1/2 · 7/24 = 23/48. After b (once): p2(a|b) = 1/2 + 1/2 · 5/12 = 17/24.
    train = stream([0, 1, 0, 2, 0, 1])
    assert ngram_nats(train, stream([0, 1, 0]), 3, 2) == pytest.approx(-math.log(23 / 48 * 17 / 24), rel=1e-12)
    assert NGram.fit(train, 3, 2).probabilities(stream([0, 0])) == pytest.approx([10 / 48], rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_context_sums_to_one_and_equals_the_reference(order):
    vocab, train = 5, noise(0, 300, 4)  # token 4 never occurs
    model = NGram.fit(train, vocab, order)
    contexts = [[0], [4], [3, 4], [0, 0, 0], [3, 3, 3], [1, 0, 2, 0], [4, 4, 4, 0], train[-4:].tolist()]
    for context in contexts:
        p = [model.probabilities(stream([*context, token]))[-1] for token in range(vocab)]
        assert sum(p) == pytest.approx(1, abs=1e-12) and min(p) > 0
        assert p == pytest.approx(
            [reference(train.tolist(), context, w, vocab, order) for w in range(vocab)], rel=1e-12
        )


def test_ngram_nats_alone_gives_a_distribution():
    train, vocab = noise(1, 2000, 6), 6
    for context in itertools.product(range(3), repeat=4):
        known = ngram_nats(train, stream(context), vocab)
        after = [ngram_nats(train, stream([*context, token]), vocab) for token in range(vocab)]
        assert sum(math.exp(known - nats) for nats in after) == pytest.approx(1, abs=1e-9)


def test_discounts_and_their_fallback():
    some = discounts(np.repeat([1, 2, 3, 4], [40, 20, 10, 5]))
    assert some == pytest.approx((0.5, 1.25, 2.0))  # Y = 40 / (40 + 2 · 20) = 1/2
    assert discounts(np.array([1, 1, 2, 4])) == FALLBACK  # nothing occurs three times
    assert discounts(np.repeat([1, 2, 3, 4], [9, 1, 9, 1])) == FALLBACK  # D_2 would be negative
    assert discounts(np.bincount(noise(1, 2000, 6)[:-1] * 6 + noise(1, 2000, 6)[1:])) == FALLBACK
    grams = np.unique(np.lib.stride_tricks.sliding_window_view(noise(0, 300, 4), 4), axis=0, return_counts=True)[1]
    assert discounts(grams) != FALLBACK


def test_more_context_predicts_structured_text_better():
    words = [b"the cat sat on the mat. ", b"a dog saw the cat. ", b"the dog sat down. ", b"on the mat a cat slept. "]
    pick = np.random.default_rng(2).integers(0, 4, 600)
    train, held_out = (np.frombuffer(b"".join(words[i] for i in part), np.uint8) for part in (pick[:500], pick[500:]))
    one, two, five = (bits_per_byte(ngram_nats(train, held_out, 256, n), len(held_out) - 1) for n in (1, 2, 5))
    assert five < 0.6 * two < 0.6 * one < 0.6 * 8


def test_same_numbers_every_time_and_inputs_untouched():
    train, held_out = noise(3, 5000, 40), noise(4, 500, 40)
    before = train.copy(), held_out.copy()
    assert ngram_nats(train, held_out, 40) == ngram_nats(train, held_out, 40)
    assert np.array_equal(train, before[0]) and np.array_equal(held_out, before[1])


def test_each_token_is_predicted_once_without_looking_ahead():
    train, held_out = noise(5, 3000, 8), noise(6, 200, 8)
    p = NGram.fit(train, 8).probabilities(held_out)
    assert len(p) == 199 and np.array_equal(p[:99], NGram.fit(train, 8).probabilities(held_out[:100]))
    far = np.concatenate([[7, 7, 7], held_out[100:]]).astype(np.int32)  # another past beyond four tokens
    assert np.allclose(NGram.fit(train, 8).probabilities(far)[6:], p[103:], rtol=1e-15)


def test_nothing_to_learn_from_or_to_predict():
    assert ngram_nats(stream([]), stream([1, 2, 3]), 4) == pytest.approx(2 * math.log(4))
    assert ngram_nats(stream([1]), stream([1, 2, 3]), 4) == pytest.approx(2 * math.log(4))
    assert ngram_nats(noise(7, 50, 4), stream([2]), 4) == ngram_nats(noise(7, 50, 4), stream([]), 4) == 0


def test_errors_name_the_value():
    with pytest.raises(ValueError, match=r"held_out\[1\] is 9, not an id in \[0, 9\)"):
        ngram_nats(stream([1, 2]), stream([3, 9]), 9)
    with pytest.raises(ValueError, match=r"train\[0\] is -1"):
        ngram_nats(stream([-1]), stream([3]), 9)
    with pytest.raises(ValueError, match="order=0"):
        ngram_nats(stream([1, 2]), stream([3]), 9, 0)
    with pytest.raises(ValueError, match="float64 of shape"):
        ngram_nats(np.ones(3), stream([3]), 9)
    with pytest.raises(ValueError, match="bytes=0"):
        bits_per_byte(1.0, 0)
    with pytest.raises(ValueError, match="got none"):
        xz_bits_per_byte(b"")


def test_bits_per_byte():
    assert bits_per_byte(math.log(2) * 24, 3) == pytest.approx(8)


def test_xz_of_known_bytes():
    assert xz_bits_per_byte(b"a") == 8 * 60  # printf a | xz -9 | wc -c
    random = np.random.default_rng(8).bytes(20_000)
    assert 8 < xz_bits_per_byte(random) < 8.1
    assert xz_bits_per_byte(random, given=random) < 0.2
    assert xz_bits_per_byte(bytes(20_000)) < 0.1
