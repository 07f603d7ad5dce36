"""NSID files of sidpy and pyNSID -> channels; read by ranges. Axes keep the order and the names of the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.instruments.bridges.hdf5.tree import (
    find_marks,
    is_numeric,
    list_attributes,
    list_objects,
    open_dataset,
    open_hdf5,
    read_short,
    text_of,
)
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

#: What sidpy calls the kinds of its dims.
_POSITIONS: Final = {"SPATIAL", "POINT_CLOUD"}


def _recognize(path: Path, head: bytes) -> float:
    marks = find_marks(path, head)
    if any(mark.startswith(("pyNSID_version=", "nsid_version=", "main_data_name=")) for mark in marks):
        return Confidence(0.97, "an HDF5 file with the version of pyNSID")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    with open_hdf5(path) as file:
        return build_tree(list(_list_channels(file)), list_attributes(file))


def _list_channels(file: h5py.File) -> Iterator[Channel]:
    for name, dataset in list_objects(file).items():
        if is_numeric(dataset) and "DIMENSION_LIST" in dataset.attrs and "quantity" in dataset.attrs:
            yield _describe(name, dataset)


def _describe(path: str, dataset: h5py.Dataset) -> Channel:
    told = list_attributes(dataset)
    axes = [_describe_axis(dataset, number) for number in range(dataset.ndim)]
    # Positions first, each side in the order of the file.
    order = sorted(range(dataset.ndim), key=lambda number: axes[number].role != "position")
    # The group is named as the dataset within it.
    parts = path.strip("/").split("/")
    name = "/".join(parts[:-1] if len(parts) > 1 and parts[-1] == parts[-2] else parts)
    return Channel(
        name,
        open_dataset(dataset, order),
        tuple(axes[number] for number in order),
        text_of(told, "quantity", parts[-1]),
        text_of(told, "units"),
        attrs={key: value for key, value in told.items() if key not in {"quantity", "units"}},
    )


def _describe_axis(dataset: h5py.Dataset, number: int) -> Axis:
    size, scale = dataset.shape[number], next(iter(dataset.dims[number].values()), None)
    values = read_short(scale)
    if scale is None or values is None or values.size != size:
        return Axis(f"dim_{number}", np.arange(size, dtype="f8"), "", "unknown")
    told: dict[str, Any] = list_attributes(scale)
    name = text_of(told, "name", str(scale.name).rsplit("/", 1)[-1]).replace("/", "_")
    kind = text_of(told, "dimension_type").upper()
    role: Any = "position" if kind in _POSITIONS else "unknown" if kind in {"", "UNKNOWN"} else "spectroscopic"
    return Axis(name, values, text_of(told, "units"), role, text_of(told, "quantity", name))


READER: Final = FormatReader(
    name="nsid",
    opens="NSID files of sidpy and pyNSID (.hf5, .h5)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".hf5",),
)
