"""Music as a run: pieces to rows of ids, moved by semitones, a model that plays and is asked how likely pieces are."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, good, weft
from hypothesis import given
from hypothesis import strategies as st
from test_music import voiced

from weft.batch import IGNORED, Place
from weft.data.signals import read_processor
from weft.data.signals.notation import Notation
from weft.data.signals.notes import END, Note, Piece
from weft.data.signals.pieces import Pieces, shifts
from weft.data.signals.scores import MusicSettings, prepare_music, read_pieces
from weft.models import Blueprint

symusic = pytest.importorskip("symusic", reason="MIDI files are read with symusic")

GRID = Notation(voices=3)


def chorales(path: Path, train: int = 6, valid: int = 2) -> Path:
    """Pieces of three voices that wander."""
    draw = np.random.default_rng(0)

    def piece() -> list[list[int]]:
        return [[int(low + draw.integers(0, 12)) for low in (60, 50, 40)] for _ in range(int(draw.integers(20, 60)))]

    data = {part: [piece() for _ in range(count)] for part, count in (("train", train), ("valid", valid), ("test", 1))}
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    return path


def moved(piece: Piece, by: int) -> Piece:
    notes = tuple(Note(note.start, note.pitch + by, note.end, note.voice) for note in piece.notes)
    return Piece(notes, piece.steps, piece.per_quarter)


@given(voiced(), st.sampled_from([Notation(voices=3), Notation("events", longest=3)]), st.integers(-5, 6))
def test_ids_are_moved_as_the_piece_is(piece: Piece, notation: Notation, by: int) -> None:
    low, high = shifts([piece, Piece((Note(0, 0, 1), Note(1, 127, 2)), 2)], down=5, up=6)[0]
    pitches = [note.pitch for note in piece.notes]
    if not pitches or (min(pitches) + by >= 0 and max(pitches) + by < 128):
        ids = notation.encode(piece)
        np.testing.assert_array_equal(notation.moved(ids, by), notation.encode(moved(piece, by)))
        assert ids[0] == ids[-1] == END and notation.decode(ids.tolist()) == notation.fitted(piece)
    assert -5 <= low <= 0 <= high <= 6


def test_no_voice_leaves_its_span() -> None:
    one = Piece((Note(0, 60, 2, 0), Note(0, 40, 2, 1)), 2)
    two = Piece((Note(0, 64, 2, 0), Note(0, 41, 2, 1)), 2)
    assert shifts([one, two], down=5, up=6) == [(0, 1), (-1, 0)]
    assert shifts([Piece((), 4)], down=2, up=3) == [(-2, 3)]
    assert shifts([one, moved(one, 20)], down=0, up=0) == [(0, 0), (0, 0)]


@given(st.lists(voiced(voices=2, most=6), min_size=1, max_size=4), st.integers(2, 20))
def test_held_out_rows_ask_for_every_id_once_with_what_came_before_in_sight(pieces: list[Piece], context: int) -> None:
    notation = Notation(voices=2)
    ids = [notation.encode(piece) for piece in pieces]
    data = Pieces(ids, notation, context)
    batch, asked = data.batch([Place(0, sample) for sample in range(len(data))]), list[list[int]]()
    assert batch.labels is not None
    for row, (number, _) in enumerate(data.rows):
        start = 0
        places = (batch.labels[row] != IGNORED).nonzero()[:, 0].tolist()
        if len(asked) <= number:
            asked.append([])
        else:
            start = len(asked[number]) - places[0]
            assert places[0] >= context - data.stride
        for place in places:
            assert batch.tokens[row, : place + 1].tolist() == ids[number][start : start + place + 1].tolist()
        asked[number] += batch.labels[row, places].tolist()
    assert asked == [row[1:].tolist() for row in ids]


def test_trained_rows_hang_on_seed_epoch_and_sample_alone() -> None:
    ids = [GRID.encode(piece.piece) for piece in _made()]
    data = Pieces(ids, GRID, 24, shifts=[(-5, 6)] * len(ids), seed=3)
    places = [Place(epoch, sample) for epoch in range(3) for sample in range(len(data))]
    together, alone = data.batch(places), data.batch(places[7:8])
    assert (together.tokens[7] == alone.tokens[0]).all()
    half = len(places) // 3
    assert (together.tokens[:half] != together.tokens[half : 2 * half]).any()
    ups = set[int]()
    for place in places:
        row, start, _ = data._stretch(place)
        number = data.rows[place.sample][0]
        assert start % 3 == 0 and 0 <= start <= len(ids[number])
        pitched = ids[number] > 2
        (by,) = {*(row - ids[number])[pitched].tolist()}
        ups.add(by)
        np.testing.assert_array_equal(row[~pitched], ids[number][~pitched])
    assert ups == {*range(-5, 7)}


def _made() -> list:
    from weft.data.signals.scores import made_music

    return made_music(MusicSettings(voices=3), lambda text: None)


def test_parts_folders_and_files_are_read(tmp_path: Path) -> None:
    path = chorales(tmp_path / "some.json.gz")
    found = prepare_music(MusicSettings(paths=(str(path),), voices=3), 16)
    assert (len(found.train.pieces), len(found.held_out.pieces)) == (6, 2)
    assert "test set" in found.notices[0]
    pieces = read_pieces(path, GRID)
    for one in pieces:
        good_name = one.name.replace(", ", "_").replace(" ", "_")
        folder = tmp_path / "midi" / one.name.split(", ")[1]
        folder.mkdir(parents=True, exist_ok=True)
        from weft.data.signals.music import write_midi

        write_midi(one.piece, folder / f"{good_name}.mid")
    again = prepare_music(MusicSettings(paths=(str(tmp_path / "midi"),), voices=3), 16)
    assert sorted(map(bytes, again.train.pieces)) == sorted(map(bytes, found.train.pieces))
    split = prepare_music(MusicSettings(paths=(str(tmp_path / "midi" / "train"),), voices=3, held_out=0.4), 16)
    assert len(split.train.pieces) + len(split.held_out.pieces) == 6
    events = prepare_music(MusicSettings(paths=(str(path),), voices=3, encoding="events"), 16)
    assert events.notation.vocab == 273 and events.steps == found.steps


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("music comes from files", {}),
        ("is no music", {"paths": ("x.wav",)}),
        ("holds no MIDI files", {"paths": ("sub",)}),
        ("held_out=0", {"held_out": 0.0}),
        ("semitones either way", {"down": -1}),
        ("voices = 0", {"voices": 0}),
        ("at least 1 step", {"per_quarter": 0}),
        ("quarters have 2 steps", {"source": "made_music", "per_quarter": 2}),
        ("empty.mid is empty", {"paths": ("empty.mid",)}),
    ],
)
def test_what_gives_no_rows_is_refused(
    said: str, changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match=said):
        prepare_music(MusicSettings(**changes), 16, Notation() if "source" in changes else None)


def test_a_piece_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = chorales(tmp_path / "some.json.gz")
    with pytest.raises(ValueError, match="some.json.gz, .*3 voices, not 4.*data.per_quarter=1"):
        prepare_music(MusicSettings(paths=(str(path),)), 16)
    with pytest.raises(ValueError, match="piece 1: .*while its voice sounds|piece 1: .*beyond"):
        prepare_music(MusicSettings(paths=(str(path),), per_quarter=1), 16)


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("music")
    words = ("--set", "data.voices=3", "--set", "model.size=debug", "--set", "train.steps=6", "--set", "train.batch=2")
    kept = ("--set", "train.checkpoint_every=2", "--set", "train.kernel=eager", "--quiet")
    done = good("train", "music", "--data", chorales(root / "some.json.gz"), "--out", root / "run", *words, *kept)
    assert "nats per event" in done.out and "weft generate" in done.out and "a grid of 3 voices" in done.out
    return root / "run"


def test_a_run_resumes_to_the_same_bits(player: Path, tmp_path: Path) -> None:
    data = player.parent / "some.json.gz"
    words = ("--set", "data.voices=3", "--set", "model.size=debug", "--set", "train.batch=2", "--set")
    kept = ("train.checkpoint_every=2", "--set", "train.kernel=eager", "--quiet", "--set", "train.steps=6")
    good("train", "music", "--data", data, "--out", tmp_path / "run", *words, *kept)
    for step in sorted((tmp_path / "run" / "checkpoints").iterdir())[-1:]:
        for path in sorted(step.rglob("*"), reverse=True):
            path.unlink()
        step.rmdir()
    good("train", "music", "--data", data, "--out", tmp_path / "run", *words, *kept, "--resume")
    files = [(folder / "model.safetensors").read_bytes() for folder in (player, tmp_path / "run")]
    assert files[0] == files[1]
    assert read_processor(player) == read_processor(tmp_path / "run")


def test_a_model_plays_midi_files_and_piano_rolls(player: Path, tmp_path: Path) -> None:
    from weft.data.signals.music import read_midi

    first = tmp_path / "one.mid"
    good("generate", player, "--out", first, "--tokens", 60, "--seed", 3)
    good("generate", player, "--out", tmp_path / "same.mid", "--tokens", 60, "--seed", 3)
    assert first.read_bytes() == (tmp_path / "same.mid").read_bytes()
    begun = read_midi(first)
    said = good("generate", player, "--prompt", first, "--out", tmp_path / "on.mid", "--tokens", 30, "--count", 2).out
    assert "on-1.mid" in said and "on-2.mid" in said
    for number in (1, 2):
        went = read_midi(tmp_path / f"on-{number}.mid")
        assert went.steps >= begun.steps
        before = {(note.start, note.pitch) for note in begun.notes}
        assert before <= {(note.start, note.pitch) for note in went.notes}
    kept = first.read_bytes()
    said = weft("generate", player, "--prompt", first, "--out", first, "--overwrite").err
    assert "is what is read" in said and first.read_bytes() == kept
    again = ("generate", player, "--out", tmp_path / "on.mid", "--count", 2)
    assert "on-1.mid is there already" in weft(*again).err
    good(*again, "--tokens", 12, "--overwrite")
    for words, asked in ((("--tokens", 0), "--tokens 0, but at least 1"), (("--guidance", 2), "leave --guidance out")):
        assert asked in weft(*again, "--overwrite", *words).err
    pytest.importorskip("matplotlib")
    good("generate", player, "--out", tmp_path / "roll.png", "--tokens", 60)
    assert (tmp_path / "roll.png").read_bytes().startswith(b"\x89PNG")
    assert "name the file so" in weft("generate", player, "--out", tmp_path / "x.wav").err
    (tmp_path / "empty.mid").write_bytes(b"")
    assert (
        "empty.mid is empty"
        in weft("generate", player, "--prompt", tmp_path / "empty.mid", "--out", tmp_path / "y.mid").err
    )
    assert "--out FILE" in weft("generate", player, "--prompt", "").err


def test_pieces_are_as_likely_as_the_run_says(player: Path, tmp_path: Path) -> None:
    data, found = player.parent / "some.json.gz", tmp_path / "found.jsonl"
    report = json.loads((player / "report.json").read_text())["figures"]
    scored = good("eval", player, "--data", data, "--json").data
    done = good("predict", player, "--data", data, "--out", found)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert {line["piece"].split(", ")[1] for line in lines} == {"train", "valid", "test"} and len(lines) == 9
    held = [line for line in lines if ", valid," in line["piece"]]
    nats, events, steps = (sum(line[name] for line in held) for name in ("nats", "events", "steps"))
    assert nats / events == pytest.approx(report["loss"], rel=1e-4)
    assert nats / steps == pytest.approx(report["nats_per_step"], rel=1e-4)
    assert scored["nats_per_event"] == pytest.approx(report["loss"], rel=1e-4) and scored["examples"] == 2
    copy = tmp_path / data.name
    copy.write_bytes(data.read_bytes())  # which the run does not know: what is called train is left out
    assert good("eval", player, "--data", copy, "--json").data["examples"] == 3
    assert "predictions" in done.out and "of 2 pieces" in good("eval", player, "--data", data).out


def test_a_model_goes_on_in_its_own_notation(player: Path, tmp_path: Path) -> None:
    done = good("train", player, "--debug", "--quiet", "--set", "data.voices=3", "--out", tmp_path / "on")
    assert "nats per event" in done.out and read_processor(tmp_path / "on") == read_processor(player)
    said = weft("train", "music", *TINY, "--set", "model.vocab=99", "--out", tmp_path / "no").err
    assert "131 ids" in said
    assert Blueprint.of("music", "debug").config.vocab == 131
    events = ("--set", "data.encoding=events", "--set", "model.position=rope")
    assert "events of notes and waits" in good("train", "bach", *TINY, *events, "--out", tmp_path / "e").out
