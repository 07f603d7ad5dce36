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
from usidx.learn.spectrum import leading
from usidx.learn.survey import Survey

__all__ = ["Factors", "factorise", "start"]

Array = npt.NDArray[Any]

_INNER = 3
_PUSH = 0.5


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
    wide = sample.astype(np.float64)
    vectors = leading(wide.T @ wide, n)[1].T if wide.shape[1] <= len(wide) else np.linalg.svd(wide, False)[2][:n]
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
    """Iterate until the error falls by less than `tol` of itself in two iterations.

    Both factors are pushed on in the direction of their last change, by more while that helps; a step that makes the
    error larger is taken back (Ang and Gillis, 2019).
    """
    states: list[Any] = [None] * len(blocks.sizes)
    ahead, error, push, most, small, undo = components, np.inf, _PUSH, 1.0, 0, False
    iteration = 0
    while iteration < max_iter and seen.count and small < 2:
        iteration += 1
        now = 0.0 if undo or iteration == 1 else push
        found, states = blocks.fold_states(_sweep_block, _join, states, ahead, seen.holes, now, undo)
        fresh = _update_components(ahead, found)
        fallen = error - _error(seen.square, fresh, found)
        if fallen < 0:
            # After a plain step only rounding can make the error larger: then this is the end.
            small, undo, ahead, most, push = (2 if undo else 0), True, components, push, push / 1.5
            continue
        error, undo = error - fallen if np.isfinite(error) else _error(seen.square, fresh, found), False
        small = small + 1 if fallen <= tol * error else 0
        ahead = np.maximum(fresh + now * (fresh - components), 0)
        components, most = fresh, min(1.0, 1.01 * most)
        push = min(most, 1.05 * push)
    scores = [_filled(state, undo, size, len(components)) for state, size in zip(states, blocks.sizes, strict=True)]
    error = error if np.isfinite(error) else float(np.sqrt(seen.square))
    return Factors(np.concatenate(scores), components, seen.holes, error, iteration)


@dataclass(frozen=True, slots=True)
class _State:
    """Scores (n, rows) of a block: pushed on, as found, and those that the last step began with; and which rows."""

    ahead: Array
    found: Array
    before: Array
    used: Array | None


def _sweep_block(
    block: Array, state: _State | None, components: Array, holes: Array, push: float, undo: bool
) -> tuple[_Products, _State]:
    rows, used = without_holes(block, holes)
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    basis = components.astype(rows.dtype)
    n = len(components)
    none = np.zeros((n, len(rows)), rows.dtype)
    begun = none if state is None else state.before if undo else state.ahead
    last = begun if state is None or undo else state.found
    found, ahead = np.empty_like(none), np.empty_like(none)
    gram = basis @ basis.T
    inner, outer = np.zeros((n, n)), np.zeros(components.shape)
    for part in pieces(len(rows), rows.shape[1] * rows.itemsize):
        mine = np.array(begun[:, part])
        _solve(mine, gram, basis @ rows[part].T)
        pushed = np.maximum(mine + rows.dtype.type(push) * (mine - last[:, part]), 0)
        inner += pushed @ pushed.T
        outer += pushed @ rows[part]
        found[:, part], ahead[:, part] = mine, pushed
    return _Products(inner, outer), _State(ahead, found, begun, used)


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


def _filled(state: _State | None, undo: bool, size: int, n: int) -> Array:
    if state is None:
        return np.full((size, n), np.nan)
    scores = (state.before if undo else state.ahead).T
    if state.used is None:
        return scores
    full = np.full((size, n), np.nan, scores.dtype)
    full[state.used] = scores
    return full


def settle(sample: Array, n: int, tol: float) -> Array:
    """Return the components of a sample alone: a start from which few passes over all rows remain."""
    blocks = Held(sample)
    square = float(np.vdot(sample.astype(np.float64), sample.astype(np.float64)))
    seen = Survey(np.zeros(sample.shape[1], bool), len(sample), square, sample, np.zeros(0, np.uint64))
    return factorise(blocks, seen, start(sample, n), 200, tol).components
