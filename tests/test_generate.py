"""Generation: the engine against a naive loop, sampling, beams against exhaustive search, streaming."""

import itertools
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from parts import schemes
from torch import Tensor

from weft.data import Bytes, train_tokenizer
from weft.generate import (
    GREEDY,
    Beams,
    Sampling,
    TextStream,
    beam_search,
    choose,
    decode,
    distribution,
    generate,
    row_generators,
    row_seeds,
)
from weft.generate.cached import Cached
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import SCHEMES, Causal, Chunk, EncoderDecoder, Full, Mask, SameGroup, Window, Writer

NAMES = [name for name in reading("text") if isinstance(Blueprint.of(name, "debug").empty(), Writer)]
READERS = sorted(set(reading("text")) - set(NAMES))
DECODERS = [name for name in NAMES if FAMILIES.get(name).objective == "next_token"]
START = 1
PROMPTS = [[5, 9, 3], [7], [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], [11, 3, 11, 3]]


@cache
def build(name: str, position: str | None = None, vocab: int | None = None) -> torch.nn.Module:
    """A debug-sized model whose rows differ (a weak memory, lest it drown the target); shared, so left as it is."""
    blueprint = Blueprint.of(name, "debug")
    if vocab is not None:
        blueprint = blueprint.change("vocab", str(vocab))
    if position is not None:
        blueprint = blueprint.change("position", position)
    module = blueprint.build(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            noise = torch.empty_like(parameter).normal_(std=0.3, generator=generator)
            parameter.copy_(
                parameter + 0.1 * noise if parameter.dim() == 1 else noise * (0.4 if "cross" in path else 1.0)
            )
    return module


def full_logits(module: torch.nn.Module, prompt: list[int], new: list[int]) -> Tensor:
    """Scores of each of `new` and of what follows them, by one uncached pass, [len(new) + 1, V]."""
    with torch.no_grad():
        if isinstance(module, EncoderDecoder):
            row = [START, *new]
            x, _ = module(torch.tensor([prompt]), torch.tensor([row]))
        else:
            x, _ = module(torch.tensor([[*prompt, *new]]))
        return module.logits(x)[0, -len(new) - 1 :]


def naive(module: torch.nn.Module, prompt: list[int], new: int) -> tuple[int, ...]:
    """Greedy decoding as one would explain it."""
    ids: list[int] = []
    for _ in range(new):
        ids.append(int(full_logits(module, prompt, ids)[-1].argmax()))
    return tuple(ids)


def ids_of(rows) -> list[tuple[int, ...]]:
    return [row.ids for row in rows]


# ---- the engine ----


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize("name", NAMES)
def test_cached_ragged_and_chunked_decoding_is_the_naive_loop(name: str, chunk: int | None):
    module = build(name)
    rows = generate(module, PROMPTS, new=12, sampling=GREEDY, start=START, chunk=chunk)
    assert ids_of(rows) == [naive(module, prompt, 12) for prompt in PROMPTS]
    assert {row.reason for row in rows} == {"length"}
    for prompt, row in zip(PROMPTS, rows, strict=True):
        expected = full_logits(module, prompt, list(row.ids[:-1])).log_softmax(-1)
        torch.testing.assert_close(torch.tensor(row.logprobs), expected[range(12), list(row.ids)], rtol=0, atol=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NAMES)
def test_any_position_scheme_generates_as_it_computes(name: str, scheme: str):
    if scheme not in schemes(name):
        pytest.skip("says that it takes no position scheme")
    module = build(name, scheme)
    rows = generate(module, PROMPTS[:3], new=6, sampling=GREEDY, start=START, chunk=5)
    assert ids_of(rows) == [naive(module, prompt, 6) for prompt in PROMPTS[:3]]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_alone_is_the_row_in_a_batch(name: str):
    module, seeds = build(name), row_seeds(3, len(PROMPTS))
    sampling = Sampling(temperature=5.0, top_k=60, top_p=0.95, seed=3)
    together = generate(module, PROMPTS, new=15, sampling=sampling, stop=range(0, 131, 9), start=START)
    assert len({row.reason for row in together}) > 1 or len({len(row.ids) for row in together}) > 1
    for prompt, seed, row in zip(PROMPTS, seeds, together, strict=True):
        own = replace(sampling, seed=(seed,))
        (alone,) = generate(module, [prompt], new=15, sampling=own, stop=range(0, 131, 9), start=START)
        assert (alone.ids, alone.reason) == (row.ids, row.reason)
        assert alone.logprobs == pytest.approx(row.logprobs, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_end_at_different_times_are_dropped_without_a_trace(name: str):
    module = build(name)
    prompts = [[token, token + 1, token + 2][: 1 + token % 3] for token in range(16)]
    expected = [naive(module, prompt, 14) for prompt in prompts]
    stop = {expected[row][length] for row, length in ((0, 1), (1, 1), (2, 3), (3, 3), (4, 6), (5, 9))}
    for row, full in zip(
        generate(module, prompts, new=14, sampling=GREEDY, stop=stop, start=START), expected, strict=True
    ):
        at = next((place for place, token in enumerate(full) if token in stop), None)
        assert row.ids == (full if at is None else full[: at + 1])
        assert row.reason == ("length" if at is None else "end")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows_and_rows_differ(name: str):
    module, prompts = build(name), [[5, 9, 3]] * 4
    first, again = (
        generate(module, prompts, new=10, sampling=Sampling(temperature=5.0, seed=7), start=START) for _ in range(2)
    )
    assert first == again
    assert len({row.ids for row in first}) == 4
    assert ids_of(first) != ids_of(generate(module, prompts, new=10, sampling=Sampling(seed=8), start=START))
    (alone,) = generate(module, prompts[:1], new=10, sampling=Sampling(temperature=5.0, seed=7), start=START)
    assert alone.ids == first[0].ids


def test_steps_say_what_each_row_got_and_why_it_ended():
    module = build("gpt2")
    greedy = naive(module, PROMPTS[0], 5)
    assert greedy[1] not in (greedy[0], *naive(module, PROMPTS[1], 5))
    steps = list(decode(module, PROMPTS[:2], new=5, sampling=GREEDY, stop=[greedy[1]]))
    assert len(steps) == 5
    assert [step.tokens[0] for step in steps] == [*greedy[:2], None, None, None]
    assert [step.reasons[0] for step in steps] == [None, *["end"] * 4]
    assert all(
        (token is None) == (logprob is None) for s in steps for token, logprob in zip(s.tokens, s.logprobs, strict=True)
    )
    assert all(steps[-1].reasons)


@pytest.mark.parametrize("scheme", ["learned", "rope"])
def test_the_context_ends_a_row_but_not_its_companions(scheme: str):
    module, context = build("gpt2", scheme), 64
    limit = None if scheme == "learned" else context
    prompts = [list(range(60)), [3, 1], list(range(64)), list(range(20, 81))]
    rows = generate(module, prompts, new=30, sampling=GREEDY, context=limit)
    assert [row.reason for row in rows] == ["context", "length", "context", "context"]
    assert [len(row.ids) for row in rows] == [4, 30, 0, 3]
    assert ids_of(rows) == [naive(module, prompt, len(row.ids)) for prompt, row in zip(prompts, rows, strict=True)]
    assert generate(module, [list(range(64))], new=3, context=limit)[0].reason == "context"


def test_the_context_bounds_the_target_of_a_pair():
    rows = generate(build("transformer"), PROMPTS, new=50, sampling=GREEDY, start=START, context=8)
    assert {(len(row.ids), row.reason) for row in rows} == {(7, "context")}


def test_an_empty_prompt_begins_with_the_start_token():
    for name in NAMES:
        empty, started = generate(build(name), [[], [START]], new=5, sampling=GREEDY, start=START)
        assert empty.ids == started.ids
    with pytest.raises(ValueError, match="give start"):
        generate(build("gpt2"), [[]], new=5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompts": [[1], [1] * 65]}, "prompt 1 has 65 tokens, the context 64: shorten"),
        ({"context": 65}, "context = 65.* end at 64: ask for at most 64"),
        ({"context": 0}, "context = 0"),
        ({"prompts": []}, "no prompt was given"),
        ({"prompts": [[1], [2, 131]]}, "prompt 1: 131, at place 1, .* 0 to 130"),
        ({"stop": [500]}, "stop 0: 500"),
        ({"new": 0}, "new = 0"),
        ({"chunk": 0}, "chunk = 0"),
        ({"sampling": Sampling(seed=(1, 2))}, "2 seeds for 1 rows"),
    ],
)
def test_mistakes_are_named_at_the_call(arguments: dict, words: str):
    with pytest.raises(ValueError, match=words):
        decode(build("gpt2"), **({"prompts": [[1]], "new": 4} | arguments))


@pytest.mark.parametrize("mask", [Full(), Window(4, 1), Chunk(8)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_module_that_sees_ahead_is_refused(name: str, mask: Mask):
    """Token by token would not be what it computes of a whole row (contracts G1 and G2)."""
    if "attention" not in FAMILIES.get(name).swaps:
        pytest.skip("its rows are read by states, which cannot see ahead")
    module = Blueprint.of(name, "debug").build()
    module.writing.fields["self"].mask = mask
    words = rf"'self' sees ahead \({type(mask).__name__}\(.* build it with Causal\(\)"
    with pytest.raises(ValueError, match=words):
        decode(module, [[1]], new=1, start=START)
    with pytest.raises(ValueError, match=words):
        beam_search(module, [[1]], width=2, new=1, start=START)


def test_groups_are_no_reason_to_refuse():
    module = Blueprint.of("gpt2", "debug").build()
    expected = generate(module, PROMPTS, new=4, sampling=GREEDY)
    module.stack.fields["self"].mask = Causal() | SameGroup()
    assert ids_of(generate(module, PROMPTS, new=4, sampling=GREEDY)) == ids_of(expected)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
def test_a_sampling_that_means_nothing_cannot_be_made(name: str):
    for bad in {"temperature": (-1, float("nan"), float("inf")), "top_k": (-1,), "top_p": (0, -0.1, 1.01)}[name]:
        with pytest.raises(ValueError, match=f"{name} = {bad}, but it must"):
            Sampling(**{name: bad})


def test_what_cannot_generate_is_refused():
    with pytest.raises(ValueError, match="Linear cannot generate"):
        decode(torch.nn.Linear(2, 2), [[1]], new=1)
    with pytest.raises(ValueError, match="give start"):
        decode(build("transformer"), [[1]], new=1)


@pytest.mark.parametrize("name", READERS)
def test_what_reads_whole_rows_is_refused(name: str):
    module = Blueprint.of(name, "debug").build()
    for ask in (generate, decode, partial(beam_search, width=2)):
        with pytest.raises(ValueError, match=f"{type(module).__name__} cannot generate, it reads whole rows"):
            ask(module, [[1]], new=1, start=1)


def test_a_module_in_training_is_evaluated_and_left_as_it_was():
    module = Blueprint.of("gpt2", "debug", dropout=0.5).build()
    expected = generate(module, PROMPTS, new=8, sampling=GREEDY)
    module.train()
    module.stack.layers[0].eval()
    before = [part.training for part in module.modules()]
    steps = decode(module, PROMPTS, new=8, sampling=GREEDY)
    next(steps)
    assert [part.training for part in module.modules()] == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert generate(module, PROMPTS, new=8, sampling=GREEDY) == expected
    assert [part.training for part in module.modules()] == before


# ---- sampling ----


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1e-4),
        Sampling(temperature=1e4),
        Sampling(temperature=1e-45),
        Sampling(temperature=1e38),
        Sampling(top_p=1e-9),
        Sampling(top_k=10**9),
        Sampling(temperature=1e4, top_k=10**9, top_p=1e-9),
        Sampling(temperature=1e-4, top_k=3, top_p=0.999999),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_settings_still_choose(sampling: Sampling, dtype: torch.dtype):
    logits = (torch.randn(64, 3000) * 30).to(dtype)
    logits[1, 5:] = -torch.inf
    logits[2] = 0.0
    logits[3, 7] = 3e38
    chosen = choose(logits, sampling, row_generators(0, 64))
    assert chosen.shape == (64,) and chosen.min() >= 0 and chosen.max() < 3000
    assert logits.gather(1, chosen[:, None]).isfinite().all()
    if sampling.temperature <= 1e-4 or sampling.top_p < 1e-6:
        others = [row for row in range(64) if row != 2]  # bf16 has ties: compare scores
        best = logits.max(dim=-1).values
        assert (logits.gather(1, chosen[:, None])[others, 0].float() - best[others].float()).abs().max() < 0.1


@given(
    scores=st.lists(st.integers(-6, 6), min_size=1, max_size=12),
    top_k=st.integers(0, 14),
    top_p=st.floats(1e-6, 1.0),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
)
@example(scores=[0, 0, 0, 0], top_k=2, top_p=1.0, temperature=1.0)
def test_only_what_the_filters_keep_is_drawn(scores: list[int], top_k: int, top_p: float, temperature: float):
    """Against the definition, written out in Python: sort, cut, add up; lower ids first among equals."""
    ranked = sorted(range(len(scores)), key=lambda token: (-scores[token], token))[: top_k or None]
    weights = [torch.tensor(scores[token] / temperature, dtype=torch.float64).exp().item() for token in ranked]
    kept, mass = [], 0.0
    for token, weight in zip(ranked, weights, strict=True):
        if kept and abs(mass / sum(weights) - top_p) < 1e-6:
            return  # on the edge, rounding decides
        if kept and mass / sum(weights) >= top_p:
            break
        kept.append(token)
        mass += weight
    logits = torch.tensor([scores] * 200, dtype=torch.float32)
    chosen = choose(logits, Sampling(temperature, top_k, top_p), row_generators(0, 200))
    assert set(chosen.tolist()) <= set(kept)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("top_p", [1.0, 0.95, 0.5, 1e-9])
@pytest.mark.parametrize("top_k", [0, 1, 40, 10**9])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_what_is_drawn_from_is_the_references(temperature: float, top_k: int, top_p: float):
    """Its processors in its order: the same tokens are kept, with the same probabilities."""
    theirs = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(40, 1500) * torch.linspace(0.1, 2, 40)[:, None]  # from flat to sharp
    steps = [theirs.TemperatureLogitsWarper(temperature)]
    steps += [theirs.TopKLogitsWarper(top_k)] if top_k else []
    steps += [theirs.TopPLogitsWarper(top_p)] if top_p < 1 else []
    wanted = logits
    for step in steps:
        wanted = step(torch.zeros(40, 0, dtype=torch.int64), wanted)
    found = distribution(logits, Sampling(temperature, top_k, top_p))
    edge = (found > 0) != wanted.isfinite()  # where the sum comes to top_p, rounding decides
    assert edge.sum() <= 1 and found[edge].sum() < 1e-3
    torch.testing.assert_close(found[~edge.any(1)], wanted.softmax(-1)[~edge.any(1)], rtol=1e-4, atol=1e-6)


def test_a_choice_is_drawn_from_the_distribution():
    logits = torch.randn(5, 300)
    for sampling in (GREEDY, Sampling(0.5, top_k=7), Sampling(top_p=0.3)):
        found = distribution(logits, sampling)
        chosen = choose(logits, sampling, row_generators(0, 5))
        assert (found.gather(1, chosen[:, None]) > 0).all()
        torch.testing.assert_close(found.sum(-1), torch.ones(5))
    assert distribution(logits, GREEDY).argmax(-1).tolist() == logits.argmax(-1).tolist()
    with pytest.raises(ValueError, match="row 0: the best of 5"):
        distribution(torch.full((1, 5), -torch.inf), Sampling())


def test_draws_follow_the_distribution():
    logits, rows = torch.tensor([0.0, 1.0, 2.0, -torch.inf, 0.5]), 4000
    chosen = choose(logits.expand(rows, -1), Sampling(temperature=0.7), row_generators(0, rows))
    seen = torch.bincount(chosen, minlength=5) / rows
    torch.testing.assert_close(seen, (logits / 0.7).softmax(-1), rtol=0, atol=0.03)


def test_ties_go_to_the_lowest_id():
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0]])
    assert choose(logits, GREEDY, []).tolist() == [1]
    for sampling in (Sampling(top_k=1), Sampling(top_p=1e-9)):
        assert {int(choose(logits, sampling, row_generators(seed, 1))) for seed in range(20)} == {1}
    assert {int(choose(logits, Sampling(top_k=2), row_generators(seed, 1))) for seed in range(40)} == {1, 2}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(bad: float):
    logits = torch.zeros(3, 5)
    logits[1, 2] = bad
    with pytest.raises(ValueError, match=f"row 1: the best of 5 scores is {bad}"):
        choose(logits, GREEDY, [])
    with pytest.raises(ValueError, match="row 0: the best of 5 scores is -inf"):
        choose(torch.full((1, 5), -torch.inf), Sampling(), row_generators(0, 1))


