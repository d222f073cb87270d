"""T5 against the reference, 1.0 and 1.1, odd sizes and every parameter random: scores, gradients, names, tokens."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from test_parity import CLOSE, gradients, off, randomise
from torch import Tensor, nn

from weft.generate import GREEDY, generate
from weft.hub.moves import to_ours, to_theirs
from weft.models import FAMILIES, Blueprint
from weft.models.published import ACTIVATIONS
from weft.nn import Layout, RopeScheme, T5Scheme

T5 = FAMILIES.get("t5")
SIZES = [
    dict(vocab=97, width=30, encoder_depth=3, decoder_depth=2, heads=5, head_width=7, hidden=44, distance=20),
    dict(vocab=53, width=21, encoder_depth=1, decoder_depth=4, heads=3, head_width=8, hidden=50, eps=1e-3, tied=False),
    dict(vocab=211, width=36, encoder_depth=2, heads=6, head_width=6, hidden=20, act="gelu", buckets=10, distance=11),
    dict(vocab=31, width=14, encoder_depth=11, decoder_depth=12, heads=7, head_width=3, hidden=9, scaled=False),
    dict(vocab=97, width=30, encoder_depth=2, decoder_depth=3, heads=5, head_width=7, hidden=44, act="gelu_tanh")
    | dict(gated=True, tied=False, scaled=False, distance=17),
    dict(vocab=61, width=25, encoder_depth=3, decoder_depth=1, heads=9, head_width=4, hidden=33, act="silu")
    | dict(gated=True, tied=True, scaled=False, eps=1e-4, buckets=7, distance=9),
    dict(vocab=211, width=18, encoder_depth=1, decoder_depth=2, heads=1, head_width=11, hidden=70, act="gelu")
    | dict(gated=True, tied=False, scaled=True, buckets=64, distance=40),
    dict(vocab=31, width=22, encoder_depth=12, decoder_depth=2, heads=3, head_width=10, hidden=27, act="relu")
    | dict(gated=True, tied=True, scaled=True, eps=1e-2),
]


def reference(transformers: ModuleType, c) -> nn.Module:
    """The reference at the sizes of our config; a head that is not tied is a parameter of its own."""
    act = next(word for word, ours in ACTIVATIONS.items() if ours == c.act)
    config = transformers.T5Config(
        vocab_size=c.vocab,
        d_model=c.width,
        d_kv=c.head_width,
        d_ff=c.hidden,
        num_layers=c.encoder_depth,
        num_decoder_layers=c.decoder_depth,
        num_heads=c.heads,
        relative_attention_num_buckets=c.buckets,
        relative_attention_max_distance=c.distance,
        layer_norm_epsilon=c.eps,
        dropout_rate=c.dropout,
        feed_forward_proj=f"gated-{act}" if c.gated else act,
        dense_act_fn=act,
        scale_decoder_outputs=c.scaled,
        decoder_start_token_id=0,
        attn_implementation="eager",
    )
    model = transformers.T5ForConditionalGeneration(config)
    if not c.tied:
        model.lm_head.weight = nn.Parameter(torch.empty_like(model.shared.weight))
    randomise(model)
    for name, parameter in model.named_parameters():
        if name.endswith(".q.weight"):  # no score is divided by √K: what begins so is, lest a dozen layers be chaos
            parameter.data *= c.head_width**-0.5
    return model


def both(transformers: ModuleType, sizes: dict) -> tuple[Blueprint, nn.Module, nn.Module, dict[str, Tensor]]:
    """A blueprint, our module and theirs with the same weights, and these by their names."""
    plan = Blueprint.of("t5", **sizes)
    other = reference(transformers, plan.config)
    theirs = {name: parameter.detach() for name, parameter in other.named_parameters()}
    module = plan.empty().to_empty(device="cpu")
    module.load_state_dict(to_ours(T5.table(None), theirs), strict=True)
    return plan, module.eval(), other, theirs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_scores_and_gradients(sizes: dict, record_property: Callable[[str, object], None]) -> None:
    """Ragged pairs, padded on the right, the longest beyond the distance at which all are one."""
    transformers = pytest.importorskip("transformers")
    plan, module, other, theirs = both(transformers, sizes)
    longest = plan.config.distance + 9
    source_lengths, lengths = torch.tensor([longest, 1, 8]), torch.tensor([6, longest, 1])
    source, tokens = torch.randint(plan.config.vocab, (2, 3, longest))
    source_here, here = Layout.ragged(source_lengths, longest), Layout.ragged(lengths, longest)
    seen = here.segments == 1
    wanted = other(
        source,
        attention_mask=source_here.segments,
        decoder_input_ids=tokens,
        decoder_attention_mask=here.segments,
        use_cache=False,
    ).logits[seen]
    got = module.logits(module(source, tokens, source_here, here)[0])[seen]
    labels = tokens.roll(-1, 1)[seen]
    own = dict(zip((n for n, _ in module.named_parameters()), gradients(got, labels, module), strict=True))
    reverse = to_ours(T5.table(None), dict(zip(theirs, gradients(wanted, labels, other), strict=True)))
    assert set(reverse) == set(own)
    apart = {name: float((own[name] - g).norm() / max(float(own[name].norm()), 1e-3)) for name, g in reverse.items()}
    steepest = max(apart, key=lambda name: apart[name])
    record_property("logits, standard deviations", off(got, wanted))
    record_property("gradient, relative", apart[steepest])
    print(f"t5: logits {off(got, wanted):.1e} sd ({got.std():.2f}), gradient {apart[steepest]:.1e} ({steepest})")
    assert off(got, wanted) <= CLOSE
    assert apart[steepest] <= 3e-5, steepest
    back = to_theirs(T5.table(None), module.state_dict())
    assert set(back) == set(theirs) and all(torch.equal(back[name], theirs[name]) for name in back)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_greedy_tokens(sizes: dict) -> None:
    transformers = pytest.importorskip("transformers")
    plan, module, other, _ = both(transformers, sizes)
    lengths = [plan.config.distance + 5, 2, 9]
    prompts = [torch.randint(2, plan.config.vocab, (length,)).tolist() for length in lengths]
    rows = generate(module, prompts, new=25, sampling=GREEDY, start=0, stop=[1])
    for prompt, row in zip(prompts, rows, strict=True):
        how = dict(do_sample=False, max_new_tokens=25, eos_token_id=1)
        ids = other.generate(torch.tensor([prompt]), use_cache=False, **how)  # its cache has the encoder's depth
        assert list(row.ids) == ids[0, 1:].tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
@torch.no_grad()
def test_dropout_spreads_the_scores_as_the_references_does(gated: bool) -> None:
    """Wherever it falls, on thousands of equal rows: embeddings, weights, feed-forwards, branches and final norms."""
    transformers = pytest.importorskip("transformers")
    rates = dict(dropout=0.3, gated=gated, scaled=False)
    sizes = dict(vocab=11, width=16, encoder_depth=1, decoder_depth=1, heads=2, head_width=8, hidden=24, **rates)
    _, module, other, _ = both(transformers, sizes)
    source, tokens = torch.randint(11, (1, 5)).expand(20000, -1), torch.randint(11, (1, 3)).expand(20000, -1)
    got = module.train().logits(module(source, tokens)[0])
    wanted = other.train()(source, decoder_input_ids=tokens, use_cache=False).logits
    assert float((got.std(0) / wanted.std(0)).log().abs().mean()) < 0.012
    assert float(((got.mean(0) - wanted.mean(0)) / wanted.std(0)).abs().mean()) < 0.018


def test_a_plain_feed_forward_is_wi_and_a_gated_one_wi_0_and_wi_1() -> None:
    def hidden(gated: bool) -> set[str]:
        state = Blueprint.of("t5", "debug", gated=gated).build().state_dict()
        return {name.split(".")[-2] for name in to_theirs(T5.table(None), state) if "DenseReluDense" in name}

    assert hidden(False) == {"wi", "wo"} and hidden(True) == {"wi_0", "wi_1", "wo"}


# ------------------------------------------------------------------------------------------- fields of a config.json

OLD = dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
NEW = dict(feed_forward_proj="relu", dense_act_fn="relu", is_gated_act=False)


def understood_by_the_reference(fields: dict) -> dict:
    config = pytest.importorskip("transformers").T5Config(**fields)
    return dict(act=ACTIVATIONS[config.dense_act_fn], gated=config.is_gated_act, scaled=config.scale_decoder_outputs)


@pytest.mark.parametrize(
    "theirs, wanted",
    [
        ({}, dict(act="relu", gated=False, scaled=True)),
        (OLD, dict(act="gelu_tanh", gated=True, scaled=False)),
        (OLD | dict(scale_decoder_outputs=True), dict(act="gelu_tanh", gated=True, scaled=True)),
        (dict(feed_forward_proj="gated-silu"), dict(act="silu", gated=True, scaled=True)),
        (NEW | dict(scale_decoder_outputs=False), dict(act="relu", gated=False, scaled=False)),
        (NEW | dict(dense_act_fn="gelu", is_gated_act=True), dict(act="gelu", gated=True, scaled=True)),
    ],
    ids=str,
)
def test_the_feed_forward_and_the_scale_are_read_as_the_reference_reads_them(theirs: dict, wanted: dict) -> None:
    assert T5.published is not None and T5.published.seam is not None
    assert T5.published.seam.read(theirs).fields == wanted
    assert understood_by_the_reference(theirs) == wanted


@pytest.mark.parametrize("sizes", [*SIZES, dict(act="gelu", gated=True, scaled=True)], ids=str)
def test_what_is_written_is_read_back(sizes: dict) -> None:
    seam, config = T5.published and T5.published.seam, Blueprint.of("t5", **sizes).config
    assert seam is not None
    fields = seam.write(config, None)
    assert fields is not None
    wanted = dict(act=config.act, gated=config.gated, scaled=config.scaled)
    older = {name: fields[name] for name in ("feed_forward_proj", "tie_word_embeddings")}
    assert seam.read(fields).fields == wanted
    assert config.scaled != config.tied or seam.read(older).fields == wanted  # they are all that old readers know
    assert understood_by_the_reference(fields) == wanted


def test_other_positions_than_its_own_cannot_be_written() -> None:
    seam, config = T5.published and T5.published.seam, Blueprint.of("t5", buckets=8).config
    assert seam is not None
    assert seam.write(config, RopeScheme()) is None and seam.write(config, T5Scheme(buckets=16)) is None
    assert seam.write(config, T5Scheme(buckets=8)) == seam.write(config, None)


@pytest.mark.parametrize(
    "theirs, fragment",
    [
        (dict(feed_forward_proj="gated-gelu-new"), "'gated-gelu-new'"),
        (dict(feed_forward_proj="glu-gelu"), "'glu-gelu'"),
        (dict(feed_forward_proj="gated-swish1"), "'swish1'"),
        (dict(dense_act_fn="xielu"), "'xielu'"),
        (dict(architectures=["T5Model"], scale_decoder_outputs=False), "T5ForConditionalGeneration"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(theirs: dict, fragment: str) -> None:
    assert T5.published is not None and T5.published.seam is not None
    with pytest.raises(ValueError, match=fragment):
        T5.published.seam.read(theirs)
