"""Files of instruments -> one USID file, streamed, which is there whole or not at all."""

from __future__ import annotations

import glob
import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import h5py
import xarray as xr

from usidx.errors import ExistsError, MissingFileError, UsidError, UsidWarning
from usidx.format.names import CHANNEL, MEASUREMENT, NODE, PROVENANCE
from usidx.instruments.digest import RunningDigest
from usidx.instruments.measurements import collect_measurements
from usidx.instruments.read import SHA256, read_file
from usidx.instruments.reader import Reader
from usidx.instruments.recognize import list_matches, read_head
from usidx.io.disk.companions import find_journal_path
from usidx.io.read.place.place import find_local_path
from usidx.io.write.results import write
from usidx.results.provenance import parse_steps

__all__ = ["convert"]

_LOG = logging.getLogger(__name__)

FilePath = str | PathLike[str]

#: Of a folder, files that a reader is less sure of are left aside: notes, pictures of the microscope.
_CLEAR: Final = 0.15


def convert(
    sources: FilePath | Iterable[FilePath],
    target: FilePath,
    *,
    reader: str | Reader | None = None,
    position: Iterable[str] | str | None = None,
    spectroscopic: Iterable[str] | str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Convert files of instruments into one USID file.

    Computes: data goes block by block from file to file, in memory that does not grow with it. The target appears when
    it is complete; whatever goes wrong leaves nothing behind, and what was there as it was.

    Parameters
    ----------
    sources : path, pattern, folder, or an iterable of these
        ``"grid.3ds"``, ``"2026-11-29/*.sxm"``, a folder of files of one experiment. Each file becomes a measurement
        with a channel for each of its arrays; arrays on other grids than the first become measurements of their own,
        and files on the same grid whose channels have other names become channels beside them. Files of a folder that
        no reader knows are left out, with a warning.
    target : path
        The USID file to make.
    reader : str or Reader, optional
        Name of the reader for all of them, see :func:`usidx.list_readers`, or a reader of your own. By default the one
        that is surest of each.
    position, spectroscopic : str or iterable of str, optional
        Dims that say where, and dims that were swept, of each file that does not say, or whose reader decides
        otherwise; as in :func:`usidx.read_instrument`.
    overwrite : bool, default False
        Replace the target where it exists. By default that is an error.
    progress : bool, default True
        Show a progress bar for work that takes more than a moment.

    Returns
    -------
    Path
        Of the target.

    Raises
    ------
    MissingFileError
        There is no such source, or no folder for the target.
    ExistsError
        The target exists.
    MissingExtraError
        The package that reads a source is not installed; the message says which extra has it.
    TranslationError
        A source is damaged, or of no known format, or it is not clear what its dims mean: then name them.
    WriteError
        The disk is full or failed.

    Examples
    --------
    >>> import tempfile, numpy as np, usidx
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/height.npy", np.zeros((20, 30)))
    >>> target = usidx.convert(f"{folder}/height.npy", f"{folder}/height.h5")
    >>> usidx.open_main(target).dims
    ('Y', 'X')
    """
    path = find_local_path(target)
    files = list(dict.fromkeys(_list_sources(sources, reader)))
    _check_target(path, files, overwrite)
    digests = [RunningDigest(file) for file in files]
    try:
        trees = [read_file(file, reader, position, spectroscopic, digested=-1) for file in files]
        _write_whole(trees, digests, path, overwrite, progress)
    finally:
        for digest in digests:
            digest.stop()
    _LOG.info("convert: %d files, in %s", len(files), path)
    return path


def _list_sources(sources: FilePath | Iterable[FilePath], reader: str | Reader | None) -> Iterator[Path]:
    each = [sources] if isinstance(sources, str | PathLike) else list(sources)
    if not each:
        raise MissingFileError("No source is given.")
    for source in each:
        path = find_local_path(source)
        if path.is_dir():
            yield from _list_folder(path, reader)
        elif path.exists() or not glob.has_magic(fspath(path)):
            read_head(path)
            yield path
        else:
            found = sorted(Path(name) for name in glob.glob(fspath(path)) if Path(name).is_file())
            if not found:
                raise MissingFileError(f"No file is called like {fspath(path)!r}.")
            yield from found


def _list_folder(folder: Path, reader: str | Reader | None) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    known = files if reader is not None else [file for file in files if _is_known(file)]
    if not known:
        raise MissingFileError(f"No reader knows any file of the folder {fspath(folder)!r}.")
    left = [file.name for file in files if file not in known and not _goes_with(file, known)]
    if left:
        warnings.warn(
            f"No reader knows {len(left)} of {len(files)} files of {fspath(folder)!r}, which are left out: "
            f"{', '.join(left[:5])}{', ...' if len(left) > 5 else ''}.",
            UsidWarning,
            stacklevel=4,
        )
    return known


def _goes_with(file: Path, known: list[Path]) -> bool:
    """Say whether a file is the header that lies beside another one."""
    return file.suffix.lower() in {".hdr", ".json"} and any(other.stem == file.stem for other in known)


def _is_known(file: Path) -> bool:
    if not file.stat().st_size:
        return False
    matches = list_matches(file, read_head(file))
    return bool(matches) and matches[0].confidence > _CLEAR


def _check_target(path: Path, files: Iterable[Path], overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise MissingFileError(f"There is no folder {str(path.parent)!r} to make {path.name!r} in.")
    if path.is_dir():
        raise ExistsError(f"{str(path)!r} is a folder.")
    if path.exists() and any(os.path.samefile(path, file) for file in files):
        raise ExistsError(f"{str(path)!r} is one of the sources.")
    if not overwrite and os.path.lexists(path):
        raise ExistsError(f"{str(path)!r} exists. Pass overwrite=True (in the shell --overwrite) to replace it.")
    if overwrite and path.exists() and find_journal_path(path).exists():
        raise ExistsError(f"{str(path)!r} is being written, or waits to be recovered: see usidx.recover.")


def _write_whole(
    trees: list[xr.DataTree], digests: list[RunningDigest], path: Path, overwrite: bool, progress: bool
) -> None:
    """Write beside the target, and rename when all is there."""
    beside = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        write(_arrange(trees), beside, progress=progress)
        _tell_digests(beside, {str(digest.file): digest.wait() for digest in digests})
        _put_in_place(beside, path, overwrite)
    finally:
        beside.unlink(missing_ok=True)


def _put_in_place(beside: Path, path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise ExistsError(f"{str(path)!r} was made by another program meanwhile.")
    os.replace(beside, path)


def _arrange(trees: list[xr.DataTree]) -> xr.DataTree:
    """Return one tree with the paths of a USID file."""
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset()}
    for number, measurement in enumerate(collect_measurements(trees)):
        top = f"/{MEASUREMENT}_{number:03d}"
        nodes[top] = xr.Dataset(attrs=measurement.attrs)
        for count, (where, leaf) in enumerate(measurement.leaves):
            channel = f"{top}/{CHANNEL}_{count:03d}"
            nodes[channel] = xr.Dataset(attrs={NODE: where, **leaf.attrs})
            for name in map(str, leaf.data_vars):
                title = _make_title(where, name, len(leaf.data_vars))
                nodes[f"{channel}/{title}"] = leaf[[name]].rename({name: title}).assign_attrs({})
    return xr.DataTree.from_dict(nodes)


def _make_title(where: str, name: str, count: int) -> str:
    """Name a main dataset so that it is found by its name: ``Current_forward``, for there are others called forward."""
    parts = [part for part in where.split("/") if part]
    told = [*parts[:-1], name] if count == 1 else [*parts, name]
    return "_".join(told).replace("/", "_")


def _tell_digests(file: Path, digests: Mapping[str, str]) -> None:
    """Put what the contents of the sources (by path) are known by into the first steps.

    They were digested while they were converted.
    """
    named = {Path(path).name: digest for path, digest in digests.items()}

    def tell(_: str, object_: Any) -> None:
        steps = parse_steps(text) if isinstance(text := object_.attrs.get(PROVENANCE), str) else []
        path = str(steps[0].get("parameters", {}).get("path")) if steps else ""
        if path in digests and steps[0]["tool"] == "read_instrument":
            steps[0][SHA256] = digests[path]
            object_.attrs[PROVENANCE] = json.dumps(steps)
        if SHA256 not in object_.attrs and object_.attrs.get("instrument_file") in named:
            object_.attrs[SHA256] = named[object_.attrs["instrument_file"]]

    try:
        with h5py.File(file, "r+") as opened:
            opened.visititems(tell)
    except OSError as err:
        raise UsidError(f"{str(file)!r} could not be completed: {err}") from err
