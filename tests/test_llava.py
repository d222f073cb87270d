"""A decoder that is given images: where their states stand, with a cache and without, and what its parts may be."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from odd.llava import CASES, Prompts
from odd.pictures import patches
from published_cases import reference
from torch import Tensor

import weft
from weft.batch import Batch
from weft.generate import GREEDY, generate
from weft.hub.fields import read_fields, write_fields
from weft.hub.model import Model
from weft.hub.version import modern
from weft.models import Blueprint
from weft.models.seeing import Seeing
from weft.nn import Layout
from weft.nn.context import Context
from weft.objectives import OBJECTIVES

IMAGES = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
ROWS = [[5, *[130] * 9, 7, *[130] * 9], [3, 4, 6], [*[130] * 9, 8, 2]]
COUNTS = torch.tensor([2, 0, 1])


def built(**changes: Any) -> Seeing:
    module = Blueprint.of("llava", "debug", **changes).build(seed=1)
    assert isinstance(module, Seeing)
    return module


def source() -> tuple[Tensor, Layout]:
    """Two images in the first row, none in the second, one in the third."""
    one, two, three = patches(IMAGES, 4)
    none = torch.full_like(one, 1e4)  # padding, which nobody may look at
    rows = [torch.cat((one, two)), torch.cat((none, none)), torch.cat((three, none))]
    return torch.stack(rows), Layout.ragged(COUNTS * 9, 18)


def padded(side: str) -> tuple[Tensor, Layout]:
    """Padding spells the image token, and is none."""
    width = max(map(len, ROWS))
    rows = [[130] * (width - len(row)) + row if side == "left" else row + [130] * (width - len(row)) for row in ROWS]
    return torch.tensor(rows), Layout.ragged(torch.tensor([len(row) for row in ROWS]), width, side=side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_states_of_images_stand_where_its_tokens_do(side: str) -> None:
    """By the definition, row by row; the second row has no image."""
    module, (tokens, here), given = built(), padded(side), source()
    made = module.insert(tokens, *given, here)
    states, table = iter(module.look(patches(IMAGES, 4)).flatten(0, 1)), module.get_parameter("embed.weight")
    for row in range(3):
        for place in range(tokens.shape[1]):
            token = int(tokens[row, place])
            real = here.segments is not None and bool(here.segments[row, place])
            wanted = next(states) if token == 130 and real else table[token]
            torch.testing.assert_close(made[row, place], wanted)
    assert next(states, None) is None


def test_an_image_is_read_up_to_its_layer_without_the_class_token() -> None:
    rows = patches(IMAGES, 4)
    tower = built().tower
    wanted = [tower.embed.read(rows, Layout())[0]]
    for layer in range(1, 4):
        wanted.append(tower.stack(wanted[0], Context(Layout()), upto=layer)[0])
    for layer in range(-4, 4):
        for skip in (0, 1):
            module = built(layer=layer, skip=skip)
            made = module.project(wanted[layer][:, skip:])
            torch.testing.assert_close(module.look(rows), made)
    for layer in (-5, 4):
        with pytest.raises(ValueError, match=f"layer = {layer}, but clip_vision has 3: name one of -4 to 3"):
            built(layer=layer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("case", CASES["llava"], ids=str)
def test_greedy_tokens_are_the_references(case: Any, chunk: int | None, tmp_path: Path) -> None:
    """The reference's of each row alone, ours of all together, from a cache that has the images."""
    pytest.importorskip("transformers")
    theirs = reference(case)
    theirs.save_pretrained(tmp_path)
    given, module = Prompts.of(theirs.config), weft.load(tmp_path).module
    prompts = [row[:length].tolist() for row, length in zip(given.tokens, given.lengths, strict=True)]
    images, source_here = given.source
    made = generate(module, prompts, new=7, sampling=GREEDY, chunk=chunk, source=images, source_here=source_here)
    theirs.generation_config.eos_token_id = None
    pixels = iter(given.pixels.split(1))
    for prompt, own, many in zip(prompts, made, given.counts, strict=True):
        ids = torch.tensor([prompt])
        views = dict(pixel_values=torch.cat([next(pixels) for _ in range(many)])) if many else {}  # it takes no None
        whole = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=7, **views)
        assert tuple(whole[0, len(prompt) :].tolist()) == own.ids


