"""Time and memory of one attention layer, forward and backward, by kind and by the length of the row.

    python benchmarks/attention_kinds.py [--longest 16384] [--dtypes fp32 bf16] [--results FILE]

One layer of 4 heads of width 64 (projections included) on one row, on one thread. The kinds are window 256; window 256
with 64 global tokens; rank 256; 256 features; linear. Each measurement is a process of its own, forked from one that
has imported torch and computed nothing.

Time is that of the process's CPU (`process_time`), so that what else the machine does counts little: the least of up
to five passes, after one that is not counted unless it took ten seconds; after four seconds there is no further one.
Memory is anonymous memory (RssAnon of /proc/self/status, Linux), its peak in the first pass, sampled every millisecond
by a thread, beyond what the process held before: input, weights and their gradients are not in it, all that a backward
pass keeps is. Full attention is measured in every kernel, "held" being the one that holds all scores; where that needs
more than --most gigabytes it is left out.

Results go to a file of lines, a picture (attention_kinds.png) and, as tables, to standard output. What is already in
the file is not measured again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from memory import Peak, anonymous

from weft.nn import (
    Attention,
    Block,
    BlockGlobalKind,
    Causal,
    FeaturesKind,
    Field,
    Full,
    Kind,
    Layout,
    LinearKind,
    LowRankKind,
    Position,
    Residual,
    Stack,
    WindowKind,
)
from weft.nn.context import Context

HEADS, HEAD_WIDTH = 4, 64
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Way:
    """A kind in a field, by a kernel (None: the rule of shapes)."""

    kind: Kind
    causal: bool = True
    kernel: str | None = None


WAYS = {
    "full, sdpa": Way(Kind(), kernel="sdpa"),
    "full, blocked": Way(Kind(), kernel="blocked"),
    "full, held": Way(Kind(), kernel="matmul"),
    "window": Way(WindowKind(256)),
    "window + global": Way(BlockGlobalKind(256, tokens=64, random=0)),
    "features": Way(FeaturesKind(256)),
    "linear": Way(LinearKind()),
    "both ways: full, sdpa": Way(Kind(), causal=False, kernel="sdpa"),
    "both ways: full, held": Way(Kind(), causal=False, kernel="matmul"),
    "both ways: low rank": Way(LowRankKind(256), causal=False),
    "both ways: features": Way(FeaturesKind(256), causal=False),
    "both ways: linear": Way(LinearKind(), causal=False),
}
FULL = [name for name in WAYS if "full" in name]


def prepare(way: Way, length: int, dtype: torch.dtype) -> Callable[[], None]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    width = HEADS * HEAD_WIDTH
    field = Field(Position(), Causal() if way.causal else Full())
    stack = Stack([Block(attn=Residual(Attention(width, HEADS, bias="")))], fields={"self": field})
    way.kind.put(stack, length)
    field.kernel = way.kernel
    stack = stack.to(dtype)
    x = torch.randn(1, length, width, dtype=dtype, requires_grad=True)
    for part in (x, *stack.parameters()):
        part.grad = torch.zeros_like(part)  # what is held before does not count

    def once() -> None:
        stack(x, Context(Layout()))[0].square().mean().backward()

    return once


def measure(name: str, length: int, dtype: str, pipe: multiprocessing.connection.Connection) -> None:
    """Seconds and bytes of one way, in a process of its own."""
    torch.set_num_threads(1)
    prepare(WAYS[name], 16, DTYPES[dtype])()  # what is loaded at first use
    once, times = prepare(WAYS[name], length, DTYPES[dtype]), []
    before, peak = anonymous(), Peak()
    peak.start()
    for _ in range(6):
        began = time.process_time()
        once()
        times.append(time.process_time() - began)
        if len(times) == 1:
            bytes_ = peak.end() - before
        if sum(times) > 4 and (len(times) > 1 or times[0] > 10):
            break
    pipe.send({"seconds": min(times[1:] or times), "bytes": bytes_})


def ask(name: str, length: int, dtype: str) -> dict[str, float] | None:
    """What a process of its own has measured; None where it was ended for its memory."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, length, dtype, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return None
    finally:
        process.join()


Found = Mapping[tuple[str, int, str], Mapping[str, float]]


def rivals(name: str) -> list[str]:
    """Full attention in every kernel, in the same kind of field."""
    return [full for full in FULL if WAYS[full].causal == WAYS[name].causal]


