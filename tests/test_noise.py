"""What pretraining does to a text: the papers' own examples, exact counts, distributions, and the way back."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, tensor

from weft.data import train_tokenizer
from weft.objectives.noise import (
    HIDDEN,
    KEPT,
    RANDOM,
    BertStyle,
    Changes,
    Deshuffling,
    DocumentRotation,
    DropTokens,
    Marks,
    MassStyle,
    Noise,
    PrefixLanguageModel,
    RandomSpans,
    Replacement,
    ReplaceSpans,
    Row,
    SentencePermutation,
    TextInfilling,
    TokenDeletion,
    TokenMasking,
    Words,
    choose,
    covered,
    geometric,
    noised,
    poisson,
    runs,
    segments,
    whole_words,
)
from weft.objectives.noise.damage import infilled, rotated

SENTENCE = "Thank you for inviting me to your party last week ."
THANKS = train_tokenizer("word", [f"{SENTENCE} apple"])
VOCAB = THANKS.vocab
NAMES = {VOCAB: "<X>", VOCAB + 1: "<Y>", VOCAB + 2: "<Z>", VOCAB + 3: "<M>"}
MARKS = Marks(mask=VOCAB + 3, sentinels=range(VOCAB, VOCAB + 3), vocab=VOCAB)
MANY = Marks(mask=999, sentinels=range(1000, 3000), vocab=900)

TEXT = "The weaver mends the red thread. It held, and 3.5 looms stood (at dawn!) Was it naïve? The other thread holds."
APART = [TEXT.replace("!)", mark) for mark in "!)"]  # so that "!)" is not learned as one token
TOKENIZERS = {
    kind: train_tokenizer(kind, [*APART, "the red thread holds"], vocab)
    for kind, vocab in {"bpe": 290, "wordpiece": 80, "unigram": 330, "bytes": 0, "characters": 0, "word": 0}.items()
}
SHARES = st.sampled_from([0.01, 0.15, 0.3, 0.5, 0.9, 1.0])
SEEDS = st.integers(0, 2**32)


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def whole(share: float, n: int) -> int:
    return min(n, max(1, round(share * n)))


def text(n: int) -> Tensor:
    return torch.arange(n) % 900


def word_starts(lengths: Sequence[int]) -> Tensor:
    return torch.cat([torch.zeros(0), *(torch.eye(n)[0] for n in lengths)]).bool()


# ---------------------------------------------------------------- the table of the paper


def spelt(ids: Tensor) -> str:
    return " ".join(NAMES.get(number) or THANKS.decode([number]) for number in ids.tolist())


def at(*places: int) -> Tensor:
    return torch.zeros(11, dtype=torch.bool).index_fill(0, tensor(places), True)


def some_changed() -> Changes:
    (apple,) = THANKS.encode("apple")
    fates = torch.full((11,), KEPT).index_fill(0, tensor([2, 3]), HIDDEN).index_fill(0, tensor([8]), RANDOM)
    return Changes(fates, torch.full((11,), apple))


# Their example of deshuffling has a "fun" more, which is not in the text.
SHUFFLED = "party me for your to . last you inviting week Thank"
ORDER = tensor([SENTENCE.split().index(word) for word in SHUFFLED.split()])
TABLE: list[tuple[Row[Any], Any, str, str]] = [
    (PrefixLanguageModel(), 4, "Thank you for inviting", "me to your party last week ."),
    (BertStyle(), some_changed(), "Thank you <M> <M> me to your party apple week .", SENTENCE),
    (Deshuffling(), ORDER, SHUFFLED, SENTENCE),
    (MassStyle(), at(2, 3, 8), "Thank you <M> <M> me to your party <M> week .", SENTENCE),
    (ReplaceSpans(), at(2, 3, 8), "Thank you <X> me to your party <Y> week .", "<X> for inviting <Y> last <Z>"),
    (DropTokens(), at(2, 3, 8), "Thank you me to your party week .", "for inviting last"),
    (RandomSpans(), at(2, 3, 4, 6, 7, 8), "Thank you <X> to <Y> week .", "<X> for inviting me <Y> your party last <Z>"),
]
ROWS = [row for row, *_ in TABLE]


@pytest.mark.parametrize(("row", "choice", "inputs", "targets"), TABLE, ids=lambda value: type(value).__name__)
def test_the_papers_sentence_becomes_the_papers_rows(row: Row[Any], choice: Any, inputs: str, targets: str):
    ids = tensor(THANKS.encode(SENTENCE))
    assert tuple(map(spelt, row.given(ids, choice, MARKS))) == (inputs, targets)
    drawn, again = row.choice(11, generator(3), MARKS), row.apply(ids, generator(3), MARKS)
    assert all(map(torch.equal, row.given(ids, drawn, MARKS), again))


def test_bert_style_hides_nine_tenths_as_its_authors_do_and_any_other_share_where_it_is_told():
    fates = BertStyle(share=1.0).choice(20_000, generator(), MANY).fates
    assert abs((fates == HIDDEN).double().mean() - 0.9) < 0.01 and (fates != KEPT).all()
    fates = BertStyle(share=1.0, hidden=0.8).choice(20_000, generator(), MANY).fates
    assert abs((fates == KEPT).double().mean() - 0.1) < 0.01


def test_a_prefix_has_any_length_but_none_and_all():
    row, draw = PrefixLanguageModel(), generator()
    lengths = Counter(row.choice(5, draw, MANY) for _ in range(2000))
    assert sorted(lengths) == [1, 2, 3, 4] and all(abs(count - 500) < 100 for count in lengths.values())
    assert [tuple(map(len, row.apply(text(n), draw, MANY))) for n in (0, 1, 2)] == [(0, 0), (0, 1), (1, 1)]


def rebuilt(inputs: Tensor, targets: Tensor, marks: Marks) -> list[int]:
    """The text that inputs and targets were made of."""
    spans = dict[int, list[int]]()
    for number in targets.tolist():
        if number in marks.sentinels:
            spans[number] = []
        else:
            spans[list(spans)[-1]].append(number)
    assert list(spans) == list(marks.sentinels[: len(spans)]) and not spans[list(spans)[-1]]
    return [token for number in inputs.tolist() for token in spans.get(number, [number])]


@given(n=st.integers(0, 90), share=SHARES, seed=SEEDS, mean=st.sampled_from([1.0, 3.0, 10.0]))
def test_of_inputs_and_targets_the_text_comes_back(n: int, share: float, seed: int, mean: float):
    ids = text(n)
    for row in (ReplaceSpans(share), RandomSpans(share, mean)):
        assert rebuilt(*row.apply(ids, generator(seed), MANY), MANY) == ids.tolist()
    kept, dropped = DropTokens(share).apply(ids, generator(seed), MANY)
    assert len(dropped) == whole(share, n) and torch.equal(torch.cat((kept, dropped)).sort().values, ids)
    assert torch.equal(kept, kept.sort().values) and torch.equal(dropped, dropped.sort().values)
    shuffled, target = Deshuffling().apply(ids, generator(seed), MANY)
    assert torch.equal(shuffled.sort().values, ids) and torch.equal(target, ids)
    masked, target = MassStyle(share).apply(ids, generator(seed), MANY)
    assert int((masked == MANY.mask).sum()) == whole(share, n) and torch.equal(target, ids)
    assert torch.equal(torch.where(masked == MANY.mask, ids, masked), ids)


def test_every_order_is_equally_likely():
    draw = generator()
    orders = Counter(tuple(Deshuffling().choice(3, draw, MANY).tolist()) for _ in range(3000))
    assert len(orders) == 6 and all(abs(count - 500) < 100 for count in orders.values())


def test_more_spans_than_sentinels_are_an_error_that_says_both_numbers():
    few = Marks(mask=0, sentinels=[7, 5, 6], vocab=5)
    hidden = tensor([1, 0, 1, 0, 1, 0]).bool()
    with pytest.raises(ValueError, match="3 hidden spans need 4 sentinels .* there are 3: hide a smaller share"):
        ReplaceSpans().given(text(6), hidden, few)
    hidden[4] = False
    assert [part.tolist() for part in ReplaceSpans().given(text(6), hidden, few)] == [
        [7, 1, 5, 3, 4, 5],
        [7, 0, 5, 2, 6],
    ]
    with pytest.raises(ValueError, match="need 51 sentinels .* there are 3"):
        RandomSpans().apply(text(1000), generator(), few)


def test_settings_that_cannot_be_are_refused():
    for make in (
        BertStyle,
        MassStyle,
        ReplaceSpans,
        DropTokens,
        RandomSpans,
        TokenMasking,
        TokenDeletion,
        TextInfilling,
    ):
        for share in (0.0, -0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match="above 0 and at most 1"):
                make(share=share)
    for make in (RandomSpans, TextInfilling):
        with pytest.raises(ValueError, match=r"mean = 0\.0"):
            make(mean=0.0)
    for wrong in ((0.9, 0.2), (-0.1, 0.1)):
        with pytest.raises(ValueError, match=f"hidden = {wrong[0]} and random = {wrong[1]}"):
            Replacement(*wrong)
        with pytest.raises(ValueError, match="at most 1 together"):
            BertStyle(hidden=wrong[0], random=wrong[1])
    with pytest.raises(ValueError, match="vocab = 0"):
        Marks(0, [1], 0)
    with pytest.raises(ValueError, match="2 sentinels have 1 ids"):
        Marks(0, [1, 1], 5)
    for p, longest in ((0.0, 10), (1.1, 10), (0.2, 0)):
        with pytest.raises(ValueError, match="longest"):
            geometric(torch.ones(3).bool(), 0.5, generator(), p, longest)


# ---------------------------------------------------------------- which places


@given(n=st.integers(0, 200), share=SHARES, seed=SEEDS, mean=st.sampled_from([1.0, 2.5, 3.0, 30.0]))
def test_so_many_places_in_so_many_spans(n: int, share: float, seed: int, mean: float):
    assert int(choose(n, share, generator(seed)).sum()) == whole(share, n)
    hidden = segments(n, share, mean, generator(seed))
    count = max(0, min(whole(share, n), n - 1))
    spans = runs(hidden)
    assert len(hidden) == n and int(hidden.sum()) == count
    assert len(spans) == (min(max(1, round(count / mean)), n - count) if count else 0)
    assert torch.equal(covered(spans, n), hidden)
    assert not spans or (not hidden[0] and hidden[-1])


def test_every_mask_of_spans_and_every_set_of_places_is_equally_likely():
    draw = generator()
    masks = Counter(tuple(segments(7, 0.5, 2.0, draw).tolist()) for _ in range(1500))  # 4 of 7 hidden, in 2 spans
    assert len(masks) == 2 * 3 and all(abs(count - 250) < 70 for count in masks.values())
    sets = Counter(tuple(choose(4, 0.5, draw).tolist()) for _ in range(3000))
    assert len(sets) == 6 and all(abs(count - 500) < 100 for count in sets.values())


LENGTHS = st.lists(st.integers(1, 5), max_size=60)


@given(lengths=LENGTHS, share=SHARES, seed=SEEDS)
def test_whole_words_are_hidden_and_none_is_cut(lengths: list[int], share: float, seed: int):
    starts, n = word_starts(lengths), sum(lengths)
    wanted = whole(share, n)

    def of_words(hidden: Tensor) -> list[bool]:
        parts = hidden.split(lengths) if lengths else ()
        assert all(part.all() or not part.any() for part in parts)
        return [bool(part.any()) for part in parts]

    spans = geometric(starts, share, generator(seed))
    assert spans == runs(covered(spans, n))  # in order, and one place at least between two
    of_words(covered(spans, n))
    assert wanted <= sum(stop - start for start, stop in spans) < wanted + max(lengths, default=1)
    hidden = whole_words(starts, share, generator(seed))
    taken = of_words(hidden)
    assert int(hidden.sum()) <= wanted or sum(taken) == 1
    assert any(taken) == bool(lengths)
    # Nothing that was left out would have had room.
    left = wanted - int(hidden.sum())
    assert all(there or length > left for there, length in zip(taken, lengths, strict=True))
    spans = poisson(starts, share, generator(seed))
    assert sum(of_words(covered(spans, n))) == whole(share, len(lengths))
    assert sum(stop - start for start, stop in spans) == int(covered(spans, n).sum())  # none over another
    assert spans == sorted(spans)


def test_lengths_are_those_of_the_papers():
    every, draw = torch.ones(20_000).bool(), generator()
    lengths = [stop - start for _ in range(20) for start, stop in geometric(every, 0.02, draw)]
    assert abs(sum(lengths) / len(lengths) - 3.8) < 0.25
    ones = [stop - start for start, stop in geometric(every, 0.01, draw, p=1.0)]
    assert sum(ones) == 200 and len(ones) > 190
    assert max(stop - start for start, stop in geometric(every, 0.001, draw, p=0.01, longest=4)) == 4
    lengths = [stop - start for _ in range(5) for start, stop in poisson(every, 0.1, draw)]
    assert abs(sum(lengths) / len(lengths) - 3.0) < 0.15
    for length, share in enumerate((0.050, 0.149, 0.224, 0.224)):  # Poisson(3)
        assert abs(lengths.count(length) / len(lengths) - share) < 0.03
    draws = [poisson(every[:40], 0.25, draw) for _ in range(1000)]
    first, last = (sum(spans[place][1] - spans[place][0] for spans in draws) / 1000 for place in (0, -1))
    assert abs(first - last) < 0.3  # the one that was cut is any of them
    assert abs(len(runs(segments(20_000, 0.15, 3.0, draw))) - 1000) < 1
    starts = word_starts([1, 2, 3] * 100)
    shares = [float(whole_words(starts, 0.15, draw).double().mean()) for _ in range(50)]
    assert all(0.14 < share <= 0.15 for share in shares)
    hidden = torch.stack([choose(50, 0.1, draw) for _ in range(2000)]).double().mean(0)
    assert (hidden - 0.1).abs().max() < 0.03


# ---------------------------------------------------------------- what becomes of them


@pytest.mark.parametrize(("hidden", "random"), [(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_four_fifths_are_masked_a_tenth_is_random_a_tenth_stays(hidden: float, random: float):
    n, how, draw = 20_000, Replacement(hidden, random), generator()
    chosen = choose(n, 0.5, draw)
    changes = how.drawn(torch.arange(int(chosen.sum())), 900, draw).among(chosen)
    assert (changes.fates[~chosen] == KEPT).all()
    for fate, share in ((HIDDEN, hidden), (RANDOM, random)):
        bound = 4 * (share * (1 - share) / 10_000) ** 0.5
        assert abs((changes.fates[chosen] == fate).double().mean() - share) <= bound
    ids = torch.full((n,), 950)  # no random token is this
    read = changes.apply(ids, 999)
    assert torch.equal(read == 999, changes.fates == HIDDEN)
    assert torch.equal(read < 900, changes.fates == RANDOM)
    others = read[changes.fates == RANDOM]
    assert not len(others) or (len(others) > 900 and abs(others.double().mean() - 449.5) < 40)


def test_a_span_has_one_fate_and_random_tokens_of_its_own():
    n, draw = 30_000, generator()
    spans = geometric(torch.ones(n).bool(), 0.15, draw)
    groups = torch.tensor([number for number, (start, stop) in enumerate(spans) for _ in range(start, stop)])
    changes = Replacement().drawn(groups, 900, draw).among(covered(spans, n))
    fates = Counter[int]()
    for start, stop in spans:
        (fate,) = set(changes.fates[start:stop].tolist())
        fates[fate] += 1
    assert (changes.fates[~covered(spans, n)] == KEPT).all()
    for fate, share in ((HIDDEN, 0.8), (RANDOM, 0.1), (KEPT, 0.1)):
        assert abs(fates[fate] / len(spans) - share) < 4 * (share * (1 - share) / len(spans)) ** 0.5
    long = next(s for s in spans if changes.fates[s[0]] == RANDOM and s[1] - s[0] > 3)
    assert len(set(changes.others[slice(*long)].tolist())) > 1


# ---------------------------------------------------------------- words and sentences


def parts(kind: str, ids: Tensor, firsts: Tensor) -> list[str]:
    """The text of each part that begins where `firsts` says."""
    pieces, found = TOKENIZERS[kind].pieces(ids.tolist()), list[bytes]()
    for piece, first in zip(pieces, firsts.tolist(), strict=True):
        found[-1:] = [piece] if first and not found else [found[-1], piece] if first else [found[-1] + piece]
    return [part.decode() for part in found]


def encoded(kind: str, words: str) -> tuple[str, Tensor]:
    """A text as the tokenizer has it, and its ids."""
    ids = TOKENIZERS[kind].encode(words)
    return TOKENIZERS[kind].decode(ids), tensor(ids)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_are_found_in_the_ids_of_any_tokenizer(kind: str):
    own, ids = encoded(kind, TEXT)
    found = parts(kind, ids, Words(TOKENIZERS[kind]).starts(ids))
    assert "".join(found) == own
    assert [part.strip() for part in found] == re.findall(r"\w+|[^\w\s]", own)
    assert not any(part[1:] != part.strip() and part.endswith(" ") for part in found)  # spaces belong to what follows


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_sentences_are_found_in_the_ids_of_any_tokenizer(kind: str):
    own, ids = encoded(kind, TEXT)
    ends = Words(TOKENIZERS[kind]).ends_sentence(ids)
    assert ends[-1]
    found = parts(kind, ids, torch.cat((tensor([True]), ends[:-1])))
    assert "".join(found) == own
    bare = [part.strip().replace(" ", "").lower().replace("ï", "i") for part in found]
    first, second = "theweavermendstheredthread.", "itheld,and3.5loomsstood(atdawn!)"
    third, fourth = "wasitnaive?", "theotherthreadholds."
    if kind in ("wordpiece", "word"):  # they put a space on both sides of the point of 3.5
        second = second.split("5")[0], "5" + second.split("5")[1]
    assert bare == [first, *((second,) if isinstance(second, str) else second), third, fourth]


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        ('"Go!" he said. "Why?" ', ['"Go!"', " he said.", ' "Why?"', " "]),
        ("Well... no?! Yes.", ["Well...", " no?!", " Yes."]),
        ("“So.” He’s (here.) [Now.] «Oh!» end", ["“So.”", " He’s (here.)", " [Now.]", " «Oh!»", " end"]),
        ('(He said "go.") Then', ['(He said "go.")', " Then"]),
        ("a.b 1.5 x.\n\nNew", ["a.b 1.5 x.", "\n\nNew"]),
        (". . ?", [".", " .", " ?"]),
        ("no end", ["no end"]),
    ],
)
def test_what_closes_a_sentence_belongs_to_it(words: str, sentences: list[str]):
    ids = tensor(TOKENIZERS["bytes"].encode(words))
    ends = Words(TOKENIZERS["bytes"]).ends_sentence(ids)
    assert parts("bytes", ids, torch.cat((tensor([True]), ends[:-1]))) == sentences


class Behind:
    """A tokenizer whose words end with their space, as some BPE's do; the first and last piece are their own."""

    table = (b"", b"cat ", b"dog ", b"do", b". ", b" ", b"", b"!")
    vocab, end, begin, lossless = len(table), 0, 0, False

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        found = [self.table[number] for number in ids]
        return [*found[:-1], *(piece.rstrip() for piece in found[-1:])]

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_spaces_may_be_behind_words_and_ids_may_stand_for_nothing():
    words = Words(Behind())
    ids = tensor([1, 3, 2, 4, 1, 6, 5, 5, 2, 99, 2, 7, 0])
    assert words.starts(ids).int().tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1]
    assert words.ends_sentence(ids).nonzero().flatten().tolist() == [3, 11]  # a mask behind it changes nothing
    nothing = Words(type("Nothing", (Behind,), {"table": (b"", b""), "vocab": 2})())
    assert nothing.starts(tensor([0, 1, 5])).all() and not nothing.ends_sentence(tensor([0, 1, 5])).any()
    for empty in (words.starts(ids[:0]), words.ends_sentence(ids[:0])):
        assert empty.dtype == torch.bool and len(empty) == 0


