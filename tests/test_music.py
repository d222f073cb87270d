"""Music: notes to ids and back, chorales from arrays, MIDI files, and a picture."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pages import ROOT
from parts import CPU, randomised
from torch import nn
from torch.nn import functional

from weft.data.signals.music import MOST_MIDI, read_chorales, read_midi, write_midi
from weft.data.signals.notes import END, Events, Note, Piece, Voices
from weft.data.signals.roll import draw_roll, pitch_name
from weft.files import DamagedFile
from weft.models import Blueprint
from weft.nn import Layout, MusicScheme

CHORALES = ROOT.parent / "shared" / "data" / "jsb_chorales"


@st.composite
def voiced(draw: Any, voices: int = 3, most: int = 20) -> Piece:
    """A piece whose voices each sound once at a time, and may strike a pitch again at once."""
    notes = list[Note]()
    for voice in range(voices):
        at = 0
        for length, rest, pitch in draw(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 127)))):
            notes.append(Note(at + rest, pitch, at + rest + length, voice))
            at += rest + length
    end = max((note.end for note in notes), default=0)
    return Piece(tuple(notes), end + draw(st.integers(0, most)))


@st.composite
def played(draw: Any) -> Piece:
    """Any notes at all, of one voice."""
    numbers = st.tuples(st.integers(0, 40), st.integers(1, 50), st.integers(0, 127))
    notes = [Note(start, pitch, start + length) for start, length, pitch in draw(st.lists(numbers))]
    return Piece(tuple(notes), max((note.end for note in notes), default=0) + draw(st.integers(0, 40)))


# --------------------------------------------------------------------------------------------------- notes and ids


@given(voiced(), st.integers(3, 5))
def test_a_grid_of_voices_is_the_piece(piece: Piece, voices: int) -> None:
    way = Voices(voices)
    ids = way.encode(piece)
    assert len(ids) == voices * piece.steps and all(0 < number < way.vocab for number in ids)
    assert way.decode([*ids, END, 99999]) == piece
    for step in range(piece.steps):
        for voice in range(voices):
            here = [note for note in piece.notes if note.voice == voice and note.start <= step < note.end]
            wanted = 1 if not here else 3 + here[0].pitch if here[0].start == step else 2
            assert ids[step * voices + voice] == wanted


@given(played(), st.integers(1, 9))
def test_events_are_the_piece(piece: Piece, longest: int) -> None:
    way, settled = Events(longest), piece.settled()
    ids = way.encode(settled)
    assert all(0 < number < way.vocab for number in ids)
    assert way.decode([*ids, END]) == settled
    assert sum(number - 256 for number in ids if number > 256) == piece.steps
    assert sum(number <= 128 for number in ids) == len(settled.notes) == sum(129 <= number <= 256 for number in ids)


@given(played())
def test_a_settled_piece_sounds_as_it_did(piece: Piece) -> None:
    """At each step the same pitches, each once, struck when they were; and settling twice changes nothing."""
    settled = piece.settled()
    assert settled.settled() == settled
    for step in range(piece.steps):
        sounding = {note.pitch for note in piece.notes if note.start <= step < note.end}
        here = [note.pitch for note in settled.notes if note.start <= step < note.end]
        assert len(here) == len(set(here)) and set(here) <= sounding
        assert {n.pitch for n in piece.notes if n.start == step} == {n.pitch for n in settled.notes if n.start == step}


@given(st.lists(st.integers(0, 130), max_size=80), st.integers(1, 4))
def test_whatever_a_model_writes_on_a_grid_is_a_piece(ids: list[int], voices: int) -> None:
    way = Voices(voices)
    piece = way.decode(ids)
    assert way.decode(way.encode(piece)) == piece
    before = ids[: ids.index(END)] if END in ids else ids
    assert piece.steps == len(before) // voices
    assert len(piece.notes) == sum(number > 2 for number in before[: piece.steps * voices])


@given(st.lists(st.integers(0, 260), max_size=80))
def test_whatever_a_model_writes_as_events_is_a_piece(ids: list[int]) -> None:
    way = Events(4)
    piece = way.decode(ids)
    assert way.decode(way.encode(piece)) == piece == piece.settled()


def test_ids_by_hand() -> None:
    piece = Piece((Note(0, 60, 2, 0), Note(2, 60, 3, 0), Note(1, 48, 3, 1)), 4)
    assert Voices(2).encode(piece) == [63, 1, 2, 51, 63, 2, 1, 1]
    assert Events(2).encode(piece.settled()) == [61, 257, 49, 257, 189, 61, 257, 177, 189, 257]
    assert Events(2).decode([61, 61, 258, 177, 61, 257]).notes == (Note(0, 60, 2), Note(2, 60, 3))


def test_what_cannot_be_written_is_refused() -> None:
    twice = Piece((Note(0, 60, 3), Note(2, 62, 4)), 4)
    with pytest.raises(ValueError, match="while its voice sounds"):
        Voices(1).encode(twice)
    with pytest.raises(ValueError, match="beyond the 1 there are"):
        Voices(1).encode(Piece((Note(0, 60, 1, 1),), 1))
    with pytest.raises(ValueError, match="piece.settled"):
        Events().encode(Piece((Note(0, 60, 3), Note(2, 60, 4)), 4))
    with pytest.raises(ValueError, match="131 is no id"):
        Voices().decode([131])
    with pytest.raises(ValueError, match="-1 is no id"):
        Events().decode([1, -1])
    for wrong in ((3, 60, 3), (0, 128, 1), (0, -1, 1), (-1, 5, 1)):
        with pytest.raises(ValueError, match="is no note"):
            Note(*wrong)
    for make in (lambda: Piece((Note(0, 60, 3),), 2), lambda: Piece((), 0, 0), lambda: Voices(0), lambda: Events(0)):
        with pytest.raises(ValueError):
            make()


# ------------------------------------------------------------------------------------------------- chorales as arrays


def write(path: Path, data: Any) -> Path:
    text = json.dumps(data).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["some.json", "some.json.gz"])
def test_chorales_by_hand(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, {"train": [[[60, -1], [60, 48], [62, 48]]], "valid": []})
    assert read_chorales(path, voices=2) == {
        "train": [Piece((Note(0, 60, 2, 0), Note(1, 48, 3, 1), Note(2, 62, 3, 0)), 3)],
        "valid": [],
    }
    path = write(tmp_path / name, {"train": [[[60, 64], [], [60]]]})
    (piece,) = read_chorales(path, voices=None)["train"]
    assert piece == Piece((Note(0, 60, 1), Note(0, 64, 1), Note(2, 60, 3)), 3, per_quarter=1)


@pytest.mark.skipif(not CHORALES.is_dir(), reason="the chorales are not here")
def test_bachs_chorales_go_there_and_back() -> None:
    found = read_chorales(CHORALES / "satb_16th.json.gz")
    assert {part: len(pieces) for part, pieces in found.items()} == {"train": 229, "valid": 76}
    arrays = json.loads(gzip.decompress((CHORALES / "satb_16th.json.gz").read_bytes()))
    for piece, steps in zip(found["valid"], arrays["valid"], strict=True):
        assert Voices(4).decode(Voices(4).encode(piece)) == piece
        grid = [[-1] * 4 for _ in steps]
        for note in piece.notes:
            for step in range(note.start, note.end):
                grid[step][note.voice] = note.pitch
        assert grid == steps
        settled = piece.settled()
        assert Events().decode(Events().encode(settled)) == settled
    rolls = read_chorales(CHORALES / "pianoroll_quarter.json.gz", voices=None)
    assert len(rolls["train"]) == 229 and rolls["train"][0].per_quarter == 1
    assert all(piece == piece.settled() for piece in rolls["valid"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"{", "is no JSON"),
        (b"\xff\xfe{}", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "no object of lists of pieces"),
        (b'{"train": 3}', "no object of lists of pieces"),
        (b'{"train": [[]]}', "train, piece 1 is no list of steps"),
        (b'{"train": [[[60, -1]], [7]]}', "piece 2, step 1 is 7, no list of pitches"),
        (b'{"train": [[[60, 1.5]]]}', "step 1 is .*, no list of pitches"),
        (b'{"train": [[[60, true]]]}', "no list of pitches"),
        (b'{"train": [[[60, -1], [128, 3]]]}', "step 2 has the pitch 128"),
        (b'{"train": [[[60, -2]]]}', "has the pitch -2"),
        (b'{"train": [[[60]]]}', "has 1 voices, not 2"),
    ],
)
def test_arrays_that_are_no_chorales_are_named(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(DamagedFile, match=f"bad.json.*{said}"):
        read_chorales(path, voices=2)


def test_a_file_that_cannot_be_unpacked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.compress(b'{"train": []}')
    for name, data in (
        ("cut.json.gz", whole[:-9]),
        ("none.json.gz", b"what"),
        ("bits.json.gz", whole[:12] + b"\xff" * 9),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DamagedFile, match=f"{name} is (a damaged .gz file|no JSON|empty)"):
            read_chorales(tmp_path / name)
    with pytest.raises(DamagedFile, match="missing.json cannot be read"):
        read_chorales(tmp_path / "missing.json")
    monkeypatch.setattr("weft.data.signals.music.MOST_BYTES", 100)
    (tmp_path / "large.json.gz").write_bytes(gzip.compress(b" " * 10**6))
    with pytest.raises(DamagedFile, match="larger than the 100 bytes"):
        read_chorales(tmp_path / "large.json.gz")


# ----------------------------------------------------------------------------------------------------------- MIDI files


@given(voiced(most=0), st.sampled_from([1, 3, 4, 12, 24]))
def test_a_midi_file_is_the_piece(tmp_path_factory: pytest.TempPathFactory, piece: Piece, per_quarter: int) -> None:
    """But for voices that never sound, which have no track, and a pitch that sounds twice at once in one."""
    pytest.importorskip("symusic")
    used = sorted({note.voice for note in piece.notes})
    notes = tuple(Note(n.start, n.pitch, n.end, used.index(n.voice)) for n in piece.notes)
    piece = Piece(notes, piece.steps, per_quarter)
    path = tmp_path_factory.mktemp("midi") / "piece.mid"
    write_midi(piece, path, tempo=97.0)
    if not piece.notes:
        with pytest.raises(DamagedFile, match=r"piece\.mid has no notes"):
            read_midi(path, per_quarter=per_quarter)
        return
    assert read_midi(path, per_quarter=per_quarter) == piece


def test_a_file_of_drums_alone_says_that_they_are_left_out(tmp_path: Path) -> None:
    symusic = pytest.importorskip("symusic")
    score, drums = symusic.Score(100), symusic.Track(is_drum=True)
    drums.notes.append(symusic.Note(0, 500, 35, 90))
    score.tracks.append(drums)
    (tmp_path / "drums.mid").write_bytes(score.dumps_midi())
    with pytest.raises(DamagedFile, match=r"drums\.mid has notes of drums alone, and drums are left out"):
        read_midi(tmp_path / "drums.mid")


def test_times_go_to_the_nearest_step(tmp_path: Path) -> None:
    symusic = pytest.importorskip("symusic")
    score = symusic.Score(100)
    track, drums = symusic.Track(), symusic.Track(is_drum=True)
    for start, length in ((0, 30), (37, 1), (38, 24), (112, 113)):
        track.notes.append(symusic.Note(start, length, 60, 90))
    drums.notes.append(symusic.Note(0, 500, 35, 90))
    for one in (symusic.Track(), track, drums):
        score.tracks.append(one)
    score.dump_midi(tmp_path / "piece.mid")
    piece = read_midi(tmp_path / "piece.mid")
    assert [(note.start, note.end) for note in piece.notes] == [(0, 1), (1, 2), (2, 3), (4, 9)]
    assert piece.steps == 9 and {note.voice for note in piece.notes} == {0}


def midi(path: Path) -> bytes:
    write_midi(Piece((Note(0, 60, 2), Note(2, 64, 5)), 5), path)
    return path.read_bytes()


def test_a_midi_file_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("symusic")
    whole, path = midi(tmp_path / "good.mid"), tmp_path / "bad.mid"
    ticks = bytearray(whole)
    for data, said in (
        (b"", "is empty"),
        (b"RIFF" + whole, "no MIDI file"),
        (whole[:5], "damaged"),
        (whole[:-7], "damaged"),
        (whole[:14], "has no notes|damaged"),
        (bytes(ticks[:12]) + b"\0\0" + bytes(ticks[14:]), "counts 0 ticks"),
    ):
        path.write_bytes(data)
        with pytest.raises(DamagedFile, match=f"bad.mid.*({said})"):
            read_midi(path)
    with pytest.raises(DamagedFile, match="cannot be read"):
        read_midi(tmp_path / "missing.mid")
    monkeypatch.setattr("weft.data.signals.music.MOST_STEPS", 3)
    with pytest.raises(DamagedFile, match="from tick 240 to 600"):
        read_midi(tmp_path / "good.mid")
    monkeypatch.setattr("weft.data.signals.music.MOST_NOTES", 1)
    with pytest.raises(DamagedFile, match="has 2 notes"):
        read_midi(tmp_path / "good.mid")
    path.write_bytes(whole + b"\0" * MOST_MIDI)
    with pytest.raises(DamagedFile, match="larger than"):
        read_midi(path)


def test_whatever_bytes_stand_in_a_midi_file_it_is_read_or_named(tmp_path: Path) -> None:
    pytest.importorskip("symusic")
    whole, path, draw = midi(tmp_path / "good.mid"), tmp_path / "bad.mid", random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
        path.write_bytes(bytes(data))
        try:
            assert read_midi(path).notes
        except DamagedFile as error:
            assert "bad.mid" in str(error)


def test_a_midi_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    piece = Piece((Note(0, 60, 2),), 2, per_quarter=1000)
    with pytest.raises(ValueError, match="tempo = 0"):
        write_midi(piece, tmp_path / "piece.mid", tempo=0)
    with pytest.raises(ValueError, match="per_quarter = 1000"):
        write_midi(piece, tmp_path / "piece.mid")


# ------------------------------------------------------------------------------------------------------------- pictures


def test_a_piece_is_drawn(tmp_path: Path) -> None:
    piece = Piece((Note(0, 60, 4, 0), Note(4, 64, 6, 0), Note(0, 48, 6, 1)), 8)
    draw_roll(piece, tmp_path / "deeper" / "roll.png", title="a $ piece")
    assert (tmp_path / "deeper" / "roll.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="without notes"):
        draw_roll(Piece((), 4), tmp_path / "roll.png")
    assert [pitch_name(pitch) for pitch in (60, 69, 21, 61)] == ["C4", "A4", "A0", "C♯4"]


# -------------------------------------------------------------------------------------------------------------- a model


def relative(module: nn.Module) -> nn.Module:
    return module.stack.layers[0].attn.branch.relative  # type: ignore[union-attr, return-value]


@torch.no_grad()
def test_skewing_is_what_is_looked_up() -> None:
    """Huang et al. 2018, §3.4.1: pad on the left, reshape, slice; of whole rows, and as many distances as places."""
    module = randomised(Blueprint.of("music", "debug", distance=15).build())
    part, length = relative(module), 16
    query = torch.randn(2, length, 4, 12)
    where = Layout().numbered(length, CPU)
    got = part.bias(query, query, where, where)  # type: ignore[operator]
    scores = torch.einsum("bthk,hnk->bhtn", query, part.weight)  # [B, H, T, T], the furthest distance first
    padded = functional.pad(scores, (1, 0)).reshape(2, 4, length + 1, length)
    skewed = padded[:, :, 1:]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    torch.testing.assert_close(got[..., causal], skewed[..., causal])


def test_distances_reach_as_far_as_a_row_unless_it_is_said() -> None:
    assert relative(Blueprint.of("music", "debug", distance=None).build()).weight.shape == (4, 65, 12)
    assert relative(Blueprint.of("music", "debug").build()).weight.shape == (4, 25, 12)
    swapped = Blueprint("music", Blueprint.of("music", "debug").config, position=MusicScheme(3)).build()
    assert relative(swapped).weight.shape == (4, 4, 12)


def test_a_chorale_is_learnt_by_heart() -> None:
    piece = Piece(tuple(Note(4 * i, 60 + 2 * i + 5 * v, 4 * i + 3 + v, v) for i in range(4) for v in range(2)), 16)
    ids = torch.tensor([[END, *Voices(2).encode(piece)]])
    module = Blueprint.of("music", "debug").build(seed=1).train()
    optimiser, losses = torch.optim.AdamW(module.parameters(), lr=4e-3), list[float]()
    for _ in range(300):
        scores = module.logits(module(ids[:, :-1])[0])  # type: ignore[operator]
        loss = functional.cross_entropy(scores[0], ids[0, 1:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 < 4 < losses[0]
    assert Voices(2).decode(scores[0].argmax(-1).tolist()) == piece
