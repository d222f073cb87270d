"""LLaVA (Liu et al. 2023; 2024, 1.5): a decoder that is given images, whose states stand where its image tokens do.

An image's patches are read by another family's encoder, up to the layer `layer`; a projection of two linear layers
makes each state as wide as the decoder's tokens. A prompt holds as many image tokens as an image has states (`Seeing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Inner, Key, Published
from weft.models.seeing import Projector, Seeing
from weft.models.signals import Beside
from weft.nn import Attention, Decoder, Encoder, Scheme, initialise


@dataclass(frozen=True)
class Llava(Beside):
    text: Blueprint = field(default_factory=lambda: Blueprint.of("llama"))
    image: Blueprint = field(default_factory=lambda: Blueprint.of("clip_vision", **LARGE))
    token: int = field(default=32000, metadata={"least": 0})  # the id whose places are an image's
    # whose states are read: 0, what the first layer is given; -1, those of the last, before any norm
    layer: int = field(default=-2, metadata={"least": -10_001})
    skip: int = field(default=1, metadata={"least": 0})  # so many of an image's first states are left out
    act: str = "gelu"
    bias: bool = True


def build(c: Llava, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Seeing:
    """ValueError for parts that are none, a layer that is not there, and a position scheme, which is a part's."""
    text, tower, depth = c.text.bare(), c.image.bare(), c.image.config.depth
    if position is not None:
        raise ValueError("the two parts have no position scheme in common: name one's, text.position or image.position")
    if type(text) is not Decoder or type(tower) is not Encoder:  # kinds of their own compute otherwise
        raise ValueError(
            f"text is a {type(text).__name__} and image a {type(tower).__name__}: they are a Decoder and an Encoder"
        )
    upto = c.layer if c.layer >= 0 else depth + 1 + c.layer
    if not 0 <= upto <= depth:
        raise ValueError(f"layer = {c.layer}, but {c.image.family} has {depth}: name one of {-depth - 1} to {depth}")
    project = Projector(c.image.config.width, c.text.config.width, act=c.act, bias=c.bias)
    return Seeing(text, tower, project, token=c.token, upto=upto, skip=c.skip)


def start(module: nn.Module, c: Llava) -> None:
    """Each part as its own family, what joins them N(0, 0.02²)."""
    assert isinstance(module, Seeing)
    c.text.draw(module)
    c.image.draw(module.tower)
    initialise.normal(module.project)


# fmt: off
LARGE: dict[str, Any] = dict(image=336, patch=14, width=1024, depth=24, heads=16, hidden=4096)
VISION = dict(image_size=336, patch_size=14, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16,
              intermediate_size=4096, projection_dim=768)
FAMILIES.register("llava", Family(
    name="llava", config=Llava, build=build, initialise=start,
    reads="both", modality="questions", packs=False, swaps=(),
    sizes={
        "debug": dict(
            text=dict(family="llama", parts=dict(position=None, attention=None), config=dict(
                vocab=131, context=64, width=48, depth=2, heads=4, kv_heads=2, hidden=96)),
            image=dict(family="clip_vision", parts=dict(position=None, attention=None), config=dict(
                image=12, patch=4, channels=1, width=40, depth=3, heads=4, hidden=80)),
            token=130),
        "small": dict(
            text=dict(family="llama", parts=dict(position=None, attention=None), config=dict(
                vocab=1001, context=64, width=128, depth=3, heads=4, kv_heads=4, hidden=256)),
            image=dict(family="cct", parts=dict(position=None, attention=None), config=dict(
                image=32, width=128, depth=3, heads=4, hidden=256, convolutions=3, inner=32, dropout=0.1, tasks=[])),
            token=1000, layer=-1, skip=0),
        "7b": {},
    },
    weights=(("project.{into,out}", "multi_modal_projector.{linear_1,linear_2}", ""),),
    published=Published(
        "llava", {"LlavaForConditionalGeneration": ("lm",)}, keys=(
            Key("image_token_index", "token", 32000, also=("image_token_id",)),
            Key("vision_feature_layer", "layer", -2), Key("multimodal_projector_bias", "bias", True),
            Key("vision_feature_select_strategy", "skip", "default", words={"default": 1, "full": 0}),
            Key("projector_hidden_act", "act", "gelu", words=ACTIVATIONS),
        ),
        inert=frozenset({"image_seq_length", "ignore_index", "vocab_size"}),  # of processors, and of older training
        inner=(Inner("text_config", "text", "llama", switches=("tie_word_embeddings",), prefix="language_model."),
               Inner("vision_config", "image", "clip_vision_model", missing=VISION, prefix="vision_tower.",
                     module="tower.")),
    ),
    summary="decoder that is given images: another family's encoder, a projection, and a decoder's tokens",
))
