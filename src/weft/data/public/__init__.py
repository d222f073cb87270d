"""Known public data sets: what they are, where they lie, and how they come here whole."""

from weft.data.public.fetch import FetchError, download
from weft.data.public.get import Got, cache_folder, get_public
from weft.data.public.sets import PUBLIC_SETS, PublicFile, PublicSet
from weft.data.public.unpack import UnsafeArchive, unpack

__all__ = [
    "PUBLIC_SETS",
    "FetchError",
    "Got",
    "PublicFile",
    "PublicSet",
    "UnsafeArchive",
    "cache_folder",
    "download",
    "get_public",
    "unpack",
]
