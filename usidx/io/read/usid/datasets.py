"""Objects of an open file -> xarray Datasets whose variables are read when they are looked at."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from math import prod
from typing import Any

import h5py
import numpy as np
import xarray as xr

from usidx.errors import SelectionError, UsidError, UsidWarning
from usidx.escapes import escape_controls
from usidx.format.layout import Array, Layout
from usidx.format.shielded import shield
from usidx.io.read.chunks.block_sizes import choose_main_blocks, choose_plain_blocks
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.chunks.elsewhere import is_made_of_others
from usidx.io.read.chunks.lazy import Lazy, MainArray, PlainArray
from usidx.io.read.chunks.plugins import lies_elsewhere
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.opened import Origin
from usidx.io.read.place.place import Place, find_place
from usidx.io.read.place.remote import RemoteFile
from usidx.io.read.usid.attributes import read_attributes, read_text_attribute
from usidx.io.read.usid.main import read_layout, say_where
from usidx.io.read.usid.paths import Paths
from usidx.io.read.usid.scales import name_dims
from usidx.io.read.usid.tables import Tables
from usidx.io.read.usid.texts import read_texts
from usidx.label.coding import Frame, parse_field
from usidx.results.provenance import PROVENANCE, Step, make_opening_step, parse_steps

__all__ = ["FIELD", "choose_field", "digest_sample", "make_extra_variable", "open_group_dataset", "open_main_dataset"]

#: Attribute of a variable that keeps the title of the compound field it came from.
FIELD = "usid_field"
_SAMPLES, _SAMPLE_CELLS = 16, 1024
# Chunks of so many bytes take longer to decode through HDF5, one after another, than their map takes to collect.
_LARGE_CHUNK = 256 << 10
# Reading so much at once takes no longer than reading it row by row.
_SMALL = 64 << 10


def open_main_dataset(
    dataset: h5py.Dataset, origin: Origin | None = None, *, squeeze: bool = True, tables: Tables | None = None
) -> xr.Dataset:
    """Return a main dataset as a Dataset: one variable, or one per field of a compound type."""
    place = _find_place(dataset, origin)
    tables = Tables() if tables is None else tables
    lies_elsewhere(dataset)  # refused here, and not at the first read
    layout = read_layout(dataset, tables)
    frame = tables.frame_of(layout, squeeze=squeeze)
    fields = _list_fields(dataset, layout, frame)
    found = digest_sample(dataset, place, None if origin is None else origin.mark)
    steps = [*_read_earlier_steps(dataset), make_opening_step(place.name, str(dataset.name), found)]
    told = {PROVENANCE: json.dumps(steps)}
    variables: dict[Hashable, xr.Variable] = {}
    for name, field, unit in fields:
        variables[name] = _make_main_variable(describe_stored_array(dataset, field, place), frame, name, field, unit)
        variables[name].attrs.pop(PROVENANCE, None)  # it is long: last, behind what one looks for
        variables[name].attrs.update(told)
    return _labelled(variables, frame.coords, {**({} if layout.dtype.names is None else frame.attrs), **told})


def _labelled(variables: dict[Hashable, xr.Variable], coords: xr.Coordinates, attrs: dict[str, Any]) -> xr.Dataset:
    """Return a Dataset as `xr.Dataset` does of variables that are known to fit, with coordinates of its own.

    A tree has one for every main dataset, and xarray's checks would take a quarter of the time to open it.
    """
    for name, variable in coords.variables.items():
        is_index = isinstance(variable, xr.IndexVariable)  # nobody can write to one
        variables[name] = variable.copy(deep=False) if is_index else variable.copy(data=variable.values.copy())
    indexes: dict[Any, xr.Index] = dict(coords.xindexes)
    return xr.Dataset._construct_direct(variables, set(coords), attrs=attrs, indexes=indexes)


def _find_place(dataset: h5py.Dataset, origin: Origin | None) -> Place:
    """Return where the file is that holds a dataset."""
    return (find_place(str(dataset.file.filename)) if origin is None else origin.place).find_place_of(dataset)


def _read_earlier_steps(dataset: h5py.Dataset) -> list[Step]:
    """Return the steps that were recorded when the dataset, or the results group that holds it, was written."""
    text = read_text_attribute(dataset, PROVENANCE)
    if text is None:
        # Not `dataset.parent`, which makes an object for the file first.
        path = str(dataset.name).rsplit("/", 1)[0] or "/"
        text = read_text_attribute(h5py.Group(h5py.h5g.open(dataset.id, path.encode())), PROVENANCE)
    return [] if text is None else parse_steps(text)


def _list_fields(dataset: h5py.Dataset, layout: Layout, frame: Frame) -> list[tuple[str, str | None, str | None]]:
    """List (name, field of the compound type, unit) of each variable."""
    taken = {str(c) for c in frame.coords} | set(frame.dims)
    if layout.dtype.names is None:
        _check_type(dataset, layout.dtype)
        return [(_choose_free_name(taken, frame.name), None, None)]
    listed: list[tuple[str, str | None, str | None]] = []
    for field in layout.dtype.names:
        _check_type(dataset, layout.dtype[field], field)
        name, unit = parse_field(field)
        listed.append((_choose_free_name(taken, name), field, unit))
    return listed


def _choose_free_name(taken: set[str], name: str) -> str:
    """Return a name that no coordinate, dim or other field bears, and take it."""
    while not name or name in taken:
        name += "_"
    taken.add(name)
    return name


def _check_type(dataset: h5py.Dataset, dtype: np.dtype[Any], field: str | None = None) -> None:
    if dtype.kind not in "biufc" or dtype.shape:
        part = "it has " if field is None else f"field {field!r} has "
        raise UsidError(
            f"{say_where(dataset)}: {part}the type {dtype}, which is not a number; it cannot be opened as data."
        )


def _make_main_variable(
    stored: StoredArray, frame: Frame, name: str, field: str | None, unit: str | None
) -> xr.Variable:
    attrs = dict(frame.attrs)
    if field is not None:
        attrs = {"long_name": name, "units": unit, FIELD: shield(field)}
    lazy = Lazy(MainArray(stored, frame.placement))
    blocks = choose_main_blocks(frame.placement, stored.dtype.itemsize, stored.chunks)
    encoding = {**frame.encoding, "preferred_chunks": dict(zip(frame.dims, blocks, strict=True))}
    return xr.Variable(frame.dims, lazy, attrs, encoding)


def open_group_dataset(
    group: h5py.Group, extras: Iterable[str], origin: Origin | None = None, paths: Paths | None = None
) -> xr.Dataset:
    """Return a group as a Dataset: its attributes, and its datasets that are neither mains nor ancillaries.

    Dims are named after their scales, where HDF5's dimension scales say so, and else after their sizes.
    """
    named = {escape_controls(path.rsplit("/", 1)[-1]): path for path in extras}
    variables, sizes = {}, dict[str, int]()
    for name, path in named.items():
        try:
            variable = make_extra_variable(group.file[path], named, origin, paths, sizes)
        except DAMAGE as err:  # it must not hide the others
            text = f"{path!r} in {group.file.filename!r} is left out: it is damaged, or of an unknown type ({err})."
            warnings.warn(text, UsidWarning, stacklevel=4)
            continue
        if variable is not None:
            variables[name] = variable
    attrs = read_attributes(group, paths=paths)
    # Most groups hold nothing but others, and a file may have thousands.
    return _join_extras(variables, attrs) if variables else xr.Dataset._construct_direct({}, set(), attrs=attrs)


def _join_extras(variables: dict[str, xr.Variable], attrs: dict[str, Any]) -> xr.Dataset:
    """Return extra datasets as a Dataset; scales become coordinates, those that are not small without an index."""
    scales = {name: one for name, one in variables.items() if one.dims == (name,)}
    held = xr.Dataset({name: one for name, one in variables.items() if name not in scales}, attrs=attrs)
    for name, scale in scales.items():
        held = held.assign_coords(xr.Coordinates({name: scale}, indexes={}))
        if scale.nbytes <= _SMALL:
            try:
                held = held.set_xindex(name)
            except (*DAMAGE, UsidError, TypeError):
                continue  # it is said where it is read
    return held


def make_extra_variable(
    dataset: h5py.Dataset,
    taken: Mapping[str, str] | None = None,
    origin: Origin | None = None,
    paths: Paths | None = None,
    sizes: dict[str, int] | None = None,
) -> xr.Variable | None:
    """Return a dataset that is no main as a lazy variable, None where it holds nothing that can be shown.

    `taken` are names that its dims must not have, with their paths, and `sizes` the dims of its group so far.
    """
    if dataset.shape is None or h5py.check_ref_dtype(dataset.dtype) is not None:
        return None  # nothing stored, or references: links between objects, not data
    lies_elsewhere(dataset)
    attrs = read_attributes(dataset, paths=paths)
    dims = name_dims(dataset, taken or {}, {} if sizes is None else sizes)
    if dataset.dtype.kind in "OSU":
        texts = read_texts(dataset)
        return None if texts is None else xr.Variable(dims, texts, attrs)
    stored = describe_stored_array(dataset, None, _find_place(dataset, origin))
    if stored.dtype.kind not in "biufcV":
        return None
    if stored.dtype.hasobject:
        raise UsidError("texts within other types are not read")
    encoding = {}
    if dims:
        blocks = choose_plain_blocks(dataset.shape, stored.dtype.itemsize, dataset.chunks)
        encoding["preferred_chunks"] = dict(zip(dims, blocks, strict=True))
    return xr.Variable(dims, Lazy(PlainArray(stored)), attrs, encoding)


def digest_sample(dataset: h5py.Dataset, place: Place, mark: str | None = None) -> str:
    """Return a short digest of shape, type and a sample of cells, to tell later whether a source is the same.

    What marks the version of the file stands for the sample where there is such a mark: each row of an object is a
    request of its own. Empty where the sample cannot be read.
    """
    digest = blake2b(f"{dataset.shape} {dataset.dtype.str}".encode(), digest_size=12)
    if mark is not None:
        digest.update(mark.encode())
        return digest.hexdigest()
    if is_made_of_others(dataset):
        return ""
    rows, columns = dataset.shape
    wanted = sorted(set(np.linspace(0, rows - 1, min(rows, _SAMPLES)).astype(int).tolist()))
    try:
        for sample in _read_sample(dataset, place, wanted, slice(0, min(columns, _SAMPLE_CELLS))):
            digest.update(np.ascontiguousarray(sample, dataset.dtype).tobytes())
    except (OSError, UsidError):
        return ""  # damaged, or a filter is not installed: reading will say so
    return digest.hexdigest()


def _read_sample(dataset: h5py.Dataset, place: Place, rows: Sequence[int], columns: slice) -> Iterable[Array]:
    if dataset.nbytes <= _SMALL:
        whole = read_part(dataset)
        return (whole[row, columns] for row in rows)
    chunk = 0 if dataset.chunks is None else prod(dataset.chunks) * dataset.dtype.itemsize
    # Of an object HDF5 would ask for one row after another.
    if not isinstance(place, RemoteFile) and (dataset.compression is None or chunk < _LARGE_CHUNK):
        return (read_part(dataset, (slice(row, row + 1), columns))[0] for row in rows)
    return iter(describe_stored_array(dataset, None, place).read(np.array(rows), columns))


def choose_field(data: xr.Dataset, name: str, field: str | None) -> xr.DataArray:
    """Return the one variable of a main dataset, or of its fields the one that is named.

    Raises
    ------
    SelectionError
        The type is compound and no field is named, or the name is that of none.
    """
    titles = {str(n): str(v.attrs.get(FIELD, n)) for n, v in data.data_vars.items()}
    if field is None and len(titles) == 1:
        return data[next(iter(titles))]
    for variable, title in titles.items():
        if field is not None and field in {variable, title}:
            return data[variable]
    listed = ", ".join(repr(title) for title in titles.values())
    if field is None:
        raise SelectionError(
            f"{name!r} holds {len(titles)} fields: {listed}. Name one with field=..., "
            f"or open all of them with usidx.open_dataset(path, {name!r})."
        )
    raise SelectionError(f"{name!r} has no field {field!r}; the fields are {listed}.")
