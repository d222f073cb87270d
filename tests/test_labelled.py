"""Labelled data: what is read, every refusal with its file and place, and the step to token ids and back."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from weft.batch import IGNORED
from weft.data import Bytes, LibraryTokenizer, PieceTable, Template, train_tokenizer
from weft.data.labelled import (
    NO_ANSWER,
    Answer,
    Choice,
    Classified,
    Labels,
    Question,
    Scheme,
    Scored,
    Sentence,
    Where,
    answer_tokens,
    encode_choices,
    encode_classified,
    encode_questions,
    encode_scored,
    encode_tags,
    encode_texts,
    entity_labels,
    find_scheme,
    read_choices,
    read_classified,
    read_columns,
    read_conll,
    read_conllu,
    read_scored,
    read_squad,
    tagged_words,
    to_iob2,
)
from weft.data.labelled.encode import shares
from weft.data.labelled.encode_questions import trim
from weft.data.tokenizers import SentencePairs, locate_many
from weft.data.tokenizers.template import Part
from weft.files import DamagedFile

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "she said: 'no, the fox didn't jump (twice)!'",
    "1990s und 中文",
]
HERE = Where("made", "line 1")
# What a normalizer may change the length of, drop, or spell in several bytes, among plain letters.
LETTERS = st.text(st.sampled_from("the quick fox.,'()\n\t éÉ中ﬁ½İ\u0301\u200b\ufe0f🙂"), max_size=40)
WORDS = st.lists(
    st.text(st.sampled_from("theqckfox.'éİ中\u200b🙂\u00a0"), min_size=1, max_size=9), min_size=1, max_size=12
)


def wordpiece() -> PieceTable:
    """It frames texts as published encoders do: [CLS] a [SEP] b [SEP]."""
    made = trained("wordpiece", 120)
    assert isinstance(made, LibraryTokenizer)
    first, last = Part((made.special("[CLS]"),)), (made.end,)
    single = (first, Part("A"), Part(last))
    return made.framed(Template(single, (*single, Part("B", 1), Part(last, 1))))


def trained(kind: str, vocab: int) -> PieceTable:
    if kind not in MADE:
        made = train_tokenizer(kind, CORPUS, vocab)
        assert isinstance(made, PieceTable)
        MADE[kind] = made
    return MADE[kind]


def sentence_pairs() -> SentencePairs:
    """Characters as SentencePiece's BPE has them: a space before the text, bytes for what is not in the vocabulary."""
    names = [
        "<unk>",
        "</s>",
        *(f"<0x{number:02X}>" for number in range(256)),
        "▁",
        *"theqickfo.,'()",
        "th",
        "the",
        "▁the",
    ]
    merges = [("t", "h"), ("th", "e"), ("▁", "the")]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    made.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    made.add_special_tokens(["</s>"])
    return SentencePairs(made.to_str(), "</s>")


MADE: dict[str, PieceTable] = {}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def refused(read: Callable[[Path], Any], path: Path, *parts: str, kind: type[Exception] = ValueError) -> None:
    """The reading fails, and the message names the file and has all of `parts`."""
    with pytest.raises(kind) as error:
        read(path)
    message = str(error.value)
    assert str(path) in message and all(part in message for part in parts), message


# ---- rows ----


def test_columns_are_named_or_numbered(tmp_path: Path):
    tsv = written(tmp_path, "a.tsv.gz", 'no "quotes" here\t0\n\nand more \t 1\n')
    rows = read_classified(tsv, text="1", label="2", header=False)
    assert rows == [
        Classified(Where(str(tsv), "line 1"), 'no "quotes" here', None, "0"),
        Classified(Where(str(tsv), "line 3"), "and more ", None, "1"),
    ]
    table = written(tmp_path, "a.csv", 'label,b,a\nyes,"two\nlines",x\nno,,y\n')
    assert [
        (row.where.place, row.text, row.second, row.label) for row in read_classified(table, text="a", second="b")
    ] == [
        ("line 2", "x", "two\nlines", "yes"),
        ("line 4", "y", "", "no"),
    ]
    lines = written(
        tmp_path, "a.jsonl", '{"t": "a", "y": 1}\n{"t": "b", "y": true}\n{"t": "c", "y": 2.0, "more": []}\n'
    )
    assert [row.label for row in read_classified(lines, text="t", label="y")] == ["1", "true", "2"]


