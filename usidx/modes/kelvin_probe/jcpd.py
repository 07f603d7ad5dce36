"""Responses over a read voltage -> the junction potential, where they are zero, with its standard error."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, SelectionError, UnitsError, UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.label.roles import choose_dims
from usidx.modes.band_excitation.response import phase_offset, response
from usidx.results.verbs import add_choices, verb

__all__ = ["jcpd"]

Array = npt.NDArray[Any]
_CALLED: Final = ("readbias",)
_FIGURES: Final = {
    "junction_potential": "Junction Contact Potential Difference",
    "slope": "Slope",
    "intercept": "Intercept",
}
_BENT: Final = 5.0  # scatter by what is known: beyond, the response is no straight line
_CLEAR: Final = 3.0  # standard errors that a slope has to be away from zero
CONVERGED, TOO_FEW, FLAT = 1, -2, -3
_MEANINGS: Final = {FLAT: "no_slope", TOO_FEW: "too_few_samples", CONVERGED: "converged"}


@verb("JCPD")
def jcpd(
    fitted: xr.Dataset | xr.DataArray,
    dim: str | None = None,
    *,
    offset: float | xr.DataArray | None = None,
    coordinate: str | None = None,
) -> xr.Dataset:
    r"""Find the junction potential of contact Kelvin probe spectra: the read voltage at which there is no response.

    A lazy input stays lazy. What cannot be found is NaN, ``converged`` False, and has a ``status``: too few samples, or
    a slope that does not stand out of its error, which leaves the potential open.

    Parameters
    ----------
    fitted : Dataset or DataArray, dims (*any, dim)
        Oscillators, as :func:`usidx.sho_fit` returns them, with ``amplitude`` and ``phase``; or the signed response, as
        :func:`usidx.response` makes it. Failed fits do not count.
    dim : str, optional
        Of the read voltage. By default ``read_bias``, or the only spectroscopic one.
    offset : float or DataArray, optional
        Phase that electronics add, in rad; by default that of :func:`usidx.phase_offset`. Half a turn does not matter.
        Not of a response, which has none any more.
    coordinate : str, optional
        The read voltage along `dim`, where it is not the coordinate of the dim.

    Returns
    -------
    Dataset, dims (*any)
        ``junction_potential`` in the unit of the read voltage; ``slope`` and ``intercept`` of the line; a ``*_stderr``
        for each; ``r2``, ``status`` and ``converged``.

    Raises
    ------
    RoleError
        It is not clear along which dim the read voltage runs.
    ResultError
        It is a Dataset without amplitude and phase.
    SelectionError
        The coordinate is not there, or does not run along the dim.
    UnitsError
        The read voltage has no finite numbers, or the phase is not in rad.
    UsidError
        The data is not real, or an offset is given of a response.

    Notes
    -----
    A straight line through the response, by least squares. With the mean read voltage V, response r there and slope m,
    the potential is V - r / m; r and m are independent, so its variance is
    :math:`(\sigma_r^2 + (r/m)^2 \sigma_m^2) / m^2`. The noise is that of the scatter about the line, together with the
    standard errors of the oscillators where they are known.

    References
    ----------
    N. Balke et al., ACS Nano 8, 10229 (2014).

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.ckpfm((4, 4), 32)
    >>> found = usidx.modes.jcpd(scan.usid.sho_fit())
    >>> found.junction_potential.units, bool((abs(found.junction_potential - truth.junction_potential) < 0.2).all())
    ('V', True)
    """
    signed, spread = _read_response(fitted, offset)
    (swept,) = choose_dims(signed, dim, 1, called=_CALLED)
    volts = _read_volts(signed, swept, coordinate)
    beside = [volts, *([] if spread is None else [spread])]
    found = along(signed, swept, _draw_lines, _describe(signed, volts), beside=beside)
    return add_choices(found, dim=swept)


def _read_response(
    fitted: xr.Dataset | xr.DataArray, offset: float | xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return the signed response and its standard error, None where that is not known."""
    if isinstance(fitted, xr.DataArray):
        if offset is not None:
            raise UsidError(f"offset={offset!r} is for oscillators; a response has no phase any more.")
        if fitted.dtype.kind not in "iuf":
            raise UsidError(f"Array {fitted.name!r} is of dtype {fitted.dtype}; a response is real.")
        return fitted, None
    missing = [name for name in ("amplitude", "phase") if name not in fitted]
    if missing:
        raise ResultError(
            f"The result has no variable {missing[0]!r}; it has {tuple(fitted.data_vars)}. Give what usidx.sho_fit "
            f"returns, or a response."
        )
    seen = fitted.where(fitted["is_resonance"]) if "is_resonance" in fitted else fitted
    turned = phase_offset(seen[["amplitude", "phase"]]) if offset is None else offset
    signed = response(fitted, offset=turned)
    errors = [f"{name}_stderr" for name in ("amplitude", "phase")]
    if not set(errors) <= set(fitted.data_vars):
        return signed, None
    bare = turned.reset_coords(drop=True) if isinstance(turned, xr.DataArray) else turned
    along_it = np.cos(fitted["phase"] - bare) * fitted[errors[0]]
    across = np.sin(fitted["phase"] - bare) * fitted["amplitude"] * fitted[errors[1]]
    return signed, np.hypot(along_it, across)


