"""What holds for every family: it gets these tests by being registered, from inside or from outside."""

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parts import schemes
from torch import Tensor, nn
from torch.nn import functional

from weft.hub.moves import to_ours, to_theirs
from weft.models import FAMILIES, Blueprint, Family, reading
from weft.nn import (
    GLU,
    SCHEMES,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Encoder,
    EncoderDecoder,
    Field,
    LayerNorm,
    Layout,
    LMHead,
    Memory,
    Pre,
    Residual,
    RMSNorm,
    RopeScheme,
    Scheme,
    Stack,
    Sum,
    T5Bias,
    Window,
    initialise,
    rope,
)
from weft.registry import UnknownName
from weft.settings import SettingError

CPU = torch.device("cpu")
POSITIONS = ["own", *SCHEMES]


# ------------------------------------------------------------------------------------------- a family from outside


@dataclass(frozen=True)
class Outside:
    vocab: int = 97
    context: int = 64
    width: int = 40
    depth: int = 3
    heads: int = 6
    head_width: int = 8
    window: int = 5
    dropout: float = 0.0
    tied: bool = True


def build_outside(c: Outside, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    """What none of the built-in ones has: parallel branches, a window in every second layer, sinks, caps, q/k norms."""
    scheme = position or RopeScheme(part=0.5)

    def layer(field: str) -> Block:
        own = attention(
            c.width,
            c.heads,
            2,
            c.head_width,
            field=field,
            bias="qvo",
            relative=scheme.relative(c.heads, c.head_width),
            q_norm=RMSNorm(c.head_width),
            k_norm=RMSNorm(c.head_width),
            scale=0.3,
            softcap=20.0,
            sink=True,
            dropout=c.dropout,
        )
        both = Sum(attn=Pre(RMSNorm(c.width), own), mlp=Pre(RMSNorm(c.width), GLU(c.width, 48, act="gelu")))
        return Block(both=Residual(both, post=LayerNorm(c.width), drop=c.dropout, scale=0.7))

    masks = {"self": Causal(), "local": Window(c.window)}
    fields = {name: Field(scheme.field(c.heads, c.head_width), mask) for name, mask in masks.items()}
    stack = Stack([layer("local" if i % 2 else "self") for i in range(c.depth)], fields=fields, norm=RMSNorm(c.width))
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), scale=2.0, norm=LayerNorm(c.width))
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied, bias=True, scale=0.5))


OUTSIDE = Family(
    name="outside",
    config=Outside,
    build=build_outside,
    initialise=lambda module, c: initialise.normal(module, std=0.05),
    sizes={"debug": {}},
)


