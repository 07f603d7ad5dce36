"""Deflection of a cantilever under a fast bias -> the contact potential in each oscillation (G-KPFM)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.modes.kelvin_probe.parabolas import FIGURES, Oscillations, split_oscillations
from usidx.modes.kelvin_probe.response import read_transfer_function
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_axis, read_steps, refuse_complex
from usidx.signal.bands import Band, LowPass, combine
from usidx.signal.rows import map_rows

__all__ = ["gkpfm"]

Array = npt.NDArray[np.float64]
_CALLED: Final = ("bias", "excitation", "voltage")


@verb("GKPFM")
def gkpfm(
    data: xr.DataArray,
    transfer_function: xr.DataArray | xr.Dataset,
    frequency: float,
    *,
    amplitude: float = 1.0,
    phase: float = 0.0,
    coordinate: str | None = None,
    filters: Band | Iterable[Band] | None = None,
    dim: str | None = None,
) -> xr.Dataset:
    r"""Find the contact potential in each oscillation of the bias, from the free motion of the cantilever.

    A lazy array stays lazy. The deflection is filtered and divided by the transfer function, which gives the force; in
    each oscillation the force is a parabola over the bias, whose vertex is at the contact potential. So a potential is
    followed as fast as the bias oscillates. A record with a sample that is not finite becomes NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Deflection, real, over an even time.
    transfer_function : DataArray or Dataset
        Deflection per force, complex, over its frequencies, 0 or well below `frequency` among them: between them it is
        interpolated, below the lowest it is as there, above the highest nothing passes. Or one oscillator that
        :func:`usidx.sho_fit` found. A factor does not matter to the potential.
    frequency : float
        Of the bias, in the reciprocal unit of the time: Hz where it is in s.
    amplitude, phase : float
        Of the bias, a sin(2 pi frequency t + phase), in V and rad; t is the coordinate of `dim`.
    coordinate : str, optional
        The bias along `dim`, where it is a coordinate. By default one called bias, excitation or voltage, if there is
        one; then `amplitude` and `phase` do not count.
    filters : filter or iterable of filters, optional
        Bands of :mod:`usidx.signal`. By default all up to twice `frequency` passes, and nothing from three times on.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    Dataset, dims (*any, dim)
        Over the oscillations, in the middle of each: ``contact_potential`` in the units of the bias, ``curvature`` of
        the force, both with ``*_stderr``, and ``redchi``, by how much more a parabola misses than the noise of the
        record says: well above 1 where the potential changed during the oscillation; errors are larger there.

    Raises
    ------
    RoleError
        It is not clear which dim is meant, or the transfer function is not one.
    SelectionError
        The coordinate is not there, does not run along the dim alone, or there is no whole oscillation.
    UnitsError
        The time is not even, or the transfer function has no frequencies, or in another unit.
    UsidError
        The data is complex, or a filter is no band.

    Notes
    -----
    :math:`F = \tfrac12 \, \partial C / \partial z \, (V - V_{cp})^2`. Errors are those of white noise in the
    deflection, carried through filter and transfer function, to first order; how strong it is follows from what most
    oscillations of the record leave. The ends of a record count as neighbours, so that the first and the last
    oscillations are less sure than they seem.

    References
    ----------
    L. Collins, A. Belianinov, S. Somnath, N. Balke, S. V. Kalinin and S. Jesse, Scientific Reports 6, 30557 (2016);
    L. Collins, M. Ahmadi, T. Wu, B. Hu, S. V. Kalinin and S. Jesse, ACS Nano 11, 8717 (2017).

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.gkpfm((2, 2))
    >>> found = usidx.modes.gkpfm(scan, truth.transfer_function, 4e3)
    >>> found.contact_potential.dims, found.contact_potential.units
    (('Y', 'X', 'Time'), 'V')
    >>> bool(abs(found.contact_potential - truth.contact_potential).median() < 0.005)
    True
    """
    refuse_complex(data)
    axis = read_axis(data, choose_dim(data, dim))
    if not 0 < frequency < np.inf:
        raise UsidError(f"frequency={frequency!r}; it should be above 0.")
    time, _ = read_steps(data, axis.dim)
    if axis.step < 0:
        raise UsidError(
            f"The time along {axis.dim!r} runs backwards; reverse it: data.isel({axis.dim}=slice(None, None, -1))."
        )
    bias, unit, swept = _read_bias(data, axis.dim, time, coordinate, amplitude, frequency, phase)
    response = _invert(transfer_function, axis, _list_bands(filters, frequency))
    oscillations = split_oscillations(time, bias, frequency, response)
    kernel = partial(_follow, oscillations=oscillations)
    found = along(data, axis.dim, kernel, _declare_outputs(data, transfer_function, axis.dim, time, unit, oscillations))
    listed = {} if filters is None else {"filters": [repr(one) for one in _list_bands(filters, frequency)]}
    return add_choices(found, dim=axis.dim, coordinate=swept, **listed)


def _list_bands(filters: Band | Iterable[Band] | None, frequency: float) -> tuple[Band, ...]:
    if filters is None:
        return (LowPass(3 * frequency, frequency),)
    listed = tuple(filters) if isinstance(filters, Iterable) else (filters,)
    strange = [one for one in listed if not isinstance(one, Band)]
    if strange:
        raise UsidError(
            f"filters: {strange[0]!r} is no band of usidx.signal. What is no band comes first: usidx.signal.fft_filter."
        )
    return listed


def _read_bias(
    data: xr.DataArray, dim: str, time: Array, name: str | None, amplitude: float, frequency: float, phase: float
) -> tuple[Array, str, str | None]:
    """Return the bias at each sample, its unit, and the coordinate that it is."""
    usual = [str(c) for c in data.coords if c != dim and str(c).lower() in _CALLED and data.coords[c].dims == (dim,)]
    name = name or next(iter(usual), None)
    if name is None:
        return amplitude * np.sin(2 * np.pi * frequency * time + phase), "V", None
    if name not in data.coords or data.coords[name].dims != (dim,):
        known = tuple(str(c) for c in data.coords if data.coords[c].dims == (dim,))
        raise SelectionError(f"{name!r} is no coordinate along {dim!r} alone; those are {known}.")
    found = data.coords[name]
    return found.values.astype(np.float64), str(found.attrs.get("units", "V")), name


def _invert(transfer: xr.DataArray | xr.Dataset, axis: Any, bands: tuple[Band, ...]) -> npt.NDArray[np.complex128]:
    """Return force per deflection at the frequencies of the transform, as far as they pass."""
    per_bin = 1 / (axis.size * axis.step)
    passing = combine(bands, axis.size, per_bin)
    response = read_transfer_function(transfer, axis, np.arange(passing.size) * per_bin)
    usable = np.isfinite(response) & (response != 0)
    found: npt.NDArray[np.complex128] = np.divide(passing, response, out=np.zeros_like(response), where=usable)
    return found


def _follow(block: npt.NDArray[Any], *, oscillations: Oscillations) -> tuple[Array, ...]:
    count = len(oscillations.samples)
    found = map_rows(oscillations.work, block, width=len(FIGURES) * count, dtype=np.float64)
    return tuple(found[..., k * count : (k + 1) * count] for k in range(len(FIGURES)))


def _declare_outputs(
    data: xr.DataArray,
    transfer: xr.DataArray | xr.Dataset,
    dim: str,
    time: Array,
    unit: str,
    oscillations: Oscillations,
) -> dict[str, Output]:
    attrs = data.coords[dim].attrs if dim in data.coords else {}
    middles = 0.5 * (time[oscillations.samples[:, 0]] + time[oscillations.samples[:, -1]])
    places: dict[str, Any] = {"dims": (dim,), "coords": {dim: xr.DataArray(middles, dims=dim, attrs=attrs)}}
    one = transfer["amplitude"] if isinstance(transfer, xr.Dataset) else transfer
    force = _divide_units(str(data.attrs.get("units", "")), str(one.attrs.get("units", "")))
    bent = f"{force}/{unit}^2" if force.isalpha() else units.divide(force, units.raise_to_power(unit, 2))
    known = {"contact_potential": ("Contact potential", unit), "curvature": ("Curvature of the force", bent)}
    of_errors = {f"{n}_stderr": (f"Standard error of {title}", own) for n, (title, own) in known.items()}
    told = known | of_errors | {"redchi": ("Reduced chi-squared", "")}
    return {
        name: Output(**places, dtype=np.float64, attrs={"long_name": told[name][0], "units": told[name][1]})
        for name in FIGURES
    }


def _divide_units(deflection: str, response: str) -> str:
    """Return the unit of the force, in words where that of the response says it: nN of V and V/nN."""
    top, _, bottom = units.clean(response).partition("/")
    is_said = bool(bottom) and top == units.clean(deflection) and "/" not in bottom
    return bottom if is_said else units.divide(deflection, response)
