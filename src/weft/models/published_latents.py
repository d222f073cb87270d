"""How Perceivers stand in published folders: what all of them call alike."""

from __future__ import annotations

from weft.models.published import ACTIVATIONS, Key, Table

# fmt: off
KEYS = (
    Key("num_latents", "latents", 256), Key("d_latents", "latent_width", 1280), Key("num_blocks", "blocks", 1),
    Key("num_self_attends_per_block", "depth", 26), Key("num_self_attention_heads", "heads", 8),
    Key("num_cross_attention_heads", "cross_heads", 8), Key("qk_channels", "qk_width", None),
    Key("v_channels", "v_width", None), Key("self_attention_widening_factor", "widening", 1),
    Key("cross_attention_widening_factor", "cross_widening", 1), Key("hidden_act", "act", "gelu", words=ACTIVATIONS),
    Key("cross_attention_shape_for_attention", "qk_like", "kv", words={"kv": "inputs", "q": "latents"}),
    Key("use_query_residual", "skip", True), Key("attention_probs_dropout_prob", "attention_dropout", 0.1),
)
INERT = frozenset({  # of optical flow and of the autoencoder, and an eps that the reference never uses: it is 1e-5
    "layer_norm_eps", "train_size", "num_frames", "audio_samples_per_frame", "samples_per_patch", "output_shape",
    "output_num_channels", "_label_trainable_num_channels", "tie_word_embeddings",
})


def names(ask: str) -> Table:
    """Their names of what all have; ask: where what is asked stands."""
    return (
        ("latents.weight", "perceiver.embeddings.latents", ""),
        *_layer("look.layers.0", "cross", "perceiver.encoder.cross_attention", ""),
        *_layer("stack.layers.*", "attn", "perceiver.encoder.self_attends.*", ""),
        *_layer("ask.layers.0", "cross", f"{ask}.decoding_cross_attention", "optional"),
        ("queries.table.weight", f"{ask}.output_position_encodings.position_embeddings", "optional"),
    )


def _layer(ours: str, branch: str, theirs: str, how: str) -> Table:
    memory = ((f"{ours}.cross.branch.memory_norm", f"{theirs}.attention.self.layernorm2", how),)
    return (
        (f"{ours}.{branch}.pre", f"{theirs}.attention.self.layernorm1", how), *(memory if branch == "cross" else ()),
        (f"{ours}.{branch}.branch.{{q,k,v}}", f"{theirs}.attention.self.{{query,key,value}}", how),
        (f"{ours}.{branch}.branch.out", f"{theirs}.attention.output.dense", how),
        (f"{ours}.mlp.pre", f"{theirs}.layernorm", how),
        (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.mlp.{{dense1,dense2}}", how),
    )