# ---- beams ----


def exhaustive(module: torch.nn.Module, prompt: list[int], vocab: int, new: int, stop: set[int], alpha: float):
    """Every row there is: (score, ids), best first."""
    found = []
    for length in range(1, new + 1):
        for ids in itertools.product(range(vocab), repeat=length):
            ends = ids[-1] in stop
            if any(token in stop for token in ids[:-1]) or not (ends or length == new):
                continue
            found.append(ids)
    scores = []
    for ids in found:
        logprobs = full_logits(module, prompt, list(ids[:-1])).log_softmax(-1)
        scores.append((float(logprobs[range(len(ids)), list(ids)].sum()) / len(ids) ** alpha, ids))
    return sorted(scores, key=lambda pair: -pair[0])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("name", NAMES)
def test_wide_beams_find_the_optimum(name: str, alpha: float):
    module, vocab, new, stop = build(name, vocab=5), 5, 3, {0}
    prompts = [[3, 1], [4, 2, 2, 1]]
    results = beam_search(module, prompts, width=80, best=6, new=new, alpha=alpha, stop=stop, start=START)
    for prompt, beams in zip(prompts, results, strict=True):
        expected = exhaustive(module, prompt, vocab, new, stop, alpha)[:6]
        assert [beam.ids for beam in beams] == [ids for _, ids in expected]
        assert [beam.score for beam in beams] == pytest.approx([score for score, _ in expected], abs=1e-4)
        assert all((beam.reason == "end") == (beam.ids[-1] in stop) for beam in beams)
        assert all(beam.score == pytest.approx(beam.logprob / len(beam.ids) ** alpha) for beam in beams)