@pytest.fixture(params=[*reading("text"), "outside"])
def family(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every registered family's name, one registered here among them."""
    if request.param != "outside":
        yield request.param
        return
    FAMILIES.register("outside", OUTSIDE)
    yield "outside"
    del FAMILIES._values["outside"]


# --------------------------------------------------------------------------------------------- how a family is asked


def blueprint(family: str, position: str = "own", **changes: object) -> Blueprint:
    """The family's debug size with the changes that its config knows. A scheme it does not take ends the test."""
    if position not in ("own", *schemes(family)):
        pytest.skip("says that it takes no position scheme")
    known = {field.name for field in dataclasses.fields(FAMILIES.get(family).config)}
    plan = Blueprint.of(family, "debug", **{name: value for name, value in changes.items() if name in known})
    return plan if position == "own" else replace(plan, position=SCHEMES[position]())


def model_of(family: str, position: str = "own", **changes: object) -> nn.Module:
    """A module in evaluation mode whose every parameter is random, norms and biases too."""
    return randomised(blueprint(family, position, **changes).build())


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(1.0)
    return module


def vocab(module: nn.Module) -> int:
    return module.embed.vocab


def draw(module: nn.Module, rows: int, length: int) -> Tensor:
    return torch.randint(vocab(module), (rows, length), generator=torch.Generator().manual_seed(rows * length))


def source_of(module: nn.Module, rows: int) -> Tensor | None:
    """What an encoder is given; None for a decoder alone."""
    return draw(module, rows, 6) if isinstance(module, EncoderDecoder) else None


def logits(
    module: nn.Module,
    tokens: Tensor,
    here: Layout | None = None,
    source: Tensor | None = None,
    source_here: Layout | None = None,
) -> Tensor:
    """[B, T, V] in one pass."""
    if isinstance(module, EncoderDecoder):
        assert source is not None
        return module.logits(module(source, tokens, source_here, here)[0])
    assert isinstance(module, Decoder | Encoder), (
        f"these tests do not know how to run a {type(module).__name__}: teach them"
    )
    return module.logits(module(tokens, here)[0])


class Steps:
    """A module with a cache, fed piece by piece."""

    def __init__(self, module: nn.Module, rows: int, capacity: int, source: Tensor | None = None, **how: Any) -> None:
        self.module, self.cache = module, module.cache(rows, capacity, **how)
        if isinstance(module, EncoderDecoder):
            assert source is not None
            module.fill(self.cache, module.encode(source))

    def feed(self, tokens: Tensor, here: Layout | None = None) -> Tensor:
        if isinstance(self.module, EncoderDecoder):
            return self.module.logits(self.module.decode(tokens, here, cache=self.cache)[0])
        return self.module.logits(self.module(tokens, here, self.cache)[0])


def causal(module: nn.Module) -> bool:
    """Does every self field of what generates look back only? Of what generates nothing, none does."""
    return isinstance(module, Decoder | EncoderDecoder) and all(
        field.mask.causal() for field in module.writing.fields.values() if field.keys == "self"
    )


def need_causal(module: nn.Module) -> None:
    if not causal(module):
        pytest.skip("sees ahead")


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference in standard deviations of b."""
    assert a.shape == b.shape and torch.isfinite(a).all()
    return float((a - b).abs().max() / b.std())


def same_greedy(a: Tensor, b: Tensor) -> bool:
    """The same largest logit, unless the two largest are within 1e-5."""
    top = b.topk(2).values
    return bool((a.argmax(-1) == b.argmax(-1))[(top[..., 0] - top[..., 1]) > 1e-5 * b.std()].all())


# ---------------------------------------------------------------------------------------------------------- G1 to G4

NOISE = 2e-5  # standard deviations: fp32 sums in another order
LENGTH = 18


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_a_token_at_a_time_is_the_whole_row(family: str, position: str) -> None:
    module = model_of(family, position)
    need_causal(module)
    tokens, source = draw(module, 2, LENGTH), source_of(module, 2)
    wanted = logits(module, tokens, source=source)
    for sizes in ([1] * LENGTH, [7, 1, 1, 4, 5], [LENGTH]):
        steps = Steps(module, 2, 40, source, chunk=max(sizes), length=LENGTH)
        got = torch.cat([steps.feed(part) for part in tokens.split(sizes, 1)], 1)
        assert gap(got, wanted) <= NOISE, f"chunks of {sizes}"
        assert same_greedy(got, wanted)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_row_does_not_feel_its_companions(family: str, position: str, side: str) -> None:
    """A ragged batch, in one pass and through a cache that then goes on token by token."""
    module = model_of(family, position)
    lengths, width, more = [12, 1, 7], 12, 4
    tokens, source = draw(module, 3, width + more), source_of(module, 3)
    here = Layout.ragged(torch.tensor(lengths), width, side=side)
    batch = torch.zeros(3, width, dtype=torch.int64)
    real = here.segments == 1
    for row, length in enumerate(lengths):
        batch[row, real[row]] = tokens[row, :length]
    rows = [None if source is None else source[i : i + 1] for i in range(3)]
    alone = [logits(module, tokens[i : i + 1, : n + more], source=rows[i])[0] for i, n in enumerate(lengths)]
    got = logits(module, batch, here, source)
    prefixes = [logits(module, tokens[i : i + 1, :n], source=rows[i])[0] for i, n in enumerate(lengths)]
    for row in range(3):
        assert gap(got[row, real[row]], prefixes[row]) <= NOISE
    if not causal(module):
        return
    steps = Steps(module, 3, 40, source)
    first = steps.feed(batch, here)
    last = []
    for step in range(more):
        last.append(steps.feed(torch.stack([tokens[i, n + step] for i, n in enumerate(lengths)])[:, None]))
    for row in range(3):
        together = torch.cat((first[row, real[row]], torch.cat(last, 1)[row]))
        assert gap(together, alone[row]) <= NOISE
        assert same_greedy(together, alone[row])


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_padded_source_is_its_own_tokens(family: str, side: str) -> None:
    module = model_of(family)
    if not isinstance(module, EncoderDecoder):
        pytest.skip("has no source")
    tokens, source, lengths = draw(module, 2, 9), draw(module, 2, 8), torch.tensor([8, 3])
    here = Layout.ragged(lengths, 8, side=side)
    padded = torch.zeros_like(source)
    for row, length in enumerate(lengths.tolist()):
        padded[row, here.segments[row] == 1] = source[row, :length]
    got = logits(module, tokens, source=padded, source_here=here)
    steps = Steps(module, 2, 20, source)
    module.fill(steps.cache, module.encode(padded, here))
    cached = torch.cat([steps.feed(part) for part in tokens.split(2, 1)], 1)
    for row, length in enumerate(lengths.tolist()):
        wanted = logits(module, tokens[row : row + 1], source=source[row : row + 1, :length])[0]
        assert gap(got[row], wanted) <= NOISE and gap(cached[row], wanted) <= NOISE


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_the_future_changes_nothing(family: str, position: str) -> None:
    """Long enough for the blocked kernel. In fp64: an expert has other rows where the future differs, and rounds
    otherwise in fp32."""
    module = model_of(family, position, context=200).double()
    need_causal(module)
    length = 150
    tokens, source = draw(module, 1, length), source_of(module, 1)
    wanted = logits(module, tokens, source=source)
    for place in (1, 63, 64, 100, length - 1):
        changed = tokens.clone()
        changed[:, place:] = (changed[:, place:] + 1) % vocab(module)
        got = logits(module, changed, source=source)
        assert gap(got[:, :place], wanted[:, :place]) <= 1e-6
        assert gap(got[:, place:], wanted[:, place:]) > 1e-2


@torch.no_grad()
def test_the_past_and_the_source_change_something(family: str) -> None:
    module = model_of(family)
    tokens, source = draw(module, 1, 12), source_of(module, 1)
    wanted = logits(module, tokens, source=source)
    changed = tokens.clone()
    changed[:, 8] = (changed[:, 8] + 1) % vocab(module)
    assert gap(logits(module, changed, source=source)[:, 9:], wanted[:, 9:]) > 1e-3
    if source is not None:
        changed = (source + 1) % vocab(module)
        assert gap(logits(module, tokens, source=changed), wanted) > 1e-2


def test_an_encoder_tells_before_from_behind(family: str) -> None:
    """A scheme with signed distances is told which of a family's fields look both ways."""
    module = model_of(family, "t5")
    for stack in (part for part in module.modules() if isinstance(part, Stack)):
        for field in stack.fields.values():
            if isinstance(field.position, T5Bias):
                assert field.position.bidirectional == (field.mask.reach()[1] != 0)


@torch.no_grad()
def test_evaluation_is_deterministic_and_training_is_not(family: str) -> None:
    module = model_of(family, dropout=0.5)
    tokens, source = draw(module, 2, 16), source_of(module, 2)
    assert torch.equal(logits(module, tokens, source=source), logits(module, tokens, source=source))
    plain = logits(model_of(family, dropout=0.0), tokens, source=source)
    assert torch.equal(logits(module, tokens, source=source), plain)
    module.train()
    assert not torch.equal(logits(module, tokens, source=source), logits(module, tokens, source=source))


# -------------------------------------------------------------------------------------------------------- T12, packing


def pack(rows: list[Tensor], width: int) -> tuple[Tensor, Layout]:
    """Documents side by side in one row, padding at the end."""
    tokens, segments = torch.zeros(1, width, dtype=torch.int64), torch.zeros(1, width, dtype=torch.int64)
    at = 0
    for number, row in enumerate(rows, 1):
        tokens[0, at : at + len(row)], segments[0, at : at + len(row)] = row, number
        at += len(row)
    return tokens, Layout(segments=segments)


@pytest.mark.parametrize("position", POSITIONS)
def test_packed_rows_are_separate_rows(family: str, position: str) -> None:
    if not FAMILIES.get(family).packs:
        pytest.skip("says that it cannot pack")
    module = model_of(family, position)
    lengths, sources = [9, 1, 14, 6], [4, 6, 1, 7]
    rows = [draw(module, 1, n + 1)[0] for n in lengths]
    given = [draw(module, 1, n + 30)[0, :n] for n in sources] if isinstance(module, EncoderDecoder) else None

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(scores.flatten(0, -2), labels.flatten(), reduction="sum")

    tokens, here = pack([row[:-1] for row in rows], 34)
    source, source_here = (None, None) if given is None else pack(given, 20)
    scores = logits(module, tokens, here, source, source_here=source_here)
    whole = loss(scores[here.segments > 0], torch.cat([row[1:] for row in rows]))
    gradients = torch.autograd.grad(whole, list(module.parameters()))
    parts = torch.zeros(())
    for i, row in enumerate(rows):
        own = None if given is None else given[i][None]
        parts = parts + loss(logits(module, row[None, :-1], source=own), row[None, 1:])
    assert float(whole.detach()) == pytest.approx(float(parts.detach()), rel=1e-5)
    for (name, _), a, b in zip(
        module.named_parameters(), gradients, torch.autograd.grad(parts, list(module.parameters())), strict=True
    ):
        assert float((a - b).norm()) <= 3e-5 * max(float(b.norm()), 1.0), name


# ---------------------------------------------------------------------------------------------- building and loading


def tied_choices(family: str) -> list[dict[str, bool]]:
    known = {field.name for field in dataclasses.fields(FAMILIES.get(family).config)}
    return [{"tied": True}, {"tied": False}] if "tied" in known else [{}]


@torch.no_grad()
def test_a_module_built_without_memory_is_the_same_module(family: str) -> None:
    for choice in tied_choices(family):
        plan = blueprint(family, **choice)
        module = randomised(plan.build())
        tokens, source = draw(module, 2, 9), source_of(module, 2)
        wanted, state = logits(module, tokens, source=source), module.state_dict()
        for assign in (False, True):
            empty = plan.empty()
            assert {p.device.type for p in (*empty.parameters(), *empty.buffers())} == {"meta"}
            if not assign:
                empty = empty.to_empty(device="cpu")
                for parameter in empty.parameters():
                    parameter.fill_(math.nan)
            empty.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, strict=True, assign=assign)
            assert torch.equal(logits(empty.eval(), tokens, source=source), wanted)
            assert set(empty.state_dict()) == set(state)


