"""Blocks of rows -> clusters about their means: k-means whose every iteration reads each block once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.clusters.rows import as_pairs, look_at_rows
from usidx.learn.factors.eigen import find_leading_rows
from usidx.learn.matrix.matrix import choose_working_dtype
from usidx.learn.matrix.missing import as_floats, keep_complete
from usidx.learn.matrix.sample import Numbers, Survey, draw_numbers, find_draw_limit, list_bounds
from usidx.tasks.blocks import Blocks, Held, Rows, cut_pieces, join_nothing
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.progress import Iterations

__all__ = ["Clusters", "label_rows", "restore_scale", "run_kmeans"]

Array = npt.NDArray[Any]
Frame = tuple[Array, Array]

_RUNS = 6  # draws of centres from the sample
_SWAPS = 60  # of each draw
_ROUGH, _ROUGHLY = 30, 1e-4  # moves of each draw at most, and the gain that ends them
_SPARE = 16  # components beyond 2 n that rows are thinned to
_FINALISTS, _LAPS = 4, 3  # sets of centres that are compared over all rows, and moves of each
_FINISHERS = 2  # sets that are moved until they rest, over thin rows
_THIN_BYTES = 2**25  # that the thin rows may take


@dataclass(frozen=True, slots=True)
class Clusters:
    """Labels and distances in the order of the blocks; -1 and NaN where left out; means and sizes of the clusters.

    Where the method gives them: the `tree` over the clusters as SciPy writes it; the `parts` (rows, n) that each
    cluster has in a row, with the logarithm of the `likelihood` of all rows and the Bayesian information `criterion`.
    """

    labels: Rows
    distance: Rows
    means: Array
    sizes: npt.NDArray[np.int64]
    holes: npt.NDArray[np.bool_]
    inertia: float
    tree: Array | None = None
    parts: Rows | None = None
    likelihood: float = np.nan
    criterion: float = np.nan


@dataclass(frozen=True, slots=True)
class _Sums:
    """Over rows, for each cluster: sum and number; of all rows the squared distances, and the row farthest away."""

    totals: Array
    sizes: Array
    inertia: float
    farthest: float
    lonely: Array


def run_kmeans(
    blocks: Blocks, numbers: Numbers, columns: int, n: int, seed: int, max_iter: int, tol: float
) -> Clusters:
    """Start from the best of several runs on a fair sample, compared over all rows, then iterate over all rows.

    It ends when moving the centres lowers the inertia by less than `tol` of it.
    """
    # The small products between passes are over before a second thread has begun.
    with limit_blas():
        blocks, seen, exponent = look_at_rows(blocks, numbers, columns, seed, whole=True)
        return restore_scale(_iterate(blocks, seen, numbers, columns, n, seed, max_iter, tol), exponent)


def restore_scale(found: Clusters, exponent: int) -> Clusters:
    """Return the clusters of what was lowered by a power of two."""
    if not exponent:
        return found
    inertia = float(np.ldexp(found.inertia, 2 * exponent))
    return replace(
        found,
        distance=found.distance.change(np.ldexp, exponent),
        means=np.ldexp(found.means, exponent),
        inertia=inertia,
    )


def _iterate(
    blocks: Blocks, seen: Survey, numbers: Numbers, columns: int, n: int, seed: int, most: int, tol: float
) -> Clusters:
    """Find starts on the sample, choose among them by all rows, whole or thin, and move the centres to rest."""
    rng, width = np.random.default_rng(seed), 2 * n + _SPARE
    # Groups are told apart among the leading components, at a fraction of the cost, and of all rows they fit in memory.
    frame = _find_frame(seen.sample, width) if columns > width else None
    starts = _find_starts(seen.sample, n, rng, frame)
    few, watched = seen.count <= len(seen.sample), Iterations("kmeans", most, "inertia")
    if frame is not None and not few:
        rows = _collect_thin_rows(blocks, numbers, seed, frame, seen.holes)
        starts = [_settle_thin(rows, starts, frame, most, tol)]
    else:
        starts = _race(Held(seen.sample) if few else blocks, starts, seen.holes)
    if few:
        centres, _ = _run_lloyd(Held(seen.sample), starts[0], seen.holes, most, tol, watched)
        return label_rows(blocks, centres, seen.holes, 1, tol)
    centres = _move(starts[0], blocks.fold(_sum_block, _join, starts[0], seen.holes))
    return label_rows(blocks, centres, seen.holes, most, tol, watched)


def _find_frame(sample: Array, width: int) -> Frame:
    """Return the mean of a sample and its leading components about it."""
    middle = sample.mean(axis=0, dtype=np.float64)
    return middle, find_leading_rows(sample, width, middle)


def _collect_thin_rows(blocks: Blocks, numbers: Numbers, seed: int, frame: Frame, holes: Array) -> Array:
    """Return all rows on the leading components of the sample, or a fair part of them that fits in memory."""
    limit = find_draw_limit(_THIN_BYTES // (8 * len(frame[1])), len(numbers))
    step = partial(_thin_block, seed=seed, limit=limit)
    _, found = blocks.fold_states(step, join_nothing, list_bounds(blocks.sizes), numbers, frame, holes)
    return np.concatenate(found)


def _settle_thin(rows: Array, starts: list[Array], frame: Frame, max_iter: int, tol: float) -> Array:
    """Return the best centres of thin rows, as whole ones."""
    (middle, basis), held, holes = frame, Held(rows), np.zeros(len(frame[1]), bool)
    raced = _race(held, [(start - middle) @ basis.T for start in starts], holes)
    moved = [_run_lloyd(held, centres, holes, max_iter, tol) for centres in raced[:_FINISHERS]]
    return np.asarray(min(moved, key=lambda run: run[1])[0] @ basis + middle)


def _thin_block(
    block: Array, bounds: slice, numbers: Numbers, frame: Frame, holes: Array, *, seed: int, limit: np.uint64
) -> tuple[None, Array]:
    rows, used = keep_complete(as_pairs(block), holes)
    chosen = draw_numbers(numbers[bounds], seed) <= limit
    return None, _make_thin(rows, frame)[chosen if used is None else chosen[used]]


def _make_thin(rows: Array, frame: Frame) -> Array:
    """Return rows on the components of a frame."""
    dtype = choose_working_dtype(rows.dtype)
    middle, basis = (part.astype(dtype) for part in frame)
    thin = np.empty((len(rows), len(basis)), dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        thin[part] = (rows[part] - middle) @ basis.T
    return thin


def _find_starts(sample: Array, n: int, rng: np.random.Generator, frame: Frame | None) -> list[Array]:
    """Return centres that suit a sample, from several draws, the best first."""
    thin = as_floats(sample) if frame is None else _make_thin(sample, frame)
    rows, holes = Held(thin), np.zeros(thin.shape[1], bool)
    runs = []
    for _ in range(_RUNS):
        centres = _swap(thin, _draw_apart(thin, n, rng), rng)
        runs.append(_run_lloyd(rows, centres, holes, _ROUGH, _ROUGHLY))
    runs.sort(key=lambda run: run[1])
    again = [_run_lloyd(rows, _swap(thin, run[0], rng), holes, _ROUGH, _ROUGHLY) for run in runs[:_FINALISTS]]
    best = sorted([*again, *runs], key=lambda run: run[1])[:_FINALISTS]
    return [_lift(sample, thin, centres) for centres, _ in best]


def _lift(sample: Array, thin: Array, centres: Array) -> Array:
    """Return the means of the whole rows that are nearest to centres among thin ones; of an empty one some row."""
    middle, basis = _shift_to_mean(centres, thin.dtype)
    labels = _find_nearest(thin - middle, basis)[0]
    member = labels == np.arange(len(centres))[:, np.newaxis]
    sizes = member.sum(axis=1)
    member, totals = member.astype(thin.dtype), np.zeros((len(centres), sample.shape[1]))
    for part in cut_pieces(len(sample), sample.shape[1] * thin.itemsize):
        totals += member[:, part] @ as_floats(sample[part])
    means = totals / np.maximum(sizes, 1)[:, np.newaxis]
    means[sizes == 0] = sample[0]  # any row will do: an empty cluster moves at the next pass
    return np.asarray(means)


def _race(blocks: Blocks, starts: list[Array], holes: Array) -> list[Array]:
    """Move several sets of centres in the same passes; return them with the best for all rows first."""
    inertia: list[float] = []
    watched = Iterations("kmeans, choosing a start", _LAPS, "inertia")
    for _ in range(_LAPS):
        found = blocks.fold(_sum_all, _join_all, starts, holes)
        inertia = [sums.inertia for sums in found]
        watched.tell(min(inertia))
        starts = [_move(centres, sums) for centres, sums in zip(starts, found, strict=True)]
    return [starts[i] for i in np.argsort(inertia, kind="stable")]


def _sum_all(block: Array, starts: list[Array], holes: Array) -> list[_Sums]:
    return [_sum_block(block, centres, holes) for centres in starts]


def _join_all(first: list[_Sums], second: list[_Sums]) -> list[_Sums]:
    return [_join(one, other) for one, other in zip(first, second, strict=True)]


def _run_lloyd(
    blocks: Blocks, centres: Array, holes: Array, max_iter: int, tol: float, watched: Iterations | None = None
) -> tuple[Array, float]:
    """Move each centre to the mean of its rows until that hardly helps; return them and the last inertia."""
    inertia = np.inf
    for _ in range(max_iter):
        found = blocks.fold(_sum_block, _join, centres, holes)
        before, centres, inertia = centres, _move(centres, found), found.inertia
        if watched is not None:
            watched.tell(inertia)
        if _is_at_rest(before, centres, found, tol):
            break
    return centres, inertia


def label_rows(
    blocks: Blocks, centres: Array, holes: Array, max_iter: int, tol: float, watched: Iterations | None = None
) -> Clusters:
    """Move centres to rest, and give every row the label of its nearest; the means are those of the rows so labelled.

    Each pass labels the rows on the way, so that the last has done it when nothing moves any more.
    """
    for _ in range(max_iter):
        found, states = blocks.fold_states(_label_block, _join, [None] * len(blocks.sizes), centres, holes)
        if watched is not None:
            watched.tell(found.inertia)
        before, centres = centres, _move(centres, found)
        if _is_at_rest(before, centres, found, tol):
            break
    with np.errstate(invalid="ignore"):
        means = found.totals / found.sizes[:, np.newaxis]
    rows = Rows(states, blocks.sizes)
    labels, distance = rows.change(itemgetter(0)), rows.change(itemgetter(1))
    return Clusters(labels, distance, means, found.sizes.astype(np.int64), holes, found.inertia)


def _is_at_rest(before: Array, after: Array, found: _Sums, tol: float) -> bool:
    """Say whether a move of the centres lowered the inertia by hardly anything, and left no cluster empty."""
    # Moving a centre to the mean of its rows lowers their squares by their number times the square of the move.
    gain = float(found.sizes @ ((after - before) ** 2).sum(axis=1))
    return bool(gain <= tol * found.inertia and (found.sizes.all() or found.inertia == 0))


def _draw_apart(sample: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw centres far from each other: greedy k-means++ (Arthur and Vassilvitskii, 2007)."""
    rows = sample - sample.mean(axis=0)
    squares = np.vecdot(rows, rows).astype(np.float64)
    chosen = [int(rng.integers(len(rows)))]
    nearest = _measure_squares(rows, squares, chosen)[0]
    for _ in range(1, n):
        total = nearest.sum()
        # Of some draws, each with a probability that grows with the distance, the one is kept that leaves least.
        tries = rng.choice(len(rows), 2 + int(np.log(n)), p=nearest / total if total > 0 else None)
        left = np.minimum(nearest, _measure_squares(rows, squares, tries))
        best = int(left.sum(axis=1).argmin())
        chosen.append(int(tries[best]))
        nearest = left[best]
    return sample[chosen].astype(np.float64)


