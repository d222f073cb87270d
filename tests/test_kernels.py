"""Every kernel against the eager reference, and that against a sum written out."""

import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch
from parts import CPU, LONG, PACKED, PLAIN, RAGGED_LEFT, close, randomised, tiny
from torch import Tensor

from weft.flops import Counter
from weft.models import Blueprint, reading
from weft.nn import (
    KERNELS,
    Alibi,
    Attention,
    Blocks,
    Causal,
    Chunk,
    Field,
    Full,
    Global,
    Layout,
    Mask,
    Position,
    Rope,
    SameGroup,
    Scoring,
    Shaw,
    Sight,
    T5Bias,
    Window,
    attend,
    kernels,
    visible,
)
from weft.nn import blocked as kernels_blocked
from weft.nn.context import Context
from weft.nn.kernels import able
from weft.training import measure


def with_prefix(places: int = 5) -> Layout:
    """Some places that everybody sees, then documents."""
    segments = torch.full((2, LONG), 1)
    segments[:, :places], segments[1, 120:] = -1, 2
    return Layout(segments=segments, prefix=True)


CAUSAL = Causal()
GROUPS = Layout(groups=torch.tensor([[0] * 30 + [1] * 40 + [0] * 20 + [2] * 50 + [0] * 10] * 2))
RAGGED_RIGHT = Layout.ragged(torch.tensor([LONG, 77]), LONG)
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
    "bias without rows": Case(bias=(4, LONG, LONG)),
    "bias without rows, by key": Case(Full(), bias=(4, 1, LONG)),
    "bias without heads": Case(bias=(LONG, LONG)),
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


@pytest.mark.parametrize("cached", [1, 90_000, 170_000, 400_000])  # from one key head to all of some rows
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_heads_that_are_computed_a_part_at_a_time_are_the_same(
    case: Case, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_blocked, "CACHED", cached // torch.get_num_threads())
    wanted, got = run("eager", case), run("blocked", case)
    assert wanted is not None and got is not None
    for a, b in zip(got, wanted, strict=True):
        close(a, b, 2e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("cached", [1, 250, 400, 700, 2**20])
def test_parts_are_all_heads_once_and_no_more_than_fit(
    rows: int, groups: int, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_blocked, "CACHED", cached)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    heads, seen = 2 * groups, torch.zeros(rows, 2 * groups)
    for part in kernels_blocked.parts(rows, groups, heads, 100, whole=False):
        of = torch.arange(rows * groups)[part.groups]
        assert len(of) == 1 or 100 * len(of) <= cached
        assert set((of // groups).tolist()) == set(range(rows)[part.rows])
        assert {2 * g for g in (of % groups).tolist()} == set(range(heads)[part.heads][::2])
        seen[part.rows, part.heads] += 1
    assert (seen == 1).all()
    assert len(kernels_blocked.parts(rows, groups, heads, 100, whole=True)) == 1


@pytest.mark.parametrize(
    ("mask", "length", "dtype", "chosen"),
    [
        (Causal(), 127, torch.float32, "matmul"),
        (Causal(), 128, torch.float32, "blocked"),
        (Full(), 128, torch.float32, "matmul"),
        (Full(), 128, torch.bfloat16, "blocked"),
        (Full(), 1024, torch.float32, "sdpa"),
        (Full(), 1024, torch.bfloat16, "blocked"),
    ],
)
def test_what_runs_where_nothing_was_measured(mask: Mask, length: int, dtype: torch.dtype, chosen: str) -> None:
    sight, q = Field(Position(), mask).among(PLAIN, length, CPU), torch.zeros(2, length, 4, 8, dtype=dtype)
    assert kernels.by_shape(q, q, sight, Scoring()) == chosen
    if chosen == "blocked":
        dropping = "blocked" if mask == Causal() else "matmul" if length < 1024 else "sdpa"
        assert kernels.by_shape(q, q, sight, Scoring(dropout=0.1)) == dropping
        with torch.autograd.forward_ad.dual_level():
            assert kernels.by_shape(q, q, sight, Scoring()) != "blocked"  # whose backward pass is written out


def test_scores_are_held_where_a_backward_pass_follows_and_not_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    sight, q = Field(Position(), Full()).among(PLAIN, 128, CPU), torch.zeros(2, 128, 4, 8, dtype=torch.bfloat16)
    monkeypatch.setattr(kernels, "HELD", 2 * 4 * 128 * 128 * 2 - 1)
    assert kernels.by_shape(q, q, sight, Scoring()) == "matmul"
    with torch.no_grad():
        assert kernels.by_shape(q, q, sight, Scoring()) == "blocked"


@pytest.mark.filterwarnings("ignore")  # torch's own, while tracing
@pytest.mark.parametrize("mask", [Full(), Causal(), Window(20)], ids=str)
@pytest.mark.parametrize("length", [40, 150])
def test_blocks_are_one_graph_for_a_compiler(mask: Mask, length: int) -> None:
    """Forward and backward, whatever a processor would take in parts."""
    sight = replace(Field(Position(), mask).among(PLAIN, length, CPU), kernel="blocked")
    inputs = [torch.randn(2, length, heads, 8, requires_grad=True) for heads in (4, 2, 2)]

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, sight, Scoring())

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True, dynamic=False)
    for one, other in zip(
        *(torch.autograd.grad(made(*inputs).square().sum(), inputs) for made in (run, compiled)), strict=True
    ):
        close(one, other)


def test_full_attention_counts_the_same_operations_by_either_kernel() -> None:
    sight, counts = Field(Position(), Full()).among(PLAIN, 128, CPU), []
    inputs = [torch.randn(2, 128, 4, 8, requires_grad=True) for _ in range(3)]
    for name in ("matmul", "blocked"):
        with Counter() as counter:
            attend(*inputs, replace(sight, kernel=name), Scoring()).sum().backward()
        counts.append(counter.total)
    assert counts[0] == counts[1] > 0


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
@pytest.mark.parametrize("case", ["ragged left", "window, ragged", "bias, hidden rows", "everything", "packed, full"])
def test_a_hidden_row_is_zero_and_so_are_its_gradients(name: str, case: str) -> None:
    """Whichever kernel is asked for: one that cannot steps aside for one that can."""
    inputs, sight, how = task(CASES[case])
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


@pytest.mark.parametrize("family", reading("text"))
def test_kernels_are_measured_as_bf16_training_runs_them(family: str) -> None:
    module = Blueprint.of(family, "debug").build(seed=0)
    for kernel in measure.choose(module, 2, 16, dtype=torch.bfloat16, repeats=1).values():
        assert kernel in KERNELS
    assert all(parameter.grad is None for parameter in module.parameters())


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
