"""Encoders that say what they hear: the block by its definition, ragged rows, and labels without places."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from test_sounds import batch, randomised, sound
from torch import Tensor, nn
from torch.nn import functional

import weft
from weft.batch import IGNORED, Batch
from weft.files import write_json
from weft.generate import collapse, say
from weft.hub.moves import to_ours, to_theirs
from weft.models import Blueprint
from weft.models.along import BatchNorm, RowNorm
from weft.nn import Encoder, LayerNorm, Layout
from weft.nn.convolution import GatedConvolution
from weft.nn.relative import RelativeXL
from weft.nn.vectors import CTCHead
from weft.objectives import OBJECTIVES
from weft.objectives.ctc import CTC, needed

LABELLING = ["conformer", "wav2vec2_conformer"]


def built(name: str, **changes: Any) -> Encoder:
    module = randomised(Blueprint.of(name, "debug", **changes).build())
    generator = torch.Generator().manual_seed(4)
    for buffer_name, buffer in module.named_buffers():
        if "running" in buffer_name:
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return module


def sounds_for(module: Encoder, *lengths: int) -> list[Tensor]:
    return [sound(length, module.embed.channels) for length in lengths]


def asked(rows: list[list[int]]) -> dict[str, Tensor]:
    width = max(map(len, rows), default=0)
    return {"labels": torch.tensor([row + [IGNORED] * (width - len(row)) for row in rows])}


# --- the block, as the paper's equations have it


def norm(x: Tensor, part: Any) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + part.eps).sqrt() * part.weight + part.bias


def swish(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def linear(x: Tensor, part: Any) -> Tensor:
    return x @ part.weight.T + (0 if part.bias is None else part.bias)


def looked(x: Tensor, part: Any) -> Tensor:
    """One row [T, D]: (q + u) k + (q + v) W r(t - s), r of sines, then cosines (Dai et al. 2019, §3.3)."""
    length, heads, width = len(x), part.heads, part.head_width
    q, k, v = (linear(x, p).view(length, heads, width) for p in (part.q, part.k, part.v))
    relative, wide = part.relative, heads * width
    out = torch.zeros(length, heads, width, dtype=x.dtype)
    for head, t in itertools.product(range(heads), range(length)):
        scores = []
        for s in range(length):
            turns = [(t - s) / 10000 ** (2 * i / wide) for i in range(wide // 2)]
            r = torch.tensor([*map(math.sin, turns), *map(math.cos, turns)], dtype=x.dtype)
            place = (relative.project.weight @ r).view(heads, width)[head]
            scores.append(
                (q[t, head] + relative.content[head]) @ k[s, head] + (q[t, head] + relative.place[head]) @ place
            )
        weights = (torch.stack(scores) * width**-0.5).softmax(dim=0)
        out[t, head] = weights @ v[:, head]
    return linear(out.flatten(1), part.out)


def mixed(x: Tensor, part: Any) -> Tensor:
    """One row [T, D]: pointwise, gate, depthwise, norm, swish, pointwise."""
    y = linear(x, part.up) / (1 + (-linear(x, part.gate)).exp())
    weight, reach = part.convolution.weight[:, 0], part.convolution.kernel // 2
    z = torch.zeros_like(y)
    for t, offset in itertools.product(range(len(x)), range(-reach, reach + 1)):
        if 0 <= t + offset < len(x):
            z[t] += y[t + offset] * weight[:, offset + reach]
    return linear(swish(norm(z, part.convolution.norm)), part.down)


def naive(x: Tensor, block: Any) -> Tensor:
    for name, gain, how in (("ff1", 0.5, None), ("attn", 1.0, looked), ("conv", 1.0, mixed), ("ff2", 0.5, None)):
        residual = getattr(block, name)
        read = norm(x, residual.pre)
        if how is None:
            y = linear(swish(linear(read, residual.branch.up)), residual.branch.down)
        else:
            y = how(read, residual.branch)
        x = x + gain * y
    return norm(x, block.norm)


@torch.no_grad()
def test_the_block_is_the_paper_s() -> None:
    module = built("conformer").double()
    x = module.embed.read(sound(29, 8).double()[None], Layout())[0]
    assert x.shape == (1, 8, 48)
    wanted = x[0]
    for block in module.stack.layers:
        wanted = naive(wanted, block)
    found, _ = module(sound(29, 8).double()[None])
    torch.testing.assert_close(found[0], wanted, atol=1e-6, rtol=1e-6)  # angles are of fp32
    torch.testing.assert_close(module.logits(found)[0], linear(wanted, module.heads["ctc"].out))
    first, second = module.embed.convolutions
    by_torch = sound(29, 8).double()[None, None]  # [1, 1, T, F]
    for part in (first, second):
        summed = functional.conv2d(by_torch, part.weight, part.bias, 2, 1)
        by_torch = functional.silu(functional.instance_norm(summed, weight=part.norm.weight, bias=part.norm.bias))
    by_torch = by_torch[0].permute(1, 2, 0).flatten(1)  # [T', F'·C]
    torch.testing.assert_close(x[0], linear(by_torch, module.embed.lift))


@torch.no_grad()
def test_distances_are_exact_in_long_rows() -> None:
    """Of the reference's sinusoids of a distance, though ours are made of two places."""
    part = randomised(RelativeXL(4, 12))
    places = torch.arange(0, 6000, 37)[None]
    here = Layout(order=places)
    q, k = (torch.randn(1, places.shape[1], 4, 12, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    exact = part.double().bias(q.double(), k.double(), here, here)
    found = part.float().bias(q, k, here, here)
    assert float((found - exact).abs().max() / exact.std()) < 2e-4


# --- rows of unequal length


@torch.no_grad()
@pytest.mark.parametrize("name", LABELLING)
@pytest.mark.parametrize("scheme", ["default", "rope", "none"])
def test_a_row_says_alone_what_it_says_beside_others(name: str, scheme: str) -> None:
    blueprint = Blueprint.of(name, "debug").change("position", scheme)
    module = randomised(blueprint.build())
    rows = sounds_for(module, 77, 60, 33, 91)
    full, here = batch(rows)
    hidden, _ = module(full, here)
    together, laid = module.logits(hidden), module.embed.lay(here, full.shape[1])
    for number, row in enumerate(rows):
        alone = module.logits(module(row[None])[0])[0]
        assert int(laid.segments[number].sum()) == len(alone)
        assert float((together[number, : len(alone)] - alone).abs().max() / alone.std()) < 2e-5
    assert say(module, rows) == [say(module, [row])[0] for row in rows]


def test_the_norms_along_rows_are_torch_s() -> None:
    x = torch.randn(3, 7, 10, generator=torch.Generator().manual_seed(1))
    ours, theirs = randomised(RowNorm(10)), nn.GroupNorm(10, 10)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, None), theirs(x.mT).mT)
    present = torch.arange(7) < torch.tensor([[7], [4], [1]])
    made = ours(x.masked_fill(~present[..., None], 5.0), present)
    torch.testing.assert_close(made[1, :4], theirs(x[1:2, :4].mT).mT[0])
    bands, wide = randomised(RowNorm(5, bands=2)), nn.GroupNorm(5, 5)  # two bands of five numbers at each place
    wide.load_state_dict(bands.state_dict())
    torch.testing.assert_close(
        bands(x, None), wide(x.unflatten(-1, (2, 5)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(2)
    )
    made = bands(x.masked_fill(~present[..., None], 5.0), present)
    torch.testing.assert_close(made[1, :4], bands(x[1:2, :4], None)[0])
    ours, theirs = randomised(BatchNorm(10)).train(), nn.BatchNorm1d(10)
    theirs.load_state_dict(ours.state_dict())
    for _ in range(2):
        torch.testing.assert_close(ours(x, None), theirs(x.mT).mT)
        made = ours(x.masked_fill(~present[..., None], 5.0), present)
        torch.testing.assert_close(made[present], theirs(x[present]))
        assert not made[~present].any()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)
    torch.testing.assert_close(ours.eval()(x, None), theirs.eval()(x.mT).mT)
    torch.testing.assert_close(ours(x, present), theirs(x.mT).mT)


def test_what_a_convolution_inside_cannot_be() -> None:
    with pytest.raises(ValueError, match="kernel = 4 places have none in the middle"):
        GatedConvolution(8, 4, norm=LayerNorm(8))
    with pytest.raises(ValueError, match="as many of each"):
        Blueprint.of("wav2vec2_conformer", "debug", stem_steps=[4]).empty()
    with pytest.raises(ValueError, match="blank = 11 is none of 11 labels"):
        Blueprint.of("conformer", "debug", blank=11).empty()
    with pytest.raises(ValueError, match="blank = -1, but it must be between 0"):
        Blueprint.of("conformer", "debug", blank=-1).empty()
    with pytest.raises(ValueError, match="rows of 13 places are too short for this model: give 14"):
        built("wav2vec2_conformer")(torch.ones(1, 13, 1))


@pytest.mark.parametrize(("joins", "places"), [([1], 21), ([2, 2], 6), ([1, 2, 2, 2], 3), ([3], 7)])
def test_a_stem_joins_as_many_frames_as_it_is_told(joins: list[int], places: int) -> None:
    module = built("conformer", joins=joins, mels=32).double()
    assert module.embed.extent(21) == places
    rows = [row.double() for row in sounds_for(module, 21, 13, 8)]
    full, here = batch(rows)
    together, laid = module(full, here)[0], module.embed.lay(here, 21)
    for number, row in enumerate(rows):  # its norm, too, is of the row alone
        alone = module(row[None])[0][0]
        assert int(laid.segments[number].sum()) == len(alone)
        torch.testing.assert_close(together[number, : len(alone)], alone, atol=1e-6, rtol=1e-6)
    assert not torch.equal(*(module(torch.randn(1, 1, 32).double())[0] for _ in range(2)))  # one frame is heard, too
    for wrong, said in (([], "joins = nothing"), ([2, 0], "joins = 2, 0, but"), ([4], "joins 1 to 3 frames")):
        with pytest.raises(ValueError, match=said):
            built("conformer", joins=wrong)
    with pytest.raises(ValueError, match="4 halvings leave one of mels = 8 bands"):
        built("conformer", joins=[2, 2, 2, 2])


def test_how_long_a_sound_may_be_is_how_many_places_it_makes() -> None:
    for name in LABELLING:
        blueprint = Blueprint.of(name, "debug").change("position", "learned")
        module, longest = blueprint.build(), blueprint.config.context
        assert isinstance(module, Encoder) and module.context == longest
        assert module.embed.extent(longest) == blueprint.config.places == module.embed.extent(longest + 1) - 1
        channels = module.embed.channels
        assert module(torch.zeros(1, longest, channels))[0].shape[1] == blueprint.config.places
        with pytest.raises(ValueError, match=f"but the trained positions end at {longest}"):
            module(torch.zeros(1, longest + 1, channels))


def test_sines_and_cosines_in_turn() -> None:
    rows = [("a", "b", "pairs")]
    stored = torch.arange(12.0).view(2, 6)
    ours = to_ours(rows, {"b.weight": stored})
    assert ours["a.weight"].tolist() == [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]
    assert torch.equal(to_theirs(rows, ours)["b.weight"], stored)


# --- labels


def ways(length: int, labels: list[int], count: int, blank: int) -> list[tuple[int, ...]]:
    """Every way to say labels in so many places."""
    every = itertools.product(range(count), repeat=length)
    return [way for way in every if collapse(torch.tensor([way]), [length], blank=blank) == [labels]]


@pytest.mark.parametrize("blank", [0, 2])
def test_the_loss_is_the_sum_over_all_ways(blank: int) -> None:
    module = built("conformer", labels=4, blank=blank)
    rows = sounds_for(module, 16, 20, 13)
    full, here = batch(rows)
    said = [[3, 1], [1, 1, 3], []]
    pairs = Batch(full, segments=here.segments, asked=asked(said))
    losses = CTC().losses(module, pairs)
    scores = module.logits(module(full, here)[0]).detach().double().log_softmax(dim=-1)
    wanted = 0.0
    for row, (labels, places) in enumerate(zip(said, (4, 5, 4), strict=True)):
        each = [sum(float(scores[row, place, label]) for place, label in enumerate(way)) for way in
                ways(places, labels, 4, blank)]  # fmt: skip
        wanted -= math.log(sum(map(math.exp, each)))
    assert float(losses["loss"].sum.detach()) == pytest.approx(wanted, rel=1e-5)
    assert losses["loss"].count == CTC().counts(pairs)["loss"] == 2 + 3 + 1
    assert losses["loss"].sum.dtype == torch.float32 and CTC().answers(pairs) is None
    assert CTC().constant(module, [pairs]) is None


@pytest.mark.parametrize("name", LABELLING)
def test_it_learns_and_parts_add_up(name: str) -> None:
    module = Blueprint.of(name, "debug").build()
    objective = OBJECTIVES.get("ctc")()
    objective.check(module)
    rows = sounds_for(module, 90, 65, 70)
    said = [[1, 2, 3], [4], [5, 5, 1]]
    full, here = batch(rows)
    assert here.segments is not None
    pairs = Batch(full, segments=here.segments, asked=asked(said), samples=(7, 8, 9))
    whole = objective.losses(module, pairs)["loss"]
    parts = [objective.losses(module, pairs.rows(n, n + 1))["loss"] for n in range(3)]
    assert sum(float(part.sum.detach()) for part in parts) == pytest.approx(float(whole.sum.detach()), rel=1e-5)
    assert sum(part.count for part in parts) == whole.count == 7
    module.train()
    losses = objective.losses(module, pairs)
    losses["loss"].sum.backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), key
    unfelt = [key for key, parameter in module.named_parameters() if not parameter.grad.any()]
    assert all(key.endswith("attn.branch.k.bias") for key in unfelt)


