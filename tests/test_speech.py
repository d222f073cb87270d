"""Sounds with transcripts: from files to rows that any seed gives again, as runs, and as answers about new ones."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hearing import noise, tone, wav
from test_transcribe import speaking

from weft.batch import IGNORED, Place
from weft.data.names import Side
from weft.data.signals import LogMel, Waveform
from weft.data.signals.digits import NAMES
from weft.data.signals.prepare_speech import held_of, processor_for, read_spoken, tokenizer_for
from weft.data.signals.recordings import SOUND_SOURCES, Recording, said_beside, sounds
from weft.data.signals.speech import SoundAugment, SpeechSettings
from weft.data.signals.utterances import Form, Hearing, Utterances
from weft.data.signals.varied_sound import draw_factor, faster, retimed, tilted, varied_frames, varied_sound, warped
from weft.evaluate import METRICS
from weft.evaluate.edits import distance
from weft.models import Blueprint
from weft.nn import Layout
from weft.objectives import Translate
from weft.objectives.ctc import CTC
from weft.recipes.modalities.speech_predict import given_sounds, source_of

RATE = 8000
FRAMES = LogMel(rate=RATE, mels=8, window=200, step=80, highest=4000, seconds=None, normalise=True)
VARIED = SoundAugment(speed=0.2, volume=6, noise=1.0, warp=0.1, bands=1, band=3, spans=1, span=5)


def made(**changes: Any) -> list[Recording]:
    return SOUND_SOURCES.get("made_sounds")(SpeechSettings(rate=RATE, **changes), print)


def rows(form: Form = "labels", count: int = 30, **changes: Any) -> Utterances:
    """Made sounds as a data set."""
    tokenizer = tokenizer_for(SpeechSettings(tokenizer="word"), NAMES)
    hearing = Hearing(FRAMES, form, tokenizer, NAMES, (tokenizer.end,), changes.pop("longest", None))
    return Utterances(made()[:count], hearing, **changes)


# --- how sounds are varied


@given(st.floats(0.8, 1.25), st.floats(300, 900))
def test_a_sound_played_faster_is_shorter_and_higher(factor: float, hertz: float) -> None:
    found = faster(tone(1.0, RATE, hertz), factor)
    wanted = RATE / factor
    assert 0.98 * wanted - 1 <= len(found) <= wanted
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found)), 8 * RATE))
    heard = spectrum.argmax() / 8
    assert abs(heard - hertz * RATE / len(found)) <= 2.0  # higher by what it is shorter
    assert np.abs(found[100:-100]).max() == pytest.approx(0.3, abs=0.02)


def test_volume_and_noise_are_what_they_say() -> None:
    draw, samples = np.random.default_rng(0), tone(1.0, RATE)
    louder = [varied_sound(samples, SoundAugment(volume=6), draw).std() / samples.std() for _ in range(50)]
    assert 0.5 <= min(louder) < 0.7 and 1.5 < max(louder) <= 2.0
    for _ in range(20):
        added = varied_sound(samples, SoundAugment(noise=1.0), draw) - samples
        below = 20 * np.log10(samples.std() / added.std())
        assert 4.8 <= below <= 30.2
    assert varied_sound(samples, SoundAugment(), draw) is samples
    low, high = (np.sin(2 * np.pi * turns * np.arange(8000) / 8000).astype(np.float32) for turns in (40, 3900))
    heard = tilted(low + high, np.array([20.0, 0.0, -20.0]))
    np.testing.assert_allclose(np.abs(np.fft.rfft(heard))[[40, 3900]] / 4000, (10**0.98, 10**-0.95), rtol=0.01)


@given(st.integers(0, 200))
def test_masks_are_stretches_of_at_most_their_size(seed: int) -> None:
    frames = np.arange(1, 241, dtype=np.float32).reshape(30, 8)
    assert varied_frames(frames, SoundAugment(), np.random.default_rng(seed)) is frames
    found = varied_frames(frames, SoundAugment(bands=1, band=3), np.random.default_rng(seed))
    columns = np.flatnonzero((found != frames).any(axis=0))
    assert len(columns) <= 3 and (len(columns) == 0 or np.ptp(columns) == len(columns) - 1)
    assert np.allclose(found[:, columns], frames.mean())
    found = varied_frames(frames, SoundAugment(spans=1, span=20, share=0.2), np.random.default_rng(seed))
    places = np.flatnonzero((found != frames).any(axis=1))
    assert len(places) <= 6 and (len(places) == 0 or np.ptp(places) == len(places) - 1)


def test_another_throat_moves_the_bands() -> None:
    frames = np.tile(np.arange(9, dtype=np.float32), (3, 1))
    np.testing.assert_allclose(warped(frames, 1.0), frames)
    np.testing.assert_allclose(warped(frames, 0.5)[0], np.arange(9) / 2)
    np.testing.assert_allclose(warped(frames, 2.0)[0], np.minimum(np.arange(9) * 2, 8))


@given(st.integers(2, 60), st.floats(0.5, 2.0))
def test_what_is_said_faster_is_shorter_and_no_higher(length: int, factor: float) -> None:
    frames = np.stack([np.full(length, 3.0), np.linspace(0, 1, length)], axis=1).astype(np.float32)
    found = retimed(frames, factor)
    assert len(found) == max(1, int(length / factor)) and found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], 3.0)  # what is in a band stays in it
    np.testing.assert_allclose(found[:, 1], np.linspace(0, 1, len(found)) if len(found) > 1 else [0], atol=1e-5)


def test_factors_are_as_often_above_1_as_below() -> None:
    draw = np.random.default_rng(0)
    found = np.array([draw_factor(0.25, draw) for _ in range(400)])
    assert 0.8 <= found.min() < 0.82 and 1.22 < found.max() <= 1.25 and 150 < (found > 1).sum() < 250
    state = draw.bit_generator.state
    assert draw_factor(0.0, draw) == 1.0 and draw.bit_generator.state == state


def test_frames_that_are_normalised_have_mean_0_and_variance_1() -> None:
    found = FRAMES(noise(8000) * np.linspace(0, 1, 8000, dtype=np.float32))
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)
    assert float(found.square().mean()) == pytest.approx(1.0, abs=1e-3)
    half = replace(FRAMES, even=0.5)(noise(8000))
    assert float(half.mean()) == pytest.approx(0, abs=1e-5) and float(half.mean(dim=0).abs().max()) > 0.01
    torch.testing.assert_close(FRAMES(10 * noise(8000)), FRAMES(noise(8000)), atol=1e-3, rtol=0)  # however loud


# --- rows


@pytest.mark.parametrize("form", ["labels", "target", "class"])
def test_a_sample_is_a_function_of_seed_epoch_and_number(form: Form) -> None:
    varied = replace(VARIED, tilt=6) if form == "class" else VARIED
    data = rows(form, join=1 if form == "class" else 3, gap=800, augment=varied, seed=5)
    together, alone = data.batch([Place(1, 4), Place(1, 9), Place(2, 4)]), data.batch([Place(1, 4)])
    sounds, one = (batch.source or batch for batch in (together, alone))
    length = one.tokens.shape[1]
    assert torch.equal(sounds.tokens[0, :length], one.tokens[0])
    assert sounds.segments is not None and int(sounds.segments[0].sum()) == length
    assert not torch.equal(sounds.tokens[0], sounds.tokens[2])
    again = rows(form, join=1 if form == "class" else 3, gap=800, augment=varied, seed=5).batch([Place(1, 4)])
    assert torch.equal((again.source or again).tokens, one.tokens)
    plain = rows(form).batch([Place(0, 4)])
    assert torch.equal((plain.source or plain).tokens[0], FRAMES(made()[4].samples))


def test_what_is_asked_is_what_is_said() -> None:
    data = rows("labels", join=4)
    places = [Place(3, number) for number in range(8)]
    batch, texts = data.batch(places), data.texts(places)
    assert data.hearing.tokenizer is not None
    for row, text in zip(batch.asked["labels"], texts, strict=True):
        assert data.hearing.tokenizer.decode(row[row != IGNORED].tolist()) == text
    target = rows("target", join=4).batch(places)
    assert target.labels is not None and target.source is not None
    end = data.hearing.tokenizer.end
    for inputs, labels, text in zip(target.tokens, target.labels, texts, strict=True):
        said = labels[labels != IGNORED]
        assert int(said[-1]) == end and int(inputs[0]) == end and torch.equal(inputs[1 : len(said)], said[:-1])
        assert data.hearing.tokenizer.decode(said.tolist()) == text
    assert rows("class").batch(places).asked["label"].tolist() == [NAMES.index(one.text) for one in made()[:8]]


def test_what_is_joined_is_of_one_speaker_and_fits() -> None:
    data = rows("target", join=6, gap=1600, longest=120, augment=SoundAugment(speed=0.2, tempo=0.3), count=120)
    counts = list[int]()
    for number in range(120):
        joined, _ = data._joined(Place(0, number))
        assert len({data.recordings[part].speaker for part in joined.parts}) == 1
        assert len(joined.gaps) == len(joined.parts) - 1 <= 5 and max(joined.gaps, default=0) <= 1600
        counts.append(len(joined.parts))
        if number % 10 == 0:
            assert len(data.rows([Place(0, number)])[0]) <= 120
    assert min(counts) == 1 and max(counts) >= 3


def test_rows_of_about_one_length_come_together() -> None:
    data = rows("target", join=5, gap=800, count=120, alike=8)
    spread = list[float]()
    for step in range(15):
        places = [data.place(step * 8 + at, 1) for at in range(8)]
        lengths = [len(row) for row in data.rows(places)]
        spread.append(max(lengths) - min(lengths))
    assert np.mean(spread) < 20
    assert sorted(data.place(at, 1).sample for at in range(120)) == list(range(120))


@pytest.mark.parametrize(("family", "form", "objective"), [
    ("conformer", "labels", CTC()), ("whisper", "target", Translate()),
])  # fmt: skip
def test_the_loss_of_a_row_does_not_hang_on_its_companions(family: str, form: Form, objective: Any) -> None:
    changes = {"labels": 12} if form == "labels" else {"vocab": 12}
    module, data = Blueprint.of(family, "debug", **changes).build(seed=0), rows(form)
    both = [Place(0, 0), Place(0, 7)]
    together = objective.losses(module, data.batch(both))["loss"].sum
    apart = sum(objective.losses(module, data.batch([one]))["loss"].sum for one in both)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-5)


def test_padding_is_said_to_be_none() -> None:
    data = rows("labels")
    batch = data.batch([Place(0, 0), Place(0, 7)])
    assert batch.segments is not None
    lengths = batch.segments.sum(dim=1)
    wanted = Layout.ragged(lengths, batch.tokens.shape[1]).segments
    assert wanted is not None and torch.equal(batch.segments, wanted)


# --- sources


def digits(folder: Path) -> Path:
    """Made digits as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in made():
        wav(folder / one.name, one.samples, RATE)
    return folder


