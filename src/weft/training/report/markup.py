"""HTML from parts: text is escaped wherever it is put into markup, so that no name and no sample can be any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

EMPTY = ("br", "circle", "line", "link", "meta", "path", "rect")  # elements that hold nothing


class Html(str):
    """Markup. Any other text is no markup, whatever is in it."""


def safe(part: str) -> Html:
    """Markup as it is, text escaped. Characters that no page may hold become U+FFFD."""
    if isinstance(part, Html):
        return part
    return Html(escape("".join(c if c in "\t\n" or c.isprintable() or c > "\x9f" else "\ufffd" for c in part)))


def h(name: str, *inner: str, attributes: Mapping[str, object] | None = None) -> Html:
    """An element: `h("p", "a < b", attributes={"class": "quiet"})`."""
    words = "".join(f' {key}="{safe(str(value))}"' for key, value in (attributes or {}).items())
    if name in EMPTY:
        return Html(f"<{name}{words}/>")
    return Html(f"<{name}{words}>{joined(inner)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    """Parts, one after the other."""
    return Html("".join(safe(part) for part in parts))


def styled(name: str, kind: str, *inner: str) -> Html:
    """An element of a class."""
    return h(name, *inner, attributes={"class": kind})


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> Html:
    """Rows of cells; the first cell of each names it."""
    top = [h("thead", h("tr", *(h("th", cell) for cell in head)))] if head else []
    body = [h("tr", h("th", row[0]), *(h("td", cell) for cell in row[1:])) for row in rows]
    return styled("div", "scroll", h("table", *top, h("tbody", *body)))


def section(title: str, *inner: str) -> Html:
    """A part of the page; nothing where it would be empty."""
    return h("section", h("h2", title), *inner) if any(inner) else Html()


def folded(title: str, *inner: str) -> Html:
    """What is shown when it is asked for."""
    return h("details", h("summary", title), *inner) if any(inner) else Html()
