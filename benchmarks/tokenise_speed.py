"""Tokenising speed beside the tokenizers library: MB of text a second, interleaved, medians.

    python benchmarks/tokenise_speed.py [--rounds 7] [--vocab 4096] [--data json,email]

The text: the .py sources of this Python's standard library, or the parts of it that --data names, read beforehand. The
tokenizer: a byte-level BPE of --vocab ids, trained on them once. Every round runs each contestant once, in this order:

library    the tokenizers library alone: encode_batch_fast on all documents at once; its result is thrown away
store      weft: the same documents into a token store (encoded, written, digests taken, flushed to the disk)
prepare    weft, as `weft train` meets the text: files read, hashed and split, then the store; the tokenizer is given

Both use all cores that they find: set RAYON_NUM_THREADS to give them fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tokenizers

from weft.data import DataSettings, MadeOf, open_source, prepare, train_tokenizer
from weft.data.split import Side
from weft.data.tokenise import write_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--data", default="", help="folders or files of the library, with commas between; all of it")
    words = parser.parse_args()
    settings = DataSettings(source="python_stdlib", paths=tuple(filter(None, words.data.split(","))), vocab=words.vocab)
    documents = list(open_source("python_stdlib", settings.paths).documents())
    texts = [document.text for document in documents]
    size = sum(len(text.encode()) for text in texts)
    tokenizer = train_tokenizer("bpe", texts, words.vocab)
    sides = [(Side.HELD_OUT if number == 0 else Side.TRAIN, document) for number, document in enumerate(documents)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save(folder)
        alone = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        contestants: dict[str, Callable[[Path], object]] = {
            "library": lambda _: alone.encode_batch_fast(texts, add_special_tokens=False),
            "store": lambda out: write_store(out, tokenizer, [sides], MadeOf({}, "benchmark")),
            "prepare": lambda out: prepare(settings, 256, pairs=False, tokenizer=tokenizer, scratch=out).close(),
        }
        figures = measure(contestants, words.rounds, size, folder)
    facts = {"documents": len(texts), "MB": size / 1e6, "vocab": tokenizer.vocab, "cores": os.cpu_count()}
    print(json.dumps(facts | {"rounds": words.rounds, "MB/s": figures}, indent=2))


def measure(
    contestants: dict[str, Callable[[Path], object]], rounds: int, size: int, folder: Path
) -> dict[str, dict[str, float]]:
    """Median, least and most MB/s of each."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            run(folder / f"{name}-{number}")
            found[name].append(size / 1e6 / (time.perf_counter() - began))
            print(f"round {number + 1}   {name:<8} {found[name][-1]:7.2f} MB/s", flush=True)
    return {
        name: {"median": statistics.median(speeds), "least": min(speeds), "most": max(speeds)}
        for name, speeds in found.items()
    }


if __name__ == "__main__":
    main()
