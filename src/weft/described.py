"""Values inside settings that say themselves what their data are: a model inside a model's config, say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self


class Described(ABC):
    """What settings hold without looking inside."""

    @abstractmethod
    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""

    @staticmethod
    @abstractmethod
    def from_data(data: dict[str, Any]) -> Any:
        """What `to_data` wrote; ValueError for anything else."""

    @abstractmethod
    def change(self, path: str, text: str) -> Self:
        """A copy with one setting changed; ValueError says what there is."""
