"""Tokenizers: every kind there and back, golden ids, the reference's ids, files that are read and refused, commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers as library
from commands import good, weft
from hypothesis import example, given
from hypothesis import strategies as st
from pages import ROOT, shown

from weft.cli.pieces import visible
from weft.data import BytePairs, Bytes, Characters, encode_many, load_tokenizer, named_tokenizer, train_tokenizer
from weft.data.tokenizers import TOKENIZERS, Unigrams, WordPieces
from weft.data.tokenizers import library as run
from weft.files import DamagedFile
from weft.generate import TextStream
from weft.registry import UnknownName

TEXTS = [
    "the cat sat on the mat\n" * 5,
    "def f(x):\n    return x  # the <|end|> of it\n" * 5,
    "naïve café — 你好 🙂\n" * 5,
]
SIZES = {"bpe": 300, "unigram": 400, "wordpiece": 120, "bytes": 0, "characters": 0, "word": 0}
ALL = {kind: train_tokenizer(kind, TEXTS, vocab) for kind, vocab in SIZES.items()}
WHOLE = {kind: ALL[kind] for kind in ("bpe", "unigram", "bytes")}  # they spell every text
RUN = {kind: ALL[kind] for kind in ("bpe", "unigram", "wordpiece")}  # by the tokenizers library
BPE = ALL["bpe"]
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
SPECIAL = ("<|end|>", "<|endoftext|>", "</s>", "<unk>", "<pad>", "<end>", "[SEP]", "[UNK]", "[CLS]", "<extra_id_0>")
HARD = (
    "a<|end|>b <|end|>",
    " \n\n x\r\n\ty  ",
    "👩‍👩‍👧‍👦 é \x00 \u2028 \ufeff",
    "<0x41> <0x0A>",
    "▁the ▁ cat",
    "## ##a",
)

# ---- there and back ----


@pytest.mark.parametrize("kind", WHOLE)
@given(text=UNICODE)
def test_every_text_comes_back(kind: str, text: str):
    check_whole(kind, text)


@pytest.mark.parametrize("text", [*SPECIAL, *HARD, "".join(SPECIAL), "x </s> x </s>", "x <|end|>", "\0", ""])
@pytest.mark.parametrize("kind", WHOLE)
def test_texts_that_are_hard_come_back(kind: str, text: str):
    check_whole(kind, text)


def check_whole(kind: str, text: str):
    tokenizer = WHOLE[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.lossless
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.pieces(ids)) == text.encode()
    assert all(tokenizer.pieces(ids))  # no special among them
    assert all(0 <= number < tokenizer.vocab for number in ids)
    assert tokenizer.decode([tokenizer.end, *ids, tokenizer.end]) == text


@pytest.mark.parametrize("kind", ["wordpiece", "word"])
@given(text=UNICODE)
@example(text=" ".join(SPECIAL))
@example(text="".join(SPECIAL))
def test_lossy_ones_say_so_and_give_only_text(kind: str, text: str):
    tokenizer = ALL[kind]
    ids = tokenizer.encode(text)
    assert not tokenizer.lossless
    assert all(tokenizer.pieces(ids))
    assert not tokenizer.decode(ids).startswith(" ")


@pytest.mark.parametrize("kind", ALL)
@given(data=st.data())
def test_any_ids_decode_piece_by_piece_as_at_once(kind: str, data: st.DataObject):
    tokenizer = ALL[kind]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab - 1)))
    whole = tokenizer.decode(ids)
    assert b"".join(tokenizer.pieces(ids)).decode("utf-8", "replace") == whole
    stream = TextStream(tokenizer)
    for _ in range(2):  # a stream that is finished serves another text
        assert "".join([*map(stream.push, ids), stream.finish()]) == whole


@pytest.mark.parametrize("kind", RUN)
@given(texts=st.lists(st.text(st.sampled_from("a'\n \t\r\x1c\x85\xa0é.1#▁"), max_size=30), max_size=3))
def test_long_texts_are_cut_where_no_id_changes(kind: str, texts: list[str]):
    tokenizer = RUN[kind]
    whole = [tokenizer.encode(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_CHUNK", 3)
        parts = [ids.tolist() for ids in encode_many(tokenizer, texts)]
    assert parts == whole
    assert all(ids.dtype == np.int32 for ids in encode_many(tokenizer, texts))


@pytest.mark.parametrize("kind", ALL)
def test_what_is_no_id_or_no_text_is_refused(kind: str):
    tokenizer = ALL[kind]
    for number in (-1, tokenizer.vocab):
        with pytest.raises(ValueError, match=f"{number}, at place 1, is no id"):
            tokenizer.decode([1, number])
    with pytest.raises(ValueError, match=r"at offset 1|\(U\+D800\) at offset 1"):
        tokenizer.encode("a\ud800")


# ---- golden ids ----


POEM = ["the cat sat on the mat, the cat that sat on the hat.\n" * 3 + "Café naïve 12\n"]
ASKED = "that cat's café\n<s>"
GOLDEN = {
    "bpe": (280, [258, 257, 264, 7, 83, 221, 67, 65, 70, 128, 103, 199, 28, 83, 30]),
    "unigram": (320, [268, 260, 259, 264, 260, 42, 266, 259, 264, 273, 277, 279, 267, 290, 266, 291]),
    "wordpiece": (60, [38, 33, 1, 13, 8, 16, 18, 17, 1, 13, 1]),
    "word": (0, [10, 3, 1, 1, 1, 1, 1, 1]),
    "bytes": (0, [119, 107, 100, 119, 35, 102, 100, 119, 42, 118, 35, 102, 100, 105, 198, 172, 13, 63, 118, 65]),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_ids_are_those_of_old(kind: str):
    vocab, expected = GOLDEN[kind]
    assert train_tokenizer(kind, POEM, vocab).encode(ASKED) == expected


def test_the_characters_are_in_the_order_of_their_code_points():
    assert train_tokenizer("characters", ["banana, é"]).encode("é, nab") == [6, 2, 1, 5, 3, 4]


# ---- training ----


def test_a_bpe_has_the_ids_asked_for_and_end_is_0():
    assert (BPE.vocab, BPE.end, BPE.pieces([0])) == (300, 0, [b""])
    assert len(BPE.encode(TEXTS[0])) < len(TEXTS[0].encode()) / 2


def test_the_merges_of_the_lectures():
    tokenizer = BytePairs.train(["aaabdaaabac"], 260)
    assert tokenizer.merges() == [(b"a", b"a"), (b"a", b"b"), (b"aa", b"ab")]
    assert [b" ".join(pieces) for pieces in tokenizer.steps("aaabdaaabac", 3)] == [
        b"aa a b d aa a b a c",
        b"aa ab d aa ab a c",
        b"aaab d aaab a c",
    ]


@given(st.text(st.sampled_from("the catsmat\n é你"), max_size=40))
def test_after_the_last_merge_the_pieces_are_the_tokenizers_own(text: str):
    tokenizer = BytePairs.train(TEXTS, 300)
    steps = tokenizer.steps(text, len(tokenizer.merges()))
    assert steps[-1] == tokenizer.pieces(tokenizer.encode(text))


def test_a_unigram_keeps_its_size_and_leaves_rare_characters_to_the_bytes():
    rare = "".join(chr(0x4E00 + number) for number in range(500))
    tokenizer = train_tokenizer("unigram", ["the cat sat on the mat " * 9, rare], 330)
    assert tokenizer.vocab <= 330
    text = f"the cat {rare}"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert train_tokenizer("unigram", [TEXTS[0]], 286).vocab == 286


def test_a_wordpiece_minds_capitals_when_told():
    assert WordPieces.train(["Café"] * 2, 100).decode(WordPieces.train(["Café"] * 2, 100).encode("CAFÉ")) == "cafe"
    cased = WordPieces.train(["Café"] * 2, 100, lowercase=False)
    assert cased.decode(cased.encode("Café")) == "Café"
    assert cased.decode(cased.encode("café")) == "\ufffd"


def test_words_are_the_most_frequent_first():
    tokenizer = train_tokenizer("word", ["b a, a don't"], 6)
    assert [tokenizer.encode(word) for word in ("a", "'", ",", "b", "don", "<end>")] == [
        [2],
        [3],
        [4],
        [5],
        [1],
        [1] * 3,
    ]
    assert tokenizer.decode([0, 2, 4, 5, 1]) == "a , b \ufffd"


def test_characters_are_those_of_the_text():
    tokenizer = train_tokenizer("characters", ["hello", "world"], 0)
    assert (tokenizer.vocab, tokenizer.end, tokenizer.encode("")) == (len(set("helloworld")) + 1, 0, [])
    assert tokenizer.decode(tokenizer.encode("drew")) == "drew"
    with pytest.raises(ValueError, match=r"'y' \(U\+0079\) at offset 2 is not among the 7"):
        tokenizer.encode("dry")
    with pytest.raises(ValueError, match="needs 8 ids, vocab=5"):
        train_tokenizer("characters", ["hello", "world"], 5)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_characters_give_back_their_text(text: str):
    tokenizer = Characters.train([text], 0)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.pieces(ids)) == text.encode()


def test_another_process_trains_the_same_file(tmp_path: Path):
    program = f"""
