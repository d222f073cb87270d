"""Maps of cross-attention: weights of the model's own steps, on a page and in a picture."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import weft

from weft.data import train_tokenizer
from weft.hub import Model
from weft.hub.looks import END, Looks, draw_looks, looks
from weft.hub.stops import Stops
from weft.models import Blueprint

PAIR = "the moon sees a road", "einen Weg sieht der Mond"


@pytest.fixture(scope="module", params=["transformer", "rnn"])
def model(request: pytest.FixtureRequest) -> Model:
    """An untrained translator of bytes."""
    tokenizer = train_tokenizer("bytes", [])
    blueprint = Blueprint.of(request.param, "debug", vocab=tokenizer.vocab)
    return Model(blueprint.build(seed=0).eval(), blueprint, tokenizer)


def test_each_written_token_weighs_the_whole_source(model: Model) -> None:
    found = looks(model, *PAIR)
    assert found.source == (*(c if c != " " else "·" for c in PAIR[0]), END)
    assert found.target == (*(c if c != " " else "·" for c in PAIR[1]), END)
    assert found.weights.shape[2:] == (len(found.target), len(found.source))
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(found.weights.shape[:-1]))
    assert found.mean.shape == found.weights.shape[2:]


def test_a_row_knows_nothing_of_what_is_written_later(model: Model) -> None:
    whole, begun = looks(model, *PAIR), looks(model, PAIR[0], PAIR[1][:7])
    torch.testing.assert_close(begun.weights[:, :, :8], whole.weights[:, :, :8])


def test_a_forced_token_is_read_as_in_generation(model: Model) -> None:
    """Where every target begins with a second id, all that is written follows it."""
    (number,) = model.need_tokenizer().encode("#")
    forced = replace(model, stops=Stops(forced=number))
    found, spelt = looks(forced, *PAIR), looks(model, PAIR[0], f"#{PAIR[1]}")
    assert found.target == spelt.target[1:]
    torch.testing.assert_close(found.weights, spelt.weights[:, :, 1:])
    assert len(looks(forced, "the moon").target) < model.config.context


def test_the_texts_go_where_the_module_is(model: Model) -> None:
    with torch.device("meta"):  # where tensors go that are put nowhere
        found = looks(model, *PAIR)
    torch.testing.assert_close(found.weights, looks(model, *PAIR).weights)


def test_without_a_target_it_is_what_the_model_writes(model: Model) -> None:
    written = [number for number in model.generate("the moon", beams=5, tokens=63).ids if number != model.tokenizer.end]
    assert looks(model, "the moon").weights.shape[2:] == (len(written) + 1, len("the moon") + 1)


def test_they_are_drawn(model: Model, tmp_path: Path) -> None:
    found = looks(model, "a <b>", "x & y")
    draw_looks(found, tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    layers, heads = found.weights.shape[:2]
    assert page.count("<table") == 1 + layers * heads
    assert "&lt;" in page and "<th>&amp;</th>" in page and "<b>\x20←" not in page
    draw_looks(found, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="ends in neither"):
        draw_looks(found, tmp_path / "map.jpg")


@pytest.mark.parametrize(("layers", "read", "across"), [(2, 620, 1), (6, 12, 2)])
def test_panels_stand_in_rows_and_a_picture_has_a_size_that_can_be_drawn(
    layers: int, read: int, across: int, tmp_path: Path
) -> None:
    """matplotlib draws no side of 2^16 dots; a piece may be the sign that begins a formula there."""
    source, target = ("$$", r"\frac", *["a"] * (read - 2)), ("$x$", "b", END)
    draw_looks(Looks(source, target, torch.full((layers, 1, 3, read), 1 / read)), tmp_path / "map.png")
    wide, high = struct.unpack(">II", (tmp_path / "map.png").read_bytes()[16:24])
    assert wide == int(min(across * (1.4 + 0.34 * read), 40) * 160)
    assert high == int(layers / across * 2.5 * 160)


def test_what_has_nothing_to_look_at_is_refused(model: Model, trained: Path, tmp_path: Path) -> None:
    done = weft("attention", trained, "--source", "x", "--out", tmp_path / "map.html")
    assert "a llama has no cross-attention to look at" in done.err
    with pytest.raises(ValueError, match="the source has .* tokens and the context"):
        looks(model, "x" * 4096, "y")


def test_the_command_draws_a_page(translator: Path, tmp_path: Path) -> None:
    done = weft("attention", translator, "--source", "the moon", "--target", "moon", "--out", tmp_path / "map.html")
    assert done.status == 0, done.err
    assert str(tmp_path / "map.html") in done.out and (tmp_path / "map.html").is_file()
    before = (tmp_path / "map.html").read_text()
    again = ("attention", translator, "--source", "the sun", "--target", "sun", "--out", tmp_path / "map.html")
    done = weft(*again)
    assert done.status == 1 and "map.html is there already: replace it with --overwrite" in done.err
    assert (tmp_path / "map.html").read_text() == before
    assert weft(*again, "--overwrite").status == 0 and (tmp_path / "map.html").read_text() != before
