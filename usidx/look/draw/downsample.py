"""Labelled array to the few cells that a picture can show; everything that is read for a picture is cut here first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import RoleError
from usidx.label.roles import POSITION, find_role, position_dims, refuse_unlabelled, spectroscopic_dims
from usidx.look.draw.numbers import (
    choose_scale,
    find_base_unit,
    find_finite_range,
    find_quantity,
    find_unit,
    make_printable,
    write_label,
    write_number,
)

__all__ = [
    "Ruler",
    "as_floats",
    "break_phase",
    "choose_spectral_dim",
    "compute_envelope",
    "describe_cell",
    "find_common_unit",
    "find_detector",
    "find_scattered",
    "is_detector",
    "make_index_ruler",
    "make_ruler",
    "pick",
    "pick_cells",
    "refuse_undrawable",
    "take_first",
    "thin",
]


@dataclass(frozen=True, slots=True)
class Ruler:
    """The numbers along one dim of a picture, in the unit as found."""

    values: NDArray[np.float64]
    quantity: str
    unit: str

    @property
    def is_monotonic(self) -> bool:
        """Whether the values only grow, or only fall."""
        steps = np.diff(self.values)
        return bool((steps > 0).all() or (steps < 0).all())

    @property
    def is_uniform(self) -> bool:
        """Whether all steps are equal, as far as a picture shows."""
        if self.values.size < 3:
            return self.is_monotonic
        steps = np.diff(self.values)
        return self.is_monotonic and bool(np.abs(steps - steps.mean()).max() < 0.02 * abs(steps.mean()))

    @property
    def is_count(self) -> bool:
        """Whether the values count something, so that nothing lies between them."""
        return not self.unit and bool((self.values == np.round(self.values)).all())

    def scale_values(self, largest: float | None = None) -> tuple[NDArray[np.float64], str]:
        """Return the values in the prefix that suits them, and the label."""
        most = float(np.abs(self.values).max()) if self.values.size else 0.0
        scale = choose_scale(most if largest is None else largest, self.unit)
        return self.values * scale.factor, write_label(self.quantity, scale.unit)


def refuse_undrawable(data: object, limit: int = 1) -> None:
    """Raise a RoleError for what is no array of numbers, has no cells, or of which nothing is to be drawn."""
    refuse_unlabelled(data)
    assert isinstance(data, xr.DataArray)
    if data.dtype.kind not in "biufc":
        raise RoleError(f"Array {data.name!r} holds {data.dtype}, and only numbers are drawn.")
    if not data.size:
        raise RoleError(f"Array {data.name!r} has no cells to draw: its dims are {dict(data.sizes)}.")
    if limit < 1:
        raise RoleError(f"At least one is drawn, {limit} is less.")


def make_ruler(array: xr.DataArray, dim: str) -> Ruler:
    """Return the coordinate of a dim; where it has none that is one finite number per index, the index."""
    if dim in array.coords:
        coord = array.coords[dim]
        if coord.dims == (dim,) and coord.dtype.kind in "iuf":
            values = coord.values.astype(np.float64)
            if np.isfinite(values).all():
                return Ruler(values, find_quantity(coord), find_unit(coord))
    return make_index_ruler(array, dim)


def make_index_ruler(array: xr.DataArray, dim: str) -> Ruler:
    """Return the index along a dim."""
    return Ruler(np.arange(array.sizes[dim], dtype=np.float64), f"{make_printable(dim).replace('_', ' ')} index", "")


def find_scattered(array: xr.DataArray, dim: str) -> tuple[str, str] | None:
    """Return the two coordinates (vertical, horizontal) that place the points of a position dim, None on a grid.

    Points of a sparse, spiral or aborted scan have no grid; their places are coordinates along one dim.
    """
    names = [
        str(name)
        for name, coord in array.coords.items()
        if name != dim and coord.dims == (dim,) and coord.dtype.kind in "iuf"
    ]
    placed = [name for name in names if find_role(array, name) == POSITION] or names
    if len(placed) < 2:
        return None
    by_letter = sorted(placed, key=lambda name: name.upper() != "Y")
    vertical = by_letter[0]
    horizontal = next((n for n in placed if n.upper() == "X" and n != vertical), by_letter[1])
    return vertical, horizontal


def choose_spectral_dim(array: xr.DataArray, dim: str | None = None) -> str:
    """Return the dim to draw along: the named one, else the fastest spectroscopic one, else the last."""
    if dim is not None:
        if dim not in array.dims:
            raise RoleError(f"No dim {dim!r} here; the dims are {tuple(array.dims)}.")
        return dim
    if not array.dims:
        raise RoleError(f"Array {array.name!r} is a single value; a line needs a dim to run along.")
    return (spectroscopic_dims(array) or tuple(str(d) for d in array.dims))[-1]


def find_detector(array: xr.DataArray) -> tuple[str, str] | None:
    """Return the two sides (vertical, horizontal) of a detector, None where a signal has no two such dims.

    They are told by their names, which differ in nothing but y and x.
    """
    swept = spectroscopic_dims(array)[-2:]
    return (swept[0], swept[1]) if len(swept) == 2 and is_detector(*swept) else None


def is_detector(vertical: str, horizontal: str) -> bool:
    """Say whether two names are those of two sides of one thing."""
    return vertical != horizontal and vertical.lower().replace("y", "x") == horizontal.lower().replace("y", "x")


def thin(array: xr.DataArray, dims: Iterable[str], limit: int) -> tuple[xr.DataArray, str]:
    """Keep every n-th index of each dim so that none is longer than `limit`; say so in words. Nothing is read."""
    steps = {dim: math.ceil(array.sizes[dim] / limit) for dim in dims if array.sizes[dim] > limit}
    bare = {dim: _find_index(array, dim) for dim in steps if dim not in array.coords}
    cut = array.assign_coords(bare).isel({dim: slice(None, None, step) for dim, step in steps.items()})
    said = ", ".join(f"1 in {step} along {make_printable(dim)}" for dim, step in steps.items())
    return cut, f"shown: {said}" if said else ""


def _find_index(array: xr.DataArray, dim: str) -> xr.Variable:
    """Count before every n-th is kept, so that a picture still says the true index."""
    return xr.Variable((dim,), np.arange(array.sizes[dim]), {"long_name": make_index_ruler(array, dim).quantity})


def pick_cells(sizes: dict[str, int], count: int) -> list[dict[str, int]]:
    """Pick up to `count` cells that spread over all dims; all of them where there are no more."""
    total = math.prod(sizes.values())
    if not sizes or total <= count:
        grid = np.unravel_index(np.arange(total), tuple(sizes.values())) if sizes else ()
        return [{d: int(g[n]) for d, g in zip(sizes, grid, strict=True)} for n in range(total)]
    if len(sizes) == 1:
        ((dim, length),) = sizes.items()
        return [{dim: round(n)} for n in np.linspace(0, length - 1, count)]
    lengths = tuple(sizes.values())
    # Where dims are short the same cell comes up again; the first ones in order make up the number.
    rest = zip(*(g.tolist() for g in np.unravel_index(np.arange(count), lengths)), strict=True)
    found = dict.fromkeys([*_spread(lengths, 4 * count), *rest])
    return [dict(zip(sizes, cell, strict=True)) for cell in list(found)[:count]]


def _spread(lengths: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """Step through all dims at once by irrational steps: evenly spread, never along one column."""
    root = _compute_plastic_number(len(lengths))
    points = (0.5 + np.outer(np.arange(1, count + 1), [root ** -(k + 1) for k in range(len(lengths))])) % 1
    return [tuple((point * lengths).astype(int).tolist()) for point in points]


def _compute_plastic_number(dims: int) -> float:
    """Root of x**(dims + 1) = x + 1, the generalised golden ratio."""
    root = 1.5
    for _ in range(40):
        root = (1 + root) ** (1 / (dims + 1))
    return root


def pick(array: xr.DataArray, at: list[dict[str, int]]) -> xr.DataArray:
    """Select the given cells into one dim ``cell``; lazy where the array is."""
    if not at or not at[0]:
        return array.expand_dims("cell")
    index = {dim: xr.DataArray([cell[dim] for cell in at], dims="cell") for dim in at[0]}
    return array.isel(index).transpose("cell", ...)


def describe_cell(array: xr.DataArray, cell: dict[str, int]) -> str:
    """Write where a cell is: ``Y 1.2 µm, X 0.3 µm``."""
    told: list[str] = []
    for dim, index in cell.items():
        # Points without a grid are told by where they lie; their number says nothing.
        names = find_scattered(array, dim) or (dim,)
        told += [_describe_step(array, dim, name, index) for name in names]
    return ", ".join(told)


def _describe_step(array: xr.DataArray, dim: str, called: str, index: int) -> str:
    coord = array.coords.get(called)
    name = make_printable(called, 24).replace("_", " ")
    if coord is None or coord.dims != (dim,):
        return f"{name} {index}"
    value = coord.values[index]
    if coord.dtype.kind in "iu" and not find_unit(coord):
        return f"{name} {int(value)}"
    if coord.dtype.kind not in "iuf":
        return f"{name} {make_printable(value, 24)}"
    found = find_finite_range(coord.values)
    scale = choose_scale(max(map(abs, found)) if found else 0.0, find_unit(coord))
    return f"{name} {write_number(float(value) * scale.factor, 3)} {scale.unit}".strip()


def take_first(array: xr.DataArray, count: int, *, keep: tuple[str, ...] = ()) -> tuple[xr.DataArray, str]:
    """Take the first index of all but the `count` fastest position dims (or all but those to keep); say which."""
    kept = keep or position_dims(array)[-count:] or tuple(str(d) for d in array.dims)[:count]
    rest = {str(d): 0 for d in array.dims if d not in kept}
    told = {d: n for d, n in rest.items() if array.sizes[d] > 1}
    return array.isel(rest), f"at {describe_cell(array, told)}" if told else ""


def compute_envelope(
    x: NDArray[np.float64], y: NDArray[np.float64], limit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep the smallest and largest value of each of `limit` bins, so that no peak is lost."""
    if y.size <= 2 * limit:
        return x, y
    width = math.ceil(y.size / limit)
    edges = np.arange(0, y.size, width)
    filled = np.where(np.isfinite(y), y, np.nan)
    low = np.fmin.reduceat(filled, edges)
    high = np.fmax.reduceat(filled, edges)
    return np.repeat(x[edges], 2), np.column_stack([low, high]).ravel()


def find_common_unit(*rulers: Ruler) -> str | None:
    """Return the base unit that all share, None where they differ."""
    bases = {find_base_unit(r.unit)[1] for r in rulers}
    return bases.pop() if len(bases) == 1 else None


def as_floats(values: Any) -> NDArray[np.float64]:
    """Return real values as floats with what is not finite as NaN."""
    array = np.asarray(values).astype(np.float64)
    array[~np.isfinite(array)] = np.nan
    return array


def break_phase(x: NDArray[np.float64], phase: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lift the pen where the phase comes round, else the jump is drawn as a line."""
    jumps = np.flatnonzero(np.abs(np.diff(phase)) > math.pi) + 1
    return np.insert(x, jumps, np.nan), np.insert(phase, jumps, np.nan)