def test_a_parquet_has_rows_of_columns_too(tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    columns = {"text": ["a", "b"], "label": [1, 0], "score": [0.5, None], "list": [[1], [2]]}
    parquet.write_table(pyarrow.table(columns), path)
    assert read_classified(path)[1] == Classified(Where(str(path), "row 2"), "b", None, "0")
    refused(lambda path: read_scored(path, score="score"), path, "row 2: 'score' is None, not a finite number")
    refused(lambda path: read_scored(path, score="list"), path, "row 1: 'list' is [1]", kind=DamagedFile)
    refused(lambda path: read_classified(path, label="y"), path, "no column 'y': choose one of its columns", "'score'")
    refused(lambda path: read_classified(path, header=False), path, "only .csv and .tsv may have no header")


def both(path: Path) -> Any:
    return read_classified(path, text="text", second="second", label="label")


def chosen(path: Path) -> Any:
    return read_choices(path, ("a", "b"))


@pytest.mark.parametrize(
    ("name", "text", "read", "parts"),
    [
        ("a.tsv", "text\tlabel\nx\ty\n", both, ["no column 'second'", "'text', 'label'", "by number"]),
        ("a.tsv", "text\ttext\tlabel\n", read_classified, ["2 columns called 'text'"]),
        ("a.tsv", "text\tlabel\n", read_classified, ["has no rows"]),
        ("a.tsv", "", read_classified, ["has no rows"]),
        ("a.tsv", "text\tlabel\nx\ty\nx\ty\tz\n", read_classified, ["line 3: the row has 3 values and the header 2"]),
        ("a.tsv", "text\tlabel\nx\t \n", read_classified, ["line 2: there is no label in 'label'"]),
        ("a.csv", 'text,label\n"x,1\n', read_classified, ["line 2:"]),
        ("a.txt", "text\n", read_classified, ["no file of rows", ".csv, .jsonl, .parquet, .tsv"]),
        ("a.jsonl", '{"text": "a"}\n', read_classified, ["line 1 has no column 'label'", "there are: 'text'"]),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"label": 1}\n', read_classified, ["line 2 has no column 'text'"]),
        ("a.jsonl", '{"text": 3, "label": 1}\n', read_classified, ["line 1: 'text' is 3, not a text"]),
        ("a.jsonl", '{"text": null, "label": 1}\n', read_classified, ["line 1: there is no 'text'"]),
        ("a.jsonl", '{"text": "a", "label": 1.5}\n', read_classified, ["line 1: the label 'label' is 1.5", "regress"]),
        ("a.jsonl", '{"text": "a", "label": {"b": 1}}\n', read_classified, ["line 1: 'label' is {"]),
        ("a.jsonl", '{"text"\n', read_classified, ["line 1: not JSON"]),
        ("a.jsonl", '{"text": "a", "label": NaN}\n', read_scored, ["line 1: 'label' is nan, not a finite"]),
        ("a.jsonl", '{"text": "a", "label": true}\n', read_scored, ["line 1: 'label' is True, not a finite"]),
        ("a.tsv", "text\tlabel\nx\t1e999\n", read_scored, ["line 2: 'label' is '1e999', not a finite"]),
        ("a.tsv", "text\tlabel\nx\t1_0\n", read_scored, ["line 2: 'label' is '1_0', not a finite"]),
        ("a.tsv", "text\tlabel\ta\tb\nx\t2\ty\tz\n", chosen, ["line 2:", "from 0 to 1 (--first 1: "]),
        ("a.tsv", "text\tlabel\ta\tb\nx\tC\ty\tz\n", chosen, ["line 2:", "is 'C'", "A to B"]),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, read: Any, parts: list[str]):
    refused(read, written(tmp_path, name, text), *parts)


def test_numbered_columns_that_are_not_there(tmp_path: Path):
    path = written(tmp_path, "a.tsv", "x\t1\nx\n")
    refused(lambda path: list(read_columns(path, ["text"], header=False)), path, "no column 'text'", "numbers from 1")
    refused(lambda path: list(read_columns(path, ["3"], header=False)), path, "no column 3", "here to 2")
    refused(lambda path: list(read_columns(path, ["0"], header=False)), path, "no column 0")
    refused(lambda path: list(read_columns(path, ["2"], header=False)), path, "line 2", "the first row 2")
    refused(lambda path: list(read_columns(path, ["1"])), tmp_path / "none.tsv", "there is no file")


def test_scores_and_choices(tmp_path: Path):
    path = written(tmp_path, "a.csv", "s,q,a,b,n\n1.5,who,he,she,B\n-2e3,what,this,that,1\n")
    assert [row.score for row in read_scored(path, text="q", score="s")] == [1.5, -2000.0]
    assert read_choices(path, ("a", "b"), text="q", label="n", first=1) == [
        Choice(Where(str(path), "line 2"), "who", ("he", "she"), 1),
        Choice(Where(str(path), "line 3"), "what", ("this", "that"), 0),
    ]
    with pytest.raises(ValueError, match="the column 'a' is named for two of the choices"):
        read_choices(tmp_path / "x.tsv", ["a", "b", "a"])
    with pytest.raises(ValueError, match="of fewer than two columns nobody can choose, and there is 'a': name one for"):
        read_choices(path, ("a",))


def test_labels_are_those_that_are_trained_on(tmp_path: Path):
    train = [Classified(HERE, "", None, label) for label in ("10", "2", "-1")]
    assert Labels.collect(train).names == ("-1", "2", "10")
    labels = Labels.collect([Classified(HERE, "", None, label) for label in ("neutral", "b", "a")])
    assert labels.names == ("a", "b", "neutral")
    dev = Where("dev.tsv", "line 7")
    assert labels.number("b", dev) == 1
    with pytest.raises(
        ValueError, match=r"dev.tsv, line 7: the label 'neutrl'.* mean 'neutral'\? known are 'a', 'b', 'n"
    ):
        encode_classified([Classified(dev, "x", None, "neutrl")], labels, Bytes(), 9)
    assert labels.absent([Classified(dev, "", None, "b")]) == ("a", "neutral")
    with pytest.raises(ValueError, match="made: a task has at least two labels, and there is only '2'"):
        Labels.collect(train[1:2])
    with pytest.raises(ValueError, match="'a' is given 2 times"):
        Labels(("a", "b", "a"))


# ---- tagged words ----


def test_conll_of_tabs_and_of_spaces(tmp_path: Path):
    path = written(tmp_path, "a.conll", "-DOCSTART- -X- O\n\nA  b O\nc d\tB-X\r\n \t\n# e O\n")
    first, second = read_conll(path)
    assert first == Sentence(str(path), (3, 4), ("A", "c"), ("O", "B-X"))
    assert (second.words, second.where) == (("#",), Where(str(path), "line 6"))
    tabs = written(tmp_path, "b.conll.gz", "O\t1\t\u00a0\nB-X\t2\tNew York\n")
    assert read_conll(tabs, token=3, tag=1)[0].words == ("\u00a0", "New York")


@pytest.mark.parametrize(
    ("text", "settings", "parts"),
    [
        ("a\tO\nb\tc\tO\n", {}, ["line 2: 3 columns between tabs", "has 2"]),
        ("a O\nb\n", {}, ["line 2: 1 columns between spaces", "has 2"]),
        ("a\tO\n\tO\n", {}, ["line 2: the word is empty"]),
        ("a\tO\nb\t\n", {}, ["line 2: the tag is empty"]),
        ("a b\n", {"tag": 3}, ["no column 3: by line 1", "1 to 2"]),
        ("a\n", {}, ["line 1: a word and its tag are in two columns"]),
        ("a b\n", {"separator": "\t"}, ["line 1: a word and its tag are in two columns"]),
        ("\n\n", {}, ["has no words"]),
    ],
)
def test_a_line_of_conll_that_cannot_be_used_is_named(tmp_path: Path, text: str, settings: dict, parts: list[str]):
    refused(lambda path: read_conll(path, **settings), written(tmp_path, "a.conll", text), *parts)


def conllu(*rows: str) -> str:
    return "".join("\t".join((*row.split(" "), *"_____")) + "\n" if row[0].isdigit() else f"{row}\n" for row in rows)


def test_conllu_has_the_syntactic_words(tmp_path: Path):
    text = conllu(
        "# text = vámonos", "1-2 vámonos _ _ _", "1 vamos ir VERB V", "2 nos yo PRON P", "2.1 x _ X X", " ", "1 a _ X _"
    )
    path = written(tmp_path, "a.conllu", text)
    first, second = read_conllu(path)
    assert first == Sentence(str(path), (3, 4), ("vamos", "nos"), ("VERB", "PRON"))
    assert second.words == ("a",)
    assert read_conllu(path, tag="LEMMA")[0].tags == ("ir", "yo")
    refused(lambda path: read_conllu(path, tag="XPOS"), path, "line 7: the word 'a' has no XPOS")
    with pytest.raises(ValueError, match="no column 'POS': choose one of ID, FORM"):
        read_conllu(path, tag="POS")
    for rows, part in (
        (["1 a _ X"], "line 1: 9 columns between tabs, and CoNLL-U has 10"),
        (["1 a _ X X", "3 b _ X X"], "line 2: the word's number is '3', after 1 words"),
        (["1  _ X X"], "line 1: the word is empty"),
        (["1 a _  X"], "line 1: the UPOS is empty"),
    ):
        refused(read_conllu, written(tmp_path, "b.conllu", conllu(*rows)), part)


def sentence(*tags: str, words: list[str] | None = None) -> Sentence:
    return Sentence("made", tuple(range(1, len(tags) + 1)), tuple(words or tags), tags)


def test_schemes_are_told_apart_and_made_into_one():
    one, two = sentence("I-X", "I-X", "B-X", "O", "I-Y"), sentence("B-X", "I-X", "B-X", "O", "B-Y")
    assert find_scheme([one]) is Scheme.IOB1 and find_scheme([two]) is Scheme.IOB2
    assert find_scheme([sentence("O")]) is Scheme.IOB2
    assert (
        to_iob2([one]) == to_iob2([two]) == [Sentence("made", one.lines, one.words, two.tags)] or one.words != two.words
    )
    assert [found.tags for found in to_iob2([one])] == [two.tags]
    mixed = sentence("B-X", "O", "I-X")
    with pytest.raises(ValueError, match="made, line 3: 'I-X' begins .* IOB1, and made, line 1: 'B-X' begins one"):
        to_iob2([mixed])
    assert to_iob2([mixed], Scheme.IOB1)[0].tags == ("B-X", "O", "B-X")
    with pytest.raises(ValueError, match="made, line 2: 'I-Y' after 'B-X' continues no entity"):
        to_iob2([sentence("B-X", "I-Y")], Scheme.IOB2)
    for tag in ("X", "B-", "S-X", "I", "o"):
        with pytest.raises(ValueError, match=f"made, line 2: '{tag}' is no tag of an entity"):
            find_scheme([sentence("O", tag)])
    assert entity_labels([two]).names == ("O", "B-X", "I-X", "B-Y", "I-Y")
    assert entity_labels([two]).absent(tagged_words([two])) == ("I-Y",)


@given(st.lists(st.tuples(st.sampled_from("XYO"), st.integers(1, 3)), max_size=6))
def test_both_schemes_of_the_same_entities_become_the_same(entities: list[tuple[str, int]]):
    one, two, before = list[str](), list[str](), "O"
    for kind, length in entities:
        begins = [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        two += ["O"] * length if kind == "O" else begins
        one += ["O"] * length if kind == "O" else begins if before == kind else [f"I-{kind}"] * length
        before = kind
    (found,) = to_iob2([sentence(*one)], Scheme.IOB1)
    assert found.tags == tuple(two)
    assert to_iob2([found]) == [found]


# ---- questions ----


def squad(*questions: dict[str, Any], context: str = "the fox and the dog") -> str:
    full = [{"id": str(number), "question": "who?", **told} for number, told in enumerate(questions)]
    return json.dumps({"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": full}]}]})


