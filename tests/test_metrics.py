"""Metrics against values worked out by hand, slow definitions read aloud, and what they must keep to."""

import itertools
import math
import statistics
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.evaluate import METRICS, Bootstrap, Score, fitting, holm, metric_for, over_seeds
from weft.evaluate import calibration as cal
from weft.evaluate.answers import AnswerShare, answer_f1, exact_match, normalised, squad
from weft.evaluate.bleu import SACREBLEU, TOKENISED, bleu, chrf, ter, tokenised_bleu
from weft.evaluate.classify import PrecisionRecall, accuracy, binary, confusion, macro, matthews, micro, weighted
from weft.evaluate.entities import Chunk, conll_chunks, entity_scores, iob2_chunks, token_accuracy
from weft.evaluate.intervals import Corpus
from weft.evaluate.metric import GIVEN
from weft.evaluate.regress import mse, pearson, ranks, spearman
from weft.registry import UnknownName

close = pytest.approx


def pairs(labels, least=1):
    """Samples of a prediction and a gold label."""
    return st.lists(st.tuples(labels, labels), min_size=least, max_size=30)


def apart(samples):
    """Pairs -> predictions, gold."""
    return [a for a, _ in samples], [b for _, b in samples]


# --- classes


def scores(predicted, gold, label) -> tuple[float, float, float]:
    """Precision, recall and F1 of one class, by walking over the samples."""
    hit = missed = wrong = 0
    for p, g in zip(predicted, gold, strict=True):
        hit += p == label and g == label
        wrong += p == label and g != label
        missed += p != label and g == label
    precision = hit / (hit + wrong) if hit + wrong else 0.0
    recall = hit / (hit + missed) if hit + missed else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def numbers(found: PrecisionRecall) -> tuple[float, float, float]:
    return found.precision, found.recall, found.f1


def test_classes_by_hand() -> None:
    predicted, gold = [1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 1, 0]  # 2 hits, 1 false, 1 missed, 2 rightly left
    assert accuracy(predicted, gold) == close(4 / 6)
    assert numbers(binary(predicted, gold)) == close((2 / 3, 2 / 3, 2 / 3))
    assert matthews(predicted, gold) == close((2 * 2 - 1 * 1) / math.sqrt(3 * 3 * 3 * 3))
    found = confusion(["b", "a", "b"], ["a", "a", "b"])
    assert found.classes == ("a", "b") and found.counts.tolist() == [[1, 1], [0, 1]]


def test_averages_by_hand() -> None:
    gold, predicted = list("aaaabbc"), list("aabbbca")  # a: 2 of 3, 2 of 4; b: 1 of 3, 1 of 2; c: 0 of 1, 0 of 1
    each = {"a": 2 * 2 / 7, "b": 2 * 1 / 5, "c": 0.0}
    assert macro(predicted, gold).f1 == close(sum(each.values()) / 3)
    assert macro(predicted, gold).precision == close((2 / 3 + 1 / 3 + 0) / 3)
    assert weighted(predicted, gold).f1 == close((4 * each["a"] + 2 * each["b"]) / 7)
    assert numbers(micro(predicted, gold)) == close((3 / 7,) * 3)
    assert macro(predicted, gold, over=["a", "b"]).f1 == close((each["a"] + each["b"]) / 2)
    assert micro(predicted, gold, over=["a", "b"]).f1 == close(2 * 3 / (3 + 3 + 4 + 2))
    assert macro(predicted, gold, classes="abcd").f1 == close(sum(each.values()) / 4)  # d never occurs, and counts


def test_a_share_of_nothing_is_nothing() -> None:
    assert numbers(binary([0, 0], [0, 0])) == (0, 0, 0)
    assert numbers(binary([0, 0], [1, 0])) == (0, 0, 0)
    assert numbers(weighted(["a", "a"], ["a", "a"], classes="ab", over="b")) == (0, 0, 0)
    assert matthews([1, 1, 1], [0, 1, 0]) == 0 == matthews([0, 1], [1, 1])


@given(pairs(st.sampled_from("abcd")))
def test_f1_is_what_walking_over_the_samples_gives(samples) -> None:
    predicted, gold = apart(samples)
    found = sorted({*predicted, *gold})
    each = [scores(predicted, gold, label) for label in found]
    assert numbers(macro(predicted, gold)) == close(tuple(map(statistics.fmean, zip(*each, strict=True))))
    shares = [gold.count(label) / len(gold) for label in found]
    wanted = tuple(
        sum(x * share for x, share in zip(column, shares, strict=True)) for column in zip(*each, strict=True)
    )
    assert numbers(weighted(predicted, gold)) == close(wanted)
    assert numbers(micro(predicted, gold)) == close((accuracy(predicted, gold),) * 3)
    ones = [int(x == "a") for x in predicted], [int(x == "a") for x in gold]
    assert (
        numbers(binary(*ones)) == close(scores(*ones, 1)) == numbers(micro(predicted, gold, over="a", classes="abcd"))
    )


