"""The parts, each against a slow and obvious definition of its own."""

import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from weft.nn import (
    ACTIVATIONS,
    GLU,
    KERNELS,
    MLP,
    SCHEMES,
    Alibi,
    Attention,
    Block,
    Blocks,
    Branch,
    Causal,
    Chunk,
    CrossAttention,
    Decoder,
    Embed,
    EncoderDecoder,
    Field,
    Full,
    Global,
    LayerNorm,
    Layout,
    Learned,
    Linear,
    LMHead,
    Mask,
    Memory,
    Position,
    Pre,
    Residual,
    RMSNorm,
    Rope,
    RopeScheme,
    SameGroup,
    Scheme,
    Scoring,
    Shaw,
    Sight,
    Sinusoid,
    Stack,
    Sum,
    T5Bias,
    Tap,
    Window,
    attend,
    initialise,
    kernels,
    measure,
    rope,
    visible,
)
from weft.nn.context import Context
from weft.nn.kernels import able

CPU = torch.device("cpu")


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """|a - b| <= tolerance times b's standard deviation, or times 0.1 where that is less (a gradient that is zero)."""
    assert a.shape == b.shape, f"{list(a.shape)} is not {list(b.shape)}"
    assert torch.isfinite(a).all(), "not finite"
    size = max(float(b.detach().double().std()) if b.numel() > 1 else 1.0, 0.1)
    a, b = a.detach(), b.detach()
    gap = float((a.double() - b.double()).abs().max()) / size if a.numel() else 0.0
    assert gap <= tolerance, f"off by {gap:.2e} standard deviations, more than {tolerance:.0e}"


# ------------------------------------------------------------------------------------------------------------- masks


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
        if b.segment == -1:
            return a.segment != 0
        return b.segment == a.segment > 0 and slow(mask, a, b)

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


def test_padding_side_is_named() -> None:
    with pytest.raises(ValueError, match="'middle'"):
        Layout.ragged(torch.tensor([1]), 2, side="middle")


# ----------------------------------------------------------------------------------------------------------- kernels

LONG = 150  # three blocks of the blocked kernel, the last one not full


def packed(rows: list[list[int]]) -> Layout:
    """Rows of documents by their lengths; what is left of LONG is padding."""
    segments = torch.zeros(len(rows), LONG, dtype=torch.int64)
    for row, lengths in enumerate(rows):
        at = 0
        for number, length in enumerate(lengths, 1):
            segments[row, at : at + length] = number
            at += length
    return Layout(segments=segments)


def with_prefix(places: int = 5) -> Layout:
    """Some places that everybody sees, then documents."""
    segments = torch.full((2, LONG), 1)
    segments[:, :places], segments[1, 120:] = -1, 2
    return Layout(segments=segments, prefix=True)


CAUSAL, PLAIN = Causal(), Layout()
GROUPS = Layout(groups=torch.tensor([[0] * 30 + [1] * 40 + [0] * 20 + [2] * 50 + [0] * 10] * 2))
RAGGED_RIGHT = Layout.ragged(torch.tensor([LONG, 77]), LONG)
RAGGED_LEFT = Layout.ragged(torch.tensor([3, 140]), LONG, side="left")
PACKED = packed([[60, 60, 30], [10, 100]])
TABLE = tuple(tuple(abs(i - j) < 2 or j == 0 for j in range(4)) for i in range(4))


@dataclass(frozen=True)
class Case:
    mask: Mask = CAUSAL
    here: Layout = PLAIN
    kv_heads: int = 2
    value_width: int = 8
    bias: tuple[int, ...] | None = None
    softcap: float | None = None
    sink: bool = False
    scale: float | None = None
    alibi: bool = False


CASES = {
    "full": Case(Full()),
    "causal": Case(),
    "multi-query": Case(kv_heads=1),
    "own key heads": Case(kv_heads=4),
    "value width": Case(value_width=6, scale=0.3),
    "ragged right": Case(here=RAGGED_RIGHT),
    "ragged left": Case(here=RAGGED_LEFT),
    "ragged, full": Case(Full(), RAGGED_LEFT),
    "packed": Case(here=PACKED),
    "packed, full": Case(Full(), PACKED),
    "window": Case(Window(9)),
    "window of one": Case(Window(1)),
    "window, both ways": Case(Window(20, 7)),
    "wide window, packed": Case(Window(80), PACKED),
    "window, ragged": Case(Window(5), RAGGED_LEFT, softcap=5.0),
    "window and causal": Case(Window(20, 7) & Causal(), PACKED),
    "window or global": Case(Causal() & (Window(20) | Global(2)), PACKED),
    "chunks": Case(Chunk(48) & Causal(), RAGGED_RIGHT),
    "groups": Case(Causal() | SameGroup(), GROUPS),
    "blocks": Case(Blocks(40, TABLE) & Causal()),
    "prefix": Case(here=with_prefix()),
    "prefix, window": Case(Window(9), with_prefix()),
    "prefix longer than a block": Case(here=with_prefix(90)),
    "prefix longer than a block, window": Case(Window(9), with_prefix(90)),
    "softcap": Case(softcap=3.0),
    "sink": Case(sink=True),
    "sink, packed window": Case(Window(30), PACKED, sink=True, softcap=4.0),
    "bias": Case(bias=(1, 4, LONG, LONG)),
    "bias by row": Case(Full(), PACKED, bias=(2, 1, LONG, LONG)),
    "bias by key": Case(bias=(1, 4, 1, LONG)),
    "bias by query": Case(Window(9), bias=(2, 4, LONG, 1)),
    "bias, hidden rows": Case(Window(9), RAGGED_RIGHT, bias=(1, 4, LONG, LONG)),
    "alibi": Case(alibi=True),
    "alibi, packed, bias": Case(here=PACKED, bias=(1, 4, LONG, LONG), alibi=True),
    "everything": Case(Window(40), PACKED, 1, 6, (1, 4, LONG, LONG), 4.0, True, 0.5, True),
}


def task(case: Case, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], Sight, Scoring]:
    """Random q, k, v (and bias, sink), the sight, and how to score."""
    torch.manual_seed(1)
    shapes: list[tuple[int, ...]] = [
        (2, LONG, 4, 8),
        (2, LONG, case.kv_heads, 8),
        (2, LONG, case.kv_heads, case.value_width),
    ]
    q, k, v = (torch.randn(shape).to(dtype).requires_grad_() for shape in shapes)
    bias = None if case.bias is None else torch.randn(case.bias).to(dtype).requires_grad_()
    sink = torch.randn(4).to(dtype).requires_grad_() if case.sink else None
    sight = Field(Alibi(4) if case.alibi else Position(), case.mask).among(case.here, LONG, CPU)
    how = Scoring(case.scale, bias, case.softcap, sink)
    return [x for x in (q, k, v, bias, sink) if x is not None], sight, how


def run(name: str, case: Case, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...] | None:
    """Output and gradients of one kernel, or None where it says that it cannot."""
    inputs, sight, how = task(case, dtype)
    if not able(name, sight, how):
        return None
    z = attend(*inputs[:3], replace(sight, kernel=name), how)
    weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    return z.detach(), *torch.autograd.grad((z * weights).sum(), inputs)


