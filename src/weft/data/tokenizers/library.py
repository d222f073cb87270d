"""What the tokenizers library runs: its tokenizer.json checked, and run so that no text becomes a special id."""

import base64
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import tokenizers

from weft.data.tokenizers.charsmap import check_charsmap
from weft.data.tokenizers.folder import Published, read_published
from weft.data.tokenizers.offsets import Located
from weft.data.tokenizers.plain import plain_library
from weft.data.tokenizers.specials import CONFIG, ENDS, NOTHING, Specials, role_names, sentinels, spoken, write_roles
from weft.data.tokenizers.spelling import Speller, Spelt
from weft.data.tokenizers.table import FILE, MOST_IDS, PieceTable, utf8
from weft.data.tokenizers.template import Template, read_template, write_template
from weft.files import DamagedFile, write_bytes, write_json

END = "<|end|>"  # what ends a text in a byte-level BPE of ours
_MARK = "\ufdd1"  # a noncharacter: no text has it

# A single line break between two characters that are no space is a word of its own, or none, to the ways of cutting
# that are `cuttable`: text may be cut after it without changing any id. One long text is then encoded on all cores, and
# in bounded memory.
_CUT = re.compile(r"(?<=\S\n)(?=\S)")
_CHUNK = 1 << 16  # characters


class Form(NamedTuple):
    """What follows from the form of a tokenizer.json.

    spell: what its tokens stand for. cuttable: no id changes where a text is cut at _CUT. unknown: the id of what it
    does not know, and the bytes that it is decoded to. words: what added words stand for, where they are spelt in
    another way.
    """

    lossless: bool
    cuttable: bool
    spell: Speller
    unknown: tuple[int, bytes] | None = None
    words: Speller | None = None


