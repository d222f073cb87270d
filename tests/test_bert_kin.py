"""What BERT's kin have of their own: vectors of distance, shared layers, positions behind padding, heads for spans, for
sentence order and for replaced tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from odd import Case
from parts import randomised
from published_cases import reference
from torch import Tensor
from torch.nn import functional

import weft
from weft.files import read_json, read_tensors, write_json, write_tensors
from weft.hub import LoadError, Model
from weft.hub.fields import read_fields
from weft.models import Blueprint
from weft.nn import Encoder, Layout, SpanHead

LENGTHS = torch.tensor([11, 1, 7])
REAL = torch.arange(11) < LENGTHS[:, None]
PREFIX = "bert.encoder.layer"


def rows(vocab: int, *, least: int = 0, seed: int = 0) -> Tensor:
    return torch.randint(least, vocab, (3, 11), generator=torch.Generator().manual_seed(seed))


def encoder(family: str, **changes: Any) -> Encoder:
    module = Blueprint.of(family, "debug", **changes).build()
    assert isinstance(module, Encoder)
    return randomised(module)


def off(got: Tensor, wanted: Tensor) -> float:
    assert got.shape == wanted.shape
    return float((got - wanted).detach().abs().max() / wanted.detach().std())


# ------------------------------------------------------------------------------------ BERT with vectors of distance


def relative_folder(folder: Path, kind: str) -> dict[str, Tensor]:
    """A folder as version 4 of the reference library wrote it, made of ours; its tensors."""
    blueprint = Blueprint.of("bert", "debug", context=16, width=30, heads=5, depth=2, vocab=61)
    weft.save(Model(randomised(blueprint.build()), blueprint), folder)
    tensors, draw = read_tensors(folder / "model.safetensors"), torch.Generator().manual_seed(4)
    tables = {
        f"{PREFIX}.{n}.attention.self.distance_embedding.weight": torch.randn(2 * 16 - 1, 6, generator=draw)
        for n in range(2)
    }
    write_tensors(folder / "model.safetensors", tensors | tables)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"position_embedding_type": kind})
    return tensors | tables


def oracle(w: dict[str, Tensor], tokens: Tensor, kind: str, heads: int = 5) -> Tensor:
    """Version 4's arithmetic, written out: no absolute positions, a vector for each distance of query and key."""

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    stem, place = "bert.embeddings", torch.arange(tokens.shape[1])
    x = norm(
        w[f"{stem}.word_embeddings.weight"][tokens] + w[f"{stem}.token_type_embeddings.weight"][0], f"{stem}.LayerNorm"
    )
    for name in (f"{PREFIX}.{n}" for n in range(2)):
        q, k, v = (
            linear(x, f"{name}.attention.self.{part}").unflatten(-1, (heads, -1)) for part in ("query", "key", "value")
        )
        vectors = w[f"{name}.attention.self.distance_embedding.weight"][place[:, None] - place[None] + 15]  # [T, S, K]
        scores = torch.einsum("bthk,bshk->bhts", q, k) + torch.einsum("bthk,tsk->bhts", q, vectors)
        if kind == "relative_key_query":
            scores = scores + torch.einsum("bshk,tsk->bhts", k, vectors)
        scores = (scores / q.shape[-1] ** 0.5).masked_fill(~REAL[:, None, None], -torch.inf)
        z = torch.einsum("bhts,bshk->bthk", scores.softmax(-1), v).flatten(-2)
        x = norm(linear(z, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        hidden = functional.gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(linear(hidden, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    return x


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
def test_bert_with_vectors_of_distance_is_version_4s_and_keeps_every_tensor(kind: str, tmp_path: Path) -> None:
    tensors, tokens = relative_folder(tmp_path / "theirs", kind), rows(61)
    model = weft.load(tmp_path / "theirs")
    table = tensors["bert.embeddings.word_embeddings.weight"].requires_grad_()
    wanted, got = oracle(tensors, tokens, kind)[REAL], model.encode(tokens, LENGTHS)[REAL]
    assert off(got, wanted) <= 1e-5
    some = torch.randn(wanted.shape)
    (other,) = torch.autograd.grad((wanted * some).sum(), table)
    (own,) = torch.autograd.grad((got * some).sum(), model.module.get_parameter("embed.weight"))
    assert float((own - other).norm() / other.norm()) <= 1e-4
    weft.save(model, tmp_path / "ours")
    saved = read_tensors(tmp_path / "ours" / "model.safetensors")
    assert saved.keys() == tensors.keys() and all(torch.equal(saved[name], tensors[name]) for name in saved)
    assert "position_embeddings" in "".join(saved), "the table that nothing reads stays in the folder"
    weft.save(weft.load(tmp_path / "ours"), tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "ours" / "model.safetensors"
    ).read_bytes()
    assert read_json(tmp_path / "ours" / "config.json") == read_json(tmp_path / "again" / "config.json")


def test_a_swap_back_to_absolute_positions_leaves_the_dead_table_behind(tmp_path: Path) -> None:
    relative_folder(tmp_path / "theirs", "relative_key")
    changed = weft.load(tmp_path / "theirs").change("position", "default", seed=1)
    weft.save(changed, tmp_path / "ours")
    again = weft.load(tmp_path / "ours")
    assert torch.equal(
        again.module.get_parameter("embed.position.weight"), changed.module.get_parameter("embed.position.weight")
    )
    assert "position_embedding_type" not in read_json(tmp_path / "ours" / "config.json")


def test_vectors_of_distance_go_out_without_a_table_of_positions_too(tmp_path: Path) -> None:
    blueprint = Blueprint.of("bert", "debug").change("position", '{"name": "relative_key", "distance": 63}')
    model = Model(randomised(blueprint.build()), blueprint)
    weft.save(model, tmp_path / "ours")
    assert read_json(tmp_path / "ours" / "config.json")["position_embedding_type"] == "relative_key_query"
    assert torch.equal(weft.load(tmp_path / "ours").encode(rows(131)), model.encode(rows(131)))


def test_kinds_of_positions_that_are_not_known_are_refused() -> None:
    for family in ("bert", "roberta", "albert", "electra"):
        with pytest.raises(ValueError, match=r"position_embedding_type is 'rotary'"):
            read_fields({"model_type": family, "position_embedding_type": "rotary"})


# ------------------------------------------------------------------------------------------------------ SpanBERT


@pytest.mark.parametrize("sizes", [{"width": 48, "place": 7}, {"width": 30, "heads": 5, "hidden": 17, "place": 31}])
def test_a_span_is_told_from_the_states_just_outside_it(sizes: dict[str, int]) -> None:
    """Joshi et al. 2020, §3.2: h = LN(gelu(W [before; behind; place])), y = LN(gelu(V h)), scores = E y + b."""
    module = encoder("spanbert", tasks=["masked", "span"], **sizes)
    head, tokens = module.heads["span"], rows(131)
    assert isinstance(head, SpanHead)
    x, _ = module(tokens)
    row, first, last = torch.tensor([0, 0, 2]), torch.tensor([3, 3, 1]), torch.tensor([5, 5, 1])
    at = torch.tensor([3, 5, 1])
    y = torch.cat((x[row, first - 1], x[row, last + 1], head.places.weight[at - first]), -1)
    for dense, norm in ((head.dense, head.norm), (head.token.dense, head.token.norm)):
        y = functional.gelu(y @ dense.weight.T + dense.bias)
        y = functional.layer_norm(y, (sizes["width"],), norm.weight, norm.bias, 1e-12)  # type: ignore[arg-type]
    wanted = y @ module.embed.weight.T + head.token.out.bias  # type: ignore[union-attr]
    read = head.read(x[row, first - 1], x[row, last + 1], at - first)
    assert off(module.logits(read, "span"), wanted) <= 1e-5
    labels = torch.tensor([5, -100, 7])
    loss, plain = module.nats(read, labels, "span"), functional.cross_entropy(wanted, labels, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    names, parameters = zip(*(pair for pair in module.named_parameters() if "masked" not in pair[0]), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert [name for name, gradient in zip(names, found, strict=True) if gradient is None] == []
    inside = x.detach().clone()
    inside[0, 3:6] = inside[2, 1] = 0.0  # what stands in the span is not read
    again = head.read(inside[row, first - 1], inside[row, last + 1], at - first)
    assert torch.equal(module.logits(again, "span"), module.logits(read, "span"))


def test_a_span_s_head_says_what_it_reads() -> None:
    module = encoder("spanbert", tasks=["masked", "span"], place=7)
    with pytest.raises(ValueError, match=r"103 numbers, not 48.*SpanHead.read"):
        module.logits(module(rows(131))[0], "span")


# ------------------------------------------------------------------------------------------- against the reference

SMALL = dict(
    vocab_size=61, num_attention_heads=3, num_hidden_layers=3, intermediate_size=31, max_position_embeddings=19
)
BOTH_HEADS = [
    Case("AlbertForPreTraining", "AlbertConfig", dict(SMALL, hidden_size=33, embedding_size=10, type_vocab_size=3)),
    Case("AlbertModel", "AlbertConfig", dict(SMALL, hidden_size=27, embedding_size=27, inner_group_num=2)),
    Case("RobertaModel", "RobertaConfig", dict(SMALL, hidden_size=36, type_vocab_size=4), avoid=(1,)),
    Case("ElectraForPreTraining", "ElectraConfig", dict(SMALL, hidden_size=21, embedding_size=30, type_vocab_size=2)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", BOTH_HEADS, ids=lambda case: case.kind)
@torch.no_grad()
def test_token_types_pooled_vectors_and_second_heads_are_the_reference_s(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    theirs = reference(case)
    theirs.save_pretrained(tmp_path)
    model, tokens, types = weft.load(tmp_path), rows(61, least=2), rows(case.fields.get("type_vocab_size", 2), seed=5)
    out = theirs(tokens, attention_mask=REAL.long(), token_type_ids=types, output_hidden_states=True)
    x = model.encode(tokens, LENGTHS, types=types)
    assert off(x[REAL], out.hidden_states[-1][REAL]) <= 1e-5
    if "pooler_output" in out:
        assert off(model.module.pool(x), out.pooler_output) <= 1e-5  # type: ignore[operator]
    if "sop_logits" in out:
        assert off(model.logits(tokens, lengths=LENGTHS, types=types, head="sentence_order"), out.sop_logits) <= 1e-5
    if case.kind.startswith("Electra"):
        scores = model.logits(tokens, lengths=LENGTHS, types=types, head="replaced")
        assert scores.shape == tokens.shape and off(scores[REAL], out.logits[REAL]) <= 1e-5


# ------------------------------------------------------------------------------------------------ ALBERT, RoBERTa


def test_albert_has_one_layer_s_weights_for_all_of_its_steps() -> None:
    def count(**changes: Any) -> int:
        return sum(parameter.numel() for parameter in encoder("albert", **changes).stack.parameters())

    assert count(depth=12) == count(depth=1) and count(depth=12, groups=3, repeats=2) == 6 * count(depth=1)
    module = encoder("albert", depth=7, groups=3, repeats=2)
    assert module.stack.order == (0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5)


def test_a_roberta_of_514_positions_reads_512_tokens_and_no_more() -> None:
    c = read_fields({"model_type": "roberta", "max_position_embeddings": 514}).blueprint.config
    assert (c.context, c.first) == (512, 2)
    module = encoder("roberta", context=12)
    assert module.embed.position.get_parameter("weight").shape == (14, 48)
    module(torch.ones(1, 12, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"13 .* 12"):
        module(torch.ones(1, 13, dtype=torch.int64))
    for rows_, pad in ((2, 1), (7, 9), (7, -1), ("7", 1)):
        with pytest.raises(ValueError, match="max_position_embeddings is"):
            read_fields({"model_type": "roberta", "max_position_embeddings": rows_, "pad_token_id": pad})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pad", [1, 5])
@torch.no_grad()
def test_a_padding_id_within_a_row_takes_no_place_as_in_the_reference(pad: int, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    fields = dict(SMALL, max_position_embeddings=24, pad_token_id=pad)
    theirs = reference(Case("RobertaForMaskedLM", "RobertaConfig", fields))
    theirs.save_pretrained(tmp_path)
    model, tokens = weft.load(tmp_path), rows(41, least=6)
    whole = theirs(input_ids=tokens).logits
    tokens[0, [0, 3, 4]], tokens[2, 10] = pad, pad
    wanted = theirs(input_ids=tokens, attention_mask=REAL.long()).logits
    assert off(model.logits(tokens, LENGTHS)[REAL], wanted[REAL]) <= 1e-4
    assert off(model.logits(tokens)[1], whole[1]) <= 1e-4 < off(model.logits(tokens)[0], whole[0])


@torch.no_grad()
def test_a_padding_id_takes_no_place_wherever_its_document_lies() -> None:
    module, tokens = encoder("roberta"), rows(131, least=2)[:1, :6]
    tokens[0, 2] = 1
    alone = module(tokens)[0]
    padded = torch.cat((torch.full((1, 3), 1), tokens), 1)
    here = Layout.ragged(torch.tensor([6]), 9, side="left")
    assert off(module(padded, here)[0][:, 3:], alone) <= 1e-5
    packed = Layout(segments=torch.tensor([[1, 1, 1, 2, 2, 2, 2, 2, 2]]))
    assert off(module(padded, packed)[0][:, 3:], alone) <= 1e-5
    moved = module(torch.cat((tokens[:, :2], tokens[:, 3:]), 1))[0]
    assert off(moved[:, 2:], alone[:, 3:]) > 1e-3  # it is seen all the same


def test_a_folder_with_old_buffers_and_copies_is_read(tmp_path: Path) -> None:
    """As the reference's first versions wrote RoBERTa: places as a buffer, a copy of the table and one of the bias."""
    blueprint = Blueprint.of("roberta", "debug", pooler=True)
    model = Model(randomised(blueprint.build()), blueprint)
    weft.save(model, tmp_path)
    tensors = read_tensors(tmp_path / "model.safetensors")
    old = {
        "roberta.embeddings.position_ids": torch.arange(66)[None],
        "lm_head.decoder.weight": tensors["roberta.embeddings.word_embeddings.weight"].clone(),
        "lm_head.decoder.bias": tensors["lm_head.bias"].clone(),
    }
    write_tensors(tmp_path / "model.safetensors", tensors | old)
    again = weft.load(tmp_path)
    assert again.config == model.config and torch.equal(again.logits(rows(131)), model.logits(rows(131)))
    write_tensors(tmp_path / "model.safetensors", tensors | {"roberta.embeddings.extra": torch.zeros(2)})
    with pytest.raises(LoadError, match=r"roberta\.embeddings\.extra"):
        weft.load(tmp_path)
