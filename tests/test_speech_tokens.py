"""The tokenizer of a model that writes what it hears: the reference's ids, what a target begins with, and times."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from test_published_tokenizers import GPT2_CUT, asset, check_lines, halves, ranks, skipping, spelt, splitting, write

from weft.data import BytePairs, load_tokenizer
from weft.data.tokenizers import Segment, Speech
from weft.files import DamagedFile

CODES = ("en", "zh", "de", "es", "ru")


def folder_of(path: Path, table: str | None, codes: tuple[str, ...] = CODES, **said: Any) -> Path:
    """A folder as Whisper's are published: GPT-2's kind of vocabulary, special tokens, and times that are none.
    table: None, a vocabulary of bytes and two merges."""
    order = ranks(table) if table else {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"abc": 257}
    vocabulary = {spelt(token): rank for token, rank in order.items()}
    pairs = [halves(token, order) for token in sorted(order, key=order.__getitem__) if len(token) > 1]
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in codes), "<|translate|>",
               "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip
    times = [f"<|{place * 0.02:.2f}|>" for place in range(1501)]
    added = {
        len(vocabulary) + place: {"content": name, "lstrip": False, "rstrip": False, "single_word": False,
                                  "normalized": place >= len(special), "special": place < len(special)}
        for place, name in enumerate(chain(special, times))
    }  # fmt: skip
    config = {
        "add_prefix_space": False, "added_tokens_decoder": added, "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "additional_special_tokens": special,
        "tokenizer_class": "WhisperTokenizer", "errors": "replace", "model_max_length": 1024,
    } | said  # fmt: skip
    merges = "#version: 0.2\n" + "".join(f"{spelt(left)} {spelt(right)}\n" for left, right in pairs)
    return write(path, vocab__json=vocabulary, merges__txt=merges, tokenizer_config__json=config)


def loaded(path: Path) -> BytePairs:
    found = load_tokenizer(path)
    assert isinstance(found, BytePairs)
    return found


@pytest.mark.parametrize("table", ["multilingual.tiktoken", "gpt2.tiktoken"])
def test_its_ids_are_the_reference_s_and_tiktoken_s(table: str, tmp_path: Path) -> None:
    asset(table)
    transformers, tiktoken = pytest.importorskip("transformers"), pytest.importorskip("tiktoken")
    languages = transformers.models.whisper.tokenization_whisper.LANGUAGES
    ours = loaded(folder_of(tmp_path / "a", table, tuple(languages)[:99]))
    theirs = transformers.WhisperTokenizer.from_pretrained(tmp_path / "a")
    check_lines(ours, splitting(theirs), skipping(theirs))
    order = ranks(table)
    oracle = tiktoken.Encoding("a", pat_str=GPT2_CUT, mergeable_ranks=order, special_tokens={})
    check_lines(ours, lambda text: oracle.encode(text, disallowed_special=()), None)
    if table.startswith("multilingual"):
        assert (ours.vocab, ours.end, ours.special("<|notimestamps|>")) == (51865, 50257, 50363)
    speech = Speech.of(ours)
    assert len(speech.languages) == 99 and len(speech.times) == 1501 and speech.times.stop == ours.vocab
    for name, number in ours.special_names.items():
        assert theirs.convert_tokens_to_ids(name) == number
    assert [theirs.convert_ids_to_tokens(number) for number in (speech.times[0], speech.times[-1])] == [
        "<|0.00|>", "<|30.00|>",
    ]  # fmt: skip


def both(path: Path, **said: Any) -> tuple[BytePairs, Any]:
    """Ours and the reference's of a small folder."""
    transformers = pytest.importorskip("transformers")
    folder_of(path, None, **said)
    return loaded(path), transformers.WhisperTokenizer.from_pretrained(path)


def test_a_folder_that_the_reference_saved_is_the_same(tmp_path: Path) -> None:
    ours, theirs = both(tmp_path / "a")
    theirs.save_pretrained(tmp_path / "b")
    again = loaded(tmp_path / "b")
    assert again.special_names == ours.special_names and again.vocab == ours.vocab and again.end == ours.end
    assert again.template == ours.template and again.words == ours.words
    for text in ("abc ab c", "so<|1.00|> abc<|2.50|>", "<|endoftext|>", "é\n\n 你好"):
        assert ours.encode(text) == again.encode(text) == splitting(theirs)(text)
    ours.save(write(tmp_path / "c"))
    assert loaded(tmp_path / "c").template == ours.template
    assert type(theirs).from_pretrained(tmp_path / "b").encode("abc") == theirs.encode("abc")


