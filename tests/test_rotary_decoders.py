"""What LLaMA's kin read of old and new files, and what only they do: LongRoPE, layers with a window of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import weft
from weft.hub.fields import read_fields, write_fields
from weft.hub.version import modern
from weft.models import Blueprint
from weft.nn import AlibiScheme, Layout, Rope, RopeScheme, Window
from weft.nn.rope import LongRope, Yarn

LONG = LongRope(8, (1.0, 1.5), (2.0, 9.0), factor=4.0)


def read(model_type: str, **fields: Any) -> Blueprint:
    return read_fields(modern({"model_type": model_type, **fields})).blueprint


# ------------------------------------------------------------------------------------------------- old forms and new


def test_no_window_is_not_the_default_window() -> None:
    """Mistral 0.2 and later say null, where a file that says nothing means 4096."""
    assert read("mistral").config.window == 4096
    plan = read("mistral", sliding_window=None)
    assert plan.config.window is None
    written = write_fields(plan)
    assert written is not None and written["sliding_window"] is None
    assert read_fields(modern(json.loads(json.dumps(written)))).blueprint == plan


def test_no_cap_is_not_the_default_cap() -> None:
    assert (read("gemma2").config.softcap, read("gemma2").config.head_softcap) == (50.0, 30.0)
    plan = read("gemma2", attn_logit_softcapping=None, final_logit_softcapping=None)
    assert (plan.config.softcap, plan.config.head_softcap) == (None, None)
    assert read_fields(write_fields(plan) or {}).blueprint == plan


def test_layers_with_a_window() -> None:
    depth = dict(num_hidden_layers=4)
    assert read("qwen2", sliding_window=9, max_window_layers=1, **depth).config.window is None  # it is not used
    upper = dict(use_sliding_window=True, sliding_window=9, max_window_layers=1)
    assert read("qwen2", **upper, **depth).config.pattern == ("self", "local", "local", "local")
    types = ["sliding_attention", "full_attention"] * 2
    assert read("qwen2", **upper, layer_types=types, **depth).config.pattern == ("local", "self")
    assert read("gemma3_text", num_hidden_layers=26).config.pattern == ("local",) * 5 + ("self",)
    assert read("gemma3_text", sliding_window_pattern=2, **depth).config.pattern == ("local", "self")
    assert read("gpt_oss", **depth).config.pattern == ("local", "self")
    with pytest.raises(ValueError, match="layer_types has 4 entries and num_hidden_layers is 5"):
        read("gemma2", layer_types=types, num_hidden_layers=5)
    with pytest.raises(ValueError, match="layer_types is"):
        read("gemma2", layer_types=["chunked_attention"], num_hidden_layers=1)
    with pytest.raises(ValueError, match="pattern names 'local'; there are self"):
        Blueprint.of("qwen2", "debug", window=None).build()


def test_gemma_3_turns_its_layers_in_two_ways() -> None:
    old = read(
        "gemma3_text", rope_theta=5e5, rope_local_base_freq=99.0, rope_scaling={"rope_type": "linear", "factor": 8.0}
    )
    full = {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5}
    local = {"rope_type": "default", "rope_theta": 99.0}
    new = read("gemma3_text", rope_parameters={"full_attention": full, "sliding_attention": local})
    assert old == new and old.config.local_rope == RopeScheme(99.0) and old.config.rope.theta == 5e5
    plain = read("gemma3_text")
    assert (plain.config.rope, plain.config.local_rope) == (RopeScheme(1e6), RopeScheme(1e4))
    written = write_fields(old)
    assert written is not None and written["rope_parameters"] == {"full_attention": full, "sliding_attention": local}


def test_phi_3_says_its_original_length_beside() -> None:
    factors = dict(short_factor=[1.0, 1.5], long_factor=[2.0, 9.0])
    said = dict(num_attention_heads=2, hidden_size=8, max_position_embeddings=64, original_max_position_embeddings=16)
    old = read("phi3", **said, rope_scaling={"type": "su", **factors}, rope_theta=777.0)
    inside = {"rope_type": "longrope", "rope_theta": 777.0, "original_max_position_embeddings": 32, **factors}
    assert old == read("phi3", **said, rope_parameters=inside)
    assert old.position == RopeScheme(777.0, scaling=LongRope(16, (1.0, 1.5), (2.0, 9.0), factor=4.0))
    assert read("phi3", partial_rotary_factor=0.75).config.part == 0.75
    with pytest.raises(ValueError, match="partial_rotary_factor is 0.5: this family turns whole heads"):
        read("llama", partial_rotary_factor=0.5)


def test_gpt_oss_is_yarn_where_nothing_is_said() -> None:
    plan = read("gpt_oss")
    assert plan.position is None and plan.config.theta == 150000.0
    written = write_fields(plan)
    assert written is not None and written["rope_parameters"]["rope_type"] == "yarn"
    assert not written["rope_parameters"]["truncate"]
    scaled = read("gpt_oss", rope_theta=9.0, rope_scaling=dict(rope_type="yarn", factor=32.0, truncate=False,
                  original_max_position_embeddings=4096))  # fmt: skip
    assert scaled.position is None and scaled.config.theta == 9.0
    other = read("gpt_oss", rope_theta=9.0, rope_scaling=dict(rope_type="yarn", factor=2.0))
    assert other.position == RopeScheme(9.0, scaling=Yarn(2.0, 131072))


def test_quantised_folders_are_refused_with_the_way_out(tmp_path: Path) -> None:
    config = {"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"]}
    quantised = {"quantization_config": {"quant_method": "mxfp4"}}
    (tmp_path / "config.json").write_text(json.dumps(config | quantised))
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=r"quantised \(mxfp4\).*dequantize=True"):
        weft.load(tmp_path)


# ------------------------------------------------------------------------------------------------------------ LongRoPE


def test_long_factors_are_for_every_place_of_a_long_row() -> None:
    device = torch.device("cpu")
    plain = RopeScheme(100.0).field(1, 4)
    assert isinstance(plain, Rope)
    base = plain.scaling.frequencies(100.0, 4, 8, device)
    assert torch.allclose(LONG.frequencies(100.0, 4, 8, device), base / torch.tensor([1.0, 1.5]))
    assert torch.allclose(LONG.frequencies(100.0, 4, 9, device), base / torch.tensor([2.0, 9.0]))
    assert LONG.attention() == pytest.approx((1 + 2 / 3) ** 0.5)  # ln 4 / ln 8
    with pytest.raises(ValueError, match="2 short and 2 long factors, and 3 pairs turn"):
        RopeScheme(scaling=LONG).field(1, 6)
    with pytest.raises(ValueError, match="original = 1"):
        LongRope(1, (1.0,), (1.0,))


@torch.no_grad()
def test_factors_are_fixed_when_a_cache_is_made() -> None:
    """A row that will grow long begins with the long factors, and so is the whole row when it is there."""
    module = Blueprint(
        "llama", Blueprint.of("llama", "debug", heads=12).config, RopeScheme(100.0, scaling=LONG)
    ).build()
    tokens = torch.randint(131, (1, 12), generator=torch.Generator().manual_seed(0))
    cache = module.cache(1, 12)
    steps = [module(tokens[:, place : place + 1], None, cache)[0] for place in range(12)]
    assert torch.allclose(torch.cat(steps, 1), module(tokens)[0], atol=1e-5)
    short = module.cache(1, 12, length=8)
    assert torch.allclose(module(tokens[:, :8], None, short)[0], module(tokens[:, :8])[0], atol=1e-5)


# ------------------------------------------------------------------------------------------------ two fields in a stack


def test_local_layers_look_through_a_field_of_their_own() -> None:
    module = Blueprint.of("gemma3", "debug", rope={"theta": 500.0}).build()
    fields = module.stack.fields
    assert fields["local"].mask == Window(7) and (fields["self"].position.theta, fields["local"].position.theta) == (
        500.0,
        1e4,
    )
    swapped = Blueprint("gemma3", Blueprint.of("gemma3", "debug").config, AlibiScheme()).build()
    assert {type(field.position).__name__ for field in swapped.stack.fields.values()} == {"Alibi"}
    alone = Blueprint.of("gemma2", "debug", pattern=["local"]).build()
    assert list(alone.stack.fields) == ["local"]


@torch.no_grad()
def test_embeddings_are_scaled_by_a_rounded_root() -> None:
    module = Blueprint.of("gemma2", "debug", width=3072 // 64, heads=4).build().bfloat16()
    tokens = torch.arange(5)[None]
    weight = module.embed.weight[tokens]
    assert torch.equal(module.embed(tokens, Layout()), weight * torch.tensor(48**0.5).bfloat16())
