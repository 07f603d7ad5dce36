"""Places along one dim -> the rectangle that they lie on, with holes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import GridError, RoleError
from usidx.format.layout import Array
from usidx.label.roles import POSITION, ROLE, SPECTROSCOPIC, refuse_unlabelled

__all__ = ["find_axes", "find_flat_dim", "to_grid"]

# A rectangle of more cells than this for each place is not what anyone means by a grid.
_SPARSEST = 100
# Steps of a regular grid may be uneven by this part of a step (values are often single precision).
_UNEVEN = 1e-3


def to_grid(data: xr.DataArray, fill_value: Any = None) -> xr.DataArray:
    """Place flat positions (sparse, aborted) on the rectangle they were taken from.

    Lazy data stays lazy. Cells that were not measured hold `fill_value`; the coordinate ``measured`` is False there.

    Parameters
    ----------
    data : DataArray, dims (position, *others)
        With a coordinate along ``position`` for each dim of the rectangle, such as X and Y. A flat ``spectroscopic``
        dim is placed alike.
    fill_value : number, optional
        For holes. By default NaN; integers and booleans with holes need one, and become a
        wider type where theirs cannot hold it.

    Returns
    -------
    DataArray, dims (*rectangle, *others)
        The slowest dim first. Evenly spaced values with gaps are filled up to a regular axis.

    Raises
    ------
    RoleError
        There is no flat dim with coordinates.
    GridError
        Two rows lie in one cell, the places lie on no grid (spiral), or integers have holes and no fill value.

    Examples
    --------
    >>> import numpy as np, xarray as xr, usidx
    >>> where = {"Y": ("position", [0.0, 0.0, 1.0]), "X": ("position", [0.0, 1.0, 0.0])}
    >>> aborted = xr.DataArray([1.0, 2.0, 3.0], dims="position", coords=where)
    >>> usidx.to_grid(usidx.set_roles(aborted, position=["position", "Y", "X"])).values
    array([[ 1.,  2.],
           [ 3., nan]])
    """
    refuse_unlabelled(data)
    dim = find_flat_dim(data)
    names = find_axes(data, dim)
    codes, axes = zip(*(_find_codes(data, name, dim) for name in names), strict=True)
    shape = tuple(axis.size for axis in axes)
    _check_density(data, names, shape, dim)
    cells = np.ravel_multi_index(codes, shape)
    _check_single(data, names, cells, dim)
    row_of = np.full(prod(shape), -1, dtype=np.int64)
    row_of[cells] = np.arange(cells.size)
    measured = (row_of >= 0).reshape(shape)
    wide, fill = _fill(data, fill_value, holes=not measured.all())
    filled = _fill_grid(wide, dim, row_of, shape, names, fill)
    return _label_grid(filled, data, dim, names, axes, measured)


def find_flat_dim(data: xr.DataArray) -> str:
    """Return the dim along which places lie."""
    for dim in (POSITION, SPECTROSCOPIC):
        if dim in data.dims and find_axes(data, dim):
            return dim
    raise RoleError(
        f"Array {data.name!r} with dims {data.dims} has no flat dim 'position' with coordinates along it; "
        f"it is on a grid already, or its places are not known."
    )


def find_axes(data: xr.DataArray, dim: str) -> list[str]:
    """Return the coordinates that span the rectangle, slowest first: those that change least often."""
    along = [str(n) for n, c in data.coords.items() if c.dims == (dim,) and n != dim and ROLE in c.attrs]
    names = [n for n in along if not (n.endswith("_index") and n.removesuffix("_index") in along)]
    counted = {n: data.coords[f"{n}_index" if f"{n}_index" in along else n].values for n in names}
    return sorted(names, key=lambda n: int(np.count_nonzero(np.diff(counted[n]))))


def _find_codes(data: xr.DataArray, name: str, dim: str) -> tuple[Array, Array]:
    """Return the cell of each place along one axis, and the values of that axis."""
    values = data.coords[name].values
    if not np.isfinite(values).all():
        raise GridError(
            f"Coordinate {name!r} of {data.name!r} is not finite at {int((~np.isfinite(values)).sum())} of "
            f"{values.size} places. Leave them out first, for example da.isel({dim}=np.isfinite(da[{name!r}]))."
        )
    if f"{name}_index" in data.coords:
        counters = data.coords[f"{name}_index"].values
        _check_density(data, [name], (int(counters.max()) - int(counters.min()) + 1,), dim)
        return _read_codes_from_counters(values, counters)
    axis, codes = np.unique(values, return_inverse=True)
    regular = _fill_regular_axis(axis, _SPARSEST * values.size)
    if regular is None:
        return codes.reshape(-1), axis
    return np.rint((values - regular[0]) / (regular[1] - regular[0])).astype(np.int64), regular


def _read_codes_from_counters(values: Array, counters: Array) -> tuple[Array, Array]:
    """Use the counters of the file; the axis is the mean value at each, interpolated where nothing was measured."""
    codes = counters - counters.min()
    size = int(codes.max()) + 1
    count = np.bincount(codes, minlength=size)
    known = np.flatnonzero(count)
    means = np.bincount(codes, weights=values, minlength=size)[known] / count[known]
    return codes, np.interp(np.arange(size), known, means)


def _fill_regular_axis(axis: Array, most: int) -> Array | None:
    """Fill the gaps of an evenly spaced axis; None where it is uneven, or would have more than `most` entries."""
    if axis.size < 2:
        return None
    steps = np.diff(axis.astype(np.float64))
    step = steps.min()
    with np.errstate(over="ignore"):
        counts = np.rint(steps / step)
    if counts.sum() >= most:
        return None
    if not np.allclose(steps, counts * step, rtol=0, atol=_UNEVEN * step) or counts.sum() + 1 == axis.size:
        return None
    return np.asarray(axis[0] + (axis[-1] - axis[0]) * np.linspace(0, 1, int(counts.sum()) + 1))


def _check_density(data: xr.DataArray, names: list[str], shape: tuple[int, ...], dim: str) -> None:
    places = data.sizes[dim]
    if prod(shape) > _SPARSEST * places:
        size = " x ".join(f"{n} {name}" for n, name in zip(shape, names, strict=True))
        raise GridError(
            f"The {places} places of {data.name!r} lie on no grid: their values would span {size} cells. "
            f"Keep them as they are, or interpolate onto a grid of your own."
        )


def _check_single(data: xr.DataArray, names: list[str], cells: Array, dim: str) -> None:
    unique, first, counts = np.unique(cells, return_index=True, return_counts=True)
    if unique.size < cells.size:
        row = int(first[counts > 1][0])
        where = ", ".join(f"{n}={data.coords[n].values[row]}" for n in names)
        raise GridError(
            f"{int((counts > 1).sum())} cells of the grid were measured more than once, the first at {where}. "
            f"Choose among them first, for example da.groupby(...) or da.isel({dim}=...)."
        )


def _fill(data: xr.DataArray, fill_value: Any, *, holes: bool) -> tuple[xr.DataArray, Any]:
    """Return the data in a type that holds the fill value, and the value in that type."""
    if fill_value is None and holes and data.dtype.kind not in "fc":
        raise GridError(
            f"The grid has holes and {data.dtype} has no NaN. Give a fill_value, or convert to float first."
        )
    fill = np.asarray(fill_value if fill_value is not None else np.nan if data.dtype.kind in "fc" else 0)
    dtype = _widen_dtype(data.dtype, fill) if holes else data.dtype
    with np.errstate(all="ignore"):
        return data.astype(dtype, copy=False), fill.astype(dtype)


def _widen_dtype(dtype: np.dtype[Any], fill: Array) -> np.dtype[Any]:
    """Return the type itself where it can hold the value, else the next larger one that can."""
    kinds = {"f": "biuf", "c": "biufc"}
    if fill.dtype.kind in kinds.get(dtype.kind, ""):
        return dtype
    if dtype.kind in "biu" and fill.dtype.kind in "biu":
        return dtype if fill.astype(dtype) == fill else np.result_type(dtype, np.min_scalar_type(fill))
    return np.result_type(dtype, np.min_scalar_type(fill), np.float32)


def _fill_grid(
    data: xr.DataArray, dim: str, row_of: Array, shape: tuple[int, ...], names: list[str], fill: Any
) -> xr.DataArray:
    rest = [d for d in data.dims if d != dim]
    flat = data.drop_vars([c for c in data.coords if dim in data.coords[c].dims]).transpose(dim, *rest)
    taken = flat.isel({dim: np.maximum(row_of, 0)})
    is_hole = xr.DataArray(row_of < 0, dims=dim)
    placed = taken.where(~is_hole, fill) if is_hole.any() else taken
    reshaped = placed.data.reshape(shape + tuple(data.sizes[d] for d in rest))
    return xr.DataArray(reshaped, dims=(*names, *rest), coords=placed.coords, attrs=data.attrs, name=data.name)


def _label_grid(
    filled: xr.DataArray, data: xr.DataArray, dim: str, names: list[str], axes: tuple[Array, ...], measured: Array
) -> xr.DataArray:
    for name, axis in zip(names, axes, strict=True):
        filled = filled.assign_coords({name: ((name,), axis, data.coords[name].attrs)})
    return filled.assign_coords(measured=(tuple(names), measured))
