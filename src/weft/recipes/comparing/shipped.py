"""The comparisons weft brings, registered, and the file of each."""

from pathlib import Path

from weft.recipes.comparing.comparison import COMPARISONS
from weft.recipes.comparing.find import read_comparison

SHIPPED: dict[str, Path] = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}

for name, path in SHIPPED.items():
    COMPARISONS.register(name, read_comparison(path))