# ---------------------------------------------------------------- the noise of the other paper

BYTES = Words(TOKENIZERS["bytes"])
NOISES: list[Noise] = [TokenMasking(), TokenDeletion(), TextInfilling(), SentencePermutation(), DocumentRotation()]
MARK = Marks(mask=TOKENIZERS["bytes"].vocab, sentinels=(), vocab=TOKENIZERS["bytes"].vocab)


@given(words=st.text("ab .!\n", max_size=60), share=SHARES, seed=SEEDS)
def test_what_each_noise_does_to_a_text(words: str, share: float, seed: int):
    ids = tensor(TOKENIZERS["bytes"].encode(words), dtype=torch.int64)
    n = len(ids)

    def made(noise: Noise) -> Tensor:
        return noise.apply(ids, generator(seed), MARK, BYTES)

    masked = made(TokenMasking(share))
    assert int((masked == MARK.mask).sum()) == whole(share, n) and (masked[masked != ids] == MARK.mask).all()
    deleted = made(TokenDeletion(share)).tolist()
    rest = iter(ids.tolist())
    assert len(deleted) == n - whole(share, n) and all(number in rest for number in deleted)  # a subsequence
    spans = poisson(BYTES.starts(ids), share, generator(seed))
    filled = made(TextInfilling(share))
    assert int((filled == MARK.mask).sum()) == len(spans)
    assert torch.equal(filled[filled != MARK.mask], ids[~covered(spans, n)])
    for noise in (SentencePermutation(), DocumentRotation()):
        assert torch.equal(made(noise).sort().values, ids.sort().values)
    turned = made(DocumentRotation()).tolist()
    assert any(turned == ids.tolist()[start:] + ids.tolist()[:start] for start in range(max(1, n)))