@given(pairs(st.integers(0, 3)))
def test_matthews_is_the_correlation_of_one_hot_rows(samples) -> None:
    predicted, gold = apart(samples)
    x, y = np.eye(4)[predicted], np.eye(4)[gold]  # [N] -> [N, C]
    x, y = x - x.mean(0), y - y.mean(0)
    spread = math.sqrt((x * x).sum() * (y * y).sum())
    assert matthews(predicted, gold) == close((x * y).sum() / spread if spread > 1e-9 else 0.0, abs=1e-12)


def test_matthews_of_many_samples_does_not_overflow() -> None:
    gold = np.arange(100_000) % 2
    assert matthews(gold, gold) == close(1) and matthews(1 - gold, gold) == close(-1)


@given(pairs(st.integers(0, 2)), st.randoms(use_true_random=False))
def test_the_order_of_samples_and_the_names_of_classes_do_not_matter(samples, random) -> None:
    shuffled = random.sample(samples, len(samples))
    renamed = [("cab"[a], "cab"[b]) for a, b in shuffled]
    for metric in (accuracy, matthews, lambda p, g: macro(p, g).f1, lambda p, g: weighted(p, g).precision):
        assert metric(*apart(samples)) == close(metric(*apart(renamed)), abs=1e-12)


def test_labels_may_be_numpys() -> None:
    predicted, gold = np.array([0, 1, 1]), [np.int64(0), 1, np.int64(0)]
    assert accuracy(predicted, gold) == close(2 / 3) == accuracy(list("abb"), np.array(list("aba")))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: accuracy([], []), "0 predicted and 0 gold"),
        (lambda: accuracy([1], [1, 0]), "1 predicted and 2 gold: pass one prediction for each gold"),
        (lambda: accuracy("ab", "ab"), "predicted is one text, 'ab': pass a list"),
        (lambda: accuracy([0.7], [1]), r"predicted\[0\] is 0.7, a float.*choose a metric of numbers"),
        (lambda: accuracy([1], ["1"]), "gold has the name '1' and predicted the number 1"),
        (lambda: accuracy(np.zeros((2, 3)), [0, 1]), r"predicted is of shape \(2, 3\).*argmax"),
        (lambda: macro(["x"], ["a"], classes="ab"), r"predicted\[0\] is 'x', which is none of the 2 classes 'a', 'b'"),
        (lambda: confusion([0], [2], classes=[0, 1]), r"gold\[0\] is 2, which is none of the 2 classes 0, 1"),
        (lambda: macro([0], [1], classes=[0, 1], over=[7]), r"what is asked for\[0\] is 7"),
        (lambda: binary([0, 1], [2, 1]), "two classes, the positive one being 1, and there are 3: 0, 1, 2; .*macro"),
        (lambda: binary(["a"], ["b"]), "the number 1: a class is written in one way"),
        (lambda: pearson(["a", "b"], [1, 2]), "is of numbers, and predicted is <U1"),
        (lambda: pearson([1.0, math.nan], [1, 2]), r"predicted\[1\] is nan, one of 1 in 2"),
        (lambda: spearman([1.0, 2.0], [3, 3]), "needs gold that varies, and all 2 are alike"),
        (lambda: mse([1.0], [1, 2]), "1 predicted and 2 gold"),
        (lambda: squad(["a"], ["a"]), r"gold answers are one text, 'a': pass a list, \[\] for no answer"),
        (lambda: squad(["a"], [[]], no_answer=[0.1, 0.2]), "2 predicted and 1 gold"),
        (lambda: squad(["a"], [[]], no_answer=[math.inf]), r"no_answer\[0\] is inf"),
        (lambda: entity_scores([["O"]], [["O", "O"]]), "row 0 has 1 predicted and 2 gold tags"),
        (lambda: entity_scores([["L-X"]], [["O"]]), "token 0 of a row has the tag 'L-X'.*BILOU"),
        (lambda: entity_scores(["O"], [["O"]]), "row 0 is one text"),
        (lambda: entity_scores([[]], [[]]), "the 1 rows have no tokens"),
        (lambda: entity_scores([["S-X"]], [["O"]], chunks=iob2_chunks), "O or one of B-TYPE, I-TYPE"),
        (
            lambda: cal.brier([[0.2, 3.0]], [0]),
            "row 0 is no distribution, its least is 0.2 and its sum 3.2, not 1.*softm",
        ),
        (lambda: cal.brier([[0.2, math.nan]], [0]), "row 0 is no distribution"),
        (lambda: cal.brier([[0.5, 0.5]], [2]), r"gold\[0\] is 2, and the rows have 2 classes"),
        (lambda: cal.brier([0.5], [1]), r"pass \[1 - p, p\]"),
        (lambda: cal.reliability([[1.0]], [0], bins=0), "got bins=0"),
        (lambda: Bootstrap(level=95), "got level=95 and resamples=1000"),
        (lambda: Bootstrap().mean([1.0]), "2 samples or more, got 1"),
        (lambda: Bootstrap().mean([]), "2 samples or more, got 0"),
        (lambda: over_seeds([1.0]), "2 runs or more, got 1"),
        (lambda: bleu(["a"], ["a", "b"]), "BLEU: 1 predicted and 2 gold"),
        (lambda: bleu("a", ["a"]), "predicted is one text"),
        (lambda: ter(["a"], [[]]), "sample 0 has no reference"),
        (lambda: chrf([[1, 2]], ["a"]), r"sample 0 is \[1, 2\] against \['a'\]: decode them"),
    ],
)
def test_what_cannot_be_scored_is_named_with_a_way_out(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


# --- numbers


def test_correlations_by_hand() -> None:
    assert pearson([1, 2, 3], [2, 1, 3]) == close(0.5)  # 1 of covariance, 2 and 2 of squares
    assert ranks(np.array([3.0, 1, 3, 2])).tolist() == [3.5, 1, 3.5, 2]
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == close(4.5 / math.sqrt(4.5 * 5))
    assert mse([1, 2], [3, 2]) == 2
    assert pearson([0.1, 0.1, 0.1], [1, 2, 3]) == 0 == spearman([7, 7], [1, 2])


floats = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def slow_ranks(values):
    return [1 + sum(b < a for b in values) + (sum(b == a for b in values) - 1) / 2 for a in values]


@given(pairs(st.one_of(floats, st.integers(-2, 2)), least=2))
def test_correlations_are_those_of_the_definition(samples) -> None:
    x, y = apart(samples)
    if len(set(y)) > 1:
        slow = slow_ranks(x), slow_ranks(y)
        assert spearman(x, y) == close(statistics.correlation(*slow) if len(set(x)) > 1 else 0, abs=1e-9)
        assert pearson(x, y) == close(statistics.correlation(x, y) if len(set(x)) > 1 else 0, abs=1e-6)
        assert pearson(y, y) == close(1) == close(spearman(y, y)) and mse(y, y) == 0


@given(pairs(st.integers(-50, 50), least=2))
def test_spearman_sees_order_alone(samples) -> None:
    x, y = apart(samples)
    if len(set(y)) > 1:
        assert spearman([math.exp(a / 10) for a in x], [b**3 for b in y]) == close(spearman(x, y))
        assert spearman([-a for a in x], y) == close(-spearman(x, y))


@pytest.mark.parametrize("scale", [1e-200, 1, 1e200])
def test_the_size_of_numbers_does_not_matter(scale: float) -> None:
    assert pearson(np.array([1, 2, 3]) * scale, [2, 1, 3]) == close(0.5)


# --- answers


def test_answers_are_normalised_as_squad_does() -> None:
    assert normalised("The  Cat, a dog & an Owl!") == "cat dog owl"
    assert normalised("the-end of U.S. “an” era") == "theend of us “ ” era"
    assert exact_match("the Denver Broncos.", ["Denver Broncos", "Broncos"]) == 1
    assert answer_f1("in the year 1066", ["1066", "October 1066"]) == close(2 * (1 / 3) / (4 / 3))
    assert answer_f1("a b b c", ["b b b"]) == close(2 * (2 / 3) * (2 / 3) / (4 / 3))  # "a" is an article
    assert (exact_match("", []), answer_f1("", []), answer_f1("x", []), answer_f1("the", ["x"])) == (1, 1, 0, 0)
    assert exact_match("", ["The"]) == 1  # a gold answer of which nothing is left is none


def test_squad_by_hand() -> None:
    predicted = ["Paris", "the big cat", "", "wrong", "guess", ""]
    gold = [["Paris", "paris, France"], ["cat"], ["lost"], ["right"], [], []]
    scores = [0.1, 0.2, 0.9, 0.7, 0.8, 0.95]
    found = squad(predicted, gold, no_answer=scores)
    f1 = 2 * 0.5 / 1.5
    assert found.figures() == close(
        {
            "exact": 100 * (1 + 1) / 6,
            "f1": 100 * (1 + f1 + 1) / 6,
            "total": 6,
            "HasAns_exact": 100 / 4,
            "HasAns_f1": 100 * (1 + f1) / 4,
            "HasAns_total": 4,
            "NoAns_exact": 50,
            "NoAns_f1": 50,
            "NoAns_total": 2,
            "best_exact": 50,  # Paris, and the two without an answer; nothing later adds to it
            "best_exact_thresh": 0.1,
            "best_f1": 100 * (1 + f1 + 2) / 6,
            "best_f1_thresh": 0.2,
        }
    )
    left = squad(predicted, gold, no_answer=scores, threshold=0.2).figures()
    assert (left["exact"], left["f1"]) == close((50, 100 * (3 + f1) / 6))
    alone = squad(["a"], [["a"]])
    assert alone.no_answer is None and alone.figures() == {
        "exact": 100, "f1": 100, "total": 1, "HasAns_exact": 100, "HasAns_f1": 100, "HasAns_total": 1,
    }  # fmt: skip


words = st.lists(st.sampled_from(["the", "cat", "Cat,", "dog", "!"]), max_size=3).map(" ".join)
questions = st.lists(st.tuples(words, st.lists(words, max_size=2), st.integers(0, 3)), min_size=1, max_size=8)


@given(questions)
def test_the_best_threshold_is_the_best_that_trying_finds(asked) -> None:
    """With scores that differ, as trying each of them as a threshold; a bare answer of "!" counts as one there."""
    asked = [(a if normalised(a) else "", g, s + place / 100) for place, (a, g, s) in enumerate(asked)]
    predicted, gold, scores = (list(column) for column in zip(*asked, strict=True))
    found = squad(predicted, gold, no_answer=scores)
    tried = [squad(predicted, gold, no_answer=scores, threshold=t).overall for t in (-1.0, *scores)]
    assert found.best_exact is not None and found.best_f1 is not None
    if all(normalised(one) for several in gold for one in several):  # else a question with gold "!" is both kinds
        assert found.best_exact.score == close(max(one.exact for one in tried))
        assert found.best_f1.score == close(max(one.f1 for one in tried))


@given(questions)
def test_exact_never_exceeds_f1_and_the_parts_make_the_whole(asked) -> None:
    predicted, gold, _ = (list(column) for column in zip(*asked, strict=True))
    found = squad(predicted, gold)
    assert found.overall.exact <= found.overall.f1 + 1e-9 <= 100 + 1e-6
    parts = [part for part in (found.has_answer, found.no_answer) if part]
    assert sum(part.total for part in parts) == len(gold)
    assert sum(part.f1 * part.total for part in parts) / len(gold) == close(found.overall.f1)
    right = [next(filter(normalised, several), "") for several in gold]
    assert squad(right, gold).overall == AnswerShare(100, 100, len(gold))


# --- entities

BEGINS = {*itertools.product("OBIES", "BS"), ("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")}
ENDS = {*itertools.product("ES", "OBIES"), *itertools.product("BI", "BSO")}


def by_the_tables(tags):
    """conlleval's own way: two tables of which tag beside which begins and ends a chunk, and a type that changes."""
    found, begin, before = [], None, ("O", "")
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        differs = kind != before[1]
        if (before[0], prefix) in ENDS or (before[0] != "O" and differs):
            found.append(Chunk(begin, place, before[1]))
        if (before[0], prefix) in BEGINS or (prefix != "O" and differs):
            begin = place
        before = prefix, kind
    return found


def test_chunks_are_those_of_conllevals_tables() -> None:
    tags = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in "XY")]
    for length in range(1, 5):
        for row in itertools.product(tags, repeat=length):
            assert conll_chunks(row) == by_the_tables(row), row


