"""What a model is asked of a text: which words fill its blanks, and how likely it finds it."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good
from commands import weft as run
from parts import randomised

import weft
from weft.batch import IGNORED, Place, Tokenizer
from weft.cli.fill import shown
from weft.data import Blocks, Bytes, train_tokenizer
from weft.hub import Model, Stops
from weft.hub.blanks import HIDDEN, WRITTEN, Spelling, fill, spelt
from weft.hub.hidden import Hiding
from weft.hub.pseudo import windows
from weft.hub.score import score, score_text
from weft.models import Blueprint
from weft.nn import Decoder, Encoder, EncoderDecoder
from weft.objectives import Translate

TEXT = "the weaver mends the red thread at dawn, and again at dusk"
WORDS = [TEXT, "a thread, a loom: the red and the grey", "this is a fluffy dog, is this a dog"] * 3
BYTES = Bytes()


def model(family: str, tokenizer: Tokenizer | None = BYTES, spare: int = 0, **changes: Any) -> Model:
    vocab = 384 if tokenizer is None else tokenizer.vocab + spare
    blueprint = Blueprint.of(family, "debug", **{"vocab": vocab, "context": 32} | changes)
    return Model(randomised(blueprint.build(seed=0)), blueprint, tokenizer)


def wordpieces() -> Tokenizer:
    return train_tokenizer("wordpiece", WORDS, 60)


def made(kind: str | None) -> Tokenizer | None:
    return None if kind is None else BYTES if kind == "bytes" else train_tokenizer(kind, WORDS, 300)


# ---------------------------------------------------------------- rows that overlap


@pytest.mark.parametrize("length", [2, 9, 10, 41])
@pytest.mark.parametrize("stride", [1, 3, 8])
@pytest.mark.parametrize("isolate", [False, True])
def test_rows_that_overlap_predict_every_token_once_from_enough_before_it(length: int, stride: int, isolate: bool):
    context, tokens = 8, np.arange(1, length + 1)  # each token is its place, and 5 ends a document
    data = Blocks(tokens, context, shift=False, stride=stride, isolate=isolate, end=5)
    asked = list[int]()
    for sample in range(len(data)):
        batch = data.batch([Place(0, sample)])
        assert batch.labels is not None
        row, labels = batch.tokens[0].tolist(), batch.labels[0].tolist()
        for place, label in enumerate(labels):
            if label != IGNORED:
                assert row[place] == label - 1 and row[0] == label - 1 - place
                assert place + 1 >= min(context - stride + 1, label - 1)  # tokens before it
                asked.append(label)
    assert asked == list(range(2, length + 1))
    if stride == context:
        plain = Blocks(tokens, context, shift=False)
        assert len(plain) == len(data)
        assert torch.equal(plain.batch([Place(0, 0)]).tokens, data.batch([Place(0, 0)]).tokens)


@pytest.mark.parametrize(
    "how", [{"shift": True, "stride": 4}, {"shift": False, "stride": 0}, {"shift": False, "stride": 9}]
)
def test_a_stride_that_means_nothing_is_refused(how: Any):
    with pytest.raises(ValueError, match=r"stride=\d is from 1 to context=8"):
        Blocks(np.arange(30), 8, **how)


# ---------------------------------------------------------------- how likely a text is


def token_by_token(asked: Model, ids: list[int], stride: int) -> float:
    """-log p of each token by itself: of the earliest window, at multiples of the stride, that reaches it."""
    assert isinstance(asked.module, Decoder)
    tokens, context, nats = [asked.need_tokenizer().begin, *ids], asked.config.context, 0.0
    for place in range(1, len(tokens)):
        start = max(0, math.ceil((place - context) / stride)) * stride
        scores = asked.logits(torch.tensor([tokens[start:place]]))[0, -1]
        nats -= float(scores.double().log_softmax(-1)[tokens[place]])
    return nats


@pytest.mark.parametrize(("family", "stride"), [("llama", 1), ("gpt2", 5), ("llama", 32), ("gpt2", None)])
def test_a_text_is_as_likely_as_its_tokens_one_by_one(family: str, stride: int | None):
    asked = model(family)
    found = score_text(asked, TEXT, stride=stride)
    with torch.no_grad():
        expected = token_by_token(asked, BYTES.encode(TEXT), stride or 16)
    assert found.likelihood.nats == pytest.approx(expected, rel=1e-5)
    figures, size = found.figures(), len(TEXT)
    assert (figures["tokens"], figures["bytes"], figures["words"]) == (size, size, len(TEXT.split()))
    assert (figures["context"], figures["stride"], found.kind) == (32, stride or 16, "log-likelihood")
    assert figures["bits_per_byte"] == pytest.approx(expected / math.log(2) / size)
    assert figures["byte_perplexity"] == pytest.approx(2 ** figures["bits_per_byte"])
    assert figures["word_perplexity"] == pytest.approx(math.exp(expected / figures["words"]), rel=1e-3)


def test_a_text_shorter_than_the_context_is_one_window_whatever_the_stride():
    asked = model("llama", context=4096)
    found = {stride: score_text(asked, TEXT, stride=stride).likelihood.nats for stride in (1, 60, 4096, None)}
    assert len(set(found.values())) == 1


def test_a_mixture_of_experts_is_scored_too():
    asked = model("mixtral")
    with torch.no_grad():
        expected = token_by_token(asked, BYTES.encode(TEXT[:40]), 16)
    assert score_text(asked, TEXT[:40]).likelihood.nats == pytest.approx(expected, rel=1e-5)


def test_a_lossy_tokenizer_has_no_figures_of_bytes():
    found = score_text(model("llama", wordpieces()), TEXT)
    assert "lossy" in found.why and not {"bits_per_byte", "bytes", "byte_perplexity", "words"} & found.figures().keys()


@pytest.mark.parametrize("length", [1, 11, 40])
@pytest.mark.parametrize("stride", [1, 4, 10])
def test_windows_ask_for_every_token_once_with_as_much_on_either_side(length: int, stride: int):
    asked, margin = list[int](), (10 - stride) // 2
    for start, end, first, stop in windows(length, 10, stride):
        assert 0 <= start <= first < stop <= end <= min(length, start + 10)
        for place in range(first, stop):
            assert place - start >= min(margin, place) and end - place - 1 >= min(margin, length - place - 1)
        asked += range(first, stop)
    assert asked == list(range(length))


@pytest.mark.parametrize("stride", [7, None])
def test_the_pseudo_likelihood_hides_each_token_in_turn(stride: int | None):
    asked = model("bert")
    ids, room, mask = BYTES.encode(TEXT), 30, 259
    nats, step = 0.0, 15 if stride is None else stride
    for place in range(len(ids)):
        ((start, end, _, _),) = [w for w in windows(len(ids), room, step) if w.first <= place < w.stop]
        row = [BYTES.end, *ids[start:end], BYTES.end]
        row[place - start + 1] = mask
        with torch.no_grad():
            nats -= float(asked.logits(torch.tensor([row]))[0, place - start + 1].log_softmax(-1)[ids[place]])
    found = score_text(asked, TEXT, stride=stride)
    assert found.pseudo and found.kind == "pseudo-log-likelihood" and "Salazar" in found.why
    figures = found.figures()
    assert figures["pseudo_nats"] == pytest.approx(nats, rel=1e-5)
    assert figures["pseudo_perplexity"] == pytest.approx(math.exp(nats / len(ids)), rel=1e-4)
    assert figures.keys() == {
        "pseudo_nats", "tokens", "pseudo_nats_per_token", "pseudo_perplexity", "context", "stride"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("family", "kind", "text", "stride", "said"),
    [
        ("llama", "bytes", "", None, "the text, 0 characters, has no tokens"),
        ("llama", "bytes", "ab", 33, "stride = 33, but it is from 1 to 32"),
        ("llama", "bytes", "ab", 0, "stride = 0, but it is from 1 to 32"),
        ("bert", "bytes", "ab", 31, "stride = 31, but it is from 1 to 30"),
        ("transformer", "bytes", "ab", None, "weft eval DIR --data sources.txt --data targets.txt"),
        ("llama", None, "ab", None, "has no tokenizer"),
        ("bert", "bpe", "ab", None, "no id for a hidden token"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_way_out(
    family: str, kind: str | None, text: str, stride: int | None, said: str
):
    with pytest.raises(ValueError, match=said):
        score_text(model(family, made(kind)), text, stride=stride)


def test_an_encoder_without_the_head_is_refused_by_both(tmp_path: Path):
    blueprint = Blueprint.of("bert", "debug", vocab=384)
    asked = Model(blueprint.build(seed=0), blueprint, BYTES)
    assert isinstance(asked.module, Encoder)
    del asked.module.heads["masked"]
    for ask in (lambda: score_text(asked, TEXT), lambda: fill(asked, "a _ b")):
        with pytest.raises(ValueError, match=r"none called 'masked'.*--objective masked"):
            ask()


# ---------------------------------------------------------------- blanks


def test_the_likeliest_of_each_blank_are_told_with_the_others_hidden():
    asked = model("bert")
    filled = fill(asked, "th_s is a d_g", top=4)
    ids = [BYTES.end, *BYTES.encode("th"), 259, *BYTES.encode("s is a d"), 259, *BYTES.encode("g"), BYTES.end]
    with torch.no_grad():
        p = asked.logits(torch.tensor([ids]))[0].softmax(-1)
    p[:, :3] = p[:, 259:] = 0  # specials stand for no text
    for place, fillings in zip((3, 12), filled.blanks, strict=True):
        best = p[place].topk(4)
        assert [filling.ids for filling in fillings] == [(number,) for number in best.indices.tolist()]
        assert [filling.probability for filling in fillings] == pytest.approx(best.values.tolist(), rel=1e-4)
        assert not any(filling.joined for filling in fillings)
    assert filled.how == HIDDEN
    assert filled.text == f"th{filled.blanks[0][0].text}s is a d{filled.blanks[1][0].text}g"


def test_several_pieces_are_chosen_where_the_model_is_surest():
    asked = model("bert")
    (fillings,) = fill(asked, "this is _", top=3, tokens=2).blanks
    before = [BYTES.end, *BYTES.encode("this is ")]

    def probabilities(pair: list[int]) -> torch.Tensor:
        with torch.no_grad():
            p = asked.logits(torch.tensor([[*before, *pair, BYTES.end]]))[0, len(before) : len(before) + 2].softmax(-1)
        p[:, :3] = p[:, 259:] = 0
        return p  # [2, V]

    p = probabilities([259, 259])
    first = int(p.max(-1).values.argmax())
    expected = list[tuple[float, tuple[int, ...]]]()
    for chance, token in zip(*p[first].topk(3), strict=True):
        pair = [259, 259]
        pair[first] = int(token)
        rest = probabilities(pair)[1 - first]
        pair[1 - first] = int(rest.argmax())
        expected.append((float(chance * rest.max()), tuple(pair)))
    expected.sort(reverse=True)
    assert [filling.ids for filling in fillings] == [pair for _, pair in expected]
    assert [filling.probability for filling in fillings] == pytest.approx([p for p, _ in expected], rel=1e-4)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_the_space_before_a_blank_belongs_to_its_word(kind: str):
    tokenizer = train_tokenizer(kind, WORDS, 300)
    mask, spelling = Hiding.of(model("bert", tokenizer, spare=1)).mask, Spelling.of(tokenizer)
    whole = tokenizer.encode("this is a fluffy dog")
    behind, word = tokenizer.encode(" a fluffy dog"), tokenizer.encode("this is")[len(tokenizer.encode("this")) :]
    hidden = [*tokenizer.encode("this"), mask, *behind]
    assert whole == [*tokenizer.encode("this"), *word, *behind]
    assert spelt(tokenizer, ["this ", " a fluffy dog"], [[mask]], spelling) == hidden
    filling = spelling.filling(word, 0.5, first=False)
    assert (filling.text, filling.joined) == ("is", False)
    assert spelling.joined("this ", filling) == "this is" and spelling.joined("", filling) == "is"


def test_a_piece_inside_a_word_joins_what_stands_before_it():
    tokenizer = wordpieces()
    spelling = Spelling.of(tokenizer)
    number = next(n for n, piece in enumerate(spelling.pieces) if piece and not piece.startswith(b" "))
    inside = spelling.filling([number], 0.5, first=False)
    assert inside.joined and spelling.joined("this ", inside) == f"this{inside.text}"
    assert not spelling.filling([number], 0.5, first=True).joined
    assert shown(inside) == f"…{inside.text}"


def test_a_text_to_text_model_writes_what_stood_behind_each_sentinel():
    """Trained in seconds to write what its sentinels hide."""
    asked = model("t5", context=48, dropout=0.0)
    assert isinstance(asked.module, EncoderDecoder)
    source = torch.tensor([[*BYTES.encode("a "), 259, *BYTES.encode(" b "), 260, 1]])
    target = [259, *BYTES.encode("xy"), 260, *BYTES.encode("z"), 261, 1]
    optimiser = torch.optim.Adam(asked.module.parameters(), 2e-2)
    for _ in range(25):
        hidden, _ = asked.module(source, torch.tensor([[1, *target[:-1]]]))
        loss = asked.module.nats(hidden, torch.tensor([target]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    filled = fill(asked, "a _ b _", top=2, tokens=3)
    assert filled.text == "a xy b z" and filled.how == WRITTEN
    assert [fillings[0].text for fillings in filled.blanks] == ["xy", "z"]
    with torch.no_grad():
        p = asked.logits(source, torch.tensor([[1, *target[:-1]]]))[0].double().softmax(-1)
    each = [float(p[place, token]) for place, token in enumerate(target)]
    for fillings, span, stop in zip(filled.blanks, ([1, 2], [4]), (3, 5), strict=True):
        least = math.prod(each[place] for place in span) * each[stop]
        most = math.prod(each[place] for place in span) * float(p[stop, [1, *range(259, 384)]].sum())
        assert least * (1 - 1e-4) <= fillings[0].probability <= most * (1 + 1e-4)
        assert all(a.probability >= b.probability for a, b in pairwise(fillings))
    started = fill(replace(asked, stops=Stops((1,), 0)), "a _ b _", top=2, tokens=2)
    assert started.blanks[0][0].probability != filled.blanks[0][0].probability  # it began with another id


@pytest.mark.parametrize(
    ("family", "kind", "text", "how", "said"),
    [
        ("bert", "bytes", "no blank", {}, "there is no '_' in 'no blank'.*--blank"),
        ("bert", "bytes", "a _", {"blank": ""}, "blank is empty"),
        ("bert", "bytes", "a _", {"top": 0}, "top = 0"),
        ("bert", "bytes", "a _", {"tokens": 0}, "tokens = 0"),
        ("bert", "bytes", "a _", {"top": 300}, "top = 300, but there are only 256 tokens"),
        ("bert", "bytes", "a _" * 20, {}, "the text has 60 tokens, and the context of 32 has room for 30"),
        ("llama", "bytes", "a _", {}, "weft generate"),
        ("t5", "wordpiece", "a _ b _", {}, "2 blanks need 3 sentinels.*the tokenizer has 0.*spans"),
        ("t5", None, "a _", {}, "has no tokenizer"),
    ],
)
def test_what_cannot_be_filled_is_refused_with_a_way_out(family: str, kind: str | None, text: str, how: Any, said: str):
    with pytest.raises(ValueError, match=said):
        fill(model(family, made(kind)), text, **how)


def test_another_mark_leaves_underscores_alone():
    asked = model("bert")
    filled = fill(asked, "a_b is ???", blank="???")
    assert len(filled.blanks) == 1 and filled.text.startswith("a_b is ")


# ---------------------------------------------------------------- the commands


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoders of two kinds of tokenizers, a masked language model and a text-to-text model."""
    root = tmp_path_factory.mktemp("folders")
    for name, made in (
        ("bytes", model("llama")),
        ("other", model("gpt2")),
        ("lossy", model("llama", wordpieces())),
        ("masked", model("bert")),
        ("spans", model("t5")),
    ):
        weft.save(made, root / name)
    return root


