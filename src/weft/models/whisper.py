"""Whisper (Radford et al. 2023): an encoder of a sound's log-mel frames, and a decoder that writes what was said.

The source is a sound as its processor makes it, vectors of `mels` numbers, a hundred a second; the stem's two
convolutions halve their number (§2.2). The reference reads sounds of exactly 2 · `frames` of them, thirty seconds, and
refuses others; here a shorter one is read as it is. Its table of sinusoids lies in the file; it is read, kept and not
trained, but any other scheme may stand in its place. `scale_embedding` is never applied, here as there; no layer is
ever left out in training, and no frames are masked there (SpecAugment).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from weft.models.family import FAMILIES, Family, draw
from weft.models.pair import Side, pair
from weft.models.published import ACTIVATIONS, Key, Published, Table, Tie
from weft.models.published_bart import sides
from weft.nn import MLP, Attention, Embed, EncoderDecoder, LayerNorm, Layout, LMHead, Residual, StemPosition
from weft.nn.convolution import Convolution, Convolved
from weft.nn.position import Learned
from weft.nn.scheme import Scheme


@dataclass(frozen=True)
class Whisper:
    vocab: int = 51865
    context: int = 448  # of what is written
    mels: int = 80  # numbers of a frame
    frames: int = 1500  # places of a whole sound behind the stem: it reads twice as many
    width: int = 384
    encoder_depth: int = 4
    decoder_depth: int = 4
    heads: int = 6
    decoder_heads: int | None = None  # None: heads
    hidden: int = 1536
    decoder_hidden: int | None = None  # None: hidden
    act: str = "gelu"
    dropout: float = 0.0
    attention_dropout: float | None = 0.0  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    hidden_dropout: float = 0.0  # inside the feed-forward
    tied: bool = True  # the output reads the target's table


class Fixed(StemPosition):
    """A table that is kept with the weights and not trained: weight [context, D]. It begins as sinusoids, all sines
    first, whose wavelengths go from 2π to 20000π, both reached (Marian's and the 2017 paper's last is shorter)."""

    weight: Tensor

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"sinusoids come in pairs: width {width} is odd; choose an even width or another scheme")
        self.context = context
        self.register_buffer("weight", torch.empty(context, width))
        self.reset()

    def reset(self) -> None:
        """Sinusoids."""
        context, half = self.weight.shape[0], self.weight.shape[1] // 2
        step = math.log(10000.0) / max(1, half - 1)
        turns = torch.exp(-step * torch.arange(half, device=self.weight.device))  # [D/2]
        angle = torch.arange(context, device=self.weight.device)[:, None] * turns
        self.weight.copy_(torch.cat((angle.sin(), angle.cos()), dim=1))

    def add(self, x: Tensor, here: Layout) -> Tensor:
        return x + nn.functional.embedding(here.places, self.weight).to(x.dtype)


def build(c: Whisper, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme, norm = position or Scheme(), partial(LayerNorm, c.width)
    first = Convolution(c.mels, c.width, 3, padding=1, act="gelu")  # whatever c.act is
    second = Convolution(c.width, c.width, 3, stride=2, padding=1, act="gelu")
    heard = Fixed(c.frames, c.width) if position is None else scheme.stem(c.width, c.frames)
    written = Learned(c.context, c.width) if position is None else scheme.stem(c.width, c.context)
    sound = Convolved([first, second], c.width, position=heard, dropout=c.dropout)
    words = Embed(c.vocab, c.width, position=written, dropout=c.dropout)

    def mlp(hidden: int) -> partial[MLP]:
        return partial(MLP, c.width, hidden, act=c.act, dropout=c.hidden_dropout)

    source = Side(sound, c.encoder_depth, c.heads, mlp(c.hidden))
    target = Side(words, c.decoder_depth, c.decoder_heads or c.heads, mlp(c.decoder_hidden or c.hidden))
    return pair(
        scheme, attention, source, target, bias="qvo",
        rate=c.dropout if c.attention_dropout is None else c.attention_dropout,
        residual=lambda branch: Residual(branch, pre=norm(), drop=c.dropout), norm=norm,
        head=LMHead(c.width, c.vocab, tied=c.tied),
    )  # fmt: skip


# fmt: off
_WORDS = "model.decoder.embed_tokens.weight"
WEIGHTS: Table = (
    *((f"embed.convolutions.{number}", f"model.encoder.conv{number + 1}", "") for number in range(2)),
    ("target.weight", _WORDS, ""), ("head.weight", "proj_out.weight", "optional"), *sides("pre"),
)
KEYS = (
    Key("vocab_size", "vocab", 51865), Key("max_target_positions", "context", 448), Key("num_mel_bins", "mels", 80),
    Key("max_source_positions", "frames", 1500), Key("d_model", "width", 384, also=("hidden_size",)),
    Key("encoder_layers", "encoder_depth", 4, also=("num_hidden_layers",)), Key("decoder_layers", "decoder_depth", 4),
    Key("encoder_attention_heads", "heads", 6, also=("num_attention_heads",)),
    Key("decoder_attention_heads", "decoder_heads", 6, follows="heads"),
    Key("encoder_ffn_dim", "hidden", 1536), Key("decoder_ffn_dim", "decoder_hidden", 1536, follows="hidden"),
    Key("activation_function", "act", "gelu", words=ACTIVATIONS), Key("tie_word_embeddings", "tied", True),
    Key("dropout", "dropout", 0.0), Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
    Key("activation_dropout", "hidden_dropout", 0.0),
)
INERT = frozenset({  # of generation, of other heads, of initialising, and what the reference does not apply
    "classifier_proj_size", "forced_decoder_ids", "init_std", "mask_feature_length", "mask_feature_min_masks",
    "mask_feature_prob", "mask_time_length", "mask_time_min_masks", "mask_time_prob", "median_filter_width",
    "scale_embedding", "use_weighted_layer_sum",
})
FAMILIES.register("whisper", Family(
    name="whisper", config=Whisper, build=build, initialise=draw, objective="translate",
    reads="signals", modality="speech", packs=False,
    sizes={
        "debug": dict(vocab=131, context=64, mels=8, frames=24, width=48, encoder_depth=2, decoder_depth=2, heads=4,
                      hidden=96),
        "tiny": dict(),
        "base": dict(width=512, encoder_depth=6, decoder_depth=6, heads=8, hidden=2048),
        "small": dict(width=768, encoder_depth=12, decoder_depth=12, heads=12, hidden=3072),
        "medium": dict(width=1024, encoder_depth=24, decoder_depth=24, heads=16, hidden=4096),
        "large-v3": dict(vocab=51866, mels=128, width=1280, encoder_depth=32, decoder_depth=32, heads=20, hidden=5120),
    },
    weights=WEIGHTS,
    published=Published(
        "whisper", {"WhisperForConditionalGeneration": ("lm",), "WhisperModel": ("lm",)}, KEYS,
        only={"is_encoder_decoder": (True,)}, inert=INERT, prefix="model.", bare=frozenset({"WhisperModel"}),
        untaught=frozenset({"apply_spec_augment", "encoder_layerdrop", "decoder_layerdrop"}),
        ties=(Tie("proj_out.weight", _WORDS, "tied"),),
    ),
    summary="encoder–decoder of sound to text, two convolutions over log-mel frames, pre-LN",
))
