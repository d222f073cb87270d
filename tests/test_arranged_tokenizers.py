"""Tokenizers that a class of the reference arranges of SentencePiece's models; those of GPT-1, DeBERTa and Marian."""

import io
import json
import re
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scripts import thousand
from test_published_tokenizers import LETTER, TEXT, check_text, skipping, splitting, write

from weft.data import LibraryTokenizer, PieceTable, Translation, WordPairs, encode_many, load_tokenizer
from weft.files import DamagedFile
from weft.hub import Model
from weft.hub.translation import translate
from weft.models import Blueprint

FAIRSEQ = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
NAMED = dict(pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")
SIZES: dict[str, dict[str, Any]] = {
    "XLMRobertaTokenizer": FAIRSEQ,
    "MBartTokenizer": FAIRSEQ,
    "MBart50Tokenizer": FAIRSEQ,
    "PegasusTokenizer": dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    "DebertaV2Tokenizer": dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, **NAMED),
    "AlbertTokenizer": dict(
        pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        user_defined_symbols=["(", ")", "£"],
    ),
    "SiglipTokenizer": dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
}  # fmt: skip
FILES = {
    "XLMRobertaTokenizer": "sentencepiece__bpe__model",
    "MBartTokenizer": "sentencepiece__bpe__model",
    "MBart50Tokenizer": "sentencepiece__bpe__model",
    "PegasusTokenizer": "spiece__model",
    "DebertaV2Tokenizer": "spm__model",
    "AlbertTokenizer": "spiece__model",
    "SiglipTokenizer": "spiece__model",
}
MORE = ("the (cat) sat, £5 of it", "Room 9, please", "“quoted” ``text'' and   spaces")
# Where a class puts the model's pieces: the first of its own ids, and how far a piece is moved.
MOVED = {
    "XLMRobertaTokenizer": 1, "MBartTokenizer": 1, "MBart50Tokenizer": 1, "PegasusTokenizer": 103,
    "DebertaV2Tokenizer": 0,
}  # fmt: skip


@cache
def trained(kind: str) -> bytes:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines, out = [line for line in thousand() if "\0" not in line][-100:], io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines, *TEXT, *MORE * 9]), model_writer=out, minloglevel=2, character_coverage=0.98,
        vocab_size=1200, hard_vocab_limit=False, model_type="unigram", **SIZES[kind],
    )  # fmt: skip
    return out.getvalue()


def folder_of(kind: str, path: Path, **said: Any) -> Path:
    return write(path, **{FILES[kind]: trained(kind), "tokenizer_config__json": {"tokenizer_class": kind, **said}})


def ties(ours: list[int], theirs: list[int]) -> bool:
    """Equal, or the same pieces in another order: equally likely, and SentencePiece computes in fp32."""
    return ours == theirs or sorted(ours) == sorted(theirs)


def agree(ours: PieceTable, theirs: Callable[[str], list[int]], lines: list[str]) -> None:
    found = [ids.tolist() for ids in encode_many(ours, lines)]
    wrong = [(line, ids, theirs(line)) for line, ids in zip(lines, found, strict=True) if not ties(ids, theirs(line))]
    assert not wrong, f"{len(wrong)} of {len(lines)} lines: {wrong[:2]}"
    for ids in found:
        check_text(ours, ids)


@pytest.mark.parametrize("kind", MOVED)
def test_ids_are_sentencepieces_moved(kind: str, tmp_path: Path) -> None:
    ours = load_tokenizer(folder_of(kind, tmp_path))
    pieces = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=trained(kind))
    assert isinstance(ours, LibraryTokenizer)
    unknown = ours.specials.unknown

    def theirs(line: str) -> list[int]:
        return [unknown if number == pieces.unk_id() else number + MOVED[kind] for number in pieces.encode(line)]

    agree(ours, theirs, [line for line in thousand() if line] + [*TEXT, *MORE])


