"""Pictures side by side in one PNG. pillow is an extra, imported where it is written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.files import write_bytes

LEAST, GAP, LINE = 56, 4, 14  # pixels: a picture's shorter side at the least, between two, of a caption
MOST = 4096  # pictures of a grid


def write_grid(path: Path, pictures: np.ndarray, columns: int, captions: Sequence[str] | None = None) -> None:
    """Write pictures uint8 [N, height, width, channels], grey or coloured, as a PNG of `columns` beside one another,
    row by row, on white. Small ones are enlarged by a whole number, pixel by pixel. captions: a line below each, cut
    off where it is wider. ValueError for what are no pictures, for captions that are not as many, and for a path that
    ends otherwise than in .png."""
    check_grid(path)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or not pictures.size:
        raise ValueError(f"pictures are uint8 [N, height, width, 1 or 3], not {pictures.dtype} {list(pictures.shape)}")
    if columns < 1 or len(pictures) > MOST:
        raise ValueError(f"{len(pictures):,} pictures in {columns} columns: 1 or more, and at most {MOST:,} pictures")
    if captions is not None and len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} pictures: one each")
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ValueError("pictures are written with pillow: pip install 'weft[vision]'") from error
    count, height, width, _ = pictures.shape
    times = max(1, -(-LEAST // min(height, width)))
    height, width, columns = height * times, width * times, min(columns, count)
    below = GAP + (0 if captions is None else LINE)
    lines = -(-count // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, lines * (height + below) + GAP), "white")
    for number, picture in enumerate(pictures):
        left, top = GAP + number % columns * (width + GAP), GAP + number // columns * (height + below)
        made = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).convert("RGB")
        sheet.paste(made.resize((width, height), Image.Resampling.NEAREST), (left, top))
        if captions is not None:
            ImageDraw.Draw(sheet).text((left, top + height + 1), _fitting(captions[number], width), fill="black")
    file = io.BytesIO()
    sheet.save(file, "PNG")
    write_bytes(path, file.getvalue())


def check_grid(path: Path) -> None:
    """ValueError for a path that ends otherwise than in .png."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: pictures are written as a PNG: call it {path.stem}.png")


def _fitting(text: str, width: int) -> str:
    """As much of a line as is about as wide."""
    line = " ".join(text.split())
    room = max(1, width // 6)
    return line if len(line) <= room else line[: room - 1] + "…"
