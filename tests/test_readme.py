"""The README's tour runs."""

import re
from pathlib import Path


def test_the_tour_in_python_runs() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, object] = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert type(names["mine"]).__name__ == "Decoder"
