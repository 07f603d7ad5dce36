"""Noisy spectra -> smooth ones, or their derivatives, by what lies around each sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr
from numpy.polynomial import Legendre

from usidx.errors import UnitsError, UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_axis, refuse_complex
from usidx.signal.rows import blank_missing, map_rows, split_complex

__all__ = ["gaussian", "median", "savgol", "total_variation"]

Array = npt.NDArray[Any]
#: Standard deviations after which a Gaussian is cut off, as SciPy does.
_REACH: Final = 4.0
_ORDINALS: Final = {1: "", 2: "Second ", 3: "Third "}


@verb("Savgol")
def savgol(
    data: xr.DataArray,
    window: float,
    order: int,
    deriv: int = 0,
    dim: str | None = None,
    *,
    in_units: bool = True,
) -> xr.DataArray:
    """Smooth, or differentiate, by the polynomial that fits the samples around each (Savitzky and Golay).

    A lazy array stays lazy. Where a sample that takes part is missing, the outcome is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex, its axis even.
    window : float
        How much of the axis takes part, in its unit; rounded to an odd number of samples.
    order : int
        Of the polynomial, less than the samples of the window.
    deriv : int
        Which derivative; 0 smooths.
    dim : str, optional
        By default the only spectroscopic one.
    in_units : bool
        False: `window` is an odd number of samples. Then the axis need not be even, unless a derivative is wanted.

    Returns
    -------
    DataArray
        As `data`; of a derivative the units are divided by those of the axis.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        `window`, `order` and `deriv` do not fit each other, or the axis.

    Notes
    -----
    The values are those of `scipy.signal.savgol_filter`: at the ends the polynomial of the outermost window is taken.
    Machine code of usidx finds them faster.

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.current_voltage((4, 4), kind="ohmic", noise=0.0)
    >>> slope = usidx.signal.savgol(curves, 0.5, 2, deriv=1)
    >>> slope.units, bool((abs(slope * truth.resistance - 1) < 1e-9).all())
    ('A/V', True)
    """
    name = choose_dim(data, dim)
    count, step = _count(data, name, window, "window", in_units=in_units)
    if not 0 <= order < count or not deriv >= 0 or count > data.sizes[name]:
        raise UsidError(
            f"window={window!r} is {count} of {data.sizes[name]} samples, order={order}, deriv={deriv}: the window "
            f"should have no more samples than the axis, and more than the order, and deriv be 0 or more."
        )
    if deriv and step is None:
        step = read_axis(data, name).step
    kernel = partial(_smooth, work=partial(_fit_polynomials, count=count, order=order, deriv=deriv, step=step or 1.0))
    output = Output(attrs=_describe_derivative(data, name, deriv)) if deriv else Output()
    return add_choices(along(data, name, kernel, output), dim=name, samples=count)


def _count(
    data: xr.DataArray, dim: str, length: float, name: str, *, in_units: bool, odd: bool = True
) -> tuple[int, float | None]:
    """Return how many samples a length stands for, and the step of the axis where it is known to be even."""
    if in_units:
        axis = read_axis(data, dim)
        return axis.count_samples(length, in_units=True, odd=odd, name=name), axis.step
    try:
        axis = read_axis(data, dim)
    except UnitsError:
        axis, known = read_axis(data.drop_vars(dim), dim), None
    else:
        known = axis.step
    return axis.count_samples(length, in_units=False, odd=odd, name=name), known


def _describe_derivative(data: xr.DataArray, dim: str, deriv: int) -> dict[str, str]:
    ordinal = _ORDINALS.get(deriv, f"{deriv}th ")
    named = {"long_name": f"{ordinal}Derivative of {data.attrs['long_name']}"} if "long_name" in data.attrs else {}
    top, bottom = data.attrs.get("units"), read_axis(data, dim).unit
    if not isinstance(top, str) or bottom is None:
        return named
    return {**named, "units": units.divide(top, units.raise_to_power(bottom, deriv))}


def _fit_polynomials(rows: Array, *, count: int, order: int, deriv: int, step: float) -> tuple[Array, int, bool]:
    from usidx.signal.kernels.correlation import weigh_windows

    half, fits = count // 2, _find_polynomial_weights(count, order, deriv, step)
    found = np.empty_like(rows)
    found[:, half : rows.shape[1] - half] = weigh_windows(rows, fits[half])
    found[:, :half] = rows[:, :count] @ fits[:half].T.astype(rows.dtype)
    found[:, rows.shape[1] - half :] = rows[:, -count:] @ fits[half + 1 :].T.astype(rows.dtype)
    return found, half, True


@lru_cache(maxsize=64)
def _find_polynomial_weights(count: int, order: int, deriv: int, step: float) -> Array:
    """Return what each sample of a window counts for the polynomial, or its derivative, at each place of it."""
    if deriv > order:
        return np.zeros((count, count))
    # From -1 to 1 and orthogonal, for powers of large numbers would lose digits.
    place = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    basis = [Legendre.basis(n) for n in range(order + 1)]
    ortho, mixing = np.linalg.qr(np.stack([b(place) for b in basis], axis=1))
    slopes = np.stack([(b.deriv(deriv) if deriv else b)(place) for b in basis], axis=1)
    scale = (2 / (step * (count - 1))) ** deriv if deriv else 1.0
    found: Array = scale * np.linalg.solve(mixing.T, slopes.T).T @ ortho.T
    return found


def _smooth(block: Array, *, work: Callable[[Array], tuple[Array, int, bool]]) -> Array:
    """Call `work(rows)`, which returns what it made, how far it looks, and whether windows stay within the axis."""

    def run(rows: Array) -> Array:
        if np.isfinite(rows.sum()):
            return split_complex(lambda part: work(part)[0], rows)
        known = np.isfinite(rows)
        clean = np.where(known, rows, 0)
        found = split_complex(lambda part: work(part)[0], clean)
        _, reach, stays = work(clean[:1].real)
        found[_spread(~known, reach, stays=stays)] = np.nan
        return found

    return map_rows(run, block)


def _spread(missing: Array, reach: int, *, stays: bool) -> Array:
    """Return which windows around the samples have a missing one; at the ends they are cut, or stay within the axis."""
    size = missing.shape[1]
    counted = np.concatenate([np.zeros((len(missing), 1), np.intp), np.cumsum(missing, axis=1)], axis=1)
    place = np.arange(size)
    if stays:
        place = np.clip(place, reach, size - 1 - reach)
    begin, end = np.maximum(place - reach, 0), np.minimum(place + reach + 1, size)
    return np.asarray(counted[:, end] > counted[:, begin])


@verb("Gaussian")
def gaussian(data: xr.DataArray, sigma: float, dim: str | None = None, *, in_units: bool = True) -> xr.DataArray:
    """Smooth by a Gaussian.

    A lazy array stays lazy. Where a sample within four standard deviations is missing, the outcome is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex, its axis even.
    sigma : float
        Standard deviation, in the unit of the axis.
    dim : str, optional
        By default the only spectroscopic one.
    in_units : bool
        False: `sigma` is in samples, and the axis need not be even.

    Returns
    -------
    DataArray
        As `data`.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        `sigma` is not more than 0.

    Notes
    -----
    The values are those of `scipy.ndimage.gaussian_filter1d`: beyond the ends the axis is reflected.

    Examples
    --------
    >>> import usidx
    >>> curves, _ = usidx.simulate.current_voltage((4, 4), 51)
    >>> usidx.signal.gaussian(curves, 0.1).dims
    ('Y', 'X', 'Bias')
    """
    name = choose_dim(data, dim)
    if not 0 < sigma < np.inf:
        raise UsidError(f"sigma={sigma!r}; it should be more than 0.")
    samples = sigma / abs(read_axis(data, name).step) if in_units else float(sigma)
    kernel = partial(_smooth, work=partial(_weigh, sigma=samples))
    return add_choices(along(data, name, kernel), dim=name, samples=samples)


def _weigh(rows: Array, *, sigma: float) -> tuple[Array, int, bool]:
    from usidx.signal.kernels.correlation import weigh_windows

    reach = int(_REACH * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="symmetric")
    return weigh_windows(padded, weights / weights.sum()), reach, False


@verb("Median")
def median(data: xr.DataArray, size: float, dim: str | None = None, *, in_units: bool = True) -> xr.DataArray:
    """Take the median of the samples around each: steps stay, what is narrower than half the size goes.

    A lazy array stays lazy. Where a sample that takes part is missing, the outcome is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real, its axis even.
    size : float
        How much of the axis takes part, in its unit; rounded to an odd number of samples.
    dim : str, optional
        By default the only spectroscopic one.
    in_units : bool
        False: `size` is an odd number of samples, and the axis need not be even.

    Returns
    -------
    DataArray
        As `data`.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        `size` is no such length, or the data is complex.

    Notes
    -----
    The values are those of `scipy.ndimage.median_filter`: beyond the ends the axis is reflected. They are found by
    machine code of usidx, several times as fast.

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> usidx.signal.median(xr.DataArray([0.0, 0.0, 9.0, 1.0, 1.0], dims="x"), 3).values
    array([0., 0., 1., 1., 1.])
    """
    refuse_complex(data)
    name = choose_dim(data, dim)
    count, _ = _count(data, name, size, "size", in_units=in_units)
    return add_choices(along(data, name, partial(_take_medians, count=count)), dim=name, samples=count)


def _take_medians(block: Array, *, count: int) -> Array:
    from usidx.signal.kernels.running_median import find_medians

    def run(rows: Array) -> Array:
        missing = np.isnan(rows) if np.isnan(rows.sum()) else None
        clean = rows if missing is None else np.where(missing, 0, rows)
        found = find_medians(np.pad(clean, ((0, 0), (count // 2, count // 2)), mode="symmetric"), count)
        if missing is not None:
            found[_spread(missing, count // 2, stays=False)] = np.nan
        return found

    return map_rows(run, block)


@verb("Total_Variation")
def total_variation(data: xr.DataArray, weight: float, dim: str | None = None) -> xr.DataArray:
    r"""Make spectra of flat pieces: the least total variation near the data.

    A lazy array stays lazy. A spectrum with a sample that is not finite becomes NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real; coordinates play no part.
    weight : float
        How much flatness counts, in the unit of the data: steps of one sample that are lower than this go, longer ones
        stay and lose ``2 * weight`` by their length.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    DataArray
        As `data`.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UsidError
        `weight` is negative, or the data is complex.

    Notes
    -----
    Exactly the x of least :math:`\frac{1}{2} \sum (x_i - y_i)^2 + w \sum |x_{i+1} - x_i|`, found directly.

    References
    ----------
    L. Condat, IEEE Signal Process. Lett. 20, 1054 (2013).

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> usidx.signal.total_variation(xr.DataArray([0.0, 2.0, 1.0, 9.0, 9.0], dims="x"), 1.0).values
    array([1. , 1.5, 1.5, 8.5, 8.5])
    """
    refuse_complex(data)
    name = choose_dim(data, dim)
    if not 0 <= weight < np.inf:
        raise UsidError(f"weight={weight!r}; it should be 0 or more, in the unit of the data.")
    return add_choices(along(data, name, partial(_flatten, weight=float(weight))), dim=name)


def _flatten(block: Array, *, weight: float) -> Array:
    from usidx.signal.kernels.variation import flatten_rows

    def run(rows: Array) -> Array:
        known = np.isfinite(rows)
        found = flatten_rows(rows if known.all() else np.where(known, rows, 0), weight).astype(rows.dtype, copy=False)
        return blank_missing(found, rows)

    return map_rows(run, block)
