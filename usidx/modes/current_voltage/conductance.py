"""Current by bias -> differential and normalised conductance."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.modes.current_voltage.bias import Swept, read_bias, work_by_bias
from usidx.modes.current_voltage.derivative import find_broadening, find_derivative_stencil
from usidx.results.verbs import add_choices, verb

__all__ = ["didv", "normalized_conductance"]

Array = npt.NDArray[np.float64]


@verb()
def didv(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    window: int = 7,
    order: int = 2,
) -> xr.DataArray:
    """Differentiate the current by the bias.

    A lazy array stays lazy. At each sample a polynomial is fitted to the samples around it, by their own bias, so
    steps need not be equal, and the bias may jitter or repeat. A sweep that turns round is taken run by run: no
    polynomial reaches round a turn, the sample where it turns gets the slope of the run that ends there, and at the
    ends of runs the samples lie to one side. Where a sample that takes part is missing, the derivative is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Current, real; anything else that was measured over a bias will do.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    coordinate : str, optional
        The bias along `dim`, by default the coordinate of the same name. It may change from curve to curve, as the
        range of reversal curves (FORC) or a bias that was measured does.
    window : int
        How many different values of the bias take part, odd; runs of fewer are taken whole.
    order : int
        Of the polynomial, from 1 up and less than `window`.

    Returns
    -------
    DataArray
        Dims as in `data`, its units by those of the bias.

    Raises
    ------
    RoleError
        It is not clear along which dim the bias runs.
    SelectionError
        The coordinate is not there, or does not run along the dim.
    UnitsError
        The bias has no numbers, or some of them are not finite.
    UsidError
        The data is not real, or `window` and `order` are not as above.

    Notes
    -----
    A sweep turns where it goes back by more than eight standard deviations of what its steps scatter. A lazy bias that
    is not finite gives NaN.

    Where steps are equal this is the filter of Savitzky and Golay. The variance of the noise is amplified by the sum
    of the squared weights, which goes down about as ``window**-3``; features narrower than the window are smeared.

    References
    ----------
    A. Savitzky and M. J. E. Golay, Anal. Chem. 36, 1627 (1964).

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.current_voltage((4, 4), kind="ohmic", noise=0.0)
    >>> slope = usidx.didv(curves)
    >>> slope.units, bool((abs(slope * truth.resistance - 1) < 1e-9).all())
    ('A/V', True)
    """
    swept = read_bias(data, dim, coordinate)
    _check_window(window, order)
    attrs = {"long_name": "Differential Conductance"} | _make_units(data, swept)
    kernel = partial(work_by_bias, work=partial(_differentiate, window=window, order=order))
    output = Output(dtype=np.float64, name="didv", attrs=attrs)
    return add_choices(along(data, swept.dim, kernel, output, beside=[swept.bias]), dim=swept.dim)


def _differentiate(current: npt.NDArray[Any], bias: Array, *, window: int, order: int) -> Array:
    return find_derivative_stencil(bias, window, order).apply(current)


@verb()
def normalized_conductance(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    broadening: float,
    coordinate: str | None = None,
    window: int = 7,
    order: int = 2,
) -> xr.DataArray:
    r"""Divide the differential conductance by the total one, (dI/dV) / (I/V), broadened so that it does not vanish.

    A lazy array stays lazy. The ratio takes most of what the distance and height of the barrier do out of tunnelling
    spectra. Within a gap both conductances are zero but for noise, so I/V is first averaged over a range of bias.
    Along a sweep that turns round each run is taken by itself. NaN where the broadened I/V is zero.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Current, real; its zero should be right, for I/V is taken as it is.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    broadening : float
        Range in units of the bias, about as wide as the gap; 0 for none.
    coordinate : str, optional
        The bias along `dim`, as in :func:`didv`.
    window, order : int
        As in :func:`didv`.

    Returns
    -------
    DataArray
        Dims as in `data`, dimensionless; 1 for an ohmic contact.

    Raises
    ------
    RoleError, SelectionError, UnitsError
        As in :func:`didv`.
    UsidError
        As in :func:`didv`, or `broadening` is negative.

    Notes
    -----
    :math:`\overline{I/V} = \int \frac{I(V')}{V'} e^{-|V - V'| / \Delta V} dV' / \int e^{-|V - V'| / \Delta V} dV'`
    over the bias that was swept, by the trapezoidal rule. At zero bias I/V is not known: that sample takes no part,
    and without broadening the outcome there is NaN.

    References
    ----------
    J. A. Stroscio, R. M. Feenstra and A. P. Fein, Phys. Rev. Lett. 57, 2579 (1986); on the broadening R. M. Feenstra,
    Phys. Rev. B 50, 4561 (1994).

    Examples
    --------
    >>> import usidx
    >>> curves, _ = usidx.simulate.current_voltage((4, 4), kind="ohmic", noise=0.0)
    >>> ratio = usidx.normalized_conductance(curves, broadening=0.5)
    >>> ratio.units, bool((abs(ratio - 1) < 1e-9).all())
    ('', True)
    """
    swept = read_bias(data, dim, coordinate)
    _check_window(window, order)
    if not broadening >= 0:
        raise UsidError(f"broadening={broadening!r}; it should be a range of the bias, 0 or more.")
    kernel = partial(work_by_bias, work=partial(_normalize, window=window, order=order, broadening=broadening))
    attrs = {"long_name": "Normalized Conductance", "units": ""}
    output = Output(dtype=np.float64, name="normalized_conductance", attrs=attrs)
    return add_choices(along(data, swept.dim, kernel, output, beside=[swept.bias]), dim=swept.dim)


def _normalize(current: npt.NDArray[Any], bias: Array, *, window: int, order: int, broadening: float) -> Array:
    broaden = find_broadening(bias, broadening)
    ratio = np.divide(current, bias, out=np.full(current.shape, np.nan), where=bias != 0)
    known = np.isfinite(ratio)
    weight = broaden.apply(known.astype(np.float64))
    broadened = broaden.apply(np.where(known, ratio, 0.0)) / np.where(weight > 0, weight, np.nan)
    slope = find_derivative_stencil(bias, window, order).apply(current)
    found: Array = slope / np.where(broadened != 0, broadened, np.nan)
    return found


def _check_window(window: int, order: int) -> None:
    if window % 2 != 1 or not 1 <= order < window:
        raise UsidError(
            f"window={window}, order={order}: the window should be an odd number of samples, and the order of the "
            f"polynomial from 1 up and less than that."
        )


def _make_units(data: xr.DataArray, swept: Swept) -> dict[str, str]:
    top, bottom = data.attrs.get("units"), swept.units
    return {"units": units.divide(top, bottom)} if isinstance(top, str) and bottom is not None else {}
