"""Words on a plane, as a picture. matplotlib is an extra, imported where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weft.vectors.space import Vectors

INK, MUTED, RULE = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = ("#2a6f97", "#d1495b", "#3c896d", "#b07d2b", "#6d597a", "#4d908e", "#9c6644", "#577590")


def draw(vectors: Vectors, groups: Sequence[Sequence[str]], png: Path, *, title: str = "") -> tuple[float, float]:
    """Draw words on the plane of their first two principal components, a colour for each group; the first word of a
    group of several is set in bold. Returns the share of the variance that each axis keeps.

    A word that is in several groups is drawn once, with the first. ValueError for words without vectors, fewer than
    three, or where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("drawing needs matplotlib, which is not installed: pip install 'weft[plots]'") from error
    group_of = dict[str, int]()
    for number, group in enumerate(groups):
        for word in group:
            group_of.setdefault(vectors.words[vectors.number(word)], number)
    words = list(group_of)
    places, share = vectors.plane(words)  # [N, 2]
    figure = Figure(figsize=(9, 7), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no global state, no window
    axes = figure.add_subplot()
    axes.set_title(title or f"{len(words)} words on a plane", loc="left", color=INK, fontsize=12, fontweight="bold")
    for spine in axes.spines.values():
        spine.set_color(RULE)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.set_xlabel(f"first component, {share[0]:.0%} of the variance", color=MUTED, fontsize=9)
    axes.set_ylabel(f"second component, {share[1]:.0%}", color=MUTED, fontsize=9)
    axes.margins(0.08)
    first = {group[0]: len(group) > 1 for group in groups}
    for word, (x, y) in zip(words, places.tolist(), strict=True):
        colour, weight = COLOURS[group_of[word] % len(COLOURS)], "bold" if first.get(word) else "normal"
        axes.plot(x, y, "o", color=colour, markersize=4)
        axes.annotate(
            word.replace("$", r"\$"),
            (x, y),
            (4, 3),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            fontweight=weight,
        )
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)
    return share
