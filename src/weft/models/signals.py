"""What the settings of models that read signals say of ids: there are none, or they are those of the texts beside."""

from __future__ import annotations

from dataclasses import dataclass

from weft.models.blueprint import Blueprint


class NoIds:
    """Of a model that reads vectors alone."""

    @property
    def vocab(self) -> int:
        """It reads no ids."""
        return 0


@dataclass(frozen=True)
class Beside:
    """Of a model of two others: text, image: registered families, each with its own settings."""

    text: Blueprint
    image: Blueprint

    @property
    def vocab(self) -> int:
        """Of the texts."""
        return self.text.config.vocab

    @property
    def context(self) -> int:
        """Of the texts."""
        return self.text.config.context
