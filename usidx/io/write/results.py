"""A result or a labelled array -> the file it came from, or another; one pass over the data whatever its size."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import xarray as xr
from dask import is_dask_collection

from usidx.errors import ResultError, UsidWarning
from usidx.format import names
from usidx.io.read.place.opened import opened_file
from usidx.io.read.place.place import local_path, place_of
from usidx.io.read.place.remote import RemoteFile
from usidx.io.read.usid.attributes import text_attribute
from usidx.io.read.usid.main import is_main
from usidx.io.write.attributes import book_keeping, set_attributes, set_json
from usidx.io.write.blocks.storage import Storage
from usidx.io.write.blocks.store import Store, patience, store
from usidx.io.write.checkpoint import Earlier, find_earlier, mark_unfinished, runs_per_position, store_in_batches
from usidx.io.write.main import Shelf, create_main, free_name, safe_name, target_of
from usidx.io.write.transaction import create, transaction
from usidx.results.provenance import PROVENANCE, source_of, steps
from usidx.results.schema import Entry, StoredResult, to_stored
from usidx.tasks.progress import show_progress

__all__ = ["write"]


def write(
    data: xr.DataArray | xr.Dataset,
    path: str | PathLike[str] | None = None,
    *,
    name: str | None = None,
    compression: str | int | None = None,
    chunks: tuple[int, int] | None = None,
    reuse: bool = True,
    progress: bool = True,
    wait: float | None = None,
) -> str:
    """Write a labelled array as a main dataset, or a result as a results group.

    Computes: lazy data is computed block by block, all variables in one pass, and each block goes straight to the
    file. What exists is never changed: new groups get the next free number. An interrupted write leaves the file as
    it was, but for lazy results that are computed position by position (fits, :func:`usidx.map_positions`): they are
    committed in batches, and the same call goes on where it stopped.

    Parameters
    ----------
    data : DataArray or Dataset
        A Dataset becomes the group ``<source>-<tool>_NNN``, as does a DataArray that is written without a path. A
        DataArray with a path becomes a main dataset in a new ``Measurement_NNN/Channel_000``. Dims need roles; see
        :func:`usidx.set_roles`.
    path : path, optional
        A file, new or not. By default the file that the data came from.
    name : str, optional
        For a DataArray the name of the dataset, for a Dataset that of the tool. By default the array's own name, or
        that of the verb that made the result.
    compression : "gzip" or int, optional
        Shuffle and deflate main datasets, with the filters of HDF5 that every program reads, in several threads:
        "gzip" at the fastest level, an int from 0 to 9 at that level. By default they are contiguous and as they are.
    chunks : tuple of int, optional
        (rows, columns) of the HDF5 chunks of main datasets: how many positions by how many spectroscopic steps. By
        default, where there is compression, about 256 x 256, which serves both one spectrum and one image.
    reuse : bool, default True
        Return the group that the same call on the same source made before, if there is one, without computing again;
        go on with it where it is not finished.
    progress : bool, default True
        Show a progress bar for work that takes more than a moment.
    wait : float, optional
        Seconds to wait while another program has the file locked; by default 2, and 30 where workers of a cluster read.

    Returns
    -------
    str
        HDF5 path of the group, or of the main dataset.

    Raises
    ------
    ResultError
        No path is given and the data does not come from a file.
    UsidError
        Compression or chunks are not as above.
    RoleError, LayoutError
        A variable cannot be laid out as a main dataset.
    LockedError
        Another program has the file open, and not even waiting helped; the message names it.
    WriteError
        The disk is full or failed; the file is as it was.

    References
    ----------
    USID, https://pycroscopy.github.io/USID/h5_usid.html

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> usidx.write(raw.usid.svd(4))
    '/Measurement_000/Channel_000/Raw_Data-SVD_000'
    """
    place = _Place.of(data, path, name, Storage.parse(compression, chunks), patience() if wait is None else wait)
    if place.is_plain:
        assert isinstance(data, xr.DataArray)
        return _write_array(place, data, progress=progress)
    return _write_result(place, _as_result(data, name), name, reuse=reuse, progress=progress)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something is to be written.

    Attributes
    ----------
    file : Path
        The HDF5 file, there or not.
    source : tuple of str or None
        (file, dataset) that the data came from.
    is_own : bool
        Whether that is the same file.
    is_plain : bool
        Whether it becomes a main dataset of its own instead of a results group.
    name : str
        Of that main dataset.
    storage : Storage
        Compression and chunks.
    wait : float
        Seconds to wait for the file.
    """

    file: Path
    source: tuple[str, str] | None
    is_own: bool
    is_plain: bool
    name: str
    storage: Storage
    wait: float

    @classmethod
    def of(
        cls,
        data: xr.DataArray | xr.Dataset,
        path: str | PathLike[str] | None,
        name: str | None,
        storage: Storage,
        wait: float,
    ) -> _Place:
        source = source_of(data)
        file = _target_path(path, source)
        is_own = source is not None and file == Path(source[0])
        recorded = steps(data)
        is_result = bool(recorded) and recorded[-1]["tool"] != "open"
        is_plain = isinstance(data, xr.DataArray) and path is not None and not (is_own and is_result)
        main = safe_name(name or str(getattr(data, "name", None) or "Raw_Data"))
        return cls(file, source, is_own, is_plain, main, storage, wait)

    def changes(self) -> Any:
        """Open the file for changes, or make it."""
        return transaction(self.file, wait=self.wait, ahead=False) if self.file.exists() else create(self.file)


