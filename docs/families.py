"""Make docs/families.md: every published family beside the reference, at the odd sizes that the suite tries.

PYTHONPATH=src python docs/families.py      # needs transformers; half a minute
"""

import importlib
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

HEAD = """# Families beside the reference

Made by `python docs/families.py`; the suite holds the same figures (`tests/test_published.py`). Each family is tried in
fp32 at odd configurations, every parameter random, norms and biases too, on ragged rows: the reference saves a folder,
`weft.load` reads it. *logits*: max |difference| in standard deviations of the reference's logits. *gradient*: of the
token table, relative. *greedy*: the same tokens, ours from one batch, the reference's row by row. *round trip*: the
reference reads what `weft.save` writes with equal tensors and config, and a second save has the same bytes.

| family | lines | configurations | logits | gradient | greedy | round trip | reference |
|---|---|---|---|---|---|---|---|
"""


def row(name: str) -> str:
    """A family's line of the table."""
    import transformers
    from published_cases import CASES, measure

    from weft.models import FAMILIES

    figures = []
    for case in CASES[name]:
        for shards in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                figures.append(measure(case, Path(folder), shards=shards))
    source = importlib.import_module(FAMILIES.get(name).build.__module__).__file__
    assert source is not None
    tokens = [found.greedy for found in figures if found.greedy is not None]
    cells = (
        name,
        len(Path(source).read_text(encoding="utf-8").splitlines()),
        len(CASES[name]),
        f"{max(found.logits for found in figures):.1e}",
        f"{max(found.gradient for found in figures):.1e}",
        "–" if not tokens else "equal" if all(tokens) else "**differ**",
        "equal" if all(found.equal for found in figures) else "**differs**",
        f"transformers {transformers.__version__}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def main() -> None:
    import torch
    import transformers
    from published_cases import published

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    page = HEAD + "".join(map(row, published()))
    (ROOT / "docs" / "families.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