def by_hand(case: Case) -> Tensor:
    """Attention by its definition, one query at a time, in fp64."""
    (q, k, v, *_), sight, how = task(case)
    q, k, v = q.double(), k.double(), v.double()
    bias = torch.zeros(2, 4, LONG, LONG, dtype=torch.float64)
    if how.bias is not None:
        bias = bias + how.bias.double()
    if case.alibi:
        assert sight.placed.bias is not None
        bias = bias + sight.placed.bias.double()
    seen = visible(case.mask, sight.q, sight.k).expand(2, LONG, LONG)
    z = torch.zeros(2, LONG, 4, case.value_width, dtype=torch.float64)
    for b, t, h in itertools.product(range(2), range(0, LONG, 7), range(4)):
        keys = seen[b, t].nonzero()[:, 0]
        if not len(keys):
            continue
        g = h // (4 // case.kv_heads)
        scores = k[b, keys, g] @ q[b, t, h] * (8**-0.5 if case.scale is None else case.scale) + bias[b, h, t, keys]
        scores = scores if case.softcap is None else case.softcap * (scores / case.softcap).tanh()
        weights = scores.exp()
        extra = 0.0 if how.sink is None else how.sink[h].double().exp()
        z[b, t, h] = (weights / (weights.sum() + extra)) @ v[b, keys, g]
    return z[:, ::7].detach()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_kernel_is_the_reference(case: Case) -> None:
    wanted = run("eager", case)
    assert wanted is not None
    close(wanted[0][:, ::7], by_hand(case))
    for name in KERNELS:
        got = run(name, case)
        if got is None:
            continue
        for what, a, b in zip(("output", "q", "k", "v", "bias or sink", "sink"), got, wanted, strict=False):
            try:
                close(a, b, 2e-5)
            except AssertionError as error:
                raise AssertionError(f"kernel {name}, {what}: {error}") from None


@pytest.mark.parametrize("case", ["causal", "packed", "everything", "bias"])
def test_kernels_in_bf16_stay_near(case: str) -> None:
    exact = run("eager", CASES[case])
    assert exact is not None
    for name in KERNELS:
        got = run(name, CASES[case], torch.bfloat16)
        for a, b in zip(got or (), exact, strict=False):
            assert a.dtype == torch.bfloat16
            assert float((a.float() - b).norm() / b.norm()) < 0.03


@pytest.mark.parametrize("mask", [Full(), Causal(), Window(50)], ids=str)
@pytest.mark.parametrize("length", [1, 7, 64, 130])
def test_forced_kernels_agree_at_every_length(mask: Mask, length: int) -> None:
    """Also where a whole row fits into one block."""
    attention = randomised(Attention(16, 4, 2))
    field, x, results = Field(Rope(4), mask), torch.randn(2, length, 16), {}
    for field.kernel in KERNELS:
        results[field.kernel] = attention(x, Context(PLAIN, None, {"self": field.among(PLAIN, length, CPU)}))[0]
    for name, result in results.items():
        try:
            close(result, results["eager"])
        except AssertionError as error:
            raise AssertionError(f"kernel {name}: {error}") from None


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("here", [Layout(), RAGGED_LEFT], ids=["plain", "ragged"])
def test_kernels_under_autocast(name: str, here: Layout) -> None:
    """The norms of q and k may come out in another precision than v."""
    attention = randomised(Attention(16, 4, 2, q_norm=LayerNorm(4), k_norm=RMSNorm(4)))
    field, x = Field(Rope(4), Causal()), torch.randn(2, LONG, 16)
    gradients = []
    for field.kernel in ("eager", name):
        with torch.autocast("cpu", torch.bfloat16):
            sights = {"self": field.among(here, LONG, CPU)}
            y = attention(x.bfloat16(), Context(here, None, sights))[0]
        y.float().square().mean().backward()
        gradients.append([y.detach().float(), *(p.grad.clone() for p in attention.parameters())])
        attention.zero_grad()
    for (what, _), a, b in zip([("output", None), *attention.named_parameters()], *reversed(gradients), strict=True):
        assert float((a - b).norm()) <= 0.05 * max(float(b.norm()), 0.5), what


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("case", ["ragged left", "window, ragged", "bias, hidden rows", "everything", "packed, full"])
def test_a_hidden_row_is_zero_and_so_are_its_gradients(name: str, case: str) -> None:
    inputs, sight, how = task(CASES[case])
    if not able(name, sight, how):
        pytest.skip(f"{name} says that it cannot")
    hidden = ~visible(CASES[case].mask, sight.q, sight.k).any(-1)
    assert hidden.any()
    z = attend(*inputs[:3], replace(sight, kernel=name), how)
    assert (z[hidden] == 0).all()
    for gradient, which in zip(torch.autograd.grad(z.square().sum(), inputs[:3]), "qkv", strict=True):
        assert torch.isfinite(gradient).all()
        assert which != "q" or (gradient[hidden] == 0).all()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("window", [1, 7, 64, 100])
def test_a_window_sees_exactly_its_keys(name: str, window: int) -> None:
    inputs, sight, how = task(Case(Window(window)))
    sight = replace(sight, kernel=name)
    for t in (0, 5, 63, 64, LONG - 1):
        (gradient,) = torch.autograd.grad(attend(*inputs[:3], sight, how)[0, t].sum(), inputs[2])
        touched = gradient[0].abs().sum((-1, -2)).nonzero()[:, 0].tolist()
        assert touched == list(range(max(0, t - window + 1), t + 1))


def test_packing_leaves_a_window_its_short_reach() -> None:
    """Else the blocked kernel computes what the window hides; only a shared prefix is seen from everywhere."""
    field = Field(Position(), Window(9))
    for here in (Layout(), PACKED, RAGGED_LEFT):
        assert field.among(here, LONG, CPU).reach == (8, 0)
    assert field.among(with_prefix(), LONG, CPU).reach == (None, None)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("mask", [Causal(), Window(6)], ids=str)
def test_dropout_is_equal_in_distribution(name: str, mask: Mask) -> None:
    """With the identity as values, the output is the weights: zero or 1 / (1 - rate) of what they were."""
    draws, length, rate = 600, 10, 0.3
    q, k = torch.randn(1, length, 2, 4), torch.randn(1, length, 1, 4)
    v = torch.eye(length)[None, :, None].expand(draws, -1, -1, -1)
    sight = replace(Field(Position(), mask).among(Layout(), length, CPU), kernel=name)
    q, k = q.expand(draws, -1, -1, -1), k.expand(draws, -1, -1, -1)
    clean = attend(q[:1], k[:1], v[:1], sight, Scoring())
    noisy = attend(q, k, v, sight, Scoring(dropout=rate))
    kept = noisy != 0
    seen = (clean > 0).expand_as(noisy)
    close(noisy[kept], (clean / (1 - rate)).expand_as(noisy)[kept], 1e-4)
    share = float(kept[seen].float().mean())
    assert abs(share - (1 - rate)) < 5 * math.sqrt(rate * (1 - rate) / int(seen.sum()))
    assert float((noisy.mean(0) - clean[0]).abs().max()) < 5 * math.sqrt(rate / (1 - rate) / draws)


@pytest.mark.parametrize(
    ("options", "able_ones"),
    [
        (dict(), {"matmul", "sdpa", "blocked"}),
        (dict(sink=True), {"matmul", "blocked"}),
        (dict(relative=Shaw(4)), {"matmul"}),
    ],
    ids=["plain", "sink", "values by distance"],
)
def test_only_kernels_that_can_are_measured_and_nothing_is_learnt_from_it(options: dict, able_ones: set[str]) -> None:
    attention, field = Attention(16, 4, **options), Field(T5Bias(4), Causal())
    times = measure.costs(field, attention, 2, 20, dtype=torch.bfloat16, repeats=1)
    assert set(times) == able_ones and min(times.values()) > 0
    assert [name for name, p in (*attention.named_parameters(), *field.named_parameters()) if p.grad is not None] == []


