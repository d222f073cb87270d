"""A model of weft's own, saved: the reference library reads its tokenizer and its weights and goes on as weft does."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import weft
from weft.data import template_of, train_tokenizer
from weft.generate import GREEDY
from weft.hub.blanks import fill
from weft.hub.model import Model
from weft.hub.score import score_text
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import Encoder, EncoderDecoder, Writer

TEXT = "the weaver mends the red thread and sings a song of the sea, all day long " * 3
WRITERS = [
    name
    for name in reading("text")
    if FAMILIES.get(name).published and isinstance(Blueprint.of(name, "debug").empty(), Writer)
]
READERS = [
    name
    for name in reading("text")
    if FAMILIES.get(name).published and isinstance(Blueprint.of(name, "debug").empty(), Encoder)
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_the_reference_goes_on_as_weft_does(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = train_tokenizer("bpe", [TEXT], 400)
    blueprint = Blueprint.of(name, "debug", vocab=tokenizer.vocab)
    if "tied" in blueprint.to_data()["config"]:  # a fresh tied head repeats what it starts with, and that is an end
        blueprint = blueprint.change("tied", "false")
    model = Model(blueprint.build(seed=3), blueprint, tokenizer)
    weft.save(model, tmp_path / "one")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "one")
    ids = theirs("the weaver").input_ids
    spelt, end = tokenizer.encode("the weaver"), tokenizer.end
    pair = isinstance(model.module, EncoderDecoder)
    assert ids == ([*spelt, end] if pair else [end, *spelt]) and theirs.eos_token_id == end
    kind = transformers.AutoModelForSeq2SeqLM if pair else transformers.AutoModelForCausalLM
    reference = kind.from_pretrained(tmp_path / "one")
    made = reference.generate(torch.tensor([ids]), max_new_tokens=9, do_sample=False)[0].tolist()
    mine = model.generate("the weaver", GREEDY, tokens=9).ids
    assert tuple(made[-len(mine) :]) == mine and len(mine) == 9
    again = weft.load(tmp_path / "one")
    assert again.generate("the weaver", GREEDY, tokens=9).ids == mine
    weft.save(again, tmp_path / "two")
    files = [{path.name: path.read_bytes() for path in (tmp_path / place).iterdir()} for place in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_an_encoder_reads_a_text_as_in_training_before_and_after(name: str, tmp_path: Path) -> None:
    tokenizer = train_tokenizer("bpe", [TEXT], 400)
    blueprint = Blueprint.of(name, "debug", vocab=tokenizer.vocab + 1)  # one more, of what is hidden
    model = Model(blueprint.build(seed=3), blueprint, tokenizer)
    weft.save(model, tmp_path / "one")
    again = weft.load(tmp_path / "one")
    begin, end, spelt = tokenizer.begin, tokenizer.end, tokenizer.encode("the weaver")
    assert again.tokenizer is not None
    theirs = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(tmp_path / "one")
    assert theirs("the weaver").input_ids == [begin, *spelt, end]
    other = tokenizer.encode("a song")
    template = template_of(again.tokenizer)
    assert template is not None
    ids, types = template.two(spelt, other)
    assert ids == [begin, *spelt, end, *other, end]  # as objectives of pairs train it
    assert sum(types) == (0 if model.module.embed.types is None else len(other) + 1)
    pooling = weft.Pooling(("mean",), normalise=True)
    vectors = [found.embed(["the weaver", "a song"], pooling=pooling) for found in (model, again)]
    torch.testing.assert_close(vectors[0], vectors[1], rtol=0, atol=0)
    by_hand = functional.normalize(model.encode(torch.tensor([[begin, *spelt, end]])).mean(1), dim=-1)  # [1, D]
    torch.testing.assert_close(vectors[0][:1], by_hand)
    if "masked" in model.module.heads:
        assert score_text(again, "the weaver").likelihood == score_text(model, "the weaver").likelihood
        as_it_was = Model(again.module, blueprint, tokenizer)  # the same weights, so that rounding tells nothing apart
        assert fill(again, "the _ sings") == fill(as_it_was, "the _ sings")
