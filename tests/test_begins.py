"""A document begins as its model expects it: rows, scores, training and text of published models and their runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import TINY, good
from published_cases import Case, reference
from tokenizers import pre_tokenizers
from torch.nn.functional import cross_entropy

import weft
from weft.batch import IGNORED, Batch, Place
from weft.data import (
    Blocks,
    Bytes,
    DataSettings,
    Document,
    Pairs,
    Texts,
    as_prompt,
    load_tokenizer,
    open_store,
    prepare,
    rows,
    stream,
    train_tokenizer,
    trained_before,
)
from weft.files import read_json, write_json
from weft.generate import GREEDY, Sampling
from weft.hub import Model
from weft.hub.score import score
from weft.models import Blueprint
from weft.objectives import MaskedTokens
from weft.objectives.masked import MaskedRows

TEXTS = ["the weaver mends", "red", "a thread at dawn"]
DOCUMENTS = [Document(str(number), text) for number, text in enumerate(TEXTS)]
LLAMA = Case(
    "LlamaForCausalLM",
    "LlamaConfig",
    dict(vocab_size=260, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
         max_position_embeddings=64, bos_token_id=1, eos_token_id=[2, 3]),
)  # fmt: skip
T5 = Case(
    "T5ForConditionalGeneration",
    "T5Config",
    dict(vocab_size=259, d_model=24, d_kv=8, d_ff=40, num_heads=3, num_layers=2, decoder_start_token_id=0,
         eos_token_id=1, pad_token_id=0),
)  # fmt: skip
GPT2 = Case("GPT2LMHeadModel", "GPT2Config", dict(vocab_size=257, n_positions=64, n_embd=24, n_layer=2, n_head=3,
            bos_token_id=0, eos_token_id=0))  # fmt: skip


def bytelevel(folder: Path, specials: list[str], around: list[str], **more: Any) -> Path:
    """A published tokenizer of bytes: `specials` have the first ids; `around`: a text "$" with names around it."""
    folder.mkdir(parents=True, exist_ok=True)
    bytes_ = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    names = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    single = [
        {"Sequence": {"id": "A", "type_id": 0}} if name == "$" else {"SpecialToken": {"id": name, "type_id": 0}}
        for name in around
    ]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    known = {name: {"id": name, "ids": [number], "tokens": [name]} for number, name in enumerate(specials)}
    template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": bytes_,
        "decoder": bytes_, "post_processor": template if around else bytes_,
        "added_tokens": [{"id": n, "content": name, **flags, "special": True} for n, name in enumerate(specials)],
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {name: number for number, name in enumerate(names)}, "merges": []},
    }  # fmt: skip
    write_json(folder / "tokenizer.json", data)
    for name, content in more.items():
        write_json(folder / f"{name}.json", content)
    return folder


def like_llama(folder: Path) -> Path:
    """<s> a, and an end that tokenizer_config.json alone tells from another that convention would take."""
    return bytelevel(folder, ["<unk>", "<s>", "<|im_end|>", "</s>"], ["<s>", "$"],
                     tokenizer_config={"eos_token": "<|im_end|>", "bos_token": "<s>"})  # fmt: skip


def like_bert(folder: Path) -> Path:
    """[CLS] a [SEP]."""
    train_tokenizer("wordpiece", TEXTS, 200).save(folder)
    data = read_json(folder / "tokenizer.json")
    ids = {token["content"]: token["id"] for token in data["added_tokens"]}
    around = {name: [token, ids[token]] for name, token in (("sep", "[SEP]"), ("cls", "[CLS]"))}
    write_json(folder / "tokenizer.json", data | {"post_processor": {"type": "BertProcessing", **around}})
    return folder


def like_t5(folder: Path) -> Path:
    return bytelevel(folder, ["<pad>", "</s>", "<unk>"], ["$", "</s>"])


def like_gpt2(folder: Path) -> Path:
    return bytelevel(folder, ["<|endoftext|>"], [])


MODELS = {"llama": (LLAMA, like_llama), "t5": (T5, like_t5), "gpt2": (GPT2, like_gpt2)}


def published(name: str, folder: Path) -> Path:
    """A model with its tokenizer, as the reference writes it."""
    pytest.importorskip("transformers")
    case, tokenizer = MODELS[name]
    reference(case).save_pretrained(folder)
    return tokenizer(folder)


def write_texts(folder: Path, name: str) -> Path:
    """Data for a model: a file for each text, or pairs."""
    folder.mkdir()
    if name == "t5":
        (folder / "a.tsv").write_text("".join(f"{text}\t{text[::-1]}\n" for text in TEXTS * 3))
        return folder / "a.tsv"
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.txt").write_text(text)
    return folder


def documents_of(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """What is read and what is asked for, segment by segment."""
    assert batch.segments is not None and batch.labels is not None
    found = []
    for tokens, labels, segments in zip(batch.tokens, batch.labels, batch.segments, strict=True):
        for number in range(1, int(segments.max()) + 1):
            here = segments == number
            found.append((tokens[here].tolist(), labels[here].tolist()))
    return found


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("make", [like_llama, like_bert])
def test_a_document_is_begun_and_ended_by_ids_of_its_own(make: Callable[[Path], Path], tmp_path: Path):
    tokenizer = load_tokenizer(make(tmp_path))
    begin, end = tokenizer.begin, tokenizer.end
    spelt = [tokenizer.encode(text) for text in TEXTS]
    assert begin != end
    whole = [number for ids in spelt for number in (begin, *ids, end)]
    assert stream(DOCUMENTS, tokenizer).tolist() == [*whole, begin]
    wanted = [([begin, *ids, end], [*ids, end, IGNORED]) for ids in spelt]
    for how in ("isolate", "pack"):
        dataset, _ = rows(DOCUMENTS, tokenizer, 200, how)
        assert sorted(documents_of(dataset.batch([Place(0, 0)]))) == sorted(wanted), how
    batch = rows(DOCUMENTS, tokenizer, 200)[0].batch([Place(0, 0)])
    assert batch.labels is not None and begin not in batch.labels
    assert int((batch.labels != IGNORED).sum()) == sum(map(len, spelt)) + len(spelt)


@pytest.mark.parametrize("how", ["stream", "isolate", "pack"])
def test_every_token_and_every_end_is_asked_for_once_in_short_rows(how: Any, tmp_path: Path):
    tokenizer = load_tokenizer(like_llama(tmp_path))
    dataset, _ = rows(DOCUMENTS, tokenizer, 5, how)
    batch = dataset.batch([Place(0, sample) for sample in range(len(dataset))])
    assert batch.labels is not None
    asked = sorted(batch.labels[batch.labels != IGNORED].tolist())
    assert asked == sorted(number for text in TEXTS for number in (*tokenizer.encode(text), tokenizer.end))


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "bytes", "characters", "word"])
def test_ours_begin_with_their_end(kind: str):
    tokenizer = train_tokenizer(kind, TEXTS, 300 if kind in ("bpe", "unigram", "wordpiece") else 0)
    assert tokenizer.begin == tokenizer.end
    whole = [number for text in TEXTS for number in (*tokenizer.encode(text), tokenizer.end)]
    assert stream(DOCUMENTS, tokenizer).tolist() == [tokenizer.end, *whole]


def test_neither_what_begins_nor_what_ends_a_text_is_hidden(tmp_path: Path):
    tokenizer = load_tokenizer(like_bert(tmp_path))
    dataset, _ = rows(DOCUMENTS, tokenizer, 200, "isolate")
    masked = MaskedRows(dataset, MaskedTokens(1.0), tokenizer).batch([Place(0, 0)])
    plain = dataset.batch([Place(0, 0)])
    around = (plain.tokens == tokenizer.begin) | (plain.tokens == tokenizer.end)
    assert masked.labels is not None and plain.segments is not None
    assert torch.equal(masked.labels != IGNORED, ~around & (plain.segments > 0))
    assert int((around & (plain.segments > 0)).sum()) == 2 * len(TEXTS)


def test_pairs_stand_between_what_their_model_puts_around_them(tmp_path: Path):
    tokenizer = load_tokenizer(like_t5(tmp_path))
    batch = Pairs([("ab", "c")], tokenizer, 8, begins=(0,)).batch([Place(0, 0)])
    assert batch.source is not None and batch.labels is not None
    (a, b), (c,) = tokenizer.encode("ab"), tokenizer.encode("c")
    assert batch.source.tokens.tolist() == [[a, b, 1]]
    assert (batch.tokens.tolist(), batch.labels.tolist()) == ([[0, c]], [[c, 1]])
    forced = Pairs([("ab", "c")], tokenizer, 8, begins=(0, 3)).batch([Place(0, 0)])  # a language, say: it is given
    assert forced.labels is not None
    assert (forced.tokens.tolist(), forced.labels.tolist()) == ([[0, 3, c]], [[IGNORED, c, 1]])
    assert Pairs([("a", "c")], tokenizer, 3, begins=(0, 3)).dropped == 0
    with pytest.raises(ValueError, match="none of 1 pairs fits"):
        Pairs([("a", "cc")], tokenizer, 3, begins=(0, 3))
    around = load_tokenizer(like_bert(tmp_path / "bert"))
    (source,) = Pairs([("red", "red")], around, 8).batch([Place(0, 0)]).source.tokens.tolist()  # type: ignore[union-attr]
    assert source == [around.begin, *around.encode("red"), around.end]
    fits = 2 + len(around.encode("red"))
    assert Pairs([("red", "")], around, fits).dropped == 0
    with pytest.raises(ValueError, match="none of 1 pairs fits"):
        Pairs([("red", "")], around, fits - 1)


def test_what_begins_documents_needs_what_ends_them():
    with pytest.raises(ValueError, match="begin=1 needs end beside it"):
        Blocks(np.arange(9), 4, begin=1)


# ---------------------------------------------------------------- stores


def test_a_store_keeps_who_begins_and_ends(tmp_path: Path):
    tokenizer = load_tokenizer(like_llama(tmp_path / "published"))
    settings = DataSettings(held_out=0.4, store=str(tmp_path / "store"), rows="isolate")
    made = prepare(settings, 64, pairs=False, tokenizer=tokenizer, sources=[Texts(TEXTS)])
    again = prepare(settings, 64, pairs=False, tokenizer=tokenizer, sources=[Texts(TEXTS)])
    assert made.digest == again.digest
    assert (again.tokenizer.begin, again.tokenizer.end) == (1, 2) == (tokenizer.begin, tokenizer.end)
    read = [*documents_of(made.train.batch([Place(0, 0)])), *documents_of(made.held_out.batch([Place(0, 0)]))]
    assert sorted(tokens for tokens, _ in read) == sorted([1, *tokenizer.encode(text), 2] for text in TEXTS)
    store = open_store(tmp_path / "store")
    assert trained_before(store, store) == 0


def test_a_store_whose_documents_begin_otherwise_is_refused(tmp_path: Path):
    tokenizer = load_tokenizer(like_llama(tmp_path / "published"))
    tokenizer.template = None  # type: ignore[attr-defined] # as if nothing were known of it, when it is written
    settings = DataSettings(held_out=0.4, store=str(tmp_path / "store"))
    with pytest.raises(
        ValueError, match=r"begin documents with the id 2, as an earlier weft did, .* tokenizer with 1: remove"
    ):
        prepare(settings, 64, pairs=False, tokenizer=tokenizer, sources=[Texts(TEXTS)])


# ---------------------------------------------------------------- scores, as the reference's


@pytest.mark.parametrize("how", ["stream", "isolate", "pack"])
def test_the_score_of_a_published_decoder_is_the_references(how: Any, tmp_path: Path):
    folder = published("llama", tmp_path / "model")
    model, theirs = weft.load(folder), reference(LLAMA)
    spelt = [[1, *model.tokenizer.encode(text), 2] for text in TEXTS]  # type: ignore[union-attr]
    groups = [[number for ids in spelt for number in ids]] if how == "stream" else spelt
    nats = 0.0
    for ids in groups:
        labels = torch.tensor([IGNORED if number == 1 else number for number in ids[1:]])
        scores = theirs(input_ids=torch.tensor([ids])).logits[0, :-1].detach()
        nats += float(cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum"))
    found = score(model, (str(write_texts(tmp_path / "texts", "llama")),), how=how)
    assert found.tokens == sum(len(text) + 1 for text in TEXTS) and found.bytes == sum(map(len, TEXTS))
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_the_score_of_a_published_translator_is_the_references(tmp_path: Path):
    folder = published("t5", tmp_path / "model")
    model, theirs = weft.load(folder), reference(T5)
    nats = 0.0
    for text in TEXTS * 3:
        source, target = (model.tokenizer.encode(side) for side in (text, text[::-1]))  # type: ignore[union-attr]
        labels = torch.tensor([[*target, 1]])  # of which the reference makes the decoder's input itself
        nats += float(theirs(input_ids=torch.tensor([[*source, 1]]), labels=labels).loss.detach()) * labels.numel()
    found = score(model, (str(write_texts(tmp_path / "texts", "t5")),))
    assert found.nats == pytest.approx(nats, rel=1e-5)


# ---------------------------------------------------------------- a run, and what it leaves


def ways(model: weft.Model, data: Path) -> tuple[Any, ...]:
    """What a model writes, what ends and starts it, and what it gives for data."""
    written = [model.generate(text, GREEDY, tokens=9).ids for text in ("the", "red thread", "")]
    return written, model.generate("mends", tokens=5, beams=2).ids, model.stops, score(model, (str(data),)).nats


@pytest.mark.parametrize("name", MODELS)
def test_a_run_of_a_published_model_writes_and_scores_as_the_model_did(name: str, tmp_path: Path):
    folder, data, out = published(name, tmp_path / "model"), write_texts(tmp_path / "data", name), tmp_path / "run"
    small = ("--set", "train.batch=2", "--set", "train.steps=2", "--set", "train.precision=fp32", "--set")
    options = ("--data", str(data), *small, "train.rate=1e-30", "--set", "train.weight_decay=0", "--set")
    options = (*options, "data.held_out=0.4", "--set", "train.checkpoint_every=1", "--set", "train.kernel=eager")
    good("train", str(folder), "--out", str(out), *options)
    before, after = weft.load(folder), weft.load(out)
    wanted, found = ways(before, data), ways(after, data)
    assert found[:3] == wanted[:3] and found[3] == pytest.approx(wanted[3], rel=1e-6)
    tokenizers = before.tokenizer, after.tokenizer
    assert len({(tokenizer.begin, tokenizer.end) for tokenizer in tokenizers if tokenizer}) == 1
    assert read_json(out / "config.json")["model_type"] == "weft"
    good("train", str(folder), "--out", str(out), *options, "--set", "train.steps=3", "--resume")
    good("train", str(out), "--out", str(tmp_path / "more"), *options)  # a run of the run
    weft.save(after, tmp_path / "saved")
    for again in (out, tmp_path / "more", tmp_path / "saved"):
        assert ways(weft.load(again), data)[:3] == wanted[:3], again
    files = {path.name for path in out.iterdir()}
    good("train", "gpt2", "--debug", "--out", str(out), "--overwrite")
    assert not {"generation_config.json", "tokenizer_config.json"} & {path.name for path in out.iterdir()}
    assert "generation_config.json" in files


def test_a_published_model_with_spare_rows_is_trained_further(tmp_path: Path):
    pytest.importorskip("transformers")
    reference(replace(T5, fields=T5.fields | {"vocab_size": 264})).save_pretrained(tmp_path / "model")
    folder, data = like_t5(tmp_path / "model"), write_texts(tmp_path / "data", "t5")
    words = ("--data", str(data), "--set", "train.steps=1", "--set", "train.batch=2", "--set", "data.held_out=0.4")
    good("train", str(folder), "--out", str(tmp_path / "run"), *words)
    model = weft.load(tmp_path / "run")
    assert model.config.vocab == 264 and model.tokenizer is not None and model.tokenizer.vocab == 259
    written = [model.generate("red", Sampling(1e4, seed=seed), tokens=60) for seed in range(3)]
    assert any(number >= 259 for row in written for number in row.ids)  # it has no text
    assert "".join(model.stream("red", Sampling(1e4, seed=0), tokens=60)) == written[0].text


@pytest.mark.parametrize("name", MODELS)
def test_a_part_swapped_in_changes_nothing_around_a_text(name: str, tmp_path: Path):
    folder, data = published(name, tmp_path / "model"), write_texts(tmp_path / "data", name)
    model = weft.load(folder).change("position", "alibi")
    weft.save(model, tmp_path / "own")
    weft.save(weft.load(tmp_path / "own"), tmp_path / "again")
    assert read_json(tmp_path / "own" / "config.json")["model_type"] == "weft"
    wanted = ways(model, data)
    for saved in ("own", "again"):
        assert ways(weft.load(tmp_path / saved), data) == wanted
    files = [{path.name: path.read_bytes() for path in (tmp_path / saved).iterdir()} for saved in ("own", "again")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("make", "told", "begins"),
    [
        (like_llama, {}, [1]),  # as its tokenizer says
        (like_t5, {}, [1]),  # END, as in its rows
        (like_gpt2, {}, [0]),
        (like_gpt2, {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": False}, [0]),
    ],
)
def test_a_new_model_goes_on_from_what_began_its_rows(
    make: Callable[[Path], Path], told: dict[str, Any], begins: list[int], tmp_path: Path
):
    folder, data = make(tmp_path / "tokenizer"), write_texts(tmp_path / "data", "gpt2")
    if told:
        write_json(folder / "tokenizer_config.json", told)
    small = ("--set", "train.steps=1", "--set", "train.batch=1", "--set", "model.size=debug", "--set", "data.rows=pack")
    words = ("--data", str(data), *small, "--set", f"data.tokenizer={folder}", "--set", "data.held_out=0.4")
    good("train", "llama", "--out", str(tmp_path / "run"), *words)
    store = open_store(tmp_path / "run" / "tokens")
    weft.save(weft.load(tmp_path / "run"), tmp_path / "saved")
    for saved in ("run", "saved"):
        model = weft.load(tmp_path / saved)
        assert model.tokenizer is not None
        ids = model.tokenizer.encode("the")
        assert as_prompt(model.tokenizer, ids) == [*begins, *ids]
        assert [model.tokenizer.begin] == begins == store.held_out.tokens[:1].tolist()
        assert model.tokenizer.end == store.tokenizer.end


def test_ours_keep_no_word_of_what_begins_a_text(tmp_path: Path):
    good("train", "llama", "--debug", "--out", str(tmp_path / "run"))
    model = weft.load(tmp_path / "run")
    assert model.tokenizer is not None and model.stops == type(model.stops)((model.tokenizer.end,))
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert not {"generation_config.json", "tokenizer_config.json"} & files
    assert json.loads((tmp_path / "run" / "tokenizer.json").read_text())["post_processor"] is None
    assert Bytes().begin == Bytes().end


def test_what_belongs_to_a_model_goes_with_it_when_it_is_trained_further(tmp_path: Path):
    blueprint = Blueprint.of("gpt2", "debug", vocab=384)
    weft.save(Model(blueprint.build(), blueprint, Bytes()), tmp_path / "model")
    kept = {"chat_template.jinja": b"{{ messages }}", "1_Pooling/config.json": b'{"pooling_mode": "mean"}'}
    for name, data in kept.items():
        (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(data)
    (tmp_path / "a.txt").write_text("the weaver mends the red thread. " * 90)
    good("train", tmp_path / "model", "--data", tmp_path / "a.txt", "--out", tmp_path / "run", *TINY)
    weft.save(weft.load(tmp_path / "run"), tmp_path / "copy")
    for place in ("run", "copy"):
        assert {name: (tmp_path / place / name).read_bytes() for name in kept} == kept
