"""The numbers of the reference implementations, with odd sizes and every parameter random; and the names between."""

import dataclasses
import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from odd import Given
from published_cases import published
from torch import Tensor, nn
from torch.nn import functional

import weft
from weft.files import read_header, read_tensors, write_tensors
from weft.hub.moves import MismatchError, to_ours, to_theirs
from weft.models import FAMILIES, Blueprint
from weft.nn import Layout, Rope, RopeScheme, rope

GOLDEN = sorted((Path(__file__).resolve().parent / "golden").glob("*.safetensors"))
CLOSE = 1e-5  # standard deviations of the logits


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter random, norms and biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            std = 0.2 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
            parameter.normal_(std=std, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(1.0)
    return module.eval()


def off(a: Tensor, b: Tensor) -> float:
    """Largest difference in standard deviations of b."""
    assert a.shape == b.shape
    return float((a - b).detach().abs().max() / b.detach().std())


def compare(
    plan: Blueprint, reference: nn.Module, record_property: Callable[[str, object], None], scheme: str = ""
) -> None:
    """Logits of a ragged batch, padded on either side, and every gradient."""
    table = FAMILIES.get(plan.family).table(plan.config)
    theirs = {name: parameter.detach() for name, parameter in reference.named_parameters()}
    module = plan.empty().to_empty(device="cpu")
    module.load_state_dict(to_ours(table, theirs), strict=True)
    lengths, width = torch.tensor([13, 1, 8]), 13
    tokens = torch.randint(plan.config.vocab, (3, width))
    worst = 0.0
    for side in ("right", "left"):
        here = Layout.ragged(lengths, width, side=side)
        real = here.numbered(width, torch.device("cpu"))
        seen = real.segments == 1
        wanted = reference(tokens, attention_mask=seen.long(), position_ids=real.order, use_cache=False).logits[seen]
        got = module.logits(module.eval()(tokens, here)[0])[seen]
        worst = max(worst, off(got, wanted))
    labels = tokens.roll(-1, 1)[seen]
    own = dict(zip((n for n, _ in module.named_parameters()), gradients(got, labels, module), strict=True))
    other = dict(zip(theirs, gradients(wanted, labels, reference), strict=True))
    apart = {name: float((own[name] - g).norm()) for name, g in to_ours(table, other).items()}
    assert set(apart) == set(own)
    scale = {name: max(float(gradient.norm()), 1e-2) for name, gradient in own.items()}
    steepest = max(apart, key=lambda name: apart[name] / scale[name])
    record_property("logits, standard deviations", worst)
    record_property("gradient, relative", apart[steepest] / scale[steepest])
    print(
        f"{plan.family} {scheme}: logits {worst:.1e} sd, gradient {apart[steepest] / scale[steepest]:.1e} ({steepest})"
    )
    assert worst <= CLOSE
    assert apart[steepest] <= 3e-5 * scale[steepest], steepest
    back = to_theirs(table, module.state_dict())
    assert set(back) == set(theirs) and all(torch.equal(back[name], theirs[name]) for name in back)


def gradients(scores: Tensor, labels: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    return torch.autograd.grad(functional.cross_entropy(scores, labels), list(module.parameters()))


GPT2S = [
    dict(vocab=97, context=29, width=30, depth=3, heads=5, eps=1e-3),
    dict(vocab=53, context=13, width=28, depth=2, heads=7, hidden=50, act="gelu", tied=False),
    dict(vocab=211, context=64, width=36, depth=1, heads=3, hidden=20, act="relu", eps=1e-6),
    dict(vocab=31, context=17, width=21, depth=12, heads=1),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", GPT2S, ids=str)
def test_gpt2(sizes: dict, record_property: Callable[[str, object], None]) -> None:
    transformers = pytest.importorskip("transformers")
    plan = Blueprint.of("gpt2", **sizes)
    c = plan.config
    config = transformers.GPT2Config(
        vocab_size=c.vocab,
        n_positions=c.context,
        n_embd=c.width,
        n_layer=c.depth,
        n_head=c.heads,
        n_inner=c.hidden,
        activation_function={"gelu_tanh": "gelu_new"}.get(c.act, c.act),
        layer_norm_epsilon=c.eps,
        tie_word_embeddings=c.tied,
        attn_implementation="eager",
    )
    compare(plan, randomise(transformers.GPT2LMHeadModel(config)), record_property)


LLAMAS = [
    dict(vocab=97, width=36, depth=3, heads=6, kv_heads=3, head_width=10, hidden=50, eps=1e-3, theta=5e5),
    dict(vocab=53, width=25, depth=2, heads=5, kv_heads=1, head_width=8, hidden=31, tied=True),
    dict(vocab=211, width=24, depth=1, heads=3, hidden=44, theta=777.0, eps=1e-6, act="gelu_tanh"),
    dict(vocab=31, width=14, depth=11, heads=7, kv_heads=7, head_width=4, hidden=8),
]
SCALED = {
    "llama3": (
        rope.Llama3(8.0, 16),
        dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
    ),
    "yarn": (rope.Yarn(4.0, 16), dict(original_max_position_embeddings=16)),
    "linear": (rope.Linear(3.0), {}),
    "dynamic": (rope.Dynamic(2.0, 8), {}),
}


def llama(transformers, c, **scaling):
    """The reference at the sizes of our config."""
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=c.vocab,
            max_position_embeddings=8 if scaling.get("rope_type") == "dynamic" else 64,
            hidden_size=c.width,
            num_hidden_layers=c.depth,
            num_attention_heads=c.heads,
            num_key_value_heads=c.kv_heads or c.heads,
            head_dim=c.head_width or c.width // c.heads,
            intermediate_size=c.hidden,
            hidden_act={"gelu_tanh": "gelu_pytorch_tanh"}.get(c.act, c.act),
            rms_norm_eps=c.eps,
            tie_word_embeddings=c.tied,
            rope_parameters={"rope_type": "default", "rope_theta": c.theta, **scaling},
            attn_implementation="eager",
        )
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", LLAMAS, ids=str)
def test_llama(sizes: dict, record_property: Callable[[str, object], None]) -> None:
    transformers = pytest.importorskip("transformers")
    plan = Blueprint.of("llama", **sizes)
    compare(plan, randomise(llama(transformers, plan.config)), record_property)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SCALED)
def test_llama_with_scaled_positions(kind: str, record_property: Callable[[str, object], None]) -> None:
    transformers = pytest.importorskip("transformers")
    scaling, theirs = SCALED[kind]
    plan = Blueprint.of("llama", **LLAMAS[0])
    plan = Blueprint(plan.family, plan.config, RopeScheme(plan.config.theta, scaling=scaling))
    reference = randomise(llama(transformers, plan.config, rope_type=kind, factor=scaling.factor, **theirs))
    compare(plan, reference, record_property, kind)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@torch.no_grad()
def test_golden_files(path: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """The reference's numbers, kept."""
    size = path.stat().st_size
    assert size < 250_000, f"{path.name} has {size:,} bytes, at most 250,000: make the first case in tests/odd smaller"
    metadata, tensors = read_header(path).metadata, read_tensors(path)
    golden = {name.removeprefix("golden."): tensors.pop(name) for name in list(tensors) if name.startswith("golden.")}
    (tmp_path / "config.json").write_text(metadata["config"], encoding="utf-8")
    write_tensors(tmp_path / "model.safetensors", tensors)
    model = weft.load(tmp_path)
    if "given" in metadata:
        given = given_again(json.loads(metadata["given"]), golden)
        got, wanted = given.kept(given.ours(model.module.eval())), golden["logits"]
        record_property("logits, standard deviations", off(got, wanted))
        assert off(got, wanted) <= CLOSE
        return
    tokens, lengths = golden["tokens"], golden["lengths"]
    if "source" in golden:
        got = model.logits(golden["source"], tokens, golden["source_lengths"], lengths=lengths)
    else:
        got = model.logits(tokens, lengths=lengths)
    wanted, seen = golden["logits"], torch.arange(tokens.shape[1]) < lengths[:, None]
    if wanted.shape[:2] == tokens.shape:
        got, wanted = got[seen], wanted[seen]
    record_property("logits, standard deviations", off(got, wanted))
    assert off(got, wanted) <= CLOSE


def given_again(said: dict[str, Any], tensors: dict[str, Tensor], prefix: str = "") -> Given:
    """What the reference of a model of signals was given, see tests/golden/make.py."""
    kind, made = getattr(importlib.import_module(said["module"]), said["class"]), dict[str, Any]()
    for field in dataclasses.fields(kind):
        value, name = said["fields"].get(field.name), prefix + field.name
        if name in tensors:
            made[field.name] = tensors[name]
        elif isinstance(value, dict):
            made[field.name] = given_again(value, tensors, f"{name}.")
        else:
            made[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)


def test_there_are_golden_files() -> None:
    assert {path.stem for path in GOLDEN} == set(published()), "make them: python tests/golden/make.py"


# ------------------------------------------------------------------------------------------- the Transformer of 2017


TRANSFORMERS = [
    dict(vocab=37, width=30, heads=5, encoder_depth=3, decoder_depth=2, hidden=44, last_norm=True),
    dict(vocab=53, width=28, heads=7, encoder_depth=1, decoder_depth=3, hidden=17, act="gelu", eps=1e-3, last_norm=True)
    | dict(tied=False),
    dict(vocab=37, width=30, heads=3, encoder_depth=2, decoder_depth=2, hidden=21, act="gelu"),
    dict(vocab=31, width=22, heads=1, encoder_depth=11, decoder_depth=12, hidden=9, tied=False),
]


def transformer_of_torch(c) -> nn.Transformer:
    """torch's at our sizes, every parameter random; its last norms are left out where ours are."""
    how = dict(dropout=0.0, activation=c.act, layer_norm_eps=c.eps, batch_first=True)
    custom = {}
    if not c.last_norm:
        encoder = nn.TransformerEncoderLayer(c.width, c.heads, c.hidden, **how)
        decoder = nn.TransformerDecoderLayer(c.width, c.heads, c.hidden, **how)
        custom["custom_encoder"] = nn.TransformerEncoder(encoder, c.encoder_depth, enable_nested_tensor=False)
        custom["custom_decoder"] = nn.TransformerDecoder(decoder, c.decoder_depth)
    depths = c.encoder_depth, c.decoder_depth
    reference = nn.Transformer(c.width, c.heads, *depths, c.hidden, **custom, **how)
    randomise(reference)
    return reference.train()  # no kernel that evaluation alone takes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", TRANSFORMERS, ids=str)
def test_the_transformer_of_2017(sizes: dict, record_property: Callable[[str, object], None]) -> None:
    """Scores and every gradient of ragged pairs, through the names that both have; torch's has no tables."""
    plan = Blueprint.of("transformer", **sizes)
    c, table, reference = plan.config, FAMILIES.get("transformer").table(plan.config), transformer_of_torch(plan.config)
    named = ("embed.weight",) if c.tied else ("embed.weight", "target.weight", "head.weight")
    tables = {name: torch.randn(c.vocab, c.width).mul(c.width**-0.5).requires_grad_() for name in named}
    theirs = dict(reference.named_parameters()) | tables
    module = plan.empty().to_empty(device="cpu")
    module.load_state_dict(to_ours(table, {name: tensor.detach() for name, tensor in theirs.items()}), strict=True)
    source, tokens = torch.randint(c.vocab, (3, 9)), torch.randint(c.vocab, (3, 7))
    source_here, here = Layout.ragged(torch.tensor([9, 2, 5]), 9), Layout.ragged(torch.tensor([3, 7, 1]), 7)
    x = embedded(tables[named[0]], source)
    y = embedded(tables[named[-2:][0]], tokens)
    states = reference(
        x,
        y,
        tgt_mask=torch.ones(7, 7, dtype=torch.bool).triu(1),
        src_key_padding_mask=source_here.segments == 0,
        tgt_key_padding_mask=here.segments == 0,
        memory_key_padding_mask=source_here.segments == 0,
    )
    seen = here.segments == 1
    wanted = (states @ tables[named[-1]].T)[seen]
    got = module.eval().logits(module(source, tokens, source_here, here)[0])[seen]
    labels = tokens.roll(-1, 1)[seen]
    own = dict(zip((name for name, _ in module.named_parameters()), gradients(got, labels, module), strict=True))
    other = torch.autograd.grad(functional.cross_entropy(wanted, labels), list(theirs.values()))
    reverse = to_ours(table, dict(zip(theirs, other, strict=True)))
    assert set(reverse) == set(own)
    apart = {name: float((own[name] - g).norm() / max(float(own[name].norm()), 1e-2)) for name, g in reverse.items()}
    steepest = max(apart, key=lambda name: apart[name])
    record_property("logits, standard deviations", off(got, wanted))
    record_property("gradient, relative", apart[steepest])
    print(f"transformer: logits {off(got, wanted):.1e} sd, gradient {apart[steepest]:.1e} ({steepest})")
    assert off(got, wanted) <= CLOSE and apart[steepest] <= 1e-4
    back = to_theirs(table, module.state_dict())
    assert set(back) == set(theirs) and all(torch.equal(back[name], theirs[name]) for name in back)


def embedded(table: Tensor, ids: Tensor) -> Tensor:
    """√D · table[ids] + the paper's sinusoids, one number at a time."""
    width = table.shape[1]
    angles = [[place / 10000 ** (i // 2 * 2 / width) for i in range(width)] for place in range(ids.shape[1])]
    waves = [[math.sin(a) if i % 2 == 0 else math.cos(a) for i, a in enumerate(row)] for row in angles]
    return table[ids] * math.sqrt(width) + torch.tensor(waves)


# ------------------------------------------------------------------------------------------------- tables of weights

TABLE = (
    ("embed.weight", "wte.weight", ""),
    ("layers.*.attn.{q,k,v}", "h.*.c_attn", "transpose, join"),
    ("layers.*.attn.sink", "h.*.sinks", ""),
    ("layers.*.norm", "h.*.ln", ""),
    ("layers.*.experts.*.up", "h.*.moe.*.w1", "optional"),
    ("head.weight", "lm_head.weight", "optional"),
)


def state(depth: int = 3) -> dict[str, Tensor]:
    ours = {"embed.weight": torch.randn(5, 4)}
    for i in range(depth):
        ours |= {f"layers.{i}.attn.{part}.weight": torch.randn(4, 4) for part in "qkv"}
        ours |= {f"layers.{i}.attn.{part}.bias": torch.randn(4) for part in "qkv"}
        ours |= {f"layers.{i}.attn.sink": torch.randn(2), f"layers.{i}.norm.weight": torch.randn(4)}
    ours["layers.1.experts.10.up.weight"] = torch.randn(3, 4)
    return ours


def test_a_table_reads_both_ways() -> None:
    ours = state(12)
    theirs = to_theirs(TABLE, ours)
    assert theirs["h.3.c_attn.weight"].shape == (4, 12) and theirs["h.3.c_attn.bias"].shape == (12,)
    assert torch.equal(theirs["h.3.c_attn.weight"][:, 4:8], ours["layers.3.attn.k.weight"].T)
    assert torch.equal(theirs["h.1.moe.10.w1.weight"], ours["layers.1.experts.10.up.weight"])
    assert torch.equal(theirs["h.11.sinks"], ours["layers.11.attn.sink"])
    back = to_ours(TABLE, dict(reversed(theirs.items())))
    assert set(back) == set(ours) and all(torch.equal(back[name], ours[name]) for name in ours)
    again = to_theirs(TABLE, back)
    assert set(again) == set(theirs) and all(torch.equal(again[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("gone", ["wte.weight", "h.1.c_attn.weight", "h.2.c_attn.bias", "h.0.ln.weight", "h.1.sinks"])
def test_a_missing_tensor_is_named(gone: str) -> None:
    theirs = to_theirs(TABLE, state())
    del theirs[gone]
    with pytest.raises(MismatchError, match=f"missing: {gone}"):
        to_ours(TABLE, theirs)


def test_a_missing_layer_is_named() -> None:
    theirs = {name: t for name, t in to_theirs(TABLE, state()).items() if not name.startswith("h.1.")}
    with pytest.raises(MismatchError, match=r"h\.1\.c_attn"):
        to_ours(TABLE, theirs)


@pytest.mark.parametrize(
    "gone", ["embed.weight", "layers.1.attn.k.weight", "layers.0.attn.q.bias", "layers.2.norm.weight"]
)
def test_a_missing_tensor_of_ours_is_named(gone: str) -> None:
    ours = state()
    del ours[gone]
    with pytest.raises(MismatchError, match=gone):
        to_theirs(TABLE, ours)


@pytest.mark.parametrize(
    "name", ["h.0.attn.bias", "h.x.ln.weight", "wte.bias", "wte", "h.0.ln.scale", "x.wte.weight", "h.1"]
)
def test_an_unexpected_tensor_is_named(name: str) -> None:
    with pytest.raises(MismatchError, match=f"'{name}'"):
        to_ours(TABLE, {**to_theirs(TABLE, state()), name: torch.zeros(1)})
    with pytest.raises(MismatchError, match=f"'{name}'"):
        to_theirs(TABLE, {**state(), name: torch.zeros(1)})


def test_unequal_parts_and_bad_rows_are_refused() -> None:
    theirs = to_theirs(TABLE, state())
    theirs["h.0.c_attn.weight"] = torch.zeros(4, 13)
    with pytest.raises(MismatchError, match=r"h\.0\.c_attn\.weight \[4, 13\]"):
        to_ours(TABLE, theirs)
    wrong = (("a.*", "b", ""), ("a.{q,k}", "b", ""), ("a.{q,k}", "b.{q,k,v}", ""), ("a", "b", "join"))
    for row in (*wrong, ("a", "b", "transposed")):
        with pytest.raises(ValueError, match="row"):
            to_ours((row,), {})


EITHER = (
    ("layers.*.{gate,up}", "h.*.{wi_0,wi_1}", "optional"),
    ("layers.*.up", "h.*.wi", "optional"),
    ("layers.*.{q,k}", "h.*.{query,key}", ""),
)


def test_one_of_our_names_may_be_either_of_two_of_theirs() -> None:
    """By what stands beside it, in each layer."""
    names = {"layers.0.gate": "h.0.wi_0", "layers.0.up": "h.0.wi_1", "layers.1.up": "h.1.wi"}
    names |= {f"layers.{i}.{own}": f"h.{i}.{its}" for i in (0, 1) for own, its in (("q", "query"), ("k", "key"))}
    ours = {f"{name}.weight": torch.randn(2, 2) for name in names}
    ours |= {f"layers.{i}.q.bias": torch.randn(2) for i in (0, 1)}  # keys have none
    theirs = to_theirs(EITHER, ours)
    assert set(theirs) == {f"{name}.weight" for name in names.values()} | {"h.0.query.bias", "h.1.query.bias"}
    back = to_ours(EITHER, theirs)
    assert set(back) == set(ours) and all(torch.equal(back[name], ours[name]) for name in ours)


@pytest.mark.parametrize(
    "names, said",
    [
        (("wi_1", "query", "key"), r"missing: h\.0\.wi_0\.weight"),
        (("wi_0", "query", "key"), r"missing: h\.0\.wi_1\.weight"),
        (("wi", "wi_0", "wi_1", "query", "key"), r"h\.0\.wi.*weight and h\.0\.wi.*weight would both be layers\.0\.up"),
        (("wi", "query"), r"missing: h\.0\.key\.weight"),
    ],
)
def test_half_of_a_whole_and_two_of_one_are_named(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(MismatchError, match=said):
        to_ours(EITHER, {f"h.0.{name}.weight": torch.zeros(2, 2) for name in names})


def test_half_of_a_whole_of_ours_is_named() -> None:
    for name, gone in (("q", "k"), ("k", "q")):
        with pytest.raises(MismatchError, match=rf"missing: layers\.0\.{gone}\.weight"):
            to_theirs(EITHER, {f"layers.0.{name}.weight": torch.zeros(2, 2)})


def test_rope_pairs_halves_as_the_reference_does() -> None:
    """Checkpoints in the other pairing (neighbours) need their rows permuted: this fixes which one is ours."""
    x = torch.arange(8.0)[None, None, None]
    turned = Rope(8).at(*[Layout(torch.tensor([[3]]))] * 3, 1).rotate_q(x)[0, 0, 0]
    angle = 3.0
    assert float(turned[0]) == pytest.approx(0 * math.cos(angle) - 4 * math.sin(angle), abs=1e-5)
    assert float(turned[4]) == pytest.approx(4 * math.cos(angle) + 0 * math.sin(angle), abs=1e-5)
