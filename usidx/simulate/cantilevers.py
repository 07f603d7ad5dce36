"""Cantilevers that are driven by the force between tip and sample, with a contact potential that jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.errors import UsidError
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_position_coordinates,
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.simulate.oscillation import check_positive, check_sizes
from usidx.version import usidx_version

__all__ = ["gkpfm"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_WIDTH: Final = 1e-6
_STATIC: Final = 0.05  # V/nN
_RESONANCE: Final = 70e3  # Hz
_QUALITY: Final = 100.0
_BEFORE: Final = 16  # oscillations to either side, until what began there has died out
_TUNE: Final = (0.0, 120e3, 241)  # Hz
_DEFLECTION: Final = {"long_name": "Cantilever deflection", "units": "V"}


def gkpfm(
    shape: tuple[int, int] = (8, 8),
    oscillations: int = 64,
    *,
    samples: int = 64,
    frequency: float = 4e3,
    amplitude: float = 3.0,
    noise: float = 0.002,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate the deflection of a free cantilever under a fast bias, while the contact potential jumps (G-KPFM).

    With `chunks` scan and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 1 um wide.
    oscillations : int
        Of the bias, at each pixel; the potential jumps after half of them.
    samples : int
        Of each oscillation.
    frequency, amplitude : float
        Of the bias, a sine, in Hz and V. The cantilever resonates at 70 kHz, with a quality factor of 100.
    noise : float
        Standard deviation of the deflection in V.
    seed : int
        Same seed, same scan.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole records.

    Returns
    -------
    scan : DataArray, dims (Y, X, Time)
        In V, named ``Raw_Data``; the bias is a coordinate along ``Time``.
    truth : Dataset
        Over (Y, X, Time), in the middle of each oscillation, ``contact_potential`` in V; over (Y, X) ``curvature`` of
        the force in nN/V^2; over (Frequency) ``transfer_function`` in V/nN.

    Raises
    ------
    UsidError
        A size is below one, or the dtype is not real.

    Notes
    -----
    The force is :math:`c \, (V - V_{cp})^2`, the deflection what a damped oscillator makes of it.

    Examples
    --------
    >>> from usidx.simulate import gkpfm
    >>> scan, truth = gkpfm((2, 2))
    >>> dict(scan.sizes), dict(truth.contact_potential.sizes), truth.transfer_function.units
    ({'Y': 2, 'X': 2, 'Time': 4096}, {'Y': 2, 'X': 2, 'Time': 64}, 'V/nN')
    """
    check_sizes(rows=shape[0], columns=shape[1], oscillations=oscillations, samples=samples)
    check_positive(frequency=frequency)
    if np.dtype(dtype).kind != "f":
        raise UsidError(f"A deflection is real, dtype {str(dtype)!r} is not: give 'float64'.")
    rng = np.random.default_rng(seed)
    fields = tuple(SmoothField.draw(rng, 0.4 * _WIDTH) for _ in range(3))
    tip = _Tip(shape, oscillations, samples, frequency, amplitude, noise, fields, seed, np.dtype(dtype))
    options = {"shape": list(shape), "oscillations": oscillations, "samples": samples, "frequency": frequency}
    options |= {"amplitude": amplitude, "noise": noise, "seed": seed, "dtype": str(tip.dtype)}
    step = {"tool": "simulate.gkpfm", "version": usidx_version(), "parameters": options}
    sizes = {"Y": shape[0], "X": shape[1], "Time": oscillations * samples}
    time = make_spectroscopic_coordinate("Time", tip.list_times(0, oscillations), "Time", "s")
    bias = xr.Variable(("Time",), tip.compute_bias(0, oscillations), {"long_name": "Bias", "units": "V"})
    coords = xr.Coordinates(make_position_coordinates(shape, _WIDTH) | {"Time": time}).assign(bias=bias)
    data = assemble(tip.compute_deflection, sizes, tip.dtype, chunks)
    scan = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=_DEFLECTION)
    return put_steps(scan, [step]), _build_truth(tip, chunks)


