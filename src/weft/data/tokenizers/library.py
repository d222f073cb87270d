"""What the tokenizers library runs: its tokenizer.json read, checked, and run so that no text becomes a special id."""

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import tokenizers
from tokenizers import models

from weft.data.tokenizers.table import FILE, MOST_IDS, PieceTable, utf8
from weft.files import DamagedFile, read_json, write_bytes

END = "<|end|>"  # what ends a text in a byte-level BPE of ours
_MASKS = ("[MASK]", "<mask>")  # special tokens that stand for a hidden one; the first that is there
_KINDS = {models.BPE: "bpe", models.WordPiece: "wordpiece", models.Unigram: "unigram"}
# Special tokens that end a text, where no file beside tokenizer.json says which does; the first that is there.
_ENDS = (END, "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[SEP]", "<|im_end|>")
# Before a special's name this makes a text that no cutting into words leaves whole: letter, space, letter.
_UNSPELLABLE = "x "

# A single line break between two characters that are no space is a word of its own, or none, to the ways of cutting
# that are `cuttable`: text may be cut after it without changing any id. One long text is then encoded on all cores, and
# in bounded memory.
_CUT = re.compile(r"(?<=\S\n)(?=\S)")
_CHUNK = 1 << 16  # characters


def kind_of(path: Path) -> str:
    """The kind of tokenizer in a tokenizer.json of the library's; DamagedFile where it is none that we run."""
    try:
        model = tokenizers.Tokenizer.from_str(path.read_text("utf-8")).model
    except Exception as error:  # the library raises bare Exception
        raise DamagedFile(f"{path}: the tokenizers library cannot read it: {error}") from error
    if type(model) not in _KINDS:
        known = ", ".join(kind.__name__ for kind in _KINDS)
        raise DamagedFile(f"{path}: its model is a {type(model).__name__}; those that can be read are {known}")
    return _KINDS[type(model)]


class Form(NamedTuple):
    """What follows from the form of a tokenizer.json.

    cuttable: no id changes where a text is cut at _CUT. strip: see PieceTable. unknown: the id of what it does not
    know, and the bytes that it is decoded to.
    """

    lossless: bool
    cuttable: bool
    strip: bool = False
    unknown: tuple[int, bytes] | None = None


