"""Words on a plane, as a picture. matplotlib is an extra, imported where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weft.pictures import INK, MUTED, RULE, canvas, plain
from weft.vectors.space import Vectors

COLOURS = ("#2a6f97", "#d1495b", "#3c896d", "#b07d2b", "#6d597a", "#4d908e", "#9c6644", "#577590")
SIZE, POINTS = 9, 72  # of letters, in points; points in an inch
SIDES = (  # of a point, in points, and which end of the word is there: right of it, and above, first
    (4, 3, "left"), (4, -11, "left"), (-4, 3, "right"), (-4, -11, "right"), (4, 13, "left"), (4, -21, "left"),
    (-4, 13, "right"), (-4, -21, "right"),
)  # fmt: skip
Box = tuple[float, float, float, float]  # left, right, below, above, in points


def draw(vectors: Vectors, groups: Sequence[Sequence[str]], png: Path, *, title: str = "") -> tuple[float, float]:
    """Draw words on the plane of their first two principal components, a colour for each group; the first word of a
    group of several is set in bold. Returns the share of the variance that each axis keeps.

    A word that is in several groups is drawn once, with the first. ValueError for words without vectors, fewer than
    three, or where matplotlib is missing.
    """
    figure = canvas(9, 7)
    group_of = dict[str, int]()
    for number, group in enumerate(groups):
        for word in group:
            group_of.setdefault(vectors.words[vectors.number(word)], number)
    words = list(group_of)
    places, share = vectors.plane(words)  # [N, 2]
    axes = figure.add_subplot()
    axes.set_title(
        plain(title) or f"{len(words)} words on a plane", loc="left", color=INK, fontsize=12, fontweight="bold"
    )
    for spine in axes.spines.values():
        spine.set_color(RULE)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.set_xlabel(f"first component, {share[0]:.0%} of the variance", color=MUTED, fontsize=9)
    axes.set_ylabel(f"second component, {share[1]:.0%}", color=MUTED, fontsize=9)
    axes.margins(0.1)
    axes.scatter(*places.T.tolist(), c=[COLOURS[group_of[word] % len(COLOURS)] for word in words], s=16)
    figure.draw_without_rendering()  # from here on it is known where on the picture a point is
    heads = {vectors.words[vectors.number(group[0])] for group in groups if len(group) > 1}
    taken = list[Box]()
    for word in sorted(words, key=lambda word: word not in heads):  # those in bold take their places first
        x, y = places[words.index(word)].tolist()
        side = free(word, (axes.transData.transform((x, y)) * POINTS / figure.dpi).tolist(), taken)
        axes.annotate(
            plain(word), (x, y), side[:2], textcoords="offset points", ha=side[2], fontsize=SIZE,
            color=COLOURS[group_of[word] % len(COLOURS)], fontweight="bold" if word in heads else "normal",
        )  # fmt: skip
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)
    return share


def free(word: str, at: Sequence[float], taken: list[Box]) -> tuple[float, float, str]:
    """Where beside its point, in points of a letter, a word stands clear of those in `taken`, and which of its ends is
    there; the first place where it is clear nowhere. What it covers joins them."""
    x, y = at
    width = 0.66 * SIZE * len(word)

    def box(side: tuple[float, float, str]) -> Box:
        left = x + side[0] - (width if side[2] == "right" else 0)
        return left, left + width, y + side[1], y + side[1] + SIZE

    def clear(one: Box) -> bool:
        return all(one[0] >= b[1] or one[1] <= b[0] or one[2] >= b[3] or one[3] <= b[2] for b in taken)

    chosen = next((side for side in SIDES if clear(box(side))), SIDES[0])
    taken.append(box(chosen))
    return chosen
