"""The Python that a page of documentation shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def shown(page: str) -> list[str]:
    """The Python on a page, block by block; the page is named from the root of the repository."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