def test_sentences_come_in_every_order_and_a_document_begins_anywhere_equally_often():
    ids, draw = tensor(TOKENIZERS["bytes"].encode("a. b! c")), generator()

    def often(noise: Noise, times: int) -> Counter[str]:
        found = (noise.apply(ids, draw, MARK, BYTES).tolist() for _ in range(times))
        return Counter(TOKENIZERS["bytes"].decode(one) for one in found)

    orders = often(SentencePermutation(), 900)
    assert set(orders) == {"a. b! c", "a. c b!", " b!a. c", " b! ca.", " ca. b!", " c b!a."}
    assert all(abs(count - 150) < 50 for count in orders.values())
    rotations = often(DocumentRotation(), 1050)
    assert len(rotations) == 7 and all(abs(count - 150) < 50 for count in rotations.values())


def test_spans_become_one_mask_each_and_none_is_inserted():
    assert infilled(text(6), [(0, 0), (1, 3), (3, 4), (6, 6)], 77).tolist() == [77, 0, 77, 77, 4, 5, 77]
    assert infilled(text(2), [], 77).tolist() == [0, 1] and infilled(text(0), [(0, 0)], 77).tolist() == [77]
    assert rotated(text(4), 3).tolist() == [3, 0, 1, 2]


def test_noises_are_put_together_in_the_order_that_is_given():
    ids = tensor(TOKENIZERS["bytes"].encode(TEXT))
    infill, permute = TextInfilling(), SentencePermutation()
    both = noised(ids, [permute, infill], generator(5), MARK, BYTES)
    draw = generator(5)
    assert torch.equal(both, infill.apply(permute.apply(ids, draw, MARK, BYTES), draw, MARK, BYTES))
    assert not torch.equal(both, noised(ids, [infill, permute], generator(5), MARK, BYTES))
    assert noised(ids, [], generator(5), MARK, BYTES) is ids
    gone = noised(ids, [TokenDeletion(1.0), *NOISES], generator(5), MARK, BYTES)
    assert gone.tolist() == []


