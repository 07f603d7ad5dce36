"""Blocks of rows to clusters about their means: k-means whose every iteration reads each block once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import leading_rows
from usidx.learn.matrix.exponent import exponent_of, lowered
from usidx.learn.matrix.missing import without_holes
from usidx.learn.matrix.sample import Survey, draw_limit, draws, survey
from usidx.tasks.blas import limit_blas
from usidx.tasks.blocks import Blocks, Changed, Held, cut_pieces

__all__ = ["Clusters", "as_real", "kmeans", "real_blocks"]

Array = npt.NDArray[Any]
Frame = tuple[Array, Array]

#: Draws of centres from the sample; swaps and moves that each is given there, and when that is enough; sets that are
#: compared over all rows, and how long.
_RUNS = 6
_SWAPS = 60
_ROUGH = 30
_ROUGHLY = 1e-4
_SPARE = 16
_FINALISTS = 4
_LAPS = 3
#: Sets that are moved to rest among the leading components of the rows, which may take so much.
_FINISHERS = 2
_THIN_BYTES = 2**25


@dataclass(frozen=True, slots=True)
class Clusters:
    """Labels and distances in the order of the blocks; -1 and NaN where left out; means and sizes of the clusters.

    Where the method gives them: the `tree` over the clusters as SciPy writes it; the `parts` (rows, n) that each
    cluster has in a row, with the logarithm of the `likelihood` of all rows and the Bayesian information `criterion`.
    """

    labels: npt.NDArray[np.int32]
    distance: Array
    means: Array
    sizes: npt.NDArray[np.int64]
    holes: npt.NDArray[np.bool_]
    inertia: float
    tree: Array | None = None
    parts: Array | None = None
    likelihood: float = np.nan
    criterion: float = np.nan


@dataclass(frozen=True, slots=True)
class _Sums:
    totals: Array
    sizes: Array
    inertia: float
    farthest: float
    lonely: Array


def kmeans(blocks: Blocks, numbers: Array, columns: int, n: int, seed: int, max_iter: int, tol: float) -> Clusters:
    """Start from the best of several runs on a fair sample, compared over all rows, then iterate over all rows.

    It ends when moving the centres lowers the inertia by less than `tol` of it.
    """
    # The small products between passes are over before a second thread has begun.
    with limit_blas():
        seen = survey(real_blocks(blocks), numbers, columns, seed)
        exponent = exponent_of(seen.sample)
        if not exponent:
            return _iterated(blocks, seen, numbers, columns, n, seed, max_iter, tol)
        blocks = lowered(real_blocks(blocks), exponent)
        return _raised(
            _iterated(blocks, survey(blocks, numbers, columns, seed), numbers, columns, n, seed, max_iter, tol),
            exponent,
        )


def _raised(found: Clusters, exponent: int) -> Clusters:
    """Return the clusters of what was lowered by a power of two."""
    inertia = float(np.ldexp(found.inertia, 2 * exponent))
    return replace(
        found, distance=np.ldexp(found.distance, exponent), means=np.ldexp(found.means, exponent), inertia=inertia
    )


def _iterated(
    blocks: Blocks, seen: Survey, numbers: Array, columns: int, n: int, seed: int, max_iter: int, tol: float
) -> Clusters:
    rng, width = np.random.default_rng(seed), 2 * n + _SPARE
    # Groups are told apart among the leading components, at a fraction of the cost, and of all rows they fit in memory.
    frame = _frame(seen.sample, width) if columns > width and len(seen.sample) else None
    starts = _starts(seen.sample, n, rng, frame)
    few = seen.count <= len(seen.sample)
    if frame is not None and not few:
        rows = _thin_rows(blocks, numbers, seed, frame, seen.holes)
        starts = [_settled(rows, starts, frame, max_iter, tol)]
    else:
        starts = _race(Held(seen.sample) if few else blocks, starts, seen.holes)
    if few:
        centres, max_iter = _lloyd(Held(seen.sample), starts[0], seen.holes, max_iter, tol)[0], 1
    else:
        centres = _moved(starts[0], blocks.fold(_sum_block, _join, starts[0], seen.holes))
    return _labelled(blocks, centres, seen.holes, max_iter, tol)


def _frame(sample: Array, width: int) -> Frame:
    """Return the mean of a sample and its leading components about it."""
    middle = sample.mean(axis=0, dtype=np.float64)
    return middle, leading_rows(sample - middle.astype(sample.dtype), width)


def _thin_rows(blocks: Blocks, numbers: Array, seed: int, frame: Frame, holes: Array) -> Array:
    """Return all rows on the leading components of the sample, or a fair part of them that fits in memory."""
    limit = draw_limit(_THIN_BYTES // (8 * len(frame[1])), len(numbers))
    states = [(draws(place, seed) <= limit, None) for place in np.split(numbers, np.cumsum(blocks.sizes)[:-1])]
    _, found = blocks.fold_states(_thin_block, _nothing, states, frame, holes)
    return np.concatenate(found)


def _settled(rows: Array, starts: list[Array], frame: Frame, max_iter: int, tol: float) -> Array:
    """Return the best centres of thin rows, as whole ones."""
    middle, basis = frame
    held, holes = Held(rows), np.zeros(len(basis), bool)
    raced = _race(held, [(start - middle) @ basis.T for start in starts], holes)
    moved = [_lloyd(held, centres, holes, max_iter, tol) for centres in raced[:_FINISHERS]]
    return np.asarray(min(moved, key=lambda run: run[1])[0] @ basis + middle)


def _thin_block(block: Array, state: Any, frame: Frame, holes: Array) -> tuple[None, Array]:
    rows, used = without_holes(as_real(block), holes)
    return None, _thin(rows, frame)[state[0] if used is None else state[0][used]]


def _thin(rows: Array, frame: Frame) -> Array:
    """Return rows on the components of a frame."""
    middle, basis = (part.astype(rows.dtype) for part in frame)
    thin = np.empty((len(rows), len(basis)), rows.dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * rows.itemsize):
        thin[part] = (rows[part] - middle) @ basis.T
    return thin


def _nothing(_first: None, _second: None) -> None:
    return None


def _starts(sample: Array, n: int, rng: np.random.Generator, frame: Frame | None) -> list[Array]:
    """Return centres that suit a sample, from several draws, the best first."""
    if not len(sample):
        return [np.zeros((n, sample.shape[1]))]
    thin = sample if frame is None else _thin(sample, frame)
    rows, holes = Held(thin), np.zeros(thin.shape[1], bool)
    runs = []
    for _ in range(_RUNS):
        centres = _swapped(thin, _spread(thin, n, rng), rng)
        runs.append(_lloyd(rows, centres, holes, _ROUGH, _ROUGHLY))
    runs.sort(key=lambda run: run[1])
    again = [_lloyd(rows, _swapped(thin, run[0], rng), holes, _ROUGH, _ROUGHLY) for run in runs[:_FINALISTS]]
    best = sorted([*again, *runs], key=lambda run: run[1])[:_FINALISTS]
    return [_lifted(sample, thin, centres) for centres, _ in best]


def _lifted(sample: Array, thin: Array, centres: Array) -> Array:
    """Return the means of the whole rows that are nearest to centres among thin ones; of an empty one some row."""
    middle, basis = _about(centres, thin.dtype)
    labels = _nearest(thin - middle, basis)[0]
    member = labels == np.arange(len(centres))[:, np.newaxis]
    sizes = member.sum(axis=1)
    means = (member.astype(sample.dtype) @ sample).astype(np.float64) / np.maximum(sizes, 1)[:, np.newaxis]
    means[sizes == 0] = sample[0]
    return np.asarray(means)


def _race(blocks: Blocks, starts: list[Array], holes: Array) -> list[Array]:
    """Move several sets of centres in the same passes; return them with the best for all rows first."""
    inertia: list[float] = []
    for _ in range(_LAPS):
        found = blocks.fold(_sum_all, _join_all, starts, holes)
        inertia = [sums.inertia for sums in found]
        starts = [_moved(centres, sums) for centres, sums in zip(starts, found, strict=True)]
    return [starts[i] for i in np.argsort(inertia, kind="stable")]


def _sum_all(block: Array, starts: list[Array], holes: Array) -> list[_Sums]:
    return [_sum_block(block, centres, holes) for centres in starts]


def _join_all(first: list[_Sums], second: list[_Sums]) -> list[_Sums]:
    return [_join(one, other) for one, other in zip(first, second, strict=True)]


def _lloyd(blocks: Blocks, centres: Array, holes: Array, max_iter: int, tol: float) -> tuple[Array, float]:
    """Move each centre to the mean of its rows until that hardly helps; return them and the last inertia."""
    inertia = np.inf
    for _ in range(max_iter):
        found = blocks.fold(_sum_block, _join, centres, holes)
        before, centres, inertia = centres, _moved(centres, found), found.inertia
        if _rests(before, centres, found, tol):
            break
    return centres, inertia


def _labelled(blocks: Blocks, centres: Array, holes: Array, max_iter: int, tol: float) -> Clusters:
    """Move centres to rest, and give every row the label of its nearest; the means are those of the rows so labelled.

    Each pass labels the rows on the way, so that the last has done it when nothing moves any more.
    """
    for _ in range(max_iter):
        found, states = blocks.fold_states(_label_block, _join, [None] * len(blocks.sizes), centres, holes)
        before, centres = centres, _moved(centres, found)
        if _rests(before, centres, found, tol):
            break
    with np.errstate(invalid="ignore"):
        means = found.totals / found.sizes[:, np.newaxis]
    labels, distance = (np.concatenate([s[i] for s in states]) for i in (0, 1))
    return Clusters(labels, distance, means, found.sizes.astype(np.int64), holes, float(np.nansum(distance**2)))


def _rests(before: Array, after: Array, found: _Sums, tol: float) -> bool:
    """Say whether a move of the centres lowered the inertia by hardly anything, and left no cluster empty."""
    gain = float(found.sizes @ ((after - before) ** 2).sum(axis=1))
    return bool(gain <= tol * found.inertia and (found.sizes.all() or found.inertia == 0))


def _spread(sample: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw centres far from each other: greedy k-means++ (Arthur and Vassilvitskii, 2007)."""
    rows = sample - sample.mean(axis=0)
    squares = np.vecdot(rows, rows).astype(np.float64)
    chosen = [int(rng.integers(len(rows)))]
    nearest = _squares_to(rows, squares, chosen)[0]
    for _ in range(1, n):
        total = nearest.sum()
        tries = rng.choice(len(rows), 2 + int(np.log(n)), p=nearest / total if total > 0 else None)
        left = np.minimum(nearest, _squares_to(rows, squares, tries))
        best = int(left.sum(axis=1).argmin())
        chosen.append(int(tries[best]))
        nearest = left[best]
    return sample[chosen].astype(np.float64)


