"""What a hostile reader of the loading contract found: each of these failed when it was written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from weft.files import read_json, write_json
from weft.hub import LoadError, Model, load, save
from weft.hub.fields import read_fields
from weft.models import Blueprint
from weft.nn.rope import Yarn

TOKENS = torch.arange(9)[None]


def published(family: str, folder: Path, **changes: str) -> Path:
    blueprint = Blueprint.of(family, "debug")
    for name, text in changes.items():
        blueprint = blueprint.change(name, text)
    save(Model(blueprint.build(seed=0), blueprint, None), folder)
    return folder


def edit(folder: Path, **fields: Any) -> None:
    write_json(folder / "config.json", read_json(folder / "config.json") | fields)


def test_a_bare_class_whose_head_is_not_tied_encodes_or_says_that_it_has_no_head(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = published("llama", tmp_path / "model")
    expected = load(folder).encode(TOKENS)
    file = folder / "model.safetensors"
    tensors = {name.removeprefix("model."): tensor.clone() for name, tensor in load_file(file).items()}
    del tensors["lm_head.weight"]
    save_file(tensors, file)
    edit(folder, architectures=["LlamaModel"])
    try:
        model = load(folder)
    except LoadError as error:
        assert "LlamaModel" in str(error) and "lm_head" in str(error)  # as T5's says it
    else:
        assert torch.equal(model.encode(TOKENS), expected)


@pytest.mark.parametrize(
    "fields",
    [
        dict(rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                               original_max_position_embeddings=bad))
        for bad in (0, 0.5, False, 1e300)
    ]
    + [dict(rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=True, high_freq_factor=4.0))],
)  # fmt: skip
def test_sizes_of_rope_that_mean_nothing_are_refused_by_their_names(fields: dict[str, Any], tmp_path: Path):
    folder = published("llama", tmp_path / "model")
    data = read_json(folder / "config.json")
    del data["rope_parameters"]
    write_json(folder / "config.json", data | fields)
    with pytest.raises(LoadError, match=r"config.json.*(original_max_position_embeddings|low_freq_factor)"):
        load(folder).logits(TOKENS)


def test_rope_s_errors_name_the_file_s_fields(tmp_path: Path):
    folder = published("llama", tmp_path / "model")
    data = read_json(folder / "config.json")
    scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=4.0, high_freq_factor=1.0)
    write_json(folder / "config.json", data | {"rope_parameters": scaling | {"rope_theta": 1e4}})
    with pytest.raises(LoadError, match="low_freq_factor"):
        load(folder)


def test_a_number_that_is_none_is_refused_by_name(tmp_path: Path):
    folder = published("gpt2", tmp_path / "model")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"n_head": 4', '"n_head": NaN'))
    with pytest.raises(LoadError, match="n_head"):
        load(folder)


def test_a_number_that_json_has_no_word_for_is_saved_as_it_was_read(tmp_path: Path):
    folder = published("gpt2", tmp_path / "model")
    edit(folder, initializer_range={"__float__": "Infinity"})
    save(load(folder), tmp_path / "saved")
    assert read_json(tmp_path / "saved" / "config.json")["initializer_range"] == {"__float__": "Infinity"}


def test_a_matrix_stored_the_other_way_round_is_named_with_the_file_s_shape(tmp_path: Path):
    folder = published("gpt2", tmp_path / "model")
    edit(folder, n_inner=50)
    with pytest.raises(LoadError, match=r"c_fc.weight is \[48, 192\], config.json makes it \[48, 50\]"):
        load(folder)


@pytest.mark.parametrize("lengths", [torch.tensor([10, 3]), torch.tensor([3]), torch.tensor([-1, 2])])
def test_lengths_that_are_none_of_these_rows_are_refused(lengths: torch.Tensor, tmp_path: Path):
    model = load(published("llama", tmp_path / "model"))
    with pytest.raises(ValueError, match="lengths"):
        model.logits(torch.zeros(2, 9, dtype=torch.int64), lengths=lengths)


def test_which_head_answers_survives_saving(tmp_path: Path):
    blueprint = Blueprint.of("bert", "debug").change("pooler", "true")
    blueprint = blueprint.change("tasks", "next_sentence,masked")
    model = Model(blueprint.build(seed=0), blueprint, None)
    save(model, tmp_path / "model")
    assert load(tmp_path / "model").logits(TOKENS).shape == model.logits(TOKENS).shape


@pytest.mark.parametrize("fields", [dict(is_llama_config=True), dict(rope_interleaved=False)])
def test_fields_of_folders_many_people_have_are_understood(fields: dict[str, Any]):
    """SmolLM's; and of gpt2-medium, -large, -xl below."""
    read_fields({"model_type": "llama", **fields})


