"""Arrays over time -> the same with some frequencies left out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import xarray as xr

from usidx.errors import UsidError
from usidx.label.blockwise import along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_axis
from usidx.signal.bands import Band, NoiseFloor, combine
from usidx.signal.rows import blank_missing, map_rows
from usidx.signal.spectra import count_mirrored, find_floors

__all__ = ["fft_filter"]

Array = npt.NDArray[Any]
Filter = Band | NoiseFloor


@verb("FFT_Filtering")
def fft_filter(data: xr.DataArray, filters: Filter | Iterable[Filter], dim: str | None = None) -> xr.DataArray:
    """Take frequencies out of each spectrum.

    A lazy array stays lazy, real data stays real. Several filters are applied together: their factors multiply, and
    the noise floor, of the spectrum as it was, is compared with what they leave.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex, its axis even. A spectrum with a sample that is not finite becomes NaN.
    filters : filter or iterable of filters
        `LowPass`, `HighPass`, `BandPass`, `BandStop`, `Harmonics`, `NoiseFloor` of this module, in the reciprocal unit
        of the axis: Hz where it is in s.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    DataArray
        As `data`, with its units and coordinates.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        A filter is none of those above.

    Notes
    -----
    Bands begin and end at the frequencies of the transform that are nearest, as in pycroscopy's ``SignalFilter``, whose
    values these are. Bands act at negative frequencies as at positive ones, so there is no shift in time; the ends of
    a spectrum count as neighbours.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> time = xr.DataArray(np.arange(1000) * 1e-6, dims="Time", attrs={"units": "s"})
    >>> slow, fast = np.sin(2e4 * np.pi * time), np.sin(4e5 * np.pi * time)
    >>> kept = usidx.signal.fft_filter((slow + fast).assign_coords(Time=time), usidx.signal.LowPass(50e3), "Time")
    >>> bool(abs(kept - slow).max() < 1e-9)
    True
    """
    listed = (filters,) if isinstance(filters, Filter) else tuple(filters)
    strange = [one for one in listed if not isinstance(one, Filter)]
    if strange or not listed:
        found = f"{strange[0]!r} is none" if strange else "there are none"
        raise UsidError(f"filters: {found}; LowPass, HighPass, BandPass, BandStop, Harmonics, NoiseFloor are filters.")
    axis = read_axis(data, choose_dim(data, dim))
    factors = combine(listed, axis.size, 1 / (axis.size * abs(axis.step)))
    tolerances = tuple(one.tolerance for one in listed if isinstance(one, NoiseFloor))
    kernel = partial(_filter, factors=factors, tolerances=tolerances)
    described = [repr(one) for one in listed]
    return add_choices(along(data, axis.dim, kernel), dim=axis.dim, filters=described)


def _filter(block: Array, *, factors: Array, tolerances: tuple[float, ...]) -> Array:
    work = _filter_complex if block.dtype.kind == "c" else _filter_real
    return map_rows(partial(work, factors=factors.astype(block.real.dtype), tolerances=tolerances), block)


def _filter_real(rows: Array, *, factors: Array, tolerances: tuple[float, ...]) -> Array:
    size = rows.shape[1]
    found = scipy.fft.rfft(rows, axis=1)
    floors = [find_floors(np.abs(found), count_mirrored(size), t) for t in tolerances]
    found *= factors
    _cut_off(found, floors)
    return _blank_by_sum(scipy.fft.irfft(found, size, axis=1, overwrite_x=True), rows)


def _filter_complex(rows: Array, *, factors: Array, tolerances: tuple[float, ...]) -> Array:
    size = rows.shape[1]
    found = scipy.fft.fft(rows, axis=1)
    floors = [find_floors(np.abs(found), np.ones(size), t) for t in tolerances]
    found *= np.concatenate([factors, factors[1 : (size + 1) // 2][::-1]])
    _cut_off(found, floors)
    return _blank_by_sum(scipy.fft.ifft(found, axis=1, overwrite_x=True), rows)


def _cut_off(found: Array, floors: list[Array]) -> None:
    for floor in floors:
        found[np.abs(found) < floor[:, np.newaxis]] = 0


def _blank_by_sum(found: Array, rows: Array) -> Array:
    """Put NaN where a sample was not finite, which is looked for only where the sum is not."""
    if np.isfinite(found.sum()) and np.isfinite(rows.sum()):
        return found
    return blank_missing(found, rows)