def test_score_sorts_models_and_says_what_cannot_be_compared(folders: Path, tmp_path: Path):
    names = [folders / "masked", folders / "lossy", folders / "bytes", folders / "other"]
    done = good("score", TEXT, *names, "--json")
    rows = done.data["models"]
    best = sorted(rows[:2], key=lambda row: row["bits_per_byte"])
    assert rows[:2] == best and {row["model"] for row in best} == {str(folders / "other"), str(folders / "bytes")}
    assert [row["model"] for row in rows[2:]] == [str(folders / "lossy"), str(folders / "masked")]
    assert [row["kind"] for row in rows] == ["log-likelihood"] * 3 + ["pseudo-log-likelihood"]
    assert "lossy" in done.err and "no likelihood" in " ".join(done.err.split())
    assert done.data["bytes"] == len(TEXT)
    (alone,) = good("score", TEXT, folders / "bytes", "--json", "--stride", 7).data["models"]
    assert (
        alone["stride"] == 7
        and alone["nats"] == score_text(weft.load(folders / "bytes"), TEXT, stride=7).likelihood.nats
    )
    page = tmp_path / "a.txt"
    page.write_text(TEXT)
    assert good("score", page, folders / "bytes", "--json", "--stride", 7).data["models"] == [alone]


def test_score_shows_a_table_and_its_words_go_in_order(folders: Path):
    alone = good("score", TEXT, folders / "bytes").out
    for word in ("bits per byte", "stride", "context", "word perplexity", "perplexity"):
        assert word in alone
    header, *lines = good("score", TEXT, folders / "masked", folders / "bytes").out.splitlines()
    assert header.split()[:2] == ["bits/byte", "nats"] and lines[1].endswith(f"  {folders / 'masked'} (pseudo)")
    assert lines[0].endswith(f"  {folders / 'bytes'}") and lines[1].split()[0] == "–"
    swapped = run("score", folders / "bytes", TEXT)
    assert swapped.status == 1 and "is a folder: the text" in swapped.err
    assert "there is no file nothing.txt" in good("score", "nothing.txt", folders / "bytes").err
    missing = run("score", TEXT * 9, folders / "bytes", folders, "--stride", 1)
    assert missing.status == 1 and "config.json is missing" in missing.err and "windows: " not in missing.err
    refused = run("score", TEXT, folders / "bytes", folders / "spans")
    assert refused.status == 1 and f"{folders / 'spans'}: an encoder–decoder" in refused.err
    assert good("score", "word " * 100, folders / "bytes").status == 0  # no file has so long a name


