"""Time and memory of loading a model of about 1 GB, and of converting it.

    python benchmarks/load_memory.py [--gigabytes 1]

A LLaMA shape with random weights is written once, in fp32 and in bf16. Each way of loading runs in a process of its
own. Memory is anonymous memory (RssAnon of /proc/self/status, Linux): what the process holds beside maps of files,
before and after, and its peak, sampled every millisecond by a thread. `read` is the time that reading the same bytes
takes, `cat`-like, in a process of its own, before each way: the page cache is warm for all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory import Peak, anonymous

WAYS = {
    "read": "reading the bytes",
    "fp32 fp32": "a file of fp32, asked in fp32 (mapped)",
    "bf16 bf16": "a file of bf16, asked in bf16 (mapped)",
    "bf16 fp32": "a file of bf16, asked in fp32",
    "fp32 bf16": "a file of fp32, asked in bf16",
    "save bf16": "a file of bf16, loaded in bf16 and saved over itself",
}


def make(folder: Path, gigabytes: float) -> None:
    import weft
    from weft.hub import Model

    depth = max(1, round(gigabytes * 1e9 / 4 / (12 * 1024**2)))
    sizes = dict(vocab=16000, context=2048, width=1024, depth=depth, heads=16, hidden=2816)
    blueprint = weft.Blueprint.of("llama", **sizes)
    model = Model(blueprint.build(), blueprint)
    tiny = weft.Blueprint.of("llama", "debug")
    weft.save(Model(tiny.build(), tiny), folder / "tiny")
    for dtype in ("fp32", "bf16"):
        weft.save(model, folder / dtype, dtype=dtype)


def one(way: str, folder: Path) -> dict[str, float]:
    """Seconds, and anonymous bytes at the end and at the peak beyond those at the start."""
    import weft

    weft.load(folder / "tiny")  # what torch imports at its first module without memory (0.45 s) is not what is measured
    kind, _, asked = way.partition(" ")
    place = folder / ("bf16" if kind in ("save", "read") else kind)
    before, peak = anonymous(), Peak()
    peak.start()
    began = time.perf_counter()
    if way == "read":
        with (folder / "fp32" / "model.safetensors").open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
    else:
        model = weft.load(place, dtype=asked)
        if kind == "save":
            weft.save(model, place)
    seconds = time.perf_counter() - began
    most = peak.end()
    return {"seconds": seconds, "held": anonymous() - before, "peak": most - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], Path(given.one[1]))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, given.gigabytes)
        sizes = {kind: (folder / kind / "model.safetensors").stat().st_size for kind in ("fp32", "bf16")}
        print(f"{'':56}{'seconds':>8}{'held':>10}{'peak':>10}{'peak / weights':>16}")
        for way, words in WAYS.items():
            done = subprocess.run(
                [sys.executable, __file__, "--one", way, str(folder)], check=True, stdout=subprocess.PIPE, text=True
            )
            found = json.loads(done.stdout)
            weights = sizes["bf16" if way.endswith("bf16") else "fp32"]
            held, peak = (f"{found[name] / 1e6:.0f} MB" for name in ("held", "peak"))
            print(f"{words:56}{found['seconds']:>8.2f}{held:>10}{peak:>10}{found['peak'] / weights:>16.2f}")


if __name__ == "__main__":
    main()
