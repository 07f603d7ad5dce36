"""Arrays over time -> the same with some frequencies left out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

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
from usidx.tasks.pool import share_slices

__all__ = ["fft_filter"]

Array = npt.NDArray[Any]
Filter = Band | NoiseFloor
_NEAR: Final = 2**18  # bytes that are transformed at once: they stay where a core has them near by


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
    if block.dtype.kind != "c" and not tolerances and factors.size > 1 and block.shape[-1] % 2 == 0:
        return _filter_pairs(block, factors)
    work = _filter_complex if block.dtype.kind == "c" else _filter_real
    return map_rows(partial(work, factors=factors.astype(block.real.dtype), tolerances=tolerances), block)


def _filter_pairs(block: Array, factors: Array) -> Array:
    """Filter rows of an even number of real samples as half as many complex ones, in the place of what is returned.

    Two transforms of these take two thirds of the time of the real ones.
    """
    from usidx.signal.kernels.packed import filter_packed, weigh_packed

    rows, weights = block.reshape(-1, block.shape[-1]), weigh_packed(factors)
    found = np.empty(rows.shape, rows.dtype)
    packed = found.view(np.result_type(rows.dtype, np.complex64))
    near = max(1, _NEAR // (rows.shape[1] * rows.itemsize))

    def run(part: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # of what is not finite
            for first in range(part.start, part.stop, near):
                piece = slice(first, min(first + near, part.stop))
                found[piece] = rows[piece]
                made = scipy.fft.fft(packed[piece], axis=1, overwrite_x=True)
                filter_packed(made, weights)
                made = scipy.fft.ifft(made, axis=1, overwrite_x=True)
                if not np.may_share_memory(made, packed):
                    packed[piece] = made
        _blank_by_first(found[part], rows[part])

    share_slices(run, len(rows), at_once=16 * near)
    return found.reshape(block.shape)


def _filter_real(rows: Array, *, factors: Array, tolerances: tuple[float, ...]) -> Array:
    size = rows.shape[1]
    found = scipy.fft.rfft(rows, axis=1)
    floors = [find_floors(np.abs(found), count_mirrored(size), t) for t in tolerances]
    found *= factors
    _cut_off(found, floors)
    return _blank_by_first(scipy.fft.irfft(found, size, axis=1, overwrite_x=True), rows)


def _filter_complex(rows: Array, *, factors: Array, tolerances: tuple[float, ...]) -> Array:
    size = rows.shape[1]
    found = scipy.fft.fft(rows, axis=1)
    floors = [find_floors(np.abs(found), np.ones(size), t) for t in tolerances]
    found *= np.concatenate([factors, factors[1 : (size + 1) // 2][::-1]])
    _cut_off(found, floors)
    return _blank_by_first(scipy.fft.ifft(found, axis=1, overwrite_x=True), rows)


def _cut_off(found: Array, floors: list[Array]) -> None:
    for floor in floors:
        found[np.abs(found) < floor[:, np.newaxis]] = 0


def _blank_by_first(found: Array, rows: Array) -> Array:
    """Put NaN where a sample was not finite: then no sample of what was found is, so that the first ones tell."""
    return found if np.isfinite(found[:, 0]).all() else blank_missing(found, rows)
