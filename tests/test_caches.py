"""Caches: reading a row piece by piece is reading it whole, whatever happens to its rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import CPU, SCALINGS, close, randomised, tiny
from torch import Tensor

from weft.nn import (
    Alibi,
    Attention,
    Block,
    Causal,
    Chunk,
    CrossAttention,
    Decoder,
    Embed,
    EncoderDecoder,
    Field,
    Full,
    LayerNorm,
    Layout,
    Learned,
    LMHead,
    Mask,
    Memory,
    Position,
    Residual,
    Rope,
    SameGroup,
    Stack,
    T5Bias,
    Window,
    rope,
)


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


@torch.no_grad()
def test_a_prefix_is_numbered_and_never_forgotten() -> None:
    """It and one document after it are a row; several documents bring their order; a ring would lose it."""
    model, tokens = tiny(window=99), torch.randint(23, (2, 9))
    segments = torch.tensor([[-1] * 4 + [1] * 5, [0, 0] + [-1] * 3 + [1] * 4])
    cache = model.cache(2, 12)
    got = [
        model(tokens[:, at], Layout(segments=segments[:, at], prefix=True), cache)[0] for at in (slice(3), slice(3, 9))
    ]
    close(torch.cat(got, 1)[0], alone(model, tokens[0].tolist()), 3e-5)
    close(torch.cat(got, 1)[1, 2:], alone(model, tokens[1, 2:].tolist()), 3e-5)
    with pytest.raises(ValueError, match="a cache numbers one document a row"):
        model(tokens[:, :2], Layout(segments=torch.tensor([[1, 2]]), prefix=True), cache)
    ring = tiny(window=3).cache(1, 12, chunk=2)
    with pytest.raises(ValueError, match="4 places would forget a shared prefix: make it with chunk = 12"):
        tiny(window=3)(tokens[:1, :1], Layout(segments=torch.tensor([[-1]]), prefix=True), ring)