@pytest.mark.usefixtures("slow")
def test_eval_and_score_say_how_far_they_are(folders: Path, book: Path) -> None:
    said = good("eval", folders / "bytes", "--data", book).err
    rows, of = re.findall(r"rows: ([\d,]+) of ([\d,]+), [\d.]+ a second", said)[-1]
    assert rows == of
    assert "windows: " in good("score", TEXT * 9, folders / "bytes", "--stride", 1).err
    assert f"tokens: {len(TEXT)} of {len(TEXT)}, " in good("score", TEXT, folders / "masked").err


def test_eval_with_a_stride_is_the_same_number_token_by_token(folders: Path, book: Path):
    text = book.read_text()[:90]
    book.write_text(text)
    words = ("eval", folders / "bytes", "--data", book, "--json")
    found = good(*words, "--stride", 5).data
    asked = weft.load(folders / "bytes")
    with torch.no_grad():
        expected = token_by_token(asked, [*BYTES.encode(text), BYTES.end], 5)
    assert found["nats_per_token"] * found["tokens"] == pytest.approx(expected, rel=1e-5)
    assert (found["stride"], found["context"], found["tokens"]) == (5, 32, 91)
    assert found["word_perplexity"] == pytest.approx(math.exp(expected / len(text.split())), rel=1e-3)
    assert found["byte_perplexity"] == pytest.approx(2 ** found["bits_per_byte"])
    assert good(*words).data["stride"] == 32 and good(*words, "--stride", 32).data == good(*words).data
    page = good(*words[:-1], "--stride", 5).out
    assert "stride" in page and "word perplexity" in page
    packed = run(*words, "--stride", 5, "--rows", "pack")
    assert packed.status == 1 and "stride = 5 makes rows overlap" in packed.err
    masked = run("eval", folders / "masked", "--data", book, "--stride", 5)
    assert masked.status == 1 and "masked asks for a part of each row" in masked.err
    with pytest.raises(ValueError, match="translate has a row for each pair"):
        score(model("transformer"), (str(book), str(book)), stride=5, objective=Translate())


def test_fill_shows_a_table_and_gives_json(folders: Path):
    words = ("fill", folders / "masked", "th_s is a d_g")
    done = good(*words, "--top", 3)
    assert "probability" in done.out and HIDDEN in " ".join(done.err.split())
    found = good(*words, "--top", 3, "--json").data
    assert [len(fillings) for fillings in found["blanks"]] == [3, 3] and found["how"] == HIDDEN
    best = fill(weft.load(folders / "masked"), "th_s is a d_g", top=3)
    assert found["text"] == best.text
    assert found["blanks"][0][0]["probability"] == pytest.approx(best.blanks[0][0].probability)
    assert good("fill", folders / "spans", "a ? b", "--blank", "?", "--json").data["how"] == WRITTEN
    refused = run("fill", folders / "bytes", "a _")
    assert refused.status == 1 and "weft generate" in refused.err


def test_fill_says_that_a_translator_hides_no_spans(folders: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("weft.cli.fill.trained_with", lambda _: Translate())
    assert "which hides no spans" in good("fill", folders / "spans", "a _ b", "--tokens", 2).err