def answer(text: str, start: Any) -> dict[str, Any]:
    return {"answers": [{"text": text, "answer_start": start}]}


def test_squad_of_both_versions(tmp_path: Path):
    path = written(tmp_path, "a.json.gz", squad(answer("fox", 4), {"answers": [], "is_impossible": True}))
    first, second = read_squad(path)
    assert [question.answers for question in read_squad(path, labelled=False)] == [(), ()]
    where = Where(str(path), "question '0'")
    assert first == Question(where, "0", "T", "who?", "the fox and the dog", (Answer("fox", 4),))
    assert second.impossible and not first.impossible


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            squad(answer("the", 11)),
            ["question '0'", "the context has ' th'", "answer is 'the'", "nearest place of it is 12"],
        ),
        (squad(answer("cat", 4)), ["question '0'", "has 'fox'", "is 'cat'", "nowhere in the context"]),
        (squad(answer("the", -3)), ["question '0'", "answer_start=-3", "nearest place of it is 0"]),
        (squad(answer("fox", "4")), ["question '0', answers[0]: answer_start is \"4\", not a whole number"]),
        (squad(answer(" ", 3)), ["question '0': an answer is empty"]),
        (squad(answer("fox", 4), {"id": "0", **answer("fox", 4)}), ["question '0': another question has this id"]),
        (squad({**answer("fox", 4), "is_impossible": True}), ["question '0'", "there are 1 answers"]),
        (squad({"answers": []}), ["question '0': there is no answer"]),
        (squad({"answers": [], "is_impossible": "no"}), ["question '0': is_impossible is 'no'"]),
        (squad(answer("fox", 4), context=" \n"), ["data[0].paragraphs[0]: the context is empty"]),
        (squad({**answer("fox", 4), "question": None}), ["question '0': question is missing, not a text"]),
        (squad({**answer("fox", 4), "id": 3}), ["data[0].paragraphs[0].qas[0]: id is 3, not a text"]),
        (squad(), ["has no questions"]),
        ('{"data": [{"paragraphs": 3}]}', ["data[0].paragraphs is 3, not a list"]),
        ('{"data": ["x"]}', ['data[0] is "x", not an object']),
        ("[]", ["data is missing, not a list: is it SQuAD"]),
        ('{\n"data"', ["line 2: not JSON, at character 7"]),
    ],
)
def test_a_squad_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, parts: list[str]):
    refused(read_squad, written(tmp_path, "a.json", text), *parts)


