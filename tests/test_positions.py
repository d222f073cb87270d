"""Position schemes against the papers' formulas and the published code."""

import math

import pytest
import torch
from parts import CPU, LONG, PACKED, RAGGED_LEFT, SCALINGS, close
from torch import nn

from weft.nn import (
    KERNELS,
    Alibi,
    Causal,
    Embed,
    Field,
    Full,
    Layout,
    Learned,
    Mask,
    Music,
    Position,
    RelativeXL,
    Rope,
    Scoring,
    Shaw,
    Sinusoid,
    T5Bias,
    visible,
)


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
    how = Scoring(bias=part.bias(q * 8**-0.5, k, sight.q, sight.k), values=part.mixer(sight.q, sight.k))
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


@pytest.mark.parametrize("here", [Layout(), PACKED, RAGGED_LEFT], ids=["plain", "packed", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_music_is_a_vector_for_each_distance_and_head(here: Layout, bidirectional: bool) -> None:
    part, q = Music(4, 8, distance=5, bidirectional=bidirectional), torch.randn(2, LONG, 4, 8)
    nn.init.normal_(part.weight)
    where = here.numbered(LONG, CPU)
    order = where.order
    assert order is not None
    bucket = (order[:, None, :] - order[:, :, None]).clamp(-5, 5 if bidirectional else 0) + 5
    wanted = torch.einsum("bthk,bhtsk->bhts", q, part.weight[:, bucket].transpose(0, 1).expand(2, -1, -1, -1, -1))
    close(part.bias(q, q, where, where), wanted)


@pytest.mark.parametrize("here", [Layout(), PACKED, RAGGED_LEFT], ids=["plain", "packed", "ragged"])
def test_relative_xl_is_a_sinusoid_of_each_distance(here: Layout) -> None:
    """Dai et al. 2019, §3.3, terms b, c and d with every distance's sinusoid written out; term a is the scores' own."""
    part, (q, k) = RelativeXL(4, 6), (torch.randn(2, LONG, 4, 6), torch.randn(2, LONG, 2, 6))
    for parameter in part.parameters():
        nn.init.normal_(parameter)
    where = here.numbered(LONG, CPU)
    order = where.order
    assert order is not None
    apart = (order[:, :, None] - order[:, None, :]).float()  # [B, T, S]: query - key
    speed = 10000.0 ** (-torch.arange(0, 24, 2) / 24)
    sinusoid = torch.cat(((apart[..., None] * speed).sin(), (apart[..., None] * speed).cos()), dim=-1)
    r = part.project(sinusoid).unflatten(-1, (4, 6))  # [B, T, S, H, K]
    r = r.expand(2, -1, -1, -1, -1)
    of_place = torch.einsum("bthk,btshk->bhts", q + part.place * 6**-0.5, r)
    of_content = torch.einsum("hk,bshk->bhs", part.content * 6**-0.5, k.repeat_interleave(2, dim=2))[:, :, None]
    close(part.bias(q, k, where, where), of_place + of_content)


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


@pytest.mark.parametrize(
    "position", [Alibi(3), T5Bias(3, bidirectional=True)], ids=lambda position: type(position).__name__
)
@pytest.mark.parametrize("here", [PACKED, RAGGED_LEFT], ids=["packed", "ragged"])
def test_scores_by_distance_are_the_same_in_every_row(position: Position, here: Layout) -> None:
    """One bias for a batch, laid out as scores are; wherever a query sees a key it is that of their places."""
    sight = Field(position, Full()).among(here, LONG, CPU)
    bias, allowed = sight.placed.bias, sight.allowed
    assert bias is not None and allowed is not None
    assert bias.shape == (1, 3, LONG, LONG) and bias.is_contiguous()
    by_place = position.at(sight.q, sight.q, sight.q, LONG).bias
    assert by_place is not None and by_place.shape[0] == 2
    hidden = ~allowed[:, None]
    assert torch.equal(bias.expand_as(by_place).masked_fill(hidden, 0.0), by_place.masked_fill(hidden, 0.0))


def test_scores_by_distance_read_places_where_there_are_some() -> None:
    order = torch.tensor([[5, 0, 9], [1, 2, 3]])
    for here in (Layout(order=order), Layout(coords=order), Layout(order=order, coords=order)):
        bias = Field(Alibi(1), Full()).among(here, 3, CPU).placed.bias
        assert bias is not None
        close(bias[:, 0], -(order[:, :, None] - order[:, None]).abs() * Alibi.slopes(1)[0])