def _swap(sample: Array, centres: Array, rng: np.random.Generator) -> Array:
    """Put rows far from all centres in the place of centres that are worth less (Lattanzi and Sohler, ICML 2019)."""
    rows = sample - sample.mean(axis=0)
    squares = np.vecdot(rows, rows).astype(np.float64)
    near = centres - sample.mean(axis=0)
    distances = np.maximum(
        squares + (near * near).sum(axis=1)[:, np.newaxis] - 2 * (near.astype(rows.dtype) @ rows.T), 0
    )
    found = centres.copy()
    labels, best, second = _find_lowest(distances)
    for _ in range(_SWAPS if len(centres) > 1 else 0):
        total = best.sum()
        if total <= 0:
            break
        row = int(rng.choice(len(rows), p=best / total))
        other = _measure_squares(rows, squares, [row])[0]
        left, lost = np.minimum(other, best), np.minimum(other, second)
        # With the row as a centre; and without each of the others in turn, whose rows go to their second nearest.
        costs = left.sum() + np.bincount(labels, weights=lost - left, minlength=len(found))
        worst = int(costs.argmin())
        if costs[worst] < total:
            found[worst], distances[worst] = sample[row], other
            labels, best, second = _find_lowest(distances)
    return found


def _measure_squares(rows: Array, squares: Array, chosen: Any) -> Array:
    """Return the squared distances (chosen, rows) between rows and some of them."""
    found = squares + squares[chosen][:, np.newaxis] - 2 * (rows[chosen] @ rows.T)
    found[np.arange(len(chosen)), chosen] = 0
    return np.asarray(np.maximum(found, 0))


