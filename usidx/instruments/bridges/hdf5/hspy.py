"""Files of HyperSpy -> channels; read by ranges, without HyperSpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.bridges.hdf5.tree import (
    find_marks,
    is_numeric,
    list_attributes,
    open_dataset,
    open_hdf5,
    read_short,
    text_of,
)
from usidx.instruments.bridges.role_hints import Hint, find_roles
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

#: What HyperSpy writes for what is not known.
_UNDEFINED: Final = {"_None_", "None", "<undefined>", "Undefined"}
_DEEPEST: Final = 16


def _recognize(path: Path, head: bytes) -> float:
    marks = find_marks(path, head)
    if "/Experiments" in marks and any(mark.startswith("file_format=") for mark in marks):
        return Confidence(0.97, "an HDF5 file of HyperSpy")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    with open_hdf5(path) as file:
        return build_tree(list(_list_channels(file["Experiments"])), list_attributes(file))


def _list_channels(experiments: h5py.Group) -> Iterator[Channel]:
    for name, group in experiments.items():
        if isinstance(group, h5py.Group) and is_numeric(group.get("data")):
            yield _describe(name, group)


def _describe(name: str, group: h5py.Group) -> Channel:
    dataset = group["data"]
    if "ragged_shapes" in group:
        raise TranslationError(f"{name!r} is ragged: its spectra have different lengths")
    axes = _describe_axes(group, dataset)
    order = sorted(range(dataset.ndim), key=lambda number: axes[number].role != "position")
    attrs = dict(_list_metadata(group, "original_metadata")) | dict(_list_metadata(group, "metadata"))
    quantity = _clean(attrs.get("metadata.Signal.quantity", ""))
    label, _, units = quantity.partition("(")
    return Channel(
        name.replace("__unnamed__", "data"),
        open_dataset(dataset, order),
        tuple(axes[number] for number in order),
        label.strip() or name,
        units.removesuffix(")").strip(),
        attrs=attrs,
    )


def _describe_axes(group: h5py.Group, dataset: h5py.Dataset) -> list[Axis]:
    found: list[tuple[str, Array, str]] = []
    hints: list[Hint] = []
    for number, size in enumerate(dataset.shape):
        held = group.get(f"axis-{number}")
        told = list_attributes(held) if isinstance(held, h5py.Group) else {}
        name = _clean(text_of(told, "name")).replace("/", "_") or f"dim_{number}"
        while name in {one for one, _, _ in found}:
            name = f"{name}_{number}"
        units = _clean(text_of(told, "units"))
        own = read_short(held.get("axis")) if isinstance(held, h5py.Group) else None
        if own is not None and own.size == size:
            values = own
        else:
            values = float(told.get("offset", 0.0)) + float(told.get("scale", 1.0)) * np.arange(size)
        found.append((name, values, units))
        navigate = told.get("navigate")
        hints.append(Hint(name, units, None if navigate is None else bool(navigate)))
    roles = find_roles(hints)
    return [Axis(name, values, units, role) for (name, values, units), role in zip(found, roles, strict=True)]


def _clean(text: Any) -> str:
    return "" if str(text) in _UNDEFINED else str(text)


def _list_metadata(group: h5py.Group, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (path with dots, value) of what the groups of metadata say in attributes."""
    held = group.get(name)
    if not isinstance(held, h5py.Group) or depth > _DEEPEST:
        return
    told: Mapping[str, Any] = list_attributes(held)
    for key, value in told.items():
        yield f"{name}.{key}", value
    for key in held:
        for inner, value in _list_metadata(held, key, depth + 1):
            yield f"{name}.{inner}", value


READER: Final = FormatReader(
    name="hspy",
    opens="HyperSpy files (.hspy)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".hspy",),
)
