"""Where a model lies: a folder, or a name on the hub."""

from __future__ import annotations

from pathlib import Path


def find(path: str | Path, revision: str | None = None) -> Path:
    """The folder that `path` names."""
    return Path(path)
