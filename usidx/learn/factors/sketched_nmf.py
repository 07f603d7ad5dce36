"""Blocks of non-negative rows -> their non-negative factors, in few passes, by way of a sketch.

The sketch has the rank of a few times the components: thin rows, which are held, and a lens that makes full rows of
them (Halko, Martinsson and Tropp, SIAM Review 53, 2011, 217-288). The iteration runs over the thin rows; passes over
the data itself, each with the best scores for the components, end it and find the true error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import find_leading_rows
from usidx.learn.factors.hals import Factors, Products, factorise, sweep, update_components
from usidx.learn.factors.nnls import solve_least_squares
from usidx.learn.factors.penalty import Penalties, Penalty
from usidx.learn.matrix.matrix import choose_working_dtype
from usidx.learn.matrix.missing import as_floats, keep_complete
from usidx.learn.matrix.sample import Numbers, Survey, draw_numbers, find_draw_limit, list_bounds
from usidx.tasks.blocks import Blocks, Held, Rows, cut_pieces
from usidx.tasks.progress import Iterations

__all__ = ["choose_basis", "factorise_by_sketch"]

Array = npt.NDArray[Any]

#: Thin rows beyond this much are a fair sample: the components that suit it suit all.
_SKETCH_BYTES = 2**24
_SPARE = 8
#: Sweeps that bring scores to rest, from the clipped least squares.
_SWEEPS = 20
#: Components that are more alike than this condition number says are solved for exactly.
_WELL_CONDITIONED = 1e4
#: Passes over the data at most, the part of the error that the last has to save, and the first extrapolation.
_MOST_EXACT = 20
_EXACT_TOL = 2e-5
_PUSH = 0.5


@dataclass(frozen=True, slots=True)
class _Sketch:
    """Sums over the rows x with thin rows p: p pᵀ and p xᵀ; number and squares of those whose thin rows are kept."""

    inner: Array
    outer: Array
    count: int
    square: float

    def join(self, other: _Sketch) -> _Sketch:
        return _Sketch(
            self.inner + other.inner, self.outer + other.outer, self.count + other.count, self.square + other.square
        )


def factorise_by_sketch(
    blocks: Blocks,
    seen: Survey,
    numbers: Numbers,
    components: Array,
    basis: Array,
    *,
    seed: int,
    max_iter: int,
    tol: float,
    penalty: Penalty,
) -> Factors:
    """Sketch in one pass, iterate over the sketch, then pass over the blocks until that lowers the error no more."""
    thin, lens, kept = _sketch(blocks, seen, numbers, basis, seed)
    if len(thin):
        part = replace(seen, count=kept.count, square=kept.square)
        watched = Iterations("nmf of a sketch", max_iter, "error")
        found = factorise(Held(thin), part, components, max_iter, tol, penalty, lens, watched)
        components = found.components
    return _finish_on_all_rows(blocks, seen, components, max(tol, _EXACT_TOL), penalty)


def _sketch(blocks: Blocks, seen: Survey, numbers: Numbers, basis: Array, seed: int) -> tuple[Array, Array, _Sketch]:
    """Return thin rows, the lens, and what is known of the rows that they stand for."""
    most = _SKETCH_BYTES // (basis.shape[1] * seen.sample.itemsize)
    limit = find_draw_limit(most, len(numbers))
    step = partial(_sketch_block, seed=seed, limit=limit)
    found, states = blocks.fold_states(step, _Sketch.join, list_bounds(blocks.sizes), numbers, basis, seen.holes)
    # Least squares: the lens that brings thin rows nearest to the rows that they were made of.
    lens = np.linalg.pinv(found.inner, rcond=1e-13, hermitian=True) @ found.outer
    return np.concatenate(list(states)), lens, found


def choose_basis(seen: Survey, n: int, seed: int) -> Array:
    """Return an orthonormal basis to look along: of the sample, and at random for what the sample lacks."""
    columns = seen.sample.shape[1]
    # Some more than the components, for what is lost where the sample is not all that there is.
    known = find_leading_rows(seen.sample, 2 * n + _SPARE)
    spare = np.random.default_rng(seed).normal(size=(_SPARE, columns))
    directions = np.where(seen.holes, 0, np.concatenate([known, spare]))
    return np.asarray(np.linalg.qr(directions.T)[0][:, : min(len(directions), columns)])


def _sketch_block(
    block: Array, bounds: slice, numbers: Numbers, basis: Array, holes: Array, *, seed: int, limit: np.uint64
) -> tuple[_Sketch, Array]:
    rows, used = keep_complete(block, holes)
    dtype = choose_working_dtype(rows.dtype)
    chosen = draw_numbers(numbers[bounds], seed) <= limit
    chosen = chosen if used is None else chosen[used]
    basis = basis.astype(dtype)
    width = basis.shape[1]
    inner, outer, square = np.zeros((width, width)), np.zeros((width, rows.shape[1])), 0.0
    thin = np.empty((int(chosen.sum()), width), dtype)
    filled = 0
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        whole, picked = as_floats(rows[part]), chosen[part]
        near = whole @ basis
        inner += near.T.astype(np.float64) @ near
        outer += near.T @ whole
        mine = near[picked]
        thin[filled : filled + len(mine)] = mine
        filled += len(mine)
        kept = whole if picked.all() else whole[picked]
        square += float(np.einsum("ij,ij->", kept, kept, dtype=np.float64))
    return _Sketch(inner, outer, len(thin), square), thin


def _finish_on_all_rows(blocks: Blocks, seen: Survey, components: Array, tol: float, penalty: Penalty) -> Factors:
    """Alternate between the best scores and the best components, a pass each, at least twice.

    The components are pushed on in the direction of their last change; after a step that made the error larger comes
    one from where they were, which cannot.
    """
    penalties = penalty.weigh(seen.holes, seen.count)
    components = components if penalty else _normalise(components)
    ahead, best, push, plain, passed, done = components, np.inf, _PUSH, True, 0, False
    watched = Iterations("nmf", _MOST_EXACT + 1, "error", "pass")
    while not done:
        states: Sequence[Any] = []  # the scores of the last pass make room for those of the next
        no_states = [None] * len(blocks.sizes)
        found, states = blocks.fold_states(_score_block, Products.join, no_states, ahead, seen.holes, penalties)
        fresh = update_components(ahead, found, penalties, _SWEEPS)
        reached = found.measure_objective(seen.square, fresh, penalties)
        passed += 1
        watched.tell(min(reached, best))
        if reached > best and not plain:
            ahead, push, plain = components, push / 1.5, True
            continue
        done = passed >= _MOST_EXACT or (passed > 1 and best - reached <= tol * reached)
        # A component that few scores use may have any norm: one of norm one keeps the digits of the others.
        even = fresh if penalty else _normalise(fresh)
        ahead, components = np.maximum(even + push * (even - components), 0), even
        best, plain = reached, False
    error = float(np.sqrt(found.measure_residual(seen.square, fresh)))
    scores = Rows(states, blocks.sizes)
    return Factors(scores, found.measure_scores(), fresh, seen.holes, error, float(np.sqrt(seen.square)), passed)


def _normalise(components: Array) -> Array:
    norms = np.linalg.norm(components, axis=1, keepdims=True)
    return np.asarray(components / np.where(norms > 0, norms, 1))


def _score_block(
    block: Array, _state: Any, components: Array, holes: Array, penalties: Penalties
) -> tuple[Products, Array]:
    """Return the products with the best scores, and the scores (rows, n) of the block, NaN where left out."""
    rows, used = keep_complete(block, holes)
    dtype = choose_working_dtype(rows.dtype)
    basis = components.astype(dtype)
    n = len(components)
    gram = penalties.scores.add_to_gram(components @ components.T)
    inner, outer, total = np.zeros((n, n)), np.zeros(components.shape), np.zeros(n)
    scores = np.empty((len(rows), n), dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        whole = as_floats(rows[part])
        mine = _find_best_scores(gram, basis @ whole.T - dtype.type(penalties.scores.l1))
        inner += mine @ mine.T
        outer += mine @ whole
        total += mine.sum(axis=1, dtype=np.float64)
        scores[part] = mine.T
    products = Products(inner, outer, total)
    if used is None:
        return products, scores
    full = np.full((len(block), n), np.nan, scores.dtype)
    full[used] = scores
    return products, full


def _find_best_scores(gram: Array, cross: Array) -> Array:
    """Return the scores (n, rows) of non-negative least squares: by sweeps, or exactly where these would creep."""
    if np.linalg.cond(gram) > _WELL_CONDITIONED:
        return np.ascontiguousarray(solve_least_squares(gram, cross.T.astype(np.float64), closed=False).T, cross.dtype)
    near = gram.astype(cross.dtype)
    scores: Array = np.maximum(np.linalg.inv(gram).astype(cross.dtype) @ cross, 0)
    sweep(scores, near, cross, _SWEEPS)
    return scores
