"""CBOW and skip-gram: losses and gradients by the definition, what is drawn by its frequency, and what comes of it."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import good, weft

from weft.data import open_source
from weft.data.made import sentences
from weft.data.sources import Document
from weft.files import DamagedFile
from weft.vectors import Corpus, Vectors, VectorSettings, learn, read
from weft.vectors.draw import Noise, Windows, keep_probabilities, noise_probabilities, windows
from weft.vectors.learning import Table, gradients
from weft.vectors.picture import draw


def corpus(text: str, least: int = 1) -> Corpus:
    return read([Document("a", text)], least=least)


# --------------------------------------------------------------------------------------------------------- the loss


def slow(kind: str, v: torch.Tensor, u: torch.Tensor, found: Windows) -> torch.Tensor:
    """The definition of `weft.vectors.learning`, read aloud."""
    total = torch.zeros((), dtype=v.dtype)
    for around, real, targets, asked in zip(found.around, found.real, found.targets, found.asked, strict=True):
        read = [v[word] for word, there in zip(around, real, strict=True) if there]
        if kind == "cbow" and read:
            read = [torch.stack(read).mean(dim=0)]
        for one in read:
            for place, (word, wanted) in enumerate(zip(targets, asked, strict=True)):
                if wanted:
                    total = total - torch.sigmoid((1 if place == 0 else -1) * (u[word] @ one)).log()
    return total


def some_windows() -> Windows:
    chance = np.random.default_rng(3)
    around, targets = chance.integers(0, 9, (5, 4)), chance.integers(0, 9, (5, 4))
    targets[0, 2] = targets[0, 0]  # drawn, and the word itself
    asked = np.concatenate([np.ones((5, 1), bool), targets[:, 1:] != targets[:, :1]], axis=1)
    real = chance.random((5, 4)) < 0.7
    real[4] = False  # a line of one word
    return Windows(around, real, targets, asked)


@pytest.mark.parametrize("kind", ["skipgram", "cbow"])
def test_loss_and_gradients_are_those_of_the_definition(kind) -> None:
    v, u = (torch.randn(9, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found = some_windows()
    expected = slow(kind, v, u, found)
    expected.backward()
    made = gradients(kind, v.detach(), u.detach(), found)
    assert made.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for rows, part, whole in ((found.around, made.around, v.grad), (found.targets, made.targets, u.grad)):
        summed = torch.zeros_like(v).index_add(0, torch.from_numpy(rows).flatten(), part.flatten(0, 1))
        assert whole is not None
        torch.testing.assert_close(summed, whole, rtol=1e-6, atol=1e-6)
    reads = found.real.sum(axis=1) if kind == "skipgram" else found.real.any(axis=1)
    assert made.scores == int((reads * found.asked.sum(axis=1)).sum())


def test_a_step_touches_its_rows_alone_and_is_adagrads() -> None:
    start = torch.randn(8, 3)
    table, dense = Table(start.clone()), torch.nn.Parameter(start.clone())
    reference = torch.optim.Adagrad([dense], lr=0.1, eps=1e-8)
    for seed in range(3):
        rows = np.random.default_rng(seed).integers(0, 6, (4, 2))
        gradient = torch.randn(4, 2, 3)
        dense.grad = torch.zeros(8, 3).index_add(0, torch.from_numpy(rows).flatten(), gradient.flatten(0, 1))
        reference.step()
        table.descend(rows, gradient.clone(), 0.1)
    torch.testing.assert_close(table.vectors, dense.detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(table.vectors[6:], start[6:])


# --------------------------------------------------------------------------------------------------- what is drawn


def test_words_that_do_not_fit_are_drawn_by_their_counts_to_three_quarters() -> None:
    counts = np.array([1000, 300, 81, 16, 1])
    expected = [count**0.75 / sum(c**0.75 for c in counts) for count in counts]
    assert noise_probabilities(counts) == pytest.approx(expected)
    drawn = Noise(counts).draw(np.random.default_rng(0), 100_000, 3)
    share = np.bincount(drawn.flatten(), minlength=5) / drawn.size
    assert np.abs(share - expected).max() < 5 * math.sqrt(0.25 / drawn.size)


def test_frequent_words_are_read_by_the_papers_rate() -> None:
    text = corpus("the " * 9000 + "rare " * 900 + "seldom " * 100)
    keep = keep_probabilities(text.counts, 0.01)
    assert keep == pytest.approx([math.sqrt(0.01 / 0.9), math.sqrt(0.01 / 0.09), 1.0])
    assert keep_probabilities(text.counts, 0).tolist() == [1, 1, 1]
    read_words = np.concatenate([w.targets[:, 0] for _, w in an_epoch(text, sample=0.01)])
    share = np.bincount(read_words, minlength=3) / text.counts
    assert np.abs(share - keep).max() < 0.06 and share[2] == 1


def an_epoch(text: Corpus, sample: float = 0.0, reach: int = 3, batch: int = 7) -> list[tuple[int, Windows]]:
    chance, keep = np.random.default_rng(1), keep_probabilities(text.counts, sample)
    noise = Noise(text.counts)
    return list(windows(text, chance, keep=keep, noise=noise, reach=reach, negatives=4, batch=batch))


def test_windows_are_what_stands_around_within_the_line() -> None:
    """Every word is unlike every other, so that each window says where it was."""
    lines = [[f"w{line}x{place}" for place in range(length)] for line, length in enumerate((9, 1, 4, 30))]
    text = corpus("\n".join(" ".join(line) for line in lines) + "\n")
    where = {word: (line, place) for line, words in enumerate(lines) for place, word in enumerate(words)}
    middles, reaches, done = list[str](), list[int](), 0
    for read_tokens, found in an_epoch(text):
        done += read_tokens
        reach = found.around.shape[1] // 2
        for row in range(len(found.around)):
            word = text.words[found.targets[row, 0]]
            line, place = where[word]
            there = [lines[line][at] for at in range(max(0, place - reach), place + reach + 1) if at < len(lines[line])]
            there.remove(word)
            assert [text.words[n] for n in found.around[row][found.real[row]]] == there
            assert (found.asked[row] == [True, *(found.targets[row, 1:] != found.targets[row, 0])]).all()
            middles.append(word)
            reaches.append(reach)
    assert sorted(middles) == sorted(where) and done == len(where) and set(reaches) == {1, 2, 3}
    assert middles != [word for words in lines for word in words]  # in another order


def test_windows_reach_all_ways_alike_often() -> None:
    text = corpus(" ".join(f"w{n % 50}" for n in range(3000)))
    reaches = np.bincount([w.around.shape[1] // 2 for _, w in an_epoch(text, batch=1)], minlength=4) / 3000
    assert reaches[0] == 0 and np.abs(reaches[1:] - 1 / 3).max() < 0.05


def test_words_of_a_text() -> None:
    found = corpus("The <unk> end.\nthe well-known end, don't the_end 1990 'quoted'", least=1)
    assert found.words[:2] == ("end", "the")  # equally frequent: in order
    assert set(found.words[2:]) == {"well-known", "don't", "1990", "quoted"}
    assert [found.words[n] for n in found.tokens[:2]] == ["the", "end"]
    assert found.lines.tolist() == [0, 0, *[1] * 8] and found.counts.tolist() == [3, 3, 1, 1, 1, 1]
    assert corpus("a b a b c", least=2).tokens.tolist() == [0, 1, 0, 1]
    assert read([Document("a", "A a")], least=1, lower=False).words == ("A", "a")
    with pytest.raises(ValueError, match="of 2 different words, 0 occur 9 times or more"):
        corpus("a b", least=9)
    with pytest.raises(ValueError, match="at least once, and 0"):
        corpus("a b", least=0)


# ------------------------------------------------------------------------------------------------- what comes of it


@pytest.fixture(scope="module")
def world() -> Corpus:
    return corpus("\n".join(sentences(1500, seed=0)))


@pytest.mark.parametrize("kind", ["skipgram", "cbow"])
def test_words_of_one_role_become_neighbours(kind, world: Corpus) -> None:
    told = list[float]()
    settings = VectorSettings(kind, width=16, window=3, sample=0, epochs=6, batch=128)
    vectors = learn(world, settings, watch=lambda at: told.append(at.nats))
    verbs = {"sees", "mends", "follows", "forgets", "paints", "carries", "hears", "sells"}
    near = [one.word for verb in verbs for one in vectors.near(verb, 4)]
    assert sum(word in verbs for word in near) >= 0.9 * len(near)
    again = learn(world, settings)
    assert torch.equal(again.around, vectors.around) and torch.equal(again.middle, vectors.middle)
    assert told[-1] < math.log(2)


def planted() -> Vectors:
    """king - man + woman = queen, by construction, and words that are far from all."""
    words = ("man", "woman", "king", "queen", "river", "stone")
    male, female, royal = torch.eye(6)[:3]
    rows = [male, female, male + royal, female + royal, torch.eye(6)[3], torch.eye(6)[4]]
    return Vectors(words, np.arange(6, 0, -1), torch.stack(rows) * 3, torch.zeros(6, 6), "cbow")


def test_neighbours_and_analogies() -> None:
    vectors = planted()
    assert vectors.analogy("king", "man", "woman", 1)[0].word == "queen"
    assert vectors.analogy("woman", "man", "king", 1)[0].word == "queen"
    cosines = [one.cosine for one in vectors.near("king", 9)]
    assert len(cosines) == 5 and all(a >= b for a, b in pairwise(cosines))
    assert vectors.near("king", 1)[0].cosine == pytest.approx(vectors.cosine("king", vectors.near("king", 1)[0].word))
    assert vectors.number("KING") == 2
    with pytest.raises(ValueError, match="'quee' is none of the 6 words that have a vector; did you mean 'queen'"):
        vectors.near("quee")
    with pytest.raises(ValueError, match="count = 0"):
        vectors.near("king", 0)


def test_the_plane_is_that_of_the_principal_components() -> None:
    around = torch.randn(30, 5) * torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1])
    vectors = Vectors(tuple(f"w{n}" for n in range(30)), np.ones(30), around, around, "cbow")
    chosen = vectors.words[:20]
    places, share = vectors.plane(chosen)
    centred = vectors.directions[:20] - vectors.directions[:20].mean(dim=0)
    values = torch.linalg.eigvalsh(centred.T @ centred).flip(0)  # [5]
    torch.testing.assert_close(places.square().sum(dim=0), values[:2], rtol=1e-4, atol=1e-5)
    assert share == pytest.approx((values[:2] / values.sum()).tolist(), rel=1e-4)
    assert abs(float(places[:, 0] @ places[:, 1])) < 1e-4
    with pytest.raises(ValueError, match="at least three words, and 2"):
        vectors.plane(chosen[:2])


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    vectors = planted()
    vectors.save(tmp_path / "v")
    again = Vectors.load(tmp_path / "v")
    assert again.words == vectors.words and again.kind == "cbow" and (again.counts == vectors.counts).all()
    assert torch.equal(again.around, vectors.around) and torch.equal(again.middle, vectors.middle)
    (tmp_path / "v" / "notes.txt").write_text("mine")
    names = [document.name for document in open_source("text", (str(tmp_path / "v"),)).documents()]
    assert [Path(name).name for name in names] == ["notes.txt"]  # weft's own list of words is no text
    with pytest.raises(ValueError, match="has no words.json: word vectors are what"):
        Vectors.load(tmp_path)
    listed = json.loads((tmp_path / "v" / "words.json").read_text())
    for change, message in (({"words": ["a"]}, "a count for each word"), ({"weft": "word"}, "no list of words")):
        (tmp_path / "v" / "words.json").write_text(json.dumps(listed | change))
        with pytest.raises(DamagedFile, match=message):
            Vectors.load(tmp_path / "v")
    six, at = listed["words"][1:], "is no count of a word"
    for change, message in (
        ({"counts": ["x"] * 6}, f"'x' {at}"),
        ({"counts": [2**70] * 6}, f"{2**70} {at}"),
        ({"counts": [1.5] * 6}, f"1.5 {at}"),
        ({"words": [3, *six]}, "a word is a text"),
    ):
        (tmp_path / "v" / "words.json").write_text(json.dumps(listed | change))
        with pytest.raises(DamagedFile, match=message):
            Vectors.load(tmp_path / "v")
    (tmp_path / "v" / "words.json").write_text(json.dumps(listed | {"words": ["a"], "counts": [1]}))
    with pytest.raises(DamagedFile, match=r"'around' has shape \(6, 6\), and there are 1 words"):
        Vectors.load(tmp_path / "v")


def test_settings_that_cannot_be_meant() -> None:
    for settings, message in (
        (VectorSettings(width=0), "width is 0"),
        (VectorSettings(rate=0.0), "rate is 0.0; it must be a finite number, above 0"),
        (VectorSettings(sample=-1.0), "sample is -1.0"),
        (VectorSettings(seed=-1), "seed is -1"),
        (VectorSettings("glove"), "kind is 'glove'; it is one of skipgram, cbow"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=message):
            settings.check()


def test_the_picture_shows_every_word_once(tmp_path: Path) -> None:
    png = tmp_path / "new" / "words.png"
    share = draw(planted(), [["king", "queen"], ["river", "king"], ["stone"]], png)
    assert png.read_bytes().startswith(b"\x89PNG") and 0 < sum(share) <= 1


def test_vectors_of_width_1_lie_on_a_line(tmp_path: Path) -> None:
    one = torch.tensor([[1.0], [-1.0], [2.0], [0.5]])
    vectors = Vectors(("a", "b", "c", "d"), np.ones(4), one, one, "cbow")
    places, share = vectors.plane(vectors.words)
    assert places.shape == (4, 2) and not places[:, 1].any() and share == (1.0, 0.0)
    assert draw(vectors, [["a", "b"], ["c"]], tmp_path / "line.png") == (1.0, 0.0)


def test_a_list_of_words_teaches_nothing_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("moon\nking\n" * 30)
    done = weft("vectors", "train", "--data", tmp_path / "list.txt", "--out", tmp_path / "v", "--set", "sample=0")
    assert done.status == 1 and "nothing is learned from 60 words" in done.err and "give running text" in done.err
    assert not (tmp_path / "v").exists()


def test_the_commands(tmp_path: Path) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "vectors"
    text.write_text("\n".join(sentences(300, seed=1)))
    words = ("vectors", "train", "--data", text, "--out", out)
    small = ("--set", "width=8", "--set", "epochs=2", "--set", "sample=0", "--kind", "cbow")
    told = good(*words, *small, "--json").data
    assert told["kind"] == "cbow" and told["epochs"] == 2 and told["nats_per_score"] > 0
    assert "holds word vectors already" in weft(*words, *small).err
    assert "written" in good(*words, *small, "--overwrite").out
    assert len(good("vectors", "near", out, "moon", "king", "--count", "3", "--json").data["king"]) == 3
    assert "moon" in good("vectors", "near", out, "moon").out
    assert len(good("vectors", "analogy", out, "moon", "king", "cat", "--json").data["found"]) == 5
    assert "moon - king + cat" in good("vectors", "analogy", out, "moon", "king", "cat").out
    png = tmp_path / "words.png"
    assert "of the variance" in good("vectors", "plot", out, "moon", "king", "--near", "2", "--out", png).out
    before = png.read_bytes()
    again = ("vectors", "plot", out, "moon", "king", "cat", "--out", png)
    assert "is there already: replace it with --overwrite" in weft(*again).err and png.read_bytes() == before
    good(*again, "--overwrite")
    assert png.read_bytes() != before
    assert "written as .png" in weft("vectors", "plot", out, "moon", "--out", tmp_path / "a.txt").err
    assert "did you mean 'moon'" in weft("vectors", "near", out, "mon").err
    assert "widht" in weft(*words, "--set", "widht=3").err
    assert "a setting and its value" in weft(*words, "--set", "width").err
    assert "has other things in it" in weft("vectors", "train", "--data", text, "--out", tmp_path).err
