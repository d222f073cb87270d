"""What holds of generation for every family that writes: it gets these tests by being registered (G1, G10, G11).

That cached, chunked and ragged decoding is the full pass, and that no row feels its companions, is held in
test_families.py and test_generate.py.
"""

import itertools
from functools import cache, partial

import pytest
import torch
from test_families import gap, model_of
from torch import Tensor, nn

from weft.generate import GREEDY, Sampling, beam_search, generate
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import SCHEMES, Decoder, Layout, Writer

WRITERS = [name for name in reading("text") if isinstance(Blueprint.of(name, "debug").empty(), Writer)]
DECODERS = [name for name in WRITERS if isinstance(Blueprint.of(name, "debug").empty(), Decoder)]
PROMPTS = [[5, 9, 3, 8, 1], [7], [2, 4, 6]]
NOISE = 2e-5  # standard deviations: fp32 sums in another order
made = cache(model_of)  # every parameter random; shared, so left as it is


# ---- G10: beams ----


@pytest.mark.parametrize("name", WRITERS)
def test_a_beams_score_feels_neither_padding_nor_companions(name: str) -> None:
    search = partial(
        beam_search, made(name), width=3, best=3, new=3, early_stopping="likely", stop=range(0, 131, 7), start=1
    )
    together, turned = search(PROMPTS), search([[4] * 9, *reversed(PROMPTS)])
    for prompt, one, other in zip(PROMPTS, together, reversed(turned), strict=False):
        (alone,) = search([prompt], chunk=2)
        for rows in (one, other):
            assert [(row.ids, row.reason) for row in rows] == [(row.ids, row.reason) for row in alone]
            assert [row.score for row in rows] == pytest.approx([row.score for row in alone], abs=1e-5)


# ---- G11: sampling at its extremes ----


@pytest.mark.parametrize("name", WRITERS)
def test_extreme_settings_write_something_finite(name: str) -> None:
    greedy = generate(made(name), PROMPTS, new=2, sampling=GREEDY, start=1)
    for sampling in (
        Sampling(temperature=1e-4),
        Sampling(temperature=1e4),
        Sampling(top_p=1e-9),
        Sampling(temperature=1e4, top_k=10**9, top_p=1e-9),
    ):
        rows = generate(made(name), PROMPTS, new=2, sampling=sampling, start=1)
        assert all(len(row.ids) == 2 and torch.tensor(row.logprobs).isfinite().all() for row in rows)
        if sampling.top_p < 1:
            assert [row.ids for row in rows] == [row.ids for row in greedy]


# ---- G1: a prefix that several rows share is written once ----

PREFIX, SUFFIXES, NEW = [5, 9, 3, 8, 1], [[7, 2], [4], [6, 6, 11]], 3
CASES = [(name, "own") for name in DECODERS] + [(DECODERS[0], scheme) for scheme in SCHEMES]


def sharing(name: str, position: str) -> nn.Module:
    """A decoder; one that cannot have several rows in one is skipped, as is one that does not see the whole of these
    rows: of a shared prefix it sees more, by contract, than of a row's own beginning."""
    if not FAMILIES.get(name).packs:
        pytest.skip("says that it cannot pack")
    module, longest = made(name, position, window=64), len(PREFIX) + max(map(len, SUFFIXES)) + NEW
    reach = [field.mask.reach()[0] for field in module.writing.fields.values()]
    if any(back is not None and back < longest for back in reach):
        pytest.skip("its window is shorter than the rows")
    return module


@pytest.mark.parametrize(("name", "position"), CASES)
@torch.no_grad()
def test_rows_that_share_a_prefix_are_rows_that_have_it_each(name: str, position: str) -> None:
    """In one pass, and in a cache that holds the prefix once: the same scores, the same tokens."""
    module = sharing(name, position)
    rows = [[*PREFIX, *suffix] for suffix in SUFFIXES]
    alone = [module.logits(module(torch.tensor([row]))[0])[0] for row in rows]
    tokens = torch.tensor([[*PREFIX, *itertools.chain(*SUFFIXES)]])
    numbers = [number for number, suffix in enumerate(SUFFIXES, 1) for _ in suffix]
    whole = Layout(segments=torch.tensor([[-1] * len(PREFIX) + numbers]), prefix=True)
    scores = module.logits(module(tokens, whole)[0])[0]
    assert gap(scores[: len(PREFIX)], alone[0][: len(PREFIX)]) <= NOISE

    order = whole.numbered(tokens.shape[1], tokens.device).order
    assert order is not None and whole.segments is not None
    held = module.cache(1, tokens.shape[1] + NEW * len(rows))

    def fed(ids: Tensor, here: Layout) -> Tensor:
        return module.logits(module(ids, here, held)[0])[0]

    cut, end = 2, len(PREFIX)
    for part in (slice(cut), slice(cut, end)):
        fed(tokens[:, part], Layout(segments=whole.segments[:, part], prefix=True))
    cached = fed(tokens[:, end:], Layout(order[:, end:], whole.segments[:, end:]))
    for number, row in enumerate(alone, 1):
        own = torch.tensor(numbers) == number
        assert gap(scores[end:][own], row[end:]) <= NOISE and gap(cached[own], row[end:]) <= NOISE

    last = torch.stack([cached[torch.tensor(numbers) == number][-1] for number in range(1, len(rows) + 1)])  # [rows, V]
    written: list[list[int]] = []
    for step in range(NEW):
        written.append(last.argmax(-1).tolist())
        place = torch.tensor([[len(row) + step for row in rows]])
        last = fed(torch.tensor([written[-1]]), Layout(place, torch.arange(1, len(rows) + 1)[None]))
    wanted = generate(module, rows, new=NEW, sampling=GREEDY)
    assert list(zip(*written, strict=True)) == [row.ids for row in wanted]
    assert held.used == tokens.shape[1] + NEW * len(rows)  # the prefix once
