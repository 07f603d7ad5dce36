"""Layout -> dims, coordinates and attributes of a labelled array (decode), and back (encode in encoding.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from xarray.indexes import PandasIndex

from usidx.escapes import escape_controls
from usidx.format.grid import Coordinate, Grid, find_grid
from usidx.format.layout import Array, Layout, Side
from usidx.format.packing import unpack_attributes
from usidx.format.placement import Axes, Placement
from usidx.format.shielded import shield
from usidx.label import units
from usidx.label.beside import add_beside
from usidx.label.roles import ROLE, SPECTROSCOPIC

__all__ = [
    "LABEL",
    "Frame",
    "decode",
    "decode_array",
    "is_opened_alike",
    "make_coordinates",
    "parse_field",
]

#: Attribute of a coordinate that keeps the label as found, where it could not be the name.
LABEL = "usid_label"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A labelled array that lacks only its data.

    Attributes
    ----------
    name : str
        Of the array.
    dims : tuple of str
        Position dims first, each side slowest first, unless an earlier write recorded another order.
    coords : Coordinates
        All of them, with indexes where the values can carry one.
    attrs, encoding : mapping
        What the array says of itself, and what its writer said of the writing.
    placement : Placement
        Where each cell lies in the main dataset.
    """

    name: str
    dims: tuple[str, ...]
    coords: xr.Coordinates
    attrs: Mapping[str, Any]
    encoding: Mapping[str, Any]
    placement: Placement


def decode(layout: Layout, *, squeeze: bool = True, alike: Frame | None = None) -> Frame:
    """Turn a layout into the frame of a labelled array.

    Parameters
    ----------
    layout : Layout
        What the file says.
    squeeze : bool, default True
        Make dims of size 1 scalar coordinates.
    alike : Frame, optional
        Of a layout with the same sides and the same recorded order of dims; its coordinates are taken.

    Raises
    ------
    GridError
        A side has no rows.
    """
    if alike is not None:
        return replace(alike, name=layout.name, attrs=_make_attrs(layout), encoding=_make_encoding(layout))
    sides = (layout.position, layout.spectroscopic)
    grids = (find_grid(layout.position), find_grid(layout.spectroscopic))
    renamed = _rename_shared_names(*grids)
    variables: dict[str, xr.Variable] = {}
    for side, grid, names in zip(sides, grids, renamed, strict=True):
        for coordinate in () if side.is_placeholder else grid.coordinates:
            _add_coordinate(variables, side, coordinate, names, squeeze=squeeze)
        _add_counter(variables, grid, names, side)
    kept = [_choose_kept_dims(side, g.dims, g.shape, squeeze=squeeze) for g, side in zip(grids, sides, strict=True)]
    natural = tuple(names[d] for names, dims in zip(renamed, kept, strict=True) for d in dims)
    sizes = {names[d]: n for names, dims in zip(renamed, kept, strict=True) for d, n in dims.items()}
    add_beside(variables, layout.hints.get("beside"), sizes)
    order = _read_recorded_order(layout.hints, natural)
    placement = Placement(
        Axes(tuple(kept[0].values()), grids[0].rows), Axes(tuple(kept[1].values()), grids[1].rows), order
    )
    dims = tuple(natural[axis] for axis in order)
    return Frame(layout.name, dims, make_coordinates(variables), _make_attrs(layout), _make_encoding(layout), placement)


def decode_array(layout: Layout, main: Array, *, squeeze: bool = True) -> xr.DataArray:
    """Turn a layout and its two-dimensional data in memory into a labelled array."""
    frame = decode(layout, squeeze=squeeze)
    return xr.DataArray(
        frame.placement.unfold(main), dims=frame.dims, coords=frame.coords, name=frame.name, attrs=dict(frame.attrs)
    )


def parse_field(title: str) -> tuple[str, str]:
    """Split the name of a compound field into variable name and unit: ``"Amplitude [V]"`` -> ``("Amplitude", "V")``."""
    text = title.strip()
    if text.endswith("]") and "[" in text[1:]:
        name, unit = text[:-1].rsplit("[", 1)
        return escape_controls(name.strip().replace("/", "_")), shield(units.clean(unit))
    return escape_controls(text.replace("/", "_")), units.DIMENSIONLESS


def _rename_shared_names(position: Grid, spectroscopic: Grid) -> tuple[dict[str, str], dict[str, str]]:
    """Give the spectroscopic side's names a suffix where the position side bears them too."""
    here = dict.fromkeys([*(c.name for c in position.coordinates), *position.dims])
    swept = dict.fromkeys([*(c.name for c in spectroscopic.coordinates), *spectroscopic.dims])
    taken = {*here, *swept}
    suffixed = {}
    for name in swept:
        suffixed[name] = name if name not in here else f"{name}_{SPECTROSCOPIC}"
        while name in here and suffixed[name] in taken:
            suffixed[name] += "_"
        taken.add(suffixed[name])
    return {n: n for n in here}, suffixed


def _choose_kept_dims(side: Side, dims: tuple[str, ...], shape: tuple[int, ...], *, squeeze: bool) -> dict[str, int]:
    """Return those of some dims that the array keeps, with their sizes."""
    if side.is_placeholder:
        return {}
    hinted = side.hints.get("kept")
    unsqueezed = set(hinted) if isinstance(hinted, list) and all(isinstance(h, str) for h in hinted) else set()
    return {d: n for d, n in zip(dims, shape, strict=True) if n > 1 or not squeeze or d in unsqueezed}


