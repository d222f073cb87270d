"""BART and its kin as published folders say them: one form of config.json and of tensors' names, and its seams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Spare, Table, Tie
from weft.nn import Layout, Scheme, SinusoidHalves

# fmt: off
TIED, ONE = "tie_word_embeddings", "share_encoder_decoder_embeddings"
_SHARED, _HEAD = "model.shared.weight", "lm_head.weight"
_SOURCE, _TARGET = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
_SWITCHES = ("normalize_before", "add_final_layer_norm", "normalize_embedding", "static_position_embeddings")
KEYS = (
    Key("vocab_size", "vocab", 50265), Key("max_position_embeddings", "context", 1024),
    Key("d_model", "width", 1024, also=("hidden_size",)),
    Key("encoder_layers", "encoder_depth", 12, also=("num_hidden_layers",)),
    Key("decoder_layers", "decoder_depth", 12, follows="encoder_depth"),
    Key("encoder_attention_heads", "heads", 16, also=("num_attention_heads",)),
    Key("decoder_attention_heads", "decoder_heads", 16, follows="heads"),
    Key("encoder_ffn_dim", "hidden", 4096), Key("decoder_ffn_dim", "decoder_hidden", 4096, follows="hidden"),
    Key("activation_function", "act", "gelu", words=ACTIVATIONS), Key("scale_embedding", "scaled", False),
    Key("dropout", "dropout", 0.1), Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
    Key("activation_dropout", "hidden_dropout", 0.0),
)


def kin(name: str, switches: tuple[bool, ...], spares: tuple[Spare, ...],
        head: str = "ForConditionalGeneration") -> Published:
    """Of a family whose classes are `name` + `head` and `name` + Model. switches: what files of version 3 say of norms
    and places, which later code does not ask."""
    return Published(
        model_type=name.lower(), classes={f"{name}{head}": ("lm",), f"{name}Model": ("lm",)}, keys=KEYS,
        only={"is_encoder_decoder": (True,)} | {name: (on,) for name, on in zip(_SWITCHES, switches, strict=True)},
        inert=frozenset({  # of training, of generation, of other heads; a number of positions that nobody reads
            "add_bias_logits", "classif_dropout", "decoder_layerdrop", "encoder_layerdrop", "extra_pos_embeddings",
            "force_bos_token_to_be_generated", "init_std", "output_past", "save_step",
        }),
        seam=tables(TIED), prefix="model.", bare=frozenset({f"{name}Model"}),
        ties=(Tie(_SOURCE, _SHARED, "shared"), Tie(_TARGET, _SHARED, "shared"), Tie(_HEAD, (_TARGET, _SHARED), "tied")),
        spares=spares, found=(Found("final_logits_bias", "bias"),),
        ignored=("model.encoder.version", "model.decoder.version"),
    )


def names(norm_place: str, c: Any) -> Table:
    """The tensors of a config; norm_place: what ours calls a branch's norm, see `Residual`."""
    return (
        ("embed.weight", _SHARED if c.shared else _SOURCE, ""), ("target.weight", _TARGET, "optional"),
        ("head.weight", _HEAD, "optional"), ("head.bias", "final_logits_bias", "row, optional"), *sides(norm_place),
    )


def sides(norm_place: str) -> Table:
    """The tensors of the layers of both sides, of what tells their places, and of norms."""
    rows = list[tuple[str, str, str]]()
    for stem, side in (("embed", "encoder"), ("target", "decoder")):
        ours, theirs = f"{side}.layers.*", f"model.{side}.layers.*"
        for own, its in [("attn", "self_attn"), ("cross", "encoder_attn")][: 2 if side == "decoder" else 1]:
            rows += [
                (f"{ours}.{own}.branch.{{q,k,v,out}}", f"{theirs}.{its}.{{q_proj,k_proj,v_proj,out_proj}}", ""),
                (f"{ours}.{own}.{norm_place}", f"{theirs}.{its}_layer_norm", ""),
            ]
        rows += [
            (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{fc1,fc2}}", ""),
            (f"{ours}.mlp.{norm_place}", f"{theirs}.final_layer_norm", ""),
            (f"{stem}.position.weight", f"model.{side}.embed_positions.weight", "optional"),
            (f"{stem}.norm", f"model.{side}.layernorm_embedding", "optional"),
            (f"{side}.norm", f"model.{side}.layer_norm", "optional"),
        ]
    return rows


def tables(*fields: str) -> Seam:
    """The seam of `shared` and `tied`; fields: those of theirs that say which tables are one."""
    return Seam(fields, ("shared", "tied"), _read, partial(_write, fields))


def _read(theirs: Mapping[str, Any]) -> Read:
    """Untied, all have tables of their own, and the shared one, where it is there, is not read."""
    tied = theirs.get(TIED, True)
    return Read({"shared": tied and theirs.get(ONE, True), "tied": tied})


def _write(fields: tuple[str, ...], c: Any, position: Scheme | None) -> dict[str, Any] | None:
    """A head apart from a shared table is in the file. None for what they have no word for."""
    if position not in (None, c.scheme) or (c.tied and not c.shared and ONE not in fields):
        return None
    said = {TIED: c.tied or c.shared, ONE: c.shared}
    return {name: said[name] for name in fields}


def sinusoid(table: Tensor) -> bool:
    """Whether a file's table of places [T, D] holds what is computed, as half floats round it."""
    length, width = table.shape
    computed = SinusoidHalves(width).add(torch.zeros(1, length, width), Layout(torch.arange(length)[None]))
    return torch.allclose(computed[0], table.float(), atol=1e-2)


SPARE = Spare(_SHARED, unless="shared", like=_SOURCE)
PLACES = tuple(Spare(f"model.{side}.embed_positions.weight", holds=sinusoid) for side in ("encoder", "decoder"))
