"""Current by bias -> differential and normalised conductance, and the gap that they show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.fitting.blocks import whole_along
from usidx.label import units
from usidx.label.roles import as_dims, refuse_unlabelled, spectroscopic_dims
from usidx.modes.current_voltage.derivative import Broadening, Stencil, broadening_over, derivative_stencil, runs
from usidx.results.verbs import add_choices, verb

__all__ = ["didv", "gap", "normalized_conductance"]

Array = npt.NDArray[np.float64]

_BIAS: Final = "Bias"
_FIGURE: Final = "_figure"


@verb()
def didv(data: xr.DataArray, dim: str | None = None, *, window: int = 7, order: int = 2) -> xr.DataArray:
    """Differentiate the current by the bias.

    A lazy array stays lazy. At each sample a polynomial is fitted to the samples around it, by their own bias, so
    steps need not be equal. A sweep that turns round is taken run by run: no polynomial reaches round a turn, the
    sample where it turns gets the slope of the run that ends there, and at the ends of runs the samples lie to one
    side. Where a sample that takes part is missing, the derivative is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Current, real; anything else that was measured over a bias will do.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    window : int
        Samples that take part, odd; runs that are shorter are taken whole.
    order : int
        Of the polynomial, from 1 up and less than `window`.

    Returns
    -------
    DataArray
        Dims as in `data`, its units by those of the bias.

    Raises
    ------
    RoleError
        It is not clear along which dim the bias runs, or the bias changes from place to place.
    UnitsError
        The bias has no numbers, or some of them are not finite.
    UsidError
        The data is not real, or `window` and `order` are not as above.

    Notes
    -----
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
    swept = _bias(data, dim)
    _check_real(data)
    _check_window(window, order)
    stencil = derivative_stencil(swept.values.astype(np.float64), window, order)
    found = _along(data, swept, stencil.apply)
    found.attrs = {"long_name": "Differential Conductance"} | _units(data, swept)
    return add_choices(found.rename("didv"), dim=str(swept.dims[0]))


