"""Odd configurations of every published family, in the reference's words, and what is measured of each.

test_published.py asserts the figures, docs/families.py prints them. To add a family: a row in CASES.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import weft
from weft.generate import GREEDY, generate
from weft.models import FAMILIES
from weft.nn import Decoder, EncoderDecoder, Layout


@dataclass(frozen=True)
class Case:
    """kind, config: the reference's classes; fields: of the config. greedy: False where the reference's own tokens
    depend on how it was called. apart: a tied head that is given a weight of its own."""

    kind: str
    config: str
    fields: dict[str, Any] = field(hash=False)
    greedy: bool = True
    apart: str = ""

    def __str__(self) -> str:
        return f"{self.kind}-{'-'.join(f'{name}={value}' for name, value in self.fields.items())}"


@dataclass(frozen=True)
class Figures:
    """logits: max |difference| in standard deviations of the reference's; gradient: of the token table, relative;
    greedy: whether the tokens are equal, None where nothing is generated; equal: whether the reference reads back what
    we save with equal tensors and config, and a second save has the same bytes."""

    logits: float
    gradient: float
    greedy: bool | None
    equal: bool


def _gpt2(**fields: Any) -> Case:
    return Case("GPT2LMHeadModel", "GPT2Config", fields)


def _llama(greedy: bool = True, **fields: Any) -> Case:
    return Case("LlamaForCausalLM", "LlamaConfig", fields, greedy)


def _t5(apart: str = "", **fields: Any) -> Case:
    return Case("T5ForConditionalGeneration", "T5Config", {"decoder_start_token_id": 0, **fields}, apart=apart)


def _bert(kind: str, **fields: Any) -> Case:
    return Case(kind, "BertConfig", fields)


_SMALL = dict(vocab_size=97, hidden_size=36, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3)
_SMALL |= dict(head_dim=10, intermediate_size=50, max_position_embeddings=64)
_LONG = dict(rope_theta=777.0, original_max_position_embeddings=16)
CASES: dict[str, tuple[Case, ...]] = {
    "gpt2": (
        _gpt2(vocab_size=97, n_positions=29, n_embd=30, n_layer=3, n_head=5, layer_norm_epsilon=1e-3),
        _gpt2(vocab_size=53, n_positions=21, n_embd=28, n_layer=2, n_head=7, n_inner=50, activation_function="gelu",
              tie_word_embeddings=False),
        _gpt2(vocab_size=211, n_positions=64, n_embd=36, n_layer=1, n_head=3, n_inner=20, activation_function="relu",
              layer_norm_epsilon=1e-6),
        _gpt2(vocab_size=31, n_positions=23, n_embd=21, n_layer=12, n_head=1, activation_function="silu"),
        Case("GPT2Model", "GPT2Config", dict(vocab_size=61, n_positions=19, n_embd=33, n_layer=2, n_head=11), False),
    ),
    "llama": (
        _llama(**_SMALL, rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=5e5)),
        _llama(vocab_size=53, hidden_size=25, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
               head_dim=8, intermediate_size=31, tie_word_embeddings=True),
        _llama(vocab_size=211, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=44,
               hidden_act="gelu_pytorch_tanh", attention_bias=True, mlp_bias=True),
        _llama(vocab_size=31, hidden_size=14, num_hidden_layers=11, num_attention_heads=7, head_dim=4,
               intermediate_size=9, attention_bias=True),
        _llama(**_SMALL, rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=777.0)),
        _llama(**_SMALL, rope_parameters=dict(rope_type="yarn", factor=4.0, **_LONG)),
        _llama(**_SMALL, rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                              high_freq_factor=4.0, **_LONG)),
        _llama(False, **{**_SMALL, "max_position_embeddings": 8},
               rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=777.0)),
    ),
    "t5": (
        _t5(vocab_size=97, d_model=30, d_kv=7, num_heads=5, d_ff=44, num_layers=3, num_decoder_layers=2,
            layer_norm_epsilon=1e-3),
        _t5(vocab_size=53, d_model=28, d_kv=6, num_heads=3, d_ff=50, num_layers=2, feed_forward_proj="gated-gelu",
            apart="lm_head", scale_decoder_outputs=False),
        _t5(vocab_size=211, d_model=20, d_kv=12, num_heads=7, d_ff=21, num_layers=1, num_decoder_layers=3,
            relative_attention_num_buckets=6, relative_attention_max_distance=9, feed_forward_proj="gated-silu",
            apart="lm_head"),
        _t5(vocab_size=31, d_model=33, d_kv=8, num_heads=1, d_ff=17, num_layers=4, feed_forward_proj="gelu"),
    ),
    "bert": (
        _bert("BertForMaskedLM", vocab_size=97, hidden_size=30, num_hidden_layers=3, num_attention_heads=5,
              intermediate_size=44, max_position_embeddings=29, type_vocab_size=3, layer_norm_eps=1e-3),
        _bert("BertForMaskedLM", vocab_size=53, hidden_size=28, num_hidden_layers=2, num_attention_heads=7,
              intermediate_size=50, max_position_embeddings=21, hidden_act="relu", tie_word_embeddings=False),
        _bert("BertForPreTraining", vocab_size=211, hidden_size=36, num_hidden_layers=1, num_attention_heads=3,
              intermediate_size=20, max_position_embeddings=64, type_vocab_size=1, hidden_act="gelu_new"),
        _bert("BertForNextSentencePrediction", vocab_size=31, hidden_size=21, num_hidden_layers=6,
              num_attention_heads=1, intermediate_size=13, max_position_embeddings=23),
    ),
}  # fmt: skip


def published() -> list[str]:
    """The registered families that stand in published folders."""
    return [name for name in FAMILIES.names() if FAMILIES.get(name).published is not None]


def reference(case: Case, seed: int = 0) -> Any:
    """The reference's model, every parameter random, norms and biases too. Matrices shrink a little: scores that are
    not divided by √K (T5) saturate, and then noise grows from layer to layer."""
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, case.config)(**case.fields)
    model = getattr(transformers, case.kind)._from_config(config, attn_implementation="eager")
    if case.apart:
        head = model.get_submodule(case.apart)
        head.weight = nn.Parameter(head.weight.detach().clone())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            std = 0.2 if parameter.ndim < 2 else 0.7 * parameter.shape[-1] ** -0.5
            parameter.normal_(std=std, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(1.0)
    return model.eval()


@dataclass(frozen=True, eq=False)
class Rows:
    """A ragged batch, padded on the right; a source of other lengths for an encoder–decoder."""

    tokens: Tensor
    lengths: Tensor
    source: Tensor
    source_lengths: Tensor

    @staticmethod
    def of(vocab: int, longest: int) -> Rows:
        """Id 0 is left out: to some of the reference's tables it gives no gradient, as padding."""
        generator = torch.Generator().manual_seed(1)
        tokens, source = (torch.randint(1, vocab, (3, longest), generator=generator) for _ in range(2))
        lengths = torch.tensor([longest, 1, longest * 2 // 3])
        return Rows(tokens, lengths, source, lengths.roll(1))

    def real(self, lengths: Tensor) -> Tensor:
        return torch.arange(self.tokens.shape[1]) < lengths[:, None]

    def theirs(self, model: Any) -> Tensor:
        """The reference's scores; of a class without a head, its hidden states times its token table."""
        if model.config.is_encoder_decoder:
            source = dict(input_ids=self.source, attention_mask=self.real(self.source_lengths).long())
            out = model(**source, decoder_input_ids=self.tokens, decoder_attention_mask=self.real(self.lengths).long())
        else:
            out = model(input_ids=self.tokens, attention_mask=self.real(self.lengths).long())
        for name in ("logits", "prediction_logits"):
            if name in out:
                return out[name]
        return out["last_hidden_state"] @ model.get_input_embeddings().weight.T

    def ours(self, module: nn.Module) -> Tensor:
        """Ours, with a graph."""
        width = self.tokens.shape[1]
        here = Layout.ragged(self.lengths, width)
        if isinstance(module, EncoderDecoder):
            hidden, _ = module(self.source, self.tokens, Layout.ragged(self.source_lengths, width), here)
        else:
            hidden, _ = module(self.tokens, here)
        return module.logits(hidden)  # type: ignore[operator]

    def kept(self, scores: Tensor) -> Tensor:
        """Without padding; a row's own scores [B, C] are all kept."""
        return scores[self.real(self.lengths)] if scores.ndim == 3 else scores


def measure(case: Case, folder: Path, *, shards: bool = False) -> Figures:
    """Save the reference, load it, compare, save it again, and have the reference read that."""
    theirs = reference(case)
    theirs.save_pretrained(folder / "theirs", max_shard_size="8KB" if shards else "1GB")
    model = weft.load(folder / "theirs")
    rows = Rows.of(model.config.vocab, 13)
    off, gradient = _compare(theirs, model.module, rows)
    greedy = _same_tokens(theirs, model.module, rows) if case.greedy else None
    return Figures(off, gradient, greedy, _reads_back(theirs, model, folder))


def _compare(theirs: Any, module: nn.Module, rows: Rows) -> tuple[float, float]:
    wanted, got = rows.kept(rows.theirs(theirs)), rows.kept(rows.ours(module))
    assert wanted.shape == got.shape
    off = float((got - wanted).detach().abs().max() / wanted.detach().std())
    some = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    table = module.get_parameter("embed.weight")
    (own,) = torch.autograd.grad((got * some).sum(), table)
    (other,) = torch.autograd.grad((wanted * some).sum(), theirs.get_input_embeddings().weight)
    return off, float((own - other).norm() / other.norm())


def _same_tokens(theirs: Any, module: nn.Module, rows: Rows, new: int = 7) -> bool | None:
    """Greedy tokens of each row alone in the reference, of all together in ours, which keeps a cache. (The reference's
    fails where a decoder is deeper than its encoder.)"""
    if not isinstance(module, Decoder | EncoderDecoder):
        return None
    pairs = isinstance(module, EncoderDecoder)
    lengths = rows.source_lengths if pairs else rows.lengths
    prompts = [
        row[:length].tolist() for row, length in zip(rows.source if pairs else rows.tokens, lengths, strict=True)
    ]
    theirs.generation_config.eos_token_id = None
    start = theirs.config.decoder_start_token_id if pairs else None
    made = generate(module, prompts, new=new, sampling=GREEDY, start=start)
    for prompt, own in zip(prompts, made, strict=True):
        ids = torch.tensor([prompt])
        whole = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, use_cache=False
        )
        if tuple(whole[0, 1 if pairs else len(prompt) :].tolist()) != own.ids:
            return False
    return True


def _reads_back(theirs: Any, model: weft.Model, folder: Path) -> bool:
    """What we save is, to the reference, what it saved; and saving what we saved gives the same files."""
    weft.save(model, folder / "ours")
    weft.save(weft.load(folder / "ours"), folder / "again")
    files = [{file.name: file.read_bytes() for file in (folder / name).iterdir()} for name in ("ours", "again")]
    first, (second, told) = (
        type(theirs).from_pretrained(folder / "theirs"),
        type(theirs).from_pretrained(folder / "ours", output_loading_info=True),
    )
    configs = [made.config.to_dict() | {"_name_or_path": ""} for made in (first, second)]
    tensors = [made.state_dict() for made in (theirs, second)]
    return (
        files[0] == files[1]
        and not any(told.values())
        and configs[0].items() <= configs[1].items()  # what we write out may be a default of theirs
        and tensors[0].keys() == tensors[1].keys()
        and all(torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())
    )
