"""Kinds of attention: each against its definition, written out here; in every family, or refused by name."""

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parts import CPU, LONG, PACKED, PLAIN, RAGGED_LEFT, close, randomised
from test_families import Steps, causal, draw, gap, logits, same_greedy, source_of
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import weft
from weft.hub import Model
from weft.models import Blueprint, reading
from weft.nn import (
    ATTENTIONS,
    Alibi,
    Attention,
    BlockGlobalKind,
    Causal,
    EncoderDecoder,
    FeaturesKind,
    Field,
    Full,
    Global,
    Kind,
    Layout,
    LinearKind,
    LowRankKind,
    Mask,
    Position,
    RandomBlocks,
    Residual,
    Rope,
    Shaw,
    Stack,
    Window,
    WindowKind,
    attend,
    initialise,
    kernels,
    visible,
)
from weft.nn.block import Block
from weft.nn.context import Context
from weft.registry import UnknownName
from weft.settings import SettingError
from weft.training import measure

NOISE = 2e-5  # standard deviations: fp32 sums in another order
RAGGED_RIGHT = Layout.ragged(torch.tensor([LONG, 77]), LONG)
LAYOUTS = {"plain": PLAIN, "ragged left": RAGGED_LEFT, "ragged right": RAGGED_RIGHT, "packed": PACKED}
KINDS: dict[str, Kind] = {
    "window": WindowKind(9),
    "block_global": BlockGlobalKind(9, tokens=3, random=2, block=8),
    "longformer": BlockGlobalKind(9, tokens=3, random=0),
    "low_rank": LowRankKind(5, length=LONG),
    "features": FeaturesKind(12),
    "linear": LinearKind(),
}


def holding(kind: Kind, mask: Mask, **options: object) -> tuple[Attention, Field]:
    """One attention of a kind and its field, every parameter random."""
    attention = Attention(16, 4, 2, **options)  # type: ignore[arg-type]
    field = Field(Rope(4), mask)
    stack = Stack([Block(attn=Residual(attention))], fields={"self": field})
    kind.put(stack, LONG)
    return randomised(attention), field


# ------------------------------------------------------------------------------------------------------- definitions


def seen(kind: Kind, looks_back: bool, t: int, s: int) -> bool:
    """May place t of a document see place s? Without tensors."""
    if looks_back and s > t:
        return False
    if not isinstance(kind, WindowKind):
        return True
    half = kind.size // 2
    near = t - s < kind.size if looks_back else abs(t - s) <= half
    if not isinstance(kind, BlockGlobalKind):
        return near
    i, j = t // kind.block, s // kind.block
    drawn = any(j == drawing(kind, i, part) or i == drawing(kind, j, part) for part in range(kind.random))
    return near or t < kind.tokens or s < kind.tokens or drawn


def drawing(kind: BlockGlobalKind, block: int, part: int) -> int:
    """The numbers are RandomBlocks' own; what they have to be is tested below."""
    return RandomBlocks(kind.block, kind.random, kind.seed)._drawn(block, part)