# ---- where tokens stand ----


@given(LETTERS)
def test_offsets_of_a_lossless_tokenizer_cover_the_text(text: str):
    for tokenizer in (Bytes(), trained("bpe", 300), trained("unigram", 400)):
        (found,) = tokenizer.locate_many([text])
        assert found.ids.tolist() == tokenizer.encode(text) and found.offsets.shape == (len(found.ids), 2)
        covered, end = "", 0
        for piece, (start, stop) in zip(tokenizer.pieces(found.ids.tolist()), found.offsets.tolist(), strict=True):
            assert piece in text[start:stop].encode() and start in (end, end - 1)
            covered, end = covered + text[end:stop], stop
        assert covered == text


@given(LETTERS)
def test_offsets_of_a_lossy_tokenizer_miss_no_letter(text: str):
    for tokenizer in (wordpiece(), sentence_pairs(), trained("word", 0)):
        (found,) = tokenizer.locate_many([text])
        assert found.ids.tolist() == tokenizer.encode(text) and found.offsets.shape == (len(found.ids), 2)
        assert (found.offsets >= 0).all() and (found.offsets <= len(text)).all()
        assert (np.diff(found.offsets, axis=0) >= 0).all()
        covered = {place for start, stop in found.offsets.tolist() for place in range(start, stop)}
        assert {place for place, letter in enumerate(text) if letter.isalnum()} <= covered


