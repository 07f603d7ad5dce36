"""Blocks of non-negative rows to their non-negative factors, by hierarchical alternating least squares.

One pass updates the scores of each block and gathers the two small products that the components need; so an iteration
reads each block once, and nothing of the size of the data is kept but the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.blocks import Blocks, Held, pieces
from usidx.learn.holes import without_holes
from usidx.learn.survey import Survey

__all__ = ["Factors", "factorise", "start"]

Array = npt.NDArray[Any]

_INNER = 3


@dataclass(frozen=True, slots=True)
class Factors:
    """Scores (rows, n) in the order of the blocks, NaN where left out; components (n, columns), zero in the holes."""

    scores: Array
    components: Array
    holes: npt.NDArray[np.bool_]
    error: float
    iterations: int


@dataclass(frozen=True, slots=True)
class _Products:
    """Sums over rows x with scores w: w wᵀ and w xᵀ."""

    inner: Array
    outer: Array


def start(sample: Array, n: int) -> Array:
    """Return components to begin with: the positive parts of singular vectors (Boutsidis and Gallopoulos, 2008).

    Where a vector has nothing left to give, the mean takes its place: a zero row would stay zero.
    """
    _, _, vectors = np.linalg.svd(sample.astype(np.float64), full_matrices=False)
    vectors = vectors[:n]
    up, down = np.maximum(vectors, 0), np.maximum(-vectors, 0)
    stronger = np.linalg.norm(up, axis=1) >= np.linalg.norm(down, axis=1)
    chosen = np.where(stronger[:, np.newaxis], up, down)
    full = np.zeros((n, sample.shape[1]))
    full[: len(chosen)] = chosen
    mean = sample.mean(axis=0, dtype=np.float64)
    # Cells at zero leave it only slowly; a hundredth of the mean costs nothing and frees them.
    full += 0.01 * mean / max(float(np.linalg.norm(mean)), np.finfo(float).tiny)
    return full


def factorise(blocks: Blocks, seen: Survey, components: Array, max_iter: int, tol: float) -> Factors:
    """Iterate until the error falls by less than `tol` of itself in one iteration."""
    n = len(components)
    states: list[Any] = [None] * len(blocks.sizes)
    previous, error, iteration = np.inf, float(np.sqrt(seen.square)), 0
    while iteration < max_iter and seen.count:
        iteration += 1
        found, states = blocks.fold_states(_sweep_block, _join, states, components, seen.holes)
        components = _update_components(components, found)
        error = _error(seen.square, components, found)
        if previous - error <= tol * error:
            break
        previous = error
    scores = [
        np.full((size, n), np.nan) if s is None else _filled(s[0], s[1], size)
        for s, size in zip(states, blocks.sizes, strict=True)
    ]
    return Factors(np.concatenate(scores), components, seen.holes, error, iteration)


def _sweep_block(block: Array, state: Any, components: Array, holes: Array) -> tuple[_Products, Any]:
    rows, used = without_holes(block, holes)
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    basis = components.astype(rows.dtype)
    n = len(components)
    scores = np.zeros((n, len(rows)), rows.dtype) if state is None else state[0]
    gram = basis @ basis.T
    inner, outer = np.zeros((n, n)), np.zeros(components.shape)
    for part in pieces(len(rows), rows.shape[1] * rows.itemsize):
        mine = np.ascontiguousarray(scores[:, part])
        _solve(mine, gram, basis @ rows[part].T)
        inner += mine @ mine.T
        outer += mine @ rows[part]
        scores[:, part] = mine
    return _Products(inner, outer), (scores, used)


def _solve(scores: Array, gram: Array, cross: Array) -> None:
    """Sweep a few times: a row gets the same whatever block it is in, which a test of convergence would spoil."""
    for _ in range(_INNER):
        _sweep(scores, gram, cross)


def _sweep(scores: Array, gram: Array, cross: Array) -> None:
    """Update each row of scores (n, rows) in turn, in place."""
    for k in range(len(scores)):
        if gram[k, k] > 0:
            scores[k] = np.maximum(scores[k] + (cross[k] - gram[k] @ scores) / gram[k, k], 0)


def _join(first: _Products, second: _Products) -> _Products:
    return _Products(first.inner + second.inner, first.outer + second.outer)


def _update_components(components: Array, found: _Products) -> Array:
    new = components.copy()
    _solve(new, found.inner, found.outer)
    return new


def _error(square: float, components: Array, found: _Products) -> float:
    residual = (
        square - 2 * float(np.vdot(components, found.outer)) + float(np.vdot(components @ components.T, found.inner))
    )
    return float(np.sqrt(max(residual, 0.0)))


def _filled(scores: Array, used: Array | None, size: int) -> Array:
    if used is None:
        return scores.T
    full = np.full((size, len(scores)), np.nan, scores.dtype)
    full[used] = scores.T
    return full


def settle(sample: Array, n: int, tol: float) -> Array:
    """Return the components of a sample alone: a start from which few passes over all rows remain."""
    blocks = Held(sample)
    square = float(np.vdot(sample.astype(np.float64), sample.astype(np.float64)))
    seen = Survey(np.zeros(sample.shape[1], bool), len(sample), square, sample, np.zeros(0, np.uint64))
    return factorise(blocks, seen, start(sample, n), 200, tol).components
