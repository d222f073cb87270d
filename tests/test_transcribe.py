"""What is said and when: the rules of times beside the reference's, long sounds in windows, and what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hearing import noise, tone, wav
from test_speech_tokens import folder_of

import weft as library
from weft.data import load_tokenizer
from weft.data.signals import LogMel, write_processor
from weft.data.signals.prepare_speech import tokenizer_for
from weft.data.signals.speech import SpeechSettings
from weft.data.tokenizers import PieceTable, Speech
from weft.generate.ctc import placed
from weft.generate.timed import TimeRules, write_down
from weft.hub import write_model
from weft.hub.spoken import Said, Transcript, Word, lined
from weft.hub.transcribe import How, cut, pieces, rules_of, transcribe
from weft.models import Blueprint

END, FIRST, MANY = 20, 30, 40  # ids of a small vocabulary: text below the end, times from FIRST on
RULES = TimeRules(END, range(FIRST, MANY), FIRST - 1, 4)


def reference(latest: int | None, begin: int = 0) -> Any:
    """The reference's rules of times, for the same vocabulary."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig(eos_token_id=END)
    config.no_timestamps_token_id, config.max_initial_timestamp_index = FIRST - 1, latest
    kind = transformers.generation.logits_process.WhisperTimeStampLogitsProcessor
    return kind(config, begin_index=begin)


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, END - 1), st.integers(FIRST, MANY - 1)), max_size=6),
    st.integers(0, 1000),
    st.sampled_from([None, 0, 4]),
    st.sampled_from([-4.0, 0.0, 4.0]),
)
def test_what_may_follow_is_what_the_reference_leaves(
    written: list[int], seed: int, latest: int | None, lean: float
) -> None:
    scores = torch.randn(MANY, generator=torch.Generator().manual_seed(seed))
    scores[FIRST:] += lean
    wanted = reference(latest)(torch.tensor([written], dtype=torch.int64).reshape(1, -1), scores[None])[0]
    made = TimeRules(END, RULES.times, RULES.untimed, latest).apply(scores, written)
    torch.testing.assert_close(made, wanted, rtol=0, atol=0)


@settings(deadline=None)
@given(st.integers(0, 300))
def test_whatever_a_model_scores_its_times_never_go_back(seed: int) -> None:
    draw, written = torch.Generator().manual_seed(seed), list[int]()
    while len(written) < 30:
        number = int(RULES.apply(torch.randn(MANY, generator=draw) * 3, written).argmax())
        if number == END:
            break
        written.append(number)
    times = [number for number in written if number in RULES.times]
    assert times == sorted(times) and (not written or written[0] in RULES.times)


def speaking(path: Path, seed: int = 0, **said: Any) -> Path:
    """A small model of random weights with a real tokenizer, as such are published: windows of two seconds."""
    transformers = pytest.importorskip("transformers")
    folder_of(path, None)
    tokenizer = load_tokenizer(path)
    torch.manual_seed(seed)
    config = transformers.WhisperConfig(
        vocab_size=tokenizer.vocab, num_mel_bins=8, max_source_positions=100, max_target_positions=40, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, pad_token_id=tokenizer.end, bos_token_id=tokenizer.end, eos_token_id=tokenizer.end,
        decoder_start_token_id=tokenizer.end + 1, init_std=0.5,
    )  # fmt: skip
    transformers.WhisperForConditionalGeneration(config).save_pretrained(path)
    transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=2).save_pretrained(path)
    ids = {"eos_token_id": tokenizer.end, "decoder_start_token_id": tokenizer.end + 1}
    (path / "generation_config.json").write_text(json.dumps(ids | said))
    return path


