"""Every objective on every kind of family: a step, or a refusal that says why; and the contracts that all keep."""

import importlib.util
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from commands import good, weft
from parts import randomised
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch, Dataset, Place
from weft.data import Blocks, Bytes, Packed, Pairs
from weft.data.made import made_pairs, sentences
from weft.evaluate import constant_nats, likelihood
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import Decoder, Encoder, EncoderDecoder, LayerNorm
from weft.objectives import (
    OBJECTIVES,
    Objective,
    Translate,
    bare,
    change_objective,
    kept,
    layout,
    objective_from_data,
    objective_from_text,
    objective_to_data,
)
from weft.objectives.denoise import Denoise, in_one_row
from weft.objectives.table import Way
from weft.objectives.writing import above_mean
from weft.recipes.recipe import RECIPES, with_heads
from weft.settings import SettingError

BYTES, CONTEXT = Bytes(), 64
DOCS = Path(__file__).resolve().parent.parent / "docs"
FAMILY = {Encoder: "bert", Decoder: "llama", EncoderDecoder: "t5"}  # a family of each kind
JOINED = ["masked+next_sentence", "masked+sentence_order", "span_boundary+next_sentence"]
OURS = [name for name in OBJECTIVES.names() if OBJECTIVES.get(name).__module__.startswith("weft.")]
OURS = [name for name in OURS if not OBJECTIVES.get(name).of_signals]
COUPLED = ["contrast"]  # its rows are told apart from one another
MATRIX = [(name, family) for name in OURS for family in reading("text")]


class Opened(dict[str, nn.Module]):
    """Teachers by name."""

    def __call__(self, name: str) -> nn.Module:
        return self[name]


def made(name: str, **changes: str) -> Objective:
    objective = objective_from_text(name)
    if name in ("distil", "distil_masked"):
        changes = {"teacher": "teacher"} | changes
    for path, text in changes.items():
        objective = change_objective(objective, path, text)
    return objective


def texts(length: int, count: int = 6) -> Blocks:
    """Rows of sentences, as bytes; the last is short."""
    ids = [BYTES.end, *BYTES.encode(" ".join(sentences(40, seed=3)))]
    return Blocks(np.array(ids[: count * length - 9], np.int32), length, shift=False)


def begun(name: str, family: str, **changes: str) -> tuple[Objective, nn.Module, Dataset[Batch]]:
    """An objective, a module to be trained with it, and its data."""
    objective, blueprint = made(name, **changes), Blueprint.of(family, "debug", context=CONTEXT)
    blueprint = with_heads(blueprint.change("dropout", "0.1" if name in COUPLED else "0"), objective.heads)
    objective.check(blueprint.empty())
    blueprint = blueprint.change("vocab", str(objective.ids(BYTES)))
    teachers = Opened(teacher=randomised(blueprint.build(seed=9)))
    module = objective.wrap(randomised(blueprint.build(seed=0)), blueprint, 0, teachers)
    if objective.pairs:
        return objective, module, Pairs(made_pairs()[:12], BYTES, 200)
    length = objective.length(bare(module), CONTEXT)
    return objective, module, objective.turn(texts(length), BYTES, 5)


