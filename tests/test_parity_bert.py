"""BERT's numbers against the reference's, with odd sizes and every parameter random."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from test_parity import CLOSE, off, randomise
from torch import Tensor, nn
from torch.nn import functional

from weft.hub.moves import to_ours, to_theirs
from weft.models import FAMILIES, Blueprint
from weft.models.published import ACTIVATIONS
from weft.nn import Encoder, Layout

pytestmark = pytest.mark.filterwarnings("ignore")
DECLARED = FAMILIES.get("bert")
BERTS = [
    dict(vocab=97, context=29, width=30, depth=3, heads=5, hidden=50, types=2, eps=1e-3),
    dict(vocab=53, context=14, width=28, depth=2, heads=7, hidden=31, types=3, act="relu", tied=False),
    dict(vocab=211, context=64, width=33, depth=1, heads=3, hidden=20, types=1, act="gelu_tanh", eps=1e-6),
    dict(vocab=31, context=17, width=22, depth=11, heads=1, hidden=61, types=2, act="silu", tied=False, eps=1e-5),
]


def theirs_of(c: Any, name: str = "BertForPreTraining", kernel: str = "eager") -> nn.Module:
    """The reference at the sizes of our config."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=c.vocab,
        max_position_embeddings=c.context,
        hidden_size=c.width,
        num_hidden_layers=c.depth,
        num_attention_heads=c.heads,
        intermediate_size=c.hidden,
        type_vocab_size=c.types,
        hidden_act=next(theirs for theirs, ours in ACTIVATIONS.items() if ours == c.act),
        layer_norm_eps=c.eps,
        tie_word_embeddings=c.tied,
        attn_implementation=kernel,
    )
    return randomise(getattr(transformers, name)(config))


def of_table(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reference's tensors by the table's names: with the prefix that a bare model lacks, and the one bias that the
    reference adds, which is the decoder's where it is not tied."""
    published = DECLARED.published
    assert published is not None
    named = {
        name if name.startswith(("cls.", published.prefix)) else published.prefix + name: tensor
        for name, tensor in tensors.items()
    }
    for twin in published.twins:
        if twin.used in named:
            named[twin.other] = named.pop(twin.used)
    return named


def ours_of(plan: Blueprint, reference: nn.Module) -> Encoder:
    """Our module with the reference's weights."""
    module = plan.empty()
    theirs = of_table({name: parameter.detach() for name, parameter in reference.named_parameters()})
    module.load_state_dict(to_ours(DECLARED.table(None), theirs), strict=True, assign=True)
    assert isinstance(module, Encoder)
    return module.eval()


def batch(c: Any) -> tuple[Tensor, Tensor, Layout, Tensor]:
    """Ragged rows padded on the right: tokens, types, where they sit, and which places are real."""
    draw, width = torch.Generator().manual_seed(3), 13
    lengths = torch.tensor([13, 1, 8, 5])
    tokens = torch.randint(c.vocab, (4, width), generator=draw)
    types = torch.randint(c.types, (4, width), generator=draw)
    here = Layout.ragged(lengths, width)
    assert here.segments is not None
    return tokens, types, here, here.segments == 1


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("sizes", BERTS, ids=str)
def test_hidden_states_both_heads_and_every_gradient(
    sizes: dict[str, Any], kernel: str, record_property: Callable[[str, object], None]
) -> None:
    plan = Blueprint.of("bert", **sizes)
    reference = theirs_of(plan.config, kernel=kernel)
    module = ours_of(plan, reference)
    tokens, types, here, seen = batch(plan.config)
    wanted = reference(tokens, attention_mask=seen.long(), token_type_ids=types, output_hidden_states=True)
    x, _ = module(tokens, here, types)
    found = {
        "hidden states": (x[seen], wanted.hidden_states[-1][seen]),
        "masked": (module.logits(x)[seen], wanted.prediction_logits[seen]),
        "next sentence": (module.logits(x, "next_sentence"), wanted.seq_relationship_logits),
    }
    worst = max(off(got, other) for got, other in found.values())
    own, other = (
        gradients(run, found["masked"][side], tokens[seen], found["next sentence"][side])
        for side, run in enumerate((module, reference))
    )
    other = to_ours(DECLARED.table(None), of_table(other))
    assert set(own) == set(other)
    apart = {name: float((own[name] - other[name]).norm()) / max(float(other[name].norm()), 1e-2) for name in own}
    record_property("logits, standard deviations", worst)
    record_property("gradient, relative", max(apart.values()))
    print(f"bert {kernel}: logits {worst:.1e} sd, gradient {max(apart.values()):.1e}")
    assert {name: gap for name, (a, b) in found.items() if (gap := off(a, b)) > CLOSE} == {}
    assert {name: gap for name, gap in apart.items() if gap > 1e-4} == {}


def gradients(module: nn.Module, masked: Tensor, labels: Tensor, row: Tensor) -> dict[str, Tensor]:
    """Of every parameter that computes anything: a dead one (the bias of an untied head that is not used) has none."""
    loss = functional.cross_entropy(masked, labels) + functional.cross_entropy(row, torch.tensor([0, 1, 1, 0]))
    names, parameters = zip(*module.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("name", "tasks", "pooler"),
    [
        ("BertForPreTraining", ["masked", "next_sentence"], True),
        ("BertForMaskedLM", ["masked"], False),
        ("BertForNextSentencePrediction", ["next_sentence"], True),
        ("BertModel", [], True),
    ],
)
@torch.no_grad()
def test_each_class_of_theirs_is_ours_and_its_weights_go_back(
    name: str, tasks: list[str], pooler: bool, tied: bool
) -> None:
    plan = Blueprint.of("bert", **BERTS[0] | dict(tied=tied, tasks=tasks, pooler=pooler))
    reference = theirs_of(plan.config, name)
    assert DECLARED.published is not None and DECLARED.published.classes[name] == tuple(tasks)
    module = ours_of(plan, reference)
    tokens, types, here, seen = batch(plan.config)
    wanted = reference(tokens, attention_mask=seen.long(), token_type_ids=types)
    x, _ = module(tokens, here, types)
    if not tasks:
        assert off(x[seen], wanted.last_hidden_state[seen]) <= CLOSE
        assert off(module.pool(x), wanted.pooler_output) <= CLOSE
        with pytest.raises(ValueError, match="has no head"):
            module.logits(x)
    elif tasks == ["next_sentence"]:
        assert off(module.logits(x), wanted.logits) <= CLOSE
    else:
        logits = wanted.prediction_logits if name == "BertForPreTraining" else wanted.logits
        assert off(module.logits(x)[seen], logits[seen]) <= CLOSE
    theirs = of_table(dict(reference.named_parameters()))
    back = to_theirs(DECLARED.table(None), module.state_dict())
    assert set(back) == set(theirs)
    assert all(torch.equal(back[name], theirs[name]) for name in back)


def test_types_left_out_are_of_the_first() -> None:
    plan = Blueprint.of("bert", **BERTS[0])
    module = ours_of(plan, theirs_of(plan.config))
    tokens, types, here, _ = batch(plan.config)
    plain, _ = module(tokens, here)
    assert torch.equal(plain, module(tokens, here, torch.zeros_like(types))[0])
    assert not torch.equal(plain, module(tokens, here, torch.ones_like(types))[0])