@pytest.mark.parametrize("kind", SIZES)
def test_what_stands_around_and_behind_is_the_references(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    said = {"src_lang": "de_DE"} if "MBart" in kind else {}
    folder = folder_of(kind, tmp_path, **said)
    ours, theirs = load_tokenizer(folder), getattr(transformers, kind).from_pretrained(folder)
    assert isinstance(ours, LibraryTokenizer) and ours.template is not None
    assert ours.vocab == len(theirs) and ours.end == theirs.eos_token_id
    assert kind == "PegasusTokenizer" or ours.mask == theirs.mask_token_id
    first, second = ours.encode("the cat"), ours.encode("sat on the mat")
    assert ours.template.one(first)[0] == theirs("the cat").input_ids
    assert ours.template.two(first, second)[0] == theirs("the cat", "sat on the mat").input_ids
    for line in ("hello world", "this is a test", "the cat sat on the mat"):
        assert ours.encode(line) == splitting(theirs)(line)
        assert ours.decode(ours.encode(line)) == skipping(theirs)(ours.encode(line)) == line
    ours.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert (again.vocab, again.encode(MORE[0]), again.end) == (ours.vocab, ours.encode(MORE[0]), ours.end)


def test_mbart50s_languages_have_the_references_ids(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for language in ("ar_AR", "zh_CN", "af_ZA", "sl_SI"):
        folder = folder_of("MBart50Tokenizer", tmp_path / language, src_lang=language)
        ours, theirs = load_tokenizer(folder), transformers.MBart50Tokenizer.from_pretrained(folder)
        assert isinstance(ours, LibraryTokenizer) and ours.template is not None
        assert ours.template.one([9])[0] == [theirs.convert_tokens_to_ids(language), 9, theirs.eos_token_id]


def test_albert_takes_digits_and_commas_apart_and_keeps_symbols_whole(tmp_path: Path) -> None:
    """The authors' code splits "9," again; what is defined by hand is a piece of its own wherever it stands."""
    ours = load_tokenizer(folder_of("AlbertTokenizer", tmp_path))
    pieces = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=trained("AlbertTokenizer"))
    comma, bracket, pound = (pieces.piece_to_id(piece) for piece in (",", "(", "£"))
    assert comma in ours.encode("Room 9, please") and pieces.piece_to_id("9,") not in ours.encode("Room 9, please")
    assert [ours.encode("the (cat) sat, £5 of it").count(number) for number in (bracket, pound)] == [1, 1]
    assert ours.encode("Café ``X''") == ours.encode('cafe "x"')
    kept = load_tokenizer(folder_of("AlbertTokenizer", tmp_path / "kept", keep_accents=True, do_lower_case=False))
    assert kept.encode("Café") != ours.encode("Café")


def canonical(text: str) -> str:
    """As SigLIP's authors prepare texts."""
    return re.sub(r"\s+", " ", text.lower().translate(str.maketrans("", "", string.punctuation))).strip()


def test_siglip_reads_words_alone(tmp_path: Path) -> None:
    """The reference puts an empty word before a text that begins with what is taken away; SentencePiece does not."""
    transformers = pytest.importorskip("transformers")
    folder = folder_of("SiglipTokenizer", tmp_path)
    ours, theirs = load_tokenizer(folder), transformers.SiglipTokenizer.from_pretrained(folder)
    pieces = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=trained("SiglipTokenizer"))
    assert isinstance(ours, LibraryTokenizer) and ours.template is not None
    lines = [line for line in thousand() if line and "</s>" not in line] + [*TEXT, *MORE]
    plain = [line for line in lines if not set(line.lower()) & set("ςσ")]  # of which the last of a word is another
    agree(ours, lambda line: pieces.encode(canonical(line)), plain)
    words = [line for line in plain if line[0].isalnum() and not set(line) & set("<▁")]
    agree(ours, lambda line: theirs(line, add_special_tokens=False).input_ids, words)
    assert ours.encode("  The CAT, sat! ") == ours.encode("the cat sat") == pieces.encode("the cat sat")
    assert ours.template.one(ours.encode("the cat"))[0] == theirs("the cat").input_ids
    kept = load_tokenizer(folder_of("SiglipTokenizer", tmp_path / "kept", do_lower_case=False))
    assert kept.encode("Cat") != ours.encode("Cat")


@pytest.mark.parametrize(
    ("kind", "said", "message"),
    [
        ("MBart50Tokenizer", {"src_lang": "xx_XX"}, "'xx_XX' stands around texts, and is no token"),
        ("MBartTokenizer", {"src_lang": "xx_XX"}, "'xx_XX' stands around texts, and is no token"),
        ("DebertaV2Tokenizer", {"split_by_punct": True}, "split_by_punct, which is not known"),
    ],
)
def test_what_a_class_does_not_do_here_is_refused(
    kind: str, said: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DamagedFile, match=message):
        load_tokenizer(folder_of(kind, tmp_path, **said))


# ---- Marian ----


