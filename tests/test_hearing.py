"""Sounds from files, and as log-mel frames: as the reference hears them, and what is refused."""

import json
import os
import struct
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import ROOT
from torch import Tensor

import weft
from weft.data.signals import (
    PROCESSORS,
    LogMel,
    Processor,
    Reads,
    Waveform,
    read_processor,
    read_sound,
    sound,
    write_processor,
)
from weft.data.signals.mel import filters, log_mel_from, log_mel_to
from weft.hub import LoadError
from weft.hub.preprocessor import read_signals
from weft.models.whisper import Whisper

GIVEN = Path(os.environ.get("WEFT_SOUND_ASSETS") or ROOT.parent / "shared" / "data" / "whisper_audio")


def tone(seconds: float = 1.0, rate: int = 16000, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def wav(path: Path, samples: np.ndarray, rate: int, channels: int = 1) -> Path:
    """Sixteen bits, by Python's own library. samples [n] or [n, channels]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())
    return path


# --- frames


def theirs(samples: np.ndarray, mels: int, padding: str) -> Tensor:
    """The reference's frames, [frames, mels]."""
    transformers = pytest.importorskip("transformers")
    made = transformers.WhisperFeatureExtractor(feature_size=mels)
    out = made(samples, sampling_rate=16000, padding=padding, truncation=False, return_tensors="pt")
    return out["input_features"][0].T


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("length", [16000, 40123, 201, 480000])
def test_frames_are_the_reference_s(mels: int, length: int) -> None:
    samples = noise(length) + tone(length / 16000 + 1)[:length]
    samples[length // 3 : length // 2] = 0.0  # silence, whose logarithm has a floor
    for seconds, padding in ((30, "max_length"), (None, "do_not_pad")):
        made, wanted = LogMel(mels=mels, seconds=seconds)(samples), theirs(samples, mels, padding)
        assert made.shape == wanted.shape == (3000 if seconds else length // 160, mels)
        assert made.dtype == torch.float32 and made.is_contiguous()
        assert float((made - wanted).abs().max()) <= 1e-5


@pytest.mark.parametrize("mels", [80, 128])
def test_the_bands_are_those_that_were_published(mels: int) -> None:
    if not GIVEN.is_dir():
        pytest.skip("the published table is not here")
    with np.load(GIVEN / "mel_filters.npz", allow_pickle=False) as file:
        wanted = torch.from_numpy(file[f"mel_{mels}"])
    torch.testing.assert_close(filters(mels, 400, 16000, 8000), wanted, atol=1e-8, rtol=1e-5)


def test_the_bands_by_their_definition() -> None:
    """Triangles, one for each band, of area 1 over the frequencies, from the top of the one before to that of the next;
    tops lie as Slaney's scale says: 15 mels, a step each 66.7 Hz, up to 1000 Hz, then 27 for a factor of 6.4."""
    made = filters(20, 8000, 16000, 8000).double()
    hertz = torch.arange(4001) * 2.0
    torch.testing.assert_close(made.sum(dim=1) * 2.0, torch.ones(20, dtype=torch.float64), atol=2e-3, rtol=0)
    last = 15 + 27 * np.log(8.0) / np.log(6.4)
    for band, row in enumerate(made):
        top = last * (band + 1) / 21
        wanted = top * 200 / 3 if top < 15 else 1000 * 6.4 ** ((top - 15) / 27)
        assert abs(float(hertz[row.argmax()]) - wanted) <= 2.0
    assert not bool(((made > 0).sum(dim=0) > 2).any())  # no more than two bands hear one frequency


def test_a_tone_is_heard_where_it_is() -> None:
    for hertz in (300.0, 1000.0, 4000.0):
        made = LogMel(seconds=None)(tone(hertz=hertz))
        bank = filters(80, 400, 16000, 8000)
        loudest, nearest = made[20:80].mean(dim=0).argmax(), bank[:, round(hertz / 40)].argmax()
        assert abs(int(loudest) - int(nearest)) <= 1


def test_frames_of_other_settings() -> None:
    made = LogMel(rate=8000, mels=40, window=200, step=80, highest=4000, seconds=2)
    assert (made.channels_of_place, made.places) == (40, 200) and LogMel(seconds=None).places is None
    frames = made(noise(8000))
    assert frames.shape == (200, 40)
    assert float(frames.max() - frames.min()) <= 2.0  # eight tenfolds, divided by four
    assert torch.equal(made(noise(8000)), frames) and torch.equal(made(torch.from_numpy(noise(8000))), frames)
    assert torch.equal(made(noise(8000).astype(np.float64)), frames)


def test_a_long_sound_is_heard_in_pieces() -> None:
    made, samples = LogMel(seconds=1), noise(40000)
    pieces = made.pieces(samples)
    assert [len(piece) for piece in pieces] == [16000, 16000, 8000] and np.array_equal(np.concatenate(pieces), samples)
    assert all(made(piece).shape == (100, 80) for piece in pieces)
    assert [len(piece) for piece in LogMel(seconds=None).pieces(samples)] == [40000]
    assert [len(piece) for piece in made.pieces(samples[:0])] == [0]


@pytest.mark.parametrize(
    ("samples", "seconds", "said"),
    [
        (noise(16001), 1, r"a sound of 1.00006 seconds, .* is longer than 1: hear it in pieces"),
        (noise(0), 1, "a sound of 0 samples is too short: at least 1 make"),
        (noise(200), None, "a sound of 200 samples is too short: at least 201"),
        (noise(2000).reshape(1000, 2), 1, r"this is float32 \[1000, 2\]: mix its channels"),
        (np.ones(1000, np.int16), 1, r"this is int16 \[1000\]: .* divide whole numbers"),
        (np.full(1000, np.nan, np.float32), 1, "no finite numbers"),
    ],
)
def test_what_is_no_sound(samples: np.ndarray, seconds: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LogMel(seconds=seconds)(samples)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 0}, "rate = 0"),
        ({"mels": 0}, "mels = 0"),
        ({"seconds": 0}, "seconds = 0"),
        ({"seconds": 2**21}, "seconds = 2097152"),
        ({"step": 401}, "window = 400, step = 401"),
        ({"window": 401}, "an even number of samples"),
        ({"highest": 8001}, "highest = 8001 Hz cannot be heard"),
        ({"mels": 201}, "mels = 201 bands"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LogMel(**settings)


# --- samples


@pytest.mark.parametrize("normalise", [True, False])
def test_samples_are_the_reference_s(normalise: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    theirs.save_pretrained(tmp_path)
    made = folder_s(tmp_path)
    assert made == Waveform(normalise=normalise) and made.channels_of_place == 1
    samples = noise(30000) * 2 + 0.02
    wanted = theirs(samples, sampling_rate=16000, return_tensors="pt")["input_values"][0]
    assert made(samples).shape == (30000, 1) and made(samples).dtype == torch.float32
    assert float((made(samples)[:, 0] - wanted).abs().max()) <= 1e-5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature_size": 2}, "feature_size is 2"),
        ({"padding_value": 1.0}, "padding_value is 1.0"),
        ({"loudness": 3}, "the field 'loudness'"),
        ({"do_normalize": 3}, "do_normalize 3"),
        ({"sampling_rate": 0}, "rate = 0"),
    ],
)
def test_settings_of_samples_that_are_not_understood(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = {"feature_extractor_type": "Wav2Vec2FeatureExtractor"} | change
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(data))
    with pytest.raises(LoadError, match=said):
        folder_s(tmp_path)
    with pytest.raises(ValueError, match="a sound of 0 samples"):
        Waveform()(noise(0))


# --- settings in a folder


def folder_s(folder: Path) -> Any:
    """The processor of a model's folder."""
    found = read_signals(folder, Whisper(), {})
    return None if found is None else found.processor


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_processor(tmp_path) is None and folder_s(tmp_path) is None
    for made in (LogMel(mels=128, seconds=None, step=80), Waveform(8000, False)):
        assert isinstance(made, Processor)
        write_processor(tmp_path, made)
        assert read_processor(tmp_path) == Reads(made, ()) and folder_s(tmp_path) == made
    assert PROCESSORS["log_mel"] is LogMel and PROCESSORS["waveform"] is Waveform


def test_rows_of_several_sounds(tmp_path: Path) -> None:
    pair = np.stack([noise(4000, 1), noise(4000, 2)])
    for made, shape in ((LogMel(seconds=1), (100, 80)), (LogMel(seconds=None), (25, 80)), (Waveform(), (4000, 1))):
        rows = made.rows(pair)
        assert rows.dtype == np.float32 and rows.shape == (2, *shape) and shape[1] == made.channels_of_place
        assert np.array_equal(rows[1], made(pair[1]).numpy())


def test_settings_of_the_reference(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for fields in ({}, {"feature_size": 128, "chunk_length": 10, "hop_length": 200, "n_fft": 512}):
        theirs = transformers.WhisperFeatureExtractor(**fields)
        theirs.save_pretrained(tmp_path)
        made = folder_s(tmp_path)
        assert made == LogMel(mels=fields.get("feature_size", 80), seconds=fields.get("chunk_length", 30),
                              step=fields.get("hop_length", 160), window=fields.get("n_fft", 400))  # fmt: skip
        samples = noise(9000)
        wanted = theirs(samples, sampling_rate=16000, return_tensors="pt")["input_features"][0].T
        assert float((made(samples) - wanted).abs().max()) <= 1e-5
        told = log_mel_to(made)
        assert told is not None and log_mel_from(told) == made
        again = transformers.WhisperFeatureExtractor.from_dict(told)
        assert again.to_dict() == theirs.to_dict()
    assert log_mel_to(LogMel(seconds=None)) is None and log_mel_to(LogMel(rate=32000, highest=16000)) is None


def test_settings_as_older_files_and_files_of_both_have_them(tmp_path: Path) -> None:
    old = {
        "chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "hop_length": 160,
        "mel_filters": [[0.0]], "n_fft": 400, "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right",
        "padding_value": 0.0, "processor_class": "WhisperProcessor", "return_attention_mask": False,
        "sampling_rate": 16000,
    }  # fmt: skip
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": old, "processor_class": "X"}))
    assert folder_s(tmp_path) == LogMel()
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old | {"feature_size": 128}))
    assert folder_s(tmp_path) == LogMel(mels=128)
    write_processor(tmp_path, LogMel(mels=20))  # our own word comes first
    assert folder_s(tmp_path) == LogMel(mels=20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature_extractor_type": "SomethingElse"}, "feature_extractor_type is 'SomethingElse'"),
        ({"feature_extractor_type": None}, "feature_extractor_type is None"),
        ({"dither": 0.1}, "dither is 0.1"),
        ({"padding_value": 1.0}, "padding_value is 1.0"),
        ({"do_normalize": True}, "do_normalize is True"),
        ({"loudness": 3}, "the field 'loudness' is not understood"),
        ({"feature_size": 80.5}, "mels is 80.5"),
        ({"n_samples": 7}, "n_samples is 7, but chunk_length, sampling_rate and hop_length make it 480000"),
        ({"nb_max_frames": 7}, "nb_max_frames is 7"),
        ({"n_fft": 399}, "an even number"),
    ],
)
def test_settings_that_are_not_understood(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = {"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 30} | change
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(data))
    with pytest.raises(LoadError, match=rf"preprocessor_config.json: .*{said}"):
        folder_s(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[]", "holds a list"), ('{"feature_extractor": []}', "processor_config.json"), ("{", "is not JSON")],
)
def test_settings_that_are_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(text)
    with pytest.raises(LoadError, match=said):
        folder_s(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_published_folder_brings_all_that_belongs_to_it(tmp_path: Path) -> None:
    """Weights, what makes frames, the tokenizer: as the reference's own processor writes them, and as ours again."""
    transformers = pytest.importorskip("transformers")
    from odd.whisper import CASES
    from published_cases import reference
    from test_speech_tokens import folder_of

    case = CASES["whisper"][0]
    tokenizer = transformers.WhisperTokenizer.from_pretrained(folder_of(tmp_path / "tokens", None))
    theirs = reference(replace(case, fields=case.fields | {"vocab_size": len(tokenizer), "num_mel_bins": 80}))
    theirs.save_pretrained(tmp_path / "a")
    transformers.WhisperProcessor(transformers.WhisperFeatureExtractor(), tokenizer).save_pretrained(tmp_path / "a")
    model = weft.load(tmp_path / "a")
    assert model.reads is not None and model.reads.processor == LogMel()
    weft.save(model, tmp_path / "b")
    again = weft.load(tmp_path / "b")
    assert again.reads == model.reads and again.need_tokenizer().encode("abc") == tokenizer.encode("abc")[2:-1]
    assert transformers.WhisperProcessor.from_pretrained(tmp_path / "b").feature_extractor.feature_size == 80


# --- files


@pytest.fixture
def library() -> Any:
    pytest.importorskip("soxr")
    return pytest.importorskip("soundfile")


def test_a_file_is_one_channel_at_the_rate_that_is_asked_for(library: Any, tmp_path: Path) -> None:
    left, right = tone(0.5), tone(0.5, hertz=900.0)
    both = wav(tmp_path / "two.wav", np.stack((left, right), axis=1), 16000, channels=2)
    made = read_sound(both)
    assert made.dtype == np.float32 and made.shape == (8000,)
    assert np.abs(made - (left + right) / 2).max() < 1e-4
    assert np.array_equal(read_sound(both.read_bytes()), made) and np.array_equal(read_sound(str(both)), made)
    for rate in (8000, 44100, 11025):
        path = wav(tmp_path / "other.wav", tone(0.5, rate), rate)
        made = read_sound(path)
        assert abs(len(made) - 8000) <= 1
        assert np.abs(made[400:7600] - tone(0.5)[400:7600]).max() < 2e-3  # a filter rings at the ends
    assert abs(len(read_sound(both, rate=22050)) - 11025) <= 1


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "AIFF", "AU", "W64", "MP3"])
def test_formats(kind: str, library: Any, tmp_path: Path) -> None:
    samples = tone(2.0)
    library.write(tmp_path / "it", samples, 16000, format=kind)
    made = read_sound(tmp_path / "it")
    assert abs(len(made) - len(samples)) <= (2304 if kind == "MP3" else 0)
    assert float(np.abs(made).max()) == pytest.approx(0.3, abs=0.05)
    whole = (tmp_path / "it").read_bytes()
    for size in (len(whole) * 2 // 3, 30, 1):
        (tmp_path / "it").write_bytes(whole[:size])
        with pytest.raises(
            ValueError, match="it (is cut short|is no sound that can be read, or is damaged|holds no sound)"
        ):
            read_sound(tmp_path / "it")


def test_what_no_sound_can_be_read_from(library: Any, tmp_path: Path) -> None:
    for name, content in (("empty.wav", b""), ("words.wav", b"once upon a time" * 99), ("zeros.flac", bytes(4096))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no sound that can be read"):
            read_sound(tmp_path / name)
    with pytest.raises(ValueError, match="these bytes is no sound"):
        read_sound(b"RIFF")
    with pytest.raises(ValueError, match=r"gone.wav is no file"):
        read_sound(tmp_path / "gone.wav")
    with pytest.raises(ValueError, match="is no file"):
        read_sound(tmp_path)
    with pytest.raises(ValueError, match=r"silent.wav holds no sound: it lasts 0 seconds"):
        read_sound(wav(tmp_path / "silent.wav", tone(0.0), 16000))
    for settings in ({"rate": 0}, {"seconds": 0.0}, {"seconds": float("nan")}):
        with pytest.raises(ValueError, match="both must be above 0"):
            read_sound(tmp_path / "silent.wav", **settings)
    library.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan.wav has samples that are no finite numbers"):
        read_sound(tmp_path / "nan.wav")
    wav(tmp_path / "slow.wav", tone(0.1), 10)
    with pytest.raises(ValueError, match=r"slow.wav says 10 samples a second"):
        read_sound(tmp_path / "slow.wav")


def test_a_long_file_is_refused_before_it_is_decoded(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav(tmp_path / "long.wav", tone(2.0), 16000)
    read_sound(path, seconds=2.0)
    with pytest.raises(ValueError, match=r"long.wav lasts 2 seconds, and at most 1.5 are read"):
        read_sound(path, seconds=1.5)
    with monkeypatch.context() as patch:
        patch.setattr(library.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
        with pytest.raises(ValueError, match="at most 1.5 are read"):
            read_sound(path, seconds=1.5)
    said = library.SoundFile.frames.fget  # a stream that says no length, and goes on for longer
    monkeypatch.setattr(library.SoundFile, "frames", property(lambda file: 2**63 - 1 if said(file) else 0))
    monkeypatch.setattr(sound, "_BLOCK", 1000)
    monkeypatch.setattr(library.SoundFile, "read", _endless(library))
    with pytest.raises(ValueError, match="lasts longer than the 1.5 seconds"):
        read_sound(path, seconds=1.5)


def _endless(library: Any) -> Any:
    def read(file: Any, frames: int, *, dtype: str, always_2d: bool) -> np.ndarray:
        assert always_2d and dtype == "float32" and frames == 1000
        return np.zeros((frames, file.channels), np.float32)

    return read


def test_a_wave_that_is_cut_short_and_one_that_was_piped(library: Any, tmp_path: Path) -> None:
    whole = wav(tmp_path / "it.wav", tone(1.0), 16000).read_bytes()
    for kept in (20000, 60):
        (tmp_path / "it.wav").write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=rf"it.wav is cut short: it holds {(kept - 44) / 32000:.6g} seconds"):
            read_sound(tmp_path / "it.wav")
    # who writes into a pipe does not know how long it will be, and says the largest number there is
    piped = whole[:4] + struct.pack("<I", 2**32 - 1) + whole[8:40] + struct.pack("<I", 2**32 - 1) + whole[44:]
    assert len(read_sound(piped)) == 16000


def test_reading_needs_its_libraries_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wav(tmp_path / "it.wav", tone(0.1), 16000)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(sound, "import_module", missing)
    with pytest.raises(ValueError, match=r"reading sounds needs soundfile, .* pip install 'weft\[sound\]'"):
        read_sound(path)


def test_a_real_recording(library: Any) -> None:
    """Eleven seconds of speech, 44.1 kHz, two channels, 24 bits: heard as the reference hears what was read."""
    if not GIVEN.is_dir():
        pytest.skip("the recording is not here")
    samples = read_sound(GIVEN / "jfk.flac")
    assert len(samples) == 176000
    for mels in (80, 128):
        assert float((LogMel(mels=mels)(samples) - theirs(samples, mels, "max_length")).abs().max()) <= 1e-5
    with pytest.raises(ValueError, match="lasts 11 seconds, and at most 10"):
        read_sound(GIVEN / "jfk.flac", seconds=10)