def read(data: Dataset[Batch], samples: Sequence[int] = range(5), epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


def of_its_kind(name: str) -> str:
    carriers = objective_from_text(name).carriers
    return FAMILY[next(kind for kind in FAMILY if kind in carriers)]


def total(objective: Objective, module: nn.Module, batch: Batch) -> Tensor:
    return sum((loss.sum * loss.weight for loss in objective.losses(module, batch).values()), torch.zeros(()))


# ---------------------------------------------------------------- any objective on any family


@pytest.mark.parametrize(("name", "family"), MATRIX)
def test_a_step_or_a_refusal_that_says_why(name: str, family: str) -> None:
    """Families that do not carry an objective refuse by its name; the others give finite losses and gradients."""
    declared = FAMILIES.get(family)
    kind = next(kind for kind in FAMILY if isinstance(Blueprint.of(family, "debug").empty(), kind))
    if kind not in OBJECTIVES.get(name).carriers:
        with pytest.raises(ValueError, match=f"^{name} asks .*, and this model is .*: choose another"):
            begun(name, family)
        return
    weights = declared.terms(Blueprint.of(family, "debug").config)
    changes = {key: str(weight) for key, weight in weights.items()} if hasattr(made(name), "balance") else {}
    objective, module, data = begun(name, family, **changes)
    batch = read(data, range(2))
    if weights and not changes:
        with pytest.raises(ValueError, match="no weights for the model's auxiliary terms balance"):
            objective.losses(module.train(), batch)
        return
    losses = objective.losses(module.train(), batch)
    assert {term: loss.count for term, loss in losses.items()} == objective.counts(batch)
    assert all(bool(loss.sum.isfinite()) for loss in losses.values())
    total(objective, module, batch).backward()
    grads = [p.grad for p in bare(module).parameters() if p.grad is not None]
    assert grads and all(bool(grad.isfinite().all()) for grad in grads)


@pytest.mark.parametrize("name", [*OURS, *JOINED])
def test_it_is_described_and_read_back(name: str) -> None:
    objective = made(name)
    assert objective_from_data(objective_to_data(objective)) == objective
    assert objective.title == name


def test_settings_of_one_of_several_begin_with_its_name() -> None:
    objective = made("masked+next_sentence", **{"masked.share": "0.4", "next_sentence.weight": "0.5"})
    assert objective_to_data(objective)["parts"][0]["share"] == 0.4
    assert objective_to_data(objective)["weights"] == [1.0, 0.5]
    with pytest.raises(SettingError, match="begin with one of masked, next_sentence"):
        change_objective(objective, "share", "0.4")
    with pytest.raises(ValueError, match="replaced has a pass of its own"):
        objective_from_text("masked+replaced")
    with pytest.raises(ValueError, match="at least two different ones"):
        objective_from_text("masked+masked")


# ---------------------------------------------------------------- contracts


@pytest.mark.parametrize("name", [*OURS, *JOINED])
def test_what_is_done_to_a_sample_hangs_on_nothing_else(name: str) -> None:
    """T2: seed, epoch and sample alone."""
    _, _, data = begun(name, of_its_kind(name))
    whole = read(data, range(4), epoch=2)
    for row in range(4):
        alone = read(data, [row], epoch=2)
        width = alone.tokens.shape[1]
        assert torch.equal(alone.tokens[0], whole.tokens[row, :width])
        if alone.labels is not None and whole.labels is not None:
            assert torch.equal(alone.labels[0], whole.labels[row, :width])
        if alone.source is not None and whole.source is not None:
            assert torch.equal(alone.source.tokens[0], whole.source.tokens[row, : alone.source.tokens.shape[1]])
        for key, tensor in alone.asked.items():
            assert torch.equal(tensor[0], whole.asked[key][row])


@pytest.mark.parametrize("name", [name for name in (*OURS, *JOINED) if name not in COUPLED])
def test_micro_batches_add_up(name: str) -> None:
    """T6: the loss and the gradient of parts are those of the whole, but for terms that couple rows and say so."""
    objective, module, data = begun(name, of_its_kind(name))
    assert not getattr(objective, "couples", ())
    module.eval()
    parts = [read(data, [0, 1, 2]), read(data, [3]), read(data, [4])]
    whole = total(objective, module, read(data))
    summed = sum((total(objective, module, part) for part in parts), torch.zeros(()))
    torch.testing.assert_close(summed, whole, rtol=2e-5, atol=1e-4)
    weights = [p for p in bare(module).parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(loss, weights, allow_unused=True) for loss in (summed, whole))
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3)