@pytest.mark.parametrize(
    ("tags", "lenient", "strict"),
    [
        ("B-X I-X O B-Y", [(0, 2, "X"), (3, 4, "Y")], [(0, 2, "X"), (3, 4, "Y")]),
        ("I-X I-X O", [(0, 2, "X")], []),  # I at the start: IOB1's way to begin
        ("O I-X B-X", [(1, 2, "X"), (2, 3, "X")], [(2, 3, "X")]),  # IOB1's B, between two of a type
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")], [(0, 1, "X"), (1, 2, "X")]),
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")], [(0, 1, "X")]),  # I after another type
        ("B-X I-Y I-X", [(0, 1, "X"), (1, 2, "Y"), (2, 3, "X")], [(0, 1, "X")]),
        ("B I O B", [(0, 2, "_"), (3, 4, "_")], [(0, 2, "_"), (3, 4, "_")]),
        ("B-X-Y I-X-Y", [(0, 2, "X-Y")], [(0, 2, "X-Y")]),
    ],
)
def test_traps_of_tags(tags: str, lenient, strict) -> None:
    assert conll_chunks(tags.split()) == lenient
    assert iob2_chunks(tags.split()) == strict


def test_iobes_by_hand() -> None:
    assert conll_chunks(["S-X", "B-X", "I-X", "E-X", "E-X", "S-Y", "I-Y"]) == [
        (0, 1, "X"), (1, 4, "X"), (4, 5, "X"), (5, 6, "Y"), (6, 7, "Y"),
    ]  # fmt: skip


