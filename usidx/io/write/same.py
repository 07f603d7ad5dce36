"""Labelled arrays, and main datasets in a file -> in what they differ, cell by cell if need be.

What is compared is what a write would store: name, type, both sides, quantity, units, attributes and hints of each,
then every cell, bit by bit. The values of all arrays are computed and read once, together, and no further than to the
first block that differs; nothing is written.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import h5py
import numpy as np
import xarray as xr

from usidx.errors import UsidError, UsidWarning
from usidx.format import names
from usidx.format.grid import find_grid
from usidx.format.layout import Array, Layout
from usidx.format.packing import pack
from usidx.io.disk.recovery import open_shared
from usidx.io.read.place.open_errors import make_unreadable_error
from usidx.io.read.place.opened import open_place
from usidx.io.read.place.place import find_place
from usidx.io.read.usid.attributes import restore_attribute
from usidx.io.read.usid.datasets import FIELD, open_main_dataset
from usidx.io.read.usid.main import read_layout
from usidx.io.read.usid.tables import Tables
from usidx.io.write.attributes import convert_value
from usidx.io.write.blocks.store import store
from usidx.label.coding import is_opened_alike
from usidx.label.encoding import find_layout
from usidx.results.provenance import parse_steps, remove_seals

__all__ = ["are_attributes_equal", "find_difference", "have_equal_values", "stream", "wait_until_readable"]


def stream(array: xr.DataArray) -> Any:
    """Return the data as `store` takes it: what was not read yet in blocks that fit the file, the rest as it is."""
    if array.variable._in_memory or array.chunks is not None:
        return array.data
    preferred = array.encoding.get("preferred_chunks", {})
    return array.variable.chunk({d: n for d, n in preferred.items() if d in array.dims}).data


def wait_until_readable(file: Path, wait: float) -> None:
    """Wait while another program has the file locked, as the write that follows would."""
    try:
        with open_shared(file, wait=wait):
            pass
    except UsidError:
        raise
    except OSError as err:
        if file.is_dir():
            raise UsidError(f"{str(file)!r} is a folder. Name a file in it.") from err
        raise make_unreadable_error(str(file), err) from err


def find_difference(dataset: h5py.Dataset, array: xr.DataArray, name: str, tables: Tables | None = None) -> str | None:
    """Return the first thing in which a main dataset is not what writing the array would store, its cells aside.

    Parameters
    ----------
    dataset : h5py.Dataset
        In a file that is open for reading.
    array : DataArray
        Dims with roles. Nothing of it is computed.
    name : str
        Under which it would be stored.
    tables : Tables, optional
        Tables that were read before, shared by the mains of one file.

    Returns
    -------
    str or None
        In words, for a message.
    """
    if dataset.shape is None or dataset.dtype != array.dtype or dataset.size != array.size:
        return f"{dataset.shape} cells of {dataset.dtype}, not {array.shape} of {array.dtype}"
    given, _ = find_layout(array, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UsidWarning)  # what it lacks matters to who opens it
            stored = read_layout(dataset, tables)
    except UsidError as err:
        return f"something else: {err}"
    return next((text for text, is_equal in _compare_parts(given, stored, dataset) if not is_equal), None)


def _compare_parts(given: Layout, stored: Layout, dataset: h5py.Dataset) -> Iterable[tuple[str, bool]]:
    yield f"{stored.shape} rows and columns, not {given.shape}", stored.shape == given.shape
    yield (
        f"{stored.quantity!r} in {stored.units!r}, not {given.quantity!r} in {given.units!r}",
        (stored.quantity.strip(), stored.units.strip()) == (given.quantity.strip(), given.units.strip()),
    )
    for mine, other in ((given.position, stored.position), (given.spectroscopic, stored.spectroscopic)):
        yield f"other {mine.role} coordinates", is_opened_alike(mine, find_grid(mine), other, find_grid(other))
    yield "its dims in another order, or further coordinates", json.loads(json.dumps(given.hints)) == stored.hints
    yield "another history", _read_history(given.attributes, dataset) == _read_history(stored.attributes, dataset)
    yield "other attributes", are_attributes_equal(given.attributes, stored.attributes, names.TAKEN)


def _read_history(attributes: Mapping[str, Any], dataset: h5py.Dataset) -> list[dict[str, Any]]:
    """Return the recorded steps; that an array was opened from the dataset itself makes no difference."""
    text = attributes.get(names.PROVENANCE)
    recorded = parse_steps(text) if isinstance(text, str) else []
    last = recorded[-1] if recorded else {"tool": ""}
    is_itself = last["tool"] == "open" and (last.get("file"), last.get("dataset")) == (
        dataset.file.filename,
        dataset.name,
    )
    return remove_seals(recorded[:-1] if is_itself else recorded)


def are_attributes_equal(
    given: Mapping[str, Any], stored: Mapping[str, Any], aside: Container[str] = names.BOOK_KEEPING
) -> bool:
    """Compare attributes as they open with those that would be stored; history and what is put aside do not count."""
    mine = {n: _as_opened(v) for n, v in given.items() if n not in aside and n != names.PROVENANCE}
    others = {n: v for n, v in stored.items() if n not in aside and n != names.PROVENANCE}
    return mine.keys() == others.keys() and all(_is_equal(v, others[n]) for n, v in mine.items())


def _as_opened(value: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsidWarning)  # said when it is written
        stored, mark = convert_value(value)
    return restore_attribute(stored, mark, str)


def _is_equal(one: Any, other: Any) -> bool:
    """Compare as JSON says it, types included, but for those that HDF5 has no two of."""
    first, second = (_normalize(value) for value in (one, other))
    return bool(json.dumps(pack(first), sort_keys=True) == json.dumps(pack(second), sort_keys=True))


def _normalize(value: Any) -> Any:
    """Return numbers as h5py reads them."""
    if isinstance(value, np.ndarray) and value.dtype == object:  # texts on their way to the file
        return value.reshape(-1).tolist()
    is_number = isinstance(value, int | float | complex) and not isinstance(value, bool)
    return np.asarray(value)[()] if is_number else value


class _Different(Exception):
    """A block is not what the file holds."""


class _Comparison:
    """Takes the blocks of an array as a target does, and compares each with the same cells of a main dataset."""

    def __init__(self, stored: xr.Dataset, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        titles = [v.attrs.get(FIELD) for v in stored.data_vars.values()]
        self._fields = dict(zip(titles, (v.variable for v in stored.data_vars.values()), strict=True))
        self._name = uuid4().hex

    def __dask_tokenize__(self) -> str:
        return self._name

    def __setitem__(self, key: tuple[slice, ...], block: Array) -> None:
        for title, variable in self._fields.items():
            cells = np.asarray(block) if title is None else np.asarray(block)[title]
            found = variable[key].values.astype(cells.dtype, copy=False)
            if found.shape != cells.shape or not np.array_equal(_view_bits(found), _view_bits(cells)):
                raise _Different


def _view_bits(cells: Array) -> Array:
    return np.ascontiguousarray(cells).reshape(-1).view(np.uint8)


def have_equal_values(path: str, pairs: Sequence[tuple[str, xr.DataArray]]) -> bool:
    """Say whether main datasets hold the cells of arrays from which they differ in nothing else.

    Computes: all arrays in one pass, no further than to the first difference. No more than a few blocks are in memory.

    Parameters
    ----------
    path : str
        The file; it must not be open for writing.
    pairs : sequence of (str, DataArray)
        HDF5 paths of the datasets, each with its array.
    """
    with open_place(find_place(path)) as (file, origin), warnings.catch_warnings():
        warnings.simplefilter("ignore", UsidWarning)
        tables = Tables()
        found = [open_main_dataset(file[name], origin, tables=tables) for name, _ in pairs]
    compared = []
    for stored, (_, array) in zip(found, pairs, strict=True):
        if any(v.dims != array.dims for v in stored.data_vars.values()):
            return False
        compared.append((_cut_in_blocks(array, stored), _Comparison(stored, array.dtype)))
    try:
        store(compared, _check_nothing)
    except _Different:
        return False
    return True


def _cut_in_blocks(array: xr.DataArray, stored: xr.Dataset) -> Any:
    """Cut what lies in memory where the file is best read; else one block would read all of it at once."""
    data = stream(array)
    if dask.is_dask_collection(data) or not array.ndim:
        return data
    preferred = next(iter(stored.data_vars.values())).encoding["preferred_chunks"]
    return da.from_array(data, chunks=tuple(preferred[d] for d in array.dims), name=False)


def _check_nothing() -> None:
    """Raise nothing: no file is written."""