def test_a_tokenizer_that_does_not_say_where_its_tokens_stand():
    class Silent(Bytes):
        def __init__(self) -> None:
            super().__init__()
            self._lossless = False

    with pytest.raises(ValueError, match="of the kind 'bytes' does not say where its tokens stand"):
        locate_many(Silent(), ["a"])


# ---- rows of ids ----


@given(st.integers(0, 12), st.integers(0, 12), st.integers(2, 16))
def test_pairs_are_cut_as_the_tokenizers_library_cuts_them(first: int, second: int, room: int):
    reference = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    reference.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    reference.enable_truncation(room, strategy="longest_first")
    ids = reference.encode("a " * first, "b " * second).ids
    assert shares(first, second, room) == (ids.count(0), ids.count(1))


def test_rows_stand_in_the_template_of_their_tokenizer():
    tokenizer, said = wordpiece(), list[str]()
    a, b = tokenizer.encode("the fox"), tokenizer.encode("the lazy dog")
    first, last = tokenizer.special("[CLS]"), tokenizer.end
    labels = Labels(("no", "yes"))
    rows = [Classified(HERE, "the fox", None, "yes"), Classified(HERE, "the fox", "the lazy dog", "no")]
    found = encode_classified(rows, labels, tokenizer, 40, say=said.append)
    assert [row.label for row in found.rows] == [1, 0] and found.cut == 0 and not said
    assert found.rows[0].ids.tolist() == [first, *a, last]
    assert found.rows[1].ids.tolist() == [first, *a, last, *b, last]
    assert found.rows[1].types.tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    cut = encode_classified(rows, labels, tokenizer, 7, say=said.append)
    assert cut.cut == 1 + (len(a) > 5) and max(len(row.ids) for row in cut.rows) == 7
    assert said == [f"{cut.cut} of 2 rows are longer than context=7 tokens and were cut at their ends"]
    with pytest.raises(ValueError, match=rf"made, line 1: {len(a) + len(b)} tokens, and 4 have room in context=7"):
        encode_classified(rows[1:], labels, tokenizer, 7, cut=False)
    with pytest.raises(ValueError, match="context=4 has no room: 3 tokens stand around two texts, give it 5"):
        encode_texts(rows, tokenizer, 4)