def test_entities_by_hand() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["B-PER", "I-PER"]]
    found = entity_scores(predicted, gold)
    assert numbers(found.overall) == close((1 / 3, 1 / 3, 1 / 3))
    assert numbers(found.types["PER"]) == (0.5, 0.5, 0.5)
    assert numbers(found.types["LOC"]) == (0, 0, 0) == numbers(found.types["ORG"])
    assert list(found.types) == ["LOC", "ORG", "PER"]
    assert (found.accuracy, found.gold, found.predicted, found.tokens) == (close(4 / 6), 3, 3, 6)
    assert token_accuracy([["NN", "VB"]], [["NN", "JJ"]]) == 0.5  # any tags
    assert entity_scores([["O"]], [["O"]]).overall.f1 == 0  # nothing to find, nothing found: a share of nothing


def test_an_entity_does_not_run_on_into_the_next_row() -> None:
    assert entity_scores([["B-X"], ["I-X"]], [["B-X"], ["I-X"]]).gold == 2


rows = st.lists(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "S-X", "E-X"]), min_size=1), min_size=1)


@given(rows)
def test_gold_against_itself_is_perfect(gold) -> None:
    found = entity_scores(gold, gold)
    assert found.accuracy == 1 and found.overall.f1 == (1 if found.gold else 0)
    assert all(numbers(one) == (1, 1, 1) for one in found.types.values())


