"""Pictures with texts: tables, folders and made ones become pairs of rows, of ids and of patches."""

from weft.data.captions.dataset import Captioned, filled, rows_of
from weft.data.captions.given import read_images, read_lines
from weft.data.captions.prepare import CAPTION_SOURCES, Captions, Found, open_captions, prepare_captions
from weft.data.captions.settings import CaptionSettings

__all__ = [
    "CAPTION_SOURCES",
    "CaptionSettings",
    "Captioned",
    "Captions",
    "Found",
    "filled",
    "open_captions",
    "prepare_captions",
    "read_images",
    "read_lines",
    "rows_of",
]
