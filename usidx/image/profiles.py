"""Images -> the values along a line through them, and around a point."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UnitsError, UsidError
from usidx.image.plane import choose_image_dims, read_pair, read_places
from usidx.label import units
from usidx.label.blockwise import Output, over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import find_slack, read_steps

__all__ = ["profile", "radial_mean"]

Array = npt.NDArray[Any]
Point = tuple[float, float]
_ROUNDING: Final = 1e-6  # samples


@verb()
def profile(
    data: xr.DataArray,
    start: Point,
    end: Point,
    width: float = 0.0,
    *,
    method: Literal["linear", "nearest"] = "linear",
    dims: Dims | None = None,
) -> xr.DataArray:
    """Return the values along a straight line, which may be wide.

    A lazy array stays lazy. Across a wide line the mean of what counts is taken: samples that are missing or beyond the
    edge of the image do not.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real or complex. Axes may descend and be uneven.
    start, end : pair of float
        Coordinates (y, x) of the ends.
    width : float
        Of the line, in the unit of the axes.
    method : {"linear", "nearest"}
        How values between samples are found.
    dims : pair of str, optional
        By default the two position dims, in the order of the array.

    Returns
    -------
    DataArray, dims (*any, distance)
        As `data`, with the distance from the start in the unit of the axes, in steps of about a sample.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    SelectionError
        There is a dim or coordinate ``distance`` already.
    UnitsError
        The axes have different units, or no finite numbers that ascend or descend.
    UsidError
        An option is not as above.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> image = xr.DataArray(np.arange(30.0).reshape(5, 6), dims=("Y", "X"))
    >>> usidx.image.profile(image, (1, 0), (1, 5)).values
    array([ 6.,  7.,  8.,  9., 10., 11.])
    """
    core = choose_image_dims(data, dims)
    first, last = read_pair(start, "start"), read_pair(end, "end")
    if method not in ("linear", "nearest"):
        raise UsidError(f"method={method!r}; it should be 'linear' or 'nearest'.")
    if not 0 <= width < np.inf or first == last:
        raise UsidError(f"From {first} to {last} with width={width!r}; the ends should differ, and the width be >= 0.")
    _refuse_name(data, "distance")
    places, step, unit = _read_square(data, core)
    along, points = _lay_points(np.asarray(first), np.asarray(last), width, step)
    at = [_find_places(place, points[..., n]) for n, place in enumerate(places)]
    kernel = partial(_sample, y=at[0], x=at[1], method=method)
    attrs = {"long_name": "Distance"} | ({} if unit is None else {"units": unit})
    output = Output(dims=("distance",), coords={"distance": xr.DataArray(along, dims="distance", attrs=attrs)})
    return add_choices(over(data, core, kernel, output), dims=list(core))


def _refuse_name(data: xr.DataArray, name: str) -> None:
    if name in data.dims or name in data.coords:
        raise SelectionError(f"{name!r} is there already; rename it first.")


def _read_square(data: xr.DataArray, core: tuple[str, str]) -> tuple[tuple[Array, Array], float, str | None]:
    """Return the coordinates along both dims, the smaller of their usual steps, and their unit."""
    places = read_places(data, core)
    first, second = (read_steps(data, d)[1] for d in core)
    if not units.is_same(first, second):
        raise UnitsError(f"There are no distances between {core[0]!r} in {first!r} and {core[1]!r} in {second!r}.")
    for dim, place in zip(core, places, strict=True):
        change = np.diff(place)
        if not ((change > 0).all() or (change < 0).all()):
            raise UnitsError(f"The coordinate of {dim!r} should ascend or descend.")
    steps = [float(np.median(np.abs(np.diff(place)))) for place in places if place.size > 1]
    return places, min(steps, default=1.0), first


def _lay_points(first: Array, last: Array, width: float, step: float) -> tuple[Array, Array]:
    """Return distances along a line, and the coordinates of points on it and beside it, (across, along, 2)."""
    length = float(np.hypot(*(last - first)))
    along = np.linspace(0, length, max(round(length / step), 1) + 1)
    count = max(round(width / step), 1)
    across = (np.arange(count) - (count - 1) / 2) * (width / count if count > 1 else 0.0)
    way = (last - first) / length
    aside = np.array([-way[1], way[0]])
    return along, first + along[:, np.newaxis] * way + across[:, np.newaxis, np.newaxis] * aside


def _find_places(coordinate: Array, wanted: Array) -> Array:
    """Return places between samples, counted from 0; NaN beyond the ends."""
    order = np.argsort(coordinate)
    slack = find_slack(coordinate) or 1e-9
    inside = (wanted >= coordinate.min() - slack) & (wanted <= coordinate.max() + slack)
    found = np.interp(wanted, coordinate[order], np.arange(coordinate.size, dtype=np.float64)[order])
    whole = np.rint(found)  # by rounding beside a sample is at it: others take no part
    found = np.where(np.abs(found - whole) < _ROUNDING, whole, found)
    return np.where(inside, found, np.nan)


def _sample(block: Array, *, y: Array, x: Array, method: str) -> Array:
    inside = np.isfinite(y) & np.isfinite(x)
    row, column = np.where(inside, y, 0.0), np.where(inside, x, 0.0)
    if method == "nearest":
        values = block[..., np.rint(row).astype(int), np.rint(column).astype(int)]
    else:
        values = _interpolate(block, row, column)
    counts = inside & np.isfinite(values)
    number = counts.sum(axis=-2)
    total = np.where(counts, values, 0).sum(axis=-2)
    found = np.full(total.shape, np.nan, block.dtype)
    np.divide(total, number, out=found, where=number > 0, casting="same_kind")
    return found


def _interpolate(block: Array, row: Array, column: Array) -> Array:
    """Return values between four samples; one that takes no part may be missing."""
    found: Array | None = None
    kind = block.real.dtype
    for ends_row in (0, 1):
        for ends_column in (0, 1):
            down = np.minimum(np.floor(row).astype(int) + ends_row, block.shape[-2] - 1)
            right = np.minimum(np.floor(column).astype(int) + ends_column, block.shape[-1] - 1)
            shares = [part if end else 1 - part for part, end in ((row % 1, ends_row), (column % 1, ends_column))]
            share = (shares[0] * shares[1]).astype(kind)
            part = np.where(share > 0, share * block[..., down, right], 0)
            found = part if found is None else found + part
    assert found is not None
    return found


@verb()
def radial_mean(
    data: xr.DataArray, center: Point | None = None, bins: int | None = None, *, dims: Dims | None = None
) -> xr.DataArray:
    """Average images over rings around a point.

    A lazy array stays lazy. Each ring is the mean of its samples that count: missing ones do not, nor does what lies
    beyond the edges, so that there is no step where rings leave the image.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real or complex. Axes may descend and be uneven.
    center : pair of float, optional
        Coordinates (y, x); by default the middle of the image.
    bins : int, optional
        Rings up to the farthest sample; by default they are a sample wide.
    dims : pair of str, optional
        By default the two position dims, in the order of the array.

    Returns
    -------
    DataArray, dims (*any, radius)
        As `data`, by the radius of the middle of the rings, in the unit of the axes. A ring without samples is NaN.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    SelectionError
        There is a dim or coordinate ``radius`` already.
    UnitsError
        The axes have different units, or no finite numbers that ascend or descend.
    UsidError
        An option is not as above.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> y, x = np.mgrid[-3:4, -3:4]
    >>> image = xr.DataArray(np.hypot(y, x).round(), dims=("Y", "X"))
    >>> usidx.image.radial_mean(image, bins=3).radius.values.round(2)
    array([0.71, 2.12, 3.54])
    """
    core = choose_image_dims(data, dims)
    _refuse_name(data, "radius")
    places, step, unit = _read_square(data, core)
    middle = tuple((p.min() + p.max()) / 2 for p in places) if center is None else read_pair(center, "center")
    radius = np.hypot(*np.meshgrid(*(p - m for p, m in zip(places, middle, strict=True)), indexing="ij"))
    if bins is not None and (bins != int(bins) or bins < 1):
        raise UsidError(f"bins={bins!r}; it should be a whole number, 1 or more.")
    farthest = float(radius.max())
    if bins is None:
        ring, count, wide = np.rint(radius / step).astype(int), round(farthest / step) + 1, step
        middles = step * np.arange(count)
    else:
        count, wide = int(bins), farthest / int(bins) if farthest else 1.0
        ring = np.minimum((radius / wide).astype(int), count - 1)
        middles = wide * (np.arange(count) + 0.5)
    attrs = {"long_name": "Radius"} | ({} if unit is None else {"units": unit})
    output = Output(dims=("radius",), coords={"radius": xr.DataArray(middles, dims="radius", attrs=attrs)})
    made = over(data, core, partial(_average_rings, ring=ring.ravel(), count=count), output)
    return add_choices(made, dims=list(core), center=[float(m) for m in middle])


def _average_rings(block: Array, *, ring: Array, count: int) -> Array:
    rows = block.reshape(-1, ring.size)
    made = np.full((len(rows), count), np.nan, block.dtype)
    for number, row in enumerate(rows):
        counts = np.isfinite(row)
        there = np.bincount(ring[counts], minlength=count)
        parts = (row.real, row.imag) if block.dtype.kind == "c" else (row,)
        sums = [np.bincount(ring[counts], part[counts], minlength=count) for part in parts]
        total = sums[0] + 1j * sums[1] if len(sums) == 2 else sums[0]
        made[number, there > 0] = total[there > 0] / there[there > 0]
    return made.reshape(*block.shape[:-2], count)
