"""What is to be exported -> a new file or folder beside which nothing is left, whole or not there at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from usidx.errors import ExistsError, MissingFileError, UsidError, WriteError
from usidx.io.read.place.place import FilePath, find_local_path

__all__ = ["MARK", "NOTES", "replace_target"]

#: File in a folder that says what a folder without attributes cannot.
NOTES: Final = "usidx-export.json"

#: What a folder that an export made has in it: one without it is somebody else's and is never replaced.
MARK: Final = (".zgroup", "zarr.json", NOTES)


@contextmanager
def replace_target(target: FilePath, source: Path | None, *, overwrite: bool) -> Iterator[Path]:
    """Give a path to write to; what was written there is the target when the block ends without an error.

    Parameters
    ----------
    target : path
        The file or folder to make.
    source : Path or None
        What is exported, which is never written to.
    overwrite : bool
        Whether the target may be there already.

    Raises
    ------
    ExistsError
        It is there and may not be replaced.
    MissingFileError
        There is no folder to make it in.
    WriteError
        It cannot be written.
    """
    path = find_local_path(target)
    _check_target(path, source, overwrite=overwrite)
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield beside
        _check_target(path, source, overwrite=overwrite)
        _put_in_place(beside, path)
    except OSError as err:
        if isinstance(err, UsidError):
            raise
        raise WriteError(f"{str(path)!r} cannot be written ({err}).") from err
    finally:
        _remove(beside)


def _check_target(path: Path, source: Path | None, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise MissingFileError(f"There is no folder {str(path.parent)!r} to write {path.name!r} in. Make it first.")
    if source is not None and path.exists() and source.exists() and os.path.samefile(path, source):
        raise ExistsError(f"{str(path)!r} is the file that is exported. Name another target.")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise ExistsError(
            f"{str(path)!r} is there already. Name another target, or say overwrite=True (in the shell --overwrite) to "
            f"replace it."
        )
    if path.is_dir() and not any((path / name).is_file() for name in MARK):
        raise ExistsError(
            f"{str(path)!r} is a folder that no export made, so it is not replaced. Name another target, or remove it."
        )
    if source is not None and path.is_dir() and path.resolve() in source.resolve().parents:
        raise ExistsError(f"{str(path)!r} holds the file that is exported. Name another target.")


def _put_in_place(beside: Path, path: Path) -> None:
    """Give what was written its name; a folder cannot take the place of another, so the old one steps aside first."""
    if not os.path.lexists(path) or not (path.is_dir() or beside.is_dir()):
        os.replace(beside, path)
        return
    aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.old")
    os.rename(path, aside)
    try:
        os.rename(beside, path)
    except OSError:
        os.rename(aside, path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    remove: Callable[[Path], None] = shutil.rmtree if path.is_dir() and not path.is_symlink() else os.unlink
    if os.path.lexists(path):
        remove(path)
