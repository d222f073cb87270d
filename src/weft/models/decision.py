"""Decision Transformer (Chen et al. 2021): the next action, from the return that is still to come, the state, and what
was done before.

A row's places are timesteps, each a vector [return to go | state | action]. The stem makes three places of each, in
this order, so that a state sees its return and all of the past, but not its own action, which is told from it. Each
gets its timestep's vector; Layout.order says which that is. From an action's place the next return and the next state
are told, which the paper never trained.

`actions` is "continuous": as many numbers, bounded by a tanh; or "discrete": which of so many, where the vector holds 1
at the action's number and 0 elsewhere (our own: Chen et al. look up a vector for it). An action that is not known yet
is 0 throughout. The layers are GPT-2's; of its table of positions the reference adds the first row to everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Key, Published, Read, Seam, Spare
from weft.models.signals import NoIds
from weft.models.timesteps import ACTION, STATE, Chosen, Interleave, Told
from weft.nn import MLP, Attention, Block, Causal, Encoder, Field, LayerNorm, LearnedScheme, Residual, Scheme, Stack
from weft.nn.initialise import normal


@dataclass(frozen=True)
class Decision(NoIds):
    state: int = 17  # its numbers
    action: int = 4  # its numbers, or how many there are
    actions: Literal["continuous", "discrete"] = "continuous"
    bounded: bool = True  # continuous actions lie between -1 and 1
    context: int = 4096  # timesteps of the longest episode
    width: int = 128
    depth: int = 3
    heads: int = 1
    hidden: int | None = None  # None: 4 · width
    act: str = "relu"
    eps: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    shifts: int = 1024  # vectors of which the first is added to everything, and the others nowhere
    tasks: tuple[str, ...] = ("action", "return", "state")

    @property
    def channels(self) -> int:
        """Numbers of a timestep."""
        return 1 + self.state + self.action


def _write(c: Decision, position: Scheme | None) -> dict[str, Any] | None:
    """What nobody looks up has the shape of what is added, so that it can be written as it."""
    return {"vocab_size": c.shifts} if position is None else None


# fmt: off
def build(c: Decision, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme, head_width, norm = position or LearnedScheme(), c.width // c.heads, partial(LayerNorm, c.width, eps=c.eps)
    action = partial(Told, STATE, act="tanh" if c.bounded else None) if c.actions == "continuous" else Chosen
    heads = {
        "action": partial(action, c.width, c.action), "return": partial(Told, ACTION, c.width, 1),
        "state": partial(Told, ACTION, c.width, c.state),
    }
    if unknown := [task for task in c.tasks if task not in heads]:
        raise ValueError(f"tasks = {c.tasks}, but no task is called {unknown[0]!r}: there are {', '.join(heads)}")
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn = partial(attention, c.width, c.heads, dropout=rate)
    relative = partial(scheme.relative, c.heads, head_width)
    mlp = partial(MLP, c.width, c.hidden or 4 * c.width, act=c.act)
    layers = [Block(attn=Residual(attn(relative=relative()), pre=norm(), drop=c.dropout),
                    mlp=Residual(mlp(), pre=norm(), drop=c.dropout)) for _ in range(c.depth)]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    stem = Interleave((1, c.state, c.action), c.width, position=scheme.stem(c.width, c.context), shifts=c.shifts,
                      dropout=c.dropout)
    return Encoder(stem, stack, {task: heads[task]() for task in c.tasks})


TOLD: dict[str, Any] = dict(shifts=1, tasks=["action"])  # what the paper trains
FAMILIES.register("decision_transformer", Family(
    name="decision_transformer", config=Decision, build=build, objective="actions",
    reads="signals", modality="episodes",
    initialise=lambda module, c: normal(module, std=0.02, depth=c.depth),
    sizes={
        "debug": TOLD | dict(state=5, action=3, context=40, width=48, depth=2, heads=4, dropout=0.0),
        "small": TOLD | dict(state=5, action=3, context=1024, width=128, depth=3, heads=4),
        "base": dict(),
    },
    weights=(
        ("embed.position.weight", "embed_timestep.weight", ""), ("embed.shift.weight", "encoder.wpe.weight", ""),
        ("embed.{returns,states,actions}", "{embed_return,embed_state,embed_action}", ""),
        ("embed.norm", "embed_ln", ""),
        ("stack.layers.*.{attn,mlp}.pre", "encoder.h.*.{ln_1,ln_2}", ""),
        ("stack.layers.*.attn.branch.{q,k,v}", "encoder.h.*.attn.c_attn", "transpose, join"),
        ("stack.layers.*.attn.branch.out", "encoder.h.*.attn.c_proj", "transpose"),
        ("stack.layers.*.mlp.branch.{up,down}", "encoder.h.*.mlp.{c_fc,c_proj}", "transpose"),
        ("stack.norm", "encoder.ln_f", ""), ("heads.action.out", "predict_action.0", ""),
        ("heads.{return,state}.out", "{predict_return,predict_state}", ""),
    ),
    published=Published(
        "decision_transformer", {"DecisionTransformerModel": ("action", "return", "state")},
        (
            Key("state_dim", "state", 17), Key("act_dim", "action", 4), Key("max_ep_len", "context", 4096),
            Key("hidden_size", "width", 128), Key("n_layer", "depth", 3, also=("num_hidden_layers",)),
            Key("n_head", "heads", 1, also=("num_attention_heads",)), Key("n_inner", "hidden", None),
            Key("n_positions", "shifts", 1024, also=("max_position_embeddings",)), Key("action_tanh", "bounded", True),
            Key("activation_function", "act", "relu", words=ACTIVATIONS), Key("layer_norm_epsilon", "eps", 1e-5),
            Key("resid_pdrop", "dropout", 0.1), Key("embd_pdrop", "dropout", 0.1, training=True),
            Key("attn_pdrop", "attention_dropout", 0.1, follows="dropout"),
        ),
        only={"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,)},
        inert=frozenset({"vocab_size", "reorder_and_upcast_attn", "n_ctx", "tie_word_embeddings"}),
        seam=Seam((), (), lambda theirs: Read({}), _write),
        spares=(Spare("encoder.wte.weight", like="encoder.wpe.weight"),),  # of ids, which nobody looks up
        ignored=("encoder.h.*.attn.bias", "encoder.h.*.attn.masked_bias"),
    ),
    summary="decoder of timesteps, each a return, a state and an action that is told from what came before",
))