def test_a_decoder_reads_text_and_end():
    rows = [Scored(HERE, "ab", None, 0.5), Scored(HERE, "ab", "c", -1.0)]
    found = encode_scored(rows, Bytes(), 9).rows
    assert [(row.ids.tolist(), row.label) for row in found] == [([100, 101, 1], 0.5), ([100, 101, 1, 102, 1], -1.0)]
    assert not found[1].types.any()
    (choice,) = encode_choices([Choice(HERE, "ab", ("c", "d"), 1)], Bytes(), 9)
    assert [row.ids.tolist() for row in choice.choices] == [[100, 101, 1, 102, 1], [100, 101, 1, 103, 1]]
    assert choice.label == 1
    odd = Scored(Where("made", "line 9"), "\ud800", None, 0.0)
    with pytest.raises(ValueError, match="made, line 9: the text has a lone surrogate"):
        encode_scored([*rows, odd], Bytes(), 9)


# ---- tags ----


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(5, 12), st.booleans())
def test_every_word_is_in_one_row_once(texts: list[list[str]], context: int, every_piece: bool):
    sentences = [sentence(*(f"{i}" for i in range(len(words))), words=words) for words in texts]
    labels = Labels(tuple(str(number) for number in range(12)))
    for tokenizer in (wordpiece(), sentence_pairs(), trained("bpe", 300), Bytes()):
        if tokenizer.specials.unknown is None and not tokenizer.lossless:
            continue
        found = encode_tags(sentences, labels, tokenizer, context, every_piece=every_piece)
        assert max(len(row.ids) for row in found.rows) <= context
        assert found.by_word([row.labels for row in found.rows]) == [[*range(len(words))] for words in texts]
        numbered = [(row.sentence, row.word + place) for row in found.rows for place in range(len(row.places))]
        assert numbered == [(s, w) for s, words in enumerate(texts) for w in range(len(words))]
        for row in found.rows:
            asked = np.flatnonzero(row.labels != IGNORED).tolist()
            assert every_piece or asked == row.places.tolist()
            around = 1 if tokenizer.template is None else len(tokenizer.template.one([])[0])
            assert not every_piece or len(asked) == len(row.ids) - around


