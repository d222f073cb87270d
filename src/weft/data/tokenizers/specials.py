"""Which ids of a published tokenizer play which part, and the files that say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from weft.files import DamagedFile, read_json

CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"

# A part -> its name in published files, and the special tokens that play it by convention, where no file says which
# does; the first that is there.
_ROLES = {
    "begin": ("bos_token", ("<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<|endoftext|>")),
    "end": ("eos_token", ("<|end|>", "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>")),
    "padding": ("pad_token", ("[PAD]", "<pad>")),
    "mask": ("mask_token", ("[MASK]", "<mask>")),
    "unknown": ("unk_token", ("[UNK]", "<unk>")),
    "separator": ("sep_token", ("[SEP]",)),
    "classifier": ("cls_token", ("[CLS]",)),
}
ENDS = (*_ROLES["end"][1], *_ROLES["separator"][1])


@dataclass(frozen=True)
class Specials:
    """The ids that begin a text, end it, fill rows up, hide a token, stand for what is unknown, separate two texts and
    stand for the whole of one ([CLS]); None where there is no such id."""

    begin: int | None = None
    end: int | None = None
    padding: int | None = None
    mask: int | None = None
    unknown: int | None = None
    separator: int | None = None
    classifier: int | None = None


class Said(NamedTuple):
    """What the files beside a vocabulary say of it.

    config: tokenizer_config.json, whole.
    roles:  eos_token and its like -> the token, None where it is said that there is none; and the file that says so.
    more:   special tokens that play none of these parts.
    added:  tokens with ids of their own, as tokenizer.json writes them.
    """

    config: Mapping[str, Any]
    roles: Mapping[str, tuple[str | None, Path]]
    more: tuple[str, ...]
    added: tuple[dict[str, Any], ...]


NOTHING = Said({}, {}, (), ())


def read_said(folder: Path) -> Said:
    """What tokenizer_config.json, special_tokens_map.json and added_tokens.json say, in the forms of version 4 (tokens
    as objects, added_tokens_decoder) and 5 (flat). Where the first two differ the first is right. DamagedFile."""
    config, table = _object(folder / CONFIG), _object(folder / MAP)
    roles: dict[str, tuple[str | None, Path]] = {}
    for file, told in ((folder / CONFIG, config), (folder / MAP, table)):
        for role, _ in _ROLES.values():
            if role in told:
                roles.setdefault(role, (_name(told[role], f"{file}: {role}"), file))
    more = [
        _name(token, f"{folder / CONFIG}: {key}")
        for told in (config, table)
        for key in ("additional_special_tokens", "extra_special_tokens")
        for token in _several(told.get(key), f"{folder / CONFIG}: {key}")
    ]
    special = {token for token, _ in roles.values()} | {*more}
    added = _object(folder / ADDED)
    tokens = [_token(number, token, {"special": token in special}, folder / ADDED) for token, number in added.items()]
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise DamagedFile(f"{folder / CONFIG}: added_tokens_decoder is a {type(decoder).__name__}, not tokens by id")
    for number, token in decoder.items():
        told = token if isinstance(token, dict) else {}
        tokens.append(_token(number, _name(token, str(folder / CONFIG)), told, folder / CONFIG))
    unique = {token["content"]: token for token in tokens}
    named = tuple(dict.fromkeys(name for name in more if name))
    return Said(config, roles, named, tuple(sorted(unique.values(), key=lambda token: token["id"])))


def role_names(said: Said, special: Mapping[str, int]) -> dict[str, str]:
    """The token that plays each part; `special`: the special tokens there are. What no file names goes by convention;
    a part that a file says nobody plays is left out. DamagedFile where a file names a token that is not there."""
    found = {}
    for part, (role, usual) in _ROLES.items():
        token, file = said.roles.get(role, (None, None))
        if token is not None and token not in special:
            raise DamagedFile(
                f"{file} says that {token!r} is the {role}, and tokenizer.json has no special token of that name"
            )
        separated = part == "end" and said.roles.get("sep_token", (None, None))[0]  # that is what ends a text then
        if token is None and file is None and not separated:
            token = next((name for name in usual if name in special), None)
        if token is not None:
            found[part] = token
    return found


def write_roles(names: Mapping[str, str], special: Mapping[str, int]) -> dict[str, str | None]:
    """What tokenizer_config.json has to say, so that the token that `names` gives for each part is read back; nothing
    where convention says the same."""
    if role_names(NOTHING, special) == names:
        return {}
    return {role: names.get(part) for part, (role, _) in _ROLES.items()}


def spoken(names: Mapping[str, str]) -> dict[str, str]:
    """The token that plays each part, by what published files call the part (bos_token)."""
    return {_ROLES[part][0]: token for part, token in names.items()}


def _object(path: Path) -> dict[str, Any]:
    told = read_json(path) if path.is_file() else {}
    if not isinstance(told, dict):
        raise DamagedFile(f"{path} holds a {type(told).__name__}, not an object of tokens by role")
    return told


def _several(told: Any, what: str) -> list[Any]:
    """The tokens of a list, or of an object of tokens by a name of its own."""
    if told is not None and not isinstance(told, list | dict):
        raise DamagedFile(f"{what} is {str(told)[:100]}, not a list of tokens")
    return [*told.values()] if isinstance(told, dict) else list(told or ())


def _name(token: Any, what: str) -> str | None:
    """A token's name: a text, or the object of an added token; None where it is null or empty."""
    name = token.get("content") if isinstance(token, dict) else token
    if name is not None and not isinstance(name, str):
        raise DamagedFile(f"{what} is {str(token)[:100]}, not a token's name")
    return name or None


def _token(number: Any, name: Any, told: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """An added token as tokenizer.json writes it."""
    if not (isinstance(name, str) and name and str(number).isdecimal()):
        raise DamagedFile(f"{file}: {str(name)[:100]!r} with the id {str(number)[:100]} is no added token")
    special = bool(told.get("special", False))
    flags = {flag: bool(told.get(flag, False)) for flag in ("single_word", "lstrip", "rstrip")}
    normalized = bool(told.get("normalized", not special))
    return {"id": int(number), "content": name, **flags, "normalized": normalized, "special": special}


def sentinels(names: Mapping[str, int]) -> tuple[int, ...]:
    """Of special tokens' ids by name, those of <extra_id_0>, <extra_id_1> and so on, as far as there are any."""
    numbered = takewhile(names.__contains__, (f"<extra_id_{number}>" for number in count()))
    return tuple(names[name] for name in numbered)