SUPPRESSED = {"suppress_tokens": [1, 5, 260, 261, 262], "begin_suppress_tokens": [32, 258],
              "max_initial_timestamp_index": 25}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_window_is_written_down_as_the_reference_s_processors_have_it(seed: int, timed: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    process = transformers.generation.logits_process
    model = library.load(speaking(tmp_path / "a", seed, **SUPPRESSED))
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "a").eval()
    assert isinstance(model.tokenizer, PieceTable) and model.reads is not None
    speech, row = Speech.of(model.tokenizer), model.reads.processor(noise(20000, seed))
    begins = speech.begins("de", timed=timed)
    rules = rules_of(model, speech, timed=timed)
    made = write_down(model.module, row, begins, rules, new=20, context=40)
    config = transformers.GenerationConfig(eos_token_id=speech.end)
    config.no_timestamps_token_id, config.max_initial_timestamp_index = speech.untimed, 25
    processors = [
        process.SuppressTokensAtBeginLogitsProcessor(SUPPRESSED["begin_suppress_tokens"], begin_index=len(begins)),
        process.SuppressTokensLogitsProcessor(SUPPRESSED["suppress_tokens"]),
        *([process.WhisperTimeStampLogitsProcessor(config, begin_index=len(begins))] if timed else []),
    ]
    ids, features, total = torch.tensor([begins]), row.T[None], list[float]()
    with torch.no_grad():
        first = theirs(input_features=features, decoder_input_ids=ids[:, :1]).logits[0, -1].softmax(-1)
        while ids.shape[1] < len(begins) + 20:
            scores = theirs(input_features=features, decoder_input_ids=ids).logits[:, -1].float()
            for processor in processors:
                scores = processor(ids, scores)
            total.append(float(scores.log_softmax(-1).max()))
            ids = torch.cat((ids, scores.argmax(-1)[:, None]), dim=1)
            if int(ids[0, -1]) == speech.end:
                break
    written = ids[0, len(begins) :].tolist()
    assert list(made.ids) == [number for number in written if number != speech.end]
    assert made.logprob == pytest.approx(sum(total) / len(total), abs=1e-3)
    assert made.silence == pytest.approx(float(first[model.tokenizer.special_names["<|nospeech|>"]]), abs=1e-5)


def speech() -> Speech:
    return Speech(1, END, {}, 2, 3, FIRST - 1, 4, range(FIRST, FIRST + 101))


def test_a_window_is_cut_where_two_times_stand() -> None:
    def at(seconds: float) -> int:
        return FIRST + round(seconds / 0.02)

    ids = [at(0.0), 5, 6, at(0.5), at(0.6), 7, at(1.0)]
    assert cut(speech(), ids, 2.0) == ([((5, 6), 0.0, 0.5), ((7,), 0.6, 1.0)], 2.0)  # one time at the end: silence
    ids += [at(1.1), 8]
    parts, used = cut(speech(), ids, 2.0)
    assert parts == [((5, 6), 0.0, 0.5), ((7,), 0.6, 1.0)] and used == 1.0  # what was begun is heard anew
    assert cut(speech(), [at(0.0), 5, at(0.8)], 2.0) == ([((5,), 0.0, 0.8)], 2.0)
    assert cut(speech(), [at(0.0), 5], 2.0) == ([((5,), 0.0, 2.0)], 2.0)
    assert cut(speech(), [5, 6], 2.0) == ([((5, 6), 0.0, 2.0)], 2.0)
    assert cut(speech(), [at(0.0), at(0.0), 5], 2.0)[1] == 2.0  # it always goes on


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_long_sound_has_times_that_go_on(seed: int, tmp_path: Path) -> None:
    model = library.load(speaking(tmp_path, seed))
    samples = np.concatenate([noise(30000, seed), tone(2.1), noise(40000, seed + 1)])
    done = list[float]()
    found = transcribe(model, "long", samples, How(unsure=-1e9), advance=done.append)
    times = [time for part in found.parts for time in (part.begin, part.end)]
    assert times == sorted(times) and (not times or times[-1] <= len(samples) / 16000 + 0.01)
    assert (
        sum(done) == pytest.approx(len(samples) / 16000, abs=0.01)
        and found.language in Speech.of(model.tokenizer).languages
    )
    silent = transcribe(model, "long", samples, How(silence=-1.0, unsure=1.0))
    assert silent.parts == ()


def test_what_a_model_cannot_be_told(tmp_path: Path) -> None:
    model = library.load(speaking(tmp_path / "a"))
    with pytest.raises(ValueError, match="no language is called 'xx'"):
        transcribe(model, "a", noise(4000), How(language="xx"))
    heard = library.load(hearing(tmp_path / "b"))
    with pytest.raises(ValueError, match="not told which"):
        transcribe(heard, "a", noise(4000), How(language="en"))
    text = library.load(good_text(tmp_path / "c"))
    with pytest.raises(ValueError, match="writes down no sounds"):
        transcribe(text, "a", noise(4000))


def good_text(path: Path) -> Path:
    write_model(Blueprint.of("gpt2", "debug").build(seed=0).state_dict(), Blueprint.of("gpt2", "debug"), None, path)
    return path