def test_pieces_after_the_first_are_ignored_or_inside():
    tokenizer = Bytes()
    tagged = [sentence("B-X", "O", words=["ab", "cd"])]
    labels = entity_labels(tagged)
    (row,) = encode_tags(tagged, labels, tokenizer, 20).rows
    assert row.labels.tolist() == [1, IGNORED, 0, IGNORED, IGNORED, IGNORED]  # a b, then " c d", END
    (row,) = encode_tags(tagged, labels, tokenizer, 20, every_piece=True).rows
    assert row.labels.tolist() == [1, 2, 0, 0, 0, IGNORED]
    assert row.places.tolist() == [0, 2]
    (row,) = encode_tags(tagged, None, tokenizer, 20).rows
    assert set(row.labels.tolist()) == {IGNORED}


def test_what_is_divided_cut_and_unknown_is_said():
    said, tokenizer = list[str](), wordpiece()
    words = ["the", "\u200b", "fox", "jumps" + "umps" * 4]
    found = encode_tags([sentence(*"OOOO", words=words)], None, tokenizer, 5, say=said.append)
    assert (found.divided, found.cut, found.unknown) == (1, 1, 1)
    assert [text.partition(" ")[2] for text in said] == [
        "of 1 sentences are longer than context=5 tokens and were divided",
        "words are longer than context=5 tokens: their first pieces were kept",
        "words have no piece of their own: the unknown token stands for each",
    ]
    assert tokenizer.specials.unknown in [number for row in found.rows for number in row.ids.tolist()]
    with pytest.raises(ValueError, match=r"made, line 2: the word '\\xa0' has no token of its own"):
        encode_tags([sentence("O", "O", words=["the", "\u00a0"])], None, trained("word", 0), 9)
    with pytest.raises(ValueError, match="made, line 2: the label 'Q' is not among those"):
        encode_tags([sentence("O", "Q")], Labels(("O", "X")), tokenizer, 9)
    with pytest.raises(ValueError, match="made, line 1: the text has a lone surrogate"):
        encode_tags([sentence("O", words=["\ud800"])], None, tokenizer, 9)
    with pytest.raises(ValueError, match="1 predictions for a row of"):
        found.by_word([[0]] * len(found.rows))


# ---- windows ----


