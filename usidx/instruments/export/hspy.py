"""Datasets by path -> a file of HyperSpy: an experiment per variable, streamed; HyperSpy itself is not needed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.errors import UsidWarning
from usidx.format.layout import Array
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.nexus import copy_signal
from usidx.instruments.export.portable import clean_name, make_portable_attrs
from usidx.label.roles import POSITION, SPECTROSCOPIC, find_role
from usidx.version import usidx_version

__all__ = ["Dim", "describe_dim", "describe_signal", "list_dims", "write_hspy"]

#: Of the format as HyperSpy 1.7 and newer write it.
_VERSION: Final = "3.3"
# Of a step: as far as single precision keeps the places of thousands of even steps.
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Dim:
    """A dim with its coordinate.

    Attributes
    ----------
    name, units, quantity : str
        Of the coordinate.
    values : ndarray
        Of the coordinate, the count of steps where there is none.
    is_swept : bool
        Whether it is spectroscopic.
    is_signal : bool
        Whether it is an axis of what is looked at in one piece: a spectrum, or an image where nothing was swept.
    """

    name: str
    units: str
    quantity: str
    values: Array
    is_swept: bool
    is_signal: bool

    @property
    def is_even(self) -> bool:
        """Whether its values rise or fall by one step."""
        if self.values.size < 2:
            return True
        steps = np.arange(self.values.size) * self.step + float(self.values[0])
        return self.step != 0 and bool(np.abs(steps - self.values).max() <= _TOLERANCE * abs(self.step))

    @property
    def is_ordered(self) -> bool:
        """Whether no value comes twice, and all rise or all fall."""
        steps = np.diff(self.values)
        return bool(np.isfinite(self.values).all() and ((steps > 0).all() or (steps < 0).all()))

    @property
    def step(self) -> float:
        """Mean step, 1 where there is one value."""
        n = self.values.size
        return (float(self.values[-1]) - float(self.values[0])) / (n - 1) if n > 1 else 1.0


def list_dims(data: xr.DataArray) -> list[Dim]:
    """List the dims in the order of a signal: those that are gone through first, then those of what is looked at.

    What is looked at are spectra, or images where no dim is spectroscopic; where none has a role, the last dim.
    """
    swept = [d for d in data.dims if find_role(data, d) == SPECTROSCOPIC]
    places = [d for d in data.dims if find_role(data, d) == POSITION]
    signal = swept or (places if len(places) <= 2 else places[-2:]) or list(data.dims[-1:])
    ordered = sorted(data.dims, key=lambda dim: dim in signal)
    return [_make_dim(data, dim, is_swept=dim in swept, is_signal=dim in signal) for dim in ordered]


def _make_dim(data: xr.DataArray, dim: Any, *, is_swept: bool, is_signal: bool) -> Dim:
    coordinate = data.coords.get(dim)
    size = data.sizes[dim]
    is_number = coordinate is not None and coordinate.ndim == 1 and coordinate.dtype.kind in "iufb"
    values = np.asarray(coordinate.values, float) if is_number and coordinate is not None else np.arange(float(size))
    attrs: Mapping[Any, Any] = {} if coordinate is None else coordinate.attrs
    units, quantity = str(attrs.get("units", "")), str(attrs.get("long_name", dim))
    return Dim(str(dim), units, quantity, values, is_swept, is_signal)


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