import sys
from pathlib import Path
from weft.data import train_tokenizer
letters = "".join(map(chr, range(0xE0, 0x170)))
texts = [*{TEXTS!r}, " ".join(letters[n : n + 5] for n in range(0, 140, 5)) * 3]
for kind, vocab in (("bpe", 320), ("unigram", 900), ("wordpiece", 500)):
    train_tokenizer(kind, iter(texts), vocab).save(Path(sys.argv[1]) / kind)
"""
    for name in ("a", "b"):
        words = [sys.executable, "-c", program, str(tmp_path / name)]
        subprocess.run(words, check=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "true"})
    for kind in ("bpe", "unigram", "wordpiece"):
        one, two = (tmp_path / name / kind / "tokenizer.json" for name in ("a", "b"))
        assert one.read_bytes() == two.read_bytes(), kind


@pytest.mark.parametrize(
    ("kind", "vocab", "message"),
    [
        ("bpe", 256, "vocab=256 is too small for bpe: .* 257"),
        ("bytes", 383, r"bytes need 384 ids .*, vocab=383 allows fewer"),
        ("unigram", 285, "vocab=285 is too small for unigram: .* make 286"),
        ("wordpiece", 9, r"need \d+ ids, vocab=9 allows fewer"),
        ("word", 2, "vocab=2 leaves no word"),
        ("bpe", -1, "between 0 and 10,000,000"),
        ("bpe", 10**7 + 1, "between 0 and 10,000,000"),
        ("byte", 300, "did you mean 'bytes'"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(kind: str, vocab: int, message: str):
    with pytest.raises(ValueError, match=message):
        train_tokenizer(kind, TEXTS, vocab)


@pytest.mark.parametrize("kind", ["unigram", "wordpiece", "characters", "word"])
def test_nothing_is_learned_from_nothing(kind: str):
    with pytest.raises(ValueError, match="there is no text to take"):
        train_tokenizer(kind, [""], 400)


def test_the_kinds_are_registered():
    assert TOKENIZERS.names() == sorted(SIZES)
    with pytest.raises(UnknownName):
        TOKENIZERS.get("byte")


# ---- files ----


@pytest.mark.parametrize("kind", ALL)
def test_a_saved_tokenizer_is_read_back_and_saved_to_the_same_bytes(kind: str, tmp_path: Path):
    tokenizer = ALL[kind]
    tokenizer.save(tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["tokenizer.json"]
    again = load_tokenizer(tmp_path / "one")
    again.save(tmp_path / "two")
    assert type(again) is type(tokenizer)
    assert (again.vocab, again.end, again.lossless) == (tokenizer.vocab, tokenizer.end, tokenizer.lossless)
    texts = [*TEXTS, "t<"] if kind == "characters" else [*TEXTS, *SPECIAL, *HARD]
    assert [again.encode(text) for text in texts] == [tokenizer.encode(text) for text in texts]
    assert [path.read_bytes() for path in (tmp_path / "one").iterdir()] == [
        path.read_bytes() for path in (tmp_path / "two").iterdir()
    ]


@pytest.mark.parametrize("kind", RUN)
@given(text=UNICODE)
@example(text=" ".join([*SPECIAL, *HARD]))
def test_the_library_reads_what_we_write(kind: str, text: str, tmp_path: Path):
    RUN[kind].save(tmp_path)
    theirs = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs.encode_special_tokens = True
    ids = RUN[kind].encode(text)
    assert theirs.encode(text, add_special_tokens=False).ids == ids
    if RUN[kind].lossless:
        assert theirs.decode(ids) == text
    assert theirs.get_vocab_size() == RUN[kind].vocab


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "tokenizer.json"),
        ("[]", "tokenizer.json holds a list"),
        ("not json", "not JSON"),
        ('{"weft": "words"}', "no tokenizer is called 'words'; did you mean 'word'"),
        ('{"weft": "characters"}', "tokenizer.json has no entry 'characters'"),
        ('{"weft": "characters", "characters": ["a"]}', "a text, not a list"),
        ('{"weft": "characters", "characters": "ba"}', "sorted"),
        ('{"weft": "characters", "characters": ""}', "at least one"),
        ('{"weft": "word", "words": ["a b"]}', "'a b' is no single word"),
        ('{"weft": "word", "words": ["a", "a"]}', "each once"),
        ('{"weft": "word", "words": [1]}', "a list of texts"),
        ('{"weft": "word", "words": "ab"}', "a list of texts"),
        ('{"weft": "word"}', "tokenizer.json has no entry 'words'"),
        ('{"weft": "bytes"}', "not the numbering of bytes that is known"),
    ],
)
def test_a_damaged_tokenizer_is_refused(content: str, message: str, tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_tokenizer(tmp_path)


def edited(kind: str, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A folder with a tokenizer of that kind, its file changed."""
    RUN[kind].save(folder)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return folder


