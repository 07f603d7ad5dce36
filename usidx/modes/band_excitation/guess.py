"""Complex spectra -> the oscillator that the linear form of its response finds in each, without iterating."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.tasks.pool import share_slices

__all__ = ["FIGURES", "guess_oscillators"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: Columns of what is returned.
FIGURES: Final = ("amplitude", "frequency", "quality_factor", "phase", "r2")

_SLICE: Final = 1024  # spectra at a time: what is worked out on the way stays in the processor's cache
_FEWEST: Final = 3  # samples: two determine an oscillator, and say nothing about whether it is one
_FLAT: Final = 1e-12  # of the energy: less about the mean is rounding, and nothing is to be seen
_POOR: Final = 0.5  # an r2 below it: the linear form drowned in noise, and trying resonances may do better
_PLACES: Final = tuple((k + 0.5) / 24 for k in range(24))  # shares of the band, and so are the widths
_WIDTHS: Final = (0.025, 0.08, 0.25)


def guess_oscillators(y: npt.NDArray[Any], x: npt.NDArray[Any], threads: int | None = None) -> Array:
    """Guess amplitude, frequency, quality factor and phase of an oscillator, and say how well they describe the data.

    Parameters
    ----------
    y : ndarray, shape (*any, sample)
        Complex spectra; samples that are not finite are left out.
    x : ndarray, shape (*any, sample), broadcastable against y
        Frequencies.
    threads : int, optional
        So many at most; by default as many as there is room for.

    Returns
    -------
    ndarray of float64, shape (*any, 5)
        See `FIGURES`; NaN where fewer than three samples are finite, or all are alike.
    """
    lead, samples = y.shape[:-1], y.shape[-1]
    spectra = y.reshape(int(np.prod(lead)), samples)  # not -1, which empty arrays leave open
    shared = int(np.prod(x.shape[:-1])) == 1
    swept = x.reshape(1, samples) if shared else np.broadcast_to(x, y.shape).reshape(spectra.shape)
    found = np.empty((len(spectra), len(FIGURES)))

    def each(work: Callable[[Rows, _Spectra], None], rows: Rows) -> None:
        def run(slice_of_rows: slice) -> None:
            part = rows[slice_of_rows]
            with np.errstate(all="ignore"):  # spectra without a resonance end as NaN
                work(part, _Spectra.of(spectra[part], swept if shared else swept[part]))

        share_slices(run, len(rows), threads, _SLICE)

    def guess(rows: Rows, given: _Spectra) -> None:
        found[rows] = _guess_by_linear_form(given)

    def search(rows: Rows, given: _Spectra) -> None:
        found[rows] = _choose_best(found[rows], given)

    each(guess, np.arange(len(spectra)))
    each(search, np.flatnonzero(~(found[:, -1] >= _POOR)))
    return found.reshape(*lead, len(FIGURES))


@dataclass(frozen=True, slots=True, eq=False)
class _Spectra:
    """Real and imaginary parts (spectrum, sample), zero where missing; frequencies (spectrum or 1, sample)."""

    real: Array
    imag: Array
    w: Array
    known: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, y: npt.NDArray[Any], x: npt.NDArray[Any]) -> _Spectra:
        real, imag = (np.array(part, dtype=np.float64, order="C") for part in (y.real, y.imag))
        is_number = np.isfinite(x)
        known = np.isfinite(real) & np.isfinite(imag) & is_number
        if not known.all():
            real, imag = np.where(known, real, 0.0), np.where(known, imag, 0.0)
        low, high = np.where(is_number, x, np.inf).min(-1), np.where(is_number, x, -np.inf).max(-1)
        w = np.where(is_number, x, 0.0).astype(np.float64)
        return cls(real, imag, w, known.astype(np.float64), low, high)


def _sum(a: Array, b: Array) -> Array:
    """Return the sum of products along each row; not by a matrix product, whose rounding depends on the rows."""
    total: Array = np.einsum("ij,ij->i", *np.broadcast_arrays(a, b))
    return total


def _guess_by_linear_form(spectra: _Spectra) -> Array:
    """Return what the linear form finds; NaN where it finds no resonance within the band."""
    found = _add_amplitude_and_phase(spectra, *_solve_linear_form(spectra))
    inside = (found[:, 1] >= spectra.low) & (found[:, 1] <= spectra.high)
    found[~inside | (spectra.known.sum(-1) < _FEWEST)] = np.nan
    return found


def _choose_best(found: Array, spectra: _Spectra) -> Array:
    """Return the better of what was found and of the resonance that overlaps most with the data, as r2 tells."""
    count, span = len(found), spectra.high - spectra.low
    most, (frequency, quality) = np.full(count, -np.inf), np.full((2, count), np.nan)
    for share, width in itertools.product(_PLACES, _WIDTHS):
        place = spectra.low + share * span
        sharp = place / (width * span)
        real, imag, energy = _compute_overlap(spectra, place, sharp)
        overlap = (real**2 + imag**2) / energy
        more = overlap > most
        most = np.where(more, overlap, most)
        frequency, quality = np.where(more, place, frequency), np.where(more, sharp, quality)
    other = _add_amplitude_and_phase(spectra, frequency, quality)
    better = ~(found[:, 4] >= other[:, 4])
    found[better] = other[better]
    found[spectra.known.sum(-1) < _FEWEST] = np.nan
    return found


def _solve_linear_form(spectra: _Spectra) -> tuple[Array, Array]:
    """Solve (w^2 + i c w - d) y + e = 0 for real c, d and complex e, each sample weighted by its power.

    With s = w - m, m the middle of the band, and d = m^2 + d', it is (s^2 + 2 m s + i c (s + m) - d') y + e = 0. Of the
    products of y, s y and s^2 y all that is needed are sums of the weighted power and of y times powers of s.
    """
    scale, height = np.abs(spectra.high), np.sqrt((spectra.real**2 + spectra.imag**2).max(-1))
    m = (0.5 * (spectra.low + spectra.high)) / scale
    s = spectra.w / scale[:, None] - m[:, None]
    real, imag = spectra.real / height[:, None], spectra.imag / height[:, None]
    power = real**2 + imag**2
    total, squared = power.sum(-1), power**2
    powers = [np.ones_like(s), s, s**2, s**3, s**4]
    by_power = [_sum(squared, p) for p in powers]
    first = [_sum(power * real, p) + 1j * _sum(power * imag, p) for p in powers[:3]]

    def product(j: int, k: int) -> npt.NDArray[np.complex128]:
        # of s^j y and s^k y less their weighted means, for that is what e takes out
        left: Any = by_power[j + k] - first[j].conj() * first[k] / total
        return np.asarray(left)

    cross = product(0, 1)
    dd = product(0, 0).real
    cc = product(1, 1).real + 2 * m * cross.real + m**2 * dd
    cd = cross.imag
    cr = product(1, 2).imag + m * product(0, 2).imag + 2 * m**2 * cross.imag
    dr = -product(0, 2).real - 2 * m * cross.real
    determinant = cc * dd - cd * cd
    c, d = (cd * dr - dd * cr) / determinant, m**2 + (cd * cr - cc * dr) / determinant
    root = np.sqrt(np.where(d > 0, d, np.nan))
    return root * scale, root / np.abs(c)


def _compute_overlap(spectra: _Spectra, frequency: Array, quality: Array) -> tuple[Array, Array, Array]:
    """Return the inner product of oscillators of amplitude one with the data, and the energy of the former."""
    turns = spectra.w / frequency[:, None]
    below, lag = turns**2 - 1.0, -turns / quality[:, None]
    energy = 1.0 / (below**2 + lag**2)
    below, lag = below * energy, lag * energy
    real = _sum(below, spectra.real) - _sum(lag, spectra.imag)
    imag = _sum(below, spectra.imag) + _sum(lag, spectra.real)
    return real, imag, _sum(energy, spectra.known)


def _add_amplitude_and_phase(spectra: _Spectra, frequency: Array, quality: Array) -> Array:
    """Add amplitude and phase, which bring the response nearest to the data, and r2."""
    real, imag, energy = _compute_overlap(spectra, frequency, quality)
    whole = _sum(spectra.real, spectra.real) + _sum(spectra.imag, spectra.imag)
    left = np.maximum(whole - (real**2 + imag**2) / energy, 0.0)
    mean = (spectra.real.sum(-1) ** 2 + spectra.imag.sum(-1) ** 2) / spectra.known.sum(-1)
    total = whole - mean
    r2 = 1.0 - left / np.where(total > _FLAT * whole, total, np.nan)
    found = np.stack([np.hypot(real, imag) / energy, frequency, quality, np.arctan2(imag, real), r2], axis=-1)
    found[~np.isfinite(found).all(-1)] = np.nan
    return found
