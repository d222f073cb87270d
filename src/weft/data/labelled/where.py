"""Where a labelled example stands, for messages."""

from typing import NamedTuple


class Where(NamedTuple):
    """A file and a place in it: "line 12", "row 3" of a .parquet, "question '57'" of a SQuAD file."""

    file: str
    place: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}"