def archive(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for file in sorted(folder.iterdir()):
            packed.add(file, f"recordings/{file.name}")
    return path


def test_spoken_digits_from_a_folder_and_from_an_archive_are_the_same(tmp_path: Path) -> None:
    folder = digits(tmp_path / "digits")
    (folder / "notes.txt").write_text("nothing")
    packed = archive(tmp_path / "digits.tar.gz", folder)
    settings = SpeechSettings(source="spoken_digits", paths=(str(folder),), rate=RATE)
    found = SOUND_SOURCES.get("spoken_digits")(settings, print)
    again = SOUND_SOURCES.get("spoken_digits")(SpeechSettings(paths=(str(packed),), rate=RATE), print)
    assert len(found) == 120 == len(again)
    assert all(one.text == other.text and np.array_equal(one.samples, other.samples)
               for one, other in zip(found, again, strict=True))  # fmt: skip
    assert {one.speaker for one in found} == {"anna", "ben", "cleo"}
    assert all(one.side == Side.HELD_OUT for one in found)  # takes 0 to 3 are of the first five
    spoken = read_spoken(
        SpeechSettings(source="spoken_digits", paths=(str(folder),), rate=RATE, held_out_speaker="ben")
    )
    assert {one.speaker for one in spoken.held_out} == {"ben"} and len(spoken.train) == 80
    assert not {one.speaker for one in spoken.train} & {"ben"}


def test_archives_that_are_broken_or_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(tmp_path / "a.tar.gz", digits(tmp_path / "digits"))
    (tmp_path / "cut.tar.gz").write_bytes(packed.read_bytes()[:4000])
    (tmp_path / "no.tar.gz").write_bytes(b"this is text")
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz") as empty:
        info = tarfile.TarInfo("readme.txt")
        info.size = 3
        empty.addfile(info, io.BytesIO(b"abc"))
    for name, said in (("cut", "damaged"), ("no", "damaged"), ("gone", "there is no"), ("empty", "no recordings")):
        settings = SpeechSettings(paths=(str(tmp_path / f"{name}.tar.gz"),), rate=RATE)
        with pytest.raises(ValueError, match=said) as error:
            SOUND_SOURCES.get("spoken_digits")(settings, print)
        assert name in str(error.value)
    monkeypatch.setattr("weft.data.signals.digits.MOST", 1000)
    with pytest.raises(ValueError, match="at most 1,000 a sound"):
        SOUND_SOURCES.get("spoken_digits")(SpeechSettings(paths=(str(packed),)), print)


def table(folder: Path, text: str, name: str = "all.tsv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, seconds in enumerate((0.5, 0.7, 0.9)):
        wav(folder / f"{number}.wav", tone(seconds, RATE), RATE)
    (folder / name).write_text(text)
    return folder


def test_tables_say_what_is_said_by_whom_and_what_is_held_out(tmp_path: Path) -> None:
    folder = table(tmp_path / "a", "audio\ttext\tspeaker\n0.wav\tso it is\tann\n1.wav\tit was\tbob\n")
    found = sounds(SpeechSettings(paths=(str(folder),), rate=RATE))
    assert [(one.text, one.speaker, one.side) for one in found] == [
        ("so it is", "ann", None),
        ("it was", "bob", None),
    ]
    assert len(found[0].samples) == 4000
    assert [len(one.samples) for one in sounds(SpeechSettings(paths=(str(folder),), rate=16000))] == [8000, 11200]
    table(tmp_path / "b", "file,said\n0.wav,a\n", "train.csv")
    table(tmp_path / "b", '{"file": "1.wav", "said": "b"}\n', "dev.jsonl")
    settings = SpeechSettings(paths=(str(tmp_path / "b"),), rate=RATE, file="file", column="said")
    assert {one.text: one.side for one in sounds(settings)} == {"a": Side.TRAIN, "b": Side.HELD_OUT}
    plain = tmp_path / "c"
    for name in ("hello_world_2.wav", "x.wav"):
        plain.mkdir(exist_ok=True)
        wav(plain / name, tone(0.3, RATE), RATE)
    (plain / "x.txt").write_text("what is\nsaid\n")
    assert [one.text for one in sounds(SpeechSettings(paths=(str(plain),), rate=RATE))] == [
        "hello world",
        "what is said",
    ]
    assert said_beside(Path("3.wav")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("audio\ttext\n0.wav\tso\n1.wav\t\n", "all.tsv, line 3: nothing says what is said in 1.wav"),
        ("audio\ttext\ngone.wav\tso\n", "all.tsv, line 2: .*gone.wav is no file"),
        ("audio\ttext\n0.wav\tso\n9.wav\tso\n", "all.tsv, line 3: .*9.wav is no sound that can be read"),
        ("audio\ttext\n0.wav\tso\n8.wav\tso\n", "all.tsv, line 3: .*8.wav holds no sound: it lasts 0 seconds"),
        ("audio\ttext\n\tso\n", "line 2: no file is named"),
        ("sound\ttext\n0.wav\tso\n", "no column 'audio'.*'sound'"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    folder = table(tmp_path, text)
    (folder / "9.wav").write_bytes(b"RIFF but no sound")
    wav(folder / "8.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(ValueError, match=said):
        sounds(SpeechSettings(paths=(str(folder),), rate=RATE))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_out": 0.0}, "held_out=0"),
        ({"held_out_speaker": "zoe"}, "those who speak are anna, ben, cleo"),
        ({"join": 0}, "join=0"),
        ({"gap": -1.0}, "gap=-1"),
        ({"even": 0.5}, "data.even=0.5 says whose mean data.normalise takes away, and data.normalise=false takes none"),
        ({"step": 0.1}, "window=0.025, data.step=0.1"),
        ({"augment": SoundAugment(speed=2.0)}, "augment.speed=2"),
        ({"augment": SoundAugment(tempo=-0.1)}, "augment.tempo=-0.1"),
        ({"augment": SoundAugment(bands=-1)}, "augment.bands=-1"),
        ({"source": "sounds"}, "a folder, or a table"),
    ],
)
def test_settings_that_give_no_rows_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_spoken(SpeechSettings(**({"source": "made_sounds", "rate": RATE} | changes)))


def test_what_nobody_holds_out_is_drawn_by_the_seed() -> None:
    found = [Recording(str(number), noise(10), "a") for number in range(200)]
    one, other = (held_of(found, SpeechSettings(held_out=0.3, seed=seed)) for seed in (0, 1))
    assert 30 < one.sum() < 90 and (one != other).any()


def test_processors_fit_the_model() -> None:
    assert processor_for(SpeechSettings(rate=RATE), 1) == Waveform(RATE)
    assert processor_for(SpeechSettings(), 80) == LogMel(seconds=None)
    assert processor_for(SpeechSettings(rate=RATE, normalise=True), 8) == FRAMES
    for asked in (SpeechSettings(normalise=True), SpeechSettings(normalise=True, even=0.5)):
        with pytest.raises(ValueError, match="data.normalise=true, data.even=.*samples, which have none"):
            processor_for(asked, 1)


def test_variations_that_a_processor_cannot_hear_are_refused() -> None:
    hearing = Hearing(Waveform(RATE), "class", None, NAMES)
    for augment in (SoundAugment(tempo=0.2), SoundAugment(speed=0.2, warp=0.2), SoundAugment(spans=2)):
        with pytest.raises(ValueError, match="data.augment.(tempo|warp|spans)=.* this model reads samples"):
            Utterances(made()[:3], hearing, augment=augment)
    filled = replace(hearing, processor=replace(FRAMES, seconds=2))
    with pytest.raises(ValueError, match="data.augment.tempo=0.2 varies how many .* up to 2 seconds"):
        Utterances(made()[:3], filled, augment=SoundAugment(tempo=0.2))
    assert len(Utterances(made()[:3], filled, augment=SoundAugment(speed=0.2, warp=0.2)).rows([Place(0, 1)])[0]) == 200


# --- error rates


def by_recursion(one: str, other: str) -> int:
    """The edit distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    same = by_recursion(one[1:], other[1:]) + (one[0] != other[0])
    return min(same, 1 + by_recursion(one[1:], other), 1 + by_recursion(one, other[1:]))


@settings(deadline=None)
@given(st.text("ab ", max_size=6), st.text("ab ", max_size=6))
def test_distances_are_those_of_the_definition(one: str, other: str) -> None:
    assert distance(one, other) == by_recursion(one, other) == distance(other, one)


@given(st.lists(st.tuples(st.text("ab ", max_size=8), st.text("ab ", min_size=1, max_size=8)), min_size=1, max_size=4))
def test_error_rates_are_sums_of_distances(pairs: list[tuple[str, str]]) -> None:
    found, gold = zip(*pairs, strict=True)
    for name, cut in (("wer", str.split), ("cer", lambda text: list(" ".join(text.split())))):
        said = sum(len(cut(text)) for text in gold)
        if not said:
            with pytest.raises(ValueError, match="nothing was said"):
                METRICS.get(name).score(list(found), list(gold))
            continue
        score = METRICS.get(name).score(list(found), list(gold))
        wanted = sum(distance(cut(one), cut(text)) for one, text in pairs) / said
        assert score.value == pytest.approx(wanted) and score.signature == METRICS.get(name).definition
        places = np.arange(len(pairs))
        assert METRICS.get(name).at(list(found), list(gold))(places) == pytest.approx(wanted)


def test_of_several_references_the_nearest_counts() -> None:
    assert METRICS.get("wer").score(["so it is"], [["it was", "so it was not"]]).value == 0.5
    assert METRICS.get("wer").score(["a b", "c"], ["a b", "c d"]).value == 0.25


@pytest.mark.parametrize(
    ("own", "names", "source"),
    [
        (None, ("0_ann_0.wav", "1_ann_0.wav"), "spoken_digits"),
        (None, ("0_ann_0.wav", "high.wav"), "sounds"),
        ("made_sounds", ("0_ann_0.wav",), "spoken_digits"),
        ("sounds", ("0_ann_0.wav", "1_ann_0.wav"), "sounds"),
        ("spoken_digits", ("0_ann_0.wav", "notes.wav"), "spoken_digits"),
        ("spoken_digits", ("high.wav",), "sounds"),
    ],
)
def test_sounds_are_read_as_the_model_s_run_read_its_own(
    own: str | None, names: tuple[str, ...], source: str, tmp_path: Path
) -> None:
    for name in names:
        wav(tmp_path / name, tone(0.2, RATE), RATE)
    assert source_of(tmp_path, own) == source
    given_settings = None if own is None else SpeechSettings(source=own, join=2)
    found = {one.name: one.text for one in given_sounds(tmp_path, given_settings, RATE)}
    if "0_ann_0.wav" in names:
        assert found["0_ann_0.wav"] == ("zero" if source == "spoken_digits" else "0 ann")
        alone = given_sounds(tmp_path / "0_ann_0.wav", given_settings, RATE)
        assert [one.text for one in alone] == ["0 ann" if own == "sounds" else None]


# --- runs


def test_a_run_on_sounds_trains_resumes_and_hears(tmp_path: Path) -> None:
    data = archive(tmp_path / "digits.tar.gz", digits(tmp_path / "digits"))
    words = ["train", "digits_ctc", "--debug", "--data", data, "--quiet"]
    words += ["--set", "train.checkpoint_every=3", "--set", "data.held_out_speaker=ben"]
    length = ["--set", "train.steps=8", "--set", "train.kernel=sdpa"]  # two runs may measure another each
    whole, again = tmp_path / "whole", tmp_path / "again"
    assert "held-out wer" in good(*words, *length, "--out", whole).out
    good(*words, *length, "--out", again)
    for step in sorted((again / "checkpoints").iterdir())[-1:]:
        for path in sorted(step.rglob("*"), reverse=True):
            path.unlink()
        step.rmdir()
    good(*words, *length, "--out", again, "--resume")
    files = [(folder / "model.safetensors").read_bytes() for folder in (whole, again)]
    assert files[0] == files[1]
    found = tmp_path / "found.jsonl"
    good("predict", whole, "--data", data, "--out", found)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert len(lines) == 120 and lines[0].keys() == {"file", "text"}
    scored = good("eval", whole, "--data", data, "--json").data
    assert scored["examples"] == 40 and scored.keys() >= {"wer", "cer", "accuracy"}  # of the speaker that is left out
    assert "accuracy" in good("eval", whole, "--data", tmp_path / "digits").out
    one = good("predict", whole, "--data", tmp_path / "digits" / "3_ben_0.wav", "--out", tmp_path / "one.jsonl")
    assert "1 predictions" in one.out
    done = weft("eval", whole, "--data", tmp_path / "digits" / "3_ben_0.wav")
    assert done.status and "nothing says what is said" in done.err
    more = ["train", whole, "--data", data, "--set", "train.steps=2", "--quiet"]
    good(*more, "--out", tmp_path / "more")


@pytest.mark.parametrize("recipe", ["digits_whisper", "perceiver_digits", "perceiver_fashion"])
def test_recipes_train_and_answer_without_a_file(recipe: str, tmp_path: Path) -> None:
    out = good("train", recipe, "--debug", "--quiet", "--set", "train.steps=2", "--out", tmp_path / "run").out
    assert "held-out accuracy" in out
    if recipe == "perceiver_fashion":
        return
    wav(tmp_path / "5_ann_0.wav", tone(0.25, RATE), RATE)
    good("predict", tmp_path / "run", "--data", tmp_path / "5_ann_0.wav", "--out", tmp_path / "x.jsonl")
    assert good("transcribe", tmp_path / "5_ann_0.wav", tmp_path / "run", "--format", "json").out


def test_sounds_that_a_model_cannot_hear_are_left_out_and_said(tmp_path: Path) -> None:
    folder = table(tmp_path / "a", "audio\ttext\n0.wav\tso it is\n1.wav\tit was\n2.wav\tnot so\n")
    wav(folder / "0.wav", tone(0.02, RATE), RATE)
    words = ["train", "conformer", "--debug", "--data", folder, "--set", "data.rate=8000"]
    split = ["--set", "data.held_out=0.4", "--set", "data.seed=5"]
    own = [*split, "--set", "train.steps=1", "--set", "data.join=1", "--out", tmp_path / "one"]
    for name, said in (("0.wav", "a"), ("1.wav", "b"), ("2.wav", "c")):
        (folder / name).with_suffix(".txt").write_text(said)
    (folder / "all.tsv").rename(tmp_path / "all.tsv")
    wav(folder / "0.wav", tone(0.5, RATE), RATE)
    good(*words, *own)
    more = ["train", tmp_path / "one", "--data", folder, *split, "--set", "data.join=3", "--out", tmp_path / "more"]
    done = weft(*more)
    assert done.status == 1 and "data.join=3, but what is said in joined sounds has spaces" in done.err
    assert not (tmp_path / "more").exists()
    (tmp_path / "all.tsv").rename(folder / "all.tsv")
    wav(folder / "0.wav", tone(0.02, RATE), RATE)
    said = good(*words, *split, "--set", "train.steps=1", "--out", tmp_path / "run")
    assert "1 sounds are left out: 0.wav" in " ".join((said.out + said.err).split())


@pytest.mark.filterwarnings("ignore")
def test_a_published_model_is_trained_further_on_sounds(tmp_path: Path) -> None:
    published = speaking(tmp_path / "published")
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("ab_1.wav", "abc_2.wav", "ba_3.wav", "c_4.wav"):
        wav(folder / name, tone(0.4), 16000)
    words = ["train", published, "--data", folder, "--set", "data.held_out=0.4", "--set", "train.steps=2", "--quiet"]
    assert "held-out wer" in good(*words, "--out", tmp_path / "run").out
    assert good("transcribe", folder / "c_4.wav", tmp_path / "run", "--format", "json", "--no-times").out
    good("predict", published, "--data", folder, "--out", tmp_path / "x.jsonl")
    assert "accuracy" in good("eval", tmp_path / "run", "--data", folder).out


def test_sounds_that_are_too_short_or_too_long_are_named(tmp_path: Path) -> None:
    good("train", "digits_whisper", "--debug", "--quiet", "--set", "train.steps=1", "--out", tmp_path / "run")
    for seconds, said in ((0.005, "too short"), (3.0, "at once: write it down in pieces")):
        wav(tmp_path / "odd.wav", tone(seconds, RATE), RATE)
        done = weft("predict", tmp_path / "run", "--data", tmp_path / "odd.wav", "--out", tmp_path / "x.jsonl")
        assert done.status and said in done.err and "odd.wav" in done.err
    assert good("transcribe", tmp_path / "odd.wav", tmp_path / "run", "--format", "json").data["seconds"] == 3.0