@pytest.mark.parametrize(
    "said", [{}, {"language": "de", "task": "translate"}, {"language": "ru"}, {"task": "transcribe"},
             {"predict_timestamps": True, "language": "en", "task": "transcribe"}],
)  # fmt: skip
def test_what_stands_around_a_text_is_what_the_reference_puts_there(said: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, **said)
    assert ours.template is not None
    assert ours.template.one(ours.encode("abc"))[0] == theirs.encode("abc")
    assert ours.begin == theirs.prefix_tokens[-1]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [({"language": "german"}, "language is 'german'"), ({"language": 3}, "language is 3"), ({"task": "x"}, "task is")],
)
def test_a_folder_that_asks_for_what_is_not_known(said: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=wrong):
        load_tokenizer(folder_of(tmp_path, None, **said))


def test_what_a_target_begins_with(tmp_path: Path) -> None:
    ours, theirs = both(tmp_path)
    speech = Speech.of(ours)
    assert tuple(speech.languages) == CODES and speech.end == ours.end
    for language, task, timed in (
        ("de", "translate", False), ("ru", "transcribe", True), ("en", "transcribe", False), (None, None, False),
        (None, None, True),
    ):  # fmt: skip
        theirs.language, theirs.task, theirs.predict_timestamps = language, task, timed
        assert speech.begins(language, translate=task == "translate", timed=timed) == theirs.prefix_tokens
    told = [ours.special("<|startofprev|>"), 97, 98]
    assert speech.begins("en", before=[97, 98]) == told + speech.begins("en")
    for language, translate, said in (("ex", False, "no language is called 'ex'"), (None, True, "name it")):
        with pytest.raises(ValueError, match=said):
            speech.begins(language, translate=translate)
    none = loaded(folder_of(tmp_path / "plain", None, codes=()))
    assert Speech.of(none).languages == {}


def test_times(tmp_path: Path) -> None:
    ours, theirs = both(tmp_path)
    speech = Speech.of(ours)

    def ids(*parts: float | str) -> list[int]:
        several = [ours.encode(p) if isinstance(p, str) else [speech.times[round(p / 0.02)]] for p in parts]
        return list(chain(*several))

    assert [speech.seconds(n) for n in (speech.times[0], speech.times[57], speech.times[-1])] == [0.0, 1.14, 30.0]
    assert speech.seconds(speech.end) is None and speech.seconds(97) is None
    written = ids(0.0, "ab", 1.2, 1.2, "c abc", 29.98)
    found = speech.segments(written)
    assert found == [Segment((256,), 0.0, 1.2), Segment(tuple(ours.encode("c abc")), 1.2, 29.98)]
    wanted = theirs.decode(written, output_offsets=True)["offsets"]
    assert [(ours.decode(part.ids), part.begin, part.end) for part in found] == [
        (part["text"], *map(pytest.approx, part["timestamp"])) for part in wanted
    ]
    assert speech.segments(ids("ab")) == [Segment((256,), None, None)]
    assert speech.segments(ids(0.0, "ab", 1.0, "c")) == [Segment((256,), 0.0, 1.0), Segment((99,), 1.0, None)]
    assert speech.segments(ids("c", 2.0)) == [Segment((99,), None, 2.0)]
    assert speech.segments([]) == [] and speech.segments(ids(0.0, 0.0)) == []
    assert ours.decode(written) == "<|0.00|>ab<|1.20|><|1.20|>c abc<|29.98|>"


def test_a_tokenizer_of_text_alone_is_none_of_speech(tmp_path: Path) -> None:
    vocabulary: Mapping[str, int] = {spelt(bytes([byte])): byte for byte in range(256)} | {"<|endoftext|>": 256}
    plain = loaded(write(tmp_path, vocab__json=vocabulary, merges__txt="#version: 0.2\n"))
    with pytest.raises(ValueError, match=r"has no token '<\|startoftranscript\|>'"):
        Speech.of(plain)