def drop_byte(data: dict[str, Any]) -> None:
    byte = next(token for token, number in data["model"]["vocab"].items() if number == 1)
    data["model"]["vocab"] = {token: number for token, number in data["model"]["vocab"].items() if token != byte}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("bpe", lambda data: data.update(pre_tokenizer={"type": "Whitespace"}), "not a byte-level BPE"),
        ("bpe", lambda data: data.update(added_tokens=[]), "no special token ends a text.*special are none"),
        ("bpe", drop_byte, "lacks 1 of the 256 bytes, 0x21"),
        ("bpe", lambda data: data["model"].update(end_of_word_suffix="</w>"), "of BPE with </w> those with Split and"),
        ("bpe", lambda data: data["model"].update(continuing_subword_prefix="@@"), "cannot read it"),
        ("bpe", lambda data: data["model"]["vocab"].update({"né": 300}), None),
        ("bpe", lambda data: data["model"]["vocab"].update({"你": 300}), "'你', id 300, has characters that stand for"),
        ("bpe", lambda data: data["model"]["vocab"].update(abc=299), "share the id 299"),
        ("bpe", lambda data: data["model"]["vocab"].update(abc=10**9), "the ids go from 0 to 1000000000"),
        ("bpe", lambda data: data["added_tokens"][0].update(id=7), "says its id is 7, the library makes it 0"),
        ("wordpiece", lambda data: data.update(pre_tokenizer={"type": "Whitespace"}), "cuts text by Whitespace"),
        ("wordpiece", lambda data: data["model"].update(unk_token="what"), "lacks 'what'"),
        ("unigram", lambda data: data.update(pre_tokenizer=None), "with Metaspace are known"),
        ("unigram", lambda data: data["model"].update(unk_id=None), "unk_id is None"),
    ],
)
def test_what_cannot_be_vouched_for_is_refused(kind: str, change: Callable, message: str | None, tmp_path: Path):
    folder = edited(kind, tmp_path, change)
    if message is None:
        assert load_tokenizer(folder).vocab == 301
        return
    with pytest.raises(DamagedFile, match=message) as caught:
        load_tokenizer(folder)
    assert "tokenizer.json" in str(caught.value)


