"""A fair sample of rows -> what an estimator of scikit-learn makes of it, and clusters of k-means on batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.clusters.kmeans import Clusters, label_rows, restore_scale
from usidx.learn.clusters.rows import look_at_rows
from usidx.learn.matrix.sample import Numbers, Survey, draw_numbers
from usidx.tasks.blocks import Blocks
from usidx.tasks.process.blas import limit_blas

__all__ = ["call_estimator", "refuse_few", "run_minibatch", "take_sample"]

Array = npt.NDArray[Any]

_RUNS = 4  # draws of centres, of which the best is taken
_MOVES = 2  # passes over all rows: one moves the centres of the sample, and the last labels


def run_minibatch(
    blocks: Blocks, numbers: Numbers, columns: int, n: int, seed: int, max_iter: int, tol: float
) -> Clusters:
    """Find centres from batches of a fair sample; all rows move them once and get the label of the nearest."""
    from sklearn.cluster import MiniBatchKMeans

    with limit_blas():
        blocks, seen, exponent = look_at_rows(blocks, numbers, columns, seed)
        refuse_few("minibatch", seen, n, n)
        estimator = MiniBatchKMeans(n, n_init=_RUNS, random_state=seed, max_iter=max_iter, tol=tol)
        centres = call_estimator(estimator, "fit", take_sample(seen, numbers, seed)).cluster_centers_
        return restore_scale(label_rows(blocks, centres, seen.holes, _MOVES, 0.0), exponent)


def take_sample(seen: Survey, numbers: Numbers, seed: int) -> Array:
    """Return the sample in double precision; in the order of the dims where it has all rows."""
    rows = seen.sample.astype(np.float64)
    if seen.count > len(rows):
        return rows
    places = numbers[:]
    draws = draw_numbers(places, seed)
    order = np.argsort(draws, kind="stable")
    return np.asarray(rows[np.argsort(places[order[np.searchsorted(draws[order], seen.draws)]])])


def call_estimator(estimator: Any, method: str, rows: Array) -> Any:
    """Call a method of an estimator on rows; what it refuses is refused in our words."""
    try:
        return getattr(estimator, method)(rows)
    except ValueError as err:
        name, said = type(estimator).__name__.strip("_"), str(err).splitlines()[0]
        raise ResultError(
            f"{name} refused {len(rows)} complete positions of {rows.shape[1]} numbers each: {said}"
        ) from err


def refuse_few(method: str, seen: Survey, n: int, least: int, *, sampled: bool = True) -> None:
    """Refuse fewer complete rows than a method needs, or too small a sample where it begins with that."""
    if seen.count < least:
        raise ResultError(
            f"The method {method!r} with n={n} needs at least {least} complete positions; there "
            f"{'is one' if seen.count == 1 else f'are {seen.count}'}. Use 'kmeans', which takes any number of them."
        )
    if sampled and len(seen.sample) < least:
        raise ResultError(
            f"The method {method!r} begins with a sample of {len(seen.sample)} of these positions, too few for n={n}. "
            f"Use 'kmeans', or decompose first and cluster the scores."
        )
