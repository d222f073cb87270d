"""What is minimised and what is measured: each against the sum one would write down by hand."""

import math
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import pytest
import torch
from parts import schemes
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Bytes, Pairs, places
from weft.evaluate import Likelihood, check, likelihood
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import KERNELS, SCHEMES, Decoder, EncoderDecoder, Field, LMHead
from weft.nn import nats as nats_module
from weft.nn.nats import linear_nats
from weft.objectives import OBJECTIVES, NextToken, Translate
from weft.training import measure

VOCAB, END = 131, 130
DECODERS = [name for name in reading("text") if FAMILIES.get(name).objective == "next_token"]


@cache
def build(name: str, position: str | None = None) -> nn.Module:
    """A debug-sized model whose rows differ, without dropout; shared, so left as it is."""
    blueprint = Blueprint.of(name, "debug").change("dropout", "0")
    module = (blueprint if position is None else blueprint.change("position", position)).build(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            if parameter.dim() > 1:
                noise = torch.empty_like(parameter).normal_(std=0.2, generator=generator)
                parameter.add_(noise * (0.3 if "cross" in path else 1.0))
    return module


def documents(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, END, length).tolist() for length in lengths]


def naive(module: nn.Module, row: list[int], source: list[int] | None = None) -> float:
    """-log p of row[1:], each from what stands before it, one at a time."""
    total = 0.0
    with torch.no_grad():
        for place in range(1, len(row)):
            before = torch.tensor([row[:place]])
            x, _ = module(before) if source is None else module(torch.tensor([source]), before)
            scores = module.logits(x)[0, -1].double()  # type: ignore[operator]
            total -= float(scores.log_softmax(-1)[row[place]])
    return total


