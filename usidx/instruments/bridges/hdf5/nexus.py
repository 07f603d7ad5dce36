"""NXdata groups of NeXus files -> channels; read by ranges. Signal, axes and errors as the group itself names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from usidx.instruments.bridges.role_hints import Hint, find_roles
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader
from usidx.label.roles import ROLE

__all__ = ["READER"]


def _recognize(path: Path, head: bytes) -> float:
    marks = find_marks(path, head)
    if "NX_class=NXdata" in marks:
        return Confidence(0.9, "an HDF5 file with a group of the class NXdata")
    if any(mark.startswith("NX_class=") for mark in marks):
        return Confidence(0.5, "an HDF5 file of NeXus")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    with open_hdf5(path) as file:
        return build_tree(list(_list_channels(file)), list_attributes(file))


def _list_channels(file: h5py.File) -> Iterator[Channel]:
    for path, group in list_objects(file).items():
        if isinstance(group, h5py.Group) and text_of(group.attrs, "NX_class") == "NXdata":
            yield from _describe_group(path, group)


def _describe_group(path: str, group: h5py.Group) -> Iterator[Channel]:
    told = dict(group.attrs)
    signals = [text_of(told, "signal") or _find_old_signal(group), *_list_names(told.get("auxiliary_signals"))]
    for number, signal in enumerate(signals):
        dataset = group.get(signal) if signal else None
        if dataset is None or not is_numeric(dataset):
            continue
        name = path.strip("/") or signal
        channel = _describe(name if number == 0 else f"{name}_{signal}", signal, group, told)
        yield channel
        errors = next(
            (e for e in (f"{signal}_errors", "errors" if number == 0 else "") if e and is_numeric(group.get(e))), ""
        )
        if errors and group[errors].shape == dataset.shape:
            yield _describe(f"{channel.name}_errors", errors, group, told)


def _find_old_signal(group: h5py.Group) -> str:
    """Return the dataset that an attribute of its own marks, as NeXus did before 2014."""
    return next((n for n, d in group.items() if isinstance(d, h5py.Dataset) and text_of(d.attrs, "signal") == "1"), "")


def _describe(name: str, signal: str, group: h5py.Group, told: Mapping[str, Any]) -> Channel:
    dataset = group[signal]
    own = list_attributes(dataset)
    axes = _describe_axes(group, dataset, told)
    order = sorted(range(dataset.ndim), key=lambda number: axes[number].role != "position")
    title = text_of(own, "long_name") or signal
    attrs = {**list_attributes(group), **{k: v for k, v in own.items() if k not in {"units", "long_name"}}}
    return Channel(
        name,
        open_dataset(dataset, order),
        tuple(axes[number] for number in order),
        title,
        text_of(own, "units"),
        attrs=attrs,
    )


def _describe_axes(group: h5py.Group, dataset: h5py.Dataset, told: Mapping[str, Any]) -> list[Axis]:
    names = _list_names(told.get("axes")) or text_of(dataset.attrs, "axes").replace(",", ":").split(":")
    named: dict[int, str] = {}
    for position, name in enumerate(names):
        where = told.get(f"{name}_indices")
        number = int(np.ravel(where)[0]) if where is not None and np.size(where) == 1 else position
        if name not in {"", "."} and 0 <= number < dataset.ndim:
            named.setdefault(number, name)
    found = [_read_axis(group, named.get(number, ""), size, number) for number, size in enumerate(dataset.shape)]
    roles = find_roles([Hint(name, units) for name, _, units, _, _ in found])
    return [
        Axis(name, values, units, known or role, quantity)
        for (name, values, units, quantity, known), role in zip(found, roles, strict=True)
    ]


def _read_axis(group: h5py.Group, name: str, size: int, number: int) -> tuple[str, Any, str, str, Any]:
    """Return name, values, units, quantity and, where the file says so, the role of an axis."""
    values = read_short(group.get(name)) if name else None
    if values is None or values.size != size:
        # Edges of bins are one more than the bins.
        if values is None or values.size != size + 1:
            return name or f"dim_{number}", np.arange(size, dtype="f8"), "", "", ""
        values = (values[:-1] + values[1:]) / 2
    told = list_attributes(group[name])
    return name, values, text_of(told, "units"), text_of(told, "long_name", name), text_of(told, ROLE)


def _list_names(value: Any) -> list[str]:
    if value is None:
        return []
    return [one.decode() if isinstance(one, bytes) else str(one) for one in np.ravel(value)]


READER: Final = FormatReader(
    name="nexus",
    opens="NXdata groups of NeXus files (.nxs, .h5)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".nxs", ".nx5"),
)
