"""A file -> the names of what lies beside it while it is written: its journal, its draft, the line of who waits."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

__all__ = ["find_draft_path", "find_journal_path", "find_line_path"]

#: The longest name that file systems take, in bytes.
_LONGEST = 255


def find_journal_path(path: Path) -> Path:
    """Return where the undo journal of a file lies while it is being written."""
    return _place_beside(path, "", ".usidx-journal")


def find_draft_path(path: Path) -> Path:
    """Return where a new file grows before it gets its name."""
    return _place_beside(path, ".", ".usidx-draft")


def find_line_path(path: Path) -> Path:
    """Return where those who wait for their turn to write a file stand in line."""
    return _place_beside(path, ".", ".usidx-line")


def _place_beside(path: Path, start: str, end: str) -> Path:
    """Name a companion; where that would be too long, the name is cut, and a digest tells it from its neighbours."""
    name = os.fsencode(path.name)
    room = _LONGEST - len(start) - len(end)
    if len(name) > room:
        mark = b"-" + blake2b(name, digest_size=8).hexdigest().encode()
        whole = name[: room - len(mark)].decode("utf-8", errors="ignore")  # no half character at the cut
        name = whole.encode() + mark
    return path.with_name(start + os.fsdecode(name) + end)
