"""A file, or what is open of it -> a file or folder of another program's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import h5py
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.instruments.export.contents import Contents, open_contents, take_contents
from usidx.instruments.export.hspy import write_hspy
from usidx.instruments.export.icechunk import write_icechunk
from usidx.instruments.export.kerchunk import make_references
from usidx.instruments.export.nexus import copy_signal, write_nexus
from usidx.instruments.export.source import SOURCE, describe_source, find_file, take_source
from usidx.instruments.export.stores import write_netcdf, write_zarr
from usidx.instruments.export.tables import describe_tables, list_tables, write_table
from usidx.instruments.export.target import NOTES, replace_target
from usidx.instruments.export.view import make_view, relate
from usidx.instruments.read import read_instrument
from usidx.instruments.recognize import list_matches, read_head
from usidx.io.read.place.place import FilePath, Options, Place, find_local_path, find_place
from usidx.io.read.usid.inventory import list_mains
from usidx.version import usidx_version

__all__ = ["Target", "export"]

Target = Literal["nexus", "kerchunk", "icechunk", "netcdf", "zarr", "hspy", "csv"]


def export(
    path: FilePath | xr.DataArray | xr.Dataset | xr.DataTree,
    target: FilePath,
    *,
    group: str | None = None,
    to: Target = "nexus",
    copy: bool = True,
    overwrite: bool = False,
    storage_options: Options = None,
) -> str:
    """Export a file, or a part of it, to another format.

    Computes, block by block: never more than a few blocks are in memory. The target is there whole or not at all, and
    what is exported is never written to. Names, units, quantities, roles, coordinates, all attributes and the history
    go with the data.

    Parameters
    ----------
    path : path, URL, DataArray, Dataset or DataTree
        A USID file, a file of an instrument, or what is open: then nothing needs to be in a file.
    target : path
        The file to make; a folder for ``"zarr"`` and ``"icechunk"``, and for ``"csv"`` where not all variables are over
        the same dims.
    group : str, optional
        A main dataset, a results group, or a group with what lies below it: its HDF5 path, or an end of it. The whole
        file by default.
    to : {"nexus", "kerchunk", "icechunk", "netcdf", "zarr", "hspy", "csv"}
        Format: NeXus with an NXdata for each variable (``<name>_stderr`` as its errors); a reference store, JSON that
        says where the chunks lie in the file, for any reader of Zarr; the same references as a repository of Icechunk;
        netCDF-4; Zarr; HyperSpy; text with a line per cell.
    copy : bool, default True
        False makes a small NeXus file of virtual datasets, which shows the data where it lies. References never copy.
    overwrite : bool, default False
        Replace a target that is there.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`usidx.open_main`.

    Returns
    -------
    str
        The absolute path of the target.

    Raises
    ------
    ExistsError
        The target is there already, or is the file itself.
    GridError
        Without copying, rows in their order cannot be shown as a grid; the message says what to do.
    SelectionError
        `group` matches nothing or more than one thing, or there is no such format.
    MissingExtraError
        A package is not installed; the message names the extra.
    WriteError
        The target cannot be written.

    Examples
    --------
    >>> import usidx, tempfile, os
    >>> view = usidx.export(usidx.example_file(), f"{tempfile.mkdtemp()}/scan.nxs", copy=False)
    >>> os.path.getsize(view) < 16_000
    True
    """
    if to not in _WRITERS:
        raise SelectionError(f"There is no target to={to!r}; there are {', '.join(map(repr, _WRITERS))}.")
    if not copy and to not in {"nexus", *_REFERENCES}:
        raise UsidError(f"to={to!r} always copies. Without copying there are to='nexus', 'kerchunk' and 'icechunk'.")
    refers = to in _REFERENCES or not copy
    given = path if isinstance(path, xr.DataArray | xr.Dataset | xr.DataTree) else None
    place = None if given is not None else find_place(path, storage_options)
    if place is None and (refers or group is not None):
        what = "A reference to data" if refers else f"group={group!r}"
        raise UsidError(f"{what} needs the file that holds it, not a {type(path).__name__}. Give the path of the file.")
    file = _find_source(place, to if refers else None)
    with replace_target(target, file, overwrite=overwrite) as beside:
        source = None if file is None else take_source(file)
        if file is not None and not refers and _is_of_instrument(file):
            given = _read_instrument(file, group)
        contents = _open(place, given, group, refers=refers)
        notes = {"usidx_version": usidx_version()}
        if place is not None:
            relative = None if copy or file is None else relate(file, find_local_path(target).parent)
            notes[SOURCE] = describe_source(place.name, source, group, contents if refers else None, relative)
        _WRITERS[to](beside, contents, Job(find_local_path(target), notes, copy=copy, overwrite=overwrite))
        if source is not None:
            source.refuse_change()
    return str(find_local_path(target))


def _find_source(place: Place | None, to: str | None) -> Path | None:
    if place is None:
        return None
    if to is not None:
        return find_file(place, f"An export to {to!r} without a copy")
    found = Path(place.name)
    return found if found.is_file() else None


def _open(place: Place | None, given: Any, group: str | None, *, refers: bool) -> Contents:
    if place is None or given is not None:
        contents = take_contents(given)
    else:
        contents = open_contents(place, group, chunks=None if refers else {})
    if not contents.leaves:
        raise SelectionError(f"There is no data to export{'' if place is None else f' in {place.name!r}'}.")
    return contents


def _is_of_instrument(file: Path) -> bool:
    """Whether a file is no USID file: no HDF5, or HDF5 of a format that a reader knows by its content."""
    if not h5py.is_hdf5(file):
        return True
    return not list_mains(file) and any(match.confidence > 0.5 for match in list_matches(file, read_head(file)))


def _read_instrument(file: Path, group: str | None) -> xr.DataTree | xr.DataArray:
    """Read a file of an instrument, or the channel of it that is named."""
    tree = read_instrument(file)
    if group is None:
        return tree
    if group.strip("/") not in {node.path.strip("/") for node in tree.subtree}:
        channels = ", ".join(repr(leaf.path) for leaf in tree.leaves)
        raise SelectionError(f"There is no channel {group!r} in {str(file)!r}; there are {channels}.")
    return tree[group.strip("/")]


#: What never copies data.
_REFERENCES: Final = frozenset({"kerchunk", "icechunk"})


@dataclass(frozen=True, slots=True)
class Job:
    """What a writer needs to know beside the data."""

    target: Path
    notes: dict[str, Any]
    copy: bool
    overwrite: bool


def _write_nexus(beside: Path, contents: Contents, job: Job) -> None:
    put = copy_signal if job.copy else partial(make_view, folder=job.target.parent)
    # The newer version notes each piece of a virtual dataset in fewer bytes.
    write_nexus(beside, contents, put, job.notes, "v110" if job.copy else "v112")


def _write_references(beside: Path, contents: Contents, job: Job) -> None:
    text = json.dumps(make_references(contents, job.notes), allow_nan=False, indent=0)
    beside.write_text(text, encoding="utf-8")


def _write_icechunk(beside: Path, contents: Contents, job: Job) -> None:
    write_icechunk(beside, make_references(contents, job.notes)["refs"])
    (beside / NOTES).write_text(json.dumps(job.notes), encoding="utf-8")


def _write_csv(beside: Path, contents: Contents, job: Job) -> None:
    tables = list_tables(contents)
    described = describe_tables(contents, tables, job.notes)
    if len(tables) == 1:
        with replace_target(f"{job.target}.json", None, overwrite=job.overwrite) as about:
            about.write_text(described, encoding="utf-8")
            write_table(beside, next(iter(tables.values())))
        return
    beside.mkdir()
    for title, table in tables.items():
        write_table(beside / f"{title}.csv", table)
    (beside / NOTES).write_text(described, encoding="utf-8")


def _by_notes(write: Callable[[Path, Contents, dict[str, Any]], None]) -> Callable[[Path, Contents, Job], None]:
    return lambda beside, contents, job: write(beside, contents, job.notes)


_WRITERS: Final[Mapping[str, Callable[[Path, Contents, Job], None]]] = {
    "nexus": _write_nexus,
    "kerchunk": _write_references,
    "icechunk": _write_icechunk,
    "netcdf": _by_notes(write_netcdf),
    "zarr": _by_notes(write_zarr),
    "hspy": _by_notes(write_hspy),
    "csv": _write_csv,
}