@torch.no_grad()
def test_a_tied_head_is_one_parameter(family: str) -> None:
    for choice in tied_choices(family):
        module = model_of(family, **choice)
        state = module.state_dict()
        assert len({tensor.data_ptr() for tensor in state.values()}) == len(state), "two names, one memory"
        tables = [name for name, p in module.named_parameters() if p.shape[0] == vocab(module) and p.ndim == 2]
        if choice == {"tied": True}:
            assert tables == ["embed.weight"]
        tokens, source = draw(module, 1, 5), source_of(module, 1)
        for moved in (module, module.double().float(), module.to("cpu")):
            before = logits(moved, tokens, source=source)
            moved.get_parameter(tables[-1])[3] += 5.0  # the last table is the head's, or everybody's
            after = logits(moved, tokens, source=source)
            assert not torch.equal(after[..., 3], before[..., 3])


def test_memory_without_values_can_be_started(family: str) -> None:
    """Meta, memory, reset, initialise: every parameter has a value."""
    plan = blueprint(family)
    module = plan.empty().to_empty(device="cpu")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(math.nan)
    initialise.reset(module)
    FAMILIES.get(family).initialise(module, plan.config)
    assert [name for name, p in module.named_parameters() if not torch.isfinite(p).all()] == []


@torch.no_grad()
def test_a_seed_is_a_model(family: str) -> None:
    plan, before = blueprint(family), torch.get_rng_state()
    a, b, c = plan.build(seed=3), plan.build(seed=3), plan.build(seed=4)
    assert torch.equal(torch.get_rng_state(), before), "building draws from the caller's generator"
    assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), c.state_dict().values(), strict=True))
    assert not a.training


