"""Complex spectra -> the oscillator that the linear form of its response finds in each, without iterating."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["FIGURES", "guess_oscillators"]

Array = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex128]

#: Columns of what is returned.
FIGURES: Final = ("amplitude", "frequency", "quality_factor", "phase", "r2")

_SLICE: Final = 1024  # spectra at a time: what is worked out on the way stays in the processor's cache
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
        By default one per processor.

    Returns
    -------
    ndarray of float64, shape (*any, 5)
        See `FIGURES`; NaN where fewer than three samples are finite, or all are alike.
    """
    lead, samples = y.shape[:-1], y.shape[-1]
    spectra = y.reshape(-1, samples)
    shared = int(np.prod(x.shape[:-1])) == 1
    swept = x.reshape(1, samples) if shared else np.broadcast_to(x, y.shape).reshape(-1, samples)
    found = np.empty((len(spectra), len(FIGURES)))

    def run(begin: int) -> None:
        part = slice(begin, begin + _SLICE)
        with np.errstate(all="ignore"):  # spectra without a resonance end as NaN
            found[part] = _guessed(spectra[part].astype(np.complex128), swept if shared else swept[part])

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(run, range(0, len(spectra), _SLICE)):
            pass
    return found.reshape(*lead, len(FIGURES))


def _guessed(y: Spectra, x: npt.NDArray[Any]) -> Array:
    is_number = np.isfinite(x)
    known = np.isfinite(y) & is_number
    y, w = np.where(known, y, 0.0), np.where(is_number, x, 0.0)
    band = np.where(is_number, x, np.inf).min(-1), np.where(is_number, x, -np.inf).max(-1)
    found = _described(y, w, known, *_linear_form(y, w))
    poor = ~((found[:, 1] >= band[0]) & (found[:, 1] <= band[1]) & (found[:, 4] >= _POOR))
    if poor.any():
        own = slice(None) if len(w) == 1 else poor
        found[poor] = _best_of(found[poor], y[poor], w[own], known[poor], (band[0][own], band[1][own]))
    found[known.sum(-1) < 3] = np.nan
    return found


def _best_of(found: Array, y: Spectra, w: Array, known: npt.NDArray[np.bool_], band: tuple[Array, Array]) -> Array:
    """Return the better of what was found and of the resonance that overlaps most with the data, as r2 tells."""
    most, (frequency, quality) = np.full(len(y), -np.inf), np.full((2, len(y)), np.nan)
    low, span = band[0], band[1] - band[0]
    for share, width in itertools.product(_PLACES, _WIDTHS):
        place = low + share * span
        sharp = place / (width * span)
        overlap = _overlap(y, _response(w, known, place, sharp))
        more = overlap > most
        most = np.where(more, overlap, most)
        frequency, quality = np.where(more, place, frequency), np.where(more, sharp, quality)
    other = _described(y, w, known, frequency, quality)
    better = ~(found[:, 4] >= other[:, 4])
    found[better] = other[better]
    return found


def _overlap(y: Spectra, response: Spectra) -> Array:
    """Return by how much the squares of the data shrink where the response is taken out."""
    shrunk: Array = np.abs((response.conj() * y).sum(-1)) ** 2 / (np.abs(response) ** 2).sum(-1)
    return shrunk


def _linear_form(y: Spectra, w: Array) -> tuple[Array, Array]:
    """Solve (w^2 + i c w - d) y + e = 0 for real c, d and complex e, each sample weighted by its power."""
    scale = np.abs(w).max(-1, keepdims=True)
    w, y = w / scale, y / np.abs(y).max(-1, keepdims=True)
    power = np.abs(y) ** 2

    def centred(values: Spectra) -> Spectra:
        # With the weighted means taken out, e is.
        left: Spectra = values - (power * values).sum(-1, keepdims=True) / power.sum(-1, keepdims=True)
        return left

    by_d, by_c, rest = -centred(y), 1j * centred(w * y), centred(w * w * y)

    def product(a: Spectra, b: Spectra) -> Array:
        inner: Array = (power * (a.real * b.real + a.imag * b.imag)).sum(-1)
        return inner

    cc, cd, dd = product(by_c, by_c), product(by_c, by_d), product(by_d, by_d)
    cr, dr = product(by_c, rest), product(by_d, rest)
    determinant = cc * dd - cd * cd
    c, d = (cd * dr - dd * cr) / determinant, (cd * cr - cc * dr) / determinant
    root = np.sqrt(np.where(d > 0, d, np.nan))
    return root * scale[:, 0], root / np.abs(c)


def _described(y: Spectra, w: Array, known: npt.NDArray[np.bool_], frequency: Array, quality: Array) -> Array:
    """Add amplitude and phase, which bring the response nearest to the data, and r2."""
    response = _response(w, known, frequency, quality)
    turned = (response.conj() * y).sum(-1) / (np.abs(response) ** 2).sum(-1)
    left = (np.abs(y - turned[:, None] * response) ** 2).sum(-1)
    mean = y.sum(-1, keepdims=True) / known.sum(-1, keepdims=True)
    total = (np.abs(np.where(known, y - mean, 0.0)) ** 2).sum(-1)
    r2 = 1.0 - left / np.where(total > 0, total, np.nan)
    found = np.stack([np.abs(turned), frequency, quality, np.angle(turned), r2], axis=-1)
    found[~np.isfinite(found).all(-1)] = np.nan
    return found


def _response(w: Array, known: npt.NDArray[np.bool_], frequency: Array, quality: Array) -> Spectra:
    """Return the response of oscillators of amplitude one, zero where a sample is missing."""
    turns = w / frequency[:, None]
    found: Spectra = np.where(known, 1.0 / (turns**2 - 1j * turns / quality[:, None] - 1.0), 0.0)
    return found
