"""Lines of the parts and the families, per file, docstrings included: `make size`. Too many are an error.

python tests/size.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOMS = ("nn", "models")
# Lines of both rooms together, of what text is made of: 8,000, and 150 that signals put into the parts both share.
# Lines of a family's file.
ALL, FAMILY = 8150, 150
SIGNALS = {
    "along.py",
    "coding.py",
    "conforming.py",
    "convolution.py",
    "depth.py",
    "diffusing.py",
    "dit.py",
    "forecasting.py",
    "labels.py",
    "latents.py",
    "llava.py",
    "music.py",
    "painting.py",
    "patches.py",
    "perceiver_text.py",
    "places.py",
    "pooling.py",
    "published_latents.py",
    "published_wav2vec2.py",
    "seeing.py",
    "signals.py",
    "stem.py",
    "timesteps.py",
    "towers.py",
    "unified.py",
    "unit.py",
    "vectors.py",
}  # parts of families that read signals, which are counted apart; beside the families' own files
SOURCE = Path(__file__).resolve().parent.parent / "src" / "weft"


def lines(path: Path) -> int:
    """Of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def families() -> list[Path]:
    """The files that register a family."""
    return [
        path for path in sorted((SOURCE / "models").glob("*.py")) if "FAMILIES.register(" in path.read_text("utf-8")
    ]


def files() -> list[Path]:
    """Every file of the rooms."""
    return [path for room in ROOMS for path in sorted((SOURCE / room).glob("*.py"))]


def of_signals(path: Path) -> bool:
    """Whether a file is of families that read signals."""
    return path.name in SIGNALS or (path in families() and 'reads="signals"' in path.read_text("utf-8"))


def main() -> int:
    declared, total = set(families()), sum(lines(path) for path in files() if not of_signals(path))
    signals = sum(lines(path) for path in files() if of_signals(path))
    for room in ROOMS:
        print(f"{room}/")
        for path in sorted((SOURCE / room).glob("*.py"), key=lambda path: -lines(path)):
            print(f"  {lines(path):5,}  {path.name}{'  a family' if path in declared else ''}")
    long = [path.name for path in declared if lines(path) > FAMILY]
    print(f"\n{total:,} lines in {' + '.join(ROOMS)} for text, at most {ALL:,}; families' files at most {FAMILY}")
    print(f"{signals:,} lines more for families of signals")
    for name in long:
        print(f"too long: {name}")
    return 1 if long or total > ALL else 0


if __name__ == "__main__":
    sys.exit(main())