@pytest.fixture
def marian(tmp_path: Path) -> Path:
    """Two models, and a table that numbers their pieces anew, lacks some and has a language of its own."""
    sentencepiece = pytest.importorskip("sentencepiece")
    models = [trained("XLMRobertaTokenizer"), trained("PegasusTokenizer")]
    readers = [sentencepiece.SentencePieceProcessor(model_proto=model) for model in models]
    pieces = {reader.id_to_piece(n): None for reader in readers for n in range(reader.piece_size() - 30)}
    names = ["</s>", "<unk>", *sorted(pieces.keys() - {"</s>", "<unk>", "<s>", "<pad>"}), ">>fra<<", "<pad>"]
    said = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "fr"}
    return write(
        tmp_path, source__spm=models[0], target__spm=models[1], tokenizer_config__json=said,
        vocab__json={name: number for number, name in enumerate(names)},
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Recommended")  # to install what it does without
def test_marians_pair_gives_the_references_ids(marian: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours = load_tokenizer(marian)
    assert isinstance(ours, Translation) and ours.template is not None
    theirs = transformers.MarianTokenizer.from_pretrained(marian)
    lines = [line for line in thousand() if line and "</s>" not in line] + [*TEXT, *MORE, ">>fra<< the cat"]
    agree(ours, lambda line: theirs.encode(line, add_special_tokens=False), lines)
    agree(ours.target, lambda line: theirs(text_target=line, add_special_tokens=False).input_ids, lines)
    ids = ours.template.one(ours.encode(">>fra<< the cat"))[0]
    assert ids == theirs(">>fra<< the cat").input_ids and ours.vocab == len(theirs)
    for line in (*TEXT, *MORE):
        known = [number for number in ours.encode(line) if number != ours.specials.unknown]
        assert ours.decode(known) == theirs.decode(known)
    ours.save(marian / "again")
    assert load_tokenizer(marian / "again").encode("the cat") == ours.encode("the cat")


def test_marians_languages_can_be_asked_for(marian: Path) -> None:
    tokenizer = load_tokenizer(marian)
    blueprint = Blueprint.of("transformer", "debug", vocab=tokenizer.vocab)
    model = Model(blueprint.build(seed=0), blueprint, tokenizer)
    asked = translate(model, ["the cat"], to="fra", tokens=4)
    assert asked == translate(model, [">>fra<< the cat"], tokens=4)
    with pytest.raises(ValueError, match="was not trained to write 'deu': it knows fra"):
        translate(model, ["the cat"], to="deu")


@pytest.mark.parametrize(
    ("table", "message"),
    [({"a": 0}, "lacks </s>"), ({"</s>": 0, "<unk>": 0}, "one id to two"), ([], "no object")],
)
def test_a_table_that_cannot_number_is_refused(table: Any, message: str, marian: Path) -> None:
    (marian / "vocab.json").write_text(json.dumps(table))
    with pytest.raises(DamagedFile, match=message):
        load_tokenizer(marian)


# ---- merges ----


def merged(texts: tuple[str, ...], **how: Any) -> tuple[dict[str, int], str]:
    """A vocabulary and merges that the library learned of words."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", **how))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>"], show_progress=False, end_of_word_suffix=how["end_of_word_suffix"]
    )
    tokenizer.train_from_iterator(texts, trainer)
    data = json.loads(tokenizer.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in data["merges"]]
    return data["vocab"], "#version: 0.2\n" + "\n".join(merges) + "\n"


def test_gpt1s_words_are_the_references(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vocabulary, merges = merged(TEXT, end_of_word_suffix="</w>")
    said = {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": "<unk>"}
    folder = write(tmp_path, vocab__json=vocabulary, merges__txt=merges, tokenizer_config__json=said)
    ours, theirs = load_tokenizer(folder), transformers.OpenAIGPTTokenizer.from_pretrained(folder)
    assert isinstance(ours, WordPairs) and ours.template is None
    agree(ours, splitting(theirs), [line for line in thousand() if line and "<unk>" not in line] + [*TEXT, *MORE])
    assert ours.decode(ours.encode("The cat sat on the mat")) == "the cat sat on the mat"


def test_debertas_merges_are_the_references(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    names = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", *LETTER.values(), "[MASK]"]
    vocabulary = {name: number for number, name in enumerate(names)}
    said = {"tokenizer_class": "DebertaTokenizer"}
    folder = write(tmp_path, vocab__json=vocabulary, merges__txt="#version: 0.2\n", tokenizer_config__json=said)
    ours, theirs = load_tokenizer(folder), transformers.DebertaTokenizer.from_pretrained(folder)
    assert isinstance(ours, LibraryTokenizer) and ours.template is not None
    lines = [line for line in thousand() if line and "[" not in line]
    agree(ours, splitting(theirs), lines)
    cat = ours.encode("cat")
    assert ours.template.one(cat)[0] == theirs("cat").input_ids and ours.mask == theirs.mask_token_id
    # between two texts one [SEP], and the second's types are 1, as the authors have it; version 5 of theirs has two
    assert ours.template.two(cat, cat) == ([0, *cat, 2, *cat, 2], [0] * 5 + [1] * 4)
