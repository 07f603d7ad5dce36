"""Blocks of rows -> a mixture of normal distributions, whose every iteration reads each block once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.clusters.kmeans import Clusters, restore_scale
from usidx.learn.clusters.rows import as_real, look_at_rows
from usidx.learn.clusters.sampled import call_estimator, refuse_few, take_sample
from usidx.learn.matrix.missing import keep_complete
from usidx.learn.matrix.sample import Numbers
from usidx.tasks.blocks import Blocks, Held, Rows, cut_pieces
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.progress import Iterations

__all__ = ["run_gmm"]

Array = npt.NDArray[Any]

_FLOOR = 1e-6  # of the mean variance of the columns: no distribution is narrower
_LEAST_TOL = 1e-6
_RUNS = 2  # from different starts on the sample
_SAMPLE_ITER = 1000  # of the sample, which is in memory, at most


class _Mixture(NamedTuple):
    """Weights (n), means (n, d), and Cholesky's factors of the inverse covariances (n, d, d)."""

    weights: Array
    means: Array
    factors: Array


@dataclass(frozen=True, slots=True)
class _Moments:
    """Over rows, weighted by the part of each distribution: numbers (n), sums about the means (n, d), products."""

    numbers: Array
    sums: Array
    products: Array
    likelihood: float


@dataclass(frozen=True, slots=True)
class _Totals:
    """Over rows, by their label: sum (n, d) and number (n); and the logarithm of the likelihood."""

    sums: Array
    sizes: Array
    likelihood: float


def run_gmm(blocks: Blocks, numbers: Numbers, columns: int, n: int, seed: int, max_iter: int, tol: float) -> Clusters:
    """Start from the best of two mixtures of a fair sample, and improve it over all rows: expectation, maximisation.

    It ends when a pass raises the mean logarithm of the likelihood by less than `tol`. Where the sample has all rows,
    its mixture is the answer.
    """
    tol = max(tol, _LEAST_TOL)
    with limit_blas():
        blocks, seen, exponent = look_at_rows(blocks, numbers, columns, seed)
        refuse_few("gmm", seen, n, max(n, 2))
        rows = take_sample(seen, numbers, seed)
        floor = max(_FLOOR * float(rows.var(axis=0).mean()), np.finfo(float).tiny)
        few = seen.count == len(rows)
        found = _fit_sample(blocks, rows, n, seed, max_iter if few else _SAMPLE_ITER, tol, floor)
        if not few:
            watched = Iterations("gmm", max_iter, "log-likelihood")
            found, _ = _improve(blocks, found, seen.holes, max_iter, tol, floor, watched)
        clusters = _label_rows(blocks, found, seen.holes, seen.count)
        moved = seen.count * columns * exponent * math.log(2.0)  # a density is per unit of the data
        return replace(
            restore_scale(clusters, exponent),
            likelihood=clusters.likelihood - moved,
            criterion=clusters.criterion + 2.0 * moved,
        )


def _fit_sample(blocks: Blocks, rows: Array, n: int, seed: int, max_iter: int, tol: float, floor: float) -> _Mixture:
    """Return the likelier of the mixtures to which different starts lead; each is improved by a worker of its own."""
    starts = np.random.SeedSequence(seed).generate_state(_RUNS).tolist()
    found = blocks.call_each(_fit_from, starts, rows, n, max_iter, tol, floor)
    return max(found, key=itemgetter(1))[0]  # type: ignore[no-any-return]


def _fit_from(start: int, rows: Array, n: int, max_iter: int, tol: float, floor: float) -> tuple[_Mixture, float]:
    """Return a mixture of rows, and its mean logarithm of the likelihood; k-means says how it begins."""
    from sklearn.cluster import KMeans

    with limit_blas():
        labels = call_estimator(KMeans(n, n_init=1, random_state=start), "fit", rows).labels_
        shares = (labels == np.arange(n)[:, np.newaxis]).astype(np.float64)
        means = shares @ rows / np.maximum(shares.sum(axis=1), 1.0)[:, np.newaxis]
        products = np.stack([(shares[k, :, np.newaxis] * (rows - means[k])).T @ (rows - means[k]) for k in range(n)])
        begun = _Moments(shares.sum(axis=1), np.zeros_like(means), products, 0.0)
        found = _maximise(begun, means, floor)
        return _improve(Held(rows), found, np.zeros(rows.shape[1], bool), max_iter, tol, floor)


def _improve(
    blocks: Blocks,
    found: _Mixture,
    holes: Array,
    max_iter: int,
    tol: float,
    floor: float,
    watched: Iterations | None = None,
) -> tuple[_Mixture, float]:
    """Return the mixture to which the rows lead, and the mean logarithm of the likelihood of the last but one."""
    reached, before = -np.inf, -np.inf
    for _ in range(max_iter):
        moments = blocks.fold(_sum_moments, _join_moments, found, holes)
        if watched is not None:
            watched.tell(moments.likelihood)
        found = _maximise(moments, found.means, floor)
        before, reached = reached, moments.likelihood / float(moments.numbers.sum())
        if abs(reached - before) < tol:
            break
    return found, reached


def _maximise(moments: _Moments, means: Array, floor: float) -> _Mixture:
    """Return the mixture with the weights, means and covariances of rows, from their moments about some means."""
    numbers = moments.numbers + 10 * np.finfo(float).eps
    moves = moments.sums / numbers[:, np.newaxis]
    # The products are about the means given; about those of the rows they are less by the square of the move.
    covariances = moments.products / numbers[:, np.newaxis, np.newaxis] - moves[:, :, np.newaxis] * moves[:, np.newaxis]
    covariances += floor * np.eye(moves.shape[1])
    return _Mixture(numbers / numbers.sum(), means + moves, np.stack([_invert_root(c) for c in covariances]))


