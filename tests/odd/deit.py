"""DeiT."""

from typing import Any

from odd import Case
from odd.pictures import Pictures


def _deit(kind: str, **fields: Any) -> Case:
    return Case(kind, "DeiTConfig", fields, given=Pictures.of)


CASES = {
    "deit": (
        _deit("DeiTForImageClassificationWithTeacher", image_size=20, patch_size=5, num_channels=3, hidden_size=30,
              num_hidden_layers=3, num_attention_heads=5, intermediate_size=44, num_labels=7, qkv_bias=False,
              layer_norm_eps=1e-3),
        _deit("DeiTForImageClassificationWithTeacher", image_size=21, patch_size=3, num_channels=1, hidden_size=28,
              num_hidden_layers=2, num_attention_heads=2, intermediate_size=29, hidden_act="silu"),
        _deit("DeiTForImageClassification", image_size=21, patch_size=7, num_channels=1, hidden_size=28,
              num_hidden_layers=2, num_attention_heads=7, intermediate_size=50, num_labels=3, hidden_act="relu"),
        _deit("DeiTForImageClassification", image_size=12, patch_size=6, num_channels=3, hidden_size=27,
              num_hidden_layers=1, num_attention_heads=3, intermediate_size=31, num_labels=11),
        _deit("DeiTModel", image_size=9, patch_size=3, num_channels=2, hidden_size=21, num_hidden_layers=4,
              num_attention_heads=1, intermediate_size=13, hidden_act="gelu_new", qkv_bias=False),
        _deit("DeiTModel", image_size=15, patch_size=5, num_channels=3, hidden_size=22, num_hidden_layers=2,
              num_attention_heads=2, intermediate_size=37, layer_norm_eps=1e-5),
    ),
}  # fmt: skip