def _swapped(sample: Array, centres: Array, rng: np.random.Generator) -> Array:
    """Put rows far from all centres in the place of centres that are worth less (Lattanzi and Sohler, ICML 2019)."""
    rows = sample - sample.mean(axis=0)
    squares = np.vecdot(rows, rows).astype(np.float64)
    near = centres - sample.mean(axis=0)
    apart = np.maximum(squares + (near * near).sum(axis=1)[:, np.newaxis] - 2 * (near.astype(rows.dtype) @ rows.T), 0)
    found = centres.copy()
    labels, best, second = _lowest(apart)
    for _ in range(_SWAPS if len(centres) > 1 else 0):
        total = best.sum()
        if total <= 0:
            break
        row = int(rng.choice(len(rows), p=best / total))
        other = _squares_to(rows, squares, [row])[0]
        left, lost = np.minimum(other, best), np.minimum(other, second)
        costs = left.sum() + np.bincount(labels, weights=lost - left, minlength=len(found))
        worst = int(costs.argmin())
        if costs[worst] < total:
            found[worst], apart[worst] = sample[row], other
            labels, best, second = _lowest(apart)
    return found


def _squares_to(rows: Array, squares: Array, chosen: Any) -> Array:
    """Return the squared distances (chosen, rows) between rows and some of them."""
    found = squares + squares[chosen][:, np.newaxis] - 2 * (rows[chosen] @ rows.T)
    found[np.arange(len(chosen)), chosen] = 0
    return np.asarray(np.maximum(found, 0))


