"""What stands around the ids of a text that a model reads."""

from __future__ import annotations

from torch import nn

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer, Template, template_of
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder


def frame(module: nn.Module, tokenizer: Tokenizer) -> Template:
    """What the tokenizer says; where it says nothing, as a run's does, what training puts around a text."""
    return template_of(tokenizer) or _trained(module, tokenizer)


def as_ours(blueprint: Blueprint, tokenizer: LibraryTokenizer) -> LibraryTokenizer:
    """The tokenizer, saying what training puts around a text, whatever it said before."""
    return tokenizer.framed(_trained(blueprint.empty(), tokenizer))


def _trained(module: nn.Module, tokenizer: Tokenizer) -> Template:
    """BEGIN text END for an encoder, and of a pair BEGIN a END b END, typed where it has types; text END for the source
    of a decoder, END text for a decoder by itself."""
    if isinstance(module, Encoder):
        template = Template.between(tokenizer.begin, tokenizer.end)
        return template.untyped() if module.embed.types is None else template
    end = tokenizer.end
    return Template.around(None, end) if isinstance(module, EncoderDecoder) else Template.around(end, None)