def test_a_model_of_another_kind_is_refused(tmp_path: Path):
    theirs = library.Tokenizer(library.models.WordLevel({"a": 0}, unk_token="a"))
    theirs.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DamagedFile, match=r"its model is a WordLevel; .* BPE, WordPiece, Unigram"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("bpe", lambda data: data.update(normalizer={"type": "NFC"})),
        ("bpe", lambda data: data["pre_tokenizer"].update(add_prefix_space=True)),
        ("unigram", lambda data: data.update(normalizer={"type": "NFC"})),
        ("unigram", lambda data: data["model"].update(byte_fallback=False)),
        ("unigram", lambda data: data["model"]["vocab"][100].__setitem__(1, -2.0)),  # a byte's name is likely text
    ],
)
def test_what_changes_text_is_read_and_is_not_lossless(kind: str, change: Callable, tmp_path: Path):
    tokenizer = load_tokenizer(edited(kind, tmp_path, change))
    assert not tokenizer.lossless
    assert tokenizer.decode(tokenizer.encode("the cat")).strip() == "the cat"


def test_nothing_in_a_file_shortens_or_fills_text(tmp_path: Path):
    def change(data: dict[str, Any]) -> None:
        theirs = library.Tokenizer.from_str(json.dumps(data))
        theirs.enable_truncation(3)
        theirs.enable_padding(length=9)
        theirs.post_processor = library.processors.TemplateProcessing("[CLS] $0", None, [("[CLS]", 2)])
        data.update(json.loads(theirs.to_str()))

    text = "the cat sat on the mat"
    assert load_tokenizer(edited("wordpiece", tmp_path, change)).encode(text) == ALL["wordpiece"].encode(text)


