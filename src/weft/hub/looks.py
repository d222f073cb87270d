"""Where a decoder looks in its source: the weights of cross-attention, for one pair of texts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from weft.data import as_source
from weft.data.tokenizers import target_side
from weft.generate.cached import evaluating
from weft.hub.model import Model
from weft.hub.translation import BEAMS
from weft.nn import Alignment, CrossAttention, EncoderDecoder, Tap
from weft.pictures import INK, MUTED, canvas, plain
from weft.training.report.markup import Html, h, joined, section, styled
from weft.training.report.page import write_page

END = "⏎"  # shown for ids that spell nothing
# Of a picture, in inches: what a panel needs for a token to each side, and beside its tokens; between two that are
# named; and the longest side.
CELL, ROOM, LABEL, SIDE = (0.34, 0.3), (1.4, 1.6), 0.15, 40.0


@dataclass(frozen=True, eq=False)
class Looks:
    """weights [layers, H, T, S]: how much of what is known, when target[t] is written, comes from source[s]. source,
    target: the pieces of text that ids stand for; each row of weights sums to 1."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Tensor

    @property
    def mean(self) -> Tensor:
        """Over layers and heads, [T, S]."""
        return self.weights.mean((0, 1))


def looks(model: Model, source: str, target: str | None = None) -> Looks:
    """Where the decoder looks while it writes `target`; None: what it would write, by a beam of 5.

    Row t is of the step that predicts target[t], the end among them. ValueError for a model without cross-attention,
    and for texts longer than its context.
    """
    module, tokenizer = model.module, model.need_tokenizer()
    if not isinstance(module, EncoderDecoder):
        raise ValueError(f"a {model.blueprint.family} has no cross-attention to look at: it takes an encoder–decoder")
    read = as_source(tokenizer, tokenizer.encode(source))
    side = target_side(tokenizer)
    if target is None:
        written = model.generate(source, beams=BEAMS, tokens=model.config.context - len(model.begins)).ids
    else:
        written = side.encode(target)
    made = [*(number for number in written if number != tokenizer.end), tokenizer.end]
    inputs = [*model.begins, *made[:-1]]
    for name, ids in (("source", read), ("target", inputs)):
        if len(ids) > model.config.context:
            raise ValueError(f"the {name} has {len(ids)} tokens and the context {model.config.context}: shorten it")
    device = next(module.parameters()).device
    with torch.inference_mode(), evaluating(list(module.modules())), _recorded(module) as heard:
        module(torch.tensor([read], device=device), torch.tensor([inputs], device=device))
    if not heard:
        raise ValueError(f"this {model.blueprint.family} keeps no weights to look at: its kind of attention has none")
    # [H, T, S], which a recurrent decoder gives step by step; the rows before belong to what every target begins with
    layers = [torch.cat(steps, dim=2)[0, :, -len(made) :] for steps in heard]
    return Looks(
        tuple(_piece(tokenizer.decode([number])) for number in read),
        tuple(_piece(side.decode([number])) for number in made),
        torch.stack(layers).float().cpu(),
    )


@contextmanager
def _recorded(module: nn.Module) -> Iterator[list[list[Tensor]]]:
    """What each layer's cross-attention weighs by inside it: a list for each layer that was heard."""
    heard: list[list[Tensor]] = []
    handles = []
    for part in module.modules():
        if not isinstance(part, CrossAttention | Alignment):
            continue
        mine: list[Tensor] = []

        def listen(tap: nn.Module, given: object, weights: Tensor, mine: list[Tensor] = mine) -> None:
            if not mine:
                heard.append(mine)
            mine.append(weights)

        assert isinstance(part.probs, Tap)
        handles.append(part.probs.register_forward_hook(listen))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _piece(text: str) -> str:
    return text.strip() or ("·" if text else END)


