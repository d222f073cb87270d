"""Recurrent layers: RNNsearch beside a plain loop over torch's cells, and what a state in a cache must do."""

import pytest
import torch
from parts import close
from torch import Tensor, nn
from torch.nn import functional

from weft.generate import Sampling, beam_search, generate
from weft.models import Blueprint
from weft.nn import GRU, BothWays, Context, EncoderDecoder, Layout

SIZES = [
    dict(vocab=37, context=20, embedding=11, width=14, alignment=9, hidden=7),
    dict(vocab=53, context=20, embedding=24, width=10, alignment=17, hidden=13),
]


def random_module(seed: int = 0, **sizes: int) -> EncoderDecoder:
    """Every parameter random, in evaluation mode."""
    module = Blueprint.of("rnn", None, **(SIZES[seed % 2] | sizes)).build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            std = 0.5 if parameter.ndim < 2 else 1.5 * parameter.shape[-1] ** -0.5
            parameter.normal_(std=std, generator=generator)
    assert isinstance(module, EncoderDecoder)
    return module


class Plain:
    """The same model, a row and a token at a time, on torch's own cells."""

    def __init__(self, module: EncoderDecoder) -> None:
        self.w = dict(module.named_parameters())
        self.names = list(self.w)

    def cell(self, name: str, x: Tensor, state: Tensor, more: tuple[Tensor, ...] = ()) -> Tensor:
        """One step of nn.GRUCell. more: columns of its input weight that stand elsewhere."""
        w = [
            self.w[f"{name}.{part}"]
            for part in ("from_input.weight", "from_state.weight", "from_input.bias", "from_state.bias")
        ]
        cell = nn.GRUCell(x.shape[-1], state.shape[-1])
        own = dict(weight_ih=torch.cat((w[0], *more), 1), weight_hh=w[1], bias_ih=w[2], bias_hh=w[3])
        return torch.func.functional_call(cell, own, (x[None], state[None]))[0]

    def encode(self, source: Tensor) -> Tensor:
        """Ids [S] -> annotations [S, 2D]."""
        words, layer = self.w["embed.weight"][source], "encoder.layers.0"
        width = self.w[f"{layer}.ahead.from_state.weight"].shape[1]
        ahead, back = [torch.zeros(width)], [torch.zeros(width)]
        for word in words:
            ahead.append(self.cell(f"{layer}.ahead", word, ahead[-1]))
        for word in words.flip(0):
            back.append(self.cell(f"{layer}.back", word, back[-1]))
        return torch.cat((torch.stack(ahead[1:]), torch.stack(back[1:]).flip(0)), 1)

    def logits(self, source: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Ids [S], [T] -> scores [T, V], weights [T, S]."""
        layer, h = "decoder.layers.0", self.encode(source)
        w = {name.removeprefix(f"{layer}."): value for name, value in self.w.items()}
        state = torch.tanh(w["first.weight"] @ h[0, h.shape[1] // 2 :] + w["first.bias"])
        scores, weights = [], []
        for word in self.w["target.weight"][tokens]:
            e = torch.stack(
                [
                    w["look.v"] @ torch.tanh(w["look.q.weight"] @ state + w["look.k.weight"] @ one + w["look.k.bias"])
                    for one in h
                ]
            )
            weights.append(e.softmax(0))
            c = (weights[-1][:, None] * h).sum(0)
            state = self.cell(f"{layer}.cell", torch.cat((word, c)), state, (w["found.weight"],))
            pairs = w["of_state.weight"] @ state + w["of_state.bias"]
            pairs = pairs + w["of_word.weight"] @ word + w["of_memory.weight"] @ c
            t = torch.maximum(pairs[0::2], pairs[1::2])
            scores.append(self.w["head.weight"] @ t + self.w["head.bias"])
        return torch.stack(scores), torch.stack(weights)


def batch(
    module: EncoderDecoder, side: str, seed: int = 0
) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor, Layout, Layout]:
    """Ragged sources and targets, as rows and as a batch padded with another id on one side."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [(7, 5), (1, 6), (4, 1), (6, 3)]
    sources, targets = ([torch.randint(37, (pair[i],), generator=generator) for pair in lengths] for i in (0, 1))

    def padded(rows: list[Tensor]) -> tuple[Tensor, Layout]:
        width = max(map(len, rows))
        here = Layout.ragged(torch.tensor([len(row) for row in rows]), width, side=side)
        whole = torch.full((len(rows), width), 3)
        whole[here.segments == 1] = torch.cat(rows)
        return whole, here

    (source, source_here), (tokens, here) = padded(sources), padded(targets)
    return sources, targets, source, tokens, source_here, here


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_a_plain_loop_over_cells(seed: int, side: str) -> None:
    """Logits, weights and every gradient, of a ragged batch."""
    module = random_module(seed)
    sources, targets, source, tokens, source_here, here = batch(module, side, seed)
    heard: list[Tensor] = []
    hook = module.decoder.layers[0].look.probs.register_forward_hook(lambda tap, given, out: heard.append(out))
    hidden, _ = module(source, tokens, source_here, here)
    hook.remove()
    got, real = module.logits(hidden), here.segments == 1
    plain = [Plain(module).logits(*pair) for pair in zip(sources, targets, strict=True)]
    wanted = torch.cat([scores for scores, _ in plain])
    assert (got[real] - wanted).abs().max() <= 1e-5 * wanted.std()
    weights = torch.cat(heard, dim=2)[:, 0]  # [B, T, S]
    for row, (_, own) in enumerate(plain):
        seen = weights[row, real[row]]
        close(seen[:, source_here.segments[row] == 1], own, 1e-5)
        assert not seen[:, source_here.segments[row] == 0].any()
    labels, names = torch.cat(targets).flip(0), [name for name, _ in module.named_parameters()]
    losses = [functional.cross_entropy(scores, labels, reduction="sum") for scores in (got[real], wanted)]
    ours, theirs = (torch.autograd.grad(loss, list(module.parameters()), retain_graph=True) for loss in losses)
    for name, a, b in zip(names, ours, theirs, strict=True):
        assert float((a - b).norm()) <= 3e-5 * float(b.norm()), name
    loss = module.nats(hidden, torch.where(real, tokens, -100))
    assert torch.isfinite(torch.autograd.grad(loss, module.embed.weight)[0]).all()


@torch.no_grad()
def test_a_gru_is_torchs_with_and_without_its_kernel() -> None:
    gru, theirs, x = GRU(7, 5), nn.GRU(7, 5, batch_first=True), torch.randn(3, 9, 7)
    names = ("from_input.weight", "from_state.weight", "from_input.bias", "from_state.bias")
    for name, (_, parameter) in zip(names, theirs.named_parameters(), strict=True):
        gru.get_parameter(name).copy_(parameter)
    wanted = theirs(x)[0]
    close(gru(x), wanted, 1e-6)

    class Half(nn.Module):
        def forward(self, x: Tensor, y: Tensor, linear: nn.Module) -> Tensor:
            return y / 2

    for linear in (gru.from_input, gru.from_state):  # what an adapter does is not passed over
        linear.adapters["a"] = Half()
        for parameter in linear.parameters():
            parameter.mul_(2)
        close(gru(x), wanted, 1e-6)


@pytest.mark.parametrize("hidden", ["source", "target", "both"])
def test_what_is_wholly_hidden_is_finite(hidden: str) -> None:
    """G3: forward and backward, and through a cache."""
    module, tokens = random_module(), torch.tensor([[4, 5, 6], [7, 8, 9]])
    none = Layout(segments=torch.tensor([[1, 1, 1], [0, 0, 0]]))
    source_here, here = none if hidden != "target" else None, none if hidden != "source" else None
    hidden_states, _ = module(tokens, tokens, source_here, here)
    assert torch.isfinite(hidden_states).all()
    for gradient in torch.autograd.grad(module.logits(hidden_states).square().sum(), list(module.parameters())):
        assert torch.isfinite(gradient).all()
    with torch.no_grad():
        cache = module.cache(2, 4)
        module.fill(cache, module.encode(tokens, source_here))
        cached = module.decode(tokens, here, cache=cache)[0]
        assert torch.isfinite(cached).all()
        close(cached, hidden_states.detach(), 1e-5)


@torch.no_grad()
def test_a_state_stands_still_on_padding_wherever_it_is() -> None:
    layer, x = BothWays(4, 3), torch.randn(1, 5, 4)
    wanted = layer(x, Context(Layout()))[0]
    spread = torch.zeros(1, 9, 4) + 7.0
    places = [1, 2, 4, 6, 7]
    spread[:, places] = x
    segments = torch.zeros(1, 9, dtype=torch.int64)
    segments[:, places] = 1
    got = layer(spread, Context(Layout(segments=segments)))[0]
    close(got[:, places], wanted, 1e-6)
    assert not got[:, segments[0] == 0].any()


@torch.no_grad()
def test_a_state_is_taken_back_as_far_as_a_chunk_reaches() -> None:
    module, source = random_module(), torch.tensor([[3, 4, 5], [6, 7, 8]])
    tokens = torch.randint(37, (2, 9), generator=torch.Generator().manual_seed(1))
    wanted = module(source, tokens)[0]
    cache = module.cache(2, 20, chunk=4)
    module.fill(cache, module.encode(source))
    module.decode(tokens[:, :6], cache=cache)  # more than a chunk, of which the last states are kept
    module.decode(tokens[:, :2], Layout(segments=torch.tensor([[1, 1], [0, 1]])), cache=cache)  # guesses: 8 and 7
    cache.truncate(5)
    close(module.decode(tokens[:, 5:], cache=cache)[0], wanted[:, 5:], 1e-5)
    with pytest.raises(ValueError, match="recurrent cache can take back 3 tokens, not 4"):
        cache.truncate(5)
    cache.truncate(6)
    close(module.decode(tokens[:, 6:], cache=cache)[0], wanted[:, 6:], 1e-5)


@torch.no_grad()
def test_rows_of_states_fork_leave_and_change_places() -> None:
    """Beams read one memory, and each has a state of its own."""
    module, source = random_module(1), torch.tensor([[3, 4, 5], [6, 7, 8]])
    rows = [[1, 2], [3, 4]]
    cache = module.cache(2, 20)
    module.fill(cache, module.encode(source))
    module.decode(torch.tensor(rows), cache=cache)
    cache.fork(2)
    more = torch.tensor([[5], [6], [7], [8]])
    module.decode(more, cache=cache)
    cache.reorder(torch.tensor([1, 0, 3, 3]))
    cache.keep(torch.tensor([1, 0]))
    got = module.decode(torch.tensor([[9], [9], [10], [11]]), cache=cache)[0][:, 0]
    lives = [(1, [3, 4, 8, 9]), (1, [3, 4, 8, 9]), (0, [1, 2, 6, 10]), (0, [1, 2, 5, 11])]
    for row, (own, tokens) in enumerate(lives):
        close(got[row], module(source[own : own + 1], torch.tensor([tokens]))[0][0, -1], 1e-5)
    with pytest.raises(ValueError, match="make another cache"):
        module.fill(cache, module.encode(source))
    forked = module.cache(2, 20)
    forked.fork(2)
    module.fill(forked, module.encode(source))
    last = module.decode(torch.tensor([[1], [2], [3], [4]]), cache=forked)[0][3]
    close(last, module(source[1:], torch.tensor([[4]]))[0][0], 1e-5)


def test_a_row_of_several_documents_is_refused() -> None:
    module, tokens = random_module(), torch.tensor([[4, 5, 6]])
    packed = Layout(segments=torch.tensor([[1, 1, 2]]))
    for given in ((packed, None), (None, packed)):
        with pytest.raises(ValueError, match="one document a row"):
            module(tokens, tokens, *given)
    with pytest.raises(ValueError, match="2 rows for 3 rows of words"):
        module.decode(torch.zeros(3, 2, dtype=torch.int64), memory=module.encode(torch.zeros(2, 4, dtype=torch.int64)))
    with pytest.raises(ValueError, match="no field 'memory'"):
        module.decode(tokens, cache=module.cache(1, 4))


@torch.no_grad()
def test_weights_that_are_edited_reach_every_later_word() -> None:
    """All of the first step's weight on the last place: it is as if the context were that place's annotation."""
    module, source, tokens = random_module(), torch.tensor([[3, 4, 5]]), torch.tensor([[1, 2, 6]])
    tap, calls = module.decoder.layers[0].look.probs, []

    def edit(_: nn.Module, __: object, weights: Tensor) -> Tensor:
        calls.append(weights.shape)
        return functional.one_hot(torch.tensor([[[2]]]), 3).to(weights) if len(calls) == 1 else weights

    plain = module(source, tokens)[0]
    hook = tap.register_forward_hook(edit)
    edited = module(source, tokens)[0]
    hook.remove()
    assert calls == [(1, 1, 1, 3)] * 3
    assert all((edited[0, place] - plain[0, place]).abs().max() > 1e-3 for place in range(3))
    assert torch.equal(module(source, tokens)[0], plain)


@torch.no_grad()
def test_beams_find_what_is_likely_and_score_it_as_a_whole_pass_does() -> None:
    """Greedy is a beam of one; a row does not feel its companions."""
    module, prompts = random_module(1), [[3, 4, 5, 9], [6], [7, 8]]
    greedy = generate(module, prompts, new=8, sampling=Sampling(temperature=0), stop=(2,), start=1)
    narrow = beam_search(module, prompts, width=1, alpha=0.0, new=8, stop=(2,), start=1)
    assert [row.ids for row in greedy] == [best.ids for best, *_ in narrow]
    wide = beam_search(module, prompts, width=4, alpha=0.0, new=8, stop=(2,), start=1)
    for prompt, best in zip(prompts, wide, strict=True):
        (own,) = beam_search(module, [prompt], width=4, alpha=0.0, new=8, stop=(2,), start=1)
        assert own[0].ids == best[0].ids and own[0].score == pytest.approx(best[0].score, rel=1e-5)
        row = torch.tensor([[1, *best[0].ids]])
        scores = module.logits(module(torch.tensor([prompt]), row[:, :-1])[0]).log_softmax(-1)
        assert float(scores.gather(-1, row[:, 1:, None]).sum()) == pytest.approx(best[0].logprob, rel=1e-4)