def test_fields_of_the_larger_gpt2_are_understood():
    read_fields({"model_type": "gpt2", "n_special": 0, "predict_special_tokens": True})


def test_rope_interleaved_is_refused():
    with pytest.raises(ValueError, match="rope_interleaved"):
        read_fields({"model_type": "llama", "rope_interleaved": True})


def test_yarn_keeps_every_frequency_where_the_ramp_ends_before_it_begins():
    """transformers 5.23: a ramp of negative length is 0 everywhere."""
    yarn = Yarn(2.0, 4, truncate=False)
    found = yarn.frequencies(100.0, 6, 20, torch.device("cpu"))
    assert torch.allclose(found, 100.0 ** (-torch.arange(0, 6, 2).float() / 6))


WORDS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("mixtral", dict(num_experts_per_tok=9), ("takes 9 of 4", "top is num_experts_per_tok")),
    ("deberta_v2", dict(position_buckets=1), ("buckets = 1", "buckets is position_buckets")),
    ("deberta_v2", dict(position_buckets="many"), ("position_buckets is a whole number or none, not 'many'",)),
    ("deberta_v2", dict(conv_kernel_size=2), ("kernel = 2", "kernel is conv_kernel_size")),
    ("llama", dict(head_dim=7), ("7 must be even", "head_width is head_dim", "width is hidden_size")),
    ("llama", dict(num_key_value_heads=3), ("3 key/value heads do not divide 4", "kv_heads is num_key_value_heads")),
    ("bart", dict(decoder_attention_heads=5), ("5 heads", "decoder_heads is decoder_attention_heads")),
    ("gemma2", dict(final_logit_softcapping=0.0), ("above 0", "head_softcap is final_logit_softcapping")),
    ("gemma3", dict(sliding_window=None), ("pattern is layer_types", "window is sliding_window")),
    ("qwen2", dict(use_sliding_window=False), ("pattern is layer_types", "use_sliding_window is true")),
    ("falcon", dict(num_ln_in_parallel_attn=2), ("num_ln_in_parallel_attn is 2, and can be at most 1 (new_decoder",)),
    ("falcon", dict(alibi="x"), ("alibi is 'x', but it must be true or false (new_decoder",)),
]


@pytest.mark.parametrize(("family", "fields", "words"), WORDS)
def test_what_does_not_fit_is_called_as_the_file_calls_it(
    family: str, fields: dict[str, Any], words: tuple[str, ...], tmp_path: Path
):
    folder = published(family, tmp_path / "model")
    edit(folder, **fields)
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert all(word in str(caught.value) for word in words), caught.value


def old_form(family: str, folder: Path, **fields: Any) -> Path:
    """A folder whose config.json says nothing of rotary positions but what `fields` do."""
    data = read_json(published(family, folder) / "config.json")
    kept = {name: value for name, value in data.items() if name not in ("rope_parameters", "layer_types")}
    write_json(folder / "config.json", kept | fields)
    return folder


LAYERS = {"full_attention": {"rope_theta": 7.0}, "sliding_attention": {"rope_theta": 9.0}}
CONTRADICTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("llama", dict(rope_theta=5.0, rope_parameters=dict(rope_theta=7.0)), "rope_theta is 5.0, and .* 7.0"),
    (
        "llama",
        dict(rope_theta=5.0, rope_scaling=dict(rope_type="linear", factor=2.0, rope_theta=7.0)),
        "5.0, and .*7.0",
    ),
    ("phi3", dict(partial_rotary_factor=0.5, rope_parameters=dict(partial_rotary_factor=0.25)), "0.5, and .* 0.25"),
    ("llama", dict(rope_theta=None), "rope_theta is null"),
    ("llama", dict(rope_parameters=dict(rope_theta=None)), "rope_parameters.rope_theta is null"),
    ("modernbert", dict(local_rope_theta=None), "local_rope_theta is null"),
    ("modernbert", dict(global_rope_theta=5.0, rope_parameters=LAYERS), "global_rope_theta is 5.0, and .* 7.0"),
    ("modernbert", dict(rope_theta=5.0), "field 'rope_theta'"),  # which the reference does not read
    ("modernbert", dict(rope_parameters=dict(rope_theta=5.0)), "holds rope_theta, but here it holds full_attention"),
    ("gemma3", dict(rope_parameters=dict(rope_theta=5.0)), "holds rope_theta, but here it holds full_attention"),
    ("gemma3", dict(rope_local_base_freq=5.0, rope_parameters=LAYERS), "rope_local_base_freq is 5.0, and .* 9.0"),
    ("gemma3", dict(rope_scaling=5), "rope_scaling is 5, but"),
    (
        "gemma3",
        dict(sliding_window_pattern=2, layer_types=["full_attention"] * 2),
        "sliding_window_pattern': 2.* differ",
    ),
    (
        "modernbert",
        dict(global_attn_every_n_layers=2, layer_types=["sliding_attention"] * 2),
        "every_n_layers': 2.* diff",
    ),
]


