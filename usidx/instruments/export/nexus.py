"""Datasets by path -> a NeXus file: a group per node, an NXdata with axes, units and errors per variable.

What is common to files that hold the data and to files that only show it: how a signal comes into the file is for
`put` to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.instruments.export.blocks import choose_chunk, iterate_blocks
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.portable import clean_name
from usidx.io.write.attributes import set_attributes
from usidx.label.coding import LABEL
from usidx.label.roles import SPECTROSCOPIC, find_role
from usidx.version import usidx_version

__all__ = ["Put", "copy_signal", "write_nexus"]

#: Puts a variable into a group under a name; returns the dims of the dataset.
Put = Callable[[h5py.Group, str, xr.Variable], tuple[str, ...]]

_STDERR: Final = "_stderr"
# What viewers take from the attributes of a dataset: those of a user's own that are called so get another name.
_MEANT: Final = frozenset({"signal", "axes", "axis", "NX_class", "default", "errors", "target", "interpretation"})
_CHUNK: Final = 1 << 20


def write_nexus(path: Path, contents: Contents, put: Put, notes: Mapping[str, Any], version: str = "v110") -> None:
    """Write a NeXus file.

    Parameters
    ----------
    path : Path
        The file to make.
    contents : Contents
        What goes into it.
    put : callable
        Puts each signal into its group.
    notes : mapping
        Attributes of the root.
    version : str
        Of HDF5, the oldest that can read the file.
    """
    with h5py.File(path, "w", libver=(version, "latest")) as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": f"usidx {usidx_version()}"})
        file.attrs["file_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        set_attributes(file, notes)
        entry = _make_group(file, "entry", "NXentry")
        for name, node in contents.nodes.items():
            _write_node(entry, name, node, put)
        shown = contents.alone or next(iter(contents.leaves), None)
        if shown is not None:
            _point_to(entry, shown)


def _write_node(entry: h5py.Group, name: str, node: xr.Dataset, put: Put) -> None:
    """Write a node: of one variable an NXdata, of several a collection with an NXdata each."""
    group = entry
    for part in (clean_name(p) for p in name.split("/") if p):
        group = group[part] if part in group else _make_group(group, part, "NXcollection")
    errors = {n: f"{n}{_STDERR}" for n in map(str, node.data_vars) if f"{n}{_STDERR}" in node.data_vars}
    signals = [str(n) for n in node.data_vars if n not in errors.values()]
    _set_free_attributes(group, node.attrs)
    if len(signals) == 1 and group is not entry:
        group.attrs["NX_class"] = "NXdata"
        _write_data(group, node, signals[0], errors.get(signals[0]), put)
        return
    taken: set[str] = set(group)
    for signal in signals:
        title = clean_name(signal)
        while title in taken:
            title += "_"
        taken.add(title)
        _write_data(_make_group(group, title, "NXdata"), node, signal, errors.get(signal), put)
        group.attrs.setdefault("default", title)


def _make_group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name, track_order=True)
    group.attrs["NX_class"] = kind
    return group


def _set_free_attributes(object_: h5py.Group | h5py.Dataset, attrs: Mapping[Any, Any]) -> None:
    set_attributes(object_, {f"usid_{n}" if n in _MEANT else str(n) or "_": v for n, v in attrs.items()})


def _write_data(group: h5py.Group, node: xr.Dataset, signal: str, errors: str | None, put: Put) -> None:
    array = node[signal]
    title = clean_name(signal)
    dims = put(group, title, array.variable)
    _set_free_attributes(group[title], _label(array.attrs, signal, title))
    names = {str(name): _choose_axis_name(str(name), title) for name in array.coords}
    group.attrs["signal"] = title
    if dims:
        group.attrs["axes"] = [names[d] if d in array.coords and array.coords[d].ndim == 1 else "." for d in dims]
    meant = _interpret(array, dims)
    if meant:
        group[title].attrs["interpretation"] = meant
    for name, coordinate in array.coords.items():
        _write_axis(group, names[str(name)], coordinate, dims)
    if errors is not None:
        held = node[errors]
        if set(held.dims) == set(array.dims):
            put(group, f"{title}_errors", held.variable.transpose(*array.dims))
            _set_free_attributes(group[f"{title}_errors"], held.attrs)


def _interpret(array: xr.DataArray, dims: Sequence[str]) -> str:
    """Say what viewers show in one piece: a spectrum, or an image or pattern of the last two dims."""
    swept = [find_role(array, dim) == SPECTROSCOPIC for dim in dims]
    if any(swept) and swept[-1]:
        return "image" if swept[-2:] == [True, True] and sum(swept) == 2 else "spectrum"
    return "image" if len(dims) >= 2 and not any(swept) else ""


def _choose_axis_name(name: str, signal: str) -> str:
    plain = "_".join(clean_name(name).split())  # readers take a name with a space for two names
    return f"{plain}_axis" if plain in {signal, f"{signal}_errors"} else plain


def _label(attrs: Mapping[Any, Any], name: str, title: str) -> dict[Any, Any]:
    return {**attrs, LABEL: name} if name != title else dict(attrs)


def _write_axis(group: h5py.Group, title: str, coordinate: xr.DataArray, dims: tuple[str, ...]) -> None:
    """Write a coordinate; one over several dims says over which, as NeXus has it."""
    kept = [d for d in dims if d in coordinate.dims]
    copy_signal(group, title, coordinate.variable.transpose(*kept))
    _set_free_attributes(group[title], _label(coordinate.attrs, str(coordinate.name), title))
    if kept:
        group.attrs[f"{title}_indices"] = np.array([dims.index(d) for d in kept], dtype=np.int64)


def copy_signal(group: h5py.Group, name: str, variable: xr.Variable, *, chunked: bool = False) -> tuple[str, ...]:
    """Copy a variable into a group, block by block; small ones lie in one piece, unless `chunked`."""
    if variable.dtype.kind in "OUSMm":
        texts = np.asarray(variable.values).astype(str).astype(object)
        group.create_dataset(name, data=texts, dtype=h5py.string_dtype(), shape=variable.shape)
        return tuple(map(str, variable.dims))
    dataset = group.create_dataset(name, variable.shape, variable.dtype, **_choose_storage(variable, chunked=chunked))
    for where, block in iterate_blocks(variable):
        dataset[where or ()] = block
    return tuple(map(str, variable.dims))


def _choose_storage(variable: xr.Variable, *, chunked: bool) -> dict[str, Any]:
    """Compress what is large, in chunks of about 1 MiB that do not cross the blocks that are written."""
    if prod(variable.shape) * variable.dtype.itemsize <= _CHUNK:
        return {"chunks": variable.shape} if chunked and variable.size and variable.ndim else {}
    chunk = choose_chunk(variable, _CHUNK)
    return {"chunks": chunk, "compression": "gzip", "compression_opts": 1, "shuffle": True}


def _point_to(entry: h5py.Group, name: str) -> None:
    """Lead viewers from the root to what they are to show first."""
    group = entry
    for part in (clean_name(p) for p in name.split("/") if p):
        group.attrs["default"] = part
        group = group[part]
