"""Wav2Vec2-Conformer as published folders say it: fields of config.json and names of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Spare, Table
from weft.nn import Scheme


# fmt: off
def _read(theirs: Mapping[str, Any]) -> Read:
    """How places are told, and which label says nothing new."""
    word, blank = theirs.get("position_embeddings_type", "relative"), theirs.get("pad_token_id")
    if word not in ("relative", None):
        raise ValueError(f"position_embeddings_type is {word!r}; understood is 'relative', or null")
    return Read({"blank": 0 if blank is None else blank}, None if word else Scheme())


def _write(c: Any, position: Scheme | None) -> dict[str, Any] | None:
    if position not in (None, Scheme()):
        return None
    return {"position_embeddings_type": "relative" if position is None else None, "pad_token_id": c.blank}


def table(c: Any) -> Table:
    ours, theirs, start = "stack.layers.*", "wav2vec2_conformer.encoder.layers.*", "wav2vec2_conformer.feature"
    conv, attn = f"{ours}.conv.branch", f"{ours}.attn.branch"
    return (
        ("embed.convolutions.*", f"{start}_extractor.conv_layers.*.conv", ""),
        ("embed.convolutions.*.norm", f"{start}_extractor.conv_layers.*.layer_norm", "optional"),
        ("embed.lift.{0,1}", f"{start}_projection.{{layer_norm,projection}}", ""),
        *((f"{ours}.ff{n}.pre", f"{theirs}.ffn{n}_layer_norm", "") for n in (1, 2)),
        *((f"{ours}.ff{n}.branch.{{up,down}}", f"{theirs}.ffn{n}.{{intermediate_dense,output_dense}}", "")
          for n in (1, 2)),
        (f"{ours}.attn.pre", f"{theirs}.self_attn_layer_norm", ""),
        (f"{attn}.{{q,k,v,out}}", f"{theirs}.self_attn.{{linear_q,linear_k,linear_v,linear_out}}", ""),
        (f"{attn}.relative.project", f"{theirs}.self_attn.linear_pos", "pairs, optional"),
        (f"{attn}.relative.{{content,place}}", f"{theirs}.self_attn.{{pos_bias_u,pos_bias_v}}", "optional"),
        (f"{ours}.conv.pre", f"{theirs}.conv_module.layer_norm", ""),
        (f"{conv}.{{up,gate}}", f"{theirs}.conv_module.pointwise_conv1", f"join, flat {c.width}:1"),
        (f"{conv}.convolution", f"{theirs}.conv_module.depthwise_conv", ""),
        (f"{conv}.convolution.norm", f"{theirs}.conv_module.batch_norm", ""),
        *((f"{conv}.convolution.norm.{name}", f"{theirs}.conv_module.batch_norm.{name}", "")
          for name in ("running_mean", "running_var", "num_batches_tracked")),
        (f"{conv}.down", f"{theirs}.conv_module.pointwise_conv2", f"flat {c.width}:1"),
        (f"{ours}.norm", f"{theirs}.final_layer_norm", ""),
        ("stack.norm", "wav2vec2_conformer.encoder.layer_norm", ""),
        ("heads.ctc.out", "lm_head", "optional"),
    )


_SIZES = (("conv_dim", "stem_widths", (512,) * 7), ("conv_kernel", "stem_kernels", (10, 3, 3, 3, 3, 2, 2)),
          ("conv_stride", "stem_steps", (5, 2, 2, 2, 2, 2, 2)))
KEYS = (
    Key("vocab_size", "labels", 32), Key("max_source_positions", "places", 5000), Key("hidden_size", "width", 768),
    Key("num_hidden_layers", "depth", 12), Key("num_attention_heads", "heads", 12),
    Key("intermediate_size", "hidden", 3072), Key("conv_depthwise_kernel_size", "kernel", 31),
    Key("hidden_act", "act", "gelu", words=ACTIVATIONS), Key("layer_norm_eps", "eps", 1e-5),
    *(Key(theirs, ours, list(default)) for theirs, ours, default in _SIZES),
    Key("feat_extract_activation", "stem_act", "gelu", words=ACTIVATIONS), Key("conv_bias", "stem_bias", False),
    Key("feat_extract_norm", "stem_norm", "group"), Key("hidden_dropout", "dropout", 0.1),
    Key("attention_dropout", "attention_dropout", 0.1, follows="dropout"),
    Key("activation_dropout", "hidden_dropout", 0.1), Key("feat_proj_dropout", "stem_dropout", 0.0),
    Key("conformer_conv_dropout", "conv_dropout", 0.1), Key("final_dropout", "final_dropout", 0.1),
)
INERT = frozenset({  # of pretraining, of other heads, of masking in training; what is computed anew; rotary alone
    "adapter_kernel_size", "adapter_stride", "classifier_proj_size", "codevector_dim", "contrastive_logits_temperature",
    "ctc_loss_reduction", "ctc_zero_infinity", "diversity_loss_weight", "feat_quantizer_dropout",
    "mask_feature_length", "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks",
    "mask_time_prob", "num_adapter_layers", "num_codevector_groups", "num_codevectors_per_group",
    "num_conv_pos_embedding_groups", "num_conv_pos_embeddings", "num_feat_extract_layers", "num_negatives",
    "output_hidden_size", "proj_codevector_dim", "rotary_embedding_base", "tdnn_dilation", "tdnn_dim", "tdnn_kernel",
    "use_weighted_layer_sum", "xvector_output_dim",
})
_CONV = "wav2vec2_conformer.encoder.pos_conv_embed.conv"
PUBLISHED = Published(
    "wav2vec2-conformer", {"Wav2Vec2ConformerForCTC": ("ctc",), "Wav2Vec2ConformerModel": ()}, KEYS, heads="tasks",
    prefix="wav2vec2_conformer.", bare=frozenset({"Wav2Vec2ConformerModel"}), inert=INERT,
    only={"add_adapter": (False,)}, untaught=frozenset({"apply_spec_augment", "layerdrop"}),
    seam=Seam(("position_embeddings_type",), ("blank",), _read, _write),
    spares=tuple(map(Spare, (f"{_CONV}.bias", f"{_CONV}.parametrizations.weight.original0",
                             f"{_CONV}.parametrizations.weight.original1", "wav2vec2_conformer.masked_spec_embed"))),
    found=(Found("lm_head.weight", "tasks", "ctc"),),
    renamed=((".weight_g", ".parametrizations.weight.original0"), (".weight_v", ".parametrizations.weight.original1")),
)
