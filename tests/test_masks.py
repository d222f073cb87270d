"""Masks and layouts: who sees whom, against a definition that looks at one pair at a time."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import CPU
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from weft.nn import (
    Attention,
    Blocks,
    Causal,
    Chunk,
    Full,
    Global,
    LayerNorm,
    Layout,
    Mask,
    RMSNorm,
    Rope,
    RopeScheme,
    SameGroup,
    Shaw,
    Sinusoid,
    Window,
    rope,
    visible,
)


@dataclass(frozen=True)
class Spot:
    """One token's place, for the slow definitions."""

    order: int
    segment: int
    group: int


def slow(mask: Mask, q: Spot, k: Spot) -> bool:
    """What each mask means, without tensors."""
    match mask:
        case Full():
            return True
        case Causal():
            return k.order <= q.order
        case Window(left, right):
            return q.order - left < k.order <= q.order + right
        case Chunk(size):
            return q.order // size == k.order // size
        case SameGroup():
            return q.group == k.group > 0
        case Global(tokens):
            return q.order < tokens or k.order < tokens
        case Blocks(size, table):
            i, j = q.order // size, k.order // size
            return i < len(table) and j < len(table[0]) and table[i][j]
    a, b = mask.a, mask.b  # type: ignore[attr-defined]
    return slow(a, q, k) and slow(b, q, k) if type(mask).__name__ == "Both" else slow(a, q, k) or slow(b, q, k)


TABLES = st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.booleans()] * n), min_size=1, max_size=3))
SIMPLE = st.one_of(
    st.just(Full()),
    st.just(Causal()),
    st.just(SameGroup()),
    st.builds(Window, st.integers(1, 5), st.integers(0, 3)),
    st.builds(Chunk, st.integers(1, 5)),
    st.builds(Global, st.integers(0, 3)),
    st.builds(Blocks, st.integers(1, 4), TABLES.map(tuple)),
)
MASKS = st.recursive(
    SIMPLE, lambda m: st.builds(lambda a, b, both: a & b if both else a | b, m, m, st.booleans()), max_leaves=4
)
SPOTS = st.lists(st.builds(Spot, st.integers(0, 11), st.integers(-1, 3), st.integers(0, 2)), min_size=1, max_size=7)


def layout(spots: list[Spot]) -> Layout:
    """The spots as one row."""
    fields = ("order", "segment", "group")
    order, segments, groups = (torch.tensor([[getattr(spot, f) for spot in spots]]) for f in fields)
    return Layout(order=order, segments=segments, groups=groups, prefix=any(spot.segment == -1 for spot in spots))


@given(MASKS, SPOTS, SPOTS)
def test_masks_mean_what_they_say(mask: Mask, q: list[Spot], k: list[Spot]) -> None:
    there = mask.allows(layout(q), layout(k)).expand(1, len(q), len(k))[0]
    assert there.tolist() == [[slow(mask, a, b) for b in k] for a in q]


@given(MASKS, SPOTS, SPOTS)
def test_a_causal_mask_sees_nothing_later_but_its_own_group(mask: Mask, q: list[Spot], k: list[Spot]) -> None:
    if mask.causal():
        for a, b in itertools.product(q, k):
            assert b.order <= a.order or a.group == b.group > 0 or not slow(mask, a, b)


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (Causal(), True),
        (Window(3), True),
        (Window(3) | Causal() & Global(2), True),
        (Causal() | SameGroup(), True),
        (Chunk(4) & Causal(), True),
        (Full(), False),
        (Window(3, 1), False),
        (Causal() | Chunk(4), False),
        (Global(2), False),
        (Full() | SameGroup(), False),
    ],
    ids=str,
)
def test_masks_know_whether_they_look_ahead(mask: Mask, wanted: bool) -> None:
    assert mask.causal() is wanted


@given(MASKS, SPOTS, SPOTS)
def test_reach_is_a_true_bound(mask: Mask, q: list[Spot], k: list[Spot]) -> None:
    back, ahead = mask.reach()
    for a, b in itertools.product(q, k):
        if slow(mask, a, b):
            assert back is None or a.order - b.order <= back
            assert ahead is None or b.order - a.order <= ahead


@pytest.mark.parametrize(
    "mask", [Full(), Causal(), Window(1), Window(4, 2), Chunk(3), Chunk(1), Global(2), Causal() & Chunk(4)], ids=str
)
def test_reach_is_a_true_bound_everywhere(mask: Mask) -> None:
    line = [Spot(order, 1, 0) for order in range(14)]
    back, ahead = mask.reach()
    seen = [(a.order - b.order) for a in line for b in line if slow(mask, a, b)]
    assert back is None or max(seen) <= back
    assert ahead is None or -min(seen) <= ahead


@given(MASKS, MASKS, SPOTS)
def test_masks_are_values(a: Mask, b: Mask, spots: list[Spot]) -> None:
    here = layout(spots)
    assert hash(a & b) == hash(a & b) and (a | b) == (a | b)
    left, right = a.allows(here, here), b.allows(here, here)
    assert torch.equal((a & b).allows(here, here), left & right)
    assert torch.equal((a | b).allows(here, here), left | right)


@given(MASKS, SPOTS, SPOTS)
def test_a_document_sees_itself_and_what_everybody_sees(mask: Mask, q: list[Spot], k: list[Spot]) -> None:
    def seen(a: Spot, b: Spot) -> bool:
        if b.segment == -1 and a.segment > 0:
            return True
        return b.segment == a.segment != 0 and slow(mask, a, b)

    there = visible(mask, layout(q), layout(k)).expand(1, len(q), len(k))[0]
    assert there.tolist() == [[seen(a, b) for b in k] for a in q]


