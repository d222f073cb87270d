"""What a missing field of a published config means is what the reference takes it for."""

from collections.abc import Iterator
from typing import Any

import pytest

from weft.hub.fields import read_fields
from weft.hub.version import modern
from weft.models import FAMILIES
from weft.settings import to_data

CLASSES = {  # of model types whose config class is not told by its name
    "openai-gpt": "OpenAIGPTConfig", "gpt2": "GPT2Config", "gpt_neox": "GPTNeoXConfig", "gpt_oss": "GptOssConfig",
    "t5": "T5Config", "mt5": "MT5Config", "umt5": "UMT5Config", "mbart": "MBartConfig", "olmo2": "Olmo2Config",
    "clip": "CLIPConfig", "clip_text_model": "CLIPTextConfig", "clip_vision_model": "CLIPVisionConfig",
    "siglip_text_model": "SiglipTextConfig", "siglip_vision_model": "SiglipVisionConfig",
    "deberta-v2": "DebertaV2Config", "xlm-roberta": "XLMRobertaConfig", "distilbert": "DistilBertConfig",
    "modernbert": "ModernBertConfig", "gemma3_text": "Gemma3TextConfig", "phi3": "Phi3Config",
    "vit": "ViTConfig", "deit": "DeiTConfig", "vit_mae": "ViTMAEConfig", "imagegpt": "ImageGPTConfig",
    "wav2vec2-conformer": "Wav2Vec2ConformerConfig",
    "decision_transformer": "DecisionTransformerConfig",
}  # fmt: skip
PUBLISHED = [name for name in FAMILIES.names() if FAMILIES.get(name).published]


def differing(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Fields that are not what theirs are, those of models inside too; None follows from others."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for field in ours:
            yield from differing(ours[field], theirs[field], f"{path}.{field}")
    elif ours is not None and ours != theirs:
        yield path, ours, theirs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_fields_are_the_references_defaults(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    declared = FAMILIES.get(name).published
    assert declared is not None
    kind = declared.model_type
    config = getattr(transformers, CLASSES.get(kind, f"{kind.capitalize()}Config"))()
    bare, whole = (read_fields(modern(data)) for data in ({"model_type": kind}, config.to_dict()))
    ours, theirs = to_data(bare.blueprint.config), to_data(whole.blueprint.config)
    wrong = list(differing(ours, theirs))
    assert not wrong and bare.blueprint.position == whole.blueprint.position
    # None stands for what follows from others
    shapes = [{n: p.shape for n, p in read.blueprint.empty().named_parameters()} for read in (bare, whole)]
    assert shapes[0] == shapes[1]
