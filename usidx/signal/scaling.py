"""Spectra -> the same on another scale, on other samples, or with other coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UnitsError, UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, find_slack, read_steps
from usidx.signal.rows import blank_missing, map_rows

__all__ = ["calibrate", "normalize", "resample"]

Array = npt.NDArray[Any]
_WAYS: Final = ("max", "area", "std", "snv")


@verb()
def normalize(
    data: xr.DataArray, by: str | tuple[float, float] | slice = "max", dim: str | None = None
) -> xr.DataArray:
    """Divide each spectrum by a measure of its own.

    A lazy array stays lazy. A spectrum with a sample that is not finite, or whose measure is 0, becomes NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real, or complex, whose magnitude is measured.
    by : {"max", "area", "std", "snv"} or (low, high)
        The largest value; the area under the spectrum, by trapezoids over the coordinate; the standard deviation; the
        same after the mean is taken off (standard normal variate); or the mean over a range of the coordinate, both
        ends included.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    DataArray
        As `data`, floating, without a unit; of ``"area"`` in the reciprocal unit of the coordinate.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    SelectionError
        There is nothing in the range.
    UnitsError
        The coordinate has no finite numbers.
    UsidError
        `by` is not as above.

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> usidx.signal.normalize(xr.DataArray([1.0, 2.0, 4.0], dims="E")).values
    array([0.25, 0.5 , 1.  ])
    """
    name = choose_dim(data, dim)
    place, unit = read_steps(data, name)
    attrs: dict[str, Any] = {k: data.attrs[k] for k in ("long_name",) if k in data.attrs} | {"units": ""}
    inside: Array | None = None
    if isinstance(by, str):
        if by not in _WAYS:
            raise UsidError(f"by={by!r}; it should be one of {', '.join(_WAYS)}, or a range (low, high).")
        if by == "area":
            attrs = attrs | ({} if unit is None else {"units": units.divide("1", unit) if unit else ""})
    else:
        inside = find_inside(place, by, name)
    kernel = partial(_normalize, way=by if isinstance(by, str) else "range", place=place, inside=inside)
    return add_choices(along(data, name, kernel, Output(attrs=attrs)), dim=name)


def find_inside(place: Array, window: Any, dim: str) -> Array:
    """Return which samples lie in a range of the coordinate, both ends included.

    Raises
    ------
    SelectionError
        There are none, or it is no range.
    """
    try:
        low, high = (window.start, window.stop) if isinstance(window, slice) else window
        low, high = sorted((-np.inf if low is None else float(low), np.inf if high is None else float(high)))
    except (TypeError, ValueError) as err:
        raise SelectionError(f"{window!r} is no range (low, high) of {dim!r}.") from err
    inside = (place >= low) & (place <= high)
    if not inside.any():
        raise SelectionError(f"No sample of {dim!r} lies from {low:g} to {high:g}; it goes from {place.min():g} to "
                             f"{place.max():g}.")  # fmt: skip
    return np.asarray(inside)


def _normalize(block: Array, *, way: str, place: Array, inside: Array | None) -> Array:
    def run(rows: Array) -> Array:
        # Squares and areas of small numbers are none in single precision.
        exact = rows.astype(np.complex128 if rows.dtype.kind == "c" else np.float64, copy=False)
        size = np.abs(exact) if rows.dtype.kind == "c" else exact
        given = exact - exact.mean(axis=1, keepdims=True) if way == "snv" else exact
        if way == "max":
            measure = size.max(axis=1)
        elif way == "area":
            measure = np.trapezoid(size, place, axis=1) * (1 if place[-1] >= place[0] else -1)
        elif way == "range":
            measure = size[:, inside].mean(axis=1)
        else:
            measure = exact.std(axis=1)
        found = given / np.where(measure == 0, np.nan, measure)[:, np.newaxis]
        return blank_missing(found.astype(rows.dtype, copy=False), rows)

    return map_rows(run, block)


@verb()
def resample(
    data: xr.DataArray,
    coordinate: npt.ArrayLike | xr.DataArray,
    dim: str | None = None,
    *,
    method: Literal["linear", "cubic"] = "linear",
) -> xr.DataArray:
    """Interpolate each spectrum at other values of its coordinate.

    A lazy array stays lazy. Beyond the ends there is NaN, never a guess. Axes may be uneven and descend.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex.
    coordinate : array-like or DataArray, 1-D
        The new values, in any order. A DataArray keeps its attributes; else those of the old coordinate stay.
    dim : str, optional
        By default the only spectroscopic one.
    method : {"linear", "cubic"}
        Straight lines between samples, where a missing one is missing in the two pieces beside it; or a cubic spline
        through all, for which a spectrum with a missing sample is NaN.

    Returns
    -------
    DataArray
        As `data`, floating, with the new coordinate.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        A coordinate is not finite, or the old one has a value twice.
    UsidError
        There is no such method, or the new coordinate is not 1-D.

    Notes
    -----
    The values are those of `numpy.interp`, and of `scipy.interpolate.CubicSpline` with its usual ends. Where the new
    steps are wider than the old ones, smooth first.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> bent = xr.DataArray([0.0, 1.0, 4.0], dims="E", coords={"E": [0.0, 1.0, 4.0]})
    >>> usidx.signal.resample(bent, np.arange(6.0)).values
    array([ 0.,  1.,  2.,  3.,  4., nan])
    """
    name = choose_dim(data, dim)
    place, _ = read_steps(data, name)
    wanted = np.asarray(coordinate.values if isinstance(coordinate, xr.DataArray) else coordinate)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iuf":
        raise UsidError(f"The new coordinate is {wanted.dtype} of {wanted.ndim} dims; one dim of numbers is wanted.")
    if not np.isfinite(wanted).all() or np.unique(place).size < place.size:
        raise UnitsError(f"The new coordinate of {name!r} should be finite, and the old one have no value twice.")
    if method not in ("linear", "cubic") or (method == "cubic" and place.size < 2):
        raise UsidError(f"method={method!r}; it should be 'linear', or 'cubic' of two samples or more.")
    before = data.coords[name].attrs if name in data.coords else {}
    attrs = dict(coordinate.attrs) if isinstance(coordinate, xr.DataArray) else dict(before)
    output = Output(coords={name: xr.DataArray(wanted, dims=name, attrs=attrs)})
    order = np.argsort(place)
    kernel = partial(_interpolate, place=place[order], order=order, wanted=wanted.astype(np.float64), method=method)
    return add_choices(along(data, name, kernel, output), dim=name)


def _interpolate(block: Array, *, place: Array, order: Array, wanted: Array, method: str) -> Array:
    slack = find_slack(place)
    outside = (wanted < place[0] - slack) | (wanted > place[-1] + slack)
    wanted = np.clip(wanted, place[0], place[-1])
    after = np.clip(np.searchsorted(place, wanted, side="right"), 1, max(place.size - 1, 1))
    before = after - 1 if place.size > 1 else np.zeros_like(after)
    after = np.minimum(after, place.size - 1)
    span = place[after] - place[before]
    part = np.divide(wanted - place[before], span, out=np.zeros(wanted.size), where=span > 0)

    def run(rows: Array) -> Array:
        given = rows[:, order]
        if method == "cubic":
            from scipy.interpolate import CubicSpline

            found = CubicSpline(place, np.where(np.isfinite(given), given, 0), axis=1)(wanted).astype(rows.dtype)
            blank_missing(found, rows)
        else:
            low, high, share = given[:, before], given[:, after], part.astype(rows.real.dtype)
            # A sample that is met exactly needs no other one, which may be missing.
            found = np.where(share == 0, low, np.where(share == 1, high, low + share * (high - low)))
        found[:, outside] = np.nan
        return np.asarray(found)

    return map_rows(run, block, width=wanted.size)


@verb()
def calibrate(data: xr.DataArray, pairs: Mapping[float, float], dim: str | None = None) -> xr.DataArray:
    """Shift and stretch the coordinate of a dim, so that values that are known come out right.

    A lazy array stays lazy; the values are not touched.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Of numbers.
    pairs : mapping of float to float
        From what the coordinate says to what it should say: ``{521.3: 520.7}``. One pair shifts; of two or more the
        line of least squares is taken.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    DataArray
        `data` with the coordinate as floats; its attributes stay.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The coordinate has no finite numbers.
    UsidError
        There are no pairs, or they turn the coordinate into one number.

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> spectrum = xr.DataArray([0.0, 1.0, 0.0], dims="E", coords={"E": [0.0, 1.0, 2.0]})
    >>> usidx.signal.calibrate(spectrum, {0.0: 10.0, 2.0: 14.0}).E.values
    array([10., 12., 14.])
    """
    name = choose_dim(data, dim)
    place, _ = read_steps(data, name)
    try:
        old, new = (np.array([float(v) for v in side]) for side in (pairs.keys(), pairs.values()))
    except (AttributeError, TypeError, ValueError) as err:
        raise UsidError(f"pairs={pairs!r}; it should be a mapping of numbers, {{old: new}}.") from err
    apart = old - old.mean() if old.size else old
    slope = float(apart @ new / (apart @ apart)) if np.unique(old).size > 1 else 1.0
    if not old.size or slope == 0 or not np.isfinite([*old, *new]).all():
        raise UsidError(f"pairs={pairs!r} do not say how the coordinate goes on; give finite ones that differ.")
    made = new.mean() + slope * (place - old.mean())
    attrs = data.coords[name].attrs if name in data.coords else {}
    others = [n for n, c in data.coords.items() if n != name and name in c.dims and n in data.xindexes]
    moved = data.drop_vars(others).assign_coords({name: xr.Variable(name, made, attrs)})
    moved.attrs = {k: v for k, v in data.attrs.items() if k in ("long_name", "units")}
    return add_choices(moved, dim=name, pairs=[[float(a), float(b)] for a, b in zip(old, new, strict=True)])
