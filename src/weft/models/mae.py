"""MAE (He et al. 2022): an encoder that reads the patches of an image that are not hidden, and a head that says what
all of them hold.

    hidden, _ = module(visible, Layout(order=places))          # patches [B, V, C] and where they stand, int64 [B, V]
    module.heads["patches"](hidden, order=places)              # [B, P, C], of every place

Which are hidden is the objective's choice: the module reads what it is given (the reference's encoder always hides
some, also where nothing is trained). `hidden_share` and `normalised` say how it was trained. Positions are fixed
sinusoids, which lie in the file; the reference's are all 0 where it makes a new model (5.23), ours the paper's.
"classes" is asked of the class token, where a trained encoder is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from weft.models.family import FAMILIES, Family
from weft.models.painting import FIRST, GridScheme, PatchHead
from weft.models.patches import DEBUG, KEYS, SMALL, Patched, blocks, encoder, table
from weft.models.published import Found, Key, Published
from weft.nn import Attention, Encoder, RowHead, Scheme, initialise
from weft.nn.vectors import First


@dataclass(frozen=True)
class MAE(Patched):
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    decoder_hidden: int = 2048
    hidden_share: float = 0.75  # of the patches, in training
    normalised: bool = False  # what is predicted of a patch is how it differs from its mean, in standard deviations
    tasks: tuple[str, ...] = ("patches",)

    @property
    def visible(self) -> int:
        """How many patches are seen in training."""
        return int(self.context * (1 - self.hidden_share))


def build(c: MAE, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme = position or GridScheme()
    if not (0 <= c.hidden_share < 1 and c.visible):
        raise ValueError(f"hidden_share = {c.hidden_share} of {c.context} patches leaves none to be seen: choose less")
    sizes = dict(width=c.decoder_width, depth=c.decoder_depth, heads=c.decoder_heads, hidden=c.decoder_hidden)
    heads = {
        "patches": partial(PatchHead, c.width, replace(c, **sizes), scheme, attention),
        "classes": partial(RowHead, c.width, c.classes),
    }
    return encoder(c, scheme, attention, heads, first=FIRST, pooler=First())


# fmt: off
HEAD = ("lift", "stack.norm", "out"), ("decoder_embed", "decoder_norm", "decoder_pred")
FAMILIES.register("mae", Family(
    name="mae", config=MAE, build=build, initialise=lambda module, c: initialise.xavier(module),
    objective="hidden_patches", reads="signals", modality="pictures", packs=False,
    sizes={
        "debug": DEBUG | dict(decoder_width=32, decoder_depth=1, decoder_heads=2, decoder_hidden=64),
        "small": SMALL | dict(decoder_width=96, decoder_depth=2, decoder_heads=3, decoder_hidden=288),
        "base": dict(),
    },
    weights=lambda c: (
        *table(c, "vit", ("cls_token",)),
        *blocks("heads.patches.stack.layers.*", "decoder.decoder_layers.*", "optional"),
        *((f"heads.patches.{ours}", f"decoder.{theirs}", "optional") for ours, theirs in zip(*HEAD, strict=True)),
        ("heads.patches.mask", "decoder.mask_token", "row, optional"),
        ("heads.patches.position.weight", "decoder.decoder_pos_embed", "row, optional"),
    ),
    published=Published(
        "vit_mae", {"ViTMAEForPreTraining": ("patches",), "ViTMAEModel": ()}, (
            *KEYS, Key("decoder_hidden_size", "decoder_width", 512),
            Key("decoder_num_hidden_layers", "decoder_depth", 8),
            Key("decoder_num_attention_heads", "decoder_heads", 16),
            Key("decoder_intermediate_size", "decoder_hidden", 2048), Key("mask_ratio", "hidden_share", 0.75),
            Key("norm_pix_loss", "normalised", False),
        ),
        heads="tasks", prefix="vit.", bare=frozenset({"ViTMAEModel"}), training=("branch_dropout",),
        renamed=(("decoder.decoder_encoder.layer.", "decoder.decoder_layers."),),  # version 5 writes it, both read this
        found=(Found("decoder.decoder_pred.weight", "tasks", "patches"),),
    ),
    summary="encoder of an image's visible patches, pre-LN, fixed positions, and a decoder that paints the hidden ones",
))