def test_a_small_model_learns_to_say_what_it_hears() -> None:
    """Three tones, each a label."""
    torch.manual_seed(0)
    module = Blueprint.of("conformer", "debug", labels=4, depth=1).build().train()
    said = [[1, 2, 3], [3, 1], [2, 2, 1], [3]]
    rows = [torch.cat([torch.eye(8)[label].repeat(10, 1) * 3 for label in labels]) for labels in said]
    full, here = batch(rows, filler=0.0)
    pairs = Batch(full, segments=here.segments, asked=asked(said))
    optimiser = torch.optim.AdamW(module.parameters(), lr=4e-3)
    for _ in range(80):
        loss = CTC().losses(module, pairs)["loss"]
        optimiser.zero_grad()
        (loss.sum / loss.count).backward()
        optimiser.step()
    assert say(module, rows) == said and module.training


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "asks 'labels'"),
        ({"labels": torch.tensor([1, 2])}, "asks 'labels'"),
        ({"labels": torch.tensor([[IGNORED, 1], [1, 2]])}, "a label stands behind -100"),
        ({"labels": torch.tensor([[1, 11], [1, 2]])}, "11 is none of this head's labels, which are 0 to 10"),
        ({"labels": torch.tensor([[1, -3], [1, 2]])}, "-3 is none of"),
        ({"labels": torch.tensor([[1, 2], [1, 0]])}, "0 is none of this head's labels, .* without its blank, 0"),
        ({"labels": torch.tensor([[1, 2, 3], [1, 1, IGNORED]])},
         "sample 5 has 2 labels, which need 3 places, and the model makes 2 of it"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be(labels: dict[str, Tensor], said: str) -> None:
    module = built("conformer")
    full, here = batch(sounds_for(module, 16, 8))
    with pytest.raises(ValueError, match=said):
        CTC().losses(module, Batch(full, segments=here.segments, asked=labels, samples=(4, 5)))


def test_a_row_that_is_just_long_enough() -> None:
    module = built("conformer")
    labels = asked([[1, 1, 2, 2]])["labels"]
    assert needed(labels, torch.tensor([4])).tolist() == [6]
    row = sounds_for(module, 24)[0][None]
    assert bool(CTC().losses(module, Batch(row, asked={"labels": labels}))["loss"].sum.isfinite())
    with pytest.raises(ValueError, match="row 0 has 4 labels, which need 6 places, and the model makes 5"):
        CTC().losses(module, Batch(row[:, :20], asked={"labels": labels}))


def test_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="ctc asks an encoder"):
        CTC().check(Blueprint.of("gpt2", "debug").empty())
    blueprint = Blueprint.of("bert", "debug")
    with pytest.raises(ValueError, match="ctc asks a head 'ctc', which bert does not have"):
        CTC().wrap(blueprint.build(), blueprint, 0, lambda name: nn.Identity())