def _add_coordinate(
    variables: dict[str, xr.Variable],
    side: Side,
    coordinate: Coordinate,
    names: Mapping[str, str],
    *,
    squeeze: bool,
) -> None:
    name = names[coordinate.name]
    found = coordinate.values
    values = found.astype(np.float32) if found.dtype == np.float16 else found  # pandas has no index of half floats
    kept = _choose_kept_dims(side, coordinate.dims, values.shape, squeeze=squeeze)
    dims = tuple(d for d in coordinate.dims if d in kept)
    values = values.reshape([kept[d] for d in dims])
    attrs: dict[str, Any] = {ROLE: side.role, "units": shield(units.clean(coordinate.units))}
    if name != coordinate.label:
        attrs[LABEL] = shield(coordinate.label)
    hint = side.get_hint(coordinate.name)
    variables[name] = xr.Variable(
        tuple(names[d] for d in dims), _restore_dtype(values, hint), _restore_attrs(attrs, hint)
    )


def is_opened_alike(one: Side, its_grid: Grid, other: Side, other_grid: Grid) -> bool:
    """Say whether two sides open as the same dims and coordinates; how their rows are ordered does not matter."""
    if one.is_placeholder != other.is_placeholder or _choose_opened_dims(one, its_grid) != _choose_opened_dims(
        other, other_grid
    ):
        return False
    mine, others = _make_side_variables(one, its_grid), _make_side_variables(other, other_grid)
    return mine.keys() == others.keys() and all(
        v.dtype == others[n].dtype and v.identical(others[n])  # type: ignore[no-untyped-call]
        for n, v in mine.items()
    )


def _choose_opened_dims(side: Side, grid: Grid) -> tuple[bool, list[str], dict[str, int]]:
    """Return what decides the dims: those of more than one step in their order, and which of the others are kept."""
    kept = _choose_kept_dims(side, grid.dims, grid.shape, squeeze=True)
    return grid.is_flat, [dim for dim, size in kept.items() if size > 1], kept


def _make_side_variables(side: Side, grid: Grid) -> dict[str, xr.Variable]:
    """Return the coordinates of one side as `decode` makes them, where the other side bears none of their names."""
    variables: dict[str, xr.Variable] = {}
    names = {n: n for n in (*(c.name for c in grid.coordinates), *grid.dims)}
    for coordinate in () if side.is_placeholder else grid.coordinates:
        _add_coordinate(variables, side, coordinate, names, squeeze=True)
    return variables


def _add_counter(variables: dict[str, xr.Variable], grid: Grid, names: Mapping[str, str], side: Side) -> None:
    """Give the dim that counts flat rows a coordinate, which carries the role."""
    name = names.get(grid.dims[0], grid.dims[0])
    if grid.is_flat and name not in variables and grid.shape[0] > 1:
        variables[name] = xr.Variable((name,), np.arange(grid.shape[0]), {ROLE: side.role})


def _restore_dtype(values: Array, hint: Mapping[str, Any]) -> Array:
    """Restore the dtype that a coordinate had before it shared a matrix with others, where no value changes."""
    try:
        dtype = np.dtype(hint["dtype"])
    except (KeyError, TypeError, ValueError):
        return values
    if dtype.kind not in "iufb" or dtype == values.dtype or not np.isfinite(values).all():
        return values
    with np.errstate(invalid="ignore"):
        restored = values.astype(dtype)
    return restored if bool((restored == values).all()) else values


def _restore_attrs(attrs: dict[str, Any], hint: Mapping[str, Any]) -> dict[str, Any]:
    recorded = hint.get("attrs")
    if not isinstance(recorded, dict):
        return attrs
    return {**{k: v for k, v in attrs.items() if k != "units"}, **unpack_attributes(recorded)}


def _read_recorded_order(hints: Mapping[str, Any], natural: tuple[str, ...]) -> tuple[int, ...]:
    recorded = hints.get("dims")
    if isinstance(recorded, list) and sorted(map(str, recorded)) == sorted(natural):
        return tuple(natural.index(str(d)) for d in recorded)
    return tuple(range(len(natural)))


def make_coordinates(variables: Mapping[str, xr.Variable]) -> xr.Coordinates:
    """Return coordinates, with an index for each that can label its dim."""
    with_index = {n: v for n, v in variables.items() if v.dims == (n,) and _can_index(v.values)}
    plain: dict[str, Any] = {n: v for n, v in variables.items() if n not in with_index}
    indexes = {n: PandasIndex.from_variables({n: v}, options={}) for n, v in with_index.items()}
    for name, index in indexes.items():
        plain |= index.create_variables({name: with_index[name]})
    return xr.Coordinates(plain, indexes=indexes)


def _can_index(values: Array) -> bool:
    """Say whether values can label a dim: repeats and gaps make look-ups fail, so they stay plain coordinates."""
    complete = values.dtype.kind == "U" or bool(np.isfinite(values).all())
    return complete and np.unique(values).size == values.size


def _make_attrs(layout: Layout) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "long_name": shield(layout.quantity.strip()),
        "units": shield(units.clean(layout.units)),
    }
    absent = layout.hints.get("absent")
    if isinstance(absent, list):
        attrs = {k: v for k, v in attrs.items() if k not in absent}
    kept = layout.hints.get("attributes")
    told = unpack_attributes(kept) if isinstance(kept, dict) else {}
    return {**layout.attributes, **attrs, **told}  # a stray attribute of the file must not hide the quantity


def _make_encoding(layout: Layout) -> dict[str, Any]:
    return dict(layout.book_keeping)
