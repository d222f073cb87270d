"""What is asked of captions: where they come from, what is held out, and how pictures and words vary in training."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from weft.data.signals.settings import Augment

TWINS = (
    "man", "men", "woman", "women", "person", "people", "boy", "girl", "child", "and", "mermaid", "merman", "merperson",
    "prince", "princess", "old", "older", "mrs", "mx", "santa",
)  # fmt: skip
FIELD = re.compile(r"\{([^{}]+)\}")  # of a template: a column's name


@dataclass(frozen=True)
class CaptionSettings:
    """What is read. source: a registered one. paths: files and folders; a source says what it makes of them.

    image_column, text_column: of a table; where it has no column of pictures, `pictures` holds one for each row.
    pictures: where they lie: a folder, or a .npy (also .gz), uint8 [rows, height, width, channels]; "": beside
    the table.
    templates: what is read of a row, columns in braces; one is drawn each time a row is trained on. Held-out rows have
    the text column alone; none: that is what is trained on, too. asked: a template by which held-out rows are asked for
    a second time, in figures of their own: what other columns add; "": they are not. drop: the share of words left out
    in training. held_out, alike: see `split`. class_column, prompts: of zero-shot classes, a column and templates, each
    filled from every row of a class that is trained on; "": nothing is told apart so.
    """

    source: str = "captions"
    paths: tuple[str, ...] = ()
    image_column: str = "image"
    text_column: str = "text"
    pictures: str = ""
    templates: tuple[str, ...] = ()
    asked: str = ""
    drop: float = 0.0
    held_out: float = 0.1
    alike: tuple[str, ...] = TWINS  # words that do not tell two captions apart when rows are held out
    seed: int = 0  # of the split
    class_column: str = ""
    prompts: tuple[str, ...] = ()
    tokenizer: str = "bpe"  # a kind, trained on the captions, or the folder of one
    vocab: int = 1000  # at most; 0: as many as the kind needs
    augment: Augment = field(default_factory=Augment)

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the rows is held out: above 0, below 1")
        if not 0 <= self.drop < 1:
            raise ValueError(f"data.drop={self.drop}, but it is a share of a caption's words: at least 0, below 1")
        for name, texts in (
            ("templates", self.templates), ("prompts", self.prompts), ("asked", (self.asked,) if self.asked else ())
        ):  # fmt: skip
            for text in texts:
                if not FIELD.search(text):
                    raise ValueError(f"data.{name}: {text!r} has no column in it: write one in braces, {{caption}} say")
        if bool(self.class_column) != bool(self.prompts):
            raise ValueError(
                f"data.class_column={self.class_column!r} with data.prompts={list(self.prompts)}: classes are told "
                "apart by prompts, so set both or neither"
            )
        self.augment.check()
