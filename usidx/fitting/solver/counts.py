"""Spectra of counts -> their fit by the likelihood of Poisson, by least squares whose weights follow the model.

Where least squares weighted by 1 / mu of a model mu settle, the slope of the likelihood, the sum of
(y - mu) / mu dmu/dp, is zero (Fisher's scoring). So each round fits with the weights of the round before, from where
that ended, and the errors of the last one are those of Fisher's information. Any solver of least squares will do, with
its bounds, ties and start values.

References
----------
P. McCullagh and J. A. Nelder, Generalized Linear Models (1989), section 2.5; for counts in spectra S. Baker and
R. D. Cousins, Nucl. Instrum. Methods 221, 437 (1984).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from usidx.fitting.kernels.columns import NOT_FINITE, TOO_MANY_EVALUATIONS, Columns

__all__ = ["POISSON", "solve_counts"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Fit = Callable[[Rows, Array, Array | None, Array | None], Array]
Evaluate = Callable[[Rows, Array], Array]

#: The loss that asks for it.
POISSON: Final = "poisson"
_ROUNDS: Final = 60
_SETTLED: Final = 1e-3  # of a standard error; each round leaves a small part of the one before
_HALVINGS: Final = 6
_PER_SPECTRUM: Final = 16  # windows of the running mean
_FLOOR: Final = 1e-6  # of the mean of a spectrum: below it a model is no rate of counts


def solve_counts(fit: Fit, evaluate: Evaluate, y: npt.NDArray[Any], n: int) -> Array:
    """Return the table of figures, in which ``CHI2`` is the deviance and errors are those of Fisher's information.

    Least squares of few counts take single ones for a peak. So there are two beginnings, the counts and their running
    mean, and the end of larger likelihood is kept.

    Parameters
    ----------
    fit : callable
        From rows of `y`, what to fit there, weights and start values (None for those of the call) to a table of least
        squares.
    evaluate : callable
        From rows and their parameters to the model, (row, sample).
    y : ndarray, shape (spectrum, sample)
        Counts; a spectrum with a negative one is not fitted.
    n : int
        The number of parameters.

    Returns
    -------
    ndarray
        See `usidx.fitting.kernels.columns`.
    """
    at, counts, rows = Columns(n), np.asarray(y, np.float64), np.arange(len(y))
    with np.errstate(all="ignore"):
        floor = np.maximum(_FLOOR * np.nan_to_num(_average(counts)), 1e-12)[:, None]
        table, *others = (
            _settle(fit, evaluate, counts, floor, fit(rows, begin, None, None), at)
            for begin in (counts, _smooth(counts))
        )
        for other in others:
            less = (other[:, at.status] > 0) & ~(table[:, at.chi2] <= other[:, at.chi2])
            evaluations = table[:, at.nfev] + other[:, at.nfev]
            table[less] = other[less]
            table[:, at.nfev] = evaluations
    return table


def _average(counts: Array) -> Array:
    finite = np.isfinite(counts)
    found: Array = np.where(finite, counts, 0.0).sum(axis=1) / finite.sum(axis=1)
    return found


def _smooth(counts: Array) -> Array:
    """Return running means, of the samples that are there."""
    size, finite = max(3, counts.shape[1] // _PER_SPECTRUM), np.isfinite(counts)
    known = uniform_filter1d(finite.astype(np.float64), size, axis=1, mode="constant")
    sums = uniform_filter1d(np.where(finite, counts, 0.0), size, axis=1, mode="constant")
    return np.where(finite, np.maximum(sums, 0.0) / known, np.nan)


def _settle(fit: Fit, evaluate: Evaluate, counts: Array, floor: Array, table: Array, at: Columns) -> Array:
    """Fit again with the weights of the fit before, until the parameters stay; return the table of the likelihood."""
    below = (counts < 0).any(axis=1)
    table[below, : at.chi2 + 3], table[below, at.status] = np.nan, NOT_FINITE
    going = np.flatnonzero(table[:, at.status] > 0)
    place = table[:, at.parameters].copy()
    for _ in range(_ROUNDS):
        if not going.size:
            break
        rate = np.maximum(evaluate(going, place[going]), floor[going])
        cost = measure_deviance(counts[going], rate)
        found = fit(going, counts[going], 1.0 / np.sqrt(rate), place[going])
        found[:, at.nfev] += table[going, at.nfev]
        table[going] = found
        end, now = _shorten(evaluate, counts, floor, going, place[going], found[:, at.parameters], cost)
        moved = abs(found[:, at.parameters] - place[going])
        errors = np.nan_to_num(_unscale(found, at)[:, at.stderr], posinf=0.0)
        settled = (moved <= np.maximum(_SETTLED * errors, 1e-12 * abs(place[going]))).all(axis=1)
        settled |= abs(cost - now) <= 1e-9 * abs(cost)
        place[going] = end
        going = going[(found[:, at.status] > 0) & ~settled]
    table[going, : at.chi2 + 3], table[going, at.status] = np.nan, TOO_MANY_EVALUATIONS
    return _write_likelihood(evaluate, counts, floor, table, at)


def _shorten(
    evaluate: Evaluate, counts: Array, floor: Array, rows: Rows, before: Array, after: Array, cost: Array
) -> tuple[Array, Array]:
    """Return where the next round begins, and the deviance there: nearer than the step's end where it has gone up."""
    end = after.copy()
    for _ in range(_HALVINGS):
        now = measure_deviance(counts[rows], np.maximum(evaluate(rows, end), floor[rows]))
        worse = now > cost + 1e-9 * abs(cost)
        if not worse.any():
            break
        end[worse] = 0.5 * (end[worse] + before[worse])
    return end, now


def measure_deviance(counts: Array, rate: Array) -> Array:
    """Return twice what the logarithm of the likelihood is below that of a model that meets every count."""
    ratio = np.where(counts > 0, counts, 1.0) / np.where(counts > 0, rate, 1.0)
    found: Array = 2.0 * np.nansum(
        rate - counts + np.where(np.isfinite(counts), counts, np.nan) * np.log(ratio), axis=1
    )
    return found


def _unscale(table: Array, at: Columns) -> Array:
    """Return the table with errors that rest on the weights alone, not on the misfit."""
    found, redchi = table.copy(), table[:, at.redchi, None]
    found[:, at.stderr] /= np.sqrt(redchi)
    found[:, at.covariance] /= redchi
    return found


def _write_likelihood(evaluate: Evaluate, counts: Array, floor: Array, table: Array, at: Columns) -> Array:
    done = np.flatnonzero(table[:, at.status] > 0)
    freedom = np.round(table[done, at.chi2] / table[done, at.redchi])
    table[done] = _unscale(table[done], at)
    rate = np.maximum(evaluate(done, table[done, at.parameters]), floor[done])
    table[done, at.chi2] = measure_deviance(counts[done], rate)
    table[done, at.redchi] = table[done, at.chi2] / freedom
    return table
