"""Renders chat templates, in a process of its own: a template is a program that somebody else wrote.

Run by weft.data.chat.rendering, imported by nothing. On stdin a JSON object: paths, where jinja2 lies; template;
conversations, each a list of messages; variables, what else the template sees; seconds, bytes and characters, the
most it may take, hold and write. On stdout a JSON list of texts, or {"error": words}.

jinja2's sandbox keeps a template from what it should not touch, and this process's limits from running for ever or
filling the memory. It sees what the reference library shows it: the variables, tojson that escapes nothing of HTML,
raise_exception, strftime_now, {% generation %}, {% break %} and {% continue %}.
"""

import datetime
import json
import sys
from typing import Any


def main() -> None:
    """Read, render, write."""
    asked = json.load(sys.stdin)
    _limit(asked["seconds"], asked["bytes"])
    sys.path.extend(asked["paths"])
    try:
        told: Any = rendered(asked["template"], asked["conversations"], asked["variables"], asked["characters"])
    except MemoryError:
        told = {"error": f"it takes more than {asked['bytes']:,} bytes of memory"}
    except Exception as error:  # whatever a stranger's program raises
        line = vars(error).get("lineno")
        told = {"error": f"{error or type(error).__name__}" + ("" if line is None else f" (line {line})")}
    json.dump(told, sys.stdout)


def _limit(seconds: int, most: int) -> None:
    """At most this much time of a processor, and this much memory, where the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows: there the caller's patience is the limit
        return
    for kind, amount in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, most), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        try:
            resource.setrlimit(kind, (amount, hard))
        except (ValueError, OSError):  # a system that does not limit this
            continue


def rendered(template: str, conversations: list[Any], variables: dict[str, Any], characters: int) -> list[str]:
    """The text of every conversation; jinja2's errors, and ValueError for one of more than `characters`."""
    program = environment().from_string(template)
    texts = []
    for messages in conversations:
        pieces, size = list[str](), 0
        for piece in program.generate(messages=messages, **variables):
            size += len(piece)
            if size > characters:
                raise ValueError(f"it writes more than {characters:,} characters")
            pieces.append(piece)
        texts.append("".join(pieces))
    return texts


def environment() -> Any:
    """jinja2, sandboxed, with what the reference library lends to chat templates."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError, TemplateError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        """{% generation %}…{% endgeneration %}: the text within, which a trainer may learn from."""

        tags = {"generation"}  # noqa: RUF012 (as the base class has it)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_within"), [], [], body).set_lineno(line)

        def _within(self, caller: Any) -> str:
            return caller()

    class Guarded(Namespace):
        """A namespace without names that begin with "_": through them a template could reach Python's own."""

        def __setitem__(self, name: str, value: Any) -> None:
            if name.startswith("_"):
                raise SecurityError(f"a namespace has no name {name!r}: it begins with an underscore")
            super().__setitem__(name, value)

    def namespace(*given: Any, **named: Any) -> Namespace:
        made = Guarded()
        for name, value in (dict(*given) | named).items():
            made[name] = value
        return made

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = to_json
    made.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now, "namespace": namespace}
    return made


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON with its <, > and & as they are: a prompt is no page of HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(form: str) -> str:
    """The time here and now, in a form of strftime."""
    return datetime.datetime.now().strftime(form)


if __name__ == "__main__":
    main()
