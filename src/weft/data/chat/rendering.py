"""A chat template, rendered by a program of its own (`program.py`) with limits on time, memory and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]

_PROGRAM = Path(__file__).with_name("program.py")
_OUT_OF_TIME = -24  # ended by SIGXCPU
_LEAST = (3, 1, 6)  # before it the sandbox has known holes
# Names that a model's thoughts are given under: the first is what templates read, the second what some older ones do.
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True)
class Limits:
    """The most that rendering may take: seconds of a processor, bytes of memory, characters of a text."""

    seconds: int = 10
    bytes: int = 1 << 30
    characters: int = 1 << 24


def render(
    template: str,
    conversations: Sequence[Sequence[Message]],
    variables: Mapping[str, Any],
    limits: Limits = Limits(),
) -> list[str]:
    """The text that a template makes of each conversation, as the reference library renders it.

    variables: what it sees beside `messages`: tools, documents, add_generation_prompt, bos_token …

    Everything a template sees is plain data (what JSON holds). A key of a message whose value is None is as if it were
    not there. ValueError for what is no plain data, for what the template itself refuses, an error in it, and where it
    goes beyond the limits.
    """
    try:
        asked = json.dumps(
            {
                "paths": _paths(),
                "template": template,
                "conversations": [[_message(message) for message in messages] for messages in conversations],
                "variables": dict(variables),
                "seconds": limits.seconds,
                "bytes": limits.bytes,
                "characters": limits.characters,
            }
        )
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a chat template sees plain data only (texts, numbers, lists, objects): {error}") from error
    told = json.loads(_run(asked, limits))
    if isinstance(told, dict):
        raise ValueError(f"the chat template cannot render this: {told['error']}")
    return told


def _message(message: Message) -> dict[str, Any]:
    """A message as templates are shown it."""
    if not isinstance(message, Mapping):
        raise ValueError(f'a message is an object, {{"role": "user", "content": "…"}}, not {str(message)[:100]!r}')
    told = {name: value for name, value in message.items() if value is not None}
    thoughts = next((told[name] for name in _THOUGHTS if name in told), None)
    return told if thoughts is None else {_THOUGHTS[1]: thoughts, **told, _THOUGHTS[0]: thoughts}


def _run(asked: str, limits: Limits) -> str:
    """What the program answers. It sees neither this process's environment nor any package but jinja2."""
    needed = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_PROGRAM)]
    slow = f"the chat template takes more than {limits.seconds} seconds: it is refused"
    try:
        done = subprocess.run(
            command, input=asked, env=needed, capture_output=True, encoding="utf-8", timeout=20 + 4 * limits.seconds
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(slow) from error
    if done.returncode == _OUT_OF_TIME:
        raise ValueError(slow)
    if done.returncode or not done.stdout:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ValueError(f"the chat template cannot be rendered (status {done.returncode}): {said[0][:300]}")
    return done.stdout


def _paths() -> list[str]:
    """Where jinja2 and what it needs lie. ValueError where it is not there, or too old to be trusted."""
    try:
        found = tuple(int(part) for part in version("jinja2").split(".")[:3] if part.isdecimal())
    except PackageNotFoundError:
        found = ()
    if found < _LEAST:
        least = ".".join(map(str, _LEAST))
        what = "is not installed" if not found else f"{version('jinja2')} is too old"
        raise ValueError(f"chat templates need jinja2 {least} or newer, which {what}: pip install 'weft[chat]'")
    specs = [find_spec(name) for name in ("jinja2", "markupsafe")]
    return sorted({str(Path(spec.origin).parent.parent) for spec in specs if spec is not None and spec.origin})