def hearing(path: Path) -> Path:
    """A small model whose places say words."""
    tokenizer = tokenizer_for(SpeechSettings(tokenizer="word"), ["zero one two three four"])
    blueprint = Blueprint.of("conformer", "debug", labels=tokenizer.vocab)
    module = blueprint.build(seed=3)
    with torch.no_grad():
        module.heads["ctc"].out.weight.mul_(30.0)  # so that it says something
    write_model(module.state_dict(), blueprint, tokenizer, path)
    write_processor(path, LogMel(mels=8, seconds=None))
    return path


def test_places_are_where_labels_are_said() -> None:
    best = torch.tensor([[0, 3, 3, 0, 3, 5, 5, 0]])
    assert [tuple(one) for one in placed(best, [8])[0]] == [(3, 1, 2), (3, 4, 4), (5, 5, 6)]
    assert [tuple(one) for one in placed(best, [2])[0]] == [(3, 1, 1)]


def test_a_model_of_labels_says_words_and_when(tmp_path: Path) -> None:
    model, samples = library.load(hearing(tmp_path)), np.concatenate([noise(9000, 3), tone(1.5), noise(500000, 4)])
    found = transcribe(model, "long", samples)
    times = [time for word in found.words for time in (word.begin, word.end)]
    assert found.words and times == sorted(times) and times[-1] <= found.seconds
    assert found.text.split() == [word.text for word in found.words]
    assert set(found.text.split()) <= {"zero", "one", "two", "three", "four", "�"}


def test_pieces_are_cut_where_it_is_quiet() -> None:
    samples = np.concatenate([noise(25000), np.zeros(400, np.float32), noise(20000)])
    found = list(pieces(samples, 10000, 3.0))
    assert [start for start, _ in found] == [0, 25200, 25200 + len(found[1][1])][: len(found)]
    assert np.array_equal(np.concatenate([piece for _, piece in found]), samples)
    assert [len(piece) for _, piece in pieces(samples[:5], 10000, 3.0)] == [5]


def test_what_is_written() -> None:
    words = (Word("so", 0.0, 0.4), Word("it", 0.5, 0.9), Word("<goes", 3601.5, 3602.0))
    found = Transcript("a.wav", 3605.0, lined(words), words)
    assert [part.text for part in found.parts] == ["so it", "<goes"] and found.text == "so it <goes"
    assert found.written("txt") == "so it\n<goes\n"
    assert found.written("srt").startswith(
        "1\n00:00:00,000 --> 00:00:00,900\nso it\n\n2\n01:00:01,500 --> 01:00:02,000"
    )
    assert found.written("vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.900\nso it\n\n01:00:01.500 --> 01:00:02.000\n&lt;goes\n\n"
    )
    told = json.loads(found.written("json"))
    assert told["text"] == found.text and told["words"][1] == {"text": "it", "begin": 0.5, "end": 0.9}
    assert [Said(**part) for part in told["parts"]] == list(found.parts)
    with pytest.raises(ValueError, match="'ass' is none of txt, srt"):
        found.written("ass")


def test_the_command_writes_to_a_file_a_folder_and_the_terminal(tmp_path: Path) -> None:
    model = hearing(tmp_path / "model")
    sounds = [wav(tmp_path / name, tone(1.0, 8000), 8000) for name in ("a.wav", "b.wav")]  # another rate: resampled
    shown = good("transcribe", sounds[0], model).out
    assert good("transcribe", sounds[0], model, "--out", tmp_path / "a.json").out
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["seconds"] == 1.0 and told["text"] in " ".join(shown.split())
    good("transcribe", *sounds, model, "--out", tmp_path / "all", "--format", "vtt")
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"a.vtt", "b.vtt"}
    assert (tmp_path / "all" / "a.vtt").read_text().startswith("WEBVTT")
    for words, said in (
        ((sounds[0], model, "--out", tmp_path / "a.json"), "is there already"),
        ((sounds[0],), "name at least one sound"),
        ((sounds[0], model, "--format", "ass"), "it is one of txt"),
        ((sounds[0], model, "--format", "json", "--out", tmp_path / "b.srt"), "which is srt: leave one of them out"),
        ((tmp_path / "gone.wav", model), "gone.wav is no file"),
        ((sounds[0], tmp_path), "config.json is missing"),
    ):
        done = weft("transcribe", *words)
        assert done.status and said in " ".join(done.err.split())
