"""SentencePiece's compiled normalisation, checked: the library that runs it walks off the end of a damaged one."""

import struct

import numpy as np

_BLOCK = 256  # the children of a node lie in one block of units


def check_charsmap(data: bytes) -> None:
    """ValueError unless every step of the double-array trie and every text it leads to lie within `data`.

    The form: uint32 length, a trie of uint32 units of that many bytes, then texts in UTF-8, each ended by a zero. A
    unit holds the byte that leads to it (bits 0 to 7, and 31: it is a value), whether a value hangs below it (bit 8),
    how far its children are (bits 10 to 30, times 256 where bit 9 is set). Nothing at all is a normalisation too.
    """
    if not data:
        return
    size = struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0
    if size == 0 or size % 4 or size > len(data) - 4:
        raise ValueError(f"its normalisation says that its trie has {size} bytes, of {len(data)} in all")
    units = np.frombuffer(data, "<u4", size // 4, 4).astype(np.int64)
    texts = data[4 + size :]
    texts.decode("utf-8")  # UnicodeDecodeError is a ValueError
    begins = np.frombuffer(texts, np.uint8) & 0xC0 != 0x80
    values = _values(units)
    if len(values) and (values.max() >= len(texts) or not begins[values].all()):
        raise ValueError(f"its normalisation leads to a text that is not within its {len(texts)} bytes of texts")


def _values(units: np.ndarray) -> np.ndarray:
    """Every value of the trie that some text can reach."""
    bases = _bases(np.zeros(1, np.int64), units)
    seen = np.zeros(len(units), bool)
    found = []
    while len(bases):
        if (bases | (_BLOCK - 1)).max() >= len(units):
            raise ValueError(f"its normalisation has a step past the {len(units)} units of its trie")
        nodes = (bases[:, None] ^ np.arange(1, _BLOCK)).ravel()  # byte 0 ends a text
        here = nodes[(units[nodes] & 0x800000FF) == np.tile(np.arange(1, _BLOCK), len(bases))]
        here = np.unique(here[~seen[here]])
        seen[here] = True
        below = _bases(here, units)
        found.append(below[(units[here] >> 8 & 1) == 1])
        bases = np.unique(below)
    leaves = np.concatenate(found) if found else np.zeros(0, np.int64)
    return units[leaves[leaves < len(units)]] & 0x7FFFFFFF


def _bases(nodes: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Where the children of each node begin."""
    unit = units[nodes]
    return nodes ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6))
