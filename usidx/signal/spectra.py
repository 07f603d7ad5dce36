"""Arrays over time -> their power over frequency, and the floor of the noise."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import scipy.fft
import xarray as xr

from usidx.errors import UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, choose_dim, invert_unit, read_axis
from usidx.signal.fourier import is_transformed, make_window
from usidx.signal.rows import blank_missing, map_rows

__all__ = ["count_mirrored", "find_floors", "noise_floor", "power_spectrum"]

Array = npt.NDArray[Any]
_MOST_ROUNDS: Final = 50


@verb()
def power_spectrum(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    window: Any = "hann",
    segments: int = 1,
    detrend: Literal["constant", "linear"] | None = None,
) -> xr.DataArray:
    """Find the density of the power over frequency, by the method of Welch.

    A lazy array stays lazy.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex, its axis even. A spectrum with a sample that is not finite becomes NaN.
    dim : str, optional
        By default the only spectroscopic one.
    window : str or tuple, optional
        As `scipy.signal.get_window` names it; None for none.
    segments : int
        Of which the power is averaged; each overlaps half of the one before. More of them lower the scatter, and the
        resolution. Where so many do not fit in evenly, there are more.
    detrend : {"constant", "linear"}, optional
        Take the mean, or a line, off each segment. By default nothing: the mean is part of the power, at frequency 0.

    Returns
    -------
    DataArray, dims (*any, dim_frequency)
        Real, one-sided for real data; two-sided, ascending, for complex data. The units are those of `data` squared by
        those of the frequency: ``V^2/Hz``.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        There is no such window or other option, or there are more segments than the axis has room for.

    Notes
    -----
    Without a window the power, summed over all frequencies times their step, is the mean of the squared data.

    References
    ----------
    P. D. Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967).

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> time = xr.DataArray(np.arange(1000) * 1e-3, dims="Time", attrs={"units": "s"})
    >>> wave = np.cos(2 * np.pi * 50 * time).assign_coords(Time=time).assign_attrs(units="V")
    >>> power = usidx.signal.power_spectrum(wave, "Time")
    >>> power.units, round(float(power.sum() * 1.0), 3)
    ('V^2/Hz', 0.5)
    """
    axis = read_axis(data, choose_dim(data, dim))
    if detrend not in (None, "constant", "linear"):
        raise UsidError(f"detrend={detrend!r}; it should be None, 'constant' or 'linear'.")
    length = 2 * axis.size // (segments + 1) if isinstance(segments, int) and segments > 0 else 0
    if length < min(axis.size, 2):
        raise UsidError(f"segments={segments!r}; of {axis.size} samples there should be 1 to {max(axis.size - 1, 1)}.")
    shape = make_window("boxcar" if window is None else window, length)
    step, is_real = abs(axis.step), data.dtype.kind != "c"
    frequencies = scipy.fft.rfftfreq(length, step) if is_real else scipy.fft.fftshift(scipy.fft.fftfreq(length, step))
    attrs = {"long_name": "Frequency"} | ({} if axis.unit is None else {"units": invert_unit(axis.unit)})
    name = f"{axis.dim}_frequency"
    output = Output(
        dims=(name,),
        coords={name: xr.DataArray(frequencies, dims=name, attrs=attrs)},
        dtype=np.float32 if data.dtype in (np.float16, np.float32, np.complex64) else np.float64,
        attrs=_describe_density(data, axis),
    )
    kernel = partial(_find_power, axis=axis, window=shape, detrend=detrend, width=frequencies.size)
    return add_choices(along(data, axis.dim, kernel, output), dim=axis.dim, samples=length)


def _describe_density(data: xr.DataArray, axis: Axis) -> dict[str, str]:
    named = {"long_name": f"Power Spectral Density of {data.attrs['long_name']}"} if "long_name" in data.attrs else {}
    unit = data.attrs.get("units")
    if not isinstance(unit, str) or axis.unit is None:
        return named
    squared, per = units.raise_to_power(unit, 2), invert_unit(axis.unit)
    plain = squared and per and not set(per) & set(" /^*")
    return {**named, "units": f"{squared}/{per}" if plain else units.multiply(unit, unit, axis.unit)}


def _find_power(block: Array, *, axis: Axis, window: Array, detrend: str | None, width: int) -> Array:
    from scipy.signal import welch

    is_real, length = block.dtype.kind != "c", window.size

    def work(rows: Array) -> Array:
        given = rows if axis.step > 0 else rows[:, ::-1]
        found = np.full((len(rows), width), np.nan, rows.real.dtype)
        known = np.isfinite(rows).all(axis=1)
        if known.any():
            _, power = welch(
                given[known], 1 / abs(axis.step), window, noverlap=length - max(length // 2, 1),
                detrend=detrend or False, return_onesided=is_real,
            )  # fmt: skip
            found[known] = power if is_real else scipy.fft.fftshift(power, axes=1)
        return found

    return map_rows(work, block, width=width, dtype=block.real.dtype)


@verb()
def noise_floor(data: xr.DataArray, dim: str | None = None, tolerance: float = 1e-6) -> xr.DataArray:
    r"""Find the amplitude of a transform that noise alone hardly reaches, for each spectrum.

    A lazy array stays lazy. What is complex, or what `fft` made, is the transform itself, or its amplitude; real data
    is transformed first, and the floor is that of ``abs(usidx.signal.fft(data))``.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        A spectrum with a sample that is not finite gets NaN.
    dim : str, optional
        By default the only spectroscopic one.
    tolerance : float
        How likely it is that noise in one frequency is above the floor, between 0 and 1.

    Returns
    -------
    DataArray, dims (*any)
        In the units of the transform.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        Data that is to be transformed has no even axis.
    UsidError
        `tolerance` is not between 0 and 1.

    Notes
    -----
    Amplitudes of noise have the distribution of Rayleigh. Its width is found from all amplitudes, those above the floor
    :math:`\sigma \sqrt{-2 \ln \mathrm{tolerance}}` are set to zero, and so on until no more are above: pycroscopy
    stopped where the width changed by less than 0.01, whatever the unit.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> noise = xr.DataArray(np.random.default_rng(0).normal(size=4096), dims="Time")
    >>> floor = usidx.signal.noise_floor(noise)
    >>> bool(abs(usidx.signal.fft(noise)).max() < floor)
    True
    """
    if not 0 < tolerance < 1:
        raise UsidError(f"tolerance={tolerance!r}; it should be between 0 and 1.")
    name = choose_dim(data, dim)
    attrs = {k: data.attrs[k] for k in ("units",) if k in data.attrs}
    scale = None
    if data.dtype.kind != "c" and not is_transformed(data, name):
        axis = read_axis(data, name)
        scale, known = abs(axis.step), attrs.pop("units", None)
        if isinstance(known, str) and axis.unit is not None:
            attrs["units"] = units.multiply(known, axis.unit)
    kernel = partial(_find_floors, tolerance=tolerance, scale=scale)
    dtype = np.float32 if data.dtype in (np.float16, np.float32, np.complex64) else np.float64
    output = Output(dims=(), dtype=dtype, attrs={"long_name": "Noise Floor", **attrs}, name="noise_floor")
    return add_choices(along(data, name, kernel, output), dim=name)


def _find_floors(block: Array, *, tolerance: float, scale: float | None) -> Array:
    def work(rows: Array) -> Array:
        if scale is None:
            return find_floors(np.abs(rows), np.ones(rows.shape[1]), tolerance)[:, np.newaxis]
        half = np.abs(scipy.fft.rfft(np.where(np.isfinite(rows), rows, 0), axis=1))
        floors = scale * find_floors(half, count_mirrored(rows.shape[1]), tolerance)
        return blank_missing(floors, rows)[:, np.newaxis]

    return map_rows(work, block, width=1, dtype=block.real.dtype)[..., 0]


def count_mirrored(size: int) -> Array:
    """Return how often each frequency of a real array counts: twice, but for 0 and the highest of an even size."""
    counts = np.full(size // 2 + 1, 2.0)
    counts[0] = 1.0
    if size % 2 == 0:
        counts[-1] = 1.0
    return counts


def find_floors(amplitude: Array, counts: Array, tolerance: float) -> Array:
    """Return the floor of each row of amplitudes, of which each stands for so many; NaN where one is missing."""
    power = np.square(amplitude, dtype=np.float64)
    factor, floor = -np.log(tolerance) / counts.sum(), np.full(len(power), np.inf)
    for _ in range(_MOST_ROUNDS):
        # Squared: 2 sigma^2 = sum(power) / size.
        found = factor * (power @ counts)
        changed = ~(found == floor)
        floor = found
        if not changed.any():
            break
        power[power > floor[:, np.newaxis]] = 0.0
    return np.asarray(np.sqrt(floor))