def _read_volts(signed: xr.DataArray, dim: str, coordinate: str | None) -> xr.DataArray:
    name = coordinate or dim
    if name not in signed.coords or dim not in signed.coords[name].dims:
        raise SelectionError(f"No coordinate {name!r} along {dim!r}; the coordinates are {tuple(signed.coords)}.")
    volts: xr.DataArray = signed.coords[name]
    if volts.dtype.kind not in "iuf" or (volts.chunks is None and not np.isfinite(volts.values).all()):
        raise UnitsError(f"Coordinate {name!r} has values that are no finite numbers.")
    return volts


def _describe(signed: xr.DataArray, volts: xr.DataArray) -> dict[str, Output]:
    own, of_volts = (one.attrs.get("units") for one in (signed, volts))
    both = units.divide(own, of_volts) if isinstance(own, str) and isinstance(of_volts, str) else None
    outputs = {}
    for (name, title), unit in zip(_FIGURES.items(), (of_volts, both, own), strict=True):
        attrs = {} if unit is None else {"units": unit}
        outputs[name] = Output(dims=(), dtype=np.float64, attrs={"long_name": title} | attrs)
        told = {"long_name": f"Standard Error of {title}"} | attrs
        outputs[f"{name}_stderr"] = Output(dims=(), dtype=np.float64, attrs=told)
    codes = np.array(sorted(_MEANINGS), np.int8)
    flags = {"flag_values": codes, "flag_meanings": " ".join(_MEANINGS[int(code)] for code in codes)}
    outputs["r2"] = Output(dims=(), dtype=np.float64, attrs={"long_name": "Coefficient of Determination", "units": ""})
    outputs["status"] = Output(dims=(), dtype=np.int8, attrs={"long_name": "Why the Fit Ended", **flags})
    outputs["converged"] = Output(dims=(), dtype=np.bool_, attrs={"long_name": "Whether the Fit Converged"})
    return outputs


def _draw_lines(block: Array, volts: Array, spread: Array | None = None) -> tuple[Array, ...]:
    """Return the figures of the line through each row."""
    y, x = block.astype(np.float64), volts.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        counts = np.isfinite(y) & np.isfinite(x)
        n = counts.sum(axis=-1)
        y, x = np.where(counts, y, 0.0), np.where(counts, x, 0.0)
        mid, level = x.sum(axis=-1) / n, y.sum(axis=-1) / n
        dx, dy = (np.where(counts, one - of[..., np.newaxis], 0.0) for one, of in ((x, mid), (y, level)))
        wide = (dx**2).sum(axis=-1)
        slope = (dx * dy).sum(axis=-1) / wide
        left = ((dy - slope[..., np.newaxis] * dx) ** 2).sum(axis=-1)
        scatter = _pool(left, n, spread, counts)
        of_slope, of_level = np.sqrt(scatter / wide), np.sqrt(scatter / n)
        off = level / slope
        error = np.sqrt(of_level**2 + (off * of_slope) ** 2) / np.abs(slope)
        r2 = 1 - left / (dy**2).sum(axis=-1)
        is_flat = ~(np.abs(slope) > _CLEAR * np.where(np.isfinite(of_slope), of_slope, 0.0))
    status = np.where(n < 2, TOO_FEW, np.where(is_flat, FLAT, CONVERGED))
    figures = [mid - off, error, slope, of_slope, level - slope * mid, np.hypot(of_level, mid * of_slope), r2]
    made = [
        np.where((status == CONVERGED) | ((k > 1) & (status == FLAT)), one, np.nan) for k, one in enumerate(figures)
    ]
    return (*made, status, status == CONVERGED)


def _pool(left: Array, n: Array, spread: Array | None, counts: Array) -> Array:
    """Return the variance of the response: by the scatter, and as well by what the oscillators say of themselves.

    Of few read voltages the scatter alone knows little. Where it is far larger, the response is no line, and it counts.
    """
    free = np.maximum(n - 2, 0)
    if spread is None:
        return np.where(free > 0, left / free, np.nan)
    known = counts & np.isfinite(spread)
    own = np.where(known, np.where(known, spread, 0.0) ** 2, np.nan)
    told = np.nanmedian(np.where(known.any(axis=-1, keepdims=True), own, 0.0), axis=-1)
    both = (left + n * told) / (free + n)
    return np.asarray(np.where(left > _BENT * free * told, np.where(free > 0, left / free, both), both))