def test_runs_and_blanks() -> None:
    best = torch.tensor([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0]])
    assert collapse(best, [8, 8, 8]) == [[1, 1, 2], [3], []]
    assert collapse(best, [4, 0, 1]) == [[1], [], []]
    assert collapse(best, [8, 8, 8], blank=3) == [[0, 1, 0, 1, 2, 0], [], [0]]
    for lengths in ([8, 8], [8, 8, 9], [8, 8, -1]):
        with pytest.raises(ValueError, match="3 rows of 8 places"):
            collapse(best, lengths)


def test_what_nobody_says_anything_of() -> None:
    module = built("conformer")
    for sounds, said in (
        ([], "no sound was given"),
        ([torch.ones(9, 7)], r"sound 0 is float32 \[9, 7\]"),
        ([torch.full((9, 8), torch.nan)], "some scores are no finite numbers"),
    ):
        with pytest.raises(ValueError, match=said):
            say(module, sounds)
    for other in (
        Blueprint.of("bert", "debug").build(),
        Blueprint.of("gpt2", "debug").build(),
        built("conformer", tasks=[]),
    ):
        with pytest.raises(ValueError, match="has no head 'ctc' that says labels"):
            say(other, [torch.ones(9, 8)])


# --- folders


def test_ours_is_saved_and_read_back(tmp_path: Path) -> None:
    blueprint = Blueprint.of("conformer", "debug", labels=5, blank=4)
    module = randomised(blueprint.build())
    weft.save(weft.Model(module, blueprint), tmp_path / "saved")
    again = weft.load(tmp_path / "saved")
    assert again.blueprint == blueprint
    head = again.module.get_submodule("heads.ctc")
    assert isinstance(head, CTCHead) and head.blank == 4
    x = sound(30, 8)[None]
    torch.testing.assert_close(again.module(x)[0], module(x)[0])


