"""Blocks of non-negative rows -> their non-negative factors, by hierarchical alternating least squares (HALS).

HALS solves for one component at a time with all others held: its best cells are the clipped least squares, without a
matrix to invert. One pass updates the scores of each block and gathers the two small products that the components
need; so an iteration reads each block once, and nothing of the size of the data is kept but the scores.

References
----------
A. Cichocki, R. Zdunek and S. Amari, ICA 2007, 169; several sweeps per product after N. Gillis and F. Glineur, Neural
Computation 24, 1085 (2012); extrapolation after A. Ang and N. Gillis, Neural Computation 31, 417 (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import find_leading_rows
from usidx.learn.factors.penalty import Penalties, Penalty
from usidx.learn.matrix.matrix import choose_working_dtype
from usidx.learn.matrix.missing import as_floats, keep_complete
from usidx.learn.matrix.sample import Survey
from usidx.tasks.blocks import Blocks, Held, Rows, cut_pieces, hold_rows
from usidx.tasks.progress import Iterations

__all__ = ["Factors", "Products", "choose_start", "factorise", "factorise_sample", "sweep", "update_components"]

Array = npt.NDArray[Any]

_INNER = 3  # sweeps per product
_PUSH = 0.5  # of the last change, that the first extrapolation adds


@dataclass(frozen=True, slots=True)
class Factors:
    """Scores (rows, n) in the order of the blocks, NaN where left out; components (n, columns), zero in the holes.

    ``sizes`` (n) are the sums of the squares of the scores.
    """

    scores: Rows
    sizes: Array
    components: Array
    holes: npt.NDArray[np.bool_]
    error: float
    norm: float
    iterations: int


@dataclass(frozen=True, slots=True)
class Products:
    """Sums over rows x with scores w: w wᵀ, w xᵀ and w."""

    inner: Array
    outer: Array
    total: Array

    def join(self, other: Products) -> Products:
        """Return the sums over both sets of rows."""
        return Products(self.inner + other.inner, self.outer + other.outer, self.total + other.total)

    def measure_scores(self) -> Array:
        """Return the sum of squares of the scores of each component."""
        return np.diag(self.inner)

    def measure_residual(self, square: float, components: Array) -> float:
        """Return the sum of squares that is left of `square`, the one of the rows."""
        left = square - 2 * float(np.vdot(components, self.outer))
        return max(left + float(np.vdot(components @ components.T, self.inner)), 0.0)

    def measure_objective(self, square: float, components: Array, penalties: Penalties) -> float:
        """Return the root of the residual and twice the penalties: without these the Frobenius norm of what is left."""
        cost = penalties.scores.measure_cost(float(self.total.sum()), float(np.trace(self.inner)))
        cost += penalties.components.measure_cost(float(components.sum()), float(np.vdot(components, components)))
        return float(np.sqrt(self.measure_residual(square, components) + 2 * cost))


def choose_start(sample: Array, n: int) -> Array:
    """Return components to begin with: the positive parts of singular vectors (Boutsidis and Gallopoulos, 2008).

    Where a vector has nothing left to give, the mean takes its place: a zero row would stay zero.
    """
    vectors = find_leading_rows(sample, n)
    up, down = np.maximum(vectors, 0), np.maximum(-vectors, 0)
    stronger = np.linalg.norm(up, axis=1) >= np.linalg.norm(down, axis=1)
    chosen = np.where(stronger[:, np.newaxis], up, down)
    full = np.zeros((n, sample.shape[1]))
    full[: len(chosen)] = chosen
    mean = sample.mean(axis=0, dtype=np.float64)
    # Cells at zero leave it only slowly; a hundredth of the mean costs nothing and frees them.
    full += 0.01 * mean / max(float(np.linalg.norm(mean)), np.finfo(float).tiny)
    return full


def factorise(
    blocks: Blocks,
    seen: Survey,
    components: Array,
    max_iter: int,
    tol: float,
    penalty: Penalty,
    lens: Array | None = None,
    watched: Iterations | None = None,
) -> Factors:
    """Iterate until the error falls by less than `tol` of itself in two iterations.

    Both factors are pushed on in the direction of their last change, by more while that helps; a step that makes the
    error larger is taken back (Ang and Gillis, 2019). With a `lens` (width, columns) the blocks hold rows that stand
    for rows of the data: each row times the lens is one. Where it is `watched`, each step tells its error.
    """
    states: Sequence[Any] = [None] * len(blocks.sizes)
    penalties = penalty.weigh(seen.holes, seen.count)
    gaps = seen.holes if lens is None else np.zeros(len(lens), bool)
    ahead, best, push, most, small, undo = components, np.inf, _PUSH, 1.0, 0, False
    error, iteration, sizes = float(np.sqrt(seen.square)), 0, np.zeros(len(components))
    while iteration < max_iter and seen.count and small < 2:
        iteration += 1
        now = 0.0 if undo or iteration == 1 else push
        shared = (
            penalties.scores.add_to_gram(ahead @ ahead.T),
            _apply_lens(ahead, lens),
            gaps,
            penalties.scores.l1,
            now,
            undo,
        )
        found, states = blocks.fold_states(_sweep_block, Products.join, states, *shared)
        found = found if lens is None else Products(found.inner, found.outer @ lens, found.total)
        fresh = update_components(ahead, found, penalties, _INNER)
        reached = found.measure_objective(seen.square, fresh, penalties)
        if watched is not None:
            watched.tell(min(reached, best))
        if reached > best:
            # Take the step back, and extrapolate by less from now on. Without extrapolation only rounding can make the
            # error larger: then this is the end.
            small, undo, ahead, most, push = (2 if undo else 0), True, components, push, push / 1.5
            continue
        small = small + 1 if best - reached <= tol * reached else 0
        best, error, undo = reached, float(np.sqrt(found.measure_residual(seen.square, fresh))), False
        sizes = found.measure_scores()
        ahead = np.maximum(fresh + now * (fresh - components), 0)
        components, most = fresh, min(1.0, 1.01 * most)
        push = min(most, 1.05 * push)
    scores = Rows(states, blocks.sizes).change(_fill_left_out, undo)
    if not iteration:
        scores = hold_rows(np.full((sum(blocks.sizes), len(components)), np.nan))
    return Factors(scores, sizes, components, seen.holes, error, float(np.sqrt(seen.square)), iteration)


def _apply_lens(components: Array, lens: Array | None) -> Array:
    return components if lens is None else components @ lens.T


@dataclass(frozen=True, slots=True)
class _State:
    """Scores (n, rows) of a block: pushed on, as found, and those that the last step began with; and which rows."""

    ahead: Array
    found: Array
    before: Array
    used: Array | None


def _sweep_block(
    block: Array, state: _State | None, gram: Array, basis: Array, holes: Array, l1: float, push: float, undo: bool
) -> tuple[Products, _State]:
    rows, used = keep_complete(block, holes)
    dtype = choose_working_dtype(rows.dtype)
    basis, gram = basis.astype(dtype), gram.astype(dtype)
    n = len(basis)
    none = np.zeros((n, len(rows)), dtype)
    initial = none if state is None else state.before if undo else state.ahead
    last = initial if state is None or undo else state.found
    found, ahead = np.empty_like(none), np.empty_like(none)
    inner, outer, total = np.zeros((n, n)), np.zeros(basis.shape), np.zeros(n)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        mine, whole = np.array(initial[:, part]), as_floats(rows[part])
        sweep(mine, gram, basis @ whole.T - dtype.type(l1), _INNER)
        pushed = np.maximum(mine + dtype.type(push) * (mine - last[:, part]), 0)
        inner += pushed @ pushed.T
        outer += pushed @ whole
        total += pushed.sum(axis=1, dtype=np.float64)
        found[:, part], ahead[:, part] = mine, pushed
    return Products(inner, outer, total), _State(ahead, found, initial, used)


def sweep(scores: Array, gram: Array, cross: Array, times: int) -> None:
    """Update each row of scores (n, rows) in turn, in place, a few times.

    Always as often: a row gets the same whatever block it is in, which a test of convergence would spoil.
    """
    for _ in range(times):
        for k in range(len(scores)):
            if gram[k, k] > 0:
                scores[k] = np.maximum(scores[k] + (cross[k] - gram[k] @ scores) / gram[k, k], 0)


def update_components(components: Array, found: Products, penalties: Penalties, times: int) -> Array:
    """Return the components that suit the products, by as many sweeps."""
    new = components.copy()
    sweep(new, penalties.components.add_to_gram(found.inner), found.outer - penalties.components.l1, times)
    return new


def _fill_left_out(state: _State, undo: bool) -> Array:
    scores = (state.before if undo else state.ahead).T
    if state.used is None:
        return scores
    full = np.full((len(state.used), scores.shape[1]), np.nan, scores.dtype)
    full[state.used] = scores
    return full


def factorise_sample(sample: Array, n: int, tol: float, penalty: Penalty) -> Array:
    """Return the components of a sample alone: a start from which few passes over all rows remain."""
    blocks = Held(sample)
    square = float(np.einsum("ij,ij->", sample, sample, dtype=np.float64))
    seen = Survey(np.zeros(sample.shape[1], bool), len(sample), square, sample, np.zeros(0, np.uint64))
    return factorise(blocks, seen, choose_start(sample, n), 200, tol, penalty).components
