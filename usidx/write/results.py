"""A result or a labelled array -> the file it came from, or another; one pass over the data whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.format import names
from usidx.read.main import is_main
from usidx.results.provenance import PROVENANCE, source_of, steps
from usidx.results.schema import Entry, StoredResult, to_stored, tool_of
from usidx.write.attributes import book_keeping, set_attributes, set_json
from usidx.write.main import Shelf, create_main, free_name, safe_name
from usidx.write.transaction import create, transaction

__all__ = ["write"]

Store = tuple[Any, Any]  # (what, where to)


def write(data: xr.DataArray | xr.Dataset, path: str | PathLike[str] | None = None, *, name: str | None = None) -> str:
    """Write a labelled array as a main dataset, or a result as a results group.

    Computes: lazy data is computed block by block, all variables in one pass, and each block goes straight to the
    file. What exists is never changed: new groups get the next free number. An interrupted write leaves the file as
    it was.

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

    Returns
    -------
    str
        HDF5 path of the group, or of the main dataset.

    Raises
    ------
    ResultError
        No path is given and the data does not come from a file.
    RoleError, LayoutError
        A variable cannot be laid out as a main dataset.
    LockedError
        Another program has the file open.

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
    source = source_of(data)
    target = _target_path(path, source)
    if not _runs_here():
        # Workers cannot read the file while this process holds it for writing, so they compute first.
        data = dask.persist(data)[0]
    is_own = source is not None and target == Path(source[0])
    with _changes(target) as changes:
        if isinstance(data, xr.DataArray) and path is not None and not (is_own and _is_result(data)):
            return _write_array(changes, data, safe_name(name or str(data.name or "Raw_Data")))
        dataset = source[1] if source is not None else None
        return _write_result(changes, _as_result(data, name), name, dataset, source, is_own=is_own)


def _target_path(path: str | PathLike[str] | None, source: tuple[str, str] | None) -> Path:
    if path is not None:
        return Path(fspath(path)).expanduser().absolute()
    if source is None:
        raise ResultError("It is not recorded which file this came from. Name one: write(path).")
    if not Path(source[0]).exists():
        raise ResultError(f"The file that this came from, {source[0]!r}, is gone. Name another: write(path).")
    return Path(source[0])


@contextmanager
def _changes(path: Path) -> Iterator[Any]:
    with transaction(path) if path.exists() else create(path) as changes:
        yield changes


def _is_result(data: xr.DataArray) -> bool:
    recorded = steps(data)
    return bool(recorded) and recorded[-1]["tool"] != "open"


def _as_result(data: xr.DataArray | xr.Dataset, name: str | None) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data
    own = safe_name(name or str(data.name or "Data"))
    result = data.rename(own).to_dataset()
    return result.assign_attrs({PROVENANCE: data.attrs[PROVENANCE]} if PROVENANCE in data.attrs else {})


def _write_array(changes: Any, array: xr.DataArray, name: str) -> str:
    measurement = changes.file.create_group(_next_group(changes.file, "Measurement"))
    channel = measurement.create_group("Channel_000")
    for group in (measurement, channel):
        set_attributes(group, book_keeping())
    dataset, target = create_main(channel, array, name, Shelf())
    path = str(dataset.name)
    _store([(array.data, target)], changes.check)
    return path


def _next_group(parent: h5py.Group, stem: str) -> str:
    """Return the stem with the number after the highest one that is there."""
    ends = [key[len(stem) + 1 :] for key in parent if key.startswith(f"{stem}_")]
    return f"{stem}_{max((int(e) for e in ends if e.isdecimal()), default=-1) + 1:03d}"


def _write_result(
    changes: Any,
    result: xr.Dataset,
    name: str | None,
    dataset: str | None,
    source: tuple[str, str] | None,
    *,
    is_own: bool,
) -> str:
    stored = to_stored(result)
    file = changes.file
    origin = file.get(dataset) if is_own and dataset is not None else None
    shelf = Shelf()
    if isinstance(origin, h5py.Dataset) and is_main(origin):
        shelf.add_main(origin)
        parent = origin.parent
    else:
        origin = None
        parent = file.require_group("Measurement_000/Channel_000")
    stem = safe_name((dataset or "Data").rsplit("/", 1)[-1])
    tool = safe_name(name or stored.tool or tool_of(result).title)
    group = parent.create_group(_next_group(parent, f"{stem}-{tool}"))
    _describe(group, stored, result, tool, origin, source)
    pairs = [_create(group, entry, shelf) for entry in stored.entries]
    path = str(group.name)
    _store(pairs, changes.check)
    return path


def _describe(
    group: h5py.Group,
    stored: StoredResult,
    result: xr.Dataset,
    tool: str,
    origin: h5py.Dataset | None,
    source: tuple[str, str] | None,
) -> None:
    """Set the attributes that tell old programs and people what the group is."""
    set_attributes(group, {**stored.parameters, **book_keeping()})
    set_attributes(group, {"tool": tool, "algorithm": stored.algorithm, "num_source_dsets": 1})
    if origin is not None:
        group.attrs["source_000"] = origin.ref
    elif source is not None:
        set_attributes(group, {"source_file_path": source[0], "source_dataset_path": source[1]})
    if PROVENANCE in result.attrs:
        set_attributes(group, {PROVENANCE: result.attrs[PROVENANCE]})
    elif steps(result):
        set_attributes(group, {PROVENANCE: next(iter(result.data_vars.values())).attrs[PROVENANCE]})
    set_json(group, names.RESULT_HINTS, stored.hints)


def _create(group: h5py.Group, entry: Entry, shelf: Shelf) -> Store:
    if entry.is_main:
        bare = entry.data.copy(deep=False)
        bare.attrs.pop(PROVENANCE, None)  # kept once, on the group
        return bare.data, create_main(group, bare, entry.name, shelf)[1]
    data = entry.data
    made = group.create_dataset(free_name(group, entry.name), shape=data.shape, dtype=data.dtype)
    set_attributes(made, {k: v for k, v in data.attrs.items() if k != PROVENANCE})
    return data.data, made


def _store(pairs: Sequence[Store], check: Callable[[], None]) -> None:
    """Compute what is lazy, once, and put every block where it belongs."""
    for data, target in pairs:
        if not dask.is_dask_collection(data):
            _put(target, (slice(None),) * np.ndim(data), data)
    lazy = [(data, target) for data, target in pairs if dask.is_dask_collection(data)]
    if lazy:
        arrays, targets = [a for a, _ in lazy], [t for _, t in lazy]
        if _runs_here():
            da.store(arrays, targets, lock=False, return_stored=False)  # targets and h5py lock for themselves
        else:
            _fetch(arrays, targets)
    check()


def _runs_here() -> bool:
    """Say whether tasks run in this process, where the open file is."""
    scheduler = dask.base.get_scheduler()
    return scheduler is None or scheduler in {dask.threaded.get, dask.local.get_sync}


def _fetch(arrays: Sequence[Any], targets: Sequence[Any]) -> None:
    """Fetch blocks one by one from where they were computed; only this process may write."""
    for array, target in zip(arrays, targets, strict=True):
        for index in np.ndindex(*array.numblocks):
            bounds = [np.cumsum([0, *sizes]) for sizes in array.chunks]
            key = tuple(slice(int(b[i]), int(b[i + 1])) for b, i in zip(bounds, index, strict=True))
            _put(target, key, array.blocks[index].compute())


def _put(target: Any, key: tuple[slice, ...], block: Any) -> None:
    if isinstance(target, h5py.Dataset) and target.shape == ():
        target[()] = block
    else:
        target[key] = block