def _target_path(path: str | PathLike[str] | None, source: tuple[str, str] | None) -> Path:
    if path is not None:
        return local_path(path)
    if source is None:
        raise ResultError("It is not recorded which file this came from. Name one: write(path).")
    if isinstance(place_of(source[0]), RemoteFile):
        raise ResultError(
            f"This came from the URL {source[0]!r}, and usidx only reads those. Name a local file: write(path)."
        )
    if not Path(source[0]).exists():
        raise ResultError(f"The file that this came from, {source[0]!r}, is gone. Name another: write(path).")
    return Path(source[0])


def _as_result(data: xr.DataArray | xr.Dataset, name: str | None) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data
    own = safe_name(name or str(data.name or "Data"))
    result = data.rename(own).to_dataset()
    return result.assign_attrs({PROVENANCE: data.attrs[PROVENANCE]} if PROVENANCE in data.attrs else {})


def _write_array(place: _Place, array: xr.DataArray, *, progress: bool) -> str:
    with show_progress(progress), place.changes() as changes:
        measurement = changes.file.create_group(_next_group(changes.file, "Measurement"))
        channel = measurement.create_group("Channel_000")
        for group in (measurement, channel):
            set_attributes(group, book_keeping())
        storage = replace(place.storage, at_once=True)
        dataset, target = create_main(channel, array, place.name, Shelf(), storage=storage)
        path = str(dataset.name)
        store([(array.data, target)], changes.check, changes.ground, progress=progress)
        return path


def _next_group(parent: h5py.Group, stem: str) -> str:
    """Return the stem with the number after the highest one that is there."""
    ends = [key[len(stem) + 1 :] for key in parent if key.startswith(f"{stem}_")]
    return f"{stem}_{max((int(e) for e in ends if e.isdecimal()), default=-1) + 1:03d}"


def _write_result(place: _Place, result: xr.Dataset, name: str | None, *, reuse: bool, progress: bool) -> str:
    stored = to_stored(result)
    tool = safe_name(name or stored.tool)
    earlier = _earlier(place, stored, tool, result) if reuse else None
    if earlier is not None and earlier.done == earlier.size:
        return earlier.path
    # What lies in memory beside the data, such as the axis that was fitted along, is stored with the group.
    lasting = [e for e in stored.entries if e.is_main or is_dask_collection(e.data.data)]
    if not (place.is_own and runs_per_position(lasting)):
        return _write_at_once(place, stored, tool, result, progress=progress)
    if earlier is not None:
        _say_resumed(earlier)
        path = earlier.path
    else:
        path = _begin(place, stored, tool, result, lasting)
    store_in_batches(
        place.file,
        path,
        lasting,
        lambda group: [target_of(group[e.name], e.data) for e in lasting],
        progress=progress,
        wait=place.wait,
    )
    return path


def _begin(place: _Place, stored: StoredResult, tool: str, result: xr.Dataset, lasting: Sequence[Entry]) -> str:
    """Make the group with nothing done yet, but for what is small."""
    with place.changes() as changes:
        group, pairs = _create_group(changes.file, place, stored, tool, result)
        of = dict(zip((e.name for e in stored.entries), pairs, strict=True))
        mark_unfinished(group, of[lasting[0].name][1].dataset.shape[0])
        later = {e.name for e in lasting}
        store([pair for name, pair in of.items() if name not in later], changes.check)
        return str(group.name)


