"""What every picture is drawn on. matplotlib is an extra, imported where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1f2933", "#7b8794", "#e4e7eb"


def canvas(width: float, height: float) -> Figure:
    """An empty picture, in inches of 160 dots. ValueError where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("drawing needs matplotlib, which is not installed: pip install 'weft[plots]'") from error
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no global state, no window
    return figure


def plain(text: str) -> str:
    """A text as it is to stand in a picture: matplotlib takes what is between two `$` for a formula."""
    return text.replace("$", r"\$")
