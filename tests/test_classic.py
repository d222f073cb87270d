"""What the classic decoders do that no other family does: GPT-3's bands, ALiBi as BLOOM and as Falcon have it, Falcon's
fields that overrule one another, NeoX's old names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from odd.falcon import CASES
from parts import CPU, randomised
from published_cases import reference
from torch import Tensor

import weft.hub
from weft.hub.fields import read_fields, write_fields
from weft.hub.verify import verify
from weft.hub.version import modern
from weft.models import Blueprint
from weft.models.falcon import RoundedAlibi
from weft.nn import Alibi, AlibiScheme, Layout
from weft.nn.context import Context


def seen(module: Any, layer: int, length: int) -> Tensor:
    """Which places of a layer's input have a gradient from each place of its output, bool [T, T]."""
    x, ctx = torch.randn(1, length, module.embed.width, requires_grad=True), Context(Layout())
    y, _ = module.stack.layers[layer](x, replace(ctx, sights=module.stack.sights(x, ctx, None)))
    rows = [torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)[0][0] for t in range(length)]
    return torch.stack([(row != 0).any(-1) for row in rows])


@pytest.mark.parametrize("length", [20, 150])  # in one block of the blocked kernel, and in several
def test_every_second_layer_of_gpt3_looks_through_a_window(length: int) -> None:
    module = randomised(Blueprint.of("gpt3", "debug", depth=5, window=7, context=150).build())
    place = torch.arange(length)
    back = place[:, None] - place
    for layer in range(5):
        wanted = (back >= 0) & (back < 7) if layer % 2 else back >= 0
        assert torch.equal(seen(module, layer, length), wanted), f"layer {layer}"


@torch.no_grad()
def test_gpt3_is_gpt2_where_the_window_covers_the_row() -> None:
    narrow, wide, plain = (
        randomised(Blueprint.of(name, "debug", depth=4, **more).build())
        for name, more in (("gpt3", {"window": 9}), ("gpt3", {"window": 20}), ("gpt2", {}))
    )
    tokens, scores = torch.randint(131, (2, 20)), []
    for module in (narrow, wide, plain):
        module.load_state_dict(plain.state_dict())
        scores.append(module.logits(module(tokens)[0]))
    torch.testing.assert_close(scores[1], scores[2], rtol=0, atol=1e-6)
    torch.testing.assert_close(scores[0][:, :9], scores[2][:, :9], rtol=0, atol=1e-6)
    assert float((scores[0] - scores[2])[:, 9:].abs().max()) > 1e-3


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 7, 11, 12, 24, 71, 112])
def test_alibi_is_blooms_but_for_what_is_the_same_for_all_keys(heads: int) -> None:
    """Theirs grows with the key's place, ours falls with its distance: a softmax cannot tell."""
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    here = Layout().numbered(50, CPU)
    bias = Alibi(heads).at(here, here, here, 50).bias
    assert bias is not None
    theirs = bloom.build_alibi_tensor(torch.ones(1, 50, dtype=torch.int64), heads, torch.float32)[None]  # [1, H, 1, S]
    apart = bias - theirs
    assert float((apart - apart[..., :1]).tril().abs().max()) < 1e-4  # of numbers up to 50, in fp32


@pytest.mark.parametrize("heads", [1, 3, 6, 8, 71])
def test_falcons_alibi_is_rounded_as_published(heads: int) -> None:
    falcon = pytest.importorskip("transformers.models.falcon.modeling_falcon")
    here = Layout().numbered(1500, CPU)
    bias = RoundedAlibi(heads, 6).at(here, here, here, 1500).bias
    theirs = falcon.build_alibi_tensor(torch.ones(1, 1500, dtype=torch.int64), heads, torch.float32)[None]
    assert bias is not None and torch.equal(bias[:, :, :1], theirs / 6**0.5)
    exact = torch.tensor(Alibi.slopes(heads))[:, None] * torch.arange(1500.0) / 6**0.5
    assert not torch.allclose(bias[0, :, 0], exact, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_falcon_with_alibi_is_verified_against_what_is_right(tmp_path: Path) -> None:
    """The reference's eager attention adds ALiBi twice."""
    pytest.importorskip("transformers")
    case = next(case for case in CASES["falcon"] if case.fields.get("alibi"))
    reference(case).save_pretrained(tmp_path)
    found = verify(tmp_path, against="transformers").against
    assert found is not None and found.worst.difference < 1e-5


def test_what_a_published_falcon_cannot_say_is_not_written_as_one() -> None:
    """Its ALiBi is the rounded one, and beside it there is no other scheme."""
    plan = Blueprint.of("falcon", "debug", alibi=True)
    assert write_fields(plan) is not None
    assert write_fields(replace(plan, position=AlibiScheme())) is None
    assert write_fields(plan.change("position", "rope")) is None


FALCON: dict[str, Any] = dict(model_type="falcon", num_attention_heads=6, hidden_size=48, architectures=None)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (dict(), dict(kv_heads=1, wiring="shared")),
        (dict(num_kv_heads=6), dict(kv_heads=1, wiring="shared")),  # not to be believed beside multi_query
        (dict(multi_query=False), dict(kv_heads=None, wiring="shared")),
        (dict(parallel_attn=False, multi_query=False), dict(kv_heads=None, wiring="sequential")),
        (dict(new_decoder_architecture=True, num_kv_heads=2), dict(kv_heads=2, wiring="parallel")),
        (dict(new_decoder_architecture=True, num_ln_in_parallel_attn=1), dict(kv_heads=None, wiring="shared")),
        (dict(alibi=True, rope_scaling=dict(type="linear", factor=2.0)), dict(alibi=True)),
    ],
)
def test_falcons_fields_overrule_one_another(fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    blueprint = read_fields(modern(FALCON | fields)).blueprint
    assert {name: getattr(blueprint.config, name) for name in wanted} == wanted
    assert blueprint.position is None
    written = write_fields(blueprint)
    assert written is not None and read_fields(modern(written)).blueprint == blueprint


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        (dict(num_ln_in_parallel_attn=2), "num_ln_in_parallel_attn"),
        (dict(new_decoder_architecture=True, num_ln_in_parallel_attn=3), "num_ln_in_parallel_attn"),
        (dict(new_decoder_architecture=True, parallel_attn=False), "parallel_attn"),
        (dict(multi_query=False, num_kv_heads=2), "num_kv_heads"),
        (dict(multi_query="no"), "multi_query"),
        (dict(alibi=1), "alibi"),
        (dict(apply_residual_connection_post_layernorm=True), "apply_residual"),
    ],
)
def test_falcons_fields_that_cannot_be_meant_are_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        read_fields(FALCON | fields)


