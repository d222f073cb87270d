"""The parts. Imports torch only; every family is made of these.

Shapes: B batch, T queries, S keys, D width, H heads, G key/value heads, K head width, V vocab.
"""

from weft.nn import initialise, kernels
from weft.nn.activation import ACTIVATIONS
from weft.nn.attention import Attention, CrossAttention
from weft.nn.block import Block, Pre, Residual, Sum
from weft.nn.blocks import Blocks, RandomBlocks
from weft.nn.branch import Auxiliary, Branch
from weft.nn.cache import Cache
from weft.nn.context import Context, Field, Memory, Sight
from weft.nn.core import Core, LowRank
from weft.nn.dropout import Dropout
from weft.nn.embed import Embed, LMHead
from weft.nn.encoder import Encoder, Head, PlaceHead, Pooler, RowHead, SpanHead, TokenHead
from weft.nn.experts import Experts, balance
from weft.nn.feedforward import GLU, MLP
from weft.nn.kernels import KERNELS, Scoring, attend
from weft.nn.kind import ATTENTIONS, BlockGlobalKind, FeaturesKind, Kind, LinearKind, LowRankKind, WindowKind
from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.mask import Causal, Chunk, Full, Global, Mask, SameGroup, Window, visible
from weft.nn.model import Decoder, EncoderDecoder, Writer
from weft.nn.norm import Joined, LayerNorm, RMSNorm
from weft.nn.position import Alibi, Distances, Learned, Placed, Position, Sinusoid, SinusoidHalves, StemPosition, T5Bias
from weft.nn.recurrent import GRU, Alignment, BothWays
from weft.nn.relative import Music, PerLayer, Relative, RelativeKey, RelativeXL, Shaw
from weft.nn.rope import AnyScaling, Rope, Scaling
from weft.nn.scheme import (
    SCHEMES,
    AlibiScheme,
    LearnedScheme,
    MusicScheme,
    RelativeKeyScheme,
    RelativeXLScheme,
    RopeScheme,
    Scheme,
    ShawScheme,
    SinusoidHalvesScheme,
    SinusoidScheme,
    T5LayerScheme,
    T5Scheme,
)
from weft.nn.stack import Stack
from weft.nn.sums import Elu, Positive, Sums
from weft.nn.tap import Tap