def stream(parts: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([END, *(token for part in parts for token in (*part, END))], np.int32)


def gradients(module: nn.Module, total: Tensor) -> list[Tensor]:
    return [
        grad for grad in torch.autograd.grad(total, list(module.parameters()), allow_unused=True) if grad is not None
    ]


# ---------------------------------------------------------------- next token


@pytest.mark.parametrize("name", DECODERS)
def test_a_stream_costs_what_its_tokens_cost_one_by_one(name: str):
    module, ids = build(name), stream(documents([30, 5, 17]))
    rows = Blocks(ids, 16, shift=False)
    batch = rows.batch(places(0, range(len(rows))))
    assert batch.segments is not None  # the last row is padded
    loss = NextToken().losses(module, batch)["loss"]
    expected = sum(naive(module, ids[start : start + 17].tolist()) for start in range(0, len(ids) - 1, 16))
    assert loss.sum.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == len(ids) - 1 == NextToken().counts(batch)["loss"] and loss.weight == 1.0


@pytest.mark.parametrize("name", DECODERS)
def test_packed_documents_cost_what_they_cost_alone(name: str):
    module, parts = build(name), documents([11, 1, 14, 3])
    rows = Blocks(stream(parts), 64, shift=False, isolate=True, end=END)
    loss = NextToken().losses(module, rows.batch(places(0, [0])))["loss"]
    assert loss.sum.item() == pytest.approx(sum(naive(module, [END, *part, END]) for part in parts), rel=1e-5)
    assert loss.count == sum(len(part) + 1 for part in parts)


@pytest.mark.parametrize("name", DECODERS)
def test_packed_documents_give_the_gradients_of_separate_rows(name: str):
    module, parts = build(name), documents([11, 1, 14, 3])
    packed = Blocks(stream(parts), 64, shift=False, isolate=True, end=END).batch(places(0, [0]))
    grads = gradients(module, NextToken().losses(module, packed)["loss"].sum)
    total = torch.zeros(())
    for part in parts:
        row = torch.tensor([[END, *part, END]])
        total = total + NextToken().losses(module, Batch(row[:, :-1], row[:, 1:]))["loss"].sum
    for found, expected in zip(grads, gradients(module, total), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_ignored_labels_neither_cost_nor_count_nor_teach():
    module, row = build("llama"), torch.tensor(documents([20]))
    labels = row[:, 1:].clone()
    labels[:, ::2] = IGNORED
    batch = Batch(row[:, :-1], labels)
    loss = NextToken().losses(module, batch)["loss"]
    with torch.no_grad():
        scores = module.logits(module(batch.tokens)[0])[0].log_softmax(-1)  # type: ignore[operator]
    kept = labels[0] != IGNORED
    assert loss.sum.item() == pytest.approx(-float(scores[kept, labels[0][kept]].sum()), rel=1e-5)
    assert loss.count == int(kept.sum()) == 9
    nothing = NextToken().losses(module, Batch(batch.tokens, torch.full_like(labels, IGNORED)))["loss"]
    assert (nothing.sum.item(), nothing.count) == (0.0, 0)
    assert all(not bool(grad.any()) for grad in gradients(module, nothing.sum))
    assert NextToken().counts(Batch(batch.tokens)) == {"loss": 0}


def test_the_end_of_a_document_is_learned_like_any_token():
    batch = Blocks(stream(documents([3, 2])), 8, shift=False).batch(places(0, [0]))
    assert batch.labels is not None
    assert (batch.labels == END).sum() == 2 and batch.tokens[0, 0] == END


# ---------------------------------------------------------------- translation

PAIRS = [("one", "eins"), ("twenty", "zwanzig"), ("", "x"), ("a longer source", "y")]


def translator() -> nn.Module:
    return Blueprint.of("transformer", "debug", vocab=384, dropout=0.0).build(seed=0)


def test_padded_pairs_cost_what_each_costs_alone():
    module, rows = translator(), Pairs(PAIRS, Bytes(), 64)
    spelt, end = Bytes().encode, Bytes().end
    expected = [naive(module, [end, *spelt(target), end], [*spelt(source), end]) for source, target in PAIRS]
    loss = Translate().losses(module, rows.batch(places(0, range(4))))["loss"]  # type: ignore[arg-type]
    assert loss.sum.item() == pytest.approx(sum(expected), rel=1e-5)
    assert loss.count == sum(len(target) + 1 for _, target in PAIRS)
    for number, nats in enumerate(expected):
        alone = Translate().losses(module, rows.batch(places(0, [number])))["loss"]  # type: ignore[arg-type]
        assert alone.sum.item() == pytest.approx(nats, rel=1e-5)


def test_translation_wants_a_source():
    batch = Batch(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="needs pairs, and the batch has no source side: give data of pairs"):
        Translate().losses(translator(), batch)  # type: ignore[arg-type]


class Extra(nn.Module):
    """A model with a term of its own, as a router has."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: object) -> tuple[Tensor, dict[str, Tensor]]:
        x, _ = self.inner(*inputs)
        return x, {"balance": x.square().mean()}


def test_a_term_that_nobody_weighs_is_refused_by_name():
    rows = Blocks(stream(documents([9])), 8, shift=False).batch(places(0, [0]))
    with pytest.raises(ValueError, match="no weights for the model's auxiliary terms balance"):
        NextToken().losses(Extra(build("llama")), rows)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="balance"):
        Translate().losses(Extra(translator()), Pairs(PAIRS, Bytes(), 64).batch(places(0, [0])))  # type: ignore[arg-type]


def test_every_family_names_a_registered_objective():
    for name in reading("text"):
        assert FAMILIES.get(name).objective in OBJECTIVES.names()
    with pytest.raises(ValueError, match="did you mean 'next_token'"):
        OBJECTIVES.get("next_tokn")


# ---------------------------------------------------------------- -log p under a linear head


def plain(x: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `linear_nats` computes, written out."""
    scores = functional.linear(x, weight, bias).float()
    return functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")


def inputs(places: int = 50, width: int = 24, vocab: int = 97) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = torch.randn(places, width, requires_grad=True), torch.randn(vocab, width, requires_grad=True)
    labels = torch.randint(vocab, (places,))
    labels[::7] = IGNORED
    return x, weight, labels


@pytest.mark.parametrize("rows", [1, 50, 10**9])  # held at once; never fewer than 16
def test_linear_nats_and_its_gradients_are_cross_entropys(rows: int, monkeypatch: pytest.MonkeyPatch):
    for name, size in (("PRODUCT", rows * 97), ("ROWS", 1), ("PIECE", rows * 97)):
        monkeypatch.setattr(nats_module, name, size)
    x, weight, labels = inputs()
    for bias in (None, torch.randn(97, requires_grad=True)):
        found, expected = linear_nats(x, weight, labels, bias, ignored=IGNORED), plain(x, weight, labels, bias)
        torch.testing.assert_close(found, expected)
        learned = [x, weight] if bias is None else [x, weight, bias]
        for mine, reference in zip(
            torch.autograd.grad(3 * found, learned), torch.autograd.grad(3 * expected, learned), strict=True
        ):
            torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-5)


def test_linear_nats_under_autocast_is_cross_entropys_to_bf16():
    x, weight, labels = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = linear_nats(x, weight, labels, ignored=IGNORED), plain(x, weight, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)
    for mine, reference in zip(
        torch.autograd.grad(found, (x, weight)), torch.autograd.grad(expected, (x, weight)), strict=True
    ):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, reference, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("learns", [0, 1, 2])
def test_linear_nats_teaches_only_what_wants_to_learn(learns: int):
    x, weight, labels = inputs()
    tensors = [x.detach(), weight.detach(), torch.randn(97)]
    own = tensors[learns].requires_grad_()
    x, weight, bias = tensors
    (found,) = torch.autograd.grad(linear_nats(x, weight, labels, bias, ignored=IGNORED), own)
    (expected,) = torch.autograd.grad(plain(x, weight, labels, bias), own)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert linear_nats(x, weight, labels, ignored=IGNORED).requires_grad is False


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_a_place_that_is_ignored_spoils_nothing(how: str, value: float):
    """Nothing of it: neither the sum nor the gradients of the other places and of the weight."""
    x, weight, labels = inputs()
    spoilt = x.detach().clone()
    spoilt[labels == IGNORED] = value
    spoilt.requires_grad_()
    # traced as a compiler would, without its code
    task = linear_nats if how == "eager" else torch.compile(linear_nats, backend="aot_eager", dynamic=False)
    found, expected = task(spoilt, weight, labels, ignored=IGNORED), plain(x, weight, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    grads, wanted = torch.autograd.grad(found, (spoilt, weight)), torch.autograd.grad(expected, (x, weight))
    for grad, other in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-5)


def test_linear_nats_of_nothing_and_of_extreme_scores_is_finite():
    x, weight, labels = inputs()
    nothing = linear_nats(x, weight, torch.full_like(labels, IGNORED), ignored=IGNORED)
    assert nothing.item() == 0 and not torch.autograd.grad(nothing, x)[0].any()
    assert linear_nats(x[:0], weight, labels[:0], ignored=IGNORED).item() == 0
    huge = linear_nats(1e4 * x, weight, labels, ignored=IGNORED)
    torch.testing.assert_close(huge, plain(1e4 * x, weight, labels))
    assert huge.isfinite()


def head(bias: bool = False, scale: float = 1.0) -> tuple[LMHead, Tensor, Tensor]:
    torch.manual_seed(5)
    made = LMHead(24, 97, bias=bias, scale=scale)
    x, labels = torch.randn(3, 10, 24, requires_grad=True), torch.randint(97, (3, 10))
    labels[1, 4:] = IGNORED
    return made, x, labels


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_a_listener_on_the_scores_is_heard_and_changes_no_number(scale: float):
    made, x, labels = head(scale=scale)
    quiet = made.nats(x, labels)
    (fast,) = torch.autograd.grad(quiet, x)
    heard: list[Tensor] = []
    handle = made.scores.register_forward_hook(lambda module, args, output: heard.append(output))
    loud = made.nats(x, labels)
    (slow,) = torch.autograd.grad(loud, x)
    assert [scores.shape[-1] for scores in heard] == [97]
    torch.testing.assert_close(heard[0].reshape(3, 10, 97), functional.linear(x * scale, made.weight))  # type: ignore[arg-type]
    torch.testing.assert_close(loud, quiet)
    torch.testing.assert_close(slow, fast, rtol=1e-4, atol=1e-6)
    handle.remove()
    made.nats(x, labels)
    assert len(heard) == 1


def test_what_a_listener_edits_is_what_is_scored():
    made, x, labels = head()
    made.scores.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    assert made.nats(x, labels).item() == pytest.approx(24 * math.log(97), rel=1e-6)


def test_a_head_with_a_bias_uses_and_trains_it():
    made, x, labels = head(bias=True)
    assert made.bias is not None
    with torch.no_grad():
        without = made.nats(x, labels).item()
        made.bias.normal_()
    found = made.nats(x, labels)
    kept = labels != IGNORED
    expected = functional.cross_entropy(made(x)[kept], labels[kept], reduction="sum")
    torch.testing.assert_close(found, expected)
    assert abs(found.item() - without) > 1
    for mine, reference in zip(
        torch.autograd.grad(found, (x, made.bias)), torch.autograd.grad(expected, (x, made.bias)), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)


def test_a_tied_head_teaches_the_embedding_from_both_sides():
    module = Blueprint.of("gpt2", "debug").build(seed=0)
    assert isinstance(module, Decoder) and module.head.weight is None and module.embed.weight is not None
    batch = Blocks(stream(documents([20])), 16, shift=False).batch(places(0, [0]))
    (found,) = torch.autograd.grad(NextToken().losses(module, batch)["loss"].sum, module.embed.weight)
    scores = module.logits(module(batch.tokens)[0])[0]
    assert batch.labels is not None
    expected = functional.cross_entropy(scores, batch.labels[0], reduction="sum")
    torch.testing.assert_close(found, torch.autograd.grad(expected, module.embed.weight)[0], rtol=1e-3, atol=1e-5)
    assert (found.abs().sum(1) > 0).all()  # every row is an output, only some are inputs


# ---------------------------------------------------------------- held-out likelihood


@pytest.mark.parametrize("isolate", [False, True])
def test_the_likelihood_is_the_sum_over_samples_however_many_go_at_once(isolate: bool):
    module, ids = build("llama"), stream(documents([40, 3, 25, 9]))
    rows = Blocks(ids, 12, shift=False, isolate=isolate, end=END)
    single = [NextToken().losses(module, rows.batch(places(0, [number])))["loss"] for number in range(len(rows))]
    assert len(rows) == 7  # shares no divisor with most of these
    for at_once in (1, 2, 3, 7, 100):
        found = likelihood(module, rows, NextToken(), bytes=77, rows=at_once)
        assert found.nats == pytest.approx(sum(loss.sum.item() for loss in single), rel=1e-6)
        assert found.tokens == sum(loss.count for loss in single) == len(ids) - 1


def test_the_likelihood_of_pairs_does_not_depend_on_their_companions():
    module, rows = translator(), Pairs(PAIRS * 2, Bytes(), 64)
    found = [likelihood(module, rows, Translate(), bytes=1, rows=at_once).nats for at_once in (1, 3, 8)]
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)


