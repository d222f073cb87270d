"""The shapes whose speed is measured: each library's model, what it is given, and what a pass computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LENGTH, TARGET = 256, 64  # of an encoder–decoder: a source of LENGTH, a target of TARGET
NONE = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
Given = tuple[Tensor, ...]


@dataclass(frozen=True)
class Shape:
    """reference: the other library's model, without dropout, so that both compute the same. given: (its config, rows)
    -> what a pass reads, labels last. ours, theirs: scores of it. nats: our loss of it, where it is more than that of
    the scores. loss: of scores and labels."""

    reference: Callable[[], Any]
    given: Callable[[Any, int], Given]
    ours: Callable[[Any, Given], Tensor]
    theirs: Callable[[Any, Given], Tensor]
    nats: Callable[[Any, Given], Tensor] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = lambda scores, labels: functional.cross_entropy(
        scores.float().flatten(0, -2), labels.flatten()
    )

    def our_loss(self, module: Any, given: Given) -> Tensor:
        """As a training step takes it."""
        return self.loss(self.ours(module, given), given[-1]) if self.nats is None else self.nats(module, given)


def _transformers() -> Any:
    import transformers

    return transformers


def _text(name: str, config: Callable[[Any], Any], *, cached: bool) -> Shape:
    """One row of ids a text, a label each; cached: the reference is told to keep no cache."""
    more = {"use_cache": False} if cached else {}
    return Shape(
        lambda: getattr(_transformers(), name)(config(_transformers())),
        lambda config, rows: tuple(torch.randint(2, config.vocab_size, (rows, LENGTH)) for _ in range(2)),
        lambda module, given: module.logits(module(given[0])[0]),
        lambda module, given: module(given[0], **more).logits,
        lambda module, given: module.nats(module(given[0])[0], given[1]) / given[1].numel(),
    )


def _llama(t: Any) -> Any:
    sizes = dict(hidden_size=768, intermediate_size=2048, num_attention_heads=12, num_key_value_heads=4)
    return t.LlamaConfig(num_hidden_layers=6, **sizes)


def _mixtral(t: Any) -> Any:
    sizes = dict(hidden_size=768, intermediate_size=1024, num_attention_heads=12, num_key_value_heads=4)
    return t.MixtralConfig(num_hidden_layers=6, **sizes)  # 8 experts, 2 for each token


def _deberta(t: Any) -> Any:  # the third's shape, with a smaller table of tokens
    sizes = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, vocab_size=30522)
    more = dict(relative_attention=True, position_buckets=256, share_att_key=True, norm_rel_ebd="layer_norm")
    kinds = dict(pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0)
    return t.DebertaV2Config(num_hidden_layers=6, **sizes, **more, **kinds, **NONE)


def _t5() -> Any:
    t = _transformers()
    return t.T5ForConditionalGeneration(t.T5Config(dropout_rate=0.0, decoder_start_token_id=0))


T5 = Shape(
    _t5,
    lambda config, rows: tuple(torch.randint(2, config.vocab_size, (rows, n)) for n in (LENGTH, TARGET, TARGET)),
    lambda module, given: module.logits(module(*given[:2])[0]),
    lambda module, given: module(input_ids=given[0], decoder_input_ids=given[1], use_cache=False).logits,
    lambda module, given: module.nats(module(*given[:2])[0], given[2]) / given[2].numel(),
)


def patches(pixels: Tensor, side: int) -> Tensor:
    """[B, C, H, W] -> [B, T, C · side²]: what the reference's convolution does inside its pass is done in ours too."""
    rows, channels, height, width = pixels.shape
    cut = pixels.view(rows, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * side**2)  # [B, T, C · side²]


def _vit() -> Any:
    t = _transformers()
    return t.ViTForImageClassification(t.ViTConfig(num_hidden_layers=6, num_labels=1000, **NONE))


VIT = Shape(
    _vit,
    lambda config, rows: (torch.randn(rows, 3, 224, 224), torch.randint(1000, (rows,))),
    lambda module, given: module.logits(module(patches(given[0], 16))[0], "classes"),
    lambda module, given: module(given[0]).logits,
)


def _clip() -> Any:
    t, six = _transformers(), dict(num_hidden_layers=6)
    return t.CLIPModel(t.CLIPConfig(text_config=six, vision_config=six))


def _both_ways(scores: Tensor, labels: Tensor) -> Tensor:
    scores = scores.float()
    return (functional.cross_entropy(scores, labels) + functional.cross_entropy(scores.mT, labels)) / 2


def _captions(config: Any, rows: int) -> Given:
    """Texts of 77 ids, the end's (the largest) last; pictures; each is its own text's."""
    ids = torch.randint(2, config.text_config.vocab_size - 2, (rows, 77))
    ids[:, -1] = config.text_config.eos_token_id
    return ids, torch.randn(rows, 3, 224, 224), torch.arange(rows)


CLIP = Shape(
    _clip,
    _captions,
    lambda module, given: module.scores(*module(patches(given[1], 32), given[0])[0]),
    lambda module, given: module(input_ids=given[0], pixel_values=given[1]).logits_per_text,
    loss=_both_ways,
)


def _whisper() -> Any:
    t = _transformers()
    sizes = dict(d_model=512, encoder_ffn_dim=2048, decoder_ffn_dim=2048)
    depths = dict(encoder_layers=6, decoder_layers=6, encoder_attention_heads=8, decoder_attention_heads=8)
    return t.WhisperForConditionalGeneration(t.WhisperConfig(**sizes, **depths))


WHISPER = Shape(
    _whisper,
    lambda config, rows: (
        torch.randn(rows, 80, 3000),
        *(torch.randint(2, config.vocab_size, (rows, TARGET)) for _ in range(2)),
    ),
    lambda module, given: module.logits(module(given[0].mT.contiguous(), given[1])[0]),
    lambda module, given: module(input_features=given[0], decoder_input_ids=given[1], use_cache=False).logits,
    lambda module, given: module.nats(module(given[0].mT.contiguous(), given[1])[0], given[2]) / given[2].numel(),
)
_still = dict(n_layer=6, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
SHAPES: dict[str, Shape] = {
    "gpt2": _text("GPT2LMHeadModel", lambda t: t.GPT2Config(**_still), cached=True),
    "llama": _text("LlamaForCausalLM", _llama, cached=True),
    "bert": _text("BertForMaskedLM", lambda t: t.BertConfig(num_hidden_layers=6, **NONE), cached=False),
    "t5": T5,
    "modernbert": _text("ModernBertForMaskedLM", lambda t: t.ModernBertConfig(num_hidden_layers=6), cached=False),
    "deberta": _text("DebertaV2ForMaskedLM", _deberta, cached=False),
    "mixtral": _text("MixtralForCausalLM", _mixtral, cached=True),
    "vit": VIT,
    "clip": CLIP,
    "whisper": WHISPER,
}
