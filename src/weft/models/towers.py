"""What CLIP and SigLIP have in common: pre-LN encoders of texts and of images, how they stand in published folders, and
how two of them become one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from weft.models.blueprint import Blueprint
from weft.models.patches import Picture
from weft.models.pooling import Mean
from weft.models.published import ACTIVATIONS, Inner, Key, Published, Seam, Table
from weft.models.signals import Beside
from weft.nn import MLP, Attention, Block, Embed, Encoder, Field, Full, LayerNorm, Mask, Residual, Scheme, Stack
from weft.nn.encoder import Pooler
from weft.nn.scheme import LearnedScheme
from weft.nn.towers import Towers
from weft.nn.vectors import First, Vectors


@dataclass(frozen=True)
class Tower:
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    act: str = "quick_gelu"
    eps: float = 1e-5
    attention_dropout: float = 0.0  # of the attention weights, the only thing that is dropped


@dataclass(frozen=True)
class TextTower(Tower):
    vocab: int = 49408
    context: int = 77


@dataclass(frozen=True)
class ImageTower(Picture, Tower):
    """Both sides of an image are equal."""


@dataclass(frozen=True)
class Pair(Beside):
    """Of two towers."""

    # what is read of a text's states where its tower makes no vector of a row: the mean of all, or the first
    pooling: Literal["mean", "first"] = "mean"


# fmt: off
def stack(c: Tower, scheme: Scheme, mask: Mask, attention: type[Attention], norm: nn.Module | None) -> Stack:
    """Pre-LN layers; norm: after the last."""
    both, head_width = not mask.causal(), c.width // c.heads
    layer_norm, attn = partial(LayerNorm, c.width, eps=c.eps), partial(attention, c.width, c.heads)
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=both)
    layers = [
        Block(attn=Residual(attn(relative=relative(), dropout=c.attention_dropout), pre=layer_norm()),
              mlp=Residual(MLP(c.width, c.hidden, act=c.act), pre=layer_norm()))
        for _ in range(c.depth)
    ]
    field = Field(scheme.field(c.heads, head_width, bidirectional=both), mask)
    return Stack(layers, fields={"self": field}, norm=norm)


def text(
    c: TextTower, mask: Mask, pooler: nn.Module, position: Scheme | None, attention: type[Attention]
) -> Encoder:
    """Of ids, with a norm after the last layer."""
    scheme = position or LearnedScheme()
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context))
    return Encoder(embed, stack(c, scheme, mask, attention, LayerNorm(c.width, eps=c.eps)), pooler=pooler)


def image(
    c: ImageTower, pooler: nn.Module | None, position: Scheme | None, attention: type[Attention], *,
    first: int = 0, bias: bool = True, before: nn.Module | None = None, after: nn.Module | None = None,
) -> Encoder:
    """Of patches, seen both ways. first: trained vectors before them; bias: of what lifts a patch; before, after: norms
    of the first layer's input and after the last."""
    if c.image % c.patch:
        raise ValueError(f"image = {c.image} pixels are no whole number of patches of {c.patch}: choose another patch")
    scheme = position or LearnedScheme()
    stem = Vectors(c.channels * c.patch**2, c.width, first=first, bias=bias, norm=before,
                   position=scheme.stem(c.width, c.context + first))
    return Encoder(stem, stack(c, scheme, Full(), attention, after), pooler=pooler)


def tower(what: str, blueprint: Blueprint, pooling: str) -> Encoder:
    """An encoder that makes a vector of a row: by a pooler of its own, but for BERT's, which learned to tell whether a
    sentence follows another and says little of what either means (Reimers & Gurevych 2019, table 1): in its place, and
    where there is none, by pooling the states. ValueError for what is no encoder, and for a pooling beside its own."""
    encoder = blueprint.bare()
    if not isinstance(encoder, Encoder):
        raise ValueError(f"the {what} tower is a {type(encoder).__name__}, but both are encoders: choose another")
    if encoder.pooler is not None and not isinstance(encoder.pooler, Pooler):
        if pooling != "mean":
            raise ValueError(f"pooling = {pooling}, but the {what} tower has its own: leave it at mean")
    elif type(encoder) is Encoder:  # the states of other kinds are no places of a row
        encoder.pooler = Mean() if pooling == "mean" else First()
    return encoder


