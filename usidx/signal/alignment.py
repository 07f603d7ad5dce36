"""Spectra that have moved along their axis -> by how much, and the spectra moved back."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UsidError
from usidx.label.blockwise import Output, along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, choose_dim, read_axis, refuse_complex
from usidx.signal.rows import map_rows

__all__ = ["align"]

Array = npt.NDArray[Any]
_STEPS: Final = 8
_PAD: Final = 2


@verb()
def align(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    reference: str | xr.DataArray = "mean",
    max_shift: float | None = None,
    fill: float = np.nan,
) -> xr.Dataset:
    """Find how far each spectrum has moved along its axis, and move it back.

    A lazy array stays lazy; with the mean as the reference it is read three times. Nothing is cropped.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real, its axis even.
    dim : str, optional
        By default the only spectroscopic one.
    reference : {"mean", "first"} or DataArray, dims (dim,)
        What the spectra are to lie over: their mean, which is taken anew once they are aligned with it; the first of
        them; or a spectrum on the same axis.
    max_shift : float, optional
        Farthest that is looked for, in the unit of the axis; by default half of it.
    fill : float
        For samples that come in from beyond the ends.

    Returns
    -------
    Dataset
        ``aligned``, dims of `data`, and ``shift``, dims (*any), how far each has moved, in the unit of the axis.
        Both are NaN for a spectrum with a sample that is not finite, or all alike.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    ResultError
        The reference has another axis.
    UsidError
        An option is not as above, or the data is complex.

    Notes
    -----
    The highest cross-correlation is refined by least squares: the reference, a cubic spline, is moved, scaled and
    raised until it fits.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> axis, place = np.arange(100.0), xr.DataArray([49.0, 50.0, 51.5], dims="X")
    >>> energy = xr.DataArray(axis, dims="E", coords={"E": axis})
    >>> found = usidx.signal.align(np.exp(-(((energy - place) / 5) ** 2)), "E", reference="first")
    >>> abs(found["shift"].round(2)).values
    array([0. , 1. , 2.5])
    """
    refuse_complex(data)
    axis = read_axis(data, choose_dim(data, dim))
    most = axis.size / 2 if max_shift is None else max_shift / abs(axis.step)
    if not 0 <= most < np.inf:
        raise UsidError(f"max_shift={max_shift!r}; it should be 0 or more.")
    target, is_mean = _choose_reference(data, axis, reference)
    find = partial(_align, step=axis.step, most=min(int(np.ceil(most)), axis.size - 1), fill=fill)
    outputs = {
        "aligned": Output(attrs={"long_name": str(data.name or "Aligned")} | _keep_quantity(data)),
        "shift": Output(dims=(), attrs={"long_name": "Shift"} | ({} if axis.unit is None else {"units": axis.unit})),
    }
    found = along(data, axis.dim, find, outputs, beside=[target])
    if is_mean:
        first = along(data, axis.dim, partial(find, fill=np.nan), outputs, beside=[target])
        target = _average(first["aligned"], axis.dim)
        found = along(data, axis.dim, find, outputs, beside=[target])
    return add_choices(found, dim=axis.dim)


def _keep_quantity(data: xr.DataArray) -> dict[str, Any]:
    return {k: data.attrs[k] for k in ("long_name", "units") if k in data.attrs}


def _choose_reference(data: xr.DataArray, axis: Axis, reference: Any) -> tuple[xr.DataArray, bool]:
    """Return the reference, and whether it is the mean."""
    if isinstance(reference, xr.DataArray):
        if reference.dims != (axis.dim,) or reference.sizes[axis.dim] != axis.size:
            raise ResultError(
                f"The reference has dims {dict(reference.sizes)}; {axis.size} of {axis.dim!r} are wanted."
            )
        own = read_axis(reference, axis.dim)
        if axis.dim in reference.coords and max(abs(own.first - axis.first), abs(own.step - axis.step)) > 1e-3 * abs(
            axis.step
        ):
            raise ResultError(
                f"The reference has another axis along {axis.dim!r}; usidx.signal.resample can change it."
            )
        return reference.drop_vars(list(reference.coords)), False
    if reference == "first":
        return data.isel({d: 0 for d in data.dims if d != axis.dim}).drop_vars(list(data.coords)), False
    if reference != "mean":
        raise UsidError(f"reference={reference!r}; it should be 'mean', 'first' or a DataArray.")
    return _average(data, axis.dim), data.ndim > 1


def _average(data: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the mean spectrum of what is finite; without coordinates, which are all the data's."""
    bare = data.drop_vars(list(data.coords)).astype(np.float64)  # or the sum would depend on the blocks
    return bare.where(np.isfinite(bare)).mean([d for d in data.dims if d != dim])


