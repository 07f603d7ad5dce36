"""An open file -> where HDF5 has its superblock, and what it says of who writes the file."""

from __future__ import annotations

from dataclasses import dataclass

from usidx.io.disk.raw import RawFile

__all__ = ["LONGEST", "Superblock", "find_superblock"]

#: More than any superblock takes, in bytes.
LONGEST = 128

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST = 512
# What a superblock of each version takes besides its addresses, and how many of these there are.
_FIXED = {0: (24, 4), 1: (28, 4), 2: (16, 4), 3: (16, 4)}
# Of versions 0 and 1: the entry of the root group behind it holds two addresses and these.
_ENTRY = 24
_WRITING, _SWMR = 1, 4


@dataclass(frozen=True, slots=True)
class Superblock:
    """The bytes in which every HDF5 program notes how long the file is.

    Parameters
    ----------
    address : int
        Where it begins: 0, or the size of the user block before it.
    content : bytes
        What it holds.
    """

    address: int
    content: bytes

    @property
    def is_flagged(self) -> bool:
        """Whether it says that a program has the file open for writing; only versions from 2 on can."""
        return self.content[8] >= 2 and bool(self.content[11] & (_WRITING | _SWMR))


def find_superblock(file: RawFile) -> Superblock | None:
    """Look for a superblock where HDF5 does: at the start, at 512 and at each power of two behind it."""
    size, address = file.measure(), 0
    while address + len(_SIGNATURE) < size:
        head = file.read(address, LONGEST)
        if head.startswith(_SIGNATURE):
            return Superblock(address, head[: _measure(head)])
        address = address * 2 or _FIRST
    return None


def _measure(head: bytes) -> int:
    """Return the length of a superblock; of a version that is not known, all that was read."""
    version = head[8]
    if version not in _FIXED:
        return LONGEST
    fixed, addresses = _FIXED[version]
    width = head[13] if version < 2 else head[9]
    entry = 2 * width + _ENTRY if version < 2 else 0
    return min(fixed + addresses * width + entry, LONGEST)