# ---------------------------------------------------------------- all of them

ALL: dict[str, Callable[[Tensor, Generator], Any]] = {
    **{type(row).__name__: lambda ids, draw, row=row: row.apply(ids, draw, MANY) for row in ROWS},
    **{type(one).__name__: lambda ids, draw, one=one: one.apply(ids, draw, MARK, BYTES) for one in NOISES},
    "geometric": lambda ids, draw: geometric(BYTES.starts(ids), 0.15, draw),
    "whole_words": lambda ids, draw: whole_words(BYTES.starts(ids), 0.15, draw),
}


@pytest.mark.parametrize("name", ALL)
def test_it_hangs_on_the_generator_alone_and_leaves_the_text_as_it_was(name: str):
    ids = tensor(TOKENIZERS["bytes"].encode(TEXT))
    before, state = ids.clone(), torch.get_rng_state()
    found = [str(ALL[name](ids, generator(seed))) for seed in (1, 1, 2, 3)]
    assert found[0] == found[1] and len(set(found)) > 1
    assert torch.equal(ids, before) and torch.equal(torch.get_rng_state(), state)
    for n in (0, 1, 2):
        made = ALL[name](ids[:n], generator())
        kinds = {
            part.dtype for part in (made if isinstance(made, tuple | list) else [made]) if isinstance(part, Tensor)
        }
        assert kinds <= {torch.int64, torch.bool}