def test_what_is_measured_takes_the_values_in(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, mixed = Attention(16, 4, relative=Shaw(4)), []
    monkeypatch.setattr(
        Shaw, "mix", lambda self, probs, q, k, mix=Shaw.mix: (mixed.append(1), mix(self, probs, q, k))[1]
    )
    measure.costs(Field(Position(), Causal()), attention, 1, 8, dtype=torch.float32, repeats=1)
    assert mixed


def test_a_kernel_that_cannot_steps_aside_and_an_unknown_one_is_refused() -> None:
    model = tiny()
    plain = model(torch.arange(9)[None])[0]
    for name in KERNELS:
        assert kernels.use(model, name)
        close(model(torch.arange(9)[None])[0], plain)
    with pytest.raises(ValueError, match=r"'fast'.*eager"):
        kernels.use(model, "fast")


# --------------------------------------------------------------------------------------------------------- positions


SCALINGS = {
    "linear": (rope.Linear(4.0), {"rope_type": "linear", "factor": 4.0}),
    "dynamic": (rope.Dynamic(2.5, 64), {"rope_type": "dynamic", "factor": 2.5}),
    "yarn": (
        rope.Yarn(8.0, 32),
        {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32},
    ),
    "yarn, not truncated": (
        rope.Yarn(32.0, 40, truncate=False, fast=20.0, slow=2.0),
        {
            "rope_type": "yarn",
            "factor": 32.0,
            "original_max_position_embeddings": 40,
            "truncate": False,
            "beta_fast": 20.0,
            "beta_slow": 2.0,
        },
    ),
    "yarn, all pairs slowed": (
        rope.Yarn(4.0, 200_000),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 200_000},
    ),
    "yarn, mscale": (
        rope.Yarn(40.0, 4096, mscale=1.0, mscale_all_dim=0.7),
        {
            "rope_type": "yarn",
            "factor": 40.0,
            "original_max_position_embeddings": 4096,
            "mscale": 1.0,
            "mscale_all_dim": 0.7,
        },
    ),
    "yarn, attention factor": (
        rope.Yarn(4.0, 128, attention_factor=1.3),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "attention_factor": 1.3},
    ),
    "llama3": (
        rope.Llama3(8.0, 1024, low=1.0, high=4.0),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "original_max_position_embeddings": 1024,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize("width", [8, 22, 64])
def test_rope_scalings_are_the_published_ones(name: str, theta: float, width: int) -> None:
    pytest.importorskip("transformers")
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling, theirs = SCALINGS[name]
    config = LlamaConfig(
        hidden_size=3 * width,
        num_attention_heads=3,
        head_dim=width,
        max_position_embeddings=64,
        rope_parameters={"rope_theta": theta, **theirs},
    )
    for length in (10, 64, 65, 300):
        wanted, attention = ROPE_INIT_FUNCTIONS[theirs["rope_type"]](config, CPU, seq_len=length)
        got = scaling.frequencies(theta, width, length, CPU)
        assert torch.allclose(got, wanted, rtol=2e-6, atol=0)
        assert scaling.attention() == pytest.approx(attention, rel=1e-7)


@pytest.mark.parametrize("how", ["fp32", "autocast", "bf16 module"])
def test_rope_is_exact_far_away(how: str) -> None:
    width, places = 32, torch.tensor([[0, 1, 8191, 8193, 20000, 20001, 65537]])
    part = Rope(width, theta=500000.0)
    field = Field(part.bfloat16() if how == "bf16 module" else part, Causal())
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        sight = field.among(Layout(order=places), 7, CPU)
    angle = places.double()[..., None] * 500000.0 ** (-torch.arange(0, width, 2).double() / width)
    assert sight.placed.rotation_q is not None
    for got, wanted in zip(sight.placed.rotation_q, (angle.cos(), angle.sin()), strict=True):
        assert got.dtype == torch.float32
        assert float((got[:, :, 0].double() - wanted).abs().max()) < 65537 * 2**-23
    x = torch.randn(1, 7, 3, width).bfloat16()
    a, b = x[..., :16].double(), x[..., 16:].double()
    cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
    exact = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    assert float((sight.rotate_q(x).double() - exact).abs().max()) < 0.05


def test_rope_scores_depend_on_distance_only() -> None:
    part = Rope(12)
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    scores = []
    for shift in (0, 5, 1000):
        here, there = Layout(torch.tensor([[7 + shift]])), Layout(torch.tensor([[3 + shift]]))
        placed = part.at(here, there, there, 1)
        scores.append(float((placed.rotate_q(q) * placed.rotate_k(k)).sum()))
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-3)


@pytest.mark.parametrize("width", [0, 7])
def test_rope_turns_pairs(width: int) -> None:
    with pytest.raises(ValueError, match=f"{width} must be even"):
        Rope(width)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (16, 20), (8, 300), (64, 64)])
def test_t5_buckets_are_the_published_ones(buckets: int, distance: int, both_ways: bool) -> None:
    pytest.importorskip("transformers")
    from transformers.models.t5.modeling_t5 import T5Attention

    ahead = torch.arange(-700, 700)[None]
    bucket = T5Attention._relative_position_bucket(ahead, both_ways, buckets, distance)
    assert torch.equal(T5Bias(3, buckets=buckets, distance=distance, bidirectional=both_ways).bucket(ahead), bucket)


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 8, 12, 16, 20, 71])
def test_alibi_slopes_are_the_papers(heads: int) -> None:
    def paper(n: int) -> list[float]:  # the code published with Press et al. 2022
        if math.log2(n).is_integer():
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]
        closest = 2 ** math.floor(math.log2(n))
        return paper(closest) + paper(2 * closest)[0::2][: n - closest]

    assert Alibi.slopes(heads) == pytest.approx(paper(heads), rel=1e-12)
    here = Layout().numbered(9, CPU)
    bias = Alibi(heads).at(here, here, here, 9).bias
    assert bias is not None and bias.shape == (1, heads, 9, 9)
    assert float(bias[0, heads - 1, 7, 2]) == pytest.approx(-5 * paper(heads)[-1], rel=1e-6)


@pytest.mark.parametrize("heads", [4, 7, 24])
def test_alibi_slopes_are_blooms(heads: int) -> None:
    pytest.importorskip("transformers")
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 2, dtype=torch.int64), heads, torch.float32)  # [H, 1, 2]: slope · place
    assert Alibi.slopes(heads) == pytest.approx(theirs[:, 0, 1].tolist(), rel=1e-6)


@pytest.mark.parametrize("mask", [Causal(), Full()], ids=str)
@pytest.mark.parametrize("here", [Layout(), PACKED, RAGGED_LEFT], ids=["plain", "packed", "ragged"])
@pytest.mark.parametrize("name", ["eager", "matmul"])
def test_shaw_is_a_gather_in_disguise(name: str, here: Layout, mask: Mask) -> None:
    part, heads = Shaw(8, distance=5), 4
    for table in (part.keys, part.values):
        nn.init.normal_(table)
    q, k, v = (torch.randn(2, LONG, heads, 8, requires_grad=True) for _ in range(3))
    sight = Field(Position(), mask).among(here, LONG, CPU)
    how = Scoring(bias=part.bias(q * 8**-0.5, sight.q, sight.k), values=lambda probs: part.mix(probs, sight.q, sight.k))
    z = KERNELS[name](q, k, v, sight, how)

    order = here.numbered(LONG, CPU).order
    assert order is not None
    bucket = (order[:, None, :] - order[:, :, None]).clamp(-5, 5) + 5
    by_key, by_value = part.keys[bucket], part.values[bucket]  # [B, T, S, K]: what the part avoids
    keys = k[:, None] + by_key[:, :, :, None]  # [B, T, S, H, K]
    scores = (q[:, :, None] * keys).sum(-1) * 8**-0.5  # [B, T, S, H]
    seen = visible(mask, sight.q, sight.k)[..., None]
    probs = scores.masked_fill(~seen, -1e9).softmax(2) * seen
    wanted = (probs[..., None] * (v[:, None] + by_value[:, :, :, None])).sum(2)
    close(z, wanted)
    weights, inputs = torch.randn(z.shape), (q, k, v, part.keys, part.values)
    gradients = torch.autograd.grad((wanted * weights).sum(), inputs)
    for a, b in zip(torch.autograd.grad((z * weights).sum(), inputs), gradients, strict=True):
        close(a, b, 3e-5)


def test_sinusoids_by_hand() -> None:
    width, places = 10, [0, 1, 5, 77, 4000]
    table = Sinusoid(width).add(torch.zeros(1, 5, width), Layout(order=torch.tensor([places])))[0]
    for row, place in enumerate(places):
        for i in range(0, width, 2):
            angle = place / 10000 ** (i / width)
            assert float(table[row, i]) == pytest.approx(math.sin(angle), abs=1e-3)
            assert float(table[row, i + 1]) == pytest.approx(math.cos(angle), abs=1e-3)
    with pytest.raises(ValueError, match="11 is odd"):
        Sinusoid(11)


