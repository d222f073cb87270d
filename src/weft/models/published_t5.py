"""T5 and its kin as published folders say them: tensors' names, config.json, and the seam of what that says in an old
form and a new, feed-forward and head."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from weft.models.published import ACTIVATIONS, Key, Published, Read, Seam, Tie
from weft.nn import Scheme

# fmt: off
STACKS = "{encoder,decoder}"  # what they have both
_OURS, _THEIRS = "layers.*.attn.branch.relative.table_of", "block.*.layer.0.SelfAttention.relative_attention_bias"
ONE = ((f"{STACKS}.fields.self.position", f"{STACKS}.{_THEIRS.replace('*', '0')}", ""),)  # table of distances for all
EACH = tuple((f"{side}.{_OURS}", f"{side}.{_THEIRS}", "") for side in ("encoder", "decoder"))  # layer has its own
ROWS = (
    ("embed.weight", "shared.weight", ""),
    ("encoder.layers.*.{attn,mlp}.pre", "encoder.block.*.layer.{0,1}.layer_norm", ""),
    ("encoder.layers.*.attn.branch.{q,k,v,out}", "encoder.block.*.layer.0.SelfAttention.{q,k,v,o}", ""),
    ("encoder.layers.*.mlp.branch.{gate,up}", "encoder.block.*.layer.1.DenseReluDense.{wi_0,wi_1}", "optional"),
    ("encoder.layers.*.mlp.branch.up", "encoder.block.*.layer.1.DenseReluDense.wi", "optional"),
    ("encoder.layers.*.mlp.branch.down", "encoder.block.*.layer.1.DenseReluDense.wo", ""),
    ("decoder.layers.*.{attn,cross,mlp}.pre", "decoder.block.*.layer.{0,1,2}.layer_norm", ""),
    ("decoder.layers.*.attn.branch.{q,k,v,out}", "decoder.block.*.layer.0.SelfAttention.{q,k,v,o}", ""),
    ("decoder.layers.*.cross.branch.{q,k,v,out}", "decoder.block.*.layer.1.EncDecAttention.{q,k,v,o}", ""),
    ("decoder.layers.*.mlp.branch.{gate,up}", "decoder.block.*.layer.2.DenseReluDense.{wi_0,wi_1}", "optional"),
    ("decoder.layers.*.mlp.branch.up", "decoder.block.*.layer.2.DenseReluDense.wi", "optional"),
    ("decoder.layers.*.mlp.branch.down", "decoder.block.*.layer.2.DenseReluDense.wo", ""),
    (f"{STACKS}.norm", f"{STACKS}.final_layer_norm", ""), ("head.weight", "lm_head.weight", "optional"),
)


def published(kind: type[Any], name: str, *, headless: str = "") -> Published:
    """name: what its classes' names begin with; headless: see `gated`."""
    c = kind()
    return Published(
        model_type=name.lower(),  # the reference, too, ties the model without a head to one
        classes={f"{name}ForConditionalGeneration": ("lm",), f"{name}Model": ("lm",)},
        keys=(
            Key("vocab_size", "vocab", c.vocab), Key("n_positions", "context", 512),  # the reference reads it no more
            Key("d_model", "width", 512, also=("hidden_size",)), Key("d_ff", "hidden", c.hidden),
            Key("num_layers", "encoder_depth", c.encoder_depth, also=("num_hidden_layers",)),
            Key("num_decoder_layers", "decoder_depth", None),
            Key("num_heads", "heads", c.heads, also=("num_attention_heads",)),
            Key("d_kv", "head_width", 64, also=("head_dim",)),
            Key("layer_norm_epsilon", "eps", 1e-6), Key("relative_attention_num_buckets", "buckets", 32),
            Key("relative_attention_max_distance", "distance", 128), Key("dropout_rate", "dropout", 0.1),
        ),
        training=("attention_dropout",),  # the reference knows one rate
        only={"is_encoder_decoder": (True,)}, inert=frozenset({"output_past", "scalable_attention"}),
        seam=gated(c, f"{name}ForConditionalGeneration", headless),
        ties=(
            Tie("encoder.embed_tokens.weight", "shared.weight"), Tie("decoder.embed_tokens.weight", "shared.weight"),
            Tie("lm_head.weight", "shared.weight", "tied"),
        ),
        ignored=("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),  # none ever used it
    )
# fmt: on


_NAMES = ("feed_forward_proj", "dense_act_fn", "is_gated_act", "tie_word_embeddings")
_SCALE = "scale_decoder_outputs"


def gated(plain: Any, whole: str, headless: str = "") -> Seam:
    """The seam of a family with the fields `act`, `gated`, `scaled` and `tied`; `plain`: a config of its defaults.

    whole, headless: the reference's classes with a head and without, of a family whose files say whether the head
    scales; where `headless` is "" it does as the plain config says. Whether the head is tied is written alone: what is
    in the file says it, not the field.
    """
    names, fields = ((*_NAMES, _SCALE), ("scaled",)) if headless else (_NAMES, ())
    return Seam(
        names, ("act", "gated", "tied", *fields), partial(_read, plain, whole, headless), partial(_write, names)
    )


def _read(plain: Any, whole: str, headless: str, theirs: Mapping[str, Any]) -> Read:
    """The feed-forward, of which two fields overrule the third, and the head's scale: files of 1.1 from before the
    reference had a field for it say that the head is not tied."""
    usual = "gated-gelu" if plain.gated else "relu"
    words = str(theirs.get("feed_forward_proj", usual)).split("-")
    if words[:-1] not in ([], ["gated"]):
        raise ValueError(f"feed_forward_proj is {'-'.join(words)!r}, but it must be an activation, or gated-activation")
    act = str(theirs.get("dense_act_fn", "gelu_new" if words == ["gated", "gelu"] else words[-1]))
    if act not in ACTIVATIONS:
        raise ValueError(f"the feed-forward's activation is {act!r}; there are {', '.join(ACTIVATIONS)}")
    read = dict(act=ACTIVATIONS[act], gated=theirs.get("is_gated_act", words[0] == "gated"))
    if not headless:
        return Read(read)
    scaled = theirs.get(_SCALE, theirs.get("tie_word_embeddings", True))
    if not scaled and theirs.get("architectures") == [headless]:
        raise ValueError(
            f"{headless} keeps no head, and with scale_decoder_outputs false (1.1) the embedding is none: take the "
            f"folder of a {whole}"
        )
    return Read(read | {"scaled": scaled})


def _write(names: tuple[str, ...], c: Any, position: Scheme | None) -> dict[str, Any] | None:
    """In the reference's new form; its old one reads the same, if the head scales just where it is tied. None for a
    scheme that is not the family's own."""
    if position not in (None, c.scheme(c.buckets, c.distance)):
        return None
    act = next(word for word, ours in ACTIVATIONS.items() if ours == c.act)
    kind = {"gelu_new": "gelu", "gelu": "gelu_python"}.get(act, act)  # after "gated-", "gelu" is the tanh form
    values = (f"gated-{kind}" if c.gated else act, act, c.gated, c.tied, c.scaled)
    return dict(zip(names, values, strict=False))