def _invert_root(covariance: Array) -> Array:
    """Return the upper triangular U with U U' the inverse of a covariance."""
    from scipy.linalg import solve_triangular

    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as err:
        raise ResultError(
            f"A distribution of the mixture collapsed: its covariance over {len(covariance)} numbers has no inverse. "
            f"Use fewer clusters, or decompose first and cluster the scores."
        ) from err
    return np.asarray(solve_triangular(lower, np.eye(len(lower)), lower=True).T)


def _measure_rows(rows: Array, mixture: _Mixture) -> tuple[Array, Array]:
    """Return the logarithms of weight times density (rows, n), and of their sum (rows)."""
    width = rows.shape[1]
    found = np.empty((len(rows), len(mixture.weights)))
    constant = np.log(mixture.weights) + np.log(np.einsum("kii->ki", mixture.factors)).sum(axis=1)
    constant -= 0.5 * width * math.log(2.0 * math.pi)
    for k, (mean, factor) in enumerate(zip(mixture.means, mixture.factors, strict=True)):
        turned = (rows - mean) @ factor
        found[:, k] = constant[k] - 0.5 * np.vecdot(turned, turned)
    highest = found.max(axis=1)
    return found, highest + np.log(np.exp(found - highest[:, np.newaxis]).sum(axis=1))


def _sum_moments(block: Array, mixture: _Mixture, holes: Array) -> _Moments:
    rows = keep_complete(as_real(block), holes)[0]
    n, width = mixture.means.shape
    numbers, sums, products, likelihood = np.zeros(n), np.zeros((n, width)), np.zeros((n, width, width)), 0.0
    for part in cut_pieces(len(rows), 8 * width):
        piece = rows[part].astype(np.float64)
        densities, together = _measure_rows(piece, mixture)
        shares = np.exp(densities - together[:, np.newaxis])
        likelihood += float(together.sum())
        numbers += shares.sum(axis=0)
        for k, mean in enumerate(mixture.means):
            near = piece - mean
            weighted = shares[:, k] * near.T
            sums[k] += weighted.sum(axis=1)
            products[k] += weighted @ near
    return _Moments(numbers, sums, products, likelihood)


def _join_moments(first: _Moments, second: _Moments) -> _Moments:
    return _Moments(
        first.numbers + second.numbers,
        first.sums + second.sums,
        first.products + second.products,
        first.likelihood + second.likelihood,
    )


def _label_rows(blocks: Blocks, mixture: _Mixture, holes: Array, count: int) -> Clusters:
    """Give each row its most probable distribution, then its distance to the mean of those with the same label."""
    n, width = mixture.means.shape
    none = [None] * len(blocks.sizes)
    totals, states = blocks.fold_states(_label_block, _join_totals, none, mixture, holes)
    with np.errstate(invalid="ignore"):
        means = totals.sums / totals.sizes[:, np.newaxis]
    inertia, states = blocks.fold_states(_measure_distances, float.__add__, states, means, holes)
    kept = Rows(states, blocks.sizes)
    labels, parts, distance = (kept.change(itemgetter(place)) for place in range(3))
    free = n * width * (width + 1) // 2 + n * width + n - 1  # covariances, means, weights
    criterion = free * math.log(count) - 2.0 * totals.likelihood
    return Clusters(
        labels,
        distance,
        means,
        totals.sizes.astype(np.int64),
        holes,
        inertia,
        parts=parts,
        likelihood=totals.likelihood,
        criterion=criterion,
    )


def _label_block(block: Array, _state: Any, mixture: _Mixture, holes: Array) -> tuple[_Totals, Any]:
    rows, used = keep_complete(as_real(block), holes)
    n, width = mixture.means.shape
    labels, parts = np.full(len(block), -1, np.int32), np.full((len(block), n), np.nan)
    totals = _Totals(np.zeros((n, width)), np.zeros(n), 0.0)
    places = np.arange(len(block)) if used is None else np.flatnonzero(used)
    for part in cut_pieces(len(rows), 8 * width):
        piece = rows[part].astype(np.float64)
        densities, together = _measure_rows(piece, mixture)
        labels[places[part]] = densities.argmax(axis=1)
        parts[places[part]] = np.exp(densities - together[:, np.newaxis])
        member = (labels[places[part]] == np.arange(n)[:, np.newaxis]).astype(np.float64)
        added = _Totals(member @ piece, member.sum(axis=1), float(together.sum()))
        totals = _join_totals(totals, added)
    return totals, (labels, parts)


def _join_totals(first: _Totals, second: _Totals) -> _Totals:
    return _Totals(first.sums + second.sums, first.sizes + second.sizes, first.likelihood + second.likelihood)


def _measure_distances(block: Array, state: tuple[Array, Array], means: Array, holes: Array) -> tuple[float, Any]:
    labels, parts = state
    rows, used = keep_complete(as_real(block), holes)
    distance = np.full(len(block), np.nan)
    places = np.arange(len(block)) if used is None else np.flatnonzero(used)
    for part in cut_pieces(len(rows), 8 * rows.shape[1]):
        difference = rows[part] - means[labels[places[part]]]
        distance[places[part]] = np.sqrt(np.vecdot(difference, difference))
    return float(np.nansum(distance**2)), (labels, parts, distance)