def _build_truth(tip: _Tip, chunks: Chunks) -> xr.Dataset:
    over = {"Y": tip.shape[0], "X": tip.shape[1], "Time": tip.oscillations}
    places = {d: over[d] for d in ("Y", "X")}
    potential = assemble(tip.compute_potential, over, np.float64, match_chunks(chunks, over))
    curvature = assemble(tip.compute_curvature, places, np.float64, match_chunks(chunks, places))
    middles = tip.list_times(0, tip.oscillations).reshape(tip.oscillations, -1)[:, [0, -1]].mean(axis=1)
    swept = {
        "Time": make_spectroscopic_coordinate("Time", middles, "Time", "s"),
        "Frequency": make_spectroscopic_coordinate("Frequency", np.linspace(*_TUNE), "Frequency", "Hz"),
    }
    transfer = ("Frequency", compute_transfer(np.linspace(*_TUNE)), {"long_name": "Transfer function", "units": "V/nN"})
    found = {
        "contact_potential": (tuple(over), potential, {"long_name": "Contact potential", "units": "V"}),
        "curvature": (tuple(places), curvature, {"long_name": "Curvature of the force", "units": "nN/V^2"}),
        "transfer_function": transfer,
    }
    return xr.Dataset(found, coords=make_position_coordinates(tip.shape, _WIDTH) | swept)


def compute_transfer(frequency: NDArray[Any]) -> NDArray[Any]:
    """Return deflection per force in V/nN."""
    bare = _RESONANCE**2 - frequency**2 + 1j * frequency * _RESONANCE / _QUALITY
    return np.asarray(_STATIC * _RESONANCE**2 / bare)


@dataclass(frozen=True)
class _Tip:
    """Everything that decides a scan."""

    shape: tuple[int, int]
    oscillations: int
    samples: int
    frequency: float
    amplitude: float
    noise: float
    fields: tuple[SmoothField, ...]
    seed: int
    dtype: np.dtype[Any]

    def list_times(self, first: int, last: int) -> Array:
        """Return the times of samples from one oscillation to another, in s."""
        return np.arange(first * self.samples, last * self.samples) / (self.samples * self.frequency)

    def compute_bias(self, first: int, last: int) -> Array:
        """Return the bias at these times."""
        turned: Array = self.amplitude * np.sin(2 * np.pi * self.frequency * self.list_times(first, last))
        return turned

    def compute_figures(self, y: Index, x: Index) -> tuple[Array, Array, Array]:
        """Return the potentials before and after the jump, and the curvature, over (y, x)."""
        step = _WIDTH / max(self.shape[1] - 1, 1)
        before, jump, curvature = (np.tanh(field(y * step, x * step)) for field in self.fields)
        return 0.3 + 0.2 * before, 0.7 + 0.2 * before + 0.3 * jump, 1 + 0.2 * curvature

    def compute_curvature(self, y: Index, x: Index) -> Array:
        """Return nN/V^2 over (y, x)."""
        return self.compute_figures(y, x)[2]

    def compute_potential(self, y: Index, x: Index, oscillation: Index) -> Array:
        """Return V over (y, x, oscillation)."""
        before, after, _ = (figure[..., np.newaxis] for figure in self.compute_figures(y, x))
        return np.where(oscillation < self.oscillations // 2, before, after)

    def compute_deflection(self, y: Index, x: Index, time: Index) -> NDArray[Any]:
        """Return what is measured, over (y, x, time)."""
        first, last = -_BEFORE, self.oscillations + _BEFORE
        number = np.repeat(np.arange(first, last), self.samples)
        swept = self.compute_bias(first, last)
        bins = np.fft.rfftfreq(swept.size, 1 / (self.samples * self.frequency))
        begin = _BEFORE * self.samples
        block = np.empty((y.size, x.size, time.size), self.dtype)
        for k, row in enumerate(y):
            here = y[k : k + 1]
            force = swept - self.compute_potential(here, x, number)[0]
            force = self.compute_curvature(here, x)[0][:, np.newaxis] * force**2
            clean = np.fft.irfft(np.fft.rfft(force, axis=1) * compute_transfer(bins), swept.size, axis=1)
            sizes = (self.shape[1], self.oscillations * self.samples)
            block[k] = clean[:, begin + time] + self.noise * draw_row_noise(self.seed, int(row), sizes, (x, time))
        return block
