"""What stands around the ids of a text that a model reads."""

from __future__ import annotations

from torch import nn

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer, Template, template_of
from weft.hub.sentences import Pooling
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder
from weft.nn.towers import Towers


def frame(module: nn.Module, tokenizer: Tokenizer) -> Template:
    """What the tokenizer says; where it says nothing, as a run's does, what training puts around a text."""
    return template_of(tokenizer) or _trained(module, tokenizer)


def as_ours(blueprint: Blueprint, tokenizer: LibraryTokenizer) -> LibraryTokenizer:
    """The tokenizer, saying what training puts around a text, whatever it said before."""
    return tokenizer.framed(_trained(blueprint.empty(), tokenizer))


def _trained(module: nn.Module, tokenizer: Tokenizer) -> Template:
    """BEGIN text END for an encoder, and of a pair BEGIN a END b END, typed where it has types; text END for the source
    of a decoder and for a tower beside another, END text for a decoder by itself."""
    if isinstance(module, Encoder):
        template = Template.between(tokenizer.begin, tokenizer.end)
        return template.untyped() if module.embed.types is None else template
    end = tokenizer.end
    return Template.around(None, end) if isinstance(module, EncoderDecoder | Towers) else Template.around(end, None)


def framed(
    module: nn.Module, tokenizer: Tokenizer, ids: list[int], pooling: Pooling, context: int
) -> tuple[list[int], list[int]]:
    """A sentence's ids and types with what stands around them, cut at the pooling's longest; the end id of an empty one
    that has nothing around it. ValueError where no room is left for one."""
    template = frame(module, tokenizer)
    around = len(template.one([])[0])
    longest = min(pooling.longest or context, context)
    if longest <= around:
        said = f"longest = {pooling.longest}, context = {context}"
        raise ValueError(f"{around} tokens stand around a text, and {longest} leave no room for one: {said}")
    return template.one(ids[: longest - around]) if ids or around else ([tokenizer.end], [0])