def packed(how: str) -> Blocks | Packed:
    """Rows of several documents that do not see one another, one of them longer than a row."""
    lengths, letters = (90, 3, 40, 1, 14, 9, 33), " ".join(sentences(20, seed=3))
    documents = [BYTES.encode(letters[7 * length : 8 * length]) for length in lengths]
    ids = np.array([BYTES.end, *(i for one in documents for i in (*one, BYTES.end))], np.int32)
    if how == "isolate":
        return Blocks(ids, CONTEXT, shift=False, isolate=True, end=BYTES.end)
    return Packed(ids, np.flatnonzero(ids == BYTES.end) + 1, CONTEXT, end=BYTES.end)


def one_row(pairs: Batch) -> Batch:
    """All pairs of a batch in a row, one behind the other."""
    assert pairs.segments is not None
    real = pairs.segments > 0
    return Batch(
        pairs.tokens[real][None],
        None if pairs.labels is None else pairs.labels[real][None],
        segments=real.nonzero()[:, 0][None] + 1,
        source=None if pairs.source is None else one_row(pairs.source),
    )


def separate(batch: Batch, row: int, number: int) -> Batch:
    """A document of a row as a batch of its own."""
    assert batch.segments is not None
    own = batch.segments[row] == number
    asked = {key: tensor[row][own][None] for key, tensor in batch.asked.items()}
    for key in asked.keys() & {"first", "last"}:  # places of the row
        asked[key] = (asked[key] - int(own.nonzero()[0])).where(asked["first"] > 0, 0)
    return Batch(
        batch.tokens[row][own][None],
        None if batch.labels is None else batch.labels[row][own][None],
        source=None if batch.source is None else separate(batch.source, row, number),
        asked=asked,
    )


@pytest.mark.parametrize("how", ["isolate", "pack"])
@pytest.mark.parametrize("name", [*OURS, *JOINED])
def test_packed_rows_cost_and_teach_what_separate_ones_do(name: str, how: str) -> None:
    """T12, or a refusal that names the way out."""
    objective, module, pairs = begun(name, of_its_kind(name))
    if objective.pairs:
        batch = one_row(read(pairs))
    else:
        try:
            data = objective.turn(packed(how), BYTES, 5)
            batch = read(data, range(len(data)))
        except ValueError as error:
            part = next((part for part in name.split("+") if str(error).startswith(part)), name)
            assert str(error).startswith(part) and "these hold several documents: set data.rows=stream" in str(error)
            return
    assert batch.segments is not None and int(batch.segments.max()) > 1
    numbers = [(row, number) for row, own in enumerate(batch.segments) for number in own[own > 0].unique().tolist()]
    parts, whole = [objective.losses(module.eval(), separate(batch, *place)) for place in numbers], torch.zeros(())
    apart = torch.zeros(())
    for term, loss in objective.losses(module, batch).items():
        assert loss.count == sum(part[term].count for part in parts) > 0
        summed = sum((part[term].sum for part in parts), torch.zeros(()))
        torch.testing.assert_close(loss.sum, summed, rtol=1e-4, atol=1e-3)
        whole, apart = whole + loss.weight * loss.sum, apart + loss.weight * summed
    weights = [p for p in bare(module).parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(one, weights, allow_unused=True) for one in (whole, apart))
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4 * max(10.0, float(b.abs().max())))


@pytest.mark.parametrize("name", [*OURS, *JOINED])
def test_a_batch_that_asks_nothing_gives_nothing(name: str) -> None:
    """T7."""
    objective, module, data = begun(name, of_its_kind(name))
    batch = read(data)
    asked = {key: torch.full_like(t, IGNORED) if t.ndim == 1 else t for key, t in batch.asked.items()}
    labels = None if batch.labels is None else torch.full_like(batch.labels, IGNORED)
    nothing = replace(batch, labels=labels, asked=asked)
    losses = objective.losses(module.train(), nothing)
    assert {term: loss.count for term, loss in losses.items()} == dict.fromkeys(losses, 0)
    assert all(float(loss.sum.detach()) == 0.0 and loss.sum.requires_grad for loss in losses.values())