def test_positions_read_coordinates_where_there_are_some() -> None:
    coords = torch.tensor([[5, 5, 0, 2]])
    embed = Embed(9, 8, position=Learned(6, 8))
    got = embed(torch.zeros(1, 4, dtype=torch.int64), Layout(coords=coords))
    assert embed.weight is not None and isinstance(embed.position, Learned)
    close(got, embed.weight[torch.zeros(1, 4, dtype=torch.int64)] + embed.position.weight[coords])


# ------------------------------------------------------------------------------------------------------------ caches


def tiny(
    *, window: int = 3, order: list[int] | None = None, stem: bool = True, position: Position | None = None
) -> Decoder:
    """Two layers, the first with `position` (Rope), the second with a short window; every parameter random."""

    def layer(field: str) -> Block:
        own = Attention(16, 4, 2, field=field, bias="qkvo")
        return Block(attn=Residual(own, pre=RMSNorm(16)), mlp=Residual(MLP(16, 24), pre=LayerNorm(16)))

    fields = {"self": Field(position or Rope(4), Causal()), "local": Field(Alibi(4), Window(window))}
    stack = Stack([layer("self"), layer("local")], fields=fields, order=order, norm=RMSNorm(16))
    embed = Embed(23, 16, position=Learned(256, 16) if stem else None)
    return randomised(Decoder(embed, stack, head=LMHead(16, 23, tied=True)))


