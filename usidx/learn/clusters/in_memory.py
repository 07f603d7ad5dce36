"""Blocks -> clusters, by methods that need all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.clusters.kmeans import Clusters
from usidx.learn.clusters.rows import as_real, view_as_real
from usidx.learn.clusters.sampled import call_estimator, refuse_few
from usidx.learn.clusters.ward import Ward
from usidx.learn.matrix.missing import keep_complete
from usidx.learn.matrix.sample import Numbers, survey
from usidx.tasks.blocks import Blocks, hold_rows, join_nothing

__all__ = ["LoadedMethod", "make_agglomerative", "make_hdbscan"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class LoadedMethod:
    """A method that loads the rows and hands them to ``make(n, seed, max_iter, tol).fit_predict``.

    At least `least` rows are needed, and one for `each` cluster where that is true. Messages call the method by its
    `name`.
    """

    name: str
    make: Callable[[int, int, int, float], Any]
    each: bool = False
    least: int = 1

    def __call__(
        self, blocks: Blocks, numbers: Numbers, columns: int, n: int, seed: int, max_iter: int, tol: float
    ) -> Clusters:
        """Return the clusters; rows are handed over in the order of the dims, whatever the blocks are."""
        seen = survey(view_as_real(blocks), numbers, columns, seed)
        refuse_few(self.name, seen, n, max(self.least, n if self.each else 1), sampled=False)
        states: Sequence[Any] = [None] * len(blocks.sizes)
        _, states = blocks.fold_states(_keep_block, join_nothing, states, seen.holes)
        rows, used = map(np.concatenate, zip(*states, strict=True))
        order = np.argsort(numbers[:][used])
        labels = np.full(len(used), -1, np.int32)
        found = np.empty(len(rows), np.int32)
        found[order] = call_estimator(self.make(n, seed, max_iter, tol), "fit_predict", rows[order])
        _refuse_more(int(found.max()) + 1, n)
        labels[used] = found
        return _describe_clusters(rows, labels, used, seen.holes, n)


def make_agglomerative(n: int, seed: int, _max_iter: int, _tol: float) -> Any:
    """Make the estimator that joins the nearest clusters, by Ward's rule."""
    return Ward(n, seed)


def make_hdbscan(_n: int, _seed: int, _max_iter: int, _tol: float) -> Any:
    """Make the estimator of dense regions, which finds their number itself."""
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(copy=True)


def _refuse_more(count: int, n: int) -> None:
    if count > n:
        raise ResultError(
            f"The method found {count} clusters; n={n} is the most that the result holds. Pass n={count}."
        )


def _keep_block(block: Array, _state: Any, holes: Array) -> tuple[None, tuple[Array, Array]]:
    rows, used = keep_complete(as_real(block), holes)
    return None, (rows.astype(np.float64), np.ones(len(block), bool) if used is None else used)


def _describe_clusters(rows: Array, labels: Array, used: Array, holes: npt.NDArray[np.bool_], n: int) -> Clusters:
    member = labels[used] == np.arange(n)[:, np.newaxis]
    sizes = member.sum(axis=1)
    means = np.divide(
        member.astype(np.float64) @ rows,
        sizes[:, np.newaxis],
        out=np.full((n, rows.shape[1]), np.nan),
        where=sizes[:, np.newaxis] > 0,
    )
    distance = np.full(len(labels), np.nan)
    near = np.flatnonzero(labels[used] >= 0)
    distance[np.flatnonzero(used)[near]] = np.linalg.norm(rows[near] - means[labels[used][near]], axis=1)
    inertia = float(np.nansum(distance**2))
    return Clusters(hold_rows(labels), hold_rows(distance), means, sizes.astype(np.int64), holes, inertia)
