"""The two layouts of torch's files, zip archives and what was before: what they hold, and where its numbers are."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import Machine, Refused, Storage, described

_LEGACY = 0x1950A86A20F9469CFC6C  # what files of before the archives begin with, as a pickle
_VERSION = 1001


def read_archive(path: Path, data: mmap.mmap) -> tuple[Any, Callable[[Storage], int]]:
    """What a zip archive of torch's holds, and where its storages begin in the file."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) < len(archive.infolist()) or sum(e.file_size for e in entries.values()) > len(data):
            raise Refused("the archive names an entry twice, or entries that are larger than the file")
    for name, entry in entries.items():
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise Refused(f"the archive's entry {ascii(name)[:120]} leads out of it: refused")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise Refused(f"the archive's entry {ascii(name)[:120]} is compressed or locked, which torch's never are")
    found = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise Refused(f"the archive has {len(found)} entries data.pkl, where torch writes one")
    folder = found[0].removesuffix("data.pkl")

    def place(name: str) -> tuple[int, int]:
        """First byte and number of bytes of an entry, whose checksum is right."""
        if folder + name not in entries:
            raise Refused(f"the archive has no entry {ascii(folder + name)[:120]}: cut short?")
        entry = entries[folder + name]
        begin = data[entry.header_offset : entry.header_offset + 30]
        if len(begin) < 30 or begin[:4] != b"PK\3\4":
            raise Refused(f"the archive's entry {name[:120]} is not where it should be: cut short?")
        start = entry.header_offset + 30 + sum(struct.unpack("<HH", begin[26:]))
        with memoryview(data) as view, view[start : start + entry.file_size] as part:
            if len(part) < entry.file_size or zlib.crc32(part) != entry.CRC:
                raise Refused(f"the archive's entry {name[:120]} is damaged: its checksum is another")
        return start, entry.file_size

    def begins(storage: Storage) -> int:
        start, size = place(f"data/{storage.key}")
        if size < storage.numbers * storage.kind.size:
            raise Refused(f"storage {storage.key[:40]} has {size} bytes, not {storage.numbers} numbers")
        return start

    if folder + "byteorder" in entries:
        start, size = place("byteorder")
        if data[start : start + size] != b"little":
            raise Refused("the archive was written on a big-endian machine: read it on one, and save it as safetensors")
    start, size = place("data.pkl")
    return Machine(described).run(io.BytesIO(data[start : start + size])), begins


def read_older(data: mmap.mmap) -> tuple[Any, Callable[[Storage], int]]:
    """What a file of before the archives holds: pickles one after another, then the storages."""
    used: dict[str, Storage] = {}

    def storage(saved: Any) -> Storage:
        found = described(saved)
        return used.setdefault(found.key, found)

    def other(saved: Any) -> Storage:
        raise Refused("a list of storages that refers to one")

    if (Machine(other).run(data), Machine(other).run(data)) != (_LEGACY, _VERSION):
        raise Refused("it is no file of torch's: neither an archive nor the older format")
    about = Machine(other).run(data)
    if type(about) is not dict or about.get("little_endian") is not True:
        raise Refused("the file was written on a big-endian machine: read it on one, and save it as safetensors")
    value, keys, starts = Machine(storage).run(data), Machine(other).run(data), dict[str, int]()
    if type(keys) is not list or set(map(type, keys)) - {str} or set(keys) != used.keys():
        raise Refused("the file's storages are not those that its tensors name")
    for key in keys:
        head = data.read(8)
        size = used[key].numbers * used[key].kind.size
        starts[key] = data.tell()
        if len(head) < 8 or struct.unpack("<q", head) != (used[key].numbers,) or starts[key] + size > len(data):
            raise Refused(f"storage {key[:40]} does not have its {used[key].numbers} numbers: cut short?")
        data.seek(size, io.SEEK_CUR)
    return value, lambda found: starts[found.key]
