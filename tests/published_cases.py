"""What is measured of every published family at the odd configurations of tests/odd.

test_published.py asserts the figures, docs/families.py prints them. To add a family: a file in tests/odd.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from odd import Case, Given, every
from torch import Tensor, nn

import weft
from weft.generate import GREEDY, generate
from weft.hub.fields import family_of
from weft.models import FAMILIES
from weft.nn import Decoder, Embed, Encoder, EncoderDecoder, Layout


@dataclass(frozen=True)
class Figures:
    """logits: max |difference| in standard deviations of the reference's; exact: the same in fp64, where it was above
    CLOSE in fp32, which scores that lie close together far from 0 are by rounding (a processor's, by its order of
    sums); gradient: of the token table, relative;
    greedy: whether the tokens are equal, None where nothing is generated; equal: whether the reference reads back what
    we save with equal tensors and config, and a second save has the same bytes."""

    logits: float
    exact: float | None
    gradient: float
    greedy: bool | None
    equal: bool


CLOSE = 1e-5
CASES = every()


def published() -> list[str]:
    """The registered families that stand in published folders."""
    return [name for name in FAMILIES.names() if FAMILIES.get(name).published is not None]


def reference(case: Case, seed: int = 0) -> Any:
    """The reference's model, every parameter random, norms and biases too. Matrices shrink a little: scores that are
    not divided by √K (T5) saturate, and then noise grows from layer to layer."""
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, case.config)(**case.fields)
    _, declared = family_of(config.model_type, [case.kind])
    model = getattr(transformers, case.kind)._from_config(config, attn_implementation=declared.kernel)
    if case.apart:
        head = model.get_submodule(case.apart)
        head.weight = nn.Parameter(head.weight.detach().clone())
    generator = torch.Generator().manual_seed(seed)
    kept = model.state_dict()  # a bias of scores may be a buffer; tables of sinusoids are parameters that learn nothing
    buffers = {name: tensor for name, tensor in model.named_buffers() if name in kept and tensor.is_floating_point()}
    learned = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad} | buffers
    with torch.no_grad():
        for _, parameter in sorted(learned.items()):
            std = 0.2 if parameter.ndim < 2 else 0.7 * parameter.shape[-1] ** -0.5
            parameter.normal_(std=std, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(1.0)
    return model.eval()


@dataclass(frozen=True, eq=False)
class Rows(Given):
    """A ragged batch, padded on the right; a source of other lengths for an encoder–decoder."""

    tokens: Tensor
    lengths: Tensor
    source: Tensor
    source_lengths: Tensor

    @staticmethod
    def of(vocab: int, longest: int, avoid: tuple[int, ...] = ()) -> Rows:
        """Id 0 is left out: to some of the reference's tables it gives no gradient, as padding. So are those to avoid,
        in place of which the last id stands."""
        generator = torch.Generator().manual_seed(1)
        tokens, source = (torch.randint(1, vocab, (3, longest), generator=generator) for _ in range(2))
        for ids in (tokens, source):
            ids[torch.isin(ids, torch.tensor(avoid, dtype=ids.dtype))] = vocab - 1
        lengths = torch.tensor([longest, 1, longest * 2 // 3])
        return Rows(tokens, lengths, source, lengths.roll(1))

    def real(self, lengths: Tensor) -> Tensor:
        return torch.arange(self.tokens.shape[1]) < lengths[:, None]

    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """The reference's scores; of a class without a head, its hidden states times its token table, or, asked for
        `states`, these themselves, a row's pooled vector added where there is one."""
        if model.config.is_encoder_decoder:
            source = dict(input_ids=self.source, attention_mask=self.real(self.source_lengths).long())
            out = model(**source, decoder_input_ids=self.tokens, decoder_attention_mask=self.real(self.lengths).long())
        else:
            out = model(input_ids=self.tokens, attention_mask=self.real(self.lengths).long())
        for name in ("logits", "prediction_logits"):
            if name in out:
                return out[name]
        if states:
            return out["last_hidden_state"] + (out["pooler_output"][:, None] if "pooler_output" in out else 0)
        return out["last_hidden_state"] @ model.get_input_embeddings().weight.T

    def ours(self, module: nn.Module) -> Tensor:
        """Ours, with a graph; of an encoder without heads likewise."""
        width = self.tokens.shape[1]
        here = Layout.ragged(self.lengths, width)
        if isinstance(module, EncoderDecoder):
            hidden, _ = module(self.source, self.tokens, Layout.ragged(self.source_lengths, width), here)
        else:
            hidden, _ = module(self.tokens, here)
        if headless(module):
            return hidden + (module.pool(hidden)[:, None] if module.pooler is not None else 0)  # type: ignore[operator]
        return module.logits(hidden)  # type: ignore[operator]

    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """Their tables of tokens. A shared one of theirs may be nobody's."""
        reading = model.get_encoder() if model.config.is_encoder_decoder else model
        return reading.get_input_embeddings().weight, module.get_parameter("embed.weight")

    def kept(self, scores: Tensor) -> Tensor:
        """Without padding; a row's own scores [B, C] are all kept."""
        return scores[self.real(self.lengths)] if scores.shape[:2] == self.tokens.shape else scores

    def same_tokens(self, model: Any, module: nn.Module) -> bool | None:
        """Theirs of each row alone, ours of all together, with a cache."""
        return _same_tokens(model, module, self)


def headless(module: nn.Module) -> bool:
    """An encoder that scores nothing."""
    return isinstance(module, Encoder) and not module.heads


def measure(case: Case, folder: Path, *, shards: bool = False) -> Figures:
    """Save the reference, load it, compare, save it again, and have the reference read that."""
    theirs = reference(case)
    theirs.save_pretrained(folder / "theirs", max_shard_size="8KB" if shards else "1GB")
    model = weft.load(folder / "theirs")
    if case.given is None:
        rows: Given = Rows.of(
            min(part.vocab for part in model.module.modules() if isinstance(part, Embed)), 13, case.avoid
        )
    else:
        rows = case.given(theirs.config)
    off, gradient = _compare(theirs, model.module, rows)
    exact = _compare(deepcopy(theirs).double(), deepcopy(model.module).double(), rows)[0] if off > CLOSE else None
    greedy = rows.same_tokens(theirs, model.module) if case.greedy else None
    return Figures(off, exact, gradient, greedy, _reads_back(theirs, model, folder))


def _compare(theirs: Any, module: nn.Module, rows: Given) -> tuple[float, float]:
    wanted, got = rows.kept(rows.theirs(theirs, states=headless(module))), rows.kept(rows.ours(module))
    assert wanted.shape == got.shape
    off = float((got - wanted).detach().abs().max() / wanted.detach().std())
    some = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    its, table = rows.learned(theirs, module)
    (own,) = torch.autograd.grad((got * some).sum(), table)
    (other,) = torch.autograd.grad((wanted * some).sum(), its)
    return off, float((own.flatten() - other.flatten()).norm() / other.norm())


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