@torch.no_grad()
def test_a_fresh_model_knows_nothing(family: str) -> None:
    """Its loss is that of guessing, log(vocab), within three tenths."""
    plan = blueprint(family)
    module = plan.build()
    tokens, source = draw(module, 8, 30), source_of(module, 8)
    scores = logits(module, tokens, source=source)
    labels = torch.randint(vocab(module), (8, 30), generator=torch.Generator().manual_seed(1))
    loss = float(functional.cross_entropy(scores.flatten(0, 1), labels.flatten()))
    assert loss == pytest.approx(math.log(vocab(module)), rel=0.3)


SWAPS = [None, *(kind() for kind in SCHEMES.values()), RopeScheme(5e5, 0.5), RopeScheme(scaling=rope.Yarn(4.0, 32))]


@pytest.mark.parametrize("scheme", SWAPS, ids=str)
@torch.no_grad()
def test_a_blueprint_survives_json(family: str, scheme: Scheme | None) -> None:
    if scheme not in (None, Scheme()) and "position" not in FAMILIES.get(family).swaps:
        pytest.skip("says that it takes no position scheme")
    plan = replace(blueprint(family, dropout=0.25), position=scheme)
    text = json.dumps(plan.to_data())
    again = Blueprint.from_data(json.loads(text))
    assert again == plan
    assert json.dumps(again.to_data()) == text
    module, copy = plan.build(seed=1), again.build(seed=1)
    tokens, source = draw(module, 1, 7), source_of(module, 1)
    assert torch.equal(logits(module, tokens, source=source), logits(copy, tokens, source=source))


