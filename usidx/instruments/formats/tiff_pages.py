"""A TIFF file -> the tags of its first page; enough to know whose it is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

__all__ = ["Tag", "is_tiff", "read_tags"]

#: Code -> (type, count, where the value lies, or its offset's place where it fits into four bytes).
Tag = tuple[int, int, int]

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_MOST_TAGS: Final = 4096


def is_tiff(head: bytes) -> bool:
    """Say whether a file begins as a TIFF does, small or big."""
    return head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def read_tags(path: Path) -> dict[int, Tag]:
    """Return the tags of the first page of a small TIFF in Intel order; none where it is another file."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[:4] != b"II*\0" or len(head) < 8:
            return {}
        start = struct.unpack("<I", head[4:])[0]
        file.seek(start)
        counted = file.read(2)
        if len(counted) < 2:
            return {}
        count = min(struct.unpack("<H", counted)[0], _MOST_TAGS)
        table = file.read(12 * count)
    found = {}
    for number in range(len(table) // 12):
        code, kind, entries, value = struct.unpack_from("<HHII", table, 12 * number)
        fits = entries * _SIZES.get(kind, 1) <= 4
        found[code] = (kind, entries, start + 2 + 12 * number + 8 if fits else value)
    return found
