"""Two towers: where a text is read, what its settings mean, and what a pair of encoders is, whatever they are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from odd.pictures import patches
from torch import Tensor

import weft
from weft.hub import LoadError
from weft.hub.fields import read_fields, write_fields
from weft.hub.model import Model
from weft.hub.version import modern
from weft.models import Blueprint, reading
from weft.nn import Encoder, Layout
from weft.nn.towers import Towers
from weft.settings import SettingError

PAIRS = ("clip", "siglip")
IMAGE = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[7, 5, 130, 1, 1], [9, 130, 130, 130, 130], [3, 4, 6, 8, 130]])


def built(family: str, **changes: Any) -> Towers:
    module = Blueprint.of(family, "debug", **changes).build(seed=1)
    assert isinstance(module, Towers)
    return module


def text_tower(family: str, **changes: Any) -> Encoder:
    module = Blueprint.of(family, "debug", **changes).build(seed=1)
    assert isinstance(module, Encoder)
    return module


@pytest.mark.parametrize("family", PAIRS)
def test_scores_are_scaled_cosines(family: str) -> None:
    module, rows = built(family), patches(IMAGE, 4)
    (texts, images), auxiliary = module(rows, TOKENS)
    assert auxiliary is None and texts.shape[0] == 3 and images.shape[0] == 2
    torch.testing.assert_close(texts, module.encode_texts(TOKENS))
    torch.testing.assert_close(images, module.encode_images(rows))
    cosines = [torch.cosine_similarity(text, image, dim=0) for text in texts for image in images]
    wanted = torch.stack(cosines).view(3, 2) * module.scale.exp() + (0.0 if module.bias is None else module.bias)
    torch.testing.assert_close(module.scores(texts, images), wanted)
    assert (module.context, module.source_context) == (16, 9)


@pytest.mark.parametrize("family", [*PAIRS, *(f"{name}_{side}" for name in PAIRS for side in ("text", "vision"))])
def test_each_is_a_function_of_its_seed_and_learns_everywhere(family: str) -> None:
    blueprint = Blueprint.of(family, "debug")
    one, other = (blueprint.build(seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(tensor, one[name]) for name, tensor in blueprint.build(seed=3).state_dict().items())
    assert any(not torch.equal(tensor, one[name]) for name, tensor in other.items())
    module, rows = blueprint.build(seed=3).train(), patches(IMAGE, 4)
    if isinstance(module, Towers):
        (texts, images), _ = module(rows, TOKENS)
        made = module.scores(texts, images)
    else:
        tokens = rows if family.endswith("vision") else TOKENS
        made = module.pool(module(tokens)[0], tokens)  # type: ignore[operator]
    (made * torch.randn_like(made)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
    assert Blueprint.from_data(json.loads(json.dumps(blueprint.to_data()))) == blueprint


def pooled(module: Encoder, tokens: Tensor, here: Layout | None = None) -> Tensor:
    return module.pool(module(tokens, here)[0], tokens, here)


def test_a_text_is_read_at_its_first_end_token_or_at_its_largest_id() -> None:
    first, largest = (text_tower("clip_text", end=end) for end in (130, None))
    for module in (first, largest):
        states = module(TOKENS)[0]
        torch.testing.assert_close(pooled(module, TOKENS), torch.stack([states[0, 2], states[1, 1], states[2, 4]]))
    other = TOKENS.where(TOKENS != 130, 2)
    assert text_tower("clip_text", end=2).pooler.place(other, Layout()).tolist() == [2, 1, 4]  # type: ignore[union-attr]
    assert largest.pooler.place(other, Layout()).tolist() == [0, 0, 3]  # type: ignore[union-attr,operator]
    with pytest.raises(ValueError, match=r"rows \[1\] hold no end token \(130\)"):
        pooled(first, torch.tensor([[1, 130], [1, 2]]))
    with pytest.raises(ValueError, match="by the row's ids"):
        first.pool(torch.zeros(1, 2, 48))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["clip_text", "siglip_text"])
def test_padding_is_never_read(family: str, side: str) -> None:
    """Also where it is the end token itself."""
    module, rows = text_tower(family), [[7, 5, 130], [9, 8, 6, 4, 130]]
    here = Layout.ragged(torch.tensor([3, 5]), 5, side=side)
    short = [130, 130, *rows[0]] if side == "left" else [*rows[0], 130, 130]
    together = pooled(module, torch.tensor([short, rows[1]]), here)
    alone = torch.cat([pooled(module, torch.tensor([row])) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


CLIP = {"model_type": "clip"}


def clip(**fields: Any) -> Any:
    return read_fields(modern(CLIP | fields)).blueprint.config


def test_text_config_dict_is_what_counts() -> None:
    inside = {"hidden_size": 30, "num_attention_heads": 5, "eos_token_id": 2}
    assert clip(text_config=inside).text.config.end is None and clip().text.config.end == 49407
    over = clip(text_config=inside, text_config_dict={"hidden_size": 40, "projection_dim": 7}, vision_config_dict=None)
    assert (over.text.config.width, over.text.config.heads, over.text.config.end) == (40, 8, 49407)
    assert clip(vision_config={"patch_size": 8}, vision_config_dict={"image_size": 64}).image.config.patch == 32
    whole = Blueprint("clip", over)
    assert read_fields(modern(write_fields(whole) or {})).blueprint == whole


def test_the_form_of_version_4() -> None:
    """Generation keys and dead switches in each inner config, and the ids that were never right."""
    dead = dict(
        _name_or_path="", add_cross_attention=False, architectures=None, bad_words_ids=None, dropout=0.0,
        eos_token_id=2, is_decoder=False, pruned_heads={}, tie_word_embeddings=True, top_p=1.0, torch_dtype=None,
    )  # fmt: skip
    text = dead | dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12)
    vision = dead | dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24,
                         patch_size=14)  # fmt: skip
    whole = dict(
        architectures=["CLIPModel"], projection_dim=768, text_config=text, text_config_dict=None, torch_dtype="float32",
        transformers_version=None, vision_config=vision, vision_config_dict=None, logit_scale_init_value=2.6592,
    )  # fmt: skip
    config = clip(**whole)
    assert (config.text.config.end, config.text.config.hidden, config.image.config.patch) == (None, 3072, 14)
    assert config.text.config.tasks == () and write_fields(Blueprint("clip", config)) is not None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_config": {"strange": 1}}, "text_config: the field 'strange'"),
        ({"text_config": {"eos_token_id": [1, 2]}}, "text_config: eos_token_id is"),
        ({"text_config_dict": {"hidden_act": "step"}}, "text_config: hidden_act is 'step'"),
        ({"vision_config": {"model_type": "vit"}}, "vision_config has the model_type 'vit'; understood is"),
        ({"vision_config": [1]}, "vision_config is .* must be an object"),
        ({"vision_config": {"image_size": [224, 224]}}, "vision_config: image_size is a whole number"),
        ({"vision_config": {"rope_theta": 5.0}}, "vision_config: the field"),
        ({"projection": 3}, "the field 'projection'"),
    ],
)
def test_what_is_not_understood_inside_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip(**fields)


def test_what_the_reference_cannot_say_is_kept_in_our_own_words(tmp_path: Path) -> None:
    """Another family's encoder as a tower, a swapped position, an end token that it would take for a rule."""
    plain = Blueprint.of("clip", "debug")
    assert write_fields(plain) is not None
    for path, text in (("text.position", "rope"), ("text.end", "2"), ("image.attention", "linear")):
        assert write_fields(plain.change(path, text)) is None
    mixed = replace(plain, config=replace(plain.config, text=Blueprint.of("bert", "debug", pooler=True, tasks=[])))
    assert write_fields(mixed) is None
    for blueprint in (plain.change("text.position", "rope"), mixed):
        weft.save(Model(blueprint.build(seed=5), blueprint), tmp_path)
        again = weft.load(tmp_path)
        assert again.blueprint == blueprint and isinstance(again.module, Towers)
        scores = [model.encode_texts(TOKENS) for model in (blueprint.build(seed=5), again.module)]  # type: ignore[operator]
        torch.testing.assert_close(scores[0], scores[1], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", PAIRS)
def test_the_reference_reads_a_model_of_our_own(family: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    blueprint, rows = Blueprint.of(family, "debug"), patches(IMAGE, 4)
    module = blueprint.build(seed=2)
    weft.save(Model(module, blueprint), tmp_path)
    theirs, told = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values()) and isinstance(module, Towers)
    (texts, images), _ = module(rows, TOKENS)
    wanted = theirs(input_ids=TOKENS, pixel_values=IMAGE).logits_per_text
    torch.testing.assert_close(module.scores(texts, images), wanted, rtol=1e-5, atol=1e-5)
    assert weft.load(tmp_path).blueprint == blueprint


@pytest.mark.filterwarnings("ignore")
def test_older_files_have_places_in_them_and_bare_ones_no_prefix(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    config = transformers.CLIPVisionConfig(
        hidden_size=28, num_attention_heads=7, num_hidden_layers=1, image_size=15, patch_size=5, intermediate_size=30
    )
    transformers.CLIPVisionModel(config).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    bare = weft.load(tmp_path).module.state_dict()
    older = {f"vision_model.{name}": tensor for name, tensor in tensors.items()}
    older["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(older, tmp_path / "model.safetensors")
    again = weft.load(tmp_path).module.state_dict()
    assert bare.keys() == again.keys() and all(torch.equal(bare[name], again[name]) for name in bare)
    older["vision_model.strange.weight"] = torch.zeros(1)
    save_file(older, tmp_path / "model.safetensors")
    with pytest.raises(LoadError, match="has vision_model.strange.weight, which the model does not"):
        weft.load(tmp_path)


def test_what_cannot_be_two_towers_is_refused() -> None:
    with pytest.raises(ValueError, match="name one's, text.position or image.position"):
        Blueprint.of("clip", "debug").change("position", "rope").build()
    for path, text, message in (
        ("text", Blueprint.of("llama", "debug"), "the text tower is a Decoder"),
        ("text", Blueprint.of("perceiver_text", "debug"), "the text tower makes no vector"),
        ("image", Blueprint.of("clip_vision", "debug", patch=5), "no whole number of patches of 5"),
        ("text", Blueprint.of("clip_text", "debug", tasks=["dance"]), "all that a tower can do"),
    ):
        with pytest.raises(ValueError, match=message):
            Blueprint.of("clip", "debug", **{path: text}).build()
    wide = Blueprint.of("siglip", "debug").change("image.width", "60")
    with pytest.raises(ValueError, match="a text is 48 numbers, a picture 60, and nothing brings both to one"):
        wide.change("width", "none").build()
    module = wide.change("width", "24").build()
    assert isinstance(module, Towers)
    (texts, images), _ = module(patches(IMAGE, 4), TOKENS)
    assert module.scores(texts, images).shape == (3, 2)
    with pytest.raises(ValueError, match="a text is 24 numbers and an image 20"):
        module.scores(texts, images[:, :20])
    with pytest.raises(SettingError, match="ClipText has no setting 'wide'"):
        Blueprint.of("clip", "debug").change("text.wide", "3")
    with pytest.raises(ValueError, match="reads vectors of 16 numbers"):
        built("clip").encode_images(TOKENS)
    assert not {"clip_text", "siglip_vision"} & {*reading("text"), *reading("signals")} and {*PAIRS} <= {
        *reading("both")
    }