def _sum_block(block: Array, centres: Array, holes: Array) -> _Sums:
    """Return what moves the centres."""
    return _sum_rows(keep_complete(as_pairs(block), holes)[0], centres)


def _label_block(block: Array, _state: Any, centres: Array, holes: Array) -> tuple[_Sums, Any]:
    """Return the sums, and labels and distances of the block."""
    rows, used = keep_complete(as_pairs(block), holes)
    labels, distance = np.zeros(len(rows), np.int32), np.zeros(len(rows))
    sums = _sum_rows(rows, centres, labels, distance)
    return sums, _fill_left_out(labels, distance, used, len(block))


def _sum_rows(rows: Array, centres: Array, labels: Array | None = None, distance: Array | None = None) -> _Sums:
    """Return the sums; labels and exact distances, where they are wanted, are filled in on the way."""
    totals, sizes, inertia = np.zeros(centres.shape), np.zeros(len(centres)), 0.0
    farthest, lonely = -1.0, np.zeros(centres.shape[1])
    dtype = choose_working_dtype(rows.dtype)
    middle, basis = _shift_to_mean(centres, dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        near = rows[part] - middle
        nearest, squares = _find_nearest(near, basis)
        member = (nearest == np.arange(len(centres))[:, np.newaxis]).astype(dtype)
        totals += member @ near
        sizes += member.sum(axis=1)
        if squares.max() > farthest:
            farthest, lonely = float(squares.max()), rows[part][int(squares.argmax())].astype(np.float64)
        if labels is not None and distance is not None:
            # Worked out anew: the square above is a difference of large numbers, which costs digits.
            near -= basis[nearest]
            squares = np.vecdot(near, near).astype(np.float64)
            labels[part], distance[part] = nearest, np.sqrt(squares)
        inertia += float(squares.sum())
    totals += np.outer(sizes, middle)
    return _Sums(totals, sizes, inertia, farthest, lonely)


def _shift_to_mean(centres: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the mean of the centres, and the centres about it, in the precision of the rows.

    Far from zero the difference of large squares would lose a small distance, and a sum of many rows a small mean.
    """
    middle = centres.mean(axis=0).astype(dtype)
    return middle, (centres - middle).astype(dtype)


def _find_nearest(rows: Array, centres: Array) -> tuple[Array, Array]:
    """Return the nearest centre of each row, and the square of the distance."""
    # This way round, and then turned, the product takes half the time.
    along = np.ascontiguousarray((rows @ centres.T).T)
    labels, lowest, _ = _find_lowest(np.vecdot(centres, centres)[:, np.newaxis] - 2 * along, second=False)
    squares = np.vecdot(rows, rows) + lowest
    return labels, np.maximum(squares, 0).astype(np.float64)


def _find_lowest(values: Array, *, second: bool = True) -> tuple[npt.NDArray[np.int32], Array, Array]:
    """Return the place, the lowest and the second lowest of few values (few, many): for few faster than argmin."""
    places = np.zeros(values.shape[1], np.int32)
    best, after = values[0].copy(), np.full(values.shape[1], np.inf, values.dtype)
    for i, row in enumerate(values[1:], 1):
        # A higher place than all before: so the maximum sets it, five times as fast as a choice cell by cell.
        np.maximum(places, (row < best) * np.int32(i), out=places)
        if second:
            np.minimum(after, np.maximum(row, best), out=after)
        np.minimum(best, row, out=best)
    return places, best, after


def _join(first: _Sums, second: _Sums) -> _Sums:
    far = first if first.farthest >= second.farthest else second
    return _Sums(
        first.totals + second.totals,
        first.sizes + second.sizes,
        first.inertia + second.inertia,
        far.farthest,
        far.lonely,
    )


def _move(centres: Array, found: _Sums) -> Array:
    """Return the means; an empty cluster moves to the row that is farthest from its centre."""
    empty = found.sizes == 0
    moved = found.totals / np.maximum(found.sizes, 1)[:, np.newaxis]
    moved[empty] = centres[empty]
    if empty.any() and found.farthest > 0:
        moved[int(empty.argmax())] = found.lonely
    return moved


def _fill_left_out(labels: Array, distance: Array, used: Array | None, size: int) -> tuple[Array, Array]:
    if used is None:
        return labels, distance
    all_labels, all_distance = np.full(size, -1, np.int32), np.full(size, np.nan)
    all_labels[used], all_distance[used] = labels, distance
    return all_labels, all_distance
