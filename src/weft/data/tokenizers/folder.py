"""The files that make a tokenizer in a published folder, and what they become: one tokenizer.json, read or made."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers

from weft.data.tokenizers.form import special_token
from weft.data.tokenizers.older import from_merges, from_pieces, from_words
from weft.data.tokenizers.specials import ADDED, CONFIG, MAP, Said, Specials, read_said
from weft.data.tokenizers.table import FILE
from weft.data.tokenizers.template import Template
from weft.files import DamagedFile, read_json

_MERGES, _WORDS = ("vocab.json", "merges.txt"), "vocab.txt"
_PIECES = ("spiece.model", "*.spm", "tokenizer.model", "spm.model", "sentencepiece.bpe.model")
# Two models and a table of ids, or two: a translation's.
SOURCE, TARGET, TABLE, TARGET_TABLE = "source.spm", "target.spm", "vocab.json", "target_vocab.json"
_BESIDE = (CONFIG, MAP, ADDED, "chat_template.jinja")
# Classes that put bos_token and eos_token around ids as tokenizer_config.json asks, and what they do unasked.
_ASKED = {"LlamaTokenizer": True, "GemmaTokenizer": True, "GPT2Tokenizer": False, "PreTrainedTokenizer": False,
          "TokenizersBackend": False}  # fmt: skip


class Published(NamedTuple):
    """A tokenizer as published. path: the file that errors name. text: a tokenizer.json. model: the library's class of
    its model. template: what is around ids where it is not what the text says, made of the special ids."""

    path: Path
    text: str
    model: type
    said: Said
    template: Callable[[Specials], Template] | None


def tokenizer_files(folder: Path | str) -> tuple[Path, ...]:
    """The files of `folder` that make its tokenizer, the first it is read from, then those that say more about it;
    none where it has no tokenizer."""
    folder = Path(folder)
    own = _own(folder)
    beside = (folder / name for name in _BESIDE if (folder / name).is_file() and folder / name not in own)
    return (*own, *beside) if own else ()


def spells_bytes(folder: Path) -> bool:
    """Whether the tokenizer of `folder` is ByT5's, which has no vocabulary. DamagedFile where it numbers otherwise."""
    said = read_said(folder)
    if said.config.get("tokenizer_class") != "ByT5Tokenizer":
        return False
    known = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"<extra_id_{n}>": 259 + n for n in range(125)}
    named = {token["content"]: token["id"] for token in said.added}
    names = {*named, *(token for token, _ in said.roles.values() if token), *said.more}
    if strange := [name for name in sorted(names) if name not in known or named.get(name, known[name]) != known[name]]:
        raise DamagedFile(f"{folder / CONFIG} has the token {strange[0]!r}, which is none of ByT5's, or not its id")
    return True


def read_published(folder: Path) -> Published:
    """What the files of `folder` become; DamagedFile where they cannot be vouched for. Without any it is
    tokenizer.json that is missing."""
    said = read_said(folder)
    path, *others = _own(folder) or (folder / FILE,)
    if path.name == FILE:
        data, text = read_json(path), path.read_text("utf-8")
    elif path.name == _MERGES[0]:
        data, text = from_merges(path, others[0], said), None
    elif path.name == _WORDS:
        data, text = from_words(path, said), None
    else:
        data, text = from_pieces(path, said), None
    text = text or _text(data)
    model = _model(text, path)
    try:
        added = _complete(data, said)
    except ValueError as error:
        raise DamagedFile(f"{path}: {error}") from error
    if added != (data.get("added_tokens") or []):
        text = _text(data | {"added_tokens": added})
        model = _model(text, path)
    return Published(path, text, model, said, _asked(said))


def _model(text: str, path: Path) -> type:
    """The library's class of the model in a tokenizer.json; DamagedFile where that is not of the library's form."""
    try:
        return type(tokenizers.Tokenizer.from_str(text).model)
    except BaseException as error:  # the library raises bare Exception; where it panics, what is not even that
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DamagedFile(f"{path}: the tokenizers library cannot read it: {error}") from error


def is_translation(folder: Path) -> bool:
    """Whether a folder holds the tokenizer of a translation model."""
    return all((folder / name).is_file() for name in (SOURCE, TARGET, TABLE))


def _own(folder: Path) -> tuple[Path, ...]:
    """The files of the first form that is there; DamagedFile where they are of two vocabularies."""
    if (folder / FILE).is_file():
        return (folder / FILE,)
    if is_translation(folder):
        more = (folder / TARGET_TABLE,) if (folder / TARGET_TABLE).is_file() else ()
        return (*(folder / name for name in (TABLE, SOURCE, TARGET)), *more)
    if all((folder / name).is_file() for name in _MERGES):
        return tuple(folder / name for name in _MERGES)
    if (folder / _WORDS).is_file():
        return (folder / _WORDS,)
    found = [path for pattern in _PIECES for path in sorted(folder.glob(pattern)) if path.is_file()]
    if not found and spells_bytes(folder):
        return (folder / CONFIG,)
    if len(found) > 1:
        raise DamagedFile(f"{folder} has {' and '.join(path.name for path in found)}: of which one are the ids?")
    return tuple(found)


def _complete(data: dict[str, Any], said: Said) -> list[dict[str, Any]]:
    """The added tokens with those that the files beside the vocabulary add; what plays a part is special."""
    given = data.get("added_tokens") or []
    found = {token["content"]: token for token in given}
    for token in said.added:
        other = found.setdefault(token["content"], token)
        if other["id"] != token["id"]:
            raise ValueError(f"the token {token['content']!r} has two ids, {other['id']} and {token['id']}")
    vocabulary = data["model"]["vocab"]
    numbers = vocabulary if isinstance(vocabulary, dict) else {token[0]: n for n, token in enumerate(vocabulary)}
    named = [token for token, _ in said.roles.values() if token]
    for name in (*named, *said.more):
        if name in found and not found[name]["special"]:
            found[name] = found[name] | {"special": True}
        elif name not in found and name in numbers:
            found[name] = special_token(name, numbers[name])
        elif name not in found and name in said.more:
            raise ValueError(f"{CONFIG} names the special token {name!r}, and no file says which id it has")
    changed = [*found.values()]
    return given if changed == given else sorted(changed, key=lambda token: token["id"])


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)


def _asked(said: Said) -> Callable[[Specials], Template] | None:
    """What add_bos_token and add_eos_token make of the template, where the class honours them and they are said."""
    name = str(said.config.get("tokenizer_class", "")).removesuffix("Fast")
    keys = {"add_bos_token": _ASKED.get(name, False), "add_eos_token": False}
    if name not in _ASKED or not any(key in said.config for key in keys):
        return None
    begin, end = (bool(said.config.get(key, unasked)) for key, unasked in keys.items())

    return lambda special: Template.around(special.begin if begin else None, special.end if end else None)