# --- calibration

PROBABILITIES, CLASSES = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], [0, 1, 1, 1]


def test_probabilities_of_scores_are_finite_whatever_they_are() -> None:
    found = cal.softmax(np.array([[1000.0, 1000.0], [-2000.0, 0.0]]))
    assert found.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    assert cal.softmax(np.log(np.array([0.5, 0.25]))).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_calibration_by_hand() -> None:
    assert cal.calibration_error(PROBABILITIES, CLASSES, bins=10) == close((0.1 + 0.6 + 0.2 + 0.3) / 4)
    assert cal.calibration_error(PROBABILITIES, CLASSES, bins=2) == close(0)  # 3 of 4, at 0.75
    assert cal.brier(PROBABILITIES, CLASSES) == close((0.02 + 0.72 + 0.08 + 0.18) / 4)
    nats = -(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.7)) / 4
    assert cal.negative_log_likelihood(PROBABILITIES, CLASSES) == close(nats)
    assert cal.negative_log_likelihood([[1.0, 0.0]], [1]) == close(744.44, abs=0.01)


def test_a_confidence_on_an_edge_falls_into_the_bin_that_ends_there() -> None:
    found = cal.reliability(PROBABILITIES, CLASSES, bins=10)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    assert found.confidence[5:9] == close(np.array([0.6, 0.7, 0.8, 0.9]))
    assert found.accuracy.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert found.edges[0] == 0 and found.edges[7] == 0.7 and found.edges[-1] == 1


@given(st.integers(0, 1000), st.integers(1, 20))
def test_calibration_error_is_what_walking_over_the_bins_gives(seed: int, bins: int) -> None:
    generator = np.random.default_rng(seed)
    p, gold = generator.dirichlet([1, 1, 1], 40), generator.integers(3, size=40)
    slow = 0.0
    for m in range(bins):
        those = [i for i in range(40) if m / bins < max(p[i]) <= (m + 1) / bins]
        if those:
            right = sum(int(np.argmax(p[i])) == gold[i] for i in those)
            slow += abs(right - sum(max(p[i]) for i in those)) / 40
    assert cal.calibration_error(p, gold, bins=bins) == close(slow)
    order = generator.permutation(40)
    for metric in (cal.calibration_error, cal.brier, cal.negative_log_likelihood):
        assert metric(p[order], gold[order]) == close(metric(p, gold))
    assert 0 <= cal.brier(p, gold) <= 2