def test_a_blueprint_never_guesses(family: str) -> None:
    data = blueprint(family).to_data()
    for wrong in (
        {**data, "config": {**data["config"], "widht": 8}},
        {**data, "config": {**data["config"], "width": "wide"}},
        {**data, "parts": {**data["parts"], "position": {"name": "rope", "thet": 1.0}}},
        {**data, "parts": {**data["parts"], "positon": {"name": "rope"}}},
        {**data, "parts": {"position": {"name": "rope"}}},
        {**data, "parts": {**data["parts"], "position": {"name": "rop"}}},
        {**data, "parts": {**data["parts"], "attention": {"name": "windwo"}}},
        {**data, "parts": {**data["parts"], "attention": {"name": "window", "size": "wide"}}},
        {**data, "extra": 1},
        {"family": family, "config": {}},
    ):
        with pytest.raises(ValueError):
            Blueprint.from_data(wrong)


def test_a_scheme_of_ones_own_is_refused_with_a_reason(family: str) -> None:
    """It has no name to be saved under."""

    class Mine(Scheme):
        pass

    with pytest.raises(ValueError, match="Mine"):
        replace(blueprint(family), position=Mine()).to_data()


def test_weights_go_out_and_come_back(family: str) -> None:
    table = FAMILIES.get(family).table(blueprint(family).config)
    if not table:
        pytest.skip("declares no foreign names")
    for choice in tied_choices(family):
        state = model_of(family, depth=11, **choice).state_dict()  # layer 10 comes before layer 2 in the alphabet
        theirs = to_theirs(table, state)
        back = to_ours(table, dict(sorted(theirs.items())))
        assert set(back) == set(state)
        assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
        assert all(tensor.is_contiguous() for tensor in (*theirs.values(), *back.values()))


# -------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("position", POSITIONS)
def test_every_parameter_learns(family: str, position: str) -> None:
    module = model_of(family, position, dropout=0.1).train()
    tokens, source = draw(module, 3, 25), source_of(module, 3)
    scores = logits(module, tokens[:, :-1], source=source)
    functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert torch.isfinite(parameter.grad).all() and (parameter.grad != 0).any(), name


def test_nats_are_the_cross_entropy_of_the_logits(family: str) -> None:
    for choice in tied_choices(family):
        module = model_of(family, **choice)
        tokens, source = draw(module, 3, 11), source_of(module, 3)
        x = module(tokens, None)[0] if source is None else module(source, tokens)[0]
        labels = tokens.roll(-1, 1)
        labels[1, 4:] = -100
        wanted = functional.cross_entropy(module.logits(x).flatten(0, 1), labels.flatten(), reduction="sum")
        got, parameters = module.nats(x, labels), list(module.parameters())
        assert float(got.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
        gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (got, wanted)]
        for (name, _), a, b in zip(module.named_parameters(), *gradients, strict=True):
            assert float((a - b).norm()) <= 3e-5 * max(float(b.norm()), 1.0), name


def test_a_few_steps_learn_a_row_by_heart(family: str) -> None:
    module = blueprint(family, dropout=0.0).build().train()
    tokens, source = draw(module, 2, 12), source_of(module, 2)
    need_causal(module)
    optimiser, losses = torch.optim.AdamW(module.parameters(), lr=3e-3), []
    for _ in range(25):
        scores = logits(module, tokens[:, :-1], source=source)
        loss = functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.filterwarnings("ignore")  # torch's own, while tracing
