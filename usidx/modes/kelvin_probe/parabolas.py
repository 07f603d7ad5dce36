"""Deflection over time -> force, and the parabola over the bias that it is in each oscillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from usidx.errors import SelectionError

__all__ = ["FIGURES", "Oscillations", "split_oscillations"]

Array = npt.NDArray[np.float64]
#: What is found of each oscillation.
FIGURES: Final = ("contact_potential", "contact_potential_stderr", "curvature", "curvature_stderr", "redchi")
_FEWEST: Final = 4  # samples of an oscillation: one more than a parabola has numbers
_FEW: Final = 8  # oscillations, of which a median says little
_MISSES: Final = 4.0  # redchi from which on it is no chance that a parabola misses


@dataclass(frozen=True, slots=True, eq=False)
class Oscillations:
    """What all pixels have in common.

    Attributes
    ----------
    response : ndarray
        What the frequencies of the transform are multiplied with.
    samples : ndarray of int, shape (oscillation, sample)
        Which belong to each; of one with fewer samples its last stands for the rest.
    designs : ndarray, shape (oscillation, sample, 3)
        Square, first power and constant of the bias in units of `scale`; 0 where there is no sample.
    solvers : ndarray, shape (oscillation, 3, sample)
        Least squares.
    covariances : ndarray, shape (oscillation, 3, 3)
        Of the solutions, for noise in the deflection of standard deviation 1.
    left : ndarray, shape (oscillation)
        The sum of squared residuals that such noise leaves.
    freedom : ndarray, shape (oscillation)
        Samples that would leave as much, were they independent.
    scale : float
        Largest bias.
    """

    response: npt.NDArray[np.complex128]
    samples: npt.NDArray[np.intp]
    designs: Array
    solvers: Array
    covariances: Array
    left: Array
    freedom: Array
    scale: float

    def work(self, rows: npt.NDArray[Any]) -> Array:
        """Return the figures of each oscillation of each row, side by side."""
        size = rows.shape[1]
        force = scipy.fft.irfft(scipy.fft.rfft(rows.astype(np.float64), axis=1) * self.response, size, axis=1)
        own = force[:, self.samples]
        found = np.einsum("rns,nks->rnk", own, self.solvers, optimize=True)
        own = own - np.einsum("rnk,nsk->rns", found, self.designs, optimize=True)
        own *= self.designs[..., 2]  # the constant: where there is a sample
        squares = np.einsum("rns,rns->rn", own, own) / self.left
        variance = self._find_variance(squares)[:, np.newaxis]
        misses = squares / np.where(variance > 0, variance, np.nan)
        variance = np.where(misses > _MISSES, squares, variance)
        square, linear = found[..., 0], found[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):  # of what has no curvature
            place = -linear / (2 * square)
            slopes = np.stack([-place / square, -1 / (2 * square)], axis=-1)
            of_place = np.einsum("rni,nij,rnj->rn", slopes, self.covariances[:, :2, :2], slopes, optimize=True)
            figures = (
                self.scale * place,
                self.scale * np.sqrt(variance * of_place),
                square / self.scale**2,
                np.sqrt(variance * self.covariances[:, 0, 0]) / self.scale**2,
                misses,
            )
        return np.asarray(np.concatenate(figures, axis=1))

    def _find_variance(self, squares: Array) -> Array:
        """Return the variance of the noise of each row: of most oscillations, for in some the potential may jump."""
        if squares.shape[1] < _FEW:
            return np.asarray(squares.mean(axis=1))
        # The median of a sum of squares lies below its mean (Wilson and Hilferty).
        below = (1 - 2 / (9 * np.median(self.freedom))) ** 3
        found: Array = np.median(squares, axis=1) / below
        return found


def split_oscillations(
    time: Array, bias: Array, frequency: float, response: npt.NDArray[np.complex128]
) -> Oscillations:
    """Cut a record where oscillations of the bias begin, and say how noise gets into what is found of each.

    Raises
    ------
    SelectionError
        There is no whole oscillation, or too few samples in one.
    """
    samples, held = _list_samples(time, frequency)
    scale = float(np.abs(bias).max()) or 1.0
    swept = bias[samples] / scale
    designs = np.stack([swept**2, swept, np.ones_like(swept)], axis=-1) * held[..., np.newaxis]
    solvers = np.asarray(np.linalg.pinv(designs), np.float64)
    correlation = scipy.fft.irfft(np.abs(response) ** 2, time.size)
    covariances, left, freedom = [], [], []
    for where, own, design, solver in zip(samples, held, designs, solvers, strict=True):
        noise = correlation[np.abs(where[:, np.newaxis] - where)] * own * own[:, np.newaxis]
        covariances.append(solver @ noise @ solver.T)
        spread = noise - design @ (solver @ noise)
        left.append(np.trace(spread))
        freedom.append(left[-1] ** 2 / max(float(np.sum(spread * spread.T)), np.finfo(np.float64).tiny))
    return Oscillations(
        response, samples, designs, solvers, np.array(covariances), np.array(left), np.array(freedom), scale
    )


def _list_samples(time: Array, frequency: float) -> tuple[npt.NDArray[np.intp], Array]:
    """Return the samples of each whole oscillation, and 1 where there is one."""
    step = (time[-1] - time[0]) / max(time.size - 1, 1)
    number = np.floor((time - time[0]) * frequency + 1e-6 * step * frequency).astype(np.intp)
    whole = int(np.floor(time.size * step * frequency + 1e-6))
    first = np.searchsorted(number, np.arange(whole + 1))
    counts = np.diff(first)
    if whole < 1 or counts.min() < _FEWEST:
        raise SelectionError(
            f"{time.size} samples, {step:g} apart, do not hold an oscillation of {frequency:g} with {_FEWEST} samples."
        )
    places = first[:-1, np.newaxis] + np.arange(counts.max())
    held = places < first[1:, np.newaxis]
    return np.where(held, places, first[1:, np.newaxis] - 1), held.astype(np.float64)