@pytest.mark.parametrize("name", [name for name in OURS if issubclass(OBJECTIVES.get(name), Denoise)])
def test_what_ends_the_targets_is_asked_for(name: str) -> None:
    """T13, also where a decoder reads inputs and targets in one row."""
    _, _, data = begun(name, "t5")
    batch = read(data)
    assert batch.labels is not None and batch.source is not None
    for labels in batch.labels:
        assert labels[labels != IGNORED][-1] == BYTES.end
    row = in_one_row(batch)
    assert row.labels is not None
    for one, pair in zip(row.labels, batch.labels, strict=True):
        assert torch.equal(one[one != IGNORED], pair[pair != IGNORED])
    for number in range(len(row.tokens)):
        source = batch.source.tokens[number][batch.source.segments[number] > 0]  # type: ignore[index]
        target = batch.tokens[number][batch.segments[number] > 0]  # type: ignore[index]
        real = slice(None) if row.segments is None else row.segments[number] > 0
        assert torch.equal(row.tokens[number][real], torch.cat((source[:-1], target)))


@pytest.mark.parametrize("name", [name for name in OURS if issubclass(OBJECTIVES.get(name), Denoise)])
@pytest.mark.parametrize("family", ["t5", "llama"])
def test_rows_fit_into_the_model(name: str, family: str) -> None:
    _objective, _module, data = begun(name, family)
    for epoch in range(30):
        batch = read(data, range(5), epoch)
        assert batch.source is not None
        if family == "llama":
            assert in_one_row(batch).tokens.shape[1] <= CONTEXT
        else:
            assert max(batch.tokens.shape[1], batch.source.tokens.shape[1]) <= CONTEXT


# ---------------------------------------------------------------- single ones


@pytest.mark.parametrize("unit", ["words", "spans"])
def test_whole_words_are_hidden(unit: str) -> None:
    """Of rows of words of letters, a word is hidden whole or not at all; of spans, in one way."""
    _, _, data = begun("masked", "bert", unit=unit, share="0.3", random="0")
    plain, hidden = read(texts(CONTEXT), range(4)), 0
    batch = read(data, range(4))
    assert batch.labels is not None
    for tokens, labels in zip(plain.tokens, batch.labels, strict=True):
        asked = (labels != IGNORED).tolist()
        letters = [i > 2 and chr(i - 3).isalnum() for i in tokens.tolist()]
        inside = [a and b for a, b in itertools.pairwise(letters)]  # both places are of one word
        assert all(asked[at] == asked[at + 1] for at, one in enumerate(inside) if one)
        hidden += sum(asked)
    assert 0.2 < hidden / plain.tokens.numel() < 0.45


def test_so_many_copies_of_the_noise_are_taken_in_turn() -> None:
    _, _, data = begun("masked", "bert", copies="3")
    labels = [read(data, epoch=epoch).labels for epoch in range(6)]
    for epoch in range(3):
        assert torch.equal(labels[epoch], labels[epoch + 3])  # type: ignore[arg-type]
        assert not torch.equal(labels[epoch], labels[epoch + 1])  # type: ignore[arg-type]