def test_compiled_is_uncompiled(family: str) -> None:
    """Traced into one graph without a break, forward and backward; also packed."""
    torch.compiler.reset()  # else all families' graphs count as one function's, and there is a limit to them
    module = model_of(family, context=150, depth=2, encoder_depth=1, decoder_depth=1)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    packed = Layout(segments=torch.tensor([[1] * 9 + [2] * 11, [1] * 14 + [0] * 6]))
    for here, length in ((None, 130), (packed, 20)):  # long enough for the blocked kernel, or masked
        tokens, source, results = draw(module, 2, length), source_of(module, 2), []
        if source is not None and here is not None:
            continue
        for run in (module, compiled):
            x = run(tokens, here)[0] if source is None else run(source, tokens)[0]
            results.append((x, *torch.autograd.grad(x.square().mean(), list(stacks_parameters(module)))))
        for a, b in zip(*results, strict=True):
            assert float((a - b).norm()) <= 1e-4 * max(float(b.norm()), 1e-2)


def stacks_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """What a loss on hidden states reaches."""
    yield from (p for stack in module.modules() if isinstance(stack, Stack) for p in stack.parameters())


@pytest.mark.parametrize("position", POSITIONS)
def test_bf16_runs_and_stays_near(family: str, position: str) -> None:
    module = model_of(family, position)
    with torch.no_grad():  # scores that saturate (they are not divided by √K everywhere) turn rounding into choices
        for parameter in module.parameters():
            parameter.mul_(0.7 if parameter.ndim > 1 else 1.0)
    tokens, source = draw(module, 2, 20), source_of(module, 2)
    exact = logits(module, tokens, source=source).detach()
    with torch.autocast("cpu", torch.bfloat16):
        near = logits(module, tokens, source=source)
        functional.cross_entropy(near.flatten(0, 1).float(), tokens.flatten()).backward()
        if causal(module):
            with torch.no_grad():
                for dtype in (None, torch.bfloat16):
                    steps = Steps(module, 2, 24, source, dtype=dtype)
                    cached = torch.cat([steps.feed(part) for part in tokens.split(5, 1)], 1)
                    assert float((cached.float() - exact).norm() / exact.norm()) < 0.06
    assert near.dtype == torch.bfloat16
    assert float((near.detach().float() - exact).norm() / exact.norm()) < 0.06
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@torch.no_grad()
def test_a_module_in_bf16_has_a_cache_in_bf16(family: str) -> None:
    module = model_of(family).bfloat16()
    need_causal(module)
    tokens, source = draw(module, 2, 10), source_of(module, 2)
    wanted = logits(module, tokens, source=source).float()
    steps = Steps(module, 2, 24, source)
    got = torch.cat([steps.feed(part) for part in tokens.split(3, 1)], 1).float()
    assert float((got - wanted).norm() / wanted.norm()) < 0.06


# ---------------------------------------------------------------------------------------------------------- refusals


def test_sizes_that_cannot_be_a_model(family: str) -> None:
    known = {field.name for field in dataclasses.fields(FAMILIES.get(family).config)}
    for name, value in {"width": 0, "vocab": 0, "context": -1, "heads": 0, "kv_heads": 0, "depth": 10**12}.items():
        if name in known:
            with pytest.raises(ValueError, match=name) as error:
                blueprint(family, **{name: value}).build()
            assert str(value) in str(error.value)
    if {"width", "heads"} <= known and "head_width" not in Blueprint.of(family, "debug").to_data()["config"]:
        with pytest.raises(ValueError, match="5 heads do not divide the width 48"):
            blueprint(family, width=48, heads=5).build()
    if {"kv_heads", "heads"} <= known:
        with pytest.raises(ValueError, match="3 key/value heads do not divide 4 heads"):
            blueprint(family, heads=4, kv_heads=3).build()
    if "dropout" in known:
        for rate in (1.0, -0.1):
            with pytest.raises(ValueError, match="dropout"):
                blueprint(family, dropout=rate).build()


def test_a_part_that_a_family_does_not_take_is_refused_by_name(family: str) -> None:
    class Other(Attention):
        """Somebody's own."""

    declared, config = FAMILIES.get(family), blueprint(family).config
    given: dict[str, tuple[Any, str]] = {"position": (RopeScheme(), "RopeScheme"), "attention": (Other, "Other")}
    for part, (value, name) in given.items():
        if part in declared.swaps:
            declared.build(config, **{part: value})
        else:
            with pytest.raises(ValueError, match=f"{part} = {name}"):
                declared.build(config, **{part: value})


