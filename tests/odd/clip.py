"""CLIP and its towers."""

from typing import Any

from odd import Case
from odd.texts_and_pictures import Pairs, Texts, Views

_TEXT: dict[str, Any] = dict(
    vocab_size=61, hidden_size=30, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5,
    max_position_embeddings=13, eos_token_id=60, bos_token_id=0, layer_norm_eps=1e-3,
)  # fmt: skip
_VISION: dict[str, Any] = dict(
    hidden_size=28, intermediate_size=50, num_hidden_layers=2, num_attention_heads=7, image_size=15, patch_size=5,
    num_channels=2,
)  # fmt: skip
_OLD = _TEXT | dict(eos_token_id=2, hidden_act="gelu", num_attention_heads=3, pad_token_id=60)


def _text(kind: str, **fields: Any) -> Case:
    return Case(kind, "CLIPTextConfig", fields, given=Texts.of)


def _vision(kind: str, **fields: Any) -> Case:
    return Case(kind, "CLIPVisionConfig", fields, given=Views.of)


def _pair(**fields: Any) -> Case:
    return Case("CLIPModel", "CLIPConfig", fields, given=Pairs.of)


CASES = {
    "clip": (
        _pair(text_config=_TEXT, vision_config=_VISION, projection_dim=22),
        _pair(text_config=_OLD, vision_config=_VISION | dict(hidden_act="gelu", num_channels=3), projection_dim=19,
              logit_scale_init_value=2.0),
        _pair(text_config=_TEXT | dict(projection_dim=22, num_hidden_layers=1, pad_token_id=60),
              vision_config=_VISION | dict(image_size=21, patch_size=7, layer_norm_eps=1e-2), projection_dim=33),
    ),
    "clip_text": (
        _text("CLIPTextModel", **_TEXT),
        _text("CLIPTextModel", **_OLD),
        _text("CLIPTextModelWithProjection", **_TEXT, projection_dim=17),
    ),
    "clip_vision": (
        _vision("CLIPVisionModel", **_VISION),
        _vision("CLIPVisionModelWithProjection", **_VISION, projection_dim=17, layer_norm_eps=1e-3, hidden_act="relu"),
    ),
}  # fmt: skip