@pytest.mark.filterwarnings("ignore")
def test_older_names_dead_tensors_and_what_is_refused(tmp_path: Path) -> None:
    """The convolution that would tell places is never computed with: it is kept, under either of its names."""
    transformers = pytest.importorskip("transformers")
    from odd.wav2vec2_conformer import CASES
    from published_cases import reference
    from safetensors.torch import load_file, save_file

    case = CASES["wav2vec2_conformer"][0]
    theirs = reference(case)
    theirs.save_pretrained(tmp_path / "a")
    tensors = load_file(tmp_path / "a" / "model.safetensors")
    dead = {key for key in tensors if "pos_conv_embed" in key or "masked_spec_embed" in key}
    assert len(dead) == (4 if "wav2vec2_conformer.masked_spec_embed" in tensors else 3)
    old = {key.replace("parametrizations.weight.original0", "weight_g").replace(
        "parametrizations.weight.original1", "weight_v"): tensor for key, tensor in tensors.items()}  # fmt: skip
    save_file(old, tmp_path / "a" / "model.safetensors", metadata={"format": "pt"})
    model = weft.load(tmp_path / "a")
    assert not [name for name in model.module.state_dict() if "pos_conv" in name]
    weft.save(model, tmp_path / "b")
    again = load_file(tmp_path / "b" / "model.safetensors")
    assert again.keys() == tensors.keys() and all(torch.equal(tensor, again[key]) for key, tensor in tensors.items())
    for change, said in (
        (
            {"position_embeddings_type": "rotary"},
            "position_embeddings_type is 'rotary'; understood is 'relative', or null",
        ),
        ({"add_adapter": True}, "add_adapter is True; understood is False"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm"),
        ({"some_switch": 1}, "the field 'some_switch'"),
    ):
        config = transformers.Wav2Vec2ConformerConfig(**case.fields).to_dict() | change
        write_json(tmp_path / "a" / "config.json", config)
        with pytest.raises(weft.LoadError, match=said):
            weft.load(tmp_path / "a")
    config = theirs.config.to_dict() | {"architectures": ["Wav2Vec2ConformerForCTC"], "apply_spec_augment": True}
    write_json(tmp_path / "a" / "config.json", config)
    assert any("apply_spec_augment is True" in notice for notice in weft.load(tmp_path / "a").notices)


@torch.no_grad()
@pytest.mark.parametrize("name", LABELLING)
def test_a_kind_of_attention_is_made_for_the_places_behind_the_stem(name: str) -> None:
    blueprint = Blueprint.of(name, "debug").change("position", "none").change("attention", "low_rank")
    blueprint = blueprint.change("attention.rank", "5")
    module = randomised(blueprint.build())
    core = module.stack.layers[0].attn.branch.core
    assert core.length == blueprint.config.places
    rows = sounds_for(module, 60, 33, 51)
    assert say(module, rows) == [say(module, [row])[0] for row in rows]