# --- intervals


def test_a_bootstrap_is_the_same_twice_and_in_both_ways() -> None:
    values = np.random.default_rng(0).normal(size=60)
    found = Bootstrap(seed=3).mean(values)
    assert found == Bootstrap(seed=3).mean(values) != Bootstrap(seed=4).mean(values)
    other = Bootstrap(seed=3).corpus(lambda places: values[places].mean(), 60)
    assert (found.value, found.low, found.high) == close((other.value, other.low, other.high))
    assert (found.level, found.resamples) == (0.95, 1000)


def test_a_wide_bootstrap_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(50.0)
    whole = Bootstrap().mean(values)
    monkeypatch.setattr("weft.evaluate.intervals._DRAWN", 7 * 50)
    assert Bootstrap().mean(values) == whole


@given(st.lists(floats, min_size=2, max_size=40))
def test_an_interval_covers_the_mean_it_is_of(values) -> None:
    found = Bootstrap(resamples=300).mean(values)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= found.low <= found.value + slack
    assert found.value - slack <= found.high <= max(values) + slack


def test_intervals_cover_the_truth_about_as_often_as_they_say_and_are_as_wide_as_theory() -> None:
    generator = np.random.default_rng(1)
    found = [Bootstrap(resamples=300, seed=i).mean(generator.normal(5, 2, size=80)) for i in range(300)]
    assert 0.90 <= np.mean([one.low <= 5 <= one.high for one in found]) <= 0.98
    assert np.mean([one.high - one.low for one in found]) == close(2 * 1.96 * 2 / math.sqrt(80), rel=0.05)


def mean_of(values: np.ndarray) -> Corpus:
    return lambda places: float(values[places].mean())


def test_two_systems_are_compared_sample_by_sample() -> None:
    generator = np.random.default_rng(2)
    hard = generator.normal(size=200)  # what makes a sample hard is hard for both: pairing takes it away
    first, second = hard + 0.2 + 0.1 * generator.normal(size=200), hard
    one, other = mean_of(first), mean_of(second)
    found = Bootstrap().paired(one, other, 200)
    assert found.difference.value == close(float((first - second).mean()))
    assert found.p == 1 / 1001 and 0.1 < found.difference.low < 0.2 < found.difference.high < 0.3
    alone = Bootstrap().mean(first - second)
    assert found.difference.low == close(alone.low) and found.difference.high == close(alone.high)
    turned = Bootstrap().paired(other, one, 200)
    assert turned.p == found.p and turned.difference.low == close(-found.difference.high)
    assert Bootstrap().paired(one, one, 200).p == 1


def test_p_is_small_as_seldom_as_it_should_be_where_two_systems_are_equally_good() -> None:
    generator, found = np.random.default_rng(3), list[float]()
    for seed in range(300):
        one, other = map(mean_of, generator.normal(size=(2, 60)))
        found.append(Bootstrap(resamples=200, seed=seed).paired(one, other, 60).p)
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09


def test_over_runs_their_own_differences_widen_an_interval() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(size=100)

    def of(shift: float) -> Corpus:
        return lambda places: float(samples[places].mean() + shift)

    alike, apart = Bootstrap().runs([of(0), of(0), of(0)], 100), Bootstrap().runs([of(-1), of(0), of(1)], 100)
    one = Bootstrap().corpus(of(0), 100)
    assert alike.value == pytest.approx(apart.value) == pytest.approx(samples.mean())
    assert (alike.low, alike.high) == pytest.approx((one.low, one.high))  # the same samples are drawn
    assert apart.high - apart.low > 2 * (alike.high - alike.low)
    assert Bootstrap().runs([of(-1), of(0), of(1)], 100) == apart


def test_systems_are_compared_by_runs_of_one_seed() -> None:
    generator = np.random.default_rng(0)
    samples, noise = generator.normal(size=(2, 100))

    def of(values: np.ndarray) -> Corpus:
        return lambda places: float(values[places].mean())

    seeds = (-1.0, 0.0, 1.0)  # what a seed does to both alike is no difference
    better = [of(samples + shift + 0.1 + 0.01 * noise) for shift in seeds]
    found = Bootstrap().paired_runs(better, [of(samples + shift) for shift in seeds], 100)
    assert found.difference.value == pytest.approx(0.1, abs=0.01) and found.difference.low > 0 and found.p < 0.01
    one = Bootstrap().paired_runs([of(samples + 3), of(samples)], [of(samples), of(samples)], 100)
    assert one.p > 0.1  # one of two runs says nothing of a third
    assert Bootstrap().paired_runs(better, better, 100).p == 1
    with pytest.raises(ValueError, match="3 predicted and 2 gold"):
        Bootstrap().paired_runs(better, better[:2], 100)
    with pytest.raises(ValueError, match="1 run or more"):
        Bootstrap().runs([], 100)