class LibraryTokenizer(PieceTable):
    """A tokenizer in the library's format. A subclass says which are its own, and what their tokens stand for."""

    ends: ClassVar[tuple[str, ...]] = ENDS  # the special tokens that end a text by convention, the first that is there

    def __init__(self, text: str, end: str, *, roles: Mapping[str, str] | None = None) -> None:
        """`text`: a whole tokenizer.json; `end`: its special token that ends a text; `roles`: parts of `Specials` ->
        the special tokens that play them, None: by convention. ValueError where it is not of this kind, or cannot be
        vouched for."""
        data: dict[str, Any] = json.loads(text)
        self._text = text
        added = data.get("added_tokens") or []
        special = {token["content"]: token["id"] for token in added if token["special"]}
        if end not in special:
            raise ValueError(f"there is no special token {end!r} to end a text; special are {', '.join(special)}")
        words = {token["content"]: token["id"] for token in added if not token["special"]}
        swallow = [token["content"] for token in added if not token["special"] and (token["lstrip"] or token["rstrip"])]
        _check_normalizer(data.get("normalizer"))
        form = self._check(data)
        self._cuttable = form.cuttable and not words
        self._tokenizer = plain_library(data)
        spelt = _table(data, form, words, special)
        first = {n: x.first for n, x in enumerate(spelt) if x.first is not None and x.first != x.piece}
        lossless = form.lossless and not swallow
        super().__init__([token.piece for token in spelt], special[end], lossless=lossless, first=first)
        self._last = {number: token.last for number, token in enumerate(spelt) if token.last is not None}
        self._names = special
        self.template = self._told = read_template(data.get("post_processor"))
        self._roles = roles if roles is not None else role_names(NOTHING, special)
        self.specials = Specials(**{part: special[name] for part, name in self._roles.items()})

    @abstractmethod
    def _check(self, data: dict[str, Any]) -> Form:
        """What the form of a tokenizer.json means; ValueError where this class cannot run it."""

    @property
    def mask(self) -> int | None:
        """The id of what stands for a hidden token; None where it has none."""
        return self.specials.mask

    @property
    def sentinels(self) -> tuple[int, ...]:
        """The ids of <extra_id_0>, <extra_id_1> and so on, as far as there are any (Raffel et al. 2020)."""
        return sentinels(self._names)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer in `folder`, in the library's format or one that becomes it; DamagedFile where it cannot be
        vouched for."""
        return cls.read(read_published(folder))

    @classmethod
    def read(cls, published: Published) -> Self:
        """The tokenizer of a published folder's files.

        Its end is the eos_token, else the sep_token, that tokenizer_config.json or special_tokens_map.json names, else
        a special token that by convention ends texts.
        """
        try:
            data = json.loads(published.text)
            special = {token["content"]: token["id"] for token in data["added_tokens"] if token["special"]}
            roles = role_names(published.said, special)
            found = cls(published.text, _find_end(roles, special, cls.ends), roles=roles)
            if published.template is not None:
                found.template = published.template(found.specials)
            return found
        except (OSError, DamagedFile):
            raise  # it names its file itself
        except Exception as error:  # the library raises bare Exception
            raise DamagedFile(f"{published.path}: {error}") from error

    def name(self, number: int) -> str:
        """What the special token of an id is called; ValueError where there is none."""
        names = [name for name, own in self._names.items() if own == number]
        if not names:
            raise ValueError(f"{number} is no special id: those are {', '.join(map(str, self._names.values()))}")
        return names[0]

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are an id of their own wherever they stand in a text."""
        added = json.loads(self._text).get("added_tokens") or []
        return tuple(token["content"] for token in added if not token["special"])

    def with_words(self, words: Sequence[str]) -> Self:
        """The same tokenizer with words that are an id of their own, behind its last."""
        data: dict[str, Any] = json.loads(self._text)
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        added = [{"id": self.vocab + place, "content": word} | flags for place, word in enumerate(words)]
        data["added_tokens"] = [*(data.get("added_tokens") or []), *added]
        found = type(self)(json.dumps(data, ensure_ascii=False, indent=2), self.name(self.end), roles=self._roles)
        found.template = self.template
        return found

    def framed(self, template: Template) -> Self:
        """The same tokenizer with another template."""
        found = copy(self)
        found.template = template
        return found

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in the library's own format, as it was read, with what other files said of the ids
        around a text; and tokenizer_config.json where special tokens play other parts than by convention."""
        text = self._text
        if self.template is not None and self.template != self._told:
            names = {number: name for name, number in self._names.items()}
            data = json.loads(text) | {"post_processor": write_template(self.template, names)}
            text = json.dumps(data, ensure_ascii=False, indent=2)
        write_bytes(folder / FILE, text.encode())
        if said := write_roles(self._roles, self._names):
            write_json(folder / CONFIG, said)

    @property
    def role_tokens(self) -> Mapping[str, str]:
        """bos_token and its like, as published files name them -> the special token that plays this part."""
        return spoken(self._roles)

    def encode_parts(self, parts: Sequence[str | int]) -> list[int]:
        """The ids of a text in which special ids stand already, as the library gives them: what is around a special
        token may depend on it (spaces that it takes, the space that only the first word gets). ValueError for a text
        with U+FDD1, a noncharacter, and for an id that is not special."""
        for part in parts:
            if isinstance(part, str) and _MARK in utf8(part).decode():
                raise ValueError("the text has U+FDD1, which is no character: leave it out")
        text = "".join(part if isinstance(part, str) else f"{_MARK}{self.name(part)}" for part in parts)
        return self._marked.encode(text, add_special_tokens=False).ids

    @cached_property
    def _marked(self) -> tokenizers.Tokenizer:
        """The library's tokenizer with special tokens that are found where their names come after a mark, whatever its
        normalizer does to text."""
        data: dict[str, Any] = json.loads(self._text)
        for token in data["added_tokens"]:
            token["normalized"] = token["normalized"] and not token["special"]
        found = plain_library(data, _MARK)
        found.encode_special_tokens = False
        return found

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

    def locate_many(self, texts: Sequence[str]) -> list[Located]:
        """The ids of each text and where they stand: by what they spell where that is the text, else by the library,
        which keeps account of what normalising did."""
        if self.lossless:
            return super().locate_many(texts)
        found = self._tokenizer.encode_batch([utf8(text).decode() for text in texts], add_special_tokens=False)
        return [Located(np.asarray(e.ids, np.int32), np.asarray(e.offsets, np.int32).reshape(-1, 2)) for e in found]

    def _encode_batch(self, batch: list[str], owners: list[int], found: list[list[np.ndarray]]) -> None:
        encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        for owner, encoding in zip(owners, encodings, strict=True):
            found[owner].append(np.asarray(encoding.ids, np.int32))


def _table(data: dict[str, Any], form: Form, words: dict[str, int], special: dict[str, int]) -> list[Spelt]:
    """What each id stands for; ValueError where two tokens share one, or a number is out of all proportion."""
    names: dict[int, str] = {}
    found: dict[int, Spelt] = {}
    vocabulary = data["model"]["vocab"]
    numbered = vocabulary.items() if isinstance(vocabulary, dict) else ((t[0], n) for n, t in enumerate(vocabulary))
    for token, number in numbered:
        if number in names:
            raise ValueError(f"the tokens {names[number]!r} and {token!r} share the id {number}")
        names[number] = token
        piece = form.spell(token)
        if piece is None and token not in special and token not in words:
            raise ValueError(f"the token {token!r}, id {number}, has characters that stand for no byte")
        found[number] = piece or Spelt(b"")
    for token, number in (*words.items(), *special.items()):
        if names.setdefault(number, token) != token:
            raise ValueError(f"the tokens {names[number]!r} and {token!r} share the id {number}")
        found[number] = Spelt(b"") if token in special else (form.words or form.spell)(token) or Spelt(utf8(token))
    if form.unknown:
        number, piece = form.unknown
        found[number] = Spelt(piece, piece.removeprefix(b" "))
    if not 0 <= min(found) <= max(found) < MOST_IDS:
        raise ValueError(f"the ids go from {min(found)} to {max(found)}: 0 to {MOST_IDS - 1} are possible")
    return [found.get(number, Spelt(b"")) for number in range(max(found) + 1)]


def _check_normalizer(normalizer: Mapping[str, Any] | None) -> None:
    """ValueError for a compiled normalisation that is damaged."""
    for step in steps(normalizer, "normalizers"):
        if step["type"] == "Precompiled":
            check_charsmap(base64.b64decode(step["precompiled_charsmap"] or "", validate=True))


def steps(part: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    """The steps of a normalizer, pre_tokenizer or decoder, sequences within sequences laid out; `key`: their list."""
    if not part:
        return []
    return [step for inner in part[key] for step in steps(inner, key)] if part["type"] == "Sequence" else [part]


def _find_end(roles: Mapping[str, str], special: Mapping[str, int], ends: Sequence[str]) -> str:
    named = roles.get("end") or roles.get("separator")
    for token in (named,) if named else ends:
        if token in special:
            return token
    raise ValueError(
        f"no special token ends a text: neither tokenizer_config.json names one, nor is there {', '.join(ends)}; "
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