def test_no_segments_mean_one_document() -> None:
    plain, padded = Layout(torch.arange(4)[None]), Layout(torch.arange(4)[None], torch.tensor([[1, 1, 0, 0]]))
    assert visible(Full(), plain, plain).all()
    assert visible(Full(), plain, padded).tolist() == [[[True, True, False, False]] * 4]
    assert visible(Full(), padded, plain).expand(1, 4, 4)[0].sum(1).tolist() == [4, 4, 0, 0]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_shared_prefix_is_announced(device: str) -> None:
    """Else a kernel would leave it out where it lies beyond a window; nobody waits for a device to find out."""
    here = Layout(torch.arange(3, device=device)[None], torch.tensor([[-1, 1, 1]], device=device))
    if device == "cpu":
        with pytest.raises(ValueError, match="prefix=True"):
            visible(Causal(), here, here)
    else:
        assert visible(Causal(), here, here).shape == (1, 3, 3)


@pytest.mark.parametrize("mask", [Causal(), Window(3, 1), Chunk(2), Global(2)], ids=str)
def test_masks_compare_and_never_subtract(mask: Mask) -> None:
    """[B, T, S] integers are eight times the mask they are made for."""
    here, sizes = Layout(torch.arange(40)[None]), []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.dtype != torch.bool:
                sizes.append(result.numel())
            return result

    with Sizes():
        assert mask.allows(here, here).shape == (1, 40, 40)
    assert max(sizes) == 40


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Window(0), "left >= 1.* not 0, 0"),
        (lambda: Window(-1), "left >= 1.* not -1, 0"),
        (lambda: Window(2, -3), "right >= 0, not 2, -3"),
        (lambda: Chunk(0), "size = 0.* at least 1"),
        (lambda: Global(-1), "tokens = -1.* at least 0"),
        (lambda: Blocks(0, ((True,),)), "size = 0"),
        (lambda: Blocks(2, ()), "not of none"),
        (lambda: Blocks(2, ((True,), (True, False))), r"one length.*\[1, 2\]"),
        (lambda: LayerNorm(4, eps=-1e-5), "eps = -1e-05.* at least 0"),
        (lambda: RMSNorm(4, eps=-1.0), "eps = -1.0.* at least 0"),
        (lambda: RMSNorm(4, eps=math.nan), "eps = nan"),
        (lambda: Rope(4, theta=0.0), "theta = 0.0.* above 0"),
        (lambda: Rope(4, theta=-1e4), "theta = -10000.0"),
        (lambda: Rope(2, scaling=rope.Dynamic(2.0, 64)), "width is 2.* at least 4"),
        (lambda: Rope(4, theta=1.0, scaling=rope.Yarn(2.0, 64)), "theta, which is 1.0.* above 1"),
        (lambda: rope.Linear(0.0), "Linear: factor = 0.0.* above 0"),
        (lambda: rope.Dynamic(2.0, 0), "original = 0"),
        (lambda: rope.Yarn(-1.0, 64), "factor = -1.0"),
        (lambda: rope.Llama3(8.0, 64, low=4.0, high=4.0), "low = 4.0 and high = 4.0"),
        (lambda: Sinusoid(4, theta=0.0), "theta = 0.0"),
        (lambda: Shaw(4, distance=0), "distance = 0.* at least 1"),
        (lambda: RopeScheme(part=2.0), "part = 2.0.* at most 1"),
        (lambda: RopeScheme(part=0.0), "part = 0.0.* above 0"),
        (lambda: Attention(16, 4, 0), "kv_heads 0"),
        (lambda: Attention(16, 4, head_width=0), "head_width 0"),
        (lambda: Attention(16, 4, value_width=-1), "value_width -1"),
        (lambda: Attention(16, 4, memory_width=0), "memory_width 0"),
        (lambda: Attention(16, 4, softcap=0.0), "softcap = 0.0.* above 0"),
        (lambda: Attention(16, 4, bias="qkv0"), "bias = 'qkv0'.* letters q, k, v, o"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


# ------------------------------------------------------------------------------------------------------------ layout


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.sampled_from(["left", "right"]))
def test_ragged_rows(lengths: list[int], side: str) -> None:
    here = Layout.ragged(torch.tensor(lengths), 6, side=side).numbered(6, CPU)
    assert here.segments is not None and here.order is not None
    for row, length in enumerate(lengths):
        real = [0] * (6 - length) + [1] * length if side == "left" else [1] * length + [0] * (6 - length)
        assert here.segments[row].tolist() == real
        assert here.order[row][here.segments[row] > 0].tolist() == list(range(length))


@given(st.lists(st.lists(st.integers(-1, 3), min_size=7, max_size=7), min_size=1, max_size=3))
def test_order_restarts_with_every_segment(segments: list[list[int]]) -> None:
    here = Layout(segments=torch.tensor(segments)).numbered(7, CPU)
    wanted = [
        [i - max(j for j in range(i + 1) if j == 0 or row[j] != row[j - 1]) for i in range(7)] for row in segments
    ]
    assert here.order is not None and here.order.tolist() == wanted


def test_documents_go_on_where_a_prefix_ended() -> None:
    segments = torch.tensor([[-1, -1, -1, 1, 1, 2, 2, 0], [-1, 1, 1, 1, 0, 0, 2, 2]])
    order = Layout(segments=segments, prefix=True).numbered(8, CPU).order
    assert order is not None
    assert [row[real].tolist() for row, real in zip(order, segments != 0, strict=True)] == [
        [0, 1, 2, 3, 4, 3, 4],
        [0, 1, 2, 3, 1, 2],
    ]


def test_padding_side_is_named() -> None:
    with pytest.raises(ValueError, match="'middle'"):
        Layout.ragged(torch.tensor([1]), 2, side="middle")
