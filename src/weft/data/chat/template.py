"""The chat template of a published folder: messages to one text, and to ids."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft.batch import Tokenizer
from weft.data.chat.rendering import Limits, Message, render
from weft.data.tokenizers import CONFIG, PieceTable

FILE, MORE = "chat_template.jinja", "additional_chat_templates"
_DEFAULT, _TOOLS = "default", "tool_use"
_BREAK = "\ufdd0"  # a noncharacter: no text has it


@dataclass(frozen=True)
class ChatTemplate:
    """How messages become one text. sources: a template by name: "default", and maybe "tool_use" for when there are
    tools."""

    sources: Mapping[str, str]

    def render(
        self,
        tokenizer: Tokenizer,
        messages: Sequence[Message],
        *,
        reply: bool = True,
        tools: Sequence[Message] | None = None,
        documents: Sequence[Message] | None = None,
        variables: Message | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> str:
        """The text of a conversation, as the reference library's apply_chat_template(tokenize=False) gives it.

            template.render(tokenizer, [{"role": "user", "content": "Who are you?"}])

        reply:     with what an answer begins after it (the reference's add_generation_prompt).
        tools:     what the model may call, as JSON schemas; documents: what it may read. None: the template sees none.
        variables: what else a template asks for (enable_thinking …), which win over the special tokens' names.

        ValueError for a conversation without messages, and as `weft.data.chat.render` says.
        """
        if not messages:
            raise ValueError("a conversation has at least one message")
        seen = {**_roles(tokenizer), **(variables or {})}
        seen |= {"tools": tools, "documents": documents, "add_generation_prompt": reply}
        return render(self._source(tools), [messages], seen, limits)[0]

    def ids(
        self,
        tokenizer: Tokenizer,
        messages: Sequence[Message],
        *,
        reply: bool = True,
        tools: Sequence[Message] | None = None,
        documents: Sequence[Message] | None = None,
        variables: Message | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> list[int]:
        """The ids of a conversation. The special tokens that the template itself writes are their ids, the one that
        begins a text among them; nothing more is put around it.

        Where a message, a tool or a document spells a special token it stays text, as everywhere in weft: the reference
        does the same where it is asked to sanitize control tokens.
        """
        names = tokenizer.special_names if isinstance(tokenizer, PieceTable) else {}
        found = _either(names)
        apart = _each_text(lambda text: found.sub(lambda name: _split(name[0]), text.replace(_BREAK, "")))
        text = self.render(
            tokenizer,
            apart(list(messages)),
            reply=reply,
            tools=apart(tools),
            documents=apart(documents),
            variables=apart(variables),
            limits=limits,
        )
        pieces = re.split(f"({found.pattern})", text)  # text, special token, text, …
        parts = [names[piece] if number % 2 else piece.replace(_BREAK, "") for number, piece in enumerate(pieces)]
        if isinstance(tokenizer, PieceTable):
            return tokenizer.encode_parts(parts)
        return tokenizer.encode("".join(map(str, parts)))

    def _source(self, tools: Sequence[Message] | None) -> str:
        name = _TOOLS if tools is not None and _TOOLS in self.sources else _DEFAULT
        if name not in self.sources:
            raise ValueError(f"the folder's chat templates are {', '.join(self.sources)}: none is the default")
        return self.sources[name]


def read_chat(files: Mapping[str, bytes]) -> ChatTemplate | None:
    """The chat template of a folder's files, by name: chat_template.jinja with additional_chat_templates/*.jinja, else
    what tokenizer_config.json says; None where there is none. ValueError for what is damaged."""
    named = {_name(file): file for file in files if file == FILE or file.startswith(f"{MORE}/")}
    sources = {name: _text(files, file) for name, file in named.items()}
    if not sources and CONFIG in files:
        config = json.loads(_text(files, CONFIG))
        sources = _told(config.get("chat_template") if isinstance(config, dict) else None)
    return ChatTemplate(sources) if sources else None


def chat_files(template: ChatTemplate | None) -> dict[str, bytes]:
    """The files that `read_chat` reads a template from."""
    sources = {} if template is None else template.sources
    return {FILE if name == _DEFAULT else f"{MORE}/{name}.jinja": text.encode() for name, text in sources.items()}


def _name(file: str) -> str:
    return _DEFAULT if file == FILE else file.removeprefix(f"{MORE}/").removesuffix(".jinja")


def _text(files: Mapping[str, bytes], file: str) -> str:
    try:
        return files[file].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: {error}") from error


def _told(told: Any) -> dict[str, str]:
    """The templates that tokenizer_config.json says: one, or a list of named ones."""
    named = told if isinstance(told, list) else [] if told is None else [{"name": _DEFAULT, "template": told}]
    found = {}
    for entry in named:
        entry = entry if isinstance(entry, dict) else {}
        name, template = entry.get("name"), entry.get("template")
        if not (isinstance(name, str) and isinstance(template, str)):
            raise ValueError(f"{CONFIG}: chat_template is {str(told)[:100]}, not a template or a list of named ones")
        found[name] = template
    return found


def _roles(tokenizer: Tokenizer) -> Mapping[str, str]:
    """bos_token and its like -> the special token that plays this part."""
    return tokenizer.role_tokens if isinstance(tokenizer, PieceTable) else {}


def _either(names: Mapping[str, int]) -> re.Pattern[str]:
    """Any of these names, a longer one before one that it begins with."""
    ranked = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ranked)) or "(?!)")  # (?!) is nowhere


def _split(name: str) -> str:
    """A special token's name, taken apart so that it is none."""
    return _BREAK.join(("", *name, ""))


def _each_text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """The same data with every text in it changed; the names of its objects are the template's business."""

    def changed(data: Any) -> Any:
        if isinstance(data, str):
            return change(data)
        if isinstance(data, Mapping):
            return {name: changed(value) for name, value in data.items()}
        return [changed(value) for value in data] if isinstance(data, list | tuple) else data

    return changed
