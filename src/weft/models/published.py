"""How a family stands in published folders: the fields of its config.json and the names of its tensors, as data.

    PUBLISHED = Published(
        model_type="gpt2",
        classes={"GPT2LMHeadModel": ("lm",), "GPT2Model": ("lm",)},
        prefix="transformer.",
        keys=(Key("n_embd", "width", 768), Key("activation_function", "act", "gelu_new", words=ACTIVATIONS), …),
        only={"scale_attn_weights": (True,)},
        inert=frozenset({"n_ctx"}),
        ties=(Tie("lm_head.weight", "transformer.wte.weight", "tied"),),
        ignored=("transformer.h.*.attn.bias",),
    )

A field that no part of the declaration names is an error: what is not understood may change the computation. What no
table can say (rotary positions, T5's feed-forward) is one declared seam, `Published.seam`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from weft.nn import Scheme

Table = Sequence[tuple[str, str, str]]
"""Names of weights: (ours, theirs, transform) rows, read both ways; see `weft.hub.moves`."""

# fmt: off
# The reference's words for activations; where several mean one, the first is written.
ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh", "quick_gelu": "quick_gelu", "relu": "relu", "relu2": "relu2", "silu": "silu",
    "swish": "silu", "mish": "mish", "tanh": "tanh",
}

# Fields that change nothing of what a model computes, in any family: bookkeeping, ids that the tokenizer and generation
# read for themselves, what a task's head would be called, and how the reference library would generate.
INERT = frozenset({
    "_name_or_path", "architectures", "model_type", "transformers_version", "dtype", "auto_map", "use_cache",
    "initializer_range", "initializer_factor", "output_attentions", "output_hidden_states", "return_dict",
    "use_return_dict", "torchscript", "use_bfloat16", "gradient_checkpointing", "attn_implementation",
    "_attn_implementation", "_attn_implementation_autoset", "_num_labels", "num_labels", "id2label", "label2id",
    "problem_type", "finetuning_task", "task_specific_params", "prefix", "tokenizer_class", "chunk_size_feed_forward",
    "classifier_dropout", "remove_invalid_values", "tf_legacy_loss", "sep_token_id", "cls_token_id", "bos_token_id",
    "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id",
    "begin_suppress_tokens", "suppress_tokens", "bad_words_ids", "max_length", "min_length", "max_new_tokens",
    "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p",
    "typical_p", "repetition_penalty", "encoder_no_repeat_ngram_size", "no_repeat_ngram_size", "length_penalty",
    "unsloth_fixed", "unsloth_version", "transformers.js_config", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "exponential_decay_length_penalty",
})
# fmt: on

# Fields of any family that would change the computation, understood at one value only.
ONLY: dict[str, tuple[Any, ...]] = {
    "pruned_heads": ({},),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False,),
}

# Fields whose null says something: no window, cap or positions, where the default is one. Elsewhere it is the default.
TELLING = frozenset({"sliding_window", "attn_logit_softcapping", "final_logit_softcapping", "position_embeddings_type"})


@dataclass(frozen=True)
class Key:
    """A field of theirs that is one of ours.

    default:  theirs, where the field is missing or null (see `TELLING`).
    words:    theirs to ours, for names that differ; where several mean one, the first is written.
    also:     other names under which the reference library reads it.
    follows:  the field of ours whose value None of this one stands for.
    training: it matters in training alone, so that two fields for one of ours may disagree: the first is taken and the
              other said.
    """

    theirs: str
    ours: str
    default: Any
    words: Mapping[Any, Any] | None = None
    also: tuple[str, ...] = ()
    follows: str = ""
    training: bool = False


@dataclass(frozen=True)
class Tie:
    """Two names in a file for what may be one tensor.

    original: of several, the first that is there.
    flag:     the field of ours that says whether it is: true where the copy is missing or equal, false where they
              differ. "" where they can only be one, and copies that differ are an error.
    """

    copy: str
    original: str | tuple[str, ...]
    flag: str = ""

    @property
    def originals(self) -> tuple[str, ...]:
        return (self.original,) if isinstance(self.original, str) else self.original


@dataclass(frozen=True)
class Twin:
    """Two names in a file for what is one tensor of ours, though they may differ: the reference computes with `used`
    where it is there, and the other is dead; else with `other`, which is the table's name.

    flag: the field of ours under which `other` alone is written; where it is false both are, with the same numbers.
    """

    used: str
    other: str
    flag: str


@dataclass(frozen=True)
class Spare:
    """A tensor of theirs that ours does not compute with: what the file holds is kept and written again.

    unless: the field of ours under which it is one that counts. like: the name of one with the same numbers, where no
    file gave it any; "": then it is not written. holds: whether it is what ours computes in its place, else an error.
    """

    theirs: str
    unless: str = ""
    like: str = ""
    holds: Callable[[Tensor], bool] | None = None


@dataclass(frozen=True)
class Found:
    """What a tensor that is there says of the config: `field`, a tuple, holds `value`; or is true, and else false."""

    theirs: str
    field: str
    value: Any = True


@dataclass(frozen=True)
class Inner:
    """A model of another family inside this one; of ours, the field `ours` holds its Blueprint.

    theirs:     the field that holds its config. over: the one that counts in its place, where it is there.
    model_type: of a config that does not say its own. fixed: there is no other, and the reference does not ask.
    missing:    what no config at all means, beside the family's defaults.
    switches:   fields of the model around that are the inner one's, too, and on where either says so.
    prefix:     what its tensors' names begin with in a file, before what its family calls them.
    module:     what their names begin with here.
    """

    theirs: str
    ours: str
    model_type: str
    over: str = ""
    fixed: bool = False
    missing: Mapping[str, Any] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    prefix: str = ""
    module: str = ""


class Read(NamedTuple):
    """What the seam of a declaration makes of fields of theirs: fields of ours, and a position scheme in place of the
    family's own. dead: tensors that nothing is computed with then; they are kept as they are."""

    fields: dict[str, Any]
    position: Scheme | None = None
    dead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seam:
    """Fields that no table can say.

    names:  the fields of theirs that `read` answers for; it is given the whole config, for what depends on others.
    fields: the fields of ours that it may set.
    read:   ValueError for a value that is not understood.
    write:  (our config, its position scheme) -> fields of theirs; None where they cannot say it.
    words:  ours -> theirs, for errors that speak of ours.
    renew:  fields of version 4 of the reference as version 5 has them, where that is not as in other families.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Read]
    write: Callable[[Any, Scheme | None], dict[str, Any] | None]
    words: Mapping[str, str] = field(default_factory=dict)
    renew: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None


def together(*seams: Seam) -> Seam:
    """Several seams as one; the position is that of the last one that has one."""

    def read(theirs: Mapping[str, Any]) -> Read:
        found = [seam.read(theirs) for seam in seams]
        positions = [one.position for one in found if one.position is not None]
        fields = {name: value for one in found for name, value in one.fields.items()}
        return Read(fields, positions[-1] if positions else None)

    def write(config: Any, position: Scheme | None) -> dict[str, Any] | None:
        written = [seam.write(config, position) for seam in seams]
        return None if None in written else {name: value for one in written if one for name, value in one.items()}

    names, fields = (tuple(name for seam in seams for name in getattr(seam, of)) for of in ("names", "fields"))
    words = {ours: name for seam in seams for ours, name in seam.words.items()}
    return Seam(names, fields, read, write, words, next((seam.renew for seam in seams if seam.renew), None))


@dataclass(frozen=True)
class Published:
    """A family in the Hugging Face layout.

    model_type: as in config.json.
    classes:    the reference's class -> the heads it carries by our names, the one that answers by default first; the
                class that is written for a model is the first whose heads are those of the config.
    marked:     of classes with the same heads, the field of ours that is true of this one alone.
    keys:       fields that are ours, see `Key`.
    only:       fields understood at these values only, the first of which is what a missing one means; they stand
                above those of any family (`ONLY`).
    inert:      fields that change nothing, beside those of any family (`INERT`).
    training:   fields of ours that they have no word for and that matter in training alone: kept under "weft".
    untaught:   fields of theirs that matter in training alone, and that training here does not do: kept, and said.
    heads:      the field of ours that names the heads a model carries; "" where it always has one.
    seam:       what no table can say.
    prefix:     what tensors' names begin with in a file of a class with heads; bare classes' names lack it, and either
                is read.
    bare:       the classes whose files are written without the prefix.
    kernel:     which of the reference's attentions is right ("eager", "sdpa").
    ties, twins, spares, found, ignored: of tensors; ignored ones are left out on purpose (position buffers, causal
                masks), but where the config's table has a row for them.
    renamed:    old endings of tensors' names, or, where they end in a dot, beginnings, and what they are now.
    inner:      models of other families inside, each with a config of its own.
    """

    model_type: str
    classes: Mapping[str, tuple[str, ...]]
    keys: tuple[Key, ...]
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    inert: frozenset[str] = frozenset()
    training: tuple[str, ...] = ()
    untaught: frozenset[str] = frozenset()
    heads: str = ""
    marked: Mapping[str, str] = field(default_factory=dict)
    seam: Seam | None = None
    prefix: str = ""
    bare: frozenset[str] = frozenset()
    kernel: str = "eager"
    ties: tuple[Tie, ...] = ()
    twins: tuple[Twin, ...] = ()
    spares: tuple[Spare, ...] = ()
    found: tuple[Found, ...] = ()
    ignored: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    inner: tuple[Inner, ...] = ()