@pytest.mark.parametrize("between", [0.0, 0.13, 3.0])
def test_p_over_three_runs_is_small_as_seldom_as_it_should_be(between: float) -> None:
    """Systems that are alike, with three runs each; runs vary less than samples do, as much, or much more."""
    generator, found = np.random.default_rng(0), list[float]()
    for seed in range(150):
        hard = generator.normal(size=60)
        first, second = (hard + generator.normal(size=60) + between * generator.normal(size=(3, 1)) for _ in range(2))
        both = [[lambda places, row=row: float(row[places].mean()) for row in rows] for rows in (first, second)]
        found.append(Bootstrap(resamples=100, seed=seed).paired_runs(*both, 60).p)
    assert np.mean(np.array(found) <= 0.05) < 0.1


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1), min_size=1), st.data())
def test_the_score_of_some_places_is_that_of_those_samples(
    rows: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    tags = [[pair[side] for pair in row] for row in rows for side in (0, 1)]
    for name, predicted, gold in (
        ("token_accuracy", tags[::2], tags[1::2]),
        ("entity_f1", [["B-X"] * len(row) for row in rows], [["B-X"] * len(row) for row in rows]),
        ("accuracy", [row[0][0] for row in rows], [row[0][1] for row in rows]),
    ):
        metric = METRICS.get(name)
        expected = metric.score([predicted[at] for at in places], [gold[at] for at in places]).value
        assert metric.at(predicted, gold)(places) == pytest.approx(expected)


def test_spread_over_seeds() -> None:
    found = over_seeds([1, 2, 3, 4])
    assert (found.mean, found.deviation, found.count) == close((2.5, math.sqrt(5 / 3), 4))


# --- texts


def test_tokenised_bleu_by_hand() -> None:
    assert tokenised_bleu(["A b c d e"], ["a b c d F"]).value == close(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert tokenised_bleu(["a b c d"], ["a b c d e"]).value == close(100 * math.exp(1 - 5 / 4))  # brevity
    assert tokenised_bleu(["a b c x"], ["a b c d"]).value == 0  # no 4-gram, no smoothing
    both = tokenised_bleu(["a b c d e", "x y z"], ["a b c d f", "x y w"]).value  # counts are summed, not scores
    assert both == close(100 * (6 / 8 * 4 / 6 * 2 / 4 * 1 / 2) ** 0.25)
    assert tokenised_bleu(["it 's a b ."], ["it 's a b."]).value == close(100)  # 13a parts the full stop


def test_texts_by_hand() -> None:
    assert bleu(["a b c x"], ["a b c d"]).value == close(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)  # 0 -> 1/2
    assert bleu(["A b c d e"], ["a b c d e"]).value < 100  # case matters
    assert chrf(["ab"], ["ac"]).value == close(25)  # of characters 1 in 2, of pairs none, longer there are not
    assert ter(["a b d"], ["a b c d"]).value == close(25)
    assert ter(["b c a"], ["a b c"]).value == close(100 / 3)  # a shift is one edit
    assert bleu(["a b c d e"], [["x", "a b c d e"]]).value == close(100)  # any of several references
    assert ter(["a b", "c"], [["a b", "x y"], "c"]).value == 0  # not each has as many


def test_a_score_of_texts_says_how_it_was_made() -> None:
    for score, parts in (
        (bleu(["a"], ["a"]), ["nrefs:1", "case:mixed", "tok:13a", "smooth:exp", "version:"]),
        (tokenised_bleu(["a"], ["a"]), ["nrefs:1", "case:lc", "tok:13a", "smooth:none", "version:"]),
        (chrf(["a"], ["a"]), ["nc:6", "nw:0", "space:no"]),
        (ter(["a"], ["a"]), ["case:lc", "tok:tercom"]),
    ):
        assert all(part in score.signature for part in parts) and score.signature in str(score)


def test_bleu_of_places_is_bleu_of_the_texts_there() -> None:
    predicted = ["The cat sat on the mat.", "a dog ran", "Nothing of it", "one two three four five", ""]
    gold = [
        ["The cat sat on a mat."],
        ["The dog ran", "a dog ran off"],
        ["all else"],
        ["one two three four six"],
        ["x"],
    ]
    for kind in (SACREBLEU, TOKENISED):
        of = kind.by_places(predicted, gold)
        for places in ([0, 1, 2, 3, 4], [0, 0, 3], [2, 4], [1, 2, 2, 3]):
            chosen = kind.score([predicted[i] for i in places], [gold[i] for i in places])
            assert of(np.array(places)) == close(chosen.value)
        assert 0 <= Bootstrap(resamples=50).corpus(of, 5).low <= of(np.arange(5))


def test_without_sacrebleu_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ValueError, match=r"sacrebleu, which is not installed: pip install 'weft\[translate\]'"):
        bleu(["a"], ["a"])


# --- all of them by name

GOLD = {
    "classes": ([0, 1, 1, 0], [1, 1, 0, 0]),
    "numbers": ([1.0, 2.0, 4.0], [2.0, 1.0, 4.0]),
    "tags": ([["B-X", "I-X", "O"], ["B-Y"]], [["B-X", "O", "O"], ["B-Y"]]),
    "answers": ([["a cat"], []], ["dog", ""]),
    "texts": (["the cat sat on the mat"], ["the cat sat on a mat"]),
    "probabilities": ([0, 1], [[0.7, 0.3], [0.4, 0.6]]),
}
SAME = {"answers": ["cat", ""], "probabilities": [[1.0, 0.0], [0.0, 1.0]]}  # where a right prediction is not the gold


@pytest.mark.parametrize("name", METRICS.names())
def test_right_predictions_are_perfect_and_others_are_worse(name: str) -> None:
    metric = METRICS.get(name)
    gold, other = GOLD[metric.needs]
    best, worse = metric.score(SAME.get(metric.needs, gold), gold), metric.score(other, gold)
    assert isinstance(best, Score) and best.value == close(metric.perfect) and best.signature
    assert (worse.value < best.value) is metric.higher and worse.value != best.value


def test_a_metric_that_does_not_fit_is_refused_with_those_that_do() -> None:
    assert set(GIVEN) == {METRICS.get(name).needs for name in METRICS.names()}
    assert metric_for("macro_f1", "classes", "the task 'sst2'").name == "macro_f1"
    assert fitting("numbers") == ["mse", "pearson", "spearman"]
    with pytest.raises(
        ValueError,
        match=r"'bleu' needs texts \(.*does not fit the task 'stsb', which gives numbers; there are: mse, pe",
    ):
        metric_for("bleu", "numbers", "the task 'stsb'")
    with pytest.raises(UnknownName, match="no metric is called 'acuracy'; did you mean 'accuracy'"):
        metric_for("acuracy", "classes", "the task 'sst2'")


@pytest.mark.parametrize("name", METRICS.names())
def test_the_score_at_some_places_is_that_of_the_samples_there(name: str) -> None:
    metric = METRICS.get(name)
    several = {
        "classes": ([0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 1, 1]),
        "numbers": ([1.0, 2.5, 4.0, 0.5, 2.0, 1.0], [2.0, 1.0, 4.0, 0.0, 2.5, 3.0]),
        "tags": (
            [["B-X", "I-X", "O"], ["B-Y"], ["O", "B-X"], ["O"], ["B-Y", "B-Y"], ["B-X"]],
            [["B-X", "I-X", "O"], ["B-X"], ["O", "B-X"], ["O"], ["B-Y", "I-Y"], ["O"]],
        ),
        "answers": (["a cat", "", "dog", "the red fox", "x", "y"], [["cat"], [], ["a dog", "x"], ["fox"], [], ["z"]]),
        "texts": (["the cat sat down there"] * 3 + ["a dog ran off again"] * 3, ["the cat sat down here"] * 6),
        "probabilities": ([[p, 1 - p] for p in (0.1, 0.4, 0.5, 0.8, 0.9, 0.3)], [0, 1, 0, 0, 1, 1]),
    }
    predicted, gold = several[metric.needs]
    of = metric.at(predicted, gold)
    for places in ([0, 1, 2, 3, 4, 5], [0, 0, 4, 3, 1], [5, 2, 3, 2]):
        wanted = metric.score([predicted[i] for i in places], [gold[i] for i in places]).value
        assert of(np.array(places)) == close(wanted)
    interval = metric.interval(predicted[:2] * 2, gold[:2] * 2)
    assert interval is None or interval.resamples == 1000
    assert metric.interval(predicted[:1], gold[:1]) is None