def best(found: Found, name: str, length: int, dtype: str, what: str) -> float | None:
    """The least of full attention's kernels."""
    values = [found[full, length, dtype][what] for full in rivals(name) if (full, length, dtype) in found]
    return min(values) if values else None


def table(found: Found, dtype: str, lengths: list[int]) -> str:
    """Milliseconds and megabytes, and from where on a kind pays, in Markdown."""
    lines = [
        f"| {dtype}: ms / MB | "
        + " | ".join(f"{length:,}" for length in lengths)
        + " | faster from | less than held from |"
    ]
    lines.append("|---" * (len(lengths) + 3) + "|")
    for name, way in WAYS.items():
        cells = []
        for length in lengths:
            cell = found.get((name, length, dtype))
            cells.append("–" if cell is None else f"{cell['seconds'] * 1e3:,.0f} / {cell['bytes'] / 2**20:,.0f}")
        held = "full, held" if way.causal else "both ways: full, held"
        faster = [
            found[name, n, dtype]["seconds"] < (best(found, name, n, dtype, "seconds") or 0)
            for n in lengths
            if (name, n, dtype) in found
        ]
        less = [
            (held, n, dtype) not in found or found[name, n, dtype]["bytes"] < found[held, n, dtype]["bytes"]
            for n in lengths
            if (name, n, dtype) in found
        ]
        pays = ["", ""] if name in FULL else [since(faster, lengths), since(less, lengths)]
        lines.append(f"| {name} | " + " | ".join([*cells, *pays]) + " |")
    return "\n".join(lines)


def since(holds: list[bool], lengths: list[int]) -> str:
    """The length from which on something holds, as far as was measured."""
    last = max((i for i, yes in enumerate(holds) if not yes), default=-1)
    return f"{lengths[last + 1]:,}" if last + 1 < len(holds) else "never"


def draw(found: Found, dtype: str, path: Path) -> None:
    """Two panels, double logarithmic: time and memory by length."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 9), sharex=True)
    for row, causal in zip(axes, (True, False), strict=True):
        for axis, what, unit, word in zip(row, ("seconds", "bytes"), (1e-3, 2**20), ("ms of CPU", "MB"), strict=True):
            for name, way in WAYS.items():
                points = sorted(
                    (n, cell[what] / unit) for (who, n, kind), cell in found.items() if (who, kind) == (name, dtype)
                )
                if way.causal == causal and points:
                    style = "--" if name in FULL else "-"
                    axis.loglog(
                        *zip(*points, strict=True),
                        style,
                        marker="o",
                        markersize=3,
                        label=name.removeprefix("both ways: "),
                    )
            axis.set_title(f"{'time' if what == 'seconds' else 'memory'}, {'causal' if causal else 'both ways'}")
            axis.set_ylabel(word)
            axis.grid(True, which="major", alpha=0.3)
            axis.legend(fontsize=8)
        for axis in axes[1]:
            axis.set_xlabel("places in the row")
            lengths = sorted({n for _, n, _ in found})
            axis.set_xticks(lengths, [f"{n:,}" for n in lengths])
            axis.minorticks_off()
    figure.suptitle(f"One attention layer, {HEADS} heads of {HEAD_WIDTH}, {dtype}, one thread, forward and backward")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--longest", type=int, default=16384)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["fp32"])
    parser.add_argument("--results", type=Path, default=Path("attention_kinds.jsonl"))
    parser.add_argument("--picture", type=Path, default=Path(__file__).with_suffix(".png"))
    parser.add_argument(
        "--most", type=float, default=8.0, help="gigabytes that held scores may take, five tensors of them"
    )
    asked = parser.parse_args()
    lengths = [512 << power for power in range(20) if 512 << power <= asked.longest]
    lines = asked.results.read_text().splitlines() if asked.results.is_file() else []
    found = {(a, b, c): cell for a, b, c, cell in map(json.loads, lines)}
    for dtype in asked.dtypes:
        for length in lengths:
            for name in WAYS:
                held = 5 * HEADS * length**2 * DTYPES[dtype].itemsize
                if (name, length, dtype) in found or ("held" in name and held > asked.most * 2**30):
                    continue
                cell = ask(name, length, dtype)
                if cell is not None:
                    found[name, length, dtype] = cell
                    with asked.results.open("a") as file:
                        file.write(json.dumps([name, length, dtype, cell]) + "\n")
        print(table(found, dtype, lengths), flush=True)
    draw(found, asked.dtypes[0], asked.picture)


if __name__ == "__main__":
    main()