def randomised(module):
    """Every parameter drawn anew, norms and biases too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
            if parameter.ndim == 1:
                parameter.add_(1.0)
    return module.eval()


def alone(model: Decoder, tokens: list[int]) -> Tensor:
    """Hidden states of one row without a cache, [T, D]."""
    return model(torch.tensor([tokens]))[0][0]


COUNTS = st.lists(st.integers(0, 4), min_size=2, max_size=2).filter(any)
STEPS = st.one_of(
    st.tuples(st.just("feed"), COUNTS, st.sampled_from(["left", "right"])),
    st.tuples(st.just("feed"), st.integers(1, 4).map(lambda n: [n, n]), st.just("right")),
    st.tuples(st.just("truncate"), st.integers(1, 5), st.none()),
    st.tuples(st.just("reorder"), st.sampled_from([[1, 0], [0, 0], [1, 1]]), st.none()),
    st.tuples(st.just("fork"), st.just(2), st.none()),
    st.tuples(st.just("keep"), st.sampled_from([[0], [1], [1, 0]]), st.none()),
)


@given(st.lists(STEPS, min_size=1, max_size=9))
@torch.no_grad()
def test_a_cache_is_a_memory_of_the_row(steps: list[tuple]) -> None:
    torch.manual_seed(0)
    model = tiny()
    cache, rows, share = model.cache(2, 48, chunk=4), [[], []], 1
    for number, (what, how, side) in enumerate(steps):
        if what == "feed":
            counts = (how * 4)[: len(rows)]
            width = max(counts)
            new = [[(7 * number + 5 * row + i) % 23 for i in range(count)] for row, count in enumerate(counts)]
            pad = [[0] * (width - count) for count in counts]
            lists = [p + n if side == "left" else n + p for p, n in zip(pad, new, strict=True)]
            real = Layout.ragged(torch.tensor(counts), width, side=side).segments
            here = Layout(segments=None if min(counts) == width else real)
            got = model(torch.tensor(lists), here, cache)[0]
            for row, count in enumerate(counts):
                rows[row] = rows[row] + new[row]
                if count:
                    states = got[row, width - count :] if side == "left" else got[row, :count]
                    close(states, alone(model, rows[row])[-count:], 3e-5)
        elif what == "truncate":
            keep = max(len(row) for row in rows) - how
            if keep < 1:
                continue
            try:
                cache.truncate(keep)
            except ValueError as error:
                assert "take back" in str(error)  # a ring has forgotten them, and says so
            else:
                rows = [row[:keep] for row in rows]
        elif what == "reorder" and len(rows) % 2 == 0:
            index = [i for start in range(0, len(rows), 2) for i in (start + how[0], start + how[1])]
            cache.reorder(torch.tensor(index))
            rows = [rows[i] for i in index]
        elif what == "keep" and max(how) < len(rows) // share:
            cache.keep(torch.tensor(how))
            rows = [rows[i * share + copy] for i in how for copy in range(share)]
        elif what == "fork" and len(rows) < 4:
            cache.fork(how)
            rows, share = [row for row in rows for _ in range(how)], share * how
        assert cache.rows == len(rows) and cache.used == max(map(len, rows))


@torch.no_grad()
def test_padding_takes_no_place_in_a_cache() -> None:
    """Nor is it counted against the trained positions."""
    model, rows = tiny(stem=False), [[], []]
    model.embed.position = randomised(Learned(8, 16))
    cache = model.cache(2, 8)
    for counts in ([3, 5], [4, 1], [1, 2]):
        new = [torch.randint(23, (count,)).tolist() for count in counts]
        lists = [[0] * (max(counts) - count) + row for count, row in zip(counts, new, strict=True)]
        got = model(torch.tensor(lists), Layout.ragged(torch.tensor(counts), max(counts), side="left"), cache)[0]
        rows = [row + more for row, more in zip(rows, new, strict=True)]
        assert cache.used == max(map(len, rows))
        for row, count in enumerate(counts):
            close(got[row, max(counts) - count :], alone(model, rows[row])[-count:], 3e-5)
    with pytest.raises(ValueError, match="9 tokens, but the trained positions end at 8"):
        model(torch.zeros(2, 1, dtype=torch.int64), cache=cache)
    model.embed.position = Learned(99, 16)
    with pytest.raises(ValueError, match="holds 8 .* 8 are in it and 1 more"):
        model(torch.zeros(2, 1, dtype=torch.int64), cache=cache)
    model(torch.zeros(2, 1, dtype=torch.int64), Layout(segments=torch.tensor([[0], [0]])), cache)  # nothing is new


def test_rows_change_only_as_they_say() -> None:
    cache = tiny().cache(3, 8)
    with pytest.raises(ValueError, match=r"\[2\] rows for a cache of 3: keep drops"):
        cache.reorder(torch.tensor([2, 0]))
    with pytest.raises(ValueError, match="keep at least one"):
        cache.keep(torch.tensor([], dtype=torch.int64))
    cache.keep(torch.tensor([2, 0]))
    cache.fork(3)
    assert cache.rows == 6 and cache.share == 3
    cache.keep(torch.tensor([1]))
    assert cache.rows == 3


@pytest.mark.parametrize("mask", [Full(), Window(3, 1), Chunk(4)], ids=str)
def test_a_stack_that_sees_ahead_has_no_cache(mask: Mask) -> None:
    model = tiny()
    field = model.stack.fields["local"]
    assert isinstance(field, Field)
    field.mask = mask
    with pytest.raises(ValueError, match=r"'local' sees ahead \(" + type(mask).__name__ + r".* & Causal\(\)"):
        model.cache(2, 8)


@torch.no_grad()
def test_packed_rows_may_be_truncated() -> None:
    """By tokens of the row, not by places within a document."""
    model, tokens = tiny(window=9), torch.randint(23, (1, 12))
    whole = Layout(segments=torch.tensor([[1] * 5 + [2] * 7])).numbered(12, CPU)
    assert whole.order is not None and whole.segments is not None
    for keep in (6, 2):
        cache, left = model.cache(1, 16, chunk=12), slice(0, keep)
        model(tokens, whole, cache)
        cache.truncate(keep)
        kept = Layout(whole.order[:, left], whole.segments[:, left])
        more, first = torch.randint(23, (1, 4)), 1 if keep == 6 else 0  # go on with the second document, or begin it
        place = Layout(torch.arange(first, first + 4)[None], torch.full((1, 4), 2))
        got = model(more, place, cache)[0]
        row = Layout(*(torch.cat(pair, 1) for pair in ((kept.order, place.order), (kept.segments, place.segments))))
        close(got, model(torch.cat((tokens[:, left], more), 1), row)[0][:, keep:], 3e-5)


@pytest.mark.parametrize("chunks", [[130], [1] * 20, [63, 1, 1, 62, 1, 1, 1], [40, 40, 40, 10]], ids=str)
@torch.no_grad()
def test_a_cache_grows_past_its_buckets(chunks: list[int]) -> None:
    model = tiny(window=40)
    tokens = torch.randint(23, (2, sum(chunks)))
    cache, at, got = model.cache(2, 200, chunk=max(chunks)), 0, []
    for size in chunks:
        got.append(model(tokens[:, at : at + size], cache=cache)[0])
        at += size
    close(torch.cat(got, 1), model(tokens)[0], 3e-5)


@torch.no_grad()
def test_truncating_twice_takes_no_more_back_than_once() -> None:
    """A ring of window + chunk - 1 places has forgotten what two truncations of chunk - 1 would need."""
    model = tiny(window=8)
    tokens = torch.randint(23, (1, 40))
    cache = model.cache(1, 64, chunk=4)
    for start in range(0, 20, 4):
        model(tokens[:, start : start + 4], cache=cache)
    try:
        for keep in (17, 14, 11, 8):
            cache.truncate(keep)
    except ValueError:
        return  # refused, and so nothing is wrong
    got = model(tokens[:, 20:24], cache=cache)[0]
    row = torch.cat((tokens[:, :8], tokens[:, 20:24]), 1)
    close(got, model(row)[0][:, -4:], 3e-5)


def test_a_full_cache_says_so() -> None:
    model = tiny()
    cache = model.cache(1, 6, chunk=2)
    with torch.no_grad():
        model(torch.zeros(1, 2, dtype=torch.int64), cache=cache)
    with pytest.raises(ValueError, match="at most 2"):
        model(torch.zeros(1, 3, dtype=torch.int64), cache=cache)
    with pytest.raises(ValueError, match=r"holds 6 .* 2 are in it and 5 more"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=cache)
    for sizes in ((0, 4, None, None), (1, 0, None, None), (1, 4, 0, None), (1, 4, None, 0)):
        rows, capacity, length, chunk = sizes
        with pytest.raises(ValueError, match=f"{rows} x {capacity} places"):
            model.cache(rows, capacity, length=length, chunk=chunk)


@pytest.mark.parametrize("name", ["linear", "dynamic", "yarn", "llama3"])
@torch.no_grad()
def test_a_scaling_is_fixed_when_the_cache_is_made(name: str) -> None:
    scaling = {**{k: v[0] for k, v in SCALINGS.items()}, "dynamic": rope.Dynamic(2.0, 8)}[name]
    model = tiny(position=Rope(4, scaling=scaling))
    tokens = torch.randint(23, (2, 24))
    cache = model.cache(2, 40, length=24)
    got = [model(tokens[:, i : i + 3], cache=cache)[0] for i in range(0, 24, 3)]
    close(torch.cat(got, 1), model(tokens)[0], 3e-5)


def pair(memory_position: Position | None = None, mask: Mask | None = None) -> EncoderDecoder:
    """A small encoder–decoder; every parameter random."""

    def look(field: str) -> Residual:
        kind = Attention if field == "self" else CrossAttention
        return Residual(kind(16, 4, 2, field=field), after=LayerNorm(16))

    memory = Field(memory_position or Position(), mask or Full(), keys="memory")
    encoder = Stack([Block(attn=look("self"))], fields={"self": Field(Rope(4), Full())})
    decoder = Stack(
        [Block(attn=look("self"), cross=look("memory")) for _ in range(2)],
        fields={"self": Field(Rope(4), Causal()), "memory": memory},
    )
    embed, target = Embed(23, 16), Embed(23, 16, own=False)
    return randomised(EncoderDecoder(embed, encoder, target, decoder, head=LMHead(16, 23, tied=True)))


@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_beams_share_one_memory(padded: bool) -> None:
    model, source, tokens = pair(), torch.randint(23, (2, 7)), torch.randint(23, (6, 5))
    here = Layout.ragged(torch.tensor([7, 4]), 7) if padded else None
    memory = model.encode(source, here)
    cache = model.cache(2, 16)
    model.fill(cache, memory)
    first = tokens[[0, 3], :2]
    start = model.decode(first, cache=cache)[0]
    close(start, model.decode(first, memory=memory)[0], 3e-5)
    cache.fork(3)
    rows = torch.cat((first.repeat_interleave(3, 0), tokens[:, 2:]), 1)
    cache.reorder(torch.tensor([2, 0, 1, 3, 3, 5]))
    got = torch.cat([model.decode(rows[:, i : i + 1], cache=cache)[0] for i in range(2, 5)], 1)
    states = Memory(memory.states.repeat_interleave(3, 0), repeated(memory.here, 3))
    close(got, model.decode(rows, memory=states)[0][:, 2:], 3e-5)


@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_kept_rows_keep_their_memory(padded: bool) -> None:
    model, source, tokens = pair(), torch.randint(23, (3, 7)), torch.randint(23, (3, 5))
    lengths = [7, 4, 5] if padded else [7, 7, 7]
    cache = model.cache(3, 16)
    model.fill(cache, model.encode(source, Layout.ragged(torch.tensor(lengths), 7) if padded else None))
    model.decode(tokens[:, :2], cache=cache)
    cache.fork(2)
    cache.keep(torch.tensor([2, 1]))
    cache.reorder(torch.tensor([1, 1, 2, 3]))
    got = model.decode(tokens[[2, 2, 1, 1], 2:], cache=cache)[0]
    for row, own in enumerate([2, 2, 1, 1]):
        memory = model.encode(source[own, None, : lengths[own]])
        close(got[row], model.decode(tokens[own, None], memory=memory)[0][0, 2:], 3e-5)
    with pytest.raises(ValueError, match=r"\[0, 2, 1, 3\] would leave its memory: each 2"):
        cache.reorder(torch.tensor([0, 2, 1, 3]))
    with pytest.raises(ValueError, match="a memory of 3 rows for a cache of 4, 2 of which"):
        model.fill(cache, model.encode(source))
    with pytest.raises(ValueError, match="no memory yet"):
        model.decode(tokens, memory=model.encode(source), cache=model.cache(3, 16))


def repeated(here: Layout, times: int) -> Layout:
    fields = (here.order, here.segments, here.coords, here.groups)
    return Layout(*(None if x is None else x.repeat_interleave(times, 0) for x in fields))


@torch.no_grad()
def test_beams_of_unequal_length_share_one_memory() -> None:
    """Each beam keeps to its own row's source, whatever padding stands in the chunk."""
    model, source = pair(), torch.randint(23, (2, 7))
    memory = model.encode(source, Layout.ragged(torch.tensor([7, 4]), 7))
    cache = model.cache(2, 16)
    model.fill(cache, memory)
    cache.fork(3)
    counts, rows = [1, 3, 2, 3, 1, 2], [torch.randint(23, (3,)) for _ in range(6)]
    tokens = torch.stack(
        [torch.cat((torch.zeros(3 - n, dtype=torch.int64), row[:n])) for n, row in zip(counts, rows, strict=True)]
    )
    segments = Layout.ragged(torch.tensor(counts), 3, side="left").segments
    got = model.decode(tokens, Layout(segments=segments), cache=cache)[0]
    for row, count in enumerate(counts):
        length = [7, 4][row // 3]
        own = model.encode(source[row // 3, None, :length])
        close(got[row, 3 - count :], model.decode(rows[row][None, :count], memory=own)[0][0], 3e-5)


@pytest.mark.parametrize("position", [Rope(4), T5Bias(4, bidirectional=True), Alibi(4)], ids=lambda p: type(p).__name__)
@torch.no_grad()
def test_a_filled_memory_is_the_memory(position: Position) -> None:
    """Also where the field that looks at it has positions of its own."""
    model, source, tokens = pair(position), torch.randint(23, (2, 7)), torch.randint(23, (2, 5))
    memory = model.encode(source)
    cache = model.cache(2, 16)
    model.fill(cache, memory)
    got = torch.cat([model.decode(tokens[:, i : i + 1], cache=cache)[0] for i in range(5)], 1)
    close(got, model.decode(tokens, memory=memory)[0], 3e-5)


def test_a_memory_is_asked_for_by_name() -> None:
    model = pair()
    with pytest.raises(ValueError, match=r"no field 'memory' in this pass, which has self: .* give this pass one"):
        model.decode(torch.zeros(1, 2, dtype=torch.int64))


@torch.no_grad()
def test_a_chunk_that_cuts_a_group_is_refused() -> None:
    """Its first tokens could not see its last ones any more."""
    model = tiny(stem=False)
    for name in ("self", "local"):
        field = model.stack.fields[name]
        assert isinstance(field, Field)
        field.mask = Causal() | SameGroup()
    tokens, groups = torch.randint(23, (2, 9)), torch.tensor([[0, 0, 1, 1, 1, 0, 2, 2, 2]] * 2)
    wanted, cache, at, got = model(tokens, Layout(groups=groups))[0], model.cache(2, 20), 0, []
    for size in (2, 4, 3):
        part = slice(at, at + size)
        got.append(model(tokens[:, part], Layout(groups=groups[:, part]), cache)[0])
        at += size
    close(torch.cat(got, 1), wanted, 3e-5)
    cache = model.cache(2, 20)
    model(tokens[:, :4], Layout(groups=groups[:, :4]), cache)
    with pytest.raises(ValueError, match="group"):
        model(tokens[:, 4:], Layout(groups=groups[:, 4:]), cache)


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_ragged_layouts_may_follow_one_another(side: str) -> None:
    """`Layout.ragged` says how many tokens are new, not that the row starts anew."""
    model, rows = tiny(), [[], []]
    cache = model.cache(2, 30)
    for counts in ([3, 5], [4, 1], [2, 2]):
        new = [torch.randint(23, (count,)).tolist() for count in counts]
        pad = [[0] * (max(counts) - count) for count in counts]
        lists = [p + n if side == "left" else n + p for p, n in zip(pad, new, strict=True)]
        got = model(torch.tensor(lists), Layout.ragged(torch.tensor(counts), max(counts), side=side), cache)[0]
        for row, count in enumerate(counts):
            rows[row] = rows[row] + new[row]
            states = got[row, max(counts) - count :] if side == "left" else got[row, :count]
            close(states, alone(model, rows[row])[-count:], 3e-5)


@torch.no_grad()
def test_groups_are_forgotten_with_their_places() -> None:
    """A place that held a group, was taken back and is written without groups belongs to none."""
    model = tiny(stem=False)
    field = model.stack.fields["local"]
    assert isinstance(field, Field)
    field.mask = Window(2) | (SameGroup() & Causal())
    image, text = Layout(groups=torch.ones(1, 4, dtype=torch.int64)), Layout()
    tokens = torch.randint(23, (1, 14))
    cache = model.cache(1, 32)
    model(tokens[:, :4], image, cache)
    cache.truncate(1)
    model(tokens[:, 4:10], text, cache)
    got = model(tokens[:, 10:14], image, cache)[0]
    row = torch.cat((tokens[:, :1], tokens[:, 4:]), 1)
    groups = torch.tensor([[1] + [0] * 6 + [1] * 4])
    close(got, model(row, Layout(groups=groups))[0][:, -4:], 3e-5)


@pytest.mark.parametrize("numbered", [True, False])
@torch.no_grad()
def test_packed_rows_may_be_read_through_a_cache(numbered: bool) -> None:
    """Several documents of a row, whole or in chunks: the order restarts with each of them, or the row is refused."""
    model = tiny()
    tokens, whole = torch.randint(23, (1, 12)), Layout(segments=torch.tensor([[1] * 5 + [2] * 7]))
    wanted = model(tokens, whole)[0]
    order = whole.numbered(12, CPU).order
    assert order is not None and whole.segments is not None
    for size in (12, 3):
        cache, got = model.cache(1, 16), []
        for i in range(0, 12, size):
            part = Layout(order[:, i : i + size] if numbered else None, whole.segments[:, i : i + size])
            try:
                got.append(model(tokens[:, i : i + size], part, cache)[0])
            except ValueError:
                assert not numbered
                return
        close(torch.cat(got, 1), wanted, 3e-5)


# -------------------------------------------------------------------------------------------------------- the head


@pytest.mark.parametrize("how", [{}, {"scale": 0.3}, {"bias": True}, {"tied": True}], ids=str)
@pytest.mark.parametrize("piece", [1, 23 * 17, 2**21])
@pytest.mark.parametrize("listening", [False, True])
def test_nats_are_the_cross_entropy_of_the_scores(
    how: dict, piece: int, listening: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("PRODUCT", piece), ("ROWS", 1), ("PIECE", piece)):
        monkeypatch.setattr(sys.modules["weft.nn.nats"], name, size)
    head, table = randomised(LMHead(16, 23, **how)), torch.randn(23, 16, requires_grad=True)
    if listening:
        head.scores.register_forward_hook(lambda *_: None)
    x, labels = torch.randn(3, 19, 16, requires_grad=True), torch.randint(23, (3, 19))
    labels[0, 3:9], labels[2] = -100, -100
    inputs = [x, *head.parameters(), *([table] if how.get("tied") else [])]
    wanted = functional.cross_entropy(head(x, table).flatten(0, 1), labels.flatten(), reduction="sum")
    got = head.nats(x, labels, table)
    assert got.dtype == torch.float32 and float(got.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    gradients = torch.autograd.grad(wanted * 0.37, inputs)
    for a, b in zip(torch.autograd.grad(got * 0.37, inputs), gradients, strict=True):
        close(a, b)
    with torch.no_grad():
        assert float(head.nats(x, labels, table)) == pytest.approx(float(wanted), rel=1e-6)
        assert float(head.nats(x, torch.full_like(labels, -100), table)) == 0.0
        assert float(head.nats(x[:, :0], labels[:, :0], table)) == 0.0


@pytest.mark.parametrize("label", [-1, 23, -101])
def test_a_label_that_is_no_token_is_refused(label: int) -> None:
    """-100 is the one label that is not counted; a -1 must not be taken for token 0."""
    head, labels = LMHead(16, 23), torch.zeros(1, 4, dtype=torch.int64)
    labels[0, 2] = label
    with pytest.raises((IndexError, RuntimeError), match=f"{label} is out of bounds"):
        head.nats(torch.randn(1, 4, 16), labels)


def test_nats_cost_one_product_where_nobody_wants_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation must not pay for the backward pass."""
    head, x, labels = LMHead(16, 23), torch.randn(40, 16), torch.randint(23, (40,))
    for name, size in (("PRODUCT", 20 * 23), ("ROWS", 1), ("PIECE", 20 * 23)):
        monkeypatch.setattr(sys.modules["weft.nn.nats"], name, size)
    products = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
                products.append(func)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Count():
        head.nats(x, labels)
    assert len(products) == 2


def test_nats_under_autocast_and_with_a_frozen_side() -> None:
    head, x, labels = randomised(LMHead(16, 23)), torch.randn(40, 16), torch.randint(23, (40,))
    exact = functional.cross_entropy(head(x), labels, reduction="sum")
    (wanted,) = torch.autograd.grad(exact, head.weight)
    with torch.autocast("cpu", torch.bfloat16):
        near = head.nats(x, labels)
    (got,) = torch.autograd.grad(near, head.weight)
    assert got.dtype == torch.float32 and float((got - wanted).norm() / wanted.norm()) < 0.02
    assert float(near.detach()) == pytest.approx(float(exact.detach()), rel=0.02)
    head.requires_grad_(False)
    assert not head.nats(x, labels).requires_grad
    x.requires_grad_()
    close(
        *(torch.autograd.grad(f, x)[0] for f in (head.nats(x, labels), functional.cross_entropy(head(x), labels) * 40))
    )


# ------------------------------------------------------------------------------------------------- adapters and taps


class LowRank(nn.Module):
    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(2, linear.width_in))
        self.up = nn.Parameter(torch.randn(linear.width_out, 2))

    def forward(self, x: Tensor, y: Tensor, linear: Linear) -> Tensor:
        return y + x @ self.down.T @ self.up.T


def test_an_adapter_stands_beside_and_renames_nothing() -> None:
    linear, x = Linear(5, 7), torch.randn(3, 5)
    names, plain = set(linear.state_dict()), linear(x)
    a, b = LowRank(linear), LowRank(linear)
    linear.adapters["a"], linear.adapters["b"] = a, b
    close(linear(x), plain + x @ (a.up @ a.down + b.up @ b.down).T)
    assert names < set(linear.state_dict())
    del linear.adapters["a"], linear.adapters["b"]
    assert torch.equal(linear(x), plain)


TAPS = ["queries", "new_keys", "new_values", "probs", "mixed"]


def heard(attention: Attention, x: Tensor, sights: dict[str, Sight]) -> tuple[Tensor, dict[str, Tensor]]:
    """An attention's output, and what its taps say."""
    record: dict[str, Tensor] = {}
    hooks = [
        getattr(attention, name).register_forward_hook(lambda _m, _i, out, name=name: record.__setitem__(name, out))
        for name in TAPS
    ]
    y = attention(x, Context(Layout(), None, sights))[0]
    for hook in hooks:
        hook.remove()
    return y, record


@pytest.mark.parametrize("name", KERNELS)
def test_taps_say_the_models_own_numbers(name: str) -> None:
    attention = randomised(Attention(16, 4, 2, softcap=4.0 if name == "matmul" else None))
    field, x = Field(Rope(4), Window(9)), torch.randn(2, 80, 16)
    kernels.use(nn.ModuleList([field]), name)
    sights = {"self": field.among(Layout(), 80, CPU)}
    plain = attention(x, Context(Layout(), None, sights))[0]
    y, record = heard(attention, x, sights)
    close(y, plain)
    assert set(record) == set(TAPS)
    assert record["probs"].shape == (2, 4, 80, 80)
    close(record["probs"].sum(-1), torch.ones(2, 4, 80))
    values = record["new_values"].repeat_interleave(2, 2)
    close(torch.einsum("bhts,bshk->bthk", record["probs"], values), record["mixed"])
    close(attention.out(record["mixed"].flatten(-2)), y)
    assert torch.equal(attention(x, Context(Layout(), None, sights))[0], plain)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("tap", TAPS)
def test_an_edit_changes_what_was_edited(name: str, tap: str) -> None:
    attention = randomised(Attention(16, 4, 2))
    field, x = Field(Rope(4), Causal()), torch.randn(1, 80, 16)
    results = []
    for kernel in (name, "eager"):
        kernels.use(nn.ModuleList([field]), kernel)
        sights = {"self": field.among(Layout(), 80, CPU)}
        plain = attention(x, Context(Layout(), None, sights))[0]
        hook = getattr(attention, tap).register_forward_hook(lambda _m, _i, out: out * 0.5)
        results.append(attention(x, Context(Layout(), None, sights))[0])
        hook.remove()
        assert not torch.allclose(results[-1], plain, atol=1e-3)
    close(*results)


@pytest.mark.parametrize(
    "kind", ["register_full_backward_hook", "register_full_backward_pre_hook", "register_forward_pre_hook"]
)
def test_any_hook_on_a_tap_is_heard(kind: str) -> None:
    attention, heard_of = Attention(16, 4), []
    field = Field(Position(), Causal())
    field.kernel = "sdpa"
    x = torch.randn(1, 8, 16, requires_grad=True)
    getattr(attention.probs, kind)(lambda *_: heard_of.append(kind))
    attention(x, Context(Layout(), None, {"self": field.among(Layout(), 8, CPU)}))[0].sum().backward()
    assert heard_of == [kind]


# ----------------------------------------------------------------------------------------------- the residual stream


class Twice(Branch):
    """y = 2x + 1, and an auxiliary term."""

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, dict[str, Tensor]]:
        return 2 * x + 1, {"size": x.sum()}


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


CTX = Context(Layout())


@pytest.mark.parametrize(
    ("slots", "wanted"),
    [
        ({}, lambda x: x + 2 * x + 1),
        ({"pre": Times(3)}, lambda x: x + 6 * x + 1),
        ({"post": Times(3)}, lambda x: x + 6 * x + 3),
        ({"after": Times(3)}, lambda x: 3 * (x + 2 * x + 1)),
        ({"scale": 0.5}, lambda x: x + x + 0.5),
        ({"scale": Times(5)}, lambda x: x + 10 * x + 5),
        ({"scale": 0.0}, lambda x: x),
        ({"skip": 0.0}, lambda x: 2 * x + 1),
        ({"skip": 4.0, "scale": 3.0, "pre": Times(2), "post": Times(7), "after": Times(11)}, None),
    ],
)
def test_the_residual_and_its_slots(slots: dict, wanted: Callable[[Tensor], Tensor] | None) -> None:
    x = torch.randn(2, 3, 4)
    wanted = wanted or (lambda x: 11 * (4 * x + 3 * 7 * (2 * (2 * x) + 1)))
    y, auxiliary = Residual(Twice(), **slots)(x, CTX)
    close(y, wanted(x))
    assert auxiliary is not None and set(auxiliary) == {"size"}


def test_dropout_falls_on_the_branch_not_on_the_stream() -> None:
    x = torch.ones(1, 1000, 4)
    y = Residual(Twice(), drop=0.5).train()(x, CTX)[0]
    assert set(y.unique().tolist()) == {1.0, 7.0}
    assert torch.equal(Residual(Twice(), drop=0.5).eval()(x, CTX)[0], 4 * x)


class Plus(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_what_falls_is_the_normalised_branch() -> None:
    """drop(post(y)): where dropout falls, nothing of the branch is left, its norm's bias neither."""
    y = Residual(Twice(), post=Plus(), drop=0.5).train()(torch.ones(1, 1000, 4), CTX)[0]
    assert set(y.unique().tolist()) == {1.0, 9.0}


def test_parallel_branches_and_their_auxiliary_terms() -> None:
    x = torch.randn(2, 3, 4)
    both = Sum(a=Pre(Times(2), Twice()), b=Pre(Times(-1), Twice()))
    y, auxiliary = both(x, CTX)
    close(y, (4 * x + 1) + (-2 * x + 1))
    assert auxiliary is not None
    close(auxiliary["size"], x.sum())
    z, more = Block(ff=Residual(Twice()), both=Residual(both), norm=Times(3))(x, CTX)
    inner = 3 * x + 1
    close(z, 3 * (inner + 2 * inner + 2))
    assert more is not None
    close(more["size"], x.sum() + inner.sum(), 1e-4)


@torch.no_grad()
def test_parallel_branches_are_cached() -> None:
    def layer() -> Block:
        both = Sum(attn=Pre(LayerNorm(16), Attention(16, 4)), mlp=Pre(LayerNorm(16), MLP(16, 24)))
        return Block(both=Residual(both))

    stack = Stack([layer(), layer()], fields={"self": Field(Rope(4), Causal())})
    model = randomised(Decoder(Embed(23, 16), stack, head=LMHead(16, 23)))
    tokens, cache = torch.randint(23, (2, 9)), model.cache(2, 9)
    got = [model(tokens[:, i : i + 1], cache=cache)[0] for i in range(9)]
    close(torch.cat(got, 1), model(tokens)[0], 3e-5)


@pytest.mark.parametrize("order", [[0, 0, 0], [0, 1, 0, 1], [1, 0], [0, 1, 1]], ids=str)
@torch.no_grad()
def test_layers_may_run_again_each_time_with_a_cache_of_its_own(order: list[int]) -> None:
    model, tokens = tiny(order=order), torch.randint(23, (2, 11))
    wanted = model(tokens)[0]
    x = model.embed(tokens, Layout())
    sights = model.stack.sights(x, Context(Layout()), None)
    for layer in order:
        x = model.stack.layers[layer](x, Context(Layout(), None, sights))[0]
    close(wanted, model.stack.norm(x))
    cache = model.cache(2, 20, chunk=3)
    close(torch.cat([model(part, cache=cache)[0] for part in tokens.split(3, 1)], 1), wanted, 3e-5)
    assert len(list(cache.slots())) == len(order)


@pytest.mark.parametrize("upto", [0, 1, 2, -1, -2])
@torch.no_grad()
def test_upto_leaves_out_the_last_layers_and_the_norm(upto: int) -> None:
    model, tokens = tiny(), torch.randint(23, (2, 5))
    x = model.embed(tokens, Layout())
    got, _ = model.stack(x, Context(Layout()), upto=upto)
    sights = model.stack.sights(x, Context(Layout()), None)
    for layer in list(model.stack.layers)[:upto]:
        x = layer(x, Context(Layout(), None, sights))[0]
    close(got, x)


# ---------------------------------------------------------------------------------------------------- the small parts


OPTIONS = {
    "plain": dict(),
    "grouped": dict(kv_heads=2),
    "widths": dict(kv_heads=1, head_width=6, value_width=10),
    "scale": dict(scale=0.2),
    "softcap": dict(softcap=2.0, scale=1.0),
    "sink": dict(sink=True),
    "norms": dict(q_norm=RMSNorm(4), k_norm=LayerNorm(4)),
    "no key bias": dict(bias="qvo"),
    "no biases": dict(bias=""),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@torch.no_grad()
def test_attention_by_hand(options: dict) -> None:
    """Project, normalise, rotate, score, cap, weigh, mix, project: one head and one query at a time."""
    a, x, turn = randomised(Attention(16, 4, **options)), torch.randn(1, 7, 16), Rope(4)
    sight = Field(turn, Causal()).among(PLAIN, 7, CPU)
    for letter, linear in zip("qkvo", (a.q, a.k, a.v, a.out), strict=True):
        assert (linear.bias is not None) == (letter in options.get("bias", "qkvo"))
    q = sight.rotate_q(a.q_norm(a.q(x).view(1, 7, 4, a.head_width)))[0]
    k = sight.rotate_k(a.k_norm(a.k(x).view(1, 7, a.kv_heads, a.head_width)))[0]
    v = a.v(x).view(7, a.kv_heads, a.value_width)
    mixed = torch.zeros(7, 4, a.value_width)
    for t, h in itertools.product(range(7), range(4)):
        g = h * a.kv_heads // 4
        scores = (k[: t + 1, g] @ q[t, h]) * options.get("scale", a.head_width**-0.5)
        if "softcap" in options:
            scores = options["softcap"] * (scores / options["softcap"]).tanh()
        scores = scores if a.sink is None else torch.cat((scores, a.sink[h, None]))
        mixed[t, h] = scores.softmax(0)[: t + 1] @ v[: t + 1, g]
    close(a(x, Context(PLAIN, None, {"self": sight}))[0][0], a.out(mixed.flatten(1)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_hand(name: str) -> None:
    formulas: dict[str, Callable[[float], float]] = {
        "relu": lambda x: max(x, 0),
        "relu2": lambda x: max(x, 0) ** 2,
        "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
        "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
        "silu": lambda x: x / (1 + math.exp(-x)),
    }
    points = [-3.0, -0.7, 0.0, 0.4, 2.5]
    assert ACTIVATIONS[name](torch.tensor(points)).tolist() == pytest.approx(
        [formulas[name](x) for x in points], abs=1e-6
    )


def test_feed_forwards_by_hand() -> None:
    x = torch.randn(2, 3, 4)
    mlp, glu = randomised(MLP(4, 6, act="relu")), randomised(GLU(4, 6, bias=True))
    close(mlp(x, CTX)[0], (x @ mlp.up.weight.T + mlp.up.bias).relu() @ mlp.down.weight.T + mlp.down.bias)
    gate, up = x @ glu.gate.weight.T + glu.gate.bias, x @ glu.up.weight.T + glu.up.bias
    close(glu(x, CTX)[0], (gate * gate.sigmoid() * up) @ glu.down.weight.T + glu.down.bias)
    capped = GLU(4, 6, combine=lambda gate, up: gate.clamp(max=0.1) + up)
    wanted = ((x @ capped.gate.weight.T).clamp(max=0.1) + x @ capped.up.weight.T) @ capped.down.weight.T
    close(capped(x, CTX)[0], wanted)
    with pytest.raises(ValueError, match="'swoosh'"):
        MLP(4, 6, act="swoosh")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_by_hand(dtype: torch.dtype) -> None:
    """Statistics in fp32 also where the row is bf16; bf16 rounds three times at the most."""
    x = (torch.randn(5, 64) + 3).to(dtype)
    exact, rms, layer = x.double(), randomised(RMSNorm(64, eps=0.1)), randomised(LayerNorm(64, eps=0.1))
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    wanted = exact * (exact.square().mean(-1, keepdim=True) + 0.1).rsqrt() * rms.weight
    assert torch.allclose(rms(x).double(), wanted, rtol=1e-5 if dtype == torch.float32 else 3 * 2**-8, atol=1e-6)
    centred = exact - exact.mean(-1, keepdim=True)
    wanted = centred * (centred.square().mean(-1, keepdim=True) + 0.1).rsqrt() * layer.weight + layer.bias
    close(layer(x), wanted, tolerance)
    assert rms(x).dtype == layer(x).dtype == dtype


@pytest.mark.parametrize("part", [RMSNorm(6, eps=0.1), LayerNorm(6, eps=0.1)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("shape", [(2, 3, 6), (1, 2, 2, 6)], ids=str)
def test_gradients_of_norms(part: nn.Module, shape: tuple[int, ...]) -> None:
    part, x = randomised(part).double(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    named = dict(part.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(part, dict(zip(named, values, strict=True)), x)

    assert torch.autograd.gradcheck(run, (x, *named.values()))
    part.requires_grad_(False)
    assert torch.autograd.gradcheck(part, (x,))


@pytest.mark.parametrize("width", [2, 4, 6])
@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_of_a_rotation(width: int, rows: int) -> None:
    """Also where only a part of each head turns, and where every row has places of its own."""
    x = torch.randn(2, 3, 2, 6, dtype=torch.float64, requires_grad=True)
    here = Layout(torch.randint(50, (rows, 3)))
    placed = Rope(width, scaling=rope.Yarn(4.0, 8)).at(here, here, here, 3)
    assert torch.autograd.gradcheck(placed.rotate_q, (x,))
    turned = placed.rotate_q(x).detach()
    assert torch.equal(turned[..., width:], x[..., width:])
    grow = 0.1 * math.log(4.0) + 1.0
    close(turned[..., :width].norm(dim=-1), grow * x[..., :width].norm(dim=-1), 1e-5)
    assert torch.equal(placed.rotate_q(x.transpose(1, 2).contiguous().transpose(1, 2)), placed.rotate_q(x))


def parts_of(scheme: Scheme) -> nn.Module:
    """What a scheme needs in the stem, the field and each layer."""
    return nn.ModuleList([scheme.stem(16, 9), scheme.field(4, 4), *filter(None, [scheme.relative(4)])])


PARTS: dict[str, Callable[[], nn.Module]] = {
    "attention": lambda: Attention(16, 4, 2, sink=True, relative=Shaw(4), q_norm=RMSNorm(4)),
    "head": lambda: LMHead(16, 23, bias=True),
    "embed": lambda: Embed(23, 16, position=Learned(9, 16), norm=LayerNorm(16)),
    "feed-forward": lambda: Block(mlp=Residual(GLU(16, 24, bias=True), pre=RMSNorm(16))),
    **{name: partial(parts_of, scheme()) for name, scheme in SCHEMES.items()},
}


@pytest.mark.parametrize("name", PARTS)
def test_reset_reaches_every_parameter(name: str) -> None:
    """What was built on the meta device and given memory holds garbage until `initialise.reset`."""
    with torch.device("meta"):
        part = PARTS[name]()
    part = part.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.fill_(math.nan)
    initialise.reset(part)
    assert [name for name, parameter in part.named_parameters() if not torch.isfinite(parameter).all()] == []


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((16, 3), "3 heads do not divide the width 16"),
        ((16, 4, 3), "3 key/value heads do not divide 4"),
        ((0, 1), "width 0"),
    ],
)
def test_heads_that_cannot_be(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attention(*sizes)


def test_a_tap_is_the_identity() -> None:
    x = torch.randn(3)
    assert Tap()(x) is x and not Tap().active