@pytest.mark.parametrize("name", NAMES)
def test_one_beam_is_greedy(name: str):
    module = build(name)
    whole = generate(module, PROMPTS, new=12, sampling=GREEDY, start=START)
    stop = {*range(0, 131, 4), whole[0].ids[3]}  # so that one row ends at the latest then
    greedy = generate(module, PROMPTS, new=12, sampling=GREEDY, stop=stop, start=START)
    assert "end" in {row.reason for row in greedy}
    found = beam_search(module, PROMPTS, width=1, new=12, alpha=0, stop=stop, start=START)
    for row, (beam,) in zip(greedy, found, strict=True):
        assert (beam.ids, beam.reason) == (row.ids, row.reason)
        assert beam.logprob == pytest.approx(row.logprob, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_beam_depends_neither_on_padding_nor_on_companions(name: str, alpha: float, monkeypatch: pytest.MonkeyPatch):
    module, stop, drops = build(name), range(0, 131, 3), []
    prompts, keep = [*PROMPTS, [1, 5], [60, 61, 62], [90] * 4, [100]], Cached.keep
    monkeypatch.setattr(Cached, "keep", lambda cached, rows: (drops.append(rows), keep(cached, rows)))
    together = beam_search(module, prompts, width=4, best=3, new=10, alpha=alpha, stop=stop, start=START)
    # at alpha 0 some searches are over early, and leave the cache; whether they do is the luck of the weights
    assert drops or alpha or name not in ("gpt2", "llama", "t5", "transformer")
    for prompt, beams in zip(prompts, together, strict=True):
        (alone,) = beam_search(module, [prompt], width=4, best=3, new=10, alpha=alpha, stop=stop, start=START, chunk=3)
        assert [(beam.ids, beam.reason) for beam in alone] == [(beam.ids, beam.reason) for beam in beams]
        assert [beam.score for beam in alone] == pytest.approx([beam.score for beam in beams], abs=1e-4)
        for beam in beams:
            logprobs = full_logits(module, prompt, list(beam.ids[:-1])).log_softmax(-1)
            assert beam.logprob == pytest.approx(float(logprobs[range(len(beam.ids)), list(beam.ids)].sum()), abs=1e-3)


def test_beams_end_at_the_context():
    module = build("gpt2")
    prompts = [list(range(60)), [3, 1], list(range(64))]
    long, short, full = (beams[0] for beams in beam_search(module, prompts, width=3, new=9))
    assert (len(long.ids), long.reason) == (4, "context")
    assert (len(short.ids), short.reason) == (9, "length")
    assert (full.ids, full.reason) == ((), "context")


def test_beam_mistakes_are_named():
    for arguments, words in (
        ({"width": 0}, "width = 0"),
        ({"width": 2, "best": 3}, "width = 2 and best = 3"),
        ({"width": 2, "alpha": -1}, "alpha = -1"),
    ):
        with pytest.raises(ValueError, match=words):
            beam_search(build("gpt2"), [[1]], new=2, **arguments)


def test_a_search_that_means_nothing_cannot_be_made():
    for name, bad in (
        ("width", 0),
        ("length_penalty", -0.1),
        ("length_penalty", float("nan")),
        ("early_stopping", True),
    ):
        with pytest.raises(ValueError, match=f"{name} = {bad}, but"):
            Beams(**({"width": 3} | {name: bad}))
    with pytest.raises(ValueError, match="early_stopping = 'soon', but it is one of never, likely, always"):
        beam_search(build("gpt2"), [[1]], width=2, new=2, early_stopping="soon")


# ---- streaming ----

TOKENIZERS = {
    "bytes": Bytes(),
    "bpe": train_tokenizer("bpe", ["naïve café — 你好 🙂 " * 5, "the cat sat on the mat " * 5], 290),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@example(text="👩‍👩‍👧‍👦 é \x00 \u2028 \ufeff")
def test_text_streams_whole_characters(kind: str, text: str):
    tokenizer = TOKENIZERS[kind]
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    assert "".join(pieces) == text and stream.finish() == ""
    assert text.count("\ufffd") == "".join(pieces).count("\ufffd")


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_a_continuation_keeps_the_space_that_joins_it_to_its_prompt(kind: str):
    text = "the cat sat on the mat , naïve as ever . "
    tokenizer = train_tokenizer(kind, [text * 5], 300)
    ids = tokenizer.encode(text)
    for cut in range(1, len(ids)):
        stream = TextStream(tokenizer, after=[tokenizer.end, *ids[:cut]])
        written = "".join(stream.push(token) for token in ids[cut:]) + stream.finish()
        assert tokenizer.decode(ids[:cut]) + written == tokenizer.decode(ids)
    for nothing in ((), (tokenizer.end,)):  # a special is no text to go on from
        stream = TextStream(tokenizer, after=nothing)
        assert "".join(stream.push(token) for token in ids) == tokenizer.decode(ids)


def test_half_a_character_is_held_back():
    stream, first = TextStream(Bytes()), 0xF0 + 3  # the first byte of four
    assert [stream.push(token) for token in Bytes().encode("é")] == ["", "é"]
    assert [stream.push(token) for token in (first, None, Bytes().end)] == ["", "", ""]
    assert stream.finish() == "\ufffd"
    with pytest.raises(ValueError, match="no id"):
        stream.push(999)