def by_definition(attention: Attention, kind: Kind, field: Field, looks_back: bool, x: Tensor, here: Layout) -> Tensor:
    """z before the last projection [B, T, H, Kv], document by document and query by query, in the dtype of x."""
    sight = field.among(here, x.shape[1], CPU)
    q = sight.rotate_q(attention.q(x).unflatten(-1, (4, 4)))
    k = sight.rotate_k(attention.k(x).unflatten(-1, (2, 4)))
    v = attention.v(x).unflatten(-1, (2, 4))
    segments = torch.ones(x.shape[:2], dtype=torch.int64) if here.segments is None else here.segments
    z = torch.zeros_like(q)
    for b, document in itertools.product(range(x.shape[0]), range(1, int(segments.max()) + 1)):
        places = (segments[b] == document).nonzero()[:, 0]
        for h in range(4) if len(places) else ():
            mine = (part[b, places, index] for part, index in ((q, h), (k, h // 2), (v, h // 2)))
            z[b, places, h] = one_head(attention, kind, looks_back, *mine)
    return z


def one_head(attention: Attention, kind: Kind, looks_back: bool, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head of one document: q, k, v [T, K] -> [T, Kv]."""
    length, core = len(q), attention.core
    shown = torch.tensor([[seen(kind, looks_back, t, s) for s in range(length)] for t in range(length)])
    match kind:
        case LowRankKind():
            mixed_k, mixed_v = core.keys[:, :length] @ k, core.values[:, :length] @ v  # type: ignore[union-attr]
            return (q @ mixed_k.T / 2).softmax(-1) @ mixed_v
        case LinearKind():
            weights = (functional.elu(q) + 1) @ (functional.elu(k) + 1).T
        case FeaturesKind():
            w = core.directions  # type: ignore[union-attr]
            a, b = q / math.sqrt(2), k / math.sqrt(2)  # K is 4, and the root of its root is split between them
            weights = (a @ w.T - a.square().sum(-1, keepdim=True) / 2).exp()
            weights = weights @ (b @ w.T - b.square().sum(-1, keepdim=True) / 2).exp().T
        case _:
            return (q @ k.T / 2).masked_fill(~shown, -math.inf).softmax(-1) @ v
    weights = weights * shown
    return weights / weights.sum(-1, keepdim=True) @ v


DEFINED = [  # low rank looks both ways, in rows of one document: that it refuses the rest is another test
    (name, mask, here)
    for name, kind in KINDS.items()
    for mask in (Causal(), Full())
    for here in LAYOUTS
    if not isinstance(kind, LowRankKind) or (isinstance(mask, Full) and here != "packed")
]


@pytest.mark.parametrize(("name", "mask", "here"), DEFINED, ids=str)
def test_a_kind_is_its_definition(name: str, mask: Mask, here: str) -> None:
    """Forward, and backward to x and every parameter; longer than a chunk of sums and several blocks of a window."""
    kind, layout, looks_back = KINDS[name], LAYOUTS[here], isinstance(mask, Causal)
    torch.manual_seed(3)
    attention, field = holding(kind, mask)
    x = (torch.randn(2, LONG, 16) * 0.3).requires_grad_()
    got = attention(x, Context(layout, None, {"self": field.among(layout, LONG, CPU)}))[0]
    exact, wide = attention.double(), x.detach().double().requires_grad_()
    wanted = exact.out(by_definition(exact, kind, field, looks_back, wide, layout).flatten(-2))
    close(got, wanted.float())
    weigh = torch.randn(got.shape, generator=torch.Generator().manual_seed(2))
    exact.zero_grad()
    (wanted * weigh.double()).sum().backward()
    gradients = {name: p.grad.clone() for name, p in exact.named_parameters() if p.grad is not None}
    attention.float().zero_grad()
    got = attention(x, Context(layout, None, {"self": field.among(layout, LONG, CPU)}))[0]
    (got * weigh).sum().backward()
    for a, b in ((x.grad, wide.grad), *((p.grad, gradients[n]) for n, p in attention.named_parameters())):
        assert float((a - b).norm()) <= 2e-5 * float(b.norm())


@pytest.mark.parametrize("length", [1, 5, 128, 129, 300])
@pytest.mark.parametrize("mask", [Causal(), Full()], ids=str)
@pytest.mark.parametrize("name", ["features", "linear"])
def test_chunks_are_the_sum_held_whole(name: str, mask: Mask, length: int) -> None:
    """At every length; in fp64, where nothing is lost to another order."""
    attention, field = holding(KINDS[name], mask)
    x, results = torch.randn(1, length, 16).double(), []
    for shown in (mask, mask & Window(length, length)):  # a mask it has no sums for: by the definition
        field.mask = shown
        results.append(attention.double()(x, Context(PLAIN, None, {"self": field.among(PLAIN, length, CPU)}))[0])
    close(*results, 1e-10)


def test_many_features_are_softmax() -> None:
    """What they are for: the error falls with their number."""
    errors = []
    for features in (16, 4096):
        torch.manual_seed(0)
        attention, field = holding(FeaturesKind(features), Causal(), bias="")
        x = torch.randn(2, 40, 16) * 0.2
        ctx = Context(PLAIN, None, {"self": field.among(PLAIN, 40, CPU)})
        near, attention.core = attention(x, ctx)[0].detach(), None
        errors.append(float((near - attention(x, ctx)[0].detach()).std()))
    assert errors[1] < 0.2 * errors[0]


def test_features_are_orthogonal_and_as_long_as_gaussian_vectors_and_a_seed_is_a_draw() -> None:
    def drawn(seed: int) -> Tensor:
        return holding(FeaturesKind(4096, seed=seed), Causal())[0].core.directions  # type: ignore[union-attr, return-value]

    w = drawn(0)
    block = w[:4] / w[:4].norm(dim=1, keepdim=True)
    close(block @ block.T, torch.eye(4))
    assert float(w.mean(0).abs().max()) < 5 * 4096**-0.5, "they lean to one side"
    assert float(w.square().sum(1).mean()) == pytest.approx(4, rel=0.1)
    assert torch.equal(w, drawn(0)) and not torch.equal(w, drawn(1))


def test_a_core_keeps_its_precision_under_autocast() -> None:
    for kind in (KINDS["features"], KINDS["linear"]):
        attention, field = holding(kind, Causal())
        x = torch.randn(2, LONG, 16)
        ctx = Context(PLAIN, None, {"self": field.among(PLAIN, LONG, CPU)})
        exact = attention(x, ctx)[0]
        with torch.autocast("cpu", torch.bfloat16):
            near = attention(x, ctx)[0]
        assert float(((near.float() - exact).norm() / exact.norm()).detach()) < 0.03


# -------------------------------------------------------------------------------------------------- the smaller work


@pytest.mark.parametrize("length", [1, 40, 64, 130, 333])
@pytest.mark.parametrize("mask", [Causal(), Full()], ids=str)
@pytest.mark.parametrize("name", ["window", "block_global", "longformer"])
def test_blocks_with_holes_are_the_reference(name: str, mask: Mask, length: int) -> None:
    """Forward and backward, also with a bias, a cap and a sink."""
    _, field = holding(KINDS[name], mask)
    for how in (
        kernels.Scoring(),
        kernels.Scoring(bias=torch.randn(1, 4, length, length), softcap=4.0, sink=torch.randn(4)),
    ):
        results, tensors = [], [torch.randn(2, length, heads, 8, requires_grad=True) for heads in (4, 2, 2)]
        for kernel in ("eager", "blocked"):
            z = attend(*tensors, replace(field.among(PLAIN, length, CPU), kernel=kernel), how)
            results.append((z, *torch.autograd.grad(z.square().sum(), tensors)))
        for a, b in zip(*results, strict=True):
            close(a, b, 2e-5)


class Largest(TorchDispatchMode):
    """The largest tensor that is made, and how many numbers all products have together."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.most = max(self.most, result.numel())
        return result


BOTH = ("window", "block_global", "longformer", "features", "linear")
ASKED = [(name, mask) for name in BOTH for mask in (Causal(), Full())]


@pytest.mark.parametrize(("name", "mask"), [*ASKED, ("low_rank", Full())], ids=str)  # which looks both ways alone
def test_nothing_of_all_pairs_is_ever_made(name: str, mask: Mask) -> None:
    """Not the scores, nor the mask, nor its gradient."""
    length, kind = 4096, KINDS[name]
    kind = replace(kind, length=length) if isinstance(kind, LowRankKind) else kind
    attention, field = holding(kind, mask)
    with Largest() as largest:
        x = torch.randn(1, length, 16, requires_grad=True)
        out = attention(x, Context(PLAIN, None, {"self": field.among(PLAIN, length, CPU)}))[0]
        out.sum().backward()
    assert largest.most < length**2 / 4


MASKS = [
    Full(),
    Causal(),
    Window(5),
    Window(3, 4),
    Global(3),
    Global(0),
    RandomBlocks(4, 2),
    RandomBlocks(3, 0),
    Window(2) | Global(2),
    Causal() & (Window(6) | Global(1) | RandomBlocks(5, 3, seed=7)),
    Causal() & RandomBlocks(7, 1) & (Global(9) | Window(4, 4)),
]


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_spans_are_a_true_bound(mask: Mask) -> None:
    """In order, apart, within the row; and nothing that is seen lies outside."""
    length = 50
    here = Layout().numbered(length, CPU)
    there = visible(mask, here, here).expand(1, length, length)[0]
    for start, stop in itertools.combinations(range(0, length + 1, 5), 2):
        ranges = mask.spans(start, stop, length)
        flat = [place for pair in ranges for place in pair]
        assert flat == sorted(set(flat)) and all(0 <= place <= length for place in flat)
        inside = torch.zeros(length, dtype=torch.bool)
        for low, high in ranges:
            inside[low:high] = True
        assert not there[start:stop, ~inside].any()


def test_random_blocks_are_a_function_of_the_seed_alone() -> None:
    """A longer row has the same ones; each block draws one from each part of what lies before it; both see both."""
    long, short = (Layout().numbered(length, CPU) for length in (400, 130))
    mask = RandomBlocks(10, 3, seed=5)
    whole = mask.allows(long, long)[0]
    assert torch.equal(whole[:130, :130], mask.allows(short, short)[0]) and torch.equal(whole, whole.T)
    table = whole[::10, ::10]
    for block in range(40):
        drawn = [mask._drawn(block, part) for part in range(3)]
        for part, other in enumerate(drawn):
            low, high = part * block // 3, (part + 1) * block // 3
            assert other == -1 if low == high else low <= other < high and bool(table[block, other])
    assert not torch.equal(whole, RandomBlocks(10, 3, seed=6).allows(long, long)[0])


def test_measuring_leaves_cores_alone() -> None:
    module = Blueprint.of("gpt2", "debug").change("attention", "linear").build()
    assert measure.choose(module, 1, 16, dtype=torch.float32, repeats=1) == {}


# ------------------------------------------------------------------------------------------------- in every family

SMALL = {
    "full": Kind(),
    "window": WindowKind(7),
    "block_global": BlockGlobalKind(6, tokens=2, random=1, block=4),
    "low_rank": LowRankKind(5),
    "features": FeaturesKind(16),
    "linear": LinearKind(),
}
GROWING = ["window", "block_global", "features", "linear"]  # what a row can be continued with
PARTS = "softcap|sink|scores by distance|the mask|a bias of scores"


def family_with(family: str, name: str) -> nn.Module:
    """The family at debug size with a kind, every parameter random; skipped where it is refused, by name."""
    blueprint = replace(Blueprint.of(family, "debug"), attention=SMALL[name])
    try:
        module = blueprint.build()
        ask(module, draw(module, 1, 3))
    except ValueError as error:
        assert SMALL[name].core(holding(Kind(), Full())[0], 9, 0) is not None, "a mask suits every family"
        assert re.search(f"cannot be combined with .*({PARTS}).*choose", str(error))
        pytest.skip(str(error))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(7)
        for p in module.parameters():
            p.normal_(std=0.3 if p.ndim < 2 else p.shape[-1] ** -0.5, generator=generator).add_(float(p.ndim < 2))
    return module


def ask(module: nn.Module, tokens: Tensor) -> Tensor:
    return logits(module, tokens, source=source_of(module, len(tokens)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("family", reading("text"))
def test_every_family_takes_a_kind_trains_saves_loads_and_generates(family: str, name: str, tmp_path: Path) -> None:
    module = family_with(family, name)
    blueprint = replace(Blueprint.of(family, "debug"), attention=SMALL[name])
    tokens = draw(module, 2, 20)
    module.train()
    scores = ask(module, tokens[:, :-1])
    functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), parameter_name
    torch.optim.SGD(module.parameters(), lr=0.01).step()
    wanted = ask(module.eval(), tokens).detach()
    weft.save(Model(module, blueprint), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["model_type"] == "weft" and config["parts"]["attention"]["name"] == name
    again = weft.load(tmp_path / "model")
    assert again.blueprint == blueprint and torch.equal(ask(again.module, tokens), wanted)
    assert {key: t.shape for key, t in blueprint.empty().state_dict().items()} == {
        key: t.shape for key, t in module.state_dict().items()
    }


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("family", reading("text"))
@torch.no_grad()
def test_cached_is_chunked_is_ragged_is_full(family: str, name: str) -> None:
    """G1: token by token, in chunks, alone and in a batch padded left or right, forked and reordered."""
    module = family_with(family, name)
    if not causal(module):
        pytest.skip("sees ahead")
    length, lengths = 22, [22, 1, 13]
    tokens, source = draw(module, 3, length + 3), source_of(module, 3)
    wanted = logits(module, tokens, source=source)
    for sizes in ([1] * 25, [9, 1, 2, 13], [25]):
        steps = Steps(module, 3, 40, source, chunk=max(sizes), length=25)
        got = torch.cat([steps.feed(part) for part in tokens.split(sizes, 1)], 1)
        assert gap(got, wanted) <= NOISE and same_greedy(got, wanted), f"chunks of {sizes}"
    for side in ("left", "right"):
        here = Layout.ragged(torch.tensor(lengths), length, side=side)
        batch = torch.zeros(3, length, dtype=torch.int64)
        for row, count in enumerate(lengths):
            batch[row, here.segments[row] == 1] = tokens[row, :count]
        steps = Steps(module, 3, 40, source)
        for first in (steps.feed(batch, here), logits(module, batch, here, source)):
            for row, count in enumerate(lengths):
                assert gap(first[row, here.segments[row] == 1], wanted[row, :count]) <= NOISE
        order = [2, 0, 1]
        if not isinstance(module, EncoderDecoder):  # whose rows may not leave their memory
            steps.cache.reorder(torch.tensor(order))
            after = steps.feed(torch.stack([tokens[row, lengths[row]] for row in order])[:, None])
            for place, row in enumerate(order):
                assert gap(after[place, 0], wanted[row, lengths[row]]) <= NOISE


@pytest.mark.parametrize("name", GROWING)
@torch.no_grad()
def test_packed_rows_are_separate_rows(name: str) -> None:
    module = family_with("gpt2", name)
    rows = [draw(module, 1, n) for n in (9, 1, 14, 6)]
    segments = torch.cat([torch.full((len(row[0]),), number) for number, row in enumerate(rows, 1)])[None]
    got = logits(module, torch.cat(rows, 1), Layout(segments=segments))
    assert gap(got, torch.cat([logits(module, row) for row in rows], 1)) <= NOISE


@pytest.mark.parametrize("name", GROWING)
@torch.no_grad()
def test_the_future_changes_nothing(name: str) -> None:
    """G2, exactly: no key is felt by an earlier query, be it as large as it may."""
    attention, field = holding(KINDS[name], Causal())
    x = torch.randn(1, LONG, 16)
    ctx = Context(PLAIN, None, {"self": field.among(PLAIN, LONG, CPU)})
    before, changed = attention(x, ctx)[0], x.clone()
    changed[:, 70] *= 30
    after = attention(changed, ctx)[0]
    assert gap(after[:, :70], before[:, :70]) <= 1e-6 < gap(after[:, 70:], before[:, 70:])


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_a_window_kind_sees_exactly_its_keys(kernel: str) -> None:
    """G2: counted by gradients."""
    for mask, count in ((Causal(), 9), (Full(), 9), (Causal() & Window(4), 4)):
        _, field = holding(WindowKind(9), mask)
        q, k, v = (torch.randn(1, LONG, 2, 4, requires_grad=True) for _ in range(3))
        sight = replace(field.among(PLAIN, LONG, CPU), kernel=kernel)
        z = attend(q, k, v, sight, kernels.Scoring())
        (gradient,) = torch.autograd.grad(z[0, 80].sum(), v)
        assert int((gradient[0].abs().sum((-1, -2)) > 0).sum()) == count


@torch.no_grad()
def test_a_cache_of_sums_does_not_grow_and_takes_nothing_back() -> None:
    module = family_with("llama", "linear")
    small, large = (sum(slot.k.numel() for slot in module.cache(1, size).slots()) for size in (8, 4096))
    assert small == large
    steps = Steps(module, 1, 40)
    steps.feed(draw(module, 1, 9))
    steps.cache.truncate(9)
    with pytest.raises(ValueError, match="cannot take back 2 tokens"):
        steps.cache.truncate(7)
    found = weft.describe(replace(Blueprint.of("llama", "debug"), attention=LinearKind()))
    state = 2 * 2 * 12 * 13 * 4  # layers, key heads, features, values and one more, bytes of fp32
    assert [(cache.token, cache.row) for cache in found.cache] == [(0, state)] * 2


def test_a_beam_search_over_sums() -> None:
    """Rows that fork, move and end."""
    module = family_with("gpt2", "linear")
    steps, tokens = Steps(module, 2, 30), draw(module, 2, 12)
    with torch.no_grad():
        wanted = logits(module, tokens)
        steps.feed(tokens[:, :8])
        steps.cache.fork(2)
        got = steps.feed(tokens[:, 8:10].repeat_interleave(2, 0))
        assert gap(got, wanted[:, 8:10].repeat_interleave(2, 0)) <= NOISE
        steps.cache.keep(torch.tensor([1]))
        assert gap(steps.feed(tokens[1:, 10:].repeat(2, 1)), wanted[1:, 10:].repeat(2, 1, 1)) <= NOISE


@pytest.mark.filterwarnings("ignore")  # torch's own, while tracing
@pytest.mark.parametrize("name", ["block_global", "features", "low_rank"])
def test_compiled_is_uncompiled(name: str) -> None:
    """One graph, forward and backward; with padding too."""
    family = "bert" if name == "low_rank" else "gpt2"
    module = replace(Blueprint.of(family, "debug", depth=1), attention=SMALL[name]).build()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    ragged = Layout.ragged(torch.tensor([20, 7]), 20)
    for here, length in ((None, 64), (ragged, 20)):  # plain, or with documents
        tokens, results = draw(module, 2, length), []
        for run in (module, compiled):
            x = run(tokens, here)[0]
            learned = [p for name, p in module.named_parameters() if name.startswith("stack")]
            results.append((x, *torch.autograd.grad(x.square().mean(), learned)))
        for a, b in zip(*results, strict=True):
            assert float((a - b).norm()) <= 1e-4 * max(float(b.norm()), 1e-2)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["features", "linear", "low_rank"])
@pytest.mark.parametrize(
    ("options", "position", "words"),
    [
        (dict(softcap=3.0), None, "softcap .*choose full, window"),
        (dict(sink=True), None, "sink .*choose full, window"),
        (dict(relative=Shaw(4)), None, "scores by distance: choose .*rope"),
        (dict(), Alibi(4), "scores by distance: choose .*rope"),
    ],
)
def test_what_needs_scores_is_refused_when_it_is_built(name: str, options: dict, position: object, words: str) -> None:
    attention = Attention(16, 4, **options)
    field = Field(position or Position(), Full())  # type: ignore[arg-type]
    stack = Stack([Block(attn=Residual(attention))], fields={"self": field})
    if name == "low_rank" and set(options) <= {"softcap", "sink"} and options:
        KINDS[name].put(stack, 9)  # its softmax has scores
        return
    with pytest.raises(ValueError, match=f"{name.replace('_', '-')} attention cannot be combined with .*{words}"):
        KINDS[name].put(stack, 9)


def test_what_only_a_pass_can_tell_is_refused_there() -> None:
    module = family_with("gpt2", "linear")
    tokens = draw(module, 1, 9)
    handle = module.stack.layers[0].attn.branch.probs.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="listener on the weights.*listen to"):
        module(tokens)
    handle.remove()
    module(tokens)


def test_low_rank_says_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"low-rank .*the mask Causal\(\): .*choose another kind, or an encoder"):
        Blueprint.of("gpt2", "debug").change("attention", "low_rank").build()
    module = replace(Blueprint.of("bert", "debug"), attention=LowRankKind(5, length=16)).build()
    with pytest.raises(ValueError, match=r"a row of 17 places: it was built for 16 \(model.attention.length\)"):
        module(draw(module, 1, 17))
    packed = Layout(segments=torch.tensor([[1, 1, 2, 2, 0]]))
    with pytest.raises(ValueError, match="several documents in a row: set data.rows=stream"):
        module(draw(module, 1, 5), packed)
    assert replace(Blueprint.of("bert", "debug"), attention=LowRankKind()).mixes.startswith("LowRankKind")


def test_kinds_are_changed_by_path_and_never_guessed() -> None:
    plan = Blueprint.of("gpt2", "debug").change("attention", "window").change("attention.size", "64")
    assert plan.attention == WindowKind(64) and plan.change("attention", "default").attention is None
    assert plan.change("size", "small").attention == WindowKind(64)
    assert plan.change("attention", '{"name": "features", "seed": 3}').attention == FeaturesKind(seed=3)
    with pytest.raises(UnknownName, match="did you mean 'window'"):
        plan.change("attention", "windwo")
    with pytest.raises(SettingError, match="name a kind before"):
        Blueprint.of("gpt2", "debug").change("attention.size", "8")
    with pytest.raises(ValueError, match="size = 0, but it must be at least 1"):
        plan.change("attention.size", "0")

    class Mine(Kind):
        pass

    with pytest.raises(ValueError, match="Mine"):
        replace(plan, attention=Mine()).to_data()
    for kind in SMALL.values():
        data = replace(plan, attention=kind).to_data()
        assert Blueprint.from_data(json.loads(json.dumps(data))).attention == kind
    assert set(SMALL) == set(ATTENTIONS)


def test_full_is_what_the_family_has() -> None:
    tokens = torch.randint(131, (2, 40))
    plain, full = (replace(Blueprint.of("llama", "debug"), attention=kind).build() for kind in (None, Kind()))
    assert torch.equal(plain(tokens)[0], full(tokens)[0]) and set(plain.state_dict()) == set(full.state_dict())


def test_features_survive_the_way_over_the_meta_device() -> None:
    """A buffer that is saved: a file gives it, and a reset draws it anew."""
    plan = Blueprint.of("gpt2", "debug").change("attention", "features")
    module, empty = plan.build(seed=1), plan.empty()
    assert {b.device.type for b in empty.buffers()} == {"meta"}
    names = [name for name in module.state_dict() if name.endswith("core.directions")]
    assert len(names) == 2 and not torch.equal(*(module.state_dict()[name] for name in names))
    there = empty.to_empty(device="cpu")
    for buffer in there.buffers():
        buffer.fill_(math.nan)
    initialise.reset(there)
    assert all(torch.equal(there.state_dict()[name], module.state_dict()[name]) for name in names)