def _align(block: Array, target: Array, *, step: float, most: int, fill: float) -> tuple[Array, Array]:
    reference = np.asarray(target, np.float64).reshape(-1)
    if not np.isfinite(reference).all():
        return np.full(block.shape, np.nan), np.full(block.shape[:-1], np.nan)
    reference = _scale(reference)

    def run(rows: Array) -> Array:
        known = np.isfinite(rows).all(axis=1) & (np.ptp(rows, axis=1) > 0)
        given = np.where(known[:, np.newaxis], rows, 0.0).astype(np.float64)
        alike = _scale(given)
        shifts = _refine(alike, reference, _correlate(alike, reference, most), most)
        moved, _, inside = _move(_find_coefficients(given), shifts)
        moved[~inside] = fill
        made = np.concatenate([moved, step * shifts[:, np.newaxis]], axis=1)
        made[~known] = np.nan
        return made

    made = map_rows(run, block, width=block.shape[-1] + 1, dtype=np.float64)
    return made[..., :-1], made[..., -1]


def _scale(rows: Array) -> Array:
    """Return rows around 0 that are as high as 1: in any unit they weigh as much as the constant beside them."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    height = np.abs(centred).max(axis=-1, keepdims=True)
    return np.asarray(centred / np.where(height > 0, height, 1.0))


def _correlate(rows: Array, reference: Array, most: int) -> Array:
    """Return the whole number of samples at which each row lies best over the reference."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(2 * rows.shape[1], real=True)
    centred = rows - rows.mean(axis=1, keepdims=True)
    product = rfft(centred, size, axis=1) * np.conj(rfft(reference - reference.mean(), size))
    found = irfft(product, size, axis=1)
    lags = np.arange(-most, most + 1)
    best: Array = lags[np.argmax(found[:, lags % size], axis=1)]
    return best.astype(np.float64)


def _refine(rows: Array, reference: Array, shifts: Array, most: int) -> Array:
    """Move, scale and raise the reference until it fits each row, by steps of Gauss and Newton."""
    coefficients = np.broadcast_to(_find_coefficients(reference[np.newaxis]), (len(rows), rows.shape[1] + 2 * _PAD))
    begin, found, moves = shifts, shifts.copy(), np.ones(len(rows), bool)
    for _ in range(_STEPS):
        model, slope, inside = _move(coefficients, -found)
        basis = np.stack([model, np.ones_like(model), -slope], axis=-1) * inside[..., np.newaxis]
        normal = np.einsum("rsi,rsj->rij", basis, basis)
        right = np.einsum("rsi,rs->ri", basis, rows)
        # A touch of stiffness, for rows in which nothing says where they lie.
        normal += 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] * np.eye(3) + 1e-300 * np.eye(3)
        scale, _, turn = np.moveaxis(np.linalg.solve(normal, right[..., np.newaxis])[..., 0], 1, 0)
        change = np.clip(np.divide(turn, scale, out=np.zeros_like(turn), where=scale > 0), -1, 1)
        change = np.where(moves, change, 0.0)  # each row ends by itself: what lies beside it has no part in it
        found = np.clip(found + change, np.maximum(begin - 2, -most), np.minimum(begin + 2, most))
        moves &= np.abs(change) > 1e-6
        if not moves.any():
            break
    return found


def _find_coefficients(rows: Array) -> Array:
    """Return the coefficients of cubic splines through rows, with two more at each end."""
    from scipy.ndimage import spline_filter1d

    if rows.shape[1] < 3:
        return np.pad(rows, ((0, 0), (_PAD, _PAD)), mode="edge")
    return np.pad(spline_filter1d(rows, 3, axis=1, mode="mirror"), ((0, 0), (_PAD, _PAD)), mode="reflect")


def _move(coefficients: Array, by: Array) -> tuple[Array, Array, Array]:
    """Return values and slopes of splines, so far beyond each sample, and where that is within the axis."""
    size = coefficients.shape[1] - 2 * _PAD
    places = np.arange(size) + by[:, np.newaxis]
    inside = (places >= -1e-9) & (places <= size - 1 + 1e-9)
    places = np.clip(places, 0, size - 1)
    whole = np.minimum(places.astype(np.intp), max(size - 2, 0))
    t = places - whole
    parts = [np.take_along_axis(coefficients, whole + _PAD - 1 + k, axis=1) for k in range(4)]
    weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    slopes = (-((1 - t) ** 2), -4 * t + 3 * t**2, 1 + 2 * t - 3 * t**2, t**2)
    value = sum((w * p for w, p in zip(weights, parts, strict=True)), np.zeros_like(t)) / 6
    slope = sum((w * p for w, p in zip(slopes, parts, strict=True)), np.zeros_like(t)) / 2
    return value, slope, inside
