"""The tree of objects in a Gwyddion file -> dicts in which arrays of numbers are places in the file, not yet read.

http://gwyddion.net/documentation/user-guide-en/gwyfile-format.html
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from usidx.errors import TranslationError
from usidx.format.layout import Array

__all__ = ["Numbers", "Object", "read_objects"]

_MAGICS: Final = (b"GWYP", b"GWYO")
_NUMBERS: Final = {"C": "i1", "I": "<i4", "Q": "<i8", "D": "<f8"}
_SCALARS: Final = {"b": "<?", "c": "<b", "i": "<i", "q": "<q", "d": "<d"}
_DEEPEST: Final = 32
#: A file of a whole year's scans has a hundredth of it.
_MOST_ITEMS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array of numbers in the file."""

    path: Path
    offset: int
    dtype: np.dtype[Any]
    count: int

    def read(self) -> Array:
        """Read all of it; for short ones."""
        return np.fromfile(self.path, self.dtype, self.count, offset=self.offset)


@dataclass(frozen=True, slots=True)
class Object:
    """An object of Gwyddion: the name of its type, and its components by name."""

    kind: str
    items: dict[str, Any]

    def unit(self, name: str) -> str:
        """Return a component that is a unit."""
        found = self.items.get(name)
        return str(found.items.get("unitstr", "")) if isinstance(found, Object) else ""

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a component that is a number."""
        found = self.items.get(name, default)
        return float(found) if isinstance(found, int | float) else default


class _Walk:
    """A walk over the bytes; `end` is where the object ends that it is in."""

    def __init__(self, path: Path, content: Any) -> None:
        self.path, self.content, self.at, self.left = path, content, 4, _MOST_ITEMS

    def read_object(self, end: int, depth: int = 0) -> Object:
        if depth > _DEEPEST:
            raise TranslationError(f"its objects are nested deeper than {_DEEPEST}")
        kind = self._read_text(end)
        size = self._read_count(end)
        if self.at + size > end:
            raise TranslationError(f"it is cut off: the object {kind!r} promises {size} bytes")
        inner_end, items = self.at + size, {}
        while self.at < inner_end:
            self.left -= 1
            if self.left < 0:
                raise TranslationError(f"it has more than {_MOST_ITEMS} components")
            name = self._read_text(inner_end)
            items[name] = self._read_value(name, inner_end, depth)
        return Object(kind, items)

    def _read_value(self, name: str, end: int, depth: int) -> Any:
        code = chr(self._take(1, end)[0])
        if code in _SCALARS:
            layout = struct.Struct(_SCALARS[code])
            return layout.unpack(self._take(layout.size, end))[0]
        if code in _NUMBERS:
            dtype, count = np.dtype(_NUMBERS[code]), self._read_count(end)
            start = self.at
            self._skip(count * dtype.itemsize, end)
            return Numbers(self.path, start, dtype, count)
        if code == "s":
            return self._read_text(end)
        if code == "o":
            return self.read_object(end, depth + 1)
        if code == "S":
            return [self._read_text(end) for _ in range(self._read_short_count(end))]
        if code == "O":
            return [self.read_object(end, depth + 1) for _ in range(self._read_short_count(end))]
        raise TranslationError(f"its component {name[:40]!r} is of the unknown type {code!r}")

    def _read_count(self, end: int) -> int:
        return int(struct.unpack("<I", self._take(4, end))[0])

    def _read_short_count(self, end: int) -> int:
        count = self._read_count(end)
        self.left -= count
        if count > end - self.at or self.left < 0:
            raise TranslationError(f"it promises a list of {count} components")
        return count

    def _take(self, count: int, end: int) -> bytes:
        start = self.at
        self._skip(count, end)
        return bytes(self.content[start : start + count])

    def _skip(self, count: int, end: int) -> None:
        if self.at + count > end:
            raise TranslationError(f"it is cut off, or damaged, at byte {self.at}")
        self.at += count

    def _read_text(self, end: int) -> str:
        stop = self.content.find(b"\0", self.at, end)
        if stop < 0:
            raise TranslationError(f"it is cut off, or damaged, at byte {self.at}")
        text = bytes(self.content[self.at : stop]).decode("utf-8", "replace")
        self.at = stop + 1
        return text


def read_objects(path: Path) -> Object:
    """Return the object that a file holds.

    Raises
    ------
    TranslationError
        It is no Gwyddion file, or is cut off or damaged.
    """
    with path.open("rb") as file:
        if file.read(4) not in _MAGICS:
            raise TranslationError("it does not begin as a Gwyddion file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Walk(path, content).read_object(len(content))