def as_real(rows: Array) -> Array:
    """Return complex rows as pairs of real columns: distances stay what they are."""
    if rows.dtype.kind != "c":
        return rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    return np.ascontiguousarray(rows).view(rows.real.dtype)


def real_blocks(blocks: Blocks) -> Blocks:
    """Return blocks that show complex rows as pairs of real columns."""
    return Changed(blocks, as_real)


def _sum_block(block: Array, centres: Array, holes: Array) -> _Sums:
    """Return what moves the centres."""
    return _summed(without_holes(as_real(block), holes)[0], centres)


def _label_block(block: Array, _state: Any, centres: Array, holes: Array) -> tuple[_Sums, Any]:
    """Return the sums, and labels and distances of the block."""
    rows, used = without_holes(as_real(block), holes)
    labels, distance = np.zeros(len(rows), np.int32), np.zeros(len(rows))
    sums = _summed(rows, centres, labels, distance)
    return sums, _filled(labels, distance, used, len(block))


def _summed(rows: Array, centres: Array, labels: Array | None = None, distance: Array | None = None) -> _Sums:
    """Return the sums; labels and exact distances, where they are wanted, are filled in on the way."""
    totals, sizes, inertia = np.zeros(centres.shape), np.zeros(len(centres)), 0.0
    farthest, lonely = -1.0, np.zeros(centres.shape[1])
    middle, basis = _about(centres, rows.dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * rows.itemsize):
        near = rows[part] - middle
        nearest, squares = _nearest(near, basis)
        member = (nearest == np.arange(len(centres))[:, np.newaxis]).astype(rows.dtype)
        totals += member @ near
        sizes += member.sum(axis=1)
        inertia += float(squares.sum())
        if squares.max() > farthest:
            farthest, lonely = float(squares.max()), rows[part][int(squares.argmax())].astype(np.float64)
        if labels is not None and distance is not None:
            apart = near - basis[nearest]
            labels[part], distance[part] = nearest, np.sqrt(np.vecdot(apart, apart))
    totals += np.outer(sizes, middle)
    return _Sums(totals, sizes, inertia, farthest, lonely)


