"""What a parser found in a file of an instrument -> a tree of labelled arrays, a leaf per channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.unit_texts import normalize_units
from usidx.label.roles import ROLE

if TYPE_CHECKING:
    import dask.array as da  # takes half a second, and who only asks for a reader does not need it

__all__ = ["RAW_UNITS", "Axis", "Channel", "build_tree"]

#: Attribute that keeps the text of a unit as the file has it, where usidx writes it in another way.
RAW_UNITS = "units_in_file"


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One dim of a channel.

    Attributes
    ----------
    name : str
        Of the dim: ``"Y"``, ``"Bias"``.
    values : ndarray, dims (name)
        Physical values, one per entry.
    units : str
        As the file has them; :func:`build_tree` normalises.
    role : {"position", "spectroscopic", "unknown"}
        Unknown where the file does not say: then the user has to.
    quantity : str
        What the values are; by default the name.
    """

    name: str
    values: np.ndarray[Any, Any]
    units: str
    role: Literal["position", "spectroscopic", "unknown"]
    quantity: str = ""


@dataclass(slots=True, eq=False)
class Channel:
    """One array of a file, in physical units.

    Attributes
    ----------
    name : str
        ``"Current/forward"`` makes a node within a node: forward and backward, trace and retrace are channels.
    data : ndarray or dask array, dims as `axes`
        Lazy where the layout of the file allows it.
    axes : tuple of Axis
        Slowest first, positions before what was swept: (Y, X, Bias). Dim Y counts the rows as the file has them.
    quantity : str
        What was measured; by default the last part of the name.
    units : str
        As the file has them; :func:`build_tree` normalises.
    coords : dict of str to Variable
        What else belongs to each point (dims as of `axes`), or to the whole channel (no dims): centre, size and angle
        of the scan, parameters of each point.
    attrs : dict
        All that the file says about the channel.
    """

    name: str
    data: np.ndarray[Any, Any] | da.Array
    axes: tuple[Axis, ...]
    quantity: str = ""
    units: str = ""
    coords: dict[str, xr.Variable] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


def build_tree(channels: Iterable[Channel], attrs: Mapping[str, Any] | None = None) -> xr.DataTree:
    """Build a tree: a leaf per channel that holds a Dataset with the one variable named after the leaf.

    Parameters
    ----------
    channels : iterable of Channel
        A name that is there already gets a number.
    attrs : mapping, optional
        What the file says about all of them; attributes of the root.

    Returns
    -------
    DataTree
        As lazy as the channels. Coordinates have ``usid_role``, ``units`` and ``long_name``; a unit that was written in
        another way has the text of the file in ``units_in_file``.

    Raises
    ------
    TranslationError
        There is no channel, or data, axes and coordinates of one disagree.
    """
    nodes: dict[str, xr.Dataset] = {}
    for channel in channels:
        path = _find_free_path(channel.name, nodes)
        nodes[path] = _label(channel, path.rsplit("/", 1)[-1])
    if not nodes:
        raise TranslationError("it holds no data")
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=_clean(attrs or {})), **nodes})


def _find_free_path(name: str, taken: Iterable[str]) -> str:
    """Return a path at which neither data nor a group of data lies; data lies only at leaves."""
    parts = [" ".join(part.split()) for part in name.replace("\0", " ").split("/")]
    stem = "/".join(part if part.strip(".") else f"channel{part}" for part in parts if part) or "channel"
    if any(_is_within(stem, other) for other in taken if other != stem):
        stem = stem.replace("/", " ")
    path, number = stem, 2
    while any(_is_within(path, other) or _is_within(other, path) for other in taken):
        path, number = f"{stem}_{number}", number + 1
    return path


def _is_within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _label(channel: Channel, leaf: str) -> xr.Dataset:
    _check_sizes(channel)
    dims = [axis.name for axis in channel.axes]
    coords = {axis.name: _label_axis(axis) for axis in channel.axes}
    for name, variable in channel.coords.items():
        if name in coords:
            raise TranslationError(f"channel {channel.name!r} has a coordinate named as its dim {name!r}")
        coords[name] = _normalize(variable)
    name = leaf
    while name in coords or name in dims:
        name += "_"
    attrs = {**_clean(channel.attrs), **_describe(channel.units, channel.quantity or leaf)}
    variable = xr.Variable(dims, channel.data, attrs)
    try:
        return xr.Dataset({name: variable}, coords=xr.Coordinates(coords, indexes={})).pipe(_index)
    except ValueError as err:
        raise TranslationError(f"channel {channel.name!r} does not fit together: {err}") from err


def _clean(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes whose names and texts can be shown and stored, whatever signs a file has in them."""
    return {
        _show(str(name)) or "unnamed": _show(value, "\n\t\r") if isinstance(value, str) else value
        for name, value in attrs.items()
    }


def _show(text: str, kept: str = "") -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def _index(data: xr.Dataset) -> xr.Dataset:
    """Index the dims, but for those whose values repeat or have gaps: these can carry no index."""
    for dim in map(str, data.dims):
        if data[dim].dtype.kind in "iuf" and _is_monotonic(data[dim].values):
            data = data.set_xindex(dim)
    return data


def _is_monotonic(values: np.ndarray[Any, Any]) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _check_sizes(channel: Channel) -> None:
    dims = [axis.name for axis in channel.axes]
    if len(set(dims)) != len(dims):
        raise TranslationError(f"channel {channel.name!r} has the dims {dims}, one of them twice")
    sizes = tuple(int(np.size(axis.values)) for axis in channel.axes)
    if sizes != channel.data.shape or any(np.ndim(axis.values) != 1 for axis in channel.axes):
        raise TranslationError(
            f"channel {channel.name!r} has the shape {channel.data.shape}, and axes of {sizes} entries"
        )
    if channel.data.dtype.kind not in "biufc":
        raise TranslationError(f"channel {channel.name!r} holds {channel.data.dtype}, which is no number")
    if not prod(channel.data.shape):
        raise TranslationError(f"channel {channel.name!r} is empty: its shape is {channel.data.shape}")


def _label_axis(axis: Axis) -> xr.Variable:
    attrs = _describe(axis.units, axis.quantity or axis.name)
    if axis.role != "unknown":
        attrs[ROLE] = axis.role
    return xr.Variable((axis.name,), np.asarray(axis.values), attrs)


def _normalize(variable: xr.Variable) -> xr.Variable:
    units = variable.attrs.get("units")
    told = _describe(units) if isinstance(units, str) else {}
    return xr.Variable(variable.dims, variable.data, {**variable.attrs, **told})


def _describe(units: str, quantity: str = "") -> dict[str, str]:
    """Return the attributes that say what values are."""
    normal = normalize_units(units)
    found = {"long_name": quantity} if quantity else {}
    found["units"] = normal
    return found if normal == units else {**found, RAW_UNITS: units}