def _write_at_once(place: _Place, stored: StoredResult, tool: str, result: xr.Dataset, *, progress: bool) -> str:
    with show_progress(progress), place.changes() as changes:
        place = replace(place, storage=replace(place.storage, at_once=True))
        group, pairs = _create_group(changes.file, place, stored, tool, result)
        path = str(group.name)
        store(pairs, changes.check, changes.ground, progress=progress)
        return path


def _earlier(place: _Place, stored: StoredResult, tool: str, result: xr.Dataset) -> Earlier | None:
    """Look for the same work before any is done, and without keeping others from the file."""
    recipe = _recipe(result)
    if recipe is None or not place.is_own or not place.file.exists():
        return None
    with opened_file(place.file) as file:
        origin = _origin(file, place, stored, result)
        if origin is None:
            return None
        stem = safe_name(str(origin.name).rsplit("/", 1)[-1])
        return find_earlier(origin.parent, stem, tool, origin, recipe)


def _say_resumed(earlier: Earlier) -> None:
    warnings.warn(
        f"{earlier.path!r} holds {earlier.done} of {earlier.size} positions from an earlier run of the same call; "
        f"going on from there. Pass reuse=False to start anew.",
        UsidWarning,
        stacklevel=4,
    )


def _origin(file: h5py.File, place: _Place, stored: StoredResult, result: xr.Dataset) -> h5py.Dataset | None:
    """Return the source, where it is a main dataset of the same file."""
    found = file.get(place.source[1]) if place.is_own and place.source is not None else None
    if not isinstance(found, h5py.Dataset) or not is_main(found):
        return None
    return _made_of(found, stored.source, result) or found


def _made_of(origin: h5py.Dataset, name: str, result: xr.Dataset) -> h5py.Dataset | None:
    """Return the named dataset of the earlier result that this one was made of, where that lies beside the source."""
    recorded = steps(result)[:-1] if name else []
    while recorded and recorded[-1]["tool"] != "open":
        recipe = json.dumps(recorded)
        for key in sorted(origin.parent, reverse=True):
            group = origin.parent.get(key)  # None for a link that leads nowhere
            if isinstance(group, h5py.Group) and text_attribute(group, PROVENANCE) == recipe:
                found = group.get(name)
                if isinstance(found, h5py.Dataset) and is_main(found):
                    return found
        recorded = recorded[:-1]
    return None


def _recipe(result: xr.Dataset) -> str | None:
    """Return the steps as text; a Dataset put together by hand has them on its variables."""
    if PROVENANCE in result.attrs:
        return str(result.attrs[PROVENANCE])
    return str(next(iter(result.data_vars.values())).attrs[PROVENANCE]) if steps(result) else None


def _create_group(
    file: h5py.File, place: _Place, stored: StoredResult, tool: str, result: xr.Dataset
) -> tuple[h5py.Group, Sequence[Store]]:
    """Make the results group beside its source, with all its datasets but no data."""
    origin = _origin(file, place, stored, result)
    shelf = Shelf()
    if origin is not None:
        shelf.add_main(origin)
        parent = origin.parent
    else:
        parent = file.require_group("Measurement_000/Channel_000")
    source = str(origin.name) if origin is not None else place.source[1] if place.source else "Data"
    stem = safe_name(source.rsplit("/", 1)[-1])
    group = parent.create_group(_next_group(parent, f"{stem}-{tool}"))
    set_attributes(group, {**stored.parameters, **book_keeping()})
    set_attributes(group, {"tool": tool, "algorithm": stored.algorithm, "num_source_dsets": 1})
    if origin is not None:
        group.attrs["source_000"] = origin.ref
    elif place.source is not None:
        set_attributes(group, {"source_file_path": place.source[0], "source_dataset_path": place.source[1]})
    recipe = _recipe(result)
    set_attributes(group, {} if recipe is None else {PROVENANCE: recipe})
    set_json(group, names.RESULT_HINTS, stored.hints)
    return group, [_create(group, entry, shelf, place.storage) for entry in stored.entries]


def _create(group: h5py.Group, entry: Entry, shelf: Shelf, storage: Storage) -> Store:
    if entry.is_main:
        bare = entry.data.copy(deep=False)
        bare.attrs.pop(PROVENANCE, None)  # kept once, on the group
        return bare.data, create_main(group, bare, entry.name, shelf, storage=storage)[1]
    data = entry.data
    made = group.create_dataset(free_name(group, entry.name), shape=data.shape, dtype=data.dtype)
    set_attributes(made, {k: v for k, v in data.attrs.items() if k != PROVENANCE})
    return data.data, made
