"""Normal equations of many spectra -> steps and covariances, as `usidx.fitting.kernels.linear` solves those of one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["invert", "solve"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_PIVOT = 1e-14  # of a unit diagonal: below it a parameter is a combination of the others


def solve(matrix: Array, right: Array, moves: Mask, damping: Array) -> tuple[Array, Array]:
    """Solve the damped, diagonally scaled normal equations (spectrum, free, free) for the parameters that move.

    Returns the steps (spectrum, free), 0 for the others, and the fall of the cost that the linear model promises, -1
    where the equations are singular.
    """
    scaled, root = _scale(matrix, moves)
    factor, regular = _factor(scaled, 1.0 + damping)
    with np.errstate(all="ignore"):
        wanted = np.where(moves, right / root, 0.0)
        step = _substitute(factor, wanted[..., None])[..., 0]
        promised = (step * (wanted + damping[:, None] * step)).sum(axis=1)
        return np.where(regular[:, None], step / root, 0.0), np.where(regular, promised, -1.0)


def invert(matrix: Array, moves: Mask) -> tuple[Array, Mask]:
    """Return the inverses over the parameters that move, and which equations are regular."""
    scaled, root = _scale(matrix, moves)
    factor, regular = _factor(scaled, np.ones(len(matrix)))
    units = np.broadcast_to(np.eye(matrix.shape[1]), matrix.shape)
    with np.errstate(all="ignore"):
        return _substitute(factor, units) / (root[:, :, None] * root[:, None, :]), regular


def _scale(matrix: Array, moves: Mask) -> tuple[Array, Array]:
    """Return the matrices with the diagonal brought to 1, and its roots; parameters that stay are taken out."""
    root = np.sqrt(np.where(moves, np.diagonal(matrix, axis1=1, axis2=2), 1.0))
    both = moves[:, :, None] & moves[:, None, :]
    return np.where(both, matrix / root[:, :, None] / root[:, None, :], 0.0), root


def _factor(scaled: Array, diagonal: Array) -> tuple[Array, Mask]:
    """Return the lower factors, and where no pivot vanishes or is not a number."""
    n = scaled.shape[1]
    factor = np.zeros_like(scaled)
    regular = np.ones(len(scaled), bool)
    for j in range(n):
        for k in range(j):
            known = (factor[:, j, :k] * factor[:, k, :k]).sum(axis=1)
            factor[:, j, k] = (scaled[:, j, k] - known) / factor[:, k, k]
        pivot = diagonal - (factor[:, j, :j] ** 2).sum(axis=1)
        positive = pivot > _PIVOT
        regular &= positive
        factor[:, j, j] = np.sqrt(np.where(positive, pivot, 1.0))
    return factor, regular


def _substitute(factor: Array, right: Array) -> Array:
    """Solve for each column of `right` (spectrum, free, column)."""
    n, solved = factor.shape[1], right.copy()
    for j in range(n):
        solved[:, j] -= (factor[:, j, :j, None] * solved[:, :j]).sum(axis=1)
        solved[:, j] /= factor[:, j, j, None]
    for j in reversed(range(n)):
        solved[:, j] -= (factor[:, j + 1 :, j, None] * solved[:, j + 1 :]).sum(axis=1)
        solved[:, j] /= factor[:, j, j, None]
    return solved
