"""Rows -> their least squares on components, exactly, with scores that are not negative and may have to sum to one.

The active set method of Lawson and Hanson (Solving least squares problems, 1974, chapter 23) for all rows at once: rows
with the same set of free scores share one small solve (Van Benthem and Keenan, Journal of Chemometrics 18, 2004,
441-450). With the sum fixed, the start is the nearest component and each solve carries the sum as a multiplier (Heinz
and Chang, IEEE Transactions on Geoscience and Remote Sensing 39, 2001, 529-545).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["find_constrained_scores", "solve_least_squares"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


def find_constrained_scores(rows: Array, components: Array, *, closed: bool) -> Array:
    """Return the scores (rows, n) of least squares, none negative; `closed`: summing to one."""
    rows, components = rows.astype(np.float64), components.astype(np.float64)
    return solve_least_squares(components @ components.T, rows @ components.T, closed=closed)


def solve_least_squares(gram: Array, cross: Array, *, closed: bool) -> Array:
    """Minimise ``x gram x / 2 - cross x`` for each row of `cross`, over x of no negative cell (and of sum one).

    `gram` is one matrix for all rows; or, where the sum is free, one for each.
    """
    if closed:
        return _minimise(gram, cross, closed=True)
    # Components as long as each other: what is small in one unit would pass for rounding beside what is large.
    size = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    size = np.where(size > 0, size, 1)
    return _minimise(gram / (size[..., :, None] * size[..., None, :]), cross / size, closed=False) / size


def _minimise(gram: Array, cross: Array, *, closed: bool) -> Array:
    """Free the score of steepest slope of each row, solve for the free ones, and so on until no slope is positive."""
    found, free = _begin(gram, cross, closed)
    slack = 1e-12 * (np.abs(cross).max(axis=1) + (np.abs(gram).max(initial=0.0) if closed else 0.0))
    for _ in range(10 * cross.shape[1]):
        slope = cross - _multiply(found, gram)
        if closed:
            # The sum is fixed: a score gains only as far as its slope is above those of the free scores.
            slope -= (slope * free).sum(axis=1, keepdims=True) / free.sum(axis=1, keepdims=True)
        slope[free] = -np.inf
        steepest = slope.argmax(axis=1)
        going = np.flatnonzero(slope[np.arange(len(slope)), steepest] > slack)
        if not going.size:
            break
        free[going, steepest[going]] = True
        _settle(gram, cross, closed, found, free, going)
    return found


def _begin(gram: Array, cross: Array, closed: bool) -> tuple[Array, Bools]:
    found = np.zeros(cross.shape)
    # None is negative where all are zero; with the sum fixed, the nearest component alone is such a start.
    if closed:
        found[np.arange(len(cross)), (np.diag(gram) / 2 - cross).argmin(axis=1)] = 1
    return found, found > 0


def _settle(gram: Array, cross: Array, closed: bool, found: Array, free: Bools, going: Array) -> None:
    """Move the rows to the solution on their free scores, freezing one that would turn negative at a time."""
    for _ in range(cross.shape[1] + 1):
        target = _solve_free(gram if gram.ndim == 2 else gram[going], cross[going], free[going], closed)
        before = found[going]
        falling = free[going] & (target <= 0)
        room = np.divide(before, before - target, out=np.ones_like(before), where=falling & (before > target))
        step = np.where(falling, room, 1).min(axis=1, keepdims=True)
        moved = np.maximum(before + step * (target - before), 0)
        stopped = falling & (room <= step)
        moved[stopped] = 0
        found[going] = moved
        free[going] &= ~stopped
        going = going[falling.any(axis=1)]
        if not going.size:
            return


def _solve_free(gram: Array, cross: Array, free: Bools, closed: bool) -> Array:
    """Return the unbounded solution on the free scores of each row, zero elsewhere."""
    if gram.ndim > 2:
        return _solve_each(gram, cross, free)
    target = np.zeros(cross.shape)
    sets, which = np.unique(free, axis=0, return_inverse=True)
    for i, chosen in enumerate(sets):
        rows = np.flatnonzero(which.ravel() == i)
        target[np.ix_(rows, chosen)] = _solve_shared(gram[np.ix_(chosen, chosen)], cross[np.ix_(rows, chosen)], closed)
    return target


def _multiply(rows: Array, gram: Array) -> Array:
    """Return each row times the one matrix, or its own."""
    return rows @ gram if gram.ndim == 2 else (rows[:, None, :] @ gram)[:, 0]


def _solve_each(gram: Array, cross: Array, free: Bools) -> Array:
    """Solve for rows that each have a matrix of their own."""
    inverse = np.linalg.pinv(gram * free[:, :, None] * free[:, None, :], hermitian=True)
    target = np.zeros(cross.shape)
    for _ in range(2):
        target = target + _multiply((cross - _multiply(target, gram)) * free, inverse) * free
    return np.asarray(target)


def _solve_shared(gram: Array, cross: Array, closed: bool) -> Array:
    """Solve for rows that have the same free scores; `closed` with a Lagrange multiplier for the sum."""
    if not len(gram):
        return cross
    inverse = np.linalg.pinv(gram, hermitian=True)
    lean = inverse.sum(axis=0)
    total = lean.sum() if closed else 0.0
    target = np.zeros(cross.shape)
    # Twice: the product with an inverse leaves slopes of the size of its rounding, which alike components make large.
    for _ in range(2):
        target = target + (cross - target @ gram) @ inverse
        if total > 0:
            target = target + np.outer((1 - target.sum(axis=1)) / total, lean)
    return np.asarray(target)