@pytest.mark.parametrize(("family", "fields", "words"), CONTRADICTIONS)
def test_fields_that_contradict_each_other_are_refused_with_both_values(
    family: str, fields: dict[str, Any], words: str, tmp_path: Path
):
    with pytest.raises(LoadError, match=f"config.json: .*{words}"):
        load(old_form(family, tmp_path / "model", **fields))


AGREEING: list[tuple[str, dict[str, Any]]] = [
    ("llama", dict(rope_theta=7.0, rope_parameters=dict(rope_theta=7.0))),
    ("gemma3", dict(rope_theta=7.0, rope_parameters=LAYERS)),
    ("gemma3", dict(rope_theta=5e3, rope_local_base_freq=77.0, rope_scaling=dict(rope_type="linear", factor=8.0))),
    ("gemma3", dict(rope_theta=5e3, sliding_window_pattern=2, layer_types=["sliding_attention", "full_attention"])),
    ("gemma3", dict()),
    ("modernbert", dict(global_rope_theta=5e3, local_rope_theta=7.0)),
    ("modernbert", dict(rope_scaling=dict(rope_type="linear", factor=8.0))),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("family", "fields"), AGREEING)
def test_old_fields_of_rotary_positions_mean_the_same_once_they_are_saved(
    family: str, fields: dict[str, Any], tmp_path: Path
):
    transformers = pytest.importorskip("transformers")
    model = load(old_form(family, tmp_path / "old", **fields))
    save(model, tmp_path / "new")
    assert load(tmp_path / "new").blueprint == model.blueprint
    old, new = (transformers.AutoConfig.from_pretrained(tmp_path / name) for name in ("old", "new"))
    assert old.rope_parameters == new.rope_parameters
    if family != "llama":
        assert old.layer_types == new.layer_types
        schemes = {"full_attention": model.config.rope, "sliding_attention": model.config.local_rope}
        for kind, scheme in schemes.items():
            theirs = old.rope_parameters[kind]
            assert theirs["rope_theta"] == scheme.theta
            assert theirs.get("factor") == (scheme.scaling.factor if scheme.scaling else None)


@pytest.mark.parametrize("bad", ["x", 1.0, True, [3, "x"], {"id": 3}])
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_an_end_that_is_no_id_is_refused_with_its_file(file: str, bad: Any, tmp_path: Path):
    folder = published("gpt2", tmp_path / "model")
    data = read_json(folder / file) if (folder / file).is_file() else {}
    write_json(folder / file, data | {"eos_token_id": bad})
    with pytest.raises(LoadError, match=rf"/{file}: eos_token_id is .*, but an id is a whole number") as caught:
        load(folder)
    assert repr(bad) in str(caught.value)


def test_weights_of_another_model_are_refused_with_the_family_whose_names_were_asked_for(tmp_path: Path):
    folder = published("olmo2", tmp_path / "model")
    edit(folder, model_type="llama", architectures=["LlamaForCausalLM"])
    with pytest.raises(LoadError, match=r"lacks .* makes it a model of family 'llama'"):
        load(folder)


def test_a_saved_config_keeps_the_order_of_the_one_it_came_from(tmp_path: Path):
    folder = published("llama", tmp_path / "model")
    data = read_json(folder / "config.json")
    turned = dict(reversed(data.items())) | {"torch_dtype": data.pop("dtype"), "bos_token_id": 3}
    del turned["dtype"]
    write_json(folder / "config.json", turned)
    save(load(folder), tmp_path / "saved")
    wanted = ["dtype" if name == "torch_dtype" else name for name in turned]
    assert list(read_json(tmp_path / "saved" / "config.json")) == wanted
    edit(folder, rope_theta=5.0, rope_parameters=None)
    save(load(folder), tmp_path / "again")
    assert list(read_json(tmp_path / "again" / "config.json"))[-1] == "rope_parameters"


def test_noise_of_the_router_in_training_is_said_and_kept(tmp_path: Path):
    folder = published("mixtral", tmp_path / "model")
    expected = load(folder).logits(TOKENS)
    edit(folder, router_jitter_noise=0.1)
    model = load(folder)
    assert any("router_jitter_noise is 0.1: it matters in training alone" in text for text in model.notices)
    assert torch.equal(model.logits(TOKENS), expected)
    save(model, tmp_path / "saved")
    assert read_json(tmp_path / "saved" / "config.json")["router_jitter_noise"] == 0.1