@verb()
def normalized_conductance(
    data: xr.DataArray, dim: str | None = None, *, broadening: float, window: int = 7, order: int = 2
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
    window, order : int
        As in :func:`didv`.

    Returns
    -------
    DataArray
        Dims as in `data`, dimensionless; 1 for an ohmic contact.

    Raises
    ------
    RoleError, UnitsError
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
    swept = _bias(data, dim)
    _check_real(data)
    _check_window(window, order)
    if not broadening >= 0:
        raise UsidError(f"broadening={broadening!r}; it should be a range of the bias, 0 or more.")
    bias = swept.values.astype(np.float64)
    parts = derivative_stencil(bias, window, order), broadening_over(bias, broadening)
    found = _along(data, swept, partial(_normalized, bias=bias, parts=parts))
    found.attrs = {"long_name": "Normalized Conductance", "units": ""}
    return add_choices(found.rename("normalized_conductance"), dim=str(swept.dims[0]))


@verb()
def gap(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    threshold: float | None = None,
    inside: tuple[float, float] | None = None,
    sigmas: float = 5.0,
    stays: int = 3,
    center: float = 0.0,
) -> xr.Dataset:
    """Find the gap of a semiconductor: where the differential conductance rises above the noise to either side.

    A lazy array stays lazy. From `center` outwards the first sample is looked for that reaches the threshold, as do
    those after it; the edge lies between it and the sample before, by linear interpolation. A conductance that
    reaches the threshold at `center` has no gap, 0. Where a side never reaches it, or a missing sample leaves it
    open, edge and gap are NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Differential conductance, such as :func:`didv` or a lock-in amplifier gives it; one way of the sweep.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    threshold : float, optional
        In the units of `data`.
    inside : tuple of float, optional
        (low, high) bias known to lie within the gap: the threshold of each spectrum is then the mean there plus
        `sigmas` standard deviations. Give this or `threshold`.
    sigmas : float
        With few of them noise passes for an edge, with many the edges are late.
    stays : int
        How many samples in a row must reach the threshold, so that a spike of noise is no edge.
    center : float
        Bias within the gap.

    Returns
    -------
    Dataset, dims (*any)
        ``gap``, ``valence_edge`` and ``conduction_edge`` in the units of the bias, and the ``threshold`` in those of
        `data`.

    Raises
    ------
    RoleError, UnitsError
        As in :func:`didv`; also a bias that turns round.
    SelectionError
        Not one of `threshold` and `inside` is given, or fewer than two samples lie inside.
    UsidError
        The data is not real, or `stays` is below one.

    Notes
    -----
    An edge that rises gradually is found late, by the bias that it takes to reach the threshold; the smoothing of
    :func:`didv` moves it, too. The bias is that between tip and sample: a gap in eV is smaller by what bends the
    bands.

    References
    ----------
    The noise floor within the gap as the threshold: Nature Physics (2025), doi:10.1038/s41567-025-02917-6, extended
    data figure 4.

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.current_voltage((4, 4), 201, noise=1e-4)
    >>> found = usidx.gap(usidx.didv(curves), inside=(-0.3, 0.3))
    >>> found.gap.units, bool((abs(found.gap - truth.gap) < 0.1).all())
    ('V', True)
    """
    swept = _bias(data, dim)
    _check_real(data)
    bias = swept.values.astype(np.float64)
    if len(runs(bias)) > 1:
        raise RoleError(
            f"The bias along {swept.dims[0]!r} turns round or stands still; select one way of the sweep first, such as "
            f"data.isel({swept.dims[0]}=slice(0, {runs(bias)[0].samples.size}))."
        )
    if stays < 1:
        raise UsidError(f"stays={stays}; give how many samples in a row must reach the threshold, 1 or more.")
    level = _level(threshold, inside, sigmas, bias)
    table = _figures(data, swept, partial(_edges, bias=bias, center=center, level=level, stays=stays))
    return add_choices(_gap_dataset(table, data, swept), dim=str(swept.dims[0]), center=center)


def _gap_dataset(table: xr.DataArray, data: xr.DataArray, swept: xr.DataArray) -> xr.Dataset:
    bias_unit = {k: v for k, v in swept.attrs.items() if k == "units"}
    own_unit = {k: v for k, v in data.attrs.items() if k == "units"}
    named = {
        "gap": {"long_name": "Band Gap"} | bias_unit,
        "valence_edge": {"long_name": "Valence Band Edge"} | bias_unit,
        "conduction_edge": {"long_name": "Conduction Band Edge"} | bias_unit,
        "threshold": {"long_name": "Threshold"} | own_unit,
    }
    found = {name: table.isel({_FIGURE: k}).assign_attrs(attrs) for k, (name, attrs) in enumerate(named.items())}
    return xr.Dataset(found)


def _level(
    threshold: float | None, inside: tuple[float, float] | None, sigmas: float, bias: Array
) -> Callable[[Array], Array]:
    """Return what tells the threshold of each spectrum."""
    if (threshold is None) == (inside is None):
        raise SelectionError(
            f"threshold={threshold!r} and inside={inside!r}: give one of the two, the conductance that counts as "
            f"an edge or a range of bias within the gap."
        )
    if inside is None:
        return lambda spectra: np.full(spectra.shape[:-1], threshold, dtype=np.float64)
    within = (bias >= min(inside)) & (bias <= max(inside))
    if within.sum() < 2:
        raise SelectionError(f"inside={inside!r}: {within.sum()} samples of the bias lie there; give a wider range.")

    def floor(spectra: Array) -> Array:
        noise = np.ascontiguousarray(spectra[..., within])
        top: Array = noise.mean(-1) + sigmas * noise.std(-1)
        return top

    return floor


def _edges(spectra: Array, *, bias: Array, center: float, level: Callable[[Array], Array], stays: int) -> Array:
    """Return gap, both edges and the threshold of each spectrum, (*any, 4)."""
    spectra = spectra.astype(np.float64)
    limit = level(spectra)
    order = np.argsort(bias)
    swept, sorted_spectra = bias[order], spectra[..., order]
    above = int(np.searchsorted(swept, center))
    high = _edge(sorted_spectra[..., above:], swept[above:], limit, center, stays)
    at = int(np.searchsorted(swept, center, side="right"))
    low = _edge(sorted_spectra[..., :at][..., ::-1], swept[:at][::-1], limit, center, stays)
    return np.stack([high - low, low, high, limit], axis=-1)


def _edge(spectra: Array, bias: Array, limit: Array, center: float, stays: int) -> Array:
    """Return where spectra that lead away from the centre first reach the limit, and stay."""
    if not bias.size:
        return np.full(limit.shape, np.nan)
    single = spectra >= limit[..., None]
    reached = single.copy()
    for k in range(1, min(stays, bias.size)):
        reached[..., :-k] &= single[..., k:]  # the last samples have fewer after them
    first = np.argmax(reached, axis=-1)
    before = np.maximum(first - 1, 0)
    value, earlier = (np.take_along_axis(spectra, k[..., None], -1)[..., 0] for k in (first, before))
    rise = np.where(value > earlier, value - earlier, 1.0)
    share = np.where(first > 0, (limit - earlier) / rise, 0.0)
    found = bias[before] + share * (bias[first] - bias[before])
    found = np.where(first == 0, center, found)
    # A missing sample on the way may have been the edge.
    is_open = np.cumsum(np.isnan(spectra), axis=-1)
    passed = np.take_along_axis(is_open, first[..., None], -1)[..., 0] > 0
    return np.where(reached.any(-1) & ~passed, found, np.nan)


def _normalized(current: npt.NDArray[Any], *, bias: Array, parts: tuple[Stencil, Broadening]) -> Array:
    slope, broaden = parts
    ratio = np.divide(current, bias, out=np.full(current.shape, np.nan), where=bias != 0)
    known = np.isfinite(ratio)
    weight = broaden.apply(known.astype(np.float64))
    broadened = broaden.apply(np.where(known, ratio, 0.0)) / np.where(weight > 0, weight, np.nan)
    found: Array = slope.apply(current) / np.where(broadened != 0, broadened, np.nan)
    return found


def _bias(data: xr.DataArray, dim: str | None) -> xr.DataArray:
    """Return the bias, as a coordinate along one dim."""
    refuse_unlabelled(data)
    swept = _BIAS if dim is None and _BIAS in data.dims else dim
    if swept is None:
        found = [d for d in spectroscopic_dims(data) if data.sizes[d] > 1]
        if len(found) != 1:
            raise RoleError(
                f"Array {data.name!r} with dims {data.dims} has the spectroscopic dims {tuple(found)}; "
                f"name that of the bias with dim=..."
            )
        swept = found[0]
    as_dims(data, swept)
    if swept not in data.coords or data.coords[swept].dtype.kind not in "iuf":
        raise UnitsError(f"Dim {swept!r} has no coordinate of numbers; assign the bias to it.")
    bias: xr.DataArray = data.coords[swept]
    if bias.dims != (swept,):
        raise RoleError(f"The bias {swept!r} has the dims {bias.dims}; it should be the same for all curves.")
    if not np.isfinite(bias.values).all():
        raise UnitsError(f"Coordinate {swept!r}: {int((~np.isfinite(bias.values)).sum())} values are not finite.")
    return bias


def _check_real(data: xr.DataArray) -> None:
    if data.dtype.kind not in "iuf":
        raise UsidError(f"Array {data.name!r} is of dtype {data.dtype}; a curve over the bias should be real.")


def _check_window(window: int, order: int) -> None:
    if window % 2 != 1 or not 1 <= order < window:
        raise UsidError(
            f"window={window}, order={order}: the window should be an odd number of samples, and the order of the "
            f"polynomial from 1 up and less than that."
        )


def _units(data: xr.DataArray, swept: xr.DataArray) -> dict[str, str]:
    top, bottom = data.attrs.get("units"), swept.attrs.get("units")
    return {"units": units.quotient(top, bottom)} if isinstance(top, str) and isinstance(bottom, str) else {}


def _along(data: xr.DataArray, swept: xr.DataArray, work: Callable[[npt.NDArray[Any]], Array]) -> xr.DataArray:
    """Work on whole curves, block by block; dims and coordinates stay as they are."""
    found = _applied(data, swept, work, str(swept.dims[0]), data.sizes[swept.dims[0]])
    return data.copy(data=found.transpose(*data.dims).data)


def _figures(data: xr.DataArray, swept: xr.DataArray, work: Callable[[npt.NDArray[Any]], Array]) -> xr.DataArray:
    """Work on whole curves, block by block, each giving four figures."""
    found = _applied(data, swept, work, _FIGURE, 4)
    figures: xr.DataArray = xr.DataArray(found, coords=data.isel({swept.dims[0]: 0}, drop=True).coords)
    return figures


def _applied(
    data: xr.DataArray, swept: xr.DataArray, work: Callable[[npt.NDArray[Any]], Array], last: str, size: int
) -> xr.Variable:
    found: xr.Variable = xr.apply_ufunc(
        work,
        whole_along(data, (str(swept.dims[0]),)).variable,
        input_core_dims=[[swept.dims[0]]],
        output_core_dims=[[last]],
        exclude_dims={swept.dims[0]},
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {last: size}, "meta": np.empty((0,) * data.ndim)},
        keep_attrs=False,
    )
    return found