def pair(
    c: Pair, position: Scheme | None, *, scale: float, bias: float | None = None,
    lift: Callable[[int], nn.Module | None],
) -> Towers:
    """lift: of a tower's width, what brings its vectors to the common one; None: they are in it. ValueError for a tower
    that is no encoder, for two widths that nothing brings together, and for a position scheme, which is a tower's."""
    if position is not None:
        raise ValueError("two towers have no position scheme in common: name one's, text.position or image.position")
    text, image = tower("text", c.text, c.pooling), tower("image", c.image, "mean")
    widths = text.pooled(c.text.states), image.pooled(c.image.states)
    lifts = [lift(width) for width in widths]
    if lifts == [None, None] and widths[0] != widths[1]:
        raise ValueError(
            f"a text is {widths[0]} numbers, a picture {widths[1]}, and nothing brings both to one width: say which "
            f"(model.width={min(widths)})"
        )
    return Towers(text, image, text_lift=lifts[0], image_lift=lifts[1], scale=scale, bias=bias)


def start(module: nn.Module, c: Beside) -> None:
    """Each tower as its own family, what brings both to one width N(0, 1/inputs)."""
    assert isinstance(module, Towers)
    c.text.draw(module.text)
    c.image.draw(module.image)
    for lift in (module.text_lift, module.image_lift):
        for weight in lift.parameters():
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)


def keys(c: Tower, *more: Key) -> tuple[Key, ...]:
    """Fields that both kinds of tower have; a missing one means what it is in c."""
    act = next(word for word, act in ACTIVATIONS.items() if act == c.act)
    return (
        Key("hidden_size", "width", c.width), Key("num_hidden_layers", "depth", c.depth),
        Key("num_attention_heads", "heads", c.heads), Key("intermediate_size", "hidden", c.hidden),
        Key("hidden_act", "act", act, words=ACTIVATIONS), Key("layer_norm_eps", "eps", c.eps),
        Key("attention_dropout", "attention_dropout", 0.0), *more,
    )


def text_keys(c: TextTower, *more: Key) -> tuple[Key, ...]:
    return keys(c, Key("vocab_size", "vocab", c.vocab), Key("max_position_embeddings", "context", c.context), *more)


def image_keys(c: ImageTower, *more: Key) -> tuple[Key, ...]:
    sides = Key("image_size", "image", c.image), Key("patch_size", "patch", c.patch)
    return keys(c, *sides, Key("num_channels", "channels", c.channels), *more)


def body(name: str) -> Table:
    """Names of the layers and of the table of places."""
    ours, theirs = "stack.layers.*", f"{name}.encoder.layers.*"
    return (
        ("embed.position.weight", f"{name}.embeddings.position_embedding.weight", ""),
        (f"{ours}.attn.branch.{{q,k,v,out}}", f"{theirs}.self_attn.{{q,k,v,out}}_proj", ""),
        (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.mlp.{{fc1,fc2}}", ""),
        (f"{ours}.{{attn,mlp}}.pre", f"{theirs}.{{layer_norm1,layer_norm2}}", ""),
    )


def text_table(*more: tuple[str, str, str]) -> Table:
    token = ("embed.weight", "text_model.embeddings.token_embedding.weight", "")
    return (token, *body("text_model"), ("stack.norm", "text_model.final_layer_norm", ""), *more)


def image_table(c: ImageTower, *more: tuple[str, str, str]) -> Table:
    patch = ("embed.lift", "vision_model.embeddings.patch_embedding", f"flat {c.channels}:{c.patch}:{c.patch}")
    return (patch, *body("vision_model"), *more)


def published(
    family: str, classes: str, name: str, keys: tuple[Key, ...], seam: Seam | None = None
) -> Published:
    """A tower, "text" or "vision", of a family of this model type, whose classes begin with a word."""
    prefix = f"{name}_model."
    unread = {"dropout", "tie_word_embeddings", "vocab_size"}  # of older files, and of an image's tower in LLaVA's
    return Published(f"{family}_{name}_model", {f"{classes}{name.capitalize()}Model": ()}, keys, seam=seam,
                     inert=frozenset(unread - {key.theirs for key in keys}), prefix=prefix,
                     ignored=(f"{prefix}embeddings.position_ids",))


def inner(name: str, *, over: bool = False) -> tuple[Inner, Inner]:
    """The two towers of a model whose families' model types begin with a name. over: text_config_dict and
    vision_config_dict count where they are there."""
    kinds = ("text", "text"), ("vision", "image")
    one, other = (
        Inner(f"{kind}_config", ours, f"{name}_{kind}_model", over=f"{kind}_config_dict" if over else "", fixed=True,
              module=f"{ours}.")
        for kind, ours in kinds
    )
    return one, other
