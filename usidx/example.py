"""A small file to try things on, made on the spot."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from os import PathLike, fspath
from pathlib import Path

from usidx.errors import ExistsError
from usidx.io.write.results import write
from usidx.simulate.resonances import band_excitation

__all__ = ["example_file"]


def example_file(path: str | PathLike[str] | None = None) -> str:
    """Write a small simulated band-excitation scan to a file: the one that the pages of the documentation use.

    Parameters
    ----------
    path : path, optional
        Where to, such as ``"scan.h5"``. By default a temporary folder that is removed when Python ends.

    Returns
    -------
    str
        The path; the main dataset is ``/Measurement_000/Channel_000/Raw_Data``, dims (Y, X, Frequency).

    Raises
    ------
    ExistsError
        A file of that name exists.

    Examples
    --------
    >>> import usidx
    >>> usidx.list_mains(usidx.example_file())
    ['/Measurement_000/Channel_000/Raw_Data']
    """
    if path is None:
        folder = tempfile.mkdtemp(prefix="usidx-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = str(Path(folder) / "scan.h5")
    if Path(path).exists():
        raise ExistsError(f"{fspath(path)!r} exists; give another name, or none for a temporary file.")
    scan, _ = band_excitation(shape=(12, 10), frequencies=32)
    write(scan, path)
    return fspath(path)