def test_smoothed_labels_cost_what_the_definition_says() -> None:
    module = randomised(Blueprint.of("t5", "debug", vocab=BYTES.vocab, dropout=0.0).build())
    assert isinstance(module, EncoderDecoder)
    batch = read(Pairs(made_pairs()[:5], BYTES, 200))
    assert batch.source is not None and batch.labels is not None
    objective = Translate(smoothing=0.1)
    x, _ = module(batch.source.tokens, batch.tokens, *(layout(b) for b in (batch.source, batch)))
    scores = module.logits(x).flatten(0, 1)
    wanted = functional.cross_entropy(scores, batch.labels.flatten(), label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(total(objective, module, batch), wanted, rtol=1e-5, atol=1e-3)
    weights = list(module.parameters())
    ours = torch.autograd.grad(total(objective, module, batch), weights, allow_unused=True)
    for a, b in zip(ours, torch.autograd.grad(wanted, weights, allow_unused=True), strict=True):
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    assert float(above_mean(module, x.detach(), torch.full_like(batch.labels, IGNORED)).detach()) == 0.0


def test_next_sentences_follow_or_come_from_elsewhere() -> None:
    _, _, data = begun("next_sentence", "bert")
    plain, kinds = texts(CONTEXT), []
    for epoch in range(40):
        batch = read(data, epoch=epoch)
        for row, kind in enumerate(batch.asked["next_sentence"].tolist()):
            kinds.append(kind)
            assert batch.types is not None and batch.segments is not None
            real = batch.segments[row] > 0
            line, types = batch.tokens[row][real], batch.types[row][real]
            a, b = line[types == 0][1:-1], line[types == 1][:-1]
            text = read(plain, [row]).tokens[0]
            text = text[text != BYTES.end][: CONTEXT - 3]
            assert torch.equal(a, text[: len(a)])
            follows = torch.equal(b, text[len(a) : len(a) + len(b)])
            assert follows if kind == 0 else True
    assert 0.35 < np.mean(kinds) < 0.65


@pytest.mark.parametrize("family, name", [("bert", "next_sentence"), ("siglip_text", "sentence_order")])
def test_pairs_of_stretches_are_trained_alone(family: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The weaver mends the red thread and sings a quiet song at dawn.\n" * 300)
    words = ("--objective", name, "--data", tmp_path / "text.txt", "--debug", "--set", "train.steps=2")
    good("train", family, *words, "--quiet", "--out", tmp_path / "out")
    said = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert said["evaluation"]["nats_per_token"] == pytest.approx(math.log(2), abs=0.2)
    refused = weft("train", "clip_text", *words, "--out", tmp_path / "other")
    assert refused.status == 1 and "pooler reads where the first one ends" in " ".join(refused.err.split())
    assert not (tmp_path / "other").exists()


def test_beside_tokens_that_are_hidden_a_kind_of_row_has_the_objectives_name() -> None:
    for name in ("masked+next_sentence", "next_sentence+masked"):
        objective, module, data = begun(name, "bert")
        losses = objective.losses(module, read(data))
        assert {term: loss.count > 6 for term, loss in losses.items()} == {"loss": True, "next_sentence": False}


def test_sentence_order_is_turned_in_half_the_rows() -> None:
    _, _, data = begun("sentence_order", "albert")
    batch, plain = read(data), texts(CONTEXT)
    for row, kind in enumerate(batch.asked["sentence_order"].tolist()):
        assert batch.types is not None and batch.segments is not None
        real = batch.segments[row] > 0
        line, types = batch.tokens[row][real], batch.types[row][real]
        a, b = line[types == 0][1:-1], line[types == 1][:-1]
        text = read(plain, [row]).tokens[0]
        text = text[text != BYTES.end][: CONTEXT - 3]
        assert torch.equal(torch.cat((b, a) if kind else (a, b)), text)


def test_guesses_follow_the_generator_and_a_right_one_is_the_authors() -> None:
    objective, module, data = begun("replaced", "electra")
    x = torch.randn(1, 48, generator=torch.Generator().manual_seed(1))
    draws = torch.rand(20000, generator=torch.Generator().manual_seed(2))
    guesses = module.guess(x.expand(20000, -1), draws)  # type: ignore[operator]
    scores = module.generator.heads["masked"](x, module.table)[0].softmax(-1)  # type: ignore[union-attr, index, operator]
    found = torch.bincount(guesses, minlength=len(scores)) / 20000
    assert float((found - scores.detach()).abs().max()) < 0.02
    assert objective.counts(read(data, range(4)))["loss"] == 4 * CONTEXT


@pytest.mark.parametrize("sharing", ["whole", "disentangled"])
def test_the_discriminators_loss_reaches_the_generators_table_only_where_it_is_shared(sharing: str) -> None:
    objective, module, data = begun("replaced", "bert", sharing=sharing)
    found = objective.losses(module, read(data))["loss"].sum
    table = bare(module).embed.weight  # type: ignore[union-attr]
    (grad,) = torch.autograd.grad(found, [table], allow_unused=True)
    assert (grad is not None and bool(grad.any())) == (sharing == "whole")
    if sharing == "disentangled":
        with torch.no_grad():
            module.own.normal_()  # type: ignore[union-attr, operator]
        tensors = kept(module, dict(module.state_dict()))
        assert torch.equal(tensors["embed.weight"], table + module.own)  # type: ignore[operator]
    names = set(kept(module, dict(module.state_dict())))
    assert {name for name in names if not name.startswith("heads.replaced")} <= set(bare(module).state_dict())


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it() -> None:
    objective, module, data = begun("distil", "llama")
    module.teacher.load_state_dict(bare(module).state_dict())  # type: ignore[union-attr, operator]
    losses = objective.losses(module.eval(), read(data))
    assert abs(float(losses["soft"].sum.detach())) < 1e-2 and abs(float(losses["cosine"].sum.detach())) < 1e-2
    assert all(not p.requires_grad for p in module.teacher.parameters())  # type: ignore[union-attr]
    assert not any(name.startswith("teacher") for name in kept(module, dict(module.state_dict())))


@pytest.mark.parametrize(("name", "family"), [("distil", "llama"), ("distil_masked", "bert")])
def test_a_made_teacher_is_like_the_student_and_another(name: str, family: str) -> None:
    """So that a run can be tried out (--debug) before there is a teacher."""
    objective, module, data = begun(name, family, teacher="made")
    ours, theirs = (dict(part.state_dict()) for part in (bare(module), module.teacher))  # type: ignore[union-attr, operator]
    assert {key: t.shape for key, t in ours.items()} == {key: t.shape for key, t in theirs.items()}
    assert float(objective.losses(module.eval(), read(data))["soft"].sum.detach()) > 1


def test_a_teacher_that_cannot_teach_is_refused() -> None:
    blueprint = Blueprint.of("llama", "debug")
    student, objective = blueprint.build(), objective_from_text("distil")
    with pytest.raises(ValueError, match="a student needs a teacher .* set objective.teacher and data.tokenizer"):
        objective.check(student)  # before any data is read
    objective = change_objective(objective, "teacher", "x")
    with pytest.raises(ValueError, match="x holds a Encoder, and the student is a Decoder"):
        objective.wrap(student, blueprint, 0, Opened(x=Blueprint.of("bert", "debug").build()))
    with pytest.raises(ValueError, match="x has 77 ids and the student 131"):
        objective.wrap(student, blueprint, 0, Opened(x=Blueprint.of("llama", "debug", vocab=77).build()))


def test_a_text_is_nearest_to_itself() -> None:
    objective, module, data = begun("contrast", "bert", temperature="0.01")
    assert objective.couples == ("loss",)  # type: ignore[attr-defined]
    found = objective.losses(module.eval(), read(data))["loss"]
    assert found.count == 5 and 0 <= float(found.sum.detach()) < 5 * np.log(5)
    assert objective.counts(read(data, [0])) == {"loss": 0}


def test_a_sentence_or_a_document_of_each_row_is_contrasted() -> None:
    """Whole ones, where a row has any; never two documents in one text."""
    parts = [sentences(9, seed=3), sentences(5, seed=4), ["no stop here"], sentences(7, seed=5)]
    documents = [" ".join(part) for part in parts]
    ids = np.array([BYTES.end, *(i for one in documents for i in (*BYTES.encode(one), BYTES.end))], np.int32)
    rows, seen = Blocks(ids, 440, shift=False), set[str]()
    whole = {"sentences": {one for part in parts for one in part}, "documents": set(documents)}
    for unit, expected in whole.items():
        data = made("contrast", unit=unit).turn(rows, BYTES, 5)
        for epoch in range(20):
            batch = read(data, range(len(data)), epoch)
            assert batch.labels is None and batch.segments is not None
            assert batch.asked["text"].tolist() == list(range(len(data)))
            for tokens, real in zip(batch.tokens, batch.segments > 0, strict=True):
                assert tokens[real][0] == tokens[real][-1] == BYTES.end
                text = BYTES.decode(tokens[real][1:-1].tolist())
                assert any(text.strip() in one for one in documents), text
                seen |= {text.strip()} & expected
        assert len(seen & expected) > (10 if unit == "sentences" else 1)
    assert "no stop here" in seen
    empty = made("contrast").turn(Blocks(np.array([BYTES.end] * 9, np.int32), 4, shift=False), BYTES, 5)
    assert read(empty, range(2)).asked["text"].tolist() == [IGNORED] * 2
    with pytest.raises(ValueError, match="does not say where any is: turn the data by this objective"):
        made("contrast").losses(Blueprint.of("bert", "debug").build(), read(rows, range(2)))


def test_a_model_that_drops_nothing_out_is_not_contrasted() -> None:
    """Both readings of a text would be the same."""
    with pytest.raises(ValueError, match=r"contrast reads a text twice .* set model\.dropout=0\.1"):
        objective_from_text("contrast").check(Blueprint.of("bert", "debug", dropout=0.0).empty())
    of_attention = Blueprint.of("bert", "debug", dropout=0.0, attention_dropout=0.1)
    objective_from_text("contrast").check(of_attention.empty())
    recipe = RECIPES.get("pretrain_contrast")
    recipe.minimised.check(recipe.model.empty())
    for path, text in recipe.debug:
        recipe = recipe.change(path, text)
    recipe.minimised.check(recipe.model.empty())


def test_a_spans_ends_are_told_from_outside_it() -> None:
    objective, module, data = begun("span_boundary", "spanbert")
    batch = read(data)
    first, last = batch.asked["first"], batch.asked["last"]
    assert batch.labels is not None and int((first > 0).sum()) > 0
    for row, at in (first > 0).nonzero().tolist():
        start, stop = int(first[row, at]), int(last[row, at])
        assert start <= at <= stop and bool((batch.labels[row, start : stop + 1] != IGNORED).all())
        assert batch.labels[row, start - 1] == IGNORED and batch.labels[row, stop + 1] == IGNORED
    with pytest.raises(ValueError, match="longest = 99 places of a span, but the head 'span' tells 10"):
        other = change_objective(objective, "longest", "99")
        other.losses(module, batch)


# ---------------------------------------------------------------- the page, the figure to beat, the commands


def test_the_page_of_objectives_is_the_codes_own() -> None:
    spec = importlib.util.spec_from_file_location("objectives_page", DOCS / "objectives.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "objectives.md").read_text(encoding="utf-8") == module.page(), "run python docs/objectives.py"
    lines = {line.split(" | ")[0].strip("| "): line for line in module.page().splitlines() if line.startswith("|")}
    assert all(f"`denoise`, ways={way}" in lines for way in get_args(Way))
    assert "kept replaced" in lines["`replaced`: the model"] and "week . ␃ |" not in lines["`contrast`"][-12:]
    assert all("teacher" in lines[name] for name in ("`distil`", "`distil_masked`"))


def test_one_guess_for_all_is_the_entropy_of_the_labels() -> None:
    objective, module, data = begun("masked", "bert")
    found = constant_nats(module, data, objective)
    labels = torch.cat([read(data, [sample]).labels[0] for sample in range(len(data))])  # type: ignore[index]
    counts = labels[labels != IGNORED].bincount().double()
    shares = counts[counts > 0] / counts.sum()
    assert found == pytest.approx(float(-(shares * shares.log()).sum()))
    nothing = objective.turn(Blocks(np.array([BYTES.end] * 9, np.int32), 4, shift=False), BYTES, 0)
    assert constant_nats(module, nothing, objective) is None


def test_one_guess_for_all_is_what_a_model_without_eyes_pays_for_replaced_tokens() -> None:
    """The held-out figure beside which it stands, where every token gets the same score: their share's log odds."""
    objective, module, data = begun("replaced", "bert")
    module.eval()
    batch = read(data, range(len(data)))
    replaced = objective.filled(module, batch)[1]  # type: ignore[attr-defined]
    share = float((replaced == 1).sum() / (replaced != IGNORED).sum())
    assert 0.05 < share < 0.2  # 15 % are masked, and guesses of a new generator are wrong
    head = module.model.heads["replaced"]  # type: ignore[union-attr, index]
    with torch.no_grad():
        head.out.weight.zero_()  # type: ignore[union-attr, operator]
        head.out.bias.fill_(np.log(share / (1 - share)))  # type: ignore[union-attr, operator]
    found = likelihood(module, data, objective, bytes=None).nats_per_token
    assert constant_nats(module, data, objective) == pytest.approx(found, rel=1e-4)


def test_one_guess_for_all_is_what_one_vector_for_all_texts_pays() -> None:
    objective, module, _ = begun("contrast", "bert")
    ids = [BYTES.end, *BYTES.encode(" ".join(sentences(60, seed=3)))]
    data = objective.turn(Blocks(np.array(ids, np.int32), CONTEXT, shift=False), BYTES, 0)
    assert len(data) % 16 not in (0, 1)  # the last batch has fewer to choose from
    for part in module.eval().modules():
        if isinstance(part, LayerNorm):
            nn.init.zeros_(part.weight)
            assert part.bias is not None
            nn.init.normal_(part.bias)
    found = likelihood(module, data, objective, bytes=None).nats_per_token
    assert constant_nats(module, data, objective) == pytest.approx(found, rel=1e-4)
    assert 2.5 < found < np.log(16)


def test_a_chosen_objective_trains_resumes_and_scores(tmp_path: Path) -> None:
    """From the command line: chosen, set, described, refused when it changes, and asked of the saved model."""
    out, words = tmp_path / "run", ("--debug", "--quiet", "--set", "train.precision=fp32", "--set", "train.steps=4")
    chosen = ("train", "t5", "--out", out, *words, "--objective", "spans")
    card = good(*chosen, "--set", "objective.mean=2").out
    assert "one guess for all, same labels" in card
    told = json.loads((out / "run.json").read_text())["settings"]
    assert told["objective"] == {"name": "spans", "balance": None, "share": 0.15, "mean": 2.0}
    assert told["data"]["source"] == "made"
    refused = weft(*chosen, "--resume")
    assert refused.status == 1 and "objective.mean was 2.0" in refused.err
    text = tmp_path / "text.txt"
    text.write_text(" ".join(sentences(60, seed=9)))
    assert good("eval", out, "--data", text, "--json").data["nats_per_token"] > 0
    further = good("train", out, "--out", tmp_path / "more", *words).out
    assert json.loads((tmp_path / "more" / "run.json").read_text())["settings"]["objective"]["name"] == "spans", further
    other = weft("train", "bert", "--out", tmp_path / "x", *words, "--objective", "spans")
    assert other.status == 1 and "spans asks an encoder–decoder or a decoder, and this model is an encoder" in other.err


def test_what_was_trained_beside_a_model_is_said_and_not_scored(tmp_path: Path) -> None:
    out, words = tmp_path / "run", ("--debug", "--set", "train.precision=fp32", "--set", "train.steps=2")
    done = good("train", "roberta", "--out", out, *words, "--objective", "replaced")
    assert "roberta has no head replaced" in " ".join((done.out + done.err).split())
    text = tmp_path / "text.txt"
    text.write_text(" ".join(sentences(60, seed=9)))
    refused = weft("eval", out, "--data", text)
    assert refused.status == 1 and "replaced was asked of a head 'replaced' beside this one" in refused.err
