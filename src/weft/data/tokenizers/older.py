"""Vocabularies as they were published before tokenizer.json, each made into one: vocab.json with merges.txt (GPT-2, its
kin, CLIP), vocab.txt (BERT) and SentencePiece's files (T5, LLaMA)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.data.tokenizers.arranged import ARRANGED, arrange
from weft.data.tokenizers.form import library_form, special_token
from weft.data.tokenizers.specials import Said, role_names
from weft.data.tokenizers.spm import read_spm, translated
from weft.data.tokenizers.table import MOST_IDS
from weft.data.tokenizers.template import Part, Template, write_template
from weft.files import DamagedFile, read_json

SUFFIX = "</w>"
# How CLIP cuts text, and what it does to it before.
_CLIP_CUT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_CLIP_NORMAL = (
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
    {"type": "Lowercase"},
)
_NORMAL = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
_SUFFIX_DECODER = {"type": "BPEDecoder", "suffix": SUFFIX}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
# Text becomes ids as GPT-2's does.
_MERGED = ("GPT2Tokenizer", "WhisperTokenizer", "RobertaTokenizer", "BartTokenizer", "DebertaTokenizer")
_HEARD = "WhisperTokenizer"  # of what is heard: what to write of it stands before a text
_SUFFIXED = ("CLIPTokenizer", "OpenAIGPTTokenizer")  # words end in SUFFIX
_WORDS = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")  # all the same
_SENTINELS = ("T5Tokenizer", "MT5Tokenizer")  # with ids for what is left out of a text
_WORD_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_EXTRA = 100  # T5's sentinels, where no file says how many


def from_merges(vocabulary: Path, merges: Path, said: Said) -> dict[str, Any]:
    """A BPE of bytes, or of words: each token's id, and the pairs that are merged, in order. DamagedFile."""
    ids = _numbers(read_json(vocabulary), vocabulary)
    words = any(token.endswith(SUFFIX) for token in ids)
    name = _class(said, "CLIPTokenizer" if words else "GPT2Tokenizer")
    if name not in (_SUFFIXED if words else _MERGED):
        raise _unknown(vocabulary, name, (*_MERGED, *_SUFFIXED))
    pairs = [line.split(" ") for line in _lines(merges) if line and not line.startswith("#version")]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise DamagedFile(f"{merges}: {' '.join(wrong)[:100]!r} is no pair of tokens")
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>" if name == "OpenAIGPTTokenizer" else None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": SUFFIX if words else "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": ids,
        "merges": pairs,
    }
    usual = ("<|startoftext|>", "<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>", *_WORD_PIECES)
    normal, cut, decoder = _merged_cut(name, said)
    data = library_form(model, normalizer=normal, cut=cut, decoder=decoder, special=_special(ids, said, usual))
    around = _heard(said, vocabulary) if name == _HEARD else _merged_around(name, ids, _parts(data, said))
    return data | {"post_processor": around}


def _merged_cut(name: str, said: Said) -> tuple[dict[str, Any] | None, dict[str, Any], dict[str, Any]]:
    """How text of the class `name` is normalised and cut, and what spells its tokens."""
    decoder = {**_BYTES, "add_prefix_space": True}
    if name == "OpenAIGPTTokenizer":
        return {**_NORMAL, "lowercase": True}, {"type": "BertPreTokenizer"}, _SUFFIX_DECODER
    if name == "CLIPTokenizer":
        split = {"type": "Split", "pattern": {"Regex": _CLIP_CUT}, "behavior": "Removed", "invert": True}
        cut = {"type": "Sequence", "pretokenizers": [split, dict(_BYTES)]}
        return {"type": "Sequence", "normalizers": [*_CLIP_NORMAL]}, cut, decoder
    return None, {**_BYTES, "add_prefix_space": bool(said.config.get("add_prefix_space", False))}, decoder


def _merged_around(name: str, ids: Mapping[str, int], parts: Mapping[str, tuple[str, int]]) -> dict[str, Any] | None:
    """What the class `name` puts around ids; None for nothing."""
    if name == "GPT2Tokenizer":
        return dict(_BYTES)
    if name == "DebertaTokenizer" and {"classifier", "separator"} <= parts.keys():
        return _around("BertProcessing", parts["classifier"], parts["separator"])
    if name == "CLIPTokenizer" and {"begin", "end"} <= parts.keys():
        return _around("RobertaProcessing", parts["begin"], parts["end"])
    if name in ("RobertaTokenizer", "BartTokenizer") and {"<s>", "</s>"} <= ids.keys():
        first, last = ((token, ids[token]) for token in ("<s>", "</s>"))
        return _around("RobertaProcessing", parts.get("classifier", first), parts.get("separator", last))
    return None


def _heard(said: Said, path: Path) -> dict[str, Any] | None:
    """What stands around a text that was heard: what tokenizer_config.json asks for, by a language's code; nothing
    where the tokens for it are not there. DamagedFile for a language or a task without one."""
    ids = {token["content"]: token["id"] for token in said.added}
    end = said.roles.get("eos_token", ("<|endoftext|>", path))[0]
    if end not in ids or "<|startoftranscript|>" not in ids:
        return None
    asked = [said.config.get(key) for key in ("language", "task")]
    for key, word in zip(("language", "task"), asked, strict=True):
        known = key == "language" or word in ("transcribe", "translate")
        if word is not None and not (known and f"<|{word}|>" in ids):
            raise DamagedFile(f"{path}: tokenizer_config.json says that the {key} is {word!r}, and no token is for it")
    untimed = [] if said.config.get("predict_timestamps") else ["<|notimestamps|>"]
    names = ["<|startoftranscript|>", *(f"<|{word}|>" for word in asked if word is not None), *untimed]
    before, after = Part(tuple(ids[name] for name in names)), Part((ids[str(end)],))
    template = Template((before, Part("A"), after), (before, Part("A"), Part("B", 1), after._replace(type=1)))
    return write_template(template, {number: name for name, number in ids.items()})