NEOX: dict[str, Any] = dict(model_type="gpt_neox", num_attention_heads=3, hidden_size=48)


@pytest.mark.parametrize(
    ("fields", "theta", "part"),
    [
        (dict(), 1e4, 0.25),
        (dict(rotary_pct=0.5, rotary_emb_base=777), 777.0, 0.5),
        (dict(rotary_pct=0.5, partial_rotary_factor=0.5, rope_theta=777, rotary_emb_base=777), 777.0, 0.5),
        (dict(rope_parameters=dict(rope_type="default", rope_theta=5e5)), 5e5, 0.25),
        (dict(rope_parameters=dict(rope_type="default", partial_rotary_factor=1.0), rotary_pct=1.0), 1e4, 1.0),
    ],
)
def test_neox_says_its_rotary_positions_in_two_ways(fields: dict[str, Any], theta: float, part: float) -> None:
    config = read_fields(modern(NEOX | fields)).blueprint.config
    assert (config.theta, config.part) == (theta, part)


@pytest.mark.parametrize(
    "fields",
    [
        dict(rotary_pct=0.5, partial_rotary_factor=0.25),
        dict(rotary_emb_base=777, rope_theta=10000),
        dict(rotary_pct=0),
        dict(rotary_pct="half"),
        dict(rotary_emb_base=-1),
    ],
)
def test_neox_s_rotary_positions_are_never_guessed(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rotary|rope_theta"):
        read_fields(modern(NEOX | fields))


def test_a_part_of_a_head_that_is_odd_is_rounded_up_and_no_wider() -> None:
    """3 of 13 numbers make 4; 13 of 13 would make 14, and there is no ramp over a pair and a half."""
    assert Blueprint.of("neox", "debug", width=52, part=0.25).build().stack.fields["self"].position.width == 4
    for changes, word in ((dict(part=1.0), "13 must be even"), (dict(part=0.01), "0 must be even")):
        with pytest.raises(ValueError, match=word):
            Blueprint.of("neox", "debug", width=52, **changes).build()
    yarn = '{"name": "rope", "part": 0.25, "scaling": {"class": "Yarn", "factor": 2.0, "original": 16}}'
    with pytest.raises(ValueError, match="3 is odd"):
        Blueprint.of("neox", "debug", width=52).change("position", yarn).build()


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_neox_says_how_much_of_a_head_turns_also_where_it_is_all(part: float) -> None:
    """A missing factor means a quarter there."""
    plan = Blueprint.of("neox", "debug", part=part)
    said = write_fields(plan)
    assert said is not None and read_fields(modern(said)).blueprint == plan


def test_a_wiring_that_is_none_is_refused_by_its_name() -> None:
    for family in ("neox", "bloom", "falcon"):
        with pytest.raises(ValueError, match="wiring = 'sideways'.* sequential"):
            Blueprint.of(family, "debug", wiring="sideways").build()


@pytest.mark.parametrize("family", ["neox", "bloom", "falcon"])
@pytest.mark.parametrize("wiring", ["sequential", "parallel", "shared", "normed"])
@torch.no_grad()
def test_any_wiring_in_any_of_megatrons_heirs_is_saved(family: str, wiring: str, tmp_path: Path) -> None:
    """In the published form where that has a word for it, else in weft's own."""
    plan = Blueprint.of(family, "debug", wiring=wiring, kv_heads=2)
    module = randomised(plan.build())
    weft.save(weft.hub.Model(module, plan, None), tmp_path)
    again, tokens = weft.load(tmp_path), torch.randint(131, (2, 9))
    assert again.blueprint == plan
    assert torch.equal(again.module.logits(again.module(tokens)[0]), module.logits(module(tokens)[0]))