@pytest.mark.parametrize("side", ["left", "right"])
def test_cached_in_chunks_is_whole(side: str) -> None:
    module, (tokens, here), given = built(), padded(side), source()
    whole, _ = module(tokens, here, source=given[0], source_here=given[1])
    cache, vectors = module.cache(3, 40), module.insert(tokens, *given, here)
    assert here.segments is not None
    parts = []
    for first in range(0, tokens.shape[1], 6):
        place = slice(first, first + 6)
        parts.append(module(vectors[:, place], Layout(segments=here.segments[:, place]), cache)[0])
    real = here.segments > 0
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], whole[real], rtol=1e-5, atol=1e-5)


def test_it_is_trained_to_write_behind_images() -> None:
    module, (tokens, here), (images, source_here) = built().train(), padded("right"), source()
    labels = torch.full_like(tokens, -100).where(tokens == 130, tokens.roll(-1, dims=1))
    batch = Batch(tokens, labels=labels, segments=here.segments, source=Batch(images, segments=source_here.segments))
    OBJECTIVES.get("next_token")().losses(module, batch)["loss"].sum.backward()
    unread = {"tower.stack.layers.2", "tower.pooler", "tower.stack.norm"}  # behind the layer whose states are read
    for name, parameter in module.named_parameters():
        if any(name.startswith(part) for part in unread):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
    assert float(module.tower.get_parameter("embed.lift.weight").grad.abs().sum()) > 0  # type: ignore[union-attr]
    again = built().state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in built().state_dict().items())


def test_what_does_not_fit_is_refused() -> None:
    module, (tokens, here), (images, source_here) = built(), padded("right"), source()
    with pytest.raises(ValueError, match=r"row 1 has 0 image tokens \(130\), and its images make 18 states: write 9"):
        module.insert(tokens, images, None, here)
    with pytest.raises(ValueError, match="row 0 has 18 image tokens .130., and its images make 9 states"):
        module.insert(tokens, images[:, :9], Layout(segments=source_here.segments[:, :9]), here)  # type: ignore[index]
    for wrong in (images[:, :10], images[:2], images[0]):
        with pytest.raises(ValueError, match=r"3 rows are given images of 9 patches each, not a source of \["):
            module.insert(tokens, wrong)
    plain = Blueprint.of("llama", "debug").build()
    with pytest.raises(ValueError, match="reads tokens alone"):
        generate(plain, [[1, 2]], new=2, source=images[:1])
    pair = Blueprint.of("t5", "debug").build()
    with pytest.raises(ValueError, match="reads its prompts as sources"):
        generate(pair, [[1, 2]], new=2, start=0, source=images[:1])
    with pytest.raises(ValueError, match="name one's, text.position or image.position"):
        Blueprint.of("llava", "debug").change("position", "alibi").build()
    with pytest.raises(ValueError, match="text is a Encoder and image a Decoder"):
        built(text=Blueprint.of("bert", "debug"), image=Blueprint.of("gpt2", "debug"))


@pytest.mark.parametrize(("text", "image"), [("gpt2", "vit"), ("gemma2", "siglip_vision"), ("mixtral", "clip_vision")])
def test_any_decoder_is_given_images_by_any_encoder(text: str, image: str, tmp_path: Path) -> None:
    parts = dict(text=Blueprint.of(text, "debug"), image=Blueprint.of(image, "debug"))
    blueprint = Blueprint.of("llava", "debug", skip=int(image != "siglip_vision"), **parts).change("text.dropout", "0")
    module, (tokens, here), (images, source_here) = blueprint.build(seed=4), padded("left"), source()
    hidden, _ = module(tokens, here, source=images, source_here=source_here)
    assert hidden.shape[:2] == tokens.shape and bool(hidden[:, -1].isfinite().all())
    made = generate(module, ROWS, new=3, sampling=GREEDY, source=images, source_here=source_here)
    assert len(made[0].ids) == 3
    weft.save(Model(module, blueprint), tmp_path)
    again = weft.load(tmp_path)
    assert again.blueprint == blueprint
    assert generate(again.module, ROWS, new=3, sampling=GREEDY, source=images, source_here=source_here) == made


