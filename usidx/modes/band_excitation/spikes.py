"""Complex spectra with spikes -> a guess of the oscillator, and how well it describes them, past the spikes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.solver.robust import bound_noise, estimate_noise
from usidx.fitting.solver.spikes import remove_spikes
from usidx.modes.band_excitation.guess import guess_oscillators

__all__ = ["guess_past_spikes", "measure_past_spikes"]

Array = npt.NDArray[np.float64]

_FREE: Final = 4
_FAR: Final = 5.0  # standard deviations: a sample of noise is further away once in a million


def guess_past_spikes(
    y: npt.NDArray[Any], x: npt.NDArray[Any], first: Array, threads: int | None
) -> tuple[Array, npt.NDArray[Any], Array]:
    """Return for spectra with spikes the better of their guess and of that without spikes; others keep theirs.

    Arguments as for `guess_oscillators`, which returned `first`. Better is what leaves less over, the samples that may
    be spikes counted as no further away than just that: a sharp resonance, too, may look like one. Also the spectra
    without spikes, and the r2 of their guesses.
    """
    spectra, own_x = _make_rows(y, x)
    clean, most = remove_spikes(spectra, own_x[:, None], in_order=False)
    rows, found = np.flatnonzero(np.isfinite(most).any(axis=1)), first.reshape(len(spectra), first.shape[-1])
    if not rows.size:
        return first, y, first[..., -1]
    seen = own_x if len(own_x) == 1 else own_x[rows]
    other = guess_oscillators(clean[rows], np.broadcast_to(seen, clean[rows].shape), threads)
    limit = most[rows].reshape(len(rows), -1, 2)
    left = [_compute_residual(spectra[rows], seen, guess) for guess in (found[rows], other)]
    costs = [_sum_known(np.minimum(_split(each), limit) ** 2) for each in left]
    better = ~(costs[0] <= costs[1])
    out, r2 = found.copy(), found[:, -1].copy()
    r2[rows] = other[:, -1]
    out[rows[better]] = other[better]
    out[rows[better], -1] = _compute_r2(spectra[rows], left[1], ~np.isnan(left[1]))[better]
    return out.reshape(first.shape), clean.reshape(y.shape), r2.reshape(first.shape[:-1])


def measure_past_spikes(y: npt.NDArray[Any], x: npt.NDArray[Any], *parameters: Array) -> tuple[Array, Array]:
    """Return r2 of a fit, and the number of samples, without those that are far off by what the others leave over."""
    spectra, own_x = _make_rows(y, x)
    lead = y.shape[:-1]
    figures = np.stack([np.broadcast_to(p, lead).reshape(len(spectra)) for p in parameters], axis=-1)
    left = _compute_residual(spectra, own_x, figures)
    noise = bound_noise(estimate_noise(left, _FREE), spectra)[:, None, None]
    near = (_split(left) <= _FAR * noise).all(axis=-1)
    samples = near.sum(axis=1).astype(np.float64)
    return _compute_r2(spectra, left, near).reshape(lead), samples.reshape(lead)


def _make_rows(y: npt.NDArray[Any], x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.complex128], Array]:
    """Return one row for each spectrum, NaN in both parts where one is missing, and as many frequencies, or one row."""
    size = y.shape[-1]
    shared = int(np.prod(x.shape[:-1])) == 1
    own_x = x.reshape(1, size) if shared else np.broadcast_to(x, y.shape).reshape(-1, size)
    rows = y.reshape(int(np.prod(y.shape[:-1])), size).astype(np.complex128)
    return np.where(np.isfinite(rows) & np.isfinite(own_x), rows, complex(np.nan, np.nan)), own_x.astype(np.float64)


def _compute_residual(y: npt.NDArray[np.complex128], x: Array, figures: Array) -> npt.NDArray[np.complex128]:
    amplitude, frequency, quality, phase = np.moveaxis(figures[:, :4, None], 1, 0)
    with np.errstate(all="ignore"):
        model = amplitude * np.exp(1j * phase) * frequency**2 / (x**2 - 1j * x * frequency / quality - frequency**2)
    left: npt.NDArray[np.complex128] = y - model
    return left


def _split(values: npt.NDArray[np.complex128]) -> Array:
    return np.abs(np.stack([values.real, values.imag], axis=-1))


def _sum_known(values: Array) -> Array:
    total: Array = np.where(np.isfinite(values).any(axis=(1, 2)), np.nansum(values, axis=(1, 2)), np.inf)
    return total


def _compute_r2(y: npt.NDArray[np.complex128], left: npt.NDArray[np.complex128], used: Any) -> Array:
    """Return the coefficient of determination over the samples in use."""
    with np.errstate(all="ignore"):
        mean = np.sum(y, axis=1, where=used) / used.sum(axis=1)
        total = np.sum(np.abs(y - mean[:, None]) ** 2, axis=1, where=used)
        found: Array = 1.0 - np.sum(np.abs(left) ** 2, axis=1, where=used) / np.where(total > 0.0, total, np.nan)
    return found
