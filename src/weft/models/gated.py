"""T5's feed-forward and head as published folders say them, in an old form and a new: a seam that its kin share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from weft.models.published import ACTIVATIONS, Read, Seam
from weft.nn import Scheme, T5Scheme

_NAMES = ("feed_forward_proj", "dense_act_fn", "is_gated_act", "scale_decoder_outputs", "tie_word_embeddings")


def gated(whole: str, headless: str) -> Seam:
    """The seam of a family with the fields `act`, `gated`, `scaled` and `tied`; `whole`, `headless`: the reference's
    classes with a head and without.

    Whether the head is tied is written alone: what is in the file says it, not the field.
    """
    return Seam(_NAMES, ("act", "gated", "scaled", "tied"), partial(_read, whole, headless), _write)


def _read(whole: str, headless: str, theirs: Mapping[str, Any]) -> Read:
    """The feed-forward, of which two fields overrule the third, and the head's scale: files of 1.1 from before the
    reference had a field for it say that the head is not tied."""
    words = str(theirs.get("feed_forward_proj", "relu")).split("-")
    if words[:-1] not in ([], ["gated"]):
        raise ValueError(f"feed_forward_proj is {'-'.join(words)!r}, but it must be an activation, or gated-activation")
    act = str(theirs.get("dense_act_fn", "gelu_new" if words == ["gated", "gelu"] else words[-1]))
    if act not in ACTIVATIONS:
        raise ValueError(f"the feed-forward's activation is {act!r}; there are {', '.join(ACTIVATIONS)}")
    scaled = theirs.get("scale_decoder_outputs", theirs.get("tie_word_embeddings", True))
    if not scaled and theirs.get("architectures") == [headless]:
        raise ValueError(
            f"{headless} keeps no head, and with scale_decoder_outputs false (1.1) the embedding is none: take the "
            f"folder of a {whole}"
        )
    return Read(dict(act=ACTIVATIONS[act], gated=theirs.get("is_gated_act", words[0] == "gated"), scaled=scaled))


def _write(c: Any, position: Scheme | None) -> dict[str, Any] | None:
    """In the reference's new form; its old one reads the same, if the head scales just where it is tied. None for a
    scheme that is not the family's own."""
    if position not in (None, T5Scheme(c.buckets, c.distance)):
        return None
    act = next(word for word, ours in ACTIVATIONS.items() if ours == c.act)
    kind = {"gelu_new": "gelu", "gelu": "gelu_python"}.get(act, act)  # after "gated-", "gelu" is the tanh form
    values = (f"gated-{kind}" if c.gated else act, act, c.gated, c.scaled, c.tied)
    return dict(zip(_NAMES, values, strict=True))