def test_figures_are_their_definitions_by_hand():
    found = Likelihood(nats=120.0, tokens=40, bytes=100)
    assert found.figures() == {
        "nats_per_token": 3.0,
        "perplexity": pytest.approx(math.e**3),
        "bits_per_byte": pytest.approx(120 / math.log(2) / 100),
        "tokens": 40,
        "bytes": 100,
    }
    assert math.isfinite(Likelihood(1e9, 1, 1).perplexity)


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary():
    module = Blueprint.of("gpt2", "debug").build(seed=0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    found = likelihood(module, Blocks(stream(documents([50])), 8, shift=False), NextToken(), bytes=50)
    assert found.nats_per_token == pytest.approx(math.log(VOCAB), rel=1e-6)
    assert found.perplexity == pytest.approx(VOCAB, rel=1e-5)


def test_measuring_leaves_no_gradient_and_the_mode_as_it_was():
    module = Blueprint.of("llama", "debug").build(seed=0).train()
    likelihood(module, Blocks(stream(documents([20])), 8, shift=False), NextToken(), bytes=20)
    assert module.training and all(parameter.grad is None for parameter in module.parameters())


class Nothing:
    """A dataset without samples."""

    def __len__(self) -> int:
        return 0

    def batch(self, places: Sequence[Place]) -> Batch:
        raise AssertionError("there are none")


class Renamed(NextToken):
    """An objective that calls its term otherwise."""

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"cost": super().counts(batch)["loss"]}


