"""Models that hear: stems of convolutions, sources that are vectors, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import weft
from weft.batch import Batch
from weft.generate import GREEDY, beam_search, decode, generate
from weft.models import Blueprint
from weft.models.family import FAMILIES, reading
from weft.nn import SCHEMES, Embed, EncoderDecoder, LayerNorm, Layout, RopeScheme
from weft.nn.convolution import Along, Convolution, Convolved
from weft.nn.position import Learned
from weft.objectives import OBJECTIVES
from weft.training.optimisers import groups

WRITERS = ["whisper"]  # those that write what they hear


def randomised(module: nn.Module, seed: int = 3) -> Any:
    """Every parameter random, norms and biases too, so that nothing is equal by being zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            std = 0.2 if parameter.ndim < 2 else 0.7 * parameter[0].numel() ** -0.5
            parameter.normal_(std=std, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(1.0)
    return module.eval()


def built(name: str, **changes: Any) -> Any:
    return randomised(Blueprint.of(name, "debug", **changes).build())


def sound(length: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randn(length, channels, generator=torch.Generator().manual_seed(seed + 100 * length))


def batch(rows: list[Tensor], filler: float = 7.0) -> tuple[Tensor, Layout]:
    """Rows padded on the right with what would be heard if anybody listened."""
    width = max(map(len, rows))
    full = torch.stack([torch.cat((row, torch.full((width - len(row), row.shape[1]), filler))) for row in rows])
    return full, Layout.ragged(torch.tensor([len(row) for row in rows]), width)


STEMS: dict[str, Callable[[], Convolved]] = {
    "halved": lambda: Convolved([Convolution(5, 6, 3, padding=1, act="gelu"),
                                 Convolution(6, 6, 3, stride=2, padding=1, act="gelu")], 6, position=Learned(9, 6)),
    "unpadded": lambda: Convolved([Convolution(5, 4, 4, stride=3, norm=LayerNorm(4)), Convolution(4, 8, 2, stride=2),
                                   Convolution(8, 8, 3, groups=4)], 6, lift=nn.Linear(8, 6)),
    "odd": lambda: Convolved([Convolution(5, 6, 5, stride=2, padding=1), Convolution(6, 6, 3, padding=1, groups=6)], 6),
}  # fmt: skip


@pytest.mark.parametrize("name", STEMS)
def test_a_row_is_heard_alone_as_beside_longer_ones(name: str) -> None:
    stem = randomised(STEMS[name]())
    least = next(n for n in range(1, 40) if all(layer(stem, n)))
    rows = [sound(length, 5) for length in (least, least + 1, least + 2, least + 5, least + 16)]
    full, here = batch(rows)
    x, laid = stem.read(full, here)
    assert laid.segments is not None and laid.segments.shape == x.shape[:2]
    for number, row in enumerate(rows):
        alone, plain = stem.read(row[None], Layout())
        assert plain.plain
        assert int(laid.segments[number].sum()) == alone.shape[1]
        torch.testing.assert_close(x[number, : alone.shape[1]], alone[0], atol=1e-6, rtol=1e-5)


def layer(stem: Convolved, length: int) -> list[int]:
    """How many places each convolution of a stem makes of a row."""
    found = []
    for convolution in stem.convolutions:
        assert isinstance(convolution, Convolution)
        length = convolution.places(length)
        found.append(length)
    return found


@pytest.mark.parametrize("name", STEMS)
def test_as_many_places_as_torch_makes_and_as_the_layout_says(name: str) -> None:
    stem = STEMS[name]()
    for length in range(1, 30):
        expected, x = layer(stem, length)[-1], torch.randn(1, length, 5)
        if not expected:
            with pytest.raises(ValueError, match=f"rows of {length} places .*: give {stem.needs(1)}"):
                stem.read(x, Layout())
        elif stem.position.context is None or expected <= stem.position.context:
            made, _ = stem.read(x, Layout())
            assert made.shape[1] == expected
        for convolution in stem.convolutions:
            assert isinstance(convolution, Convolution)
            fewest = convolution.needs(length)
            assert convolution.places(fewest) >= length
            assert fewest == 1 or convolution.places(fewest - 1) < length


def test_a_convolution_is_torch_s() -> None:
    part = randomised(Convolution(6, 8, 5, stride=2, padding=2, groups=2, act="relu"))
    x = torch.randn(3, 11, 6)
    expected = functional.conv1d(x.mT, part.weight, part.bias, 2, 2, groups=2).relu().mT
    torch.testing.assert_close(part(x, Layout()), expected)


def test_a_norm_along_the_row_is_told_what_is_there() -> None:
    class Told(Along):
        def forward(self, x: Tensor, present: Tensor | None) -> Tensor:
            assert present is not None and present.shape == x.shape[:2]
            return x * present[..., None]

    full, here = batch([sound(5, 4), sound(8, 4)])
    y = Convolution(4, 3, 2, stride=2, norm=Told())(full, here)
    assert y.shape == (2, 4, 3) and not y[0, 2:].any() and y[0, :2].all()


@pytest.mark.parametrize(
    ("kernel", "settings", "said"),
    [
        (0, {}, "a kernel of 0 places"),
        (3, {"stride": 0}, "a step of 0"),
        (3, {"padding": 2}, "2 places of padding"),
        (3, {"groups": 4}, "4 groups do not divide the widths 6 and 8"),
    ],
)
def test_a_convolution_that_cannot_be(kernel: int, settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Convolution(6, 8, kernel, **settings)


def test_a_stem_of_convolutions_says_what_it_reads() -> None:
    stem = STEMS["halved"]()
    assert stem.context == 18 and (stem.channels, stem.vocab) == (5, 0)
    assert STEMS["unpadded"]().context is None
    two, left = torch.tensor([[1, 1, 2, 2]]), torch.tensor([[0, 1, 1, 1]])
    for tokens, here, said in (
        (torch.ones(1, 4, dtype=torch.int64), Layout(), r"reads vectors of 5 numbers .*, not int64 \[1, 4\]"),
        (torch.ones(1, 4, 3), Layout(), r"not float32 \[1, 4, 3\]"),
        (torch.ones(1, 4, 5), Layout(segments=two), "several documents"),
        (torch.ones(1, 4, 5), Layout(segments=left), "pad rows on the right"),
        (torch.ones(1, 4, 5), Layout(order=two), "in their own order"),
    ):
        with pytest.raises(ValueError, match=said):
            stem.read(tokens, here)
    with pytest.raises(ValueError, match="token types were given"):
        stem.read(torch.ones(1, 4, 5), Layout(), two)


def test_under_autocast_the_stream_starts_in_its_precision() -> None:
    stem = STEMS["halved"]()
    x = torch.randn(1, 6, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert stem.read(x, Layout())[0].dtype == torch.bfloat16
    assert stem.read(x, Layout())[0].dtype == torch.float32
    assert stem.to(torch.bfloat16).read(x, Layout())[0].dtype == torch.bfloat16  # what it reads is as precise as it is


def hearing(name: str) -> Blueprint:
    return Blueprint.of(name, "debug")


@torch.no_grad()
@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_of_a_sound_does_not_hang_on_its_companions(name: str) -> None:
    module = built(name)
    assert isinstance(module, EncoderDecoder)
    rows = [sound(length, module.embed.channels) for length in (7, 20, 13, 6)]
    tokens = torch.randint(0, module.target.vocab, (4, 9), generator=torch.Generator().manual_seed(1))
    full, here = batch(rows)
    together = module.logits(module(full, tokens, here)[0])
    for number, row in enumerate(rows):
        alone = module.logits(module(row[None], tokens[number : number + 1])[0])
        assert float((together[number] - alone[0]).abs().max() / alone.std()) < 1e-5
    made = generate(module, rows, new=6, sampling=GREEDY, start=[3, 5])
    for row, own in zip(rows, made, strict=True):
        (alone,) = generate(module, [row], new=6, sampling=GREEDY, start=[3, 5])
        assert own.ids == alone.ids and own.logprob == pytest.approx(alone.logprob, abs=1e-4)
        scores = module.logits(module(row[None], torch.tensor([[3, 5, *own.ids[:-1]]]))[0])
        assert scores[0, 1:].argmax(-1).tolist() == list(own.ids)
    found = beam_search(module, rows, width=3, new=4, start=3)
    (one,) = beam_search(module, rows[:1], width=3, new=4, start=3)
    assert found[0][0].ids == one[0].ids


def test_sources_of_vectors_also_for_a_model_of_text() -> None:
    """Which takes them for those of its table."""
    module = built("bart")
    assert isinstance(module.embed, Embed) and module.embed.weight is not None
    ids = [[5, 9, 31], [7, 7, 2, 11, 90]]
    vectors = [module.embed.weight[torch.tensor(row)].detach() for row in ids]
    from_ids, from_vectors = (generate(module, rows, new=5, sampling=GREEDY, start=2) for rows in (ids, vectors))
    assert [row.ids for row in from_ids] == [row.ids for row in from_vectors]


@pytest.mark.parametrize(
    ("family", "prompts", "said"),
    [
        ("whisper", [[1, 2]], r"reads no ids: give vectors \[places, 8\]"),
        ("whisper", [torch.ones(3, 8), [1, 2]], "some sources are ids and some are vectors"),
        ("whisper", [torch.ones(3, 8), torch.ones(3, 7)], r"source 1 is float32 \[3, 7\], but this model reads"),
        ("whisper", [torch.ones(3, 8).long()], r"source 0 is int64 \[3, 8\]"),
        ("whisper", [torch.ones(0, 8)], r"source 0 is float32 \[0, 8\]"),
        ("whisper", [torch.ones(49, 8)], "source 0 has 49 places, the context 48"),
        ("gpt2", [torch.ones(3, 48)], "a decoder goes on with ids"),
    ],
)
def test_sources_that_cannot_be(family: str, prompts: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode(built(family), prompts, new=3, start=1)


@pytest.mark.parametrize("name", reading("signals"))
def test_a_family_begins_by_its_seed_and_learns(name: str) -> None:
    one, same, other = (Blueprint.of(name, "debug").build(seed=seed) for seed in (5, 5, 6))
    states = [module.state_dict() for module in (one, same, other)]
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert any(not torch.equal(tensor, states[2][key]) for key, tensor in states[0].items())
    groups(one)


@pytest.mark.parametrize("name", WRITERS)
def test_a_family_that_writes_learns_from_pairs(name: str) -> None:
    module = Blueprint.of(name, "debug", dropout=0.1).build().train()
    objective = OBJECTIVES.get(FAMILIES.get(name).objective)()
    objective.check(module)
    full, here = batch([sound(9, module.embed.channels), sound(24, module.embed.channels)])
    tokens = torch.randint(0, module.target.vocab, (2, 6))
    pair = Batch(tokens, labels=tokens.roll(-1, 1), source=Batch(full, segments=here.segments))
    losses = objective.losses(module, pair)
    losses["loss"].sum.backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any()), key
    assert losses["loss"].count == 12 and "embed.position.weight" not in dict(module.named_parameters())


@pytest.mark.parametrize("scheme", ["none", "rope", "t5", "sinusoid", "learned", "relative_xl"])
def test_another_scheme_in_place_of_its_own(scheme: str, tmp_path: Path) -> None:
    blueprint = Blueprint.of("whisper", "debug").change("position", scheme)
    module = randomised(blueprint.build())
    x, tokens = sound(11, 8)[None], torch.tensor([[3, 1, 4, 1]])
    expected = module.logits(module(x, tokens)[0])
    weft.save(weft.Model(module, blueprint), tmp_path / "saved")
    again = weft.load(tmp_path / "saved")
    assert again.blueprint == blueprint and isinstance(blueprint.position, SCHEMES[scheme])
    torch.testing.assert_close(again.module.logits(again.module(x, tokens)[0]), expected)  # type: ignore[operator]
    assert (blueprint.position == RopeScheme()) == (scheme == "rope")


def test_the_table_of_places_is_the_file_s_and_stays_as_it_is(tmp_path: Path) -> None:
    blueprint = hearing("whisper")
    module = randomised(blueprint.build())
    table = module.get_buffer("embed.position.weight")
    half = table.shape[1] // 2
    torch.testing.assert_close(table[:, 0], torch.arange(24.0).sin())
    torch.testing.assert_close(table[:, half - 1], (torch.arange(24.0) / 10000).sin())
    torch.testing.assert_close(table[:, half:] ** 2 + table[:, :half] ** 2, torch.ones(24, half))
    table.mul_(2.0)
    weft.save(weft.Model(module, blueprint), tmp_path / "saved")
    assert torch.equal(weft.load(tmp_path / "saved").module.get_buffer("embed.position.weight"), table)
    with pytest.raises(ValueError, match="width 45 is odd"):
        Blueprint.of("whisper", "debug", width=45, heads=5).empty()