def test_heads_must_divide_a_width_that_decides_them() -> None:
    for family in ("gpt2", "llama", "transformer"):
        with pytest.raises(ValueError, match="5 heads do not divide the width 48"):
            blueprint(family, width=48, heads=5).build()


def test_unknown_names_come_with_the_nearest(family: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{family}'"):
        Blueprint.of(family + "x", "debug")
    with pytest.raises(UnknownName, match="did you mean 'debug'"):
        Blueprint.of(family, "debgu")
    with pytest.raises(UnknownName, match="did you mean 'rope'"):
        blueprint(family).change("position", "rop")
    with pytest.raises(SettingError, match="did you mean 'width'"):
        Blueprint.of(family, "debug", widht=8)
    with pytest.raises(SettingError, match="did you mean 'width'"):
        blueprint(family).change("widht", "8")
    with pytest.raises(SettingError, match="name a scheme"):
        blueprint(family).change("position.theta", "8")


def test_a_blueprint_is_changed_by_path(family: str) -> None:
    plan = blueprint(family).change("vocab", "77").change("position", "rope").change("position.theta", "5e5")
    assert plan.config.vocab == 77 and plan.position == RopeScheme(theta=5e5)
    assert plan.change("position", "default").position is None
    assert plan.change("size", "debug").config == blueprint(family).config
    assert plan.change("position", '{"name": "t5", "buckets": 8}').position == SCHEMES["t5"](buckets=8)  # type: ignore[call-arg]


@torch.no_grad()
def test_a_row_beyond_the_trained_positions_is_refused_with_both_numbers(family: str) -> None:
    module = model_of(family, "learned", context=16)
    tokens, source = draw(module, 1, 17), source_of(module, 1)
    logits(module, tokens[:, :16], source=source)
    with pytest.raises(ValueError, match=r"17 .* 16"):
        logits(module, tokens, source=source)
    if isinstance(module, EncoderDecoder):
        with pytest.raises(ValueError, match=r"17 .* 16"):
            logits(module, tokens[:, :3], source=tokens)
    if causal(module):
        steps = Steps(module, 1, 40, source)
        steps.feed(tokens[:, :16])
        with pytest.raises(ValueError, match=r"17 .* 16"):
            steps.feed(tokens[:, 16:])


# ------------------------------------------------------------------------------------------------ from other packages


@torch.no_grad()
def test_a_family_from_another_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real entry point, read from a distribution's metadata."""
    (tmp_path / "elsewhere.py").write_text(
        "import dataclasses\n"
        "from weft.models import FAMILIES\n"
        "from weft.nn import AlibiScheme\n"
        "base = FAMILIES.get('llama')\n"
        "def build(c, *, position=None, **more):\n"
        "    return base.build(c, position=position or AlibiScheme(), **more)\n"
        "family = dataclasses.replace(base, name='loom', build=build)\n"
    )
    folder = tmp_path / "elsewhere-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[weft.families]\nloom = elsewhere:family\nbroken = nowhere:family\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(FAMILIES, "_loaded", False)
    monkeypatch.setattr(FAMILIES, "_plugins", {})
    monkeypatch.setattr(FAMILIES, "_values", dict(FAMILIES._values))
    try:
        assert {"loom", "broken", "llama"} <= set(FAMILIES.names())
        module = randomised(Blueprint.of("loom", "debug").build())
        tokens = draw(module, 1, 8)
        steps = Steps(module, 1, 8)
        assert gap(torch.cat([steps.feed(part) for part in tokens.split(1, 1)], 1), logits(module, tokens)) <= NOISE
        again = Blueprint.from_data(json.loads(json.dumps(Blueprint.of("loom", "debug").to_data())))
        assert again.family == "loom"
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            FAMILIES.get("broken")
    finally:
        sys.modules.pop("elsewhere", None)


def test_two_families_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="already"):
        FAMILIES.register(FAMILIES.names()[0], OUTSIDE)


@torch.no_grad()
def test_a_memory_of_another_batch_is_not_taken_for_ones_own() -> None:
    """One source for several rows is a fork's business; a memory of the wrong number of rows is refused."""
    module = model_of("transformer")
    memory = module.encode(draw(module, 3, 5))
    with pytest.raises((ValueError, RuntimeError)):
        module.decode(draw(module, 2, 4), memory=Memory(memory.states, memory.here))