def draw_looks(found: Looks, out: Path) -> None:
    """Draw them: a page with a map for each head (.html), or a picture with the mean of each layer's heads (.png).
    ValueError for another ending, or where matplotlib is missing."""
    if out.suffix == ".html":
        write_page(out, f"{' '.join(found.source)} → {' '.join(found.target)}", _page(found))
    elif out.suffix == ".png":
        _picture(found, out)
    else:
        raise ValueError(f"{out} ends in neither .html, for a page, nor .png, for a picture: choose one of them")


def _page(found: Looks) -> list[Html]:
    said = styled(
        "p", "quiet", "Each row is a token that is written, each column one that is read; the darker, the more."
    )
    whole = _map(found, found.mean, wide=True)
    parts = [h("style", Html(_STYLE)), h("h1", "Where the decoder looks"), said, section("All heads and layers", whole)]
    for layer, heads in enumerate(found.weights, start=1):
        maps = [joined([h("h3", f"head {head}"), _map(found, one)]) for head, one in enumerate(heads, start=1)]
        parts.append(section(f"Layer {layer}", styled("div", "maps", *(h("div", one) for one in maps))))
    return parts


_STYLE = """
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem; }
.maps h3 { font-size: 0.9rem; font-weight: normal; color: var(--muted); margin: 0 0 0.3rem; }
table.map { border-spacing: 1px; font-size: 0.78rem; }
table.map td { min-width: 0; width: 1.1rem; height: 1.1rem; padding: 0; border: 0; background: var(--accent); }
table.map th { min-width: 0; padding: 0 0.4rem; border: 0; color: var(--muted); text-align: right; }
table.map thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 0.3rem 0; }
table.map.wide td { width: 1.7rem; height: 1.7rem; }
table.map.wide { font-size: 0.9rem; }
"""


def _map(found: Looks, weights: Tensor, *, wide: bool = False) -> Html:
    """One map, [T, S], as a table of cells: the page's own colour, the stronger the more weight."""
    top = h("thead", h("tr", h("th"), *(h("th", piece) for piece in found.source)))
    rows = [
        h("tr", h("th", piece), *(
            h("td", attributes={"style": f"opacity:{weight:.3f}", "title": f"{piece} ← {read}: {weight:.2f}"})
            for read, weight in zip(found.source, row, strict=True)
        ))
        for piece, row in zip(found.target, weights.tolist(), strict=True)
    ]  # fmt: skip
    return styled(
        "div", "scroll", h("table", top, h("tbody", *rows), attributes={"class": "map wide" if wide else "map"})
    )


def _picture(found: Looks, out: Path) -> None:
    """The mean of each layer's heads, a panel for each, in rows of panels; where there are more tokens than the
    picture has room for, every so many are named."""
    layers, read, written = len(found.weights), len(found.source), len(found.target)
    width, height = ROOM[0] + CELL[0] * read, ROOM[1] + CELL[1] * written  # of a panel
    across = min(range(1, layers + 1), key=lambda n: max(n * width, math.ceil(layers / n) * height))
    down = math.ceil(layers / across)
    wide, high = min(across * width, SIDE), min(down * height, SIDE)
    columns = _every(read, wide / across - ROOM[0])
    rows = _every(written, high / down - ROOM[1])
    figure = canvas(wide, high)
    for number, axes in enumerate(figure.subplots(down, across, squeeze=False).flat):
        if number >= layers:
            axes.set_axis_off()
            continue
        axes.imshow(found.weights[number].mean(0).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(f"layer {number + 1}, mean of heads", color=INK, fontsize=9)
        below = [plain(found.source[place]) for place in columns]
        beside = [plain(found.target[place]) if number % across == 0 else "" for place in rows]
        axes.set_xticks(columns, below, rotation=60, ha="right", color=INK, fontsize=8)
        axes.set_yticks(rows, beside, color=INK, fontsize=8)
        axes.tick_params(length=0)
        for edge in axes.spines.values():
            edge.set_color(MUTED)
            edge.set_linewidth(0.5)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


def _every(count: int, inches: float) -> range:
    """Which of so many tokens are named, so that their names stand clear of one another."""
    return range(0, count, max(1, math.ceil(count * LABEL / max(inches, LABEL))))