def test_the_end_is_what_the_folder_says(tmp_path: Path):
    def change(data: dict[str, Any]) -> None:
        new = [{**data["added_tokens"][0], "id": 300 + n, "content": name} for n, name in enumerate(("<eos>", "<x>"))]
        data["added_tokens"] += new

    folder = edited("bpe", tmp_path, change)
    assert load_tokenizer(folder).end == 0
    (folder / "special_tokens_map.json").write_text('{"eos_token": {"content": "<eos>"}}')
    assert load_tokenizer(folder).end == 300
    (folder / "tokenizer_config.json").write_text('{"eos_token": null, "sep_token": "<x>"}')
    assert load_tokenizer(folder).end == 301
    for content, message in (
        ('{"eos_token": "<y>"}', " says that '<y>' is the eos_token, and tokenizer.json has no special token of that"),
        ('{"eos_token": ', ": the file is not JSON"),
        ("[]", " holds a list, not an object of tokens by role"),
    ):
        (folder / "tokenizer_config.json").write_text(content)
        with pytest.raises(DamagedFile) as caught:
            load_tokenizer(folder)
        assert str(caught.value).startswith(f"{folder / 'tokenizer_config.json'}{message}")


def test_words_that_were_added_keep_their_place(tmp_path: Path):
    def change(data: dict[str, Any]) -> None:
        data["added_tokens"].append({**data["added_tokens"][0], "id": 300, "content": "<|start|>"})
        data["added_tokens"].append({**data["added_tokens"][0], "id": 301, "content": "<tool>", "special": False})

    tokenizer = load_tokenizer(edited("bpe", tmp_path, change))
    ids = tokenizer.encode("<|start|> a<tool>b")
    assert tokenizer.lossless and 301 in ids and 300 not in ids
    assert tokenizer.decode(ids) == "<|start|> a<tool>b"


# ---- the reference ----


def reference(name: str) -> Any:
    """A tokenizer of transformers, with a vocabulary learned here in the form of the published ones."""
    transformers = pytest.importorskip("transformers")
    if name == "ByT5":
        return transformers.ByT5Tokenizer()
    kind = {"BERT": "wordpiece", "GPT2": "bpe", "Roberta": "bpe", "T5": "unigram", "Qwen2": "bpe"}[name]
    model = json.loads(RUN[kind]._text)["model"]  # type: ignore[attr-defined]
    if name == "BERT":
        return transformers.BertTokenizer(vocab=model["vocab"])
    if name == "T5":
        pieces = [(piece.replace(" ", "▁"), score) for piece, score in model["vocab"] if not piece.startswith("<0x")]
        pieces = [(piece, score if place > 2 else 0.0) for place, (piece, score) in enumerate(pieces)]
        return transformers.T5Tokenizer(vocab=pieces, extra_ids=3)
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>") if name == "Roberta" else ("<|endoftext|>",)
    vocabulary = model["vocab"] | {token: len(model["vocab"]) + place for place, token in enumerate(special)}
    return getattr(transformers, f"{name}Tokenizer")(vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]])