LLAVA = {"model_type": "llava"}


def read(**fields: Any) -> Blueprint:
    return read_fields(modern(LLAVA | fields)).blueprint


def test_what_a_config_says_and_leaves_out() -> None:
    plain = read()
    assert (plain.config.image.config.width, plain.config.image.config.context) == (1024, 576)
    assert plain == Blueprint.of("llava", "7b").change("text.context", "2048").change("text.eps", "1e-6").change(
        "image.project", "768"
    )
    own = read(vision_config={"hidden_size": 48})  # what is there is no longer the default
    assert (own.config.image.config.width, own.config.image.config.patch) == (48, 32)
    for tied in ({"tie_word_embeddings": True}, {"text_config": {"tie_word_embeddings": True}}):
        blueprint = read(**tied)
        written = write_fields(blueprint)
        assert blueprint.config.text.config.tied and written is not None
        assert read_fields(modern(json.loads(json.dumps(written)))).blueprint == blueprint
    swapped = plain.change("text.position", "alibi")
    assert write_fields(swapped) is None and write_fields(plain.change("skip", "2")) is None
    for fields, message in (
        ({"vision_feature_layer": [-2, -5]}, "vision_feature_layer is a whole number"),
        ({"vision_feature_select_strategy": "some"}, "understood are default, full"),
        ({"text_config": {"model_type": "strange"}}, "text_config: model_type is 'strange'"),
        ({"text_config": {"rope_interleaved": True}}, "text_config: rope_interleaved is True"),
        ({"spatial_merge_size": 2}, "the field 'spatial_merge_size'"),
    ):
        with pytest.raises(ValueError, match=message):
            read(**fields)


def test_the_form_of_version_4() -> None:
    """As the first folders had it: what a text's config leaves out is LLaMA's, and an image's has a vocabulary."""
    text = dict(
        _name_or_path="a/b", architectures=["LlamaForCausalLM"], max_position_embeddings=4096, model_type="llama",
        rms_norm_eps=1e-5, torch_dtype="float16", vocab_size=32064,
    )  # fmt: skip
    vision = dict(
        hidden_size=1024, image_size=336, intermediate_size=4096, model_type="clip_vision_model", num_hidden_layers=24,
        num_attention_heads=16, patch_size=14, projection_dim=768, vocab_size=32000,
    )  # fmt: skip
    blueprint = read(
        architectures=["LlavaForConditionalGeneration"], ignore_index=-100, image_token_index=32000, pad_token_id=32001,
        projector_hidden_act="gelu", text_config=text, tie_word_embeddings=False, torch_dtype="float16",
        vision_config=vision, vision_feature_layer=-2, vision_feature_select_strategy="default", vocab_size=32064,
    )  # fmt: skip
    wanted = Blueprint.of("llava", "7b").change("text.vocab", "32064").change("image.project", "768")
    assert blueprint == wanted.change("text.context", "4096")


@pytest.mark.filterwarnings("ignore")
def test_version_4_named_the_tower_in_full(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    reference(CASES["llava"][0]).save_pretrained(tmp_path)
    now = weft.load(tmp_path).module.state_dict()
    tensors = load_file(tmp_path / "model.safetensors")
    older = {name.replace("vision_tower.", "vision_tower.vision_model."): tensor for name, tensor in tensors.items()}
    assert older.keys() != tensors.keys()
    save_file(older, tmp_path / "model.safetensors")
    then = weft.load(tmp_path).module.state_dict()
    assert then.keys() == now.keys() and all(torch.equal(now[name], then[name]) for name in now)
