"""Datasets by path -> a file of HyperSpy: an experiment per variable, streamed; HyperSpy itself is not needed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.errors import UsidWarning
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.dims import Dim, list_dims
from usidx.instruments.export.nexus import copy_signal
from usidx.instruments.export.portable import clean_name, make_portable_attrs
from usidx.version import usidx_version

__all__ = ["describe_dim", "describe_signal", "write_hspy"]

#: Of the format as HyperSpy 1.7 and newer write it.
_VERSION: Final = "3.3"


def write_hspy(path: Path, contents: Contents, notes: Mapping[str, Any]) -> None:
    """Write an .hspy file.

    Arrays of texts are no signals; they are left out with a warning.
    """
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": _VERSION})
        experiments = file.create_group("Experiments")
        for name, node in contents.leaves.items():
            for signal in node.data_vars:
                _write_signal(experiments, name, node, str(signal), notes)


def _write_signal(experiments: h5py.Group, path: str, node: xr.Dataset, name: str, notes: Mapping[str, Any]) -> None:
    array = node[name]
    if array.dtype.kind not in "biufc":
        text = f"{name!r} of {path!r} holds {array.dtype}, which is no signal of HyperSpy; it is left out."
        warnings.warn(text, UsidWarning, stacklevel=2)
        return
    parts = [clean_name(p) for p in path.split("/") if p]
    title = "_".join([*parts, clean_name(name)] if parts[-1:] != [clean_name(name)] else parts)
    while title in experiments:
        title += "_"
    group = experiments.create_group(title)
    group.attrs.update({"package": "usidx", "package_version": usidx_version()})
    dims = list_dims(array)
    for number, dim in enumerate(dims):
        _write_mapping(group.create_group(f"axis-{number}"), describe_dim(dim, array.sizes[dim.name]))
    # HyperSpy opens nothing lazily that is not chunked.
    copy_signal(group, "data", array.variable.transpose(*(d.name for d in dims)), chunked=True)
    metadata, original = describe_signal(array, dims, title, {**node.attrs, **notes})
    _write_mapping(group.create_group("metadata"), metadata)
    _write_mapping(group.create_group("original_metadata"), original)
    for empty in ("learning_results", "attributes"):
        group.create_group(empty)
    group["attributes"].attrs["_lazy"] = False
    group["attributes"].attrs["ragged"] = False


def describe_dim(dim: Dim, size: int) -> dict[str, Any]:
    """Return an axis as HyperSpy describes it: even steps, any steps that rise or fall, or a count."""
    told = {"name": dim.name, "navigate": not dim.is_signal, "is_binned": False}
    if dim.is_even:
        step = dim.step if size > 1 else 1.0
        first = float(dim.values[0]) if size else 0.0
        return {"_type": "UniformDataAxis", **told, "units": dim.units, "scale": step, "offset": first, "size": size}
    if dim.is_ordered:
        return {"_type": "DataAxis", **told, "units": dim.units, "axis": dim.values}
    return {"_type": "UniformDataAxis", **told, "units": "", "scale": 1.0, "offset": 0.0, "size": size}


def describe_signal(
    array: xr.DataArray, dims: list[Dim], title: str, attrs: Mapping[Any, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metadata as HyperSpy has them, and all the others: attributes, and coordinates that are no axes."""
    quantity, units = str(array.attrs.get("long_name", "")), str(array.attrs.get("units", ""))
    named = f"{quantity or array.name} ({units})" if units else quantity or str(array.name)
    metadata = {"General": {"title": title}, "Signal": {"signal_type": "", "quantity": named}}
    axes = {d.name for d in dims if d.is_even or d.is_ordered}
    coordinates = {
        clean_name(str(name)): {"values": c.values, **make_portable_attrs(c.attrs)}
        for name, c in array.coords.items()
        if name not in axes and c.dtype.kind in "biufcU"
    }
    usidx = {"array": make_portable_attrs(array.attrs), "dataset": make_portable_attrs(attrs)}
    return metadata, {"usidx": {**usidx, "coordinates": coordinates, "units": {d.name: d.units for d in dims}}}


def _write_mapping(group: h5py.Group, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        key = clean_name(name)
        if isinstance(value, Mapping):
            _write_mapping(group.create_group(key), value)
        elif isinstance(value, np.ndarray) and value.dtype.kind != "U" and value.ndim:
            group.create_dataset(key, data=value)
        elif isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim):
            group.attrs[key] = [str(one) for one in np.asarray(value).reshape(-1)] if len(value) else "[]"
        elif isinstance(value, np.ndarray):
            group.attrs[key] = value[()]
        else:
            group.attrs[key] = value