class LibraryTokenizer(PieceTable):
    """A tokenizer in the library's format. A subclass says which are its own, and what their tokens stand for."""

    def __init__(self, text: str, end: str) -> None:
        """`text`: a whole tokenizer.json; `end`: its special token that ends a text. ValueError where it is not of this
        kind, or cannot be vouched for."""
        data: dict[str, Any] = json.loads(text)
        self._text = text
        added = data.get("added_tokens") or []
        special = {token["content"]: token["id"] for token in added if token["special"]}
        if end not in special:
            raise ValueError(f"there is no special token {end!r} to end a text; special are {', '.join(special)}")
        self._mask = next((special[token] for token in _MASKS if token in special), None)
        words = {token["content"]: token["id"] for token in added if not token["special"]}
        swallow = [token["content"] for token in added if not token["special"] and (token["lstrip"] or token["rstrip"])]
        form = self._check(data)
        self._cuttable = form.cuttable and not words
        self._tokenizer = _library(data)
        table = _table(self._spell(data), words, special)
        if form.unknown:
            number, piece = form.unknown
            table[number] = piece
        super().__init__(table, special[end], lossless=form.lossless and not swallow, strip=form.strip)

    @abstractmethod
    def _check(self, data: dict[str, Any]) -> Form:
        """What the form of a tokenizer.json means; ValueError where this class cannot run it."""

    @abstractmethod
    def _spell(self, data: dict[str, Any]) -> Iterable[tuple[str, int, bytes | None]]:
        """Every token of the model's vocabulary: its name, its id and its bytes; None where it stands for none."""

    @property
    def mask(self) -> int | None:
        """The id of its special token [MASK] or <mask>; None where it has neither."""
        return self._mask

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer in `folder`, in the library's format; DamagedFile where it cannot be vouched for.

        Its end is the eos_token, else the sep_token, that tokenizer_config.json or special_tokens_map.json names, else
        a special token that by convention ends texts.
        """
        path = folder / FILE
        try:
            text = path.read_text("utf-8")
            tokenizers.Tokenizer.from_str(text)  # from here on the file has the library's form
            return cls(text, _find_end(folder, json.loads(text)))
        except (OSError, DamagedFile):
            raise  # it names its file itself
        except Exception as error:  # the library raises bare Exception
            raise DamagedFile(f"{path}: {error}") from error

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in the library's own format; a file that was read is written as it was."""
        write_bytes(folder / FILE, self._text.encode())

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length], on all cores. ValueError for a lone surrogate, which has no bytes."""
        found: list[list[np.ndarray]] = [[] for _ in texts]
        batch: list[str] = []
        owners: list[int] = []
        waiting = 0
        for owner, text in enumerate(texts):
            utf8(text)
            for chunk in _chunks(text) if self._cuttable else (text,):
                batch.append(chunk)
                owners.append(owner)
                waiting += len(chunk)
                if waiting > 64 * _CHUNK:
                    self._encode_batch(batch, owners, found)
                    batch, owners, waiting = [], [], 0
        self._encode_batch(batch, owners, found)
        return [np.concatenate(parts) if parts else np.zeros(0, np.int32) for parts in found]

    def _encode_batch(self, batch: list[str], owners: list[int], found: list[list[np.ndarray]]) -> None:
        encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        for owner, encoding in zip(owners, encodings, strict=True):
            found[owner].append(np.asarray(encoding.ids, np.int32))


def _library(data: dict[str, Any]) -> tokenizers.Tokenizer:
    """The library's tokenizer for the ids of plain text: nothing is cut short, padded, added or drawn at random, and
    specials have names that no text spells. `encode_special_tokens` alone would not do: a Unigram model finds "</s>" in
    text by its own vocabulary."""
    added = data.get("added_tokens") or []
    special = {token["content"] for token in added if token["special"]}

    def name(token: str) -> str:
        return f"{_UNSPELLABLE}{token}" if token in special else token

    model = dict(data["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {name(token): number for token, number in model["vocab"].items()}
    else:
        model["vocab"] = [[name(token), score] for token, score in model["vocab"]]
    if model.get("unk_token") is not None:
        model["unk_token"] = name(model["unk_token"])
    if model.get("dropout") is not None:
        model["dropout"] = None
    plain = {**data, "model": model, "truncation": None, "padding": None, "post_processor": None}
    plain["added_tokens"] = [{**token, "content": name(token["content"])} for token in added]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(plain))
    tokenizer.encode_special_tokens = True
    for token in added:
        given = tokenizer.token_to_id(name(token["content"]))
        if given != token["id"]:
            raise ValueError(
                f"the token {token['content']!r} says its id is {token['id']}, the library makes it {given}"
            )
    return tokenizer


def _table(
    spelt: Iterable[tuple[str, int, bytes | None]], words: dict[str, int], special: dict[str, int]
) -> list[bytes]:
    """The bytes of each id; ValueError where two tokens share one, or a number is out of all proportion."""
    names: dict[int, str] = {}
    found: dict[int, bytes] = {}
    for token, number, piece in spelt:
        if number in names:
            raise ValueError(f"the tokens {names[number]!r} and {token!r} share the id {number}")
        names[number] = token
        if piece is None and token not in special and token not in words:
            raise ValueError(f"the token {token!r}, id {number}, has characters that stand for no byte")
        found[number] = piece or b""
    for token, number in (*words.items(), *special.items()):
        if names.setdefault(number, token) != token:
            raise ValueError(f"the tokens {names[number]!r} and {token!r} share the id {number}")
        found[number] = b"" if token in special else utf8(token)
    if not 0 <= min(found) <= max(found) < MOST_IDS:
        raise ValueError(f"the ids go from {min(found)} to {max(found)}: 0 to {MOST_IDS - 1} are possible")
    return [found.get(number, b"") for number in range(max(found) + 1)]


def _find_end(folder: Path, data: dict[str, Any]) -> str:
    special = [token["content"] for token in data.get("added_tokens") or [] if token["special"]]
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        told = read_json(folder / file) if (folder / file).is_file() else {}
        if not isinstance(told, dict):
            raise DamagedFile(f"{folder / file} holds a {type(told).__name__}, not an object of tokens by role")
        for role in ("eos_token", "sep_token"):
            token = told.get(role)
            token = token.get("content") if isinstance(token, dict) else token
            if token and token not in special:
                raise DamagedFile(
                    f"{folder / file} says that {token!r} is the {role}, and {FILE} has no special token of that name"
                )
            if token:
                return token
    for token in _ENDS:
        if token in special:
            return token
    raise ValueError(
        f"no special token ends a text: neither tokenizer_config.json names one, nor is there {', '.join(_ENDS)}; "
        f"special are {', '.join(special) or 'none'}"
    )


def _chunks(text: str) -> Iterable[str]:
    """`text` in parts of about _CHUNK characters, cut only where no id changes."""
    start = 0
    while len(text) - start > _CHUNK:
        cut = _CUT.search(text, start + _CHUNK)
        if cut is None:
            break
        yield text[start : cut.end()]
        start = cut.end()
    yield text[start:]
