"""Models that are counted: by the definition, with one face, and with a transformer's own count of nats."""

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import good, weft

from weft.data import Blocks, Bytes, stream
from weft.data.sources import Document
from weft.evaluate import Bigram, Counted, NGram, counted_likelihood, likelihood, probability
from weft.nn import Decoder, Embed, LMHead, Stack
from weft.objectives import NextToken


def noise(seed: int, length: int, vocab: int) -> np.ndarray:
    return np.minimum(np.random.default_rng(seed).geometric(0.4, length) - 1, vocab - 1)


@pytest.mark.parametrize("add", [0.0, 0.1, 1.0])
def test_a_bigram_is_its_counts(add: float) -> None:
    train, vocab = noise(0, 200, 6), 7  # 6 never occurs
    pairs, before = Counter(pairwise(train)), Counter(train[:-1])
    model = Bigram.fit(train, vocab, add)
    for v in range(vocab):
        total = before[v] + add * vocab
        expected = [(pairs[v, w] + add) / total if total else 1 / vocab for w in range(vocab)]
        found = [probability(model, [v], w) for w in range(vocab)]
        assert found == pytest.approx(expected, rel=1e-12) and sum(found) == pytest.approx(1)
    assert model.parameters == len(pairs) + vocab


@pytest.mark.parametrize("model", [Bigram.fit(noise(1, 300, 5), 5, 0.5), NGram.fit(noise(1, 300, 5), 5, 3)])
def test_one_face(model: Counted) -> None:
    held_out = noise(2, 50, 5)
    found = counted_likelihood(model, held_out, bytes=40)
    each = [probability(model, held_out[max(0, i - 2) : i].tolist(), int(held_out[i])) for i in range(1, 50)]
    assert found.nats == pytest.approx(-sum(map(math.log, each))) and found.tokens == 49
    assert found.bits_per_byte == pytest.approx(found.nats / math.log(2) / 40)
    assert model.parameters > 0 and model.flops > 0


def test_a_transformer_without_layers_that_holds_the_table_has_the_same_nats() -> None:
    """Its scores are log p(· | the token before): what differs, if anything, is how evaluation counts."""
    documents = [Document(str(n), text) for n, text in enumerate(("a red thread", "mends a thread", "", "ré"))]
    tokens = stream(documents, Bytes())
    model = Bigram.fit(tokens, 384, 0.1)
    table = np.stack([model.probabilities(_around(v)) for v in range(384)])[:, ::2]  # [V, V]
    module = Decoder(Embed(384, 384), Stack([], fields={}), head=LMHead(384, 384))
    assert module.embed.weight is not None and module.head.weight is not None
    with torch.no_grad():
        module.embed.weight.copy_(torch.eye(384))
        module.head.weight.copy_(torch.from_numpy(table.T.copy()).log().float())  # [V, D]
    size = sum(len(document.text.encode()) for document in documents)
    ours = likelihood(module.eval(), Blocks(tokens, 7, shift=False), NextToken(), bytes=size)
    counted = counted_likelihood(model, tokens, bytes=size)
    assert (ours.tokens, ours.bytes) == (counted.tokens, counted.bytes)
    assert counted.nats == pytest.approx(ours.nats, rel=1e-5)


def _around(v: int) -> np.ndarray:
    """v 0 v 1 v 2 …: every token behind v, at the even places of what is predicted."""
    return np.stack([np.full(384, v), np.arange(384)], axis=1).reshape(-1)


def test_what_cannot_be_predicted_is_said() -> None:
    with pytest.raises(ValueError, match=r"token 1 of the held-out text, id 2 after id 0, was never seen"):
        counted_likelihood(Bigram.fit(np.array([0, 1, 0, 1]), 3, 0), np.array([0, 2]), bytes=1)
    with pytest.raises(ValueError, match="nothing to evaluate: 1 tokens"):
        counted_likelihood(Bigram.fit(np.array([0, 1]), 3), np.array([0]), bytes=1)
    with pytest.raises(ValueError, match="add = -1"):
        Bigram.fit(np.array([0, 1]), 3, -1)
    with pytest.raises(ValueError, match=r"train\[1\] is 9"):
        Bigram.fit(np.array([0, 9]), 3)
    with pytest.raises(ValueError, match="begin a text with the end-of-text id"):
        probability(Bigram.fit(np.array([0, 1]), 3), [], 1)


@pytest.mark.usefixtures("slow")
def test_the_command_says_how_far_it_is(book: Path) -> None:
    said = good("ngram", "--data", book, "--held-out", book).err
    for what in ("training a tokenizer (", "tokenised: documents: 1 of 1", "counted: orders: 5 of 5"):
        assert what in said


def test_the_command_counts_what_eval_counts(trained: Path, book: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("the 7th line of a large book\nréd\n")
    words = ("--data", book, "--held-out", held_out, "--tokenizer", trained, "--json")
    run = good("eval", trained, "--data", held_out, "--json").data
    for more in (("--kind", "bigram", "--add", "0.1"), ("--order", "3")):
        found = good("ngram", *words, *more).data
        assert {name: found[name] for name in ("tokens", "bytes")} == {name: run[name] for name in ("tokens", "bytes")}
        bits = found["nats_per_token"] * found["tokens"] / found["bytes"] / math.log(2)
        assert found["bits_per_byte"] == pytest.approx(bits)
    assert "bits per byte" in good("ngram", "--data", book, "--held-out", held_out).out
    assert "was never seen" in weft("ngram", *words, "--kind", "bigram", "--add", "0").err
    assert "did you mean 'bigram'" in weft("ngram", *words, "--kind", "bigrams").err
    assert "--order 3, but a bigram" in weft("ngram", *words, "--kind", "bigram", "--order", "3").err
    assert "--order 0: a gram has 1 token or more" in weft("ngram", *words, "--order", "0").err
    assert "leave it out" in weft("ngram", *words, "--add", "1").err
    assert "no kind of tokenizer" in weft("ngram", "--data", book, "--held-out", book, "--tokenizer", "nowhere").err
    assert json.loads(good("ngram", *words, "--tokenizer", "bytes").out)["bits_per_byte"] > 0