def _about(centres: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the mean of the centres, and the centres about it, in the precision of the rows.

    Far from zero the difference of large squares would lose a small distance, and a sum of many rows a small mean.
    """
    middle = centres.mean(axis=0).astype(dtype)
    return middle, (centres - middle).astype(dtype)


def _nearest(rows: Array, centres: Array) -> tuple[Array, Array]:
    """Return the nearest centre of each row, and the square of the distance."""
    # This way round, and then turned, the product takes half the time.
    along = np.ascontiguousarray((rows @ centres.T).T)
    labels, lowest, _ = _lowest(np.vecdot(centres, centres)[:, np.newaxis] - 2 * along, second=False)
    squares = np.vecdot(rows, rows) + lowest
    return labels, np.maximum(squares, 0).astype(np.float64)


def _lowest(values: Array, *, second: bool = True) -> tuple[npt.NDArray[np.int32], Array, Array]:
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


def _moved(centres: Array, found: _Sums) -> Array:
    """Return the means; an empty cluster moves to the row that is farthest from its centre."""
    empty = found.sizes == 0
    moved = found.totals / np.maximum(found.sizes, 1)[:, np.newaxis]
    moved[empty] = centres[empty]
    if empty.any() and found.farthest > 0:
        moved[int(empty.argmax())] = found.lonely
    return moved


def _filled(labels: Array, distance: Array, used: Array | None, size: int) -> tuple[Array, Array]:
    if used is None:
        return labels, distance
    all_labels, all_distance = np.full(size, -1, np.int32), np.full(size, np.nan)
    all_labels[used], all_distance[used] = labels, distance
    return all_labels, all_distance