PUBLISHED = {
    "BERT": (WordPieces, "[SEP]"),
    "GPT2": (BytePairs, "<|endoftext|>"),
    "Qwen2": (BytePairs, "<|endoftext|>"),
    "Roberta": (BytePairs, "</s>"),
    "T5": (Unigrams, "</s>"),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """(the reference's, ours read from the folder it wrote), by name."""
    found = {}
    for name in PUBLISHED:
        theirs, folder = reference(name), tmp_path_factory.mktemp(name)
        theirs.save_pretrained(folder)
        found[name] = (theirs, load_tokenizer(folder))
    return found


@pytest.mark.parametrize("name", PUBLISHED)
@given(text=UNICODE)
@example(text="The cat sat  on\tthe <mat>\n\n naïve 你好 🙂 2024's ▁ <0x41> ## ")
def test_published_folders_give_the_references_ids(name: str, text: str, published: dict[str, tuple[Any, Any]]):
    theirs, ours = published[name]
    kind, end = PUBLISHED[name]
    assert isinstance(ours, kind)
    assert (ours.vocab, ours.end) == (len(theirs), theirs.convert_tokens_to_ids(end))
    ids = theirs.encode(text, add_special_tokens=False)
    assert ours.encode(text) == ids
    if ours.lossless:
        assert ours.decode(ids) == text == theirs.decode(ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_text_becomes_a_special_id_of_published_folders(name: str, published: dict[str, tuple[Any, Any]]):
    theirs, ours = published[name]
    special = {*theirs.all_special_ids} - {getattr(theirs, "unk_token_id", None)}
    for token in [*theirs.all_special_tokens, " ".join(theirs.all_special_tokens)]:
        assert not special & {*ours.encode(f"a{token}b"), *ours.encode(token)}


def test_decoding_published_pieces_is_the_references(published: dict[str, tuple[Any, Any]]):
    for name, text in (("T5", "the cat sat on the mat"), ("BERT", "the cat sat , on mat")):
        theirs, ours = published[name]
        ids = ours.encode(text)
        whole = theirs.decode(ids, clean_up_tokenization_spaces=False)
        assert ours.decode(ids) == whole.replace("<unk>", "\ufffd").replace("[UNK]", "\ufffd")


@given(UNICODE)
def test_bytes_are_numbered_as_the_reference_does(text: str):
    theirs, ours = reference("ByT5"), Bytes()
    assert ours.vocab == len(theirs) and ours.end == theirs.eos_token_id
    assert [*ours.encode(text), ours.end] == theirs.encode(text)
    names = theirs.convert_tokens_to_ids(["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_124>"])
    assert names == [0, 1, 2, 259, 383] and ours.pieces(names) == [b""] * 5


# ---- documentation ----


def test_the_page_runs():
    page, names = (ROOT / "docs" / "tokenizers.md").read_text(), dict[str, object]()
    for block in shown("docs/tokenizers.md"):
        exec(compile(block, "docs/tokenizers.md", "exec"), names)
    lines = [line.strip() for line in good("tokenizer", "train", "--text", "aaabdaaabac").out.splitlines()]
    assert all(line in page for line in lines)


# ---- commands ----


@pytest.mark.parametrize("kind", SIZES)
def test_a_tokenizer_is_trained_on_files_and_shown(kind: str, tmp_path: Path):
    (tmp_path / "a.txt").write_text("".join(TEXTS))
    out = tmp_path / "out"
    words = ("--kind", kind, "--vocab", SIZES[kind] or 1000, "--out", out)
    done = good("tokenizer", "train", "--data", tmp_path / "a.txt", *words, "--json").data
    tokenizer = load_tokenizer(out)
    assert (done["kind"], done["vocab"], done["lossless"]) == (kind, tokenizer.vocab, tokenizer.lossless)
    assert done["bytes"] == len("".join(TEXTS).encode())
    assert done["tokens"] == len(tokenizer.encode("".join(TEXTS)))
    assert done["bytes_per_token"] == pytest.approx(done["bytes"] / done["tokens"])
    shown = good("tokenizer", "show", out, "--text", "the cat", "--json").data
    assert (shown["kind"], shown["ids"], shown["decoded"]) == (kind, tokenizer.encode("the cat"), "the cat")
    assert "".join(piece["text"] for piece in shown["pieces"]) == "the cat"
    again = weft("tokenizer", "train", "--data", tmp_path / "a.txt", *words)
    assert again.status == 1 and "--overwrite" in again.err
    assert str(out) in good("tokenizer", "train", "--data", tmp_path / "a.txt", *words, "--overwrite").out


def test_the_example_of_the_lectures_is_shown_step_by_step():
    lines = good("tokenizer", "train", "--text", "aaabdaaabac", "--vocab", "260").out.splitlines()
    assert [" ".join(line.split()) for line in lines if "→" in line][1:] == [
        "1 a a → aa aa a b d aa a b a c",
        "2 a b → ab aa ab d aa ab a c",
        "3 aa ab → aaab aaab d aaab a c",
    ]
    assert lines[-2:] == ["aaab d  aaab a  c", "259  68 259  65 67"]


def test_pieces_are_visible_and_stand_over_their_ids():
    done = good("tokenizer", "show", "bytes", "--text", "a \té\n你")
    assert done.out.splitlines()[:5] == [
        "a   ␠  ⇥  ⟨c3⟩ ⟨a9⟩ ⏎",
        "100 35 12 198  172  13",
        "⟨e4⟩ ⟨bd⟩ ⟨a0⟩",
        "231  192  163",
        "",
    ]
    assert "9 bytes → 9 tokens, 1.00 bytes a token" in done.out
    assert "comes back as" not in done.out
    lossy = good("tokenizer", "show", "word", "--text", "a,  b").out
    assert "comes back as a , b" in lossy and "lossy, trained on this text alone" in lossy


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (b" the\r\n", "␠the␍⏎"),
        (b" \xe2\x80", "␠⟨e2 80⟩"),
        ("\x1b[31m\u200d\xa0".encode(), "⟨U+001B⟩[31m⟨U+200D⟩⟨U+00A0⟩"),
        ("\u0301".encode(), "◌\u0301"),
        (b"", ""),
    ],
)
def test_nothing_in_a_piece_is_hidden(piece: bytes, shown: str):
    assert visible(piece) == shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train",), "neither was given"),
        (("train", "--text", "a", "--data", "b"), "both were given"),
        (("train", "--kind", "bpee", "--text", "a"), "did you mean 'bpe'"),
        (("train", "--kind", "unigram", "--text", "a", "--vocab", "9"), "vocab=9 is too small for unigram"),
        (("train", "--text", "a", "--vocab", "9"), "vocab=9 is too small for bpe: 256 bytes and the end make 257"),
        (("show", "bype", "--text", "a"), "bype is no folder with a tokenizer.json"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(words: tuple[str, ...], message: str):
    done = weft("tokenizer", *words)
    assert done.status == 1 and message in done.err and done.err.count("\n") == 1 and not done.out


def test_a_models_folder_is_not_written_to(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    done = weft("tokenizer", "train", "--text", "a", "--out", tmp_path, "--overwrite")
    assert done.status == 1 and "holds a model" in done.err
    done = weft("tokenizer", "show", tmp_path, "--text", "a")
    assert done.status == 1 and "is no folder with a tokenizer.json" in done.err


def test_a_tokenizer_is_named_by_its_folder_or_its_file_everywhere(tmp_path: Path):
    train_tokenizer("bpe", ["the cat sat on the mat"], 280).save(tmp_path / "own")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "the"])
    )
    (tmp_path / "text.txt").write_text("the cat\n" * 9)
    words = ("ngram", "--data", tmp_path / "text.txt", "--held-out", tmp_path / "text.txt", "--order", "2", "--json")
    for name in ("own", "own/tokenizer.json", "bert"):
        assert named_tokenizer(str(tmp_path / name)) is not None
        assert good("tokenizer", "show", tmp_path / name, "--text", "the cat", "--json").data["tokens"] > 0
        assert good(*words, "--tokenizer", tmp_path / name).data["tokens"] > 0
    assert named_tokenizer("bpe") is None
    with pytest.raises(ValueError, match="--tokenizer bpee is no folder .*did you mean 'bpe'"):
        named_tokenizer("bpee", "--tokenizer ")
