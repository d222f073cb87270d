"""Speed of published models beside transformers: a forward pass, and a training step.

    python benchmarks/published_speed.py [--passes 9] [--tasks forward train]
                                         [--families gpt2 llama bert t5 modernbert deberta mixtral vit clip whisper]
                                         [--precisions bf16 fp32] [--batch 8]

One folder a family is written by transformers, at a published size with 6 layers, and both libraries load it: the same
weights, the same rows, the same optimiser (fused AdamW). Each runs uncompiled and compiled; a library's figure is its
better one. Each is a process of its own, and they take turns, a pass each, so that a drift of the machine's speed falls
on all: two turns to warm up, then --passes counted ones. weft's keeps the memory that it frees, as its commands do. The
table shows medians, and the median over turns of the ratio of one turn's two times, with its quartiles.

bf16: a forward pass has its weights in bf16, a training step runs under autocast with weights in fp32.
transformers: attention by SDPA, its default. weft: attention kernels measured once, as `weft train` does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_shapes import LENGTH, SHAPES, Shape

Run = Callable[[], Any]
CONTESTANTS = ("weft", "weft-compiled", "transformers", "transformers-compiled")
WARM = 2


def weft(family: str, folder: str, task: str, precision: str, batch: int, compiled: bool) -> tuple[Any, Run]:
    """The module, and a pass: scores, or the loss."""
    import torch

    import weft
    from weft.training import measure

    shape = SHAPES[family]
    module = weft.load(folder, dtype="bf16" if precision == "bf16" and task == "forward" else "fp32").module
    given = rows(shape, shape.reference().config, batch, task, precision)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    measure.choose(module, batch, LENGTH, dtype=dtype)
    if compiled:
        module.compile(dynamic=False)
    compute = shape.ours if task == "forward" else shape.our_loss
    return module, lambda: compute(module, given)


def transformers(family: str, folder: str, task: str, precision: str, batch: int, compiled: bool) -> tuple[Any, Run]:
    """The module, and a pass: scores, or the loss (not its own, which would move the labels of decoders by one)."""
    import torch

    shape, kind = SHAPES[family], torch.bfloat16 if precision == "bf16" and task == "forward" else torch.float32
    module = type(shape.reference()).from_pretrained(folder, dtype=kind)
    given = rows(shape, module.config, batch, task, precision)
    if compiled:
        module.compile(dynamic=False)
    if task == "forward":
        return module, lambda: shape.theirs(module, given)
    return module, lambda: shape.loss(shape.theirs(module, given), given[-1])


def rows(shape: Shape, config: Any, batch: int, task: str, precision: str) -> tuple[Any, ...]:
    """What both are given: `batch` rows, vectors in the precision of the weights."""
    import torch

    torch.manual_seed(0)
    low = precision == "bf16" and task == "forward"
    return tuple(one.bfloat16() if low and one.is_floating_point() else one for one in shape.given(config, batch))


def passes(name: str, family: str, folder: str, given: argparse.Namespace, task: str, precision: str) -> Any:
    """What makes one pass of a contestant."""
    import torch

    library, _, how = name.partition("-")
    make = weft if library == "weft" else transformers
    module, run = make(family, folder, task, precision, given.batch, how == "compiled")
    module.train(task == "train")
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True) if task == "train" else None

    def step() -> None:
        if optimiser is None:
            with torch.inference_mode():
                run()
            return
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = run()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def contestant(name: str, family: str, folder: str, task: str, precision: str, given: argparse.Namespace) -> None:
    """A contestant's own process: a pass for each line that comes in, its seconds for each that goes out."""
    if name.startswith("weft"):
        import weft

        weft.keep_memory()  # as weft's commands do
    step = passes(name, family, folder, given, task, precision)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        print(time.perf_counter() - began, flush=True)


def measured(family: str, folder: str, given: argparse.Namespace, task: str, precision: str) -> dict[str, list[float]]:
    """Seconds of each counted pass of each contestant, in turns; all of them are held in memory at once."""
    workers, times = dict[str, Any](), dict[str, list[float]]()
    with tempfile.TemporaryFile("w+") as said:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said}
        for name in given.contestants:
            words = [sys.executable, "-W", "ignore", __file__, "--batch", str(given.batch)]
            asked = ["--one", name, family, folder, task, precision]
            workers[name], times[name] = subprocess.Popen([*words, *asked], text=True, bufsize=1, **pipes), []
        for turn in range(WARM + given.passes):
            for name, worker in workers.items():
                if worker.poll() is None:
                    worker.stdin.write("\n")
                line = worker.stdout.readline()
                if not line:
                    said.seek(0)
                    raise SystemExit(f"{said.read()}\n{name} ended: {family}, {task}, {precision}")
                if turn >= WARM:
                    times[name].append(float(line))
        for worker in workers.values():
            worker.communicate()
    return times


def report(family: str, task: str, precision: str, times: dict[str, list[float]]) -> None:
    """A line: medians, and the median over turns of the reference's time over ours, each library at its better one."""
    middle = {name: statistics.median(found) for name, found in times.items()}
    best = {}
    for name in sorted(middle, key=lambda name: middle[name]):
        best.setdefault(name.partition("-")[0], name)
    ratios = [theirs / ours for theirs, ours in zip(times[best["transformers"]], times[best["weft"]], strict=True)]
    shown = "".join(f"{1000 * middle[name]:>20.1f} ms" for name in times)
    low, _, high = statistics.quantiles(ratios)
    print(
        f"{family:11}{task:9}{precision:6}{shown}{statistics.median(ratios):>7.2f}x ({low:.2f} to {high:.2f})",
        flush=True,
    )


def measure_all(given: argparse.Namespace, folder: Path) -> None:
    print(f"{'family':11}{'task':9}{'':6}" + "".join(f"{name:>23}" for name in given.contestants) + f"{'ratio':>8}")
    for family in given.families:
        SHAPES[family].reference().save_pretrained(folder / family)
        for task in given.tasks:
            for precision in given.precisions:
                report(family, task, precision, measured(family, str(folder / family), given, task, precision))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=9)
    parser.add_argument("--families", nargs="+", choices=SHAPES, default=tuple(SHAPES))
    parser.add_argument("--tasks", nargs="+", choices=("forward", "train"), default=("forward", "train"))
    parser.add_argument("--precisions", nargs="+", choices=("bf16", "fp32"), default=("bf16", "fp32"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        contestant(*given.one, given)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_all(given, Path(folder))


if __name__ == "__main__":
    main()
