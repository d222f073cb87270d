"""SigLIP and its towers."""

from typing import Any

from odd import Case
from odd.texts_and_pictures import FULL_PAIRS, FULL_TEXTS, Views

_TEXT: dict[str, Any] = dict(
    vocab_size=61, hidden_size=30, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5,
    max_position_embeddings=13, layer_norm_eps=1e-3, projection_size=28,
)  # fmt: skip
_VISION: dict[str, Any] = dict(
    hidden_size=28, intermediate_size=50, num_hidden_layers=2, num_attention_heads=7, image_size=15, patch_size=5,
    num_channels=2,
)  # fmt: skip
_SAME: dict[str, Any] = dict(hidden_size=28, num_attention_heads=4, hidden_act="relu", projection_size=None)


def _text(**fields: Any) -> Case:
    return Case("SiglipTextModel", "SiglipTextConfig", fields, given=FULL_TEXTS)


def _vision(**fields: Any) -> Case:
    return Case("SiglipVisionModel", "SiglipVisionConfig", fields, given=Views.of)


def _pair(**fields: Any) -> Case:
    return Case("SiglipModel", "SiglipConfig", fields, given=FULL_PAIRS)


CASES = {
    "siglip": (
        _pair(text_config=_TEXT, vision_config=_VISION),
        _pair(text_config=_TEXT | _SAME, vision_config=_VISION | dict(image_size=14, patch_size=7, num_channels=3,
                                                                     hidden_act="gelu", layer_norm_eps=1e-2)),
    ),
    "siglip_text": (_text(**_TEXT), _text(**(_TEXT | _SAME))),
    "siglip_vision": (
        _vision(**_VISION),
        _vision(**_VISION, vision_use_head=False, layer_norm_eps=1e-3),
        _vision(**_VISION | dict(num_attention_heads=2, hidden_act="quick_gelu", num_channels=1)),
    ),
}  # fmt: skip
