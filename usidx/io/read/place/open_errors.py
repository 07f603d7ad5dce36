"""What HDF5 said when it could not open a file -> what is wrong with the file, and what to do."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from usidx.errors import MissingFileError, UsidError
from usidx.format.other_formats import recognize_bytes

__all__ = ["DAMAGE", "make_missing_error", "make_unreadable_error"]

#: What h5py raises at objects that are damaged, or of a type that it does not know.
DAMAGE = (OSError, TypeError, KeyError, ValueError, RuntimeError)

_REASONS = {
    "file signature not found": "it is no HDF5 file, or its beginning is lost.",
    "truncated file": "it is cut off, as after a copy or a download that did not finish.",
    "consistency flags": "the program that writes it has it open, or ended without closing it. If it has ended, "
    "copy the file and take the mark off the copy with HDF5's own tool: h5clear -s FILE",
    "Permission denied": "you may not read it. Ask its owner, or copy it to where you may.",
}


def make_missing_error(name: str) -> MissingFileError:
    """Return the error for a path where no file is: what there is of a similar name, or which folder is missing."""
    path = Path(name)
    try:
        beside = os.listdir(path.parent)
    except OSError:
        return MissingFileError(f"There is no file {name!r}: there is no folder {str(path.parent)!r} to look in.")
    alike = difflib.get_close_matches(path.name, beside, n=3)
    hint = f" Its folder holds {', '.join(map(repr, alike))}." if alike else ""
    return MissingFileError(f"There is no file {name!r}.{hint}")


def make_unreadable_error(name: str, error: OSError, size: int | None = None, head: bytes = b"") -> UsidError:
    """Return the error for a file that does not open.

    Parameters
    ----------
    name : str
        What the user calls it.
    error : OSError
        What h5py raised.
    size : int, optional
        Bytes of the file.
    head : bytes, optional
        How it begins.
    """
    other = recognize_bytes(name, head) if head else None
    if other is not None:
        return UsidError(f"{name!r} cannot be opened as HDF5. {other.describe(name)}")
    said = str(error)
    reasons = (reason for words, reason in _REASONS.items() if words in said)
    reason = "it is empty." if size == 0 else next(reasons, "it is damaged, or no HDF5 file.")
    return UsidError(f"{name!r} cannot be opened as HDF5: {reason} ({error})")
