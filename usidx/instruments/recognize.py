"""A file -> the reader for it: by what it holds, before what it is called."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import h5py

from usidx.errors import MissingFileError, SelectionError, TranslationError
from usidx.instruments.reader import HEAD_BYTES, Confidence, Reader, explain_failure
from usidx.instruments.registry import find_reader, load_readers

__all__ = ["Match", "choose_reader", "list_matches", "read_head"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: What the end of a name is worth, where the content tells nothing.
_BY_NAME = 0.2


@dataclass(frozen=True, slots=True)
class Match:
    """A reader that may read a file.

    Attributes
    ----------
    name : str
        Of the reader.
    reader : Reader
        Itself.
    confidence : float
        From 0 to 1.
    reason : str
        Why.
    """

    name: str
    reader: Reader
    confidence: float
    reason: str


def choose_reader(path: Path, reader: str | Reader | None = None) -> Match:
    """Return the reader that is given or named, or the one that is surest of a file.

    Raises
    ------
    MissingFileError
        There is no such file.
    SelectionError
        No reader has that name.
    TranslationError
        No reader knows the file, or several are equally sure of it; the message names them.
    """
    try:
        head = read_head(path)
    except TranslationError as err:
        named = reader if isinstance(reader, str) or reader is None else _name_reader(reader)
        raise TranslationError(err.reason, file=err.file, reader=named or "") from err
    if reader is not None and not isinstance(reader, str):
        return Match(_name_reader(reader), reader, 1.0, "given by the caller")
    if reader is not None:
        return Match(reader, find_reader(reader), 1.0, "named by the caller")
    matches = list_matches(path, head)
    if not matches:
        raise TranslationError(_explain_unknown(path, head), file=str(path))
    alike = [match.name for match in matches if match.confidence == matches[0].confidence]
    if len(alike) > 1:
        raise TranslationError(
            f"the readers {alike} are equally sure that it is theirs. Name one with reader=...", file=str(path)
        )
    return matches[0]


def _explain_unknown(path: Path, head: bytes) -> str:
    begins = f"no reader knows it (it begins with {head[:16]!r})"
    if not head.startswith(_HDF5):
        return f"{begins}. Name one with reader=..., if it is one of: {', '.join(sorted(load_readers()))}"
    try:
        with h5py.File(path, "r"):
            return f"{begins}. A USID file is opened by usidx.open_tree"
    except OSError as err:
        return f"it is an HDF5 file that is cut off or damaged ({err})"


def _name_reader(reader: Reader) -> str:
    if not isinstance(reader, Reader):
        raise SelectionError(f"reader={reader!r} is neither a name nor a reader, which has sniff and is called.")
    return str(getattr(reader, "name", type(reader).__name__))


def list_matches(path: Path, head: bytes) -> list[Match]:
    """Return the readers that may read a file, the surest first."""
    found = [_match(name, reader, path, head) for name, reader in load_readers().items()]
    return sorted((match for match in found if match.confidence > 0), key=lambda match: -match.confidence)


def _match(name: str, reader: Reader, path: Path, head: bytes) -> Match:
    try:
        sure = reader.sniff(path, head)
    except Exception as err:
        raise explain_failure(err, path, name) from err
    ending = next((e for e in getattr(reader, "extensions", ()) if path.name.lower().endswith(e)), None)
    if sure < _BY_NAME and ending is not None:
        sure = Confidence(_BY_NAME, f"its name ends in {ending!r}; its content tells nothing")
    return Match(name, reader, min(float(sure), 1.0), getattr(sure, "reason", ""))


def read_head(path: Path) -> bytes:
    """Return how a file begins.

    Raises
    ------
    MissingFileError
        There is no such file.
    TranslationError
        It is no file, or empty, or may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TranslationError("it is no file, but a folder, a pipe or a device", file=str(path))
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as err:
        raise MissingFileError(f"There is no file {str(path)!r}.") from err
    except OSError as err:
        raise TranslationError(err.strerror or str(err), file=str(path)) from err
    if not head:
        raise TranslationError("it is empty", file=str(path))
    return head