def test_what_cannot_be_measured_is_said_beforehand():
    with pytest.raises(ValueError, match="there is nothing to evaluate"):
        likelihood(build("llama"), Nothing(), NextToken(), bytes=1)
    rows = Blocks(stream(documents([20])), 8, shift=False)
    with pytest.raises(ValueError, match="Renamed has the terms cost: .* called 'loss'"):
        check(rows, Renamed())
    check(rows, NextToken())


# ---------------------------------------------------------------- which kernel: measured, recorded, replayed


def fields(module: nn.Module) -> dict[str, str | None]:
    return {
        name: part.kernel for name, part in module.named_modules() if isinstance(part, Field) and part.keys == "self"
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", reading("text"))
def test_the_fastest_able_kernel_is_fixed_for_every_field_and_replayed(name: str, scheme: str):
    blueprint, looks = Blueprint.of(name, "debug").change("position", scheme), "attention" in FAMILIES.get(name).swaps
    if scheme not in schemes(name):
        pytest.skip("says that it takes no position scheme")
    module, again = blueprint.build(seed=0), blueprint.build(seed=0)
    chosen = measure.choose(module, 1, 16, dtype=torch.float32, repeats=1)
    assert chosen == fields(module) and set(chosen.values()) <= set(KERNELS) - {"eager"}
    # local layers have a field of their own; a row that is read by states has none
    assert len(chosen) >= looks * (2 if isinstance(module, EncoderDecoder) else 1)
    measure.replay(again, chosen)
    assert fields(again) == chosen
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_cheapest_kernel_wins(monkeypatch: pytest.MonkeyPatch):
    module = Blueprint.of("llama", "debug").build(seed=0)
    for best in ("matmul", "sdpa", "blocked"):
        prices = dict.fromkeys(("matmul", "sdpa", "blocked"), 2.0) | {best: 1.0}
        monkeypatch.setattr(measure, "costs", partial(lambda given, *_, **__: given, prices))
        assert set(measure.choose(module, 1, 8, dtype=torch.float32).values()) == {best}


def test_a_kernel_that_would_hold_too_many_scores_is_not_tried(monkeypatch: pytest.MonkeyPatch):
    for position, able in (("rope", {"matmul", "sdpa", "blocked"}), ("shaw", {"matmul"})):  # shaw: nothing else can
        module = Blueprint.of("llama", "debug").change("position", position).build(seed=0)
        ((_, field, attention),) = measure._fields(module)
        scores = 2 * attention.heads * 16 * 16 * 4
        monkeypatch.setattr(measure, "HELD", scores)
        assert set(measure.costs(field, attention, 2, 16, dtype=torch.float32, repeats=1)) == able
        monkeypatch.setattr(measure, "HELD", scores - 1)
        less = able - {"matmul"} or able
        assert set(measure.costs(field, attention, 2, 16, dtype=torch.float32, repeats=1)) == less


def test_rows_that_are_seen_whole_are_held_by_blocks_too(monkeypatch: pytest.MonkeyPatch):
    module = Blueprint.of("bert", "debug").build(seed=0)
    ((_, field, attention),) = measure._fields(module)
    monkeypatch.setattr(measure, "HELD", 2 * attention.heads * 16 * 16 * 4 - 1)
    assert set(measure.costs(field, attention, 2, 16, dtype=torch.float32, repeats=1)) == {"sdpa"}


def test_measuring_does_not_move_the_weights():
    module = Blueprint.of("llama", "debug").change("position", "alibi").build(seed=0)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    measure.choose(module, 2, 16, dtype=torch.bfloat16, repeats=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("chosen", [{"stack.fields.self": "fastest"}, {"stack.fields.other": "sdpa"}])
def test_a_record_of_another_model_is_refused(chosen: dict[str, str]):
    ((field, kernel),) = chosen.items()
    words = (
        rf"the kernel '{kernel}' was recorded for the field '{field}', .* stack\.fields\.self, .* blocked: measure anew"
    )
    with pytest.raises(ValueError, match=words):
        measure.replay(Blueprint.of("llama", "debug").build(seed=0), chosen)


@pytest.mark.parametrize("name", DECODERS)
def test_every_kernel_gives_the_same_loss(name: str):
    module = Blueprint.of(name, "debug").build(seed=0)
    batch = Blocks(stream(documents([40, 8])), 32, shift=False).batch(places(0, [0, 1]))
    found = []
    for kernel in KERNELS:
        measure.replay(module, dict.fromkeys(fields(module), kernel))
        found.append(NextToken().losses(module, batch)["loss"].sum.item())
    assert found == pytest.approx([found[0]] * len(found), rel=1e-5)
