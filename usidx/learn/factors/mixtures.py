"""Spectra -> how much of each reference they hold, by weighted least squares, with errors."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.nnls import solve_least_squares

__all__ = ["Mixture", "fit_mixture"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_ALIKE: Final = 1e-13  # of the largest eigenvalue of references of one length: below it they do not tell apart
_AT_ONCE: Final = 2**22  # numbers of the matrices of spectra that each have their own


class Mixture(NamedTuple):
    """What is found of each spectrum; NaN where there are too few samples, or the references do not tell apart."""

    scores: Array
    stderr: Array
    chi2: Array
    redchi: Array
    r2: Array
    samples: Array


def fit_mixture(
    rows: npt.NDArray[Any], references: Array, weight: Array | None, *, nonnegative: bool, absolute: bool
) -> Mixture:
    """Fit rows (spectrum, sample) by references (n, sample); `weight` is (spectrum or 1, sample).

    Spectra that lack the same samples and share their weights share the matrix of the references, so it is factored
    once; the others have their own.
    """
    spectra, n = np.asarray(rows, np.float64), len(references)
    known = np.isfinite(references).all(axis=0)
    weights = np.ones((1, spectra.shape[1])) if weight is None else weight
    weights = np.where(np.isfinite(weights) & (weights > 0) & known, weights, 0.0)
    used = np.isfinite(spectra) & (weights > 0)
    pure = np.where(known, references, 0.0)
    out = Mixture(*(np.full((len(spectra), *shape), np.nan) for shape in ((n,), (n,), (), (), (), ())))
    for part, shared in _group(used, weights):
        own = weights if len(weights) == 1 else weights[part]
        factor = np.where(used[part[:1]], own, 0.0) if shared else np.where(used[part], own, 0.0)
        found = _fit_part(np.where(used[part], spectra[part], 0.0), pure, factor, nonnegative=nonnegative)
        for whole, one in zip(out, _measure(spectra[part], pure, factor, used[part], found, absolute), strict=True):
            whole[part] = one
    return out


def _group(used: Bools, weights: Array) -> list[tuple[npt.NDArray[np.intp], bool]]:
    """Return which rows are done together, and whether they share one matrix."""
    # Nothing missing but what no spectrum has.
    whole = (used == (weights > 0)).all(axis=1) & (len(weights) == 1)
    rest = np.flatnonzero(~whole)
    step = max(_AT_ONCE // max(used.shape[1], 1), 1)
    parts = [(rest[k : k + step], False) for k in range(0, len(rest), step)]
    return ([(np.flatnonzero(whole), True)] if whole.any() else []) + parts


def _fit_part(spectra: Array, pure: Array, factor: Array, *, nonnegative: bool) -> tuple[Array, Array]:
    """Return scores and variances by the weights alone; `factor` has one row where all share it."""
    n, squares = len(pure), factor**2
    pairs = (pure[:, None, :] * pure[None, :, :]).reshape(n * n, -1)
    grams = (squares @ pairs.T).reshape(-1, n, n)
    cross = (spectra * squares) @ pure.T
    size = np.sqrt(np.diagonal(grams, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1.0)
    even = grams / (size[:, :, None] * size[:, None, :])
    lowest, highest = (np.linalg.eigvalsh(even)[:, k] for k in (0, -1))
    tell_apart = lowest > _ALIKE * highest
    if nonnegative:
        scores = solve_least_squares(grams[0] if len(grams) == 1 else grams, cross, closed=False)
        return np.where(tell_apart[:, None], scores, np.nan), _find_variances(even, scores > 0) / size**2
    inverse = np.linalg.pinv(even, hermitian=True)
    target = cross / size
    scores = np.zeros(target.shape)
    for _ in range(2):  # the product with an inverse leaves rounding, which alike references make large
        scores = scores + _multiply(target - _multiply(scores, even), inverse)
    variance = np.diagonal(inverse, axis1=1, axis2=2) / size**2
    return np.where(tell_apart[:, None], scores / size, np.nan), np.broadcast_to(variance, scores.shape)


def _multiply(rows: Array, matrices: Array) -> Array:
    return rows @ matrices[0] if len(matrices) == 1 else (rows[:, None, :] @ matrices)[:, 0]


def _find_variances(even: Array, free: Bools) -> Array:
    """Return the variances of the scores that are free, the others held; NaN for these."""
    sets, which = np.unique(free, axis=0, return_inverse=True) if len(even) == 1 else (free, np.arange(len(free)))
    inverse = np.linalg.pinv(even * sets[:, :, None] * sets[:, None, :], hermitian=True)
    found = np.where(sets, np.diagonal(inverse, axis1=1, axis2=2), np.nan)
    return np.asarray(found[which.ravel()])


def _measure(
    spectra: Array, pure: Array, factor: Array, used: Bools, found: tuple[Array, Array], absolute: bool
) -> Mixture:
    scores, variance = found
    count = used.sum(axis=1).astype(np.float64)
    enough = (count >= len(pure))[:, None]
    scores = np.where(enough, scores, np.nan)
    left = np.where(used, spectra - scores @ pure, 0.0)
    with np.errstate(all="ignore"):
        chi2 = ((left * factor) ** 2).sum(axis=1)
        freedom = count - len(pure)
        redchi = np.where(freedom > 0, chi2 / freedom, np.nan)
        mean = np.where(used, spectra, 0.0).sum(axis=1) / count
        spread = (np.where(used, spectra - mean[:, None], 0.0) ** 2).sum(axis=1)
        r2 = np.where(spread > 0, 1.0 - (left**2).sum(axis=1) / spread, np.nan)
        stderr = np.sqrt(variance * (1.0 if absolute else redchi[:, None]))
    fitted: Bools = np.asarray(np.isfinite(scores).all(axis=1))
    stderr = np.where(fitted[:, None], stderr, np.nan)
    chi2, redchi, r2 = (np.where(fitted, one, np.nan) for one in (chi2, redchi, r2))
    return Mixture(scores, stderr, chi2, redchi, r2, count)
