"""MAE."""

from typing import Any

from odd import Case
from odd.pictures import Hidden


def _mae(kind: str, **fields: Any) -> Case:
    return Case(kind, "ViTMAEConfig", fields, given=Hidden.of)


CASES = {
    "mae": (
        _mae("ViTMAEForPreTraining", image_size=20, patch_size=5, num_channels=3, hidden_size=28, num_hidden_layers=3,
             num_attention_heads=7, intermediate_size=44, qkv_bias=False, layer_norm_eps=1e-3, decoder_hidden_size=20,
             decoder_num_hidden_layers=2, decoder_num_attention_heads=5, decoder_intermediate_size=27),
        _mae("ViTMAEForPreTraining", image_size=21, patch_size=3, num_channels=1, hidden_size=36, num_hidden_layers=2,
             num_attention_heads=3, intermediate_size=50, hidden_act="relu", mask_ratio=0.4, norm_pix_loss=True,
             decoder_hidden_size=12, decoder_num_hidden_layers=3, decoder_num_attention_heads=2,
             decoder_intermediate_size=31),
        _mae("ViTMAEModel", image_size=9, patch_size=3, num_channels=2, hidden_size=44, num_hidden_layers=4,
             num_attention_heads=1, intermediate_size=13, hidden_act="gelu_new", mask_ratio=0.3),
        _mae("ViTMAEModel", image_size=15, patch_size=3, num_channels=3, hidden_size=20, num_hidden_layers=2,
             num_attention_heads=2, intermediate_size=33, layer_norm_eps=1e-6, mask_ratio=0.0),
    ),
}  # fmt: skip
