"""EMD files of NCEM and of py4DSTEM -> channels; read by ranges. Files of Velox are read by RosettaSciIO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.format.layout import Array
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
from usidx.instruments.bridges.role_hints import Hint, find_roles
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]


def _recognize(path: Path, head: bytes) -> float:
    marks = find_marks(path, head)
    if any(mark.startswith("emd_group_type=") for mark in marks):
        return Confidence(0.95, "an HDF5 file with groups of EMD")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    with open_hdf5(path) as file:
        return build_tree(list(_list_channels(file)), list_attributes(file))


def _list_channels(file: h5py.File) -> Iterator[Channel]:
    for path, group in list_objects(file).items():
        if isinstance(group, h5py.Group) and "emd_group_type" in group.attrs and is_numeric(group.get("data")):
            yield _describe(path.strip("/") or "data", group)


def _describe(name: str, group: h5py.Group) -> Channel:
    dataset = group["data"]
    told = list_attributes(dataset)
    axes = _describe_axes(group, dataset)
    order = sorted(range(dataset.ndim), key=lambda number: axes[number].role != "position")
    return Channel(
        name,
        open_dataset(dataset, order),
        tuple(axes[number] for number in order),
        text_of(told, "name") or name.rsplit("/", 1)[-1],
        text_of(told, "units"),
        attrs=list_attributes(group),
    )


def _describe_axes(group: h5py.Group, dataset: h5py.Dataset) -> list[Axis]:
    # NCEM counts the dims from 1, py4DSTEM from 0.
    first = 0 if "dim0" in group else 1
    found = [_read_axis(group.get(f"dim{first + number}"), size, number) for number, size in enumerate(dataset.shape)]
    roles = find_roles([Hint(name, units) for name, _, units in found])
    names = [name for name, _, _ in found]
    unique = [name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names)]
    return [
        Axis(name, values, units, role, old)
        for name, (old, values, units), role in zip(unique, found, roles, strict=True)
    ]


def _read_axis(held: Any, size: int, number: int) -> tuple[str, Array, str]:
    values = read_short(held)
    if values is None:
        return f"dim_{number}", np.arange(size, dtype="f8"), ""
    told = list_attributes(held)
    name, units = text_of(told, "name").replace("/", "_") or f"dim_{number}", text_of(told, "units")
    if values.size == 2 < size:
        # An axis of even steps is kept as its first two values.
        values = values[0] + (values[1] - values[0]) * np.arange(size)
    if values.size != size:
        return name, np.arange(size, dtype="f8"), ""
    return name, values, units.replace("[", "").replace("]", "").replace("_", "")


READER: Final = FormatReader(
    name="emd",
    opens="EMD files of NCEM and py4DSTEM (.emd, .h5)",
    recognize=_recognize,
    parse=_parse,
)