@given(LETTERS.filter(str.strip), st.integers(8, 30), st.integers(1, 9), st.data())
def test_windows_cover_every_token_and_give_answers_back(text: str, context: int, stride: int, data: st.DataObject):
    start = data.draw(st.sampled_from([place for place, letter in enumerate(text) if not letter.isspace()]))
    stop = data.draw(st.integers(start + 1, len(text)))
    wanted = text[start:stop].rstrip()
    question = Question(HERE, "1", "", "who?", text, (Answer(wanted, start),))
    for tokenizer in (wordpiece(), sentence_pairs(), trained("bpe", 300)):
        found = encode_questions([question], tokenizer, context=context, stride=stride, longest=3)
        ((ids, offsets),) = tokenizer.locate_many([text])
        begin = 0
        for window in found.windows:
            inside = slice(window.first, window.first + window.count)
            assert len(window.ids) <= context
            assert window.ids[inside].tolist() == ids[begin : begin + window.count].tolist()
            end, begin = begin + window.count, begin + min(stride, window.count)
        assert end == len(ids)
        pieces = answer_tokens(question.answers[0], trim(text, offsets))
        whole = [window for window in found.windows if window.start != NO_ANSWER]
        assert (found.unseen == (0,)) == (not whole) and found.cut == (len(tokenizer.encode("who?")) > 3)
        for window in whole:
            assert pieces is not None and window.stop - window.start == pieces[1] - pieces[0]
            back, span = window.text(window.start, window.stop), window.span(window.start, window.stop)
            assert span is not None and back == text[slice(*span)] and back == back.strip()
            assert (back == wanted) == (found.inexact == ())
            letters = [place for place in range(start, start + len(wanted)) if text[place].isalnum()]
            assert all(span[0] <= place < span[1] for place in letters)


def test_windows_are_labelled_and_read_back():
    text = "the quick fox jumps (over) the lazy dog"
    questions = [
        Question(HERE, "1", "", "who?", text, (Answer("the lazy dog", 27), Answer("dog", 36))),
        Question(HERE, "2", "", "who?", text, ()),
        Question(HERE, "3", "", "who jumps over the dog?", text, (Answer("dog", 36),)),
    ]
    said, tokenizer = list[str](), trained("word", 0)
    found = encode_questions(questions, tokenizer, context=12, stride=4, longest=4, say=said.append)
    assert said == ["1 of 3 questions are longer than 4 tokens and were cut"]
    assert [window.question for window in found.windows] == sorted(window.question for window in found.windows)
    first = [window for window in found.windows if window.question == 0]
    assert [window.text(window.start, window.stop) for window in first] == ["", "the lazy dog"]
    assert all(window.start == window.stop == NO_ANSWER for window in found.windows if window.question == 1)
    last = first[-1]
    assert last.span(NO_ANSWER, NO_ANSWER) is None
    assert last.text(last.first, last.first + 1) == "(over"
    for start, stop in ((0, 1), (last.first + 1, last.first), (last.first, last.first + last.count)):
        with pytest.raises(ValueError, match=f"places {start} to {stop} are no span of the context, which has "):
            last.span(start, stop)
    with pytest.raises(ValueError, match="made, line 1: the question has 6 tokens, more than longest=4"):
        encode_questions(questions, tokenizer, context=12, stride=4, longest=4, cut=False)
    with pytest.raises(ValueError, match="stride=0 and longest=64 must be 1 or more, and longest less than 382"):
        encode_questions(questions, tokenizer, stride=0)


def test_answers_that_cannot_come_back_are_counted():
    text, said = "Japanese art of the fox", list[str]()
    questions = [
        Question(HERE, str(number), "", "who?", text, (Answer(found, text.index(found)),))
        for number, found in enumerate(("Japan", "art", text))
    ]
    found = encode_questions(questions, trained("word", 0), context=8, stride=3, longest=3, say=said.append)
    assert (found.inexact, found.unseen) == ((0,), (2,))
    assert said == [
        "1 of 3 answers are whole in no window, or have no token: none is learned there",
        "1 of 3 answers cannot come back exactly: their tokens stand for more or less text",
    ]