def from_words(vocabulary: Path, said: Said) -> dict[str, Any]:
    """BERT's WordPiece: a token a line, its id the number of the line. DamagedFile."""
    name = _class(said, "BertTokenizer")
    if name not in _WORDS:
        raise _unknown(vocabulary, name, _WORDS)
    told = said.config
    if told.get("never_split") or not told.get("do_basic_tokenize", True):
        raise DamagedFile(
            f"{vocabulary}: tokenizer_config.json has never_split {told.get('never_split')} and do_basic_tokenize "
            f"{told.get('do_basic_tokenize')}: words that are never split, or text that is not cut, are not known here"
        )
    ids = {token: number for number, token in enumerate(_lines(vocabulary))}
    unknown = said.roles.get("unk_token", ("[UNK]", vocabulary))[0]
    model = {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": ids,
    }
    normal = {
        **_NORMAL,
        "handle_chinese_chars": bool(told.get("tokenize_chinese_chars", True)),
        "strip_accents": told.get("strip_accents"),
        "lowercase": bool(told.get("do_lower_case", True)),
    }
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    cut, special = {"type": "BertPreTokenizer"}, _special(ids, said, _WORD_PIECES)
    data = library_form(model, normalizer=normal, cut=cut, decoder=decoder, special=special)
    parts = _parts(data, said)
    if {"classifier", "separator"} <= parts.keys():
        data["post_processor"] = _around("BertProcessing", parts["classifier"], parts["separator"])
    return data


def from_pieces(path: Path, said: Said) -> dict[str, Any]:
    """SentencePiece's model: unigram, as T5's, or BPE, as LLaMA's; or as another class arranges it. DamagedFile."""
    model = read_spm(path)
    fits = not model.pairs and [piece.name for piece in model.pieces[:3]] == ["<pad>", "</s>", "<unk>"]
    usual = "LlamaTokenizer" if model.pairs else "T5Tokenizer" if fits else ""
    name = _class(said, usual)
    if name in ARRANGED:
        try:
            return arrange(model, ARRANGED[name], said)
        except ValueError as error:
            raise DamagedFile(f"{path}: {error}") from error
    if name not in ("LlamaTokenizer", *_SENTINELS, usual):
        raise _unknown(path, name, ("LlamaTokenizer", *_SENTINELS, *ARRANGED))
    data = translated(model)
    if name in _SENTINELS:
        count, first = said.config.get("extra_ids", _EXTRA), len(model.pieces)
        if type(count) is not int or not 0 <= count <= MOST_IDS - first:
            raise DamagedFile(f"{path}: tokenizer_config.json says extra_ids {count}, beside {first} pieces")
        sentinels = [f"<extra_id_{number}>" for number in reversed(range(count))]
        data["model"]["vocab"] += [[sentinel, 0.0] for sentinel in sentinels]
        data["added_tokens"] += [special_token(sentinel, first + place) for place, sentinel in enumerate(sentinels)]
    parts = _parts(data, said)
    ids = {part: token[1] for part, token in parts.items()}
    names = {number: token for token, number in parts.values()}
    if name == "LlamaTokenizer":
        data["post_processor"] = write_template(Template.around(ids.get("begin"), None), names)
    elif name in _SENTINELS:
        data["post_processor"] = write_template(Template.around(None, ids.get("end")).untyped(), names)
    return data


def _around(kind: str, begin: tuple[str, int], end: tuple[str, int]) -> dict[str, Any]:
    more = {"trim_offsets": False, "add_prefix_space": False} if kind == "RobertaProcessing" else {}
    return {"type": kind, "sep": [*end], "cls": [*begin], **more}


def _special(ids: Mapping[str, int], said: Said, usual: tuple[str, ...]) -> list[dict[str, Any]]:
    """The special tokens of a vocabulary: those that files name, and of the usual ones those that are there."""
    named = [token for token, _ in said.roles.values() if token] + [*usual]
    found = {token: ids[token] for token in named if token in ids}
    return [special_token(token, number) for token, number in sorted(found.items(), key=lambda item: item[1])]


def _parts(data: dict[str, Any], said: Said) -> dict[str, tuple[str, int]]:
    """Part -> the special token that plays it, and its id."""
    special = {token["content"]: token["id"] for token in (*data["added_tokens"], *said.added)}
    return {part: (name, special[name]) for part, name in role_names(said, special).items()}


def _class(said: Said, usual: str) -> str:
    return str(said.config.get("tokenizer_class") or usual).removesuffix("Fast")


def _unknown(path: Path, name: str, known: tuple[str, ...]) -> DamagedFile:
    return DamagedFile(
        f"{path}: tokenizer_config.json says that its class is {name}, and what that makes of these files is not known "
        f"here; known are {', '.join(known)}: save it with a tokenizer.json"
    )


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path} is not UTF-8, at byte {error.start}") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _numbers(told: Any, path: Path) -> dict[str, int]:
    if not isinstance(told, dict) or not told or not all(type(number) is int for number in told.values()):
        raise DamagedFile(f"{path} holds no object of ids by token")
    return told
