"""A place -> its HDF5 file, open for reading for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import h5py

from usidx.errors import UsidError
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.place import FilePath, Options, Place, find_place

__all__ = ["Origin", "open_file_at", "open_place"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an open file is, and what marks its version for good: None where nothing does."""

    place: Place
    mark: str | None


@contextmanager
def open_file_at(path: FilePath | Place, storage_options: Options = None) -> Iterator[h5py.File]:
    """Open a file for reading for as long as the block lasts.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    UsidError
        It is not an HDF5 file, or is damaged beyond opening.
    """
    with open_place(find_place(path, storage_options)) as (file, _):
        yield file


@contextmanager
def open_place(place: Place) -> Iterator[tuple[h5py.File, Origin]]:
    """Open a file as `open_file_at` does; beside it what is known of where it comes from."""
    with place.open() as (file, mark):
        try:
            yield file, Origin(place, mark)
        except DAMAGE as err:
            if isinstance(err, UsidError) or not _comes_from_hdf5(err):
                raise
            raise UsidError(f"{place.name!r} is damaged: HDF5 cannot read a part of it ({err}).") from err


def _comes_from_hdf5(error: BaseException) -> bool:
    """Say whether h5py raised an error, rather than what is done with the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "h5py" in trace.tb_frame.f_code.co_filename
