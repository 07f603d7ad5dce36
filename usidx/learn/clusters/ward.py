"""Rows -> the clusters that Ward's rule joins, also where they are too many for a table of all their distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Ward"]

Array = npt.NDArray[Any]

#: The table of distances between so many rows is 256 MiB; more rows are sorted into groups, which are joined instead.
_MOST_ROWS = 8192
_GROUPS = 2048
_MOVES = 5
#: Rows whose distances to all groups are looked at together.
_PIECE = 2048


class Ward:
    """What joins rows to n clusters, as an estimator."""

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._seed = seed

    def fit_predict(self, rows: Array) -> Array:
        """Return the label of each row: exact up to 8192 rows, and else of the small group that the row is in."""
        if len(rows) == 1:
            return np.zeros(1, np.intp)
        if len(rows) <= max(_MOST_ROWS, self._n):
            from sklearn.cluster import AgglomerativeClustering

            return np.asarray(AgglomerativeClustering(self._n).fit_predict(rows))
        labels, means, sizes = _group(rows, max(_GROUPS, 4 * self._n), self._seed)
        return _join_groups(means, sizes, min(self._n, len(means)))[labels]


def _group(rows: Array, count: int, seed: int) -> tuple[Array, Array, Array]:
    """Sort rows about some of them, moved to the means a few times; return labels, means and sizes, none empty."""
    means = rows[np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)]
    for _ in range(_MOVES):
        labels = _find_nearest(rows, means)
        labels, means, sizes = _average(rows, labels)
    return labels, means, sizes


def _find_nearest(rows: Array, means: Array) -> Array:
    middle = means.mean(axis=0)
    near = means - middle
    squares = (near * near).sum(axis=1)
    parts = [rows[k : k + _PIECE] - middle for k in range(0, len(rows), _PIECE)]
    return np.concatenate([(squares - 2 * (part @ near.T)).argmin(axis=1) for part in parts])


def _average(rows: Array, labels: Array) -> tuple[Array, Array, Array]:
    from scipy.sparse import csr_array

    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    member = csr_array((np.ones(len(rows)), labels, np.arange(len(rows) + 1)), shape=(len(rows), len(sizes)))
    return labels, np.asarray(member.T @ rows) / sizes[:, np.newaxis], sizes.astype(np.float64)


def _join_groups(means: Array, sizes: Array, n: int) -> Array:
    """Return which of n clusters each group ends in."""
    parent = np.arange(len(means))
    for _, one, other in sorted(_find_merges(means, sizes))[: len(means) - n]:
        parent[parent == parent[other]] = parent[one]
    return np.unique(parent, return_inverse=True)[1]


def _find_merges(means: Array, sizes: Array) -> list[tuple[float, int, int]]:
    """Return all merges of Ward's rule, in no order, by chains of nearest neighbours (Murtagh, 1983).

    Each is the distance, and a group of either side.
    """
    table, sizes = _measure_distances(means, sizes), sizes.copy()
    merges: list[tuple[float, int, int]] = []
    chain: list[int] = []
    while len(merges) < len(means) - 1:
        chain = chain or [int(sizes.argmax())]
        last, before = chain[-1], chain[-2] if len(chain) > 1 else -1
        nearest = int(table[last].argmin())
        if before >= 0 and table[last, before] <= table[last, nearest]:
            merges.append((float(table[last, before]), last, before))
            _merge(table, sizes, last, before)
            # The two are each other's nearest. By Ward's rule no merge brings others nearer, so the chain before holds.
            chain = chain[:-2]
        else:
            chain.append(nearest)
    return merges


def _measure_distances(means: Array, sizes: Array) -> Array:
    """Return the squared distances by Ward's rule; infinite to itself."""
    from scipy.spatial.distance import cdist

    table = cdist(means, means, "sqeuclidean") * (np.outer(sizes, sizes) / np.add.outer(sizes, sizes))
    np.fill_diagonal(table, np.inf)
    return np.asarray(table)


def _merge(table: Array, sizes: Array, one: int, other: int) -> None:
    """Put what both are together in the place of one; the other is gone: of no size, and infinitely far."""
    total = sizes[one] + sizes[other] + sizes
    joined = (sizes[one] + sizes) * table[one] + (sizes[other] + sizes) * table[other] - sizes * table[one, other]
    table[one] = table[:, one] = joined / total
    sizes[one], sizes[other] = sizes[one] + sizes[other], 0
    table[other] = table[:, other] = np.inf
    table[one, one] = np.inf
