"""Means and sizes of clusters -> the tree that joins them, and an order in which neighbours are alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["build_ward_tree", "order_leaves", "renumber"]

Array = npt.NDArray[Any]


def build_ward_tree(means: Array, sizes: Array) -> Array:
    """Return the merges of Ward's rule (Journal of the American Statistical Association 58, 1963, 236-244).

    A row per merge, as SciPy writes it: the two clusters, their distance, how many clusters they are together. It is
    the top of the tree over all positions: distances follow from means and sizes alone.
    """
    centres, counts, parts = [*means], [*map(float, sizes)], [1] * len(means)
    alive = [i for i in range(len(means)) if sizes[i] > 0]
    merges = np.full((max(len(means) - 1, 0), 4), np.nan)
    for step in range(len(alive) - 1):
        pairs = [
            (_measure_ward_distance(centres, counts, i, j), i, j) for k, i in enumerate(alive) for j in alive[k + 1 :]
        ]
        distance, i, j = min(pairs)
        count = counts[i] + counts[j]
        merges[step] = i, j, distance, parts[i] + parts[j]
        alive = [a for a in alive if a not in (i, j)] + [len(means) + step]
        # SciPy numbers what step k makes as n + k, so the lists grow with the merges.
        centres.append((counts[i] * centres[i] + counts[j] * centres[j]) / count)
        counts.append(count)
        parts.append(parts[i] + parts[j])
    return merges


def _measure_ward_distance(centres: list[Any], counts: list[float], i: int, j: int) -> float:
    """Return the root of twice what joining two clusters adds to the inertia, as SciPy's linkage has it."""
    distance = float(np.linalg.norm(centres[i] - centres[j]))
    return float(np.sqrt(2 * counts[i] * counts[j] / (counts[i] + counts[j]))) * distance


def order_leaves(means: Array, tree: Array | None) -> npt.NDArray[np.intp]:
    """Return the clusters in the order of the leaves of a tree (by default that of average links), empty ones last."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    filled = np.flatnonzero(np.isfinite(means).all(axis=1))
    if len(filled) > 2:
        own = tree is not None and bool(np.isfinite(tree).all())
        distances = _measure_distances(means[filled])
        merges = tree if own else linkage(distances, "average")
        filled = filled[leaves_list(optimal_leaf_ordering(merges, distances))]
    # A tree read from either end is the same tree: the end of smaller norm is the first.
    if len(filled) > 1 and np.linalg.norm(means[filled[0]]) > np.linalg.norm(means[filled[-1]]):
        filled = filled[::-1]
    return np.concatenate([filled, np.setdiff1d(np.arange(len(means)), filled)])


def _measure_distances(means: Array) -> Array:
    """Return the distances between means, the largest being one: SciPy orders leaves wrongly beyond 2**30."""
    from scipy.spatial.distance import pdist

    distances = np.asarray(pdist(means))
    largest = float(distances.max(initial=0.0))
    return distances / largest if largest > 0 else distances


def renumber(tree: Array, rank: Array) -> Array:
    """Return the merges with the clusters numbered anew, the side with the lowest number first.

    What merges make keeps its number. Drawn so, the leaves stand in the order of their numbers.
    """
    n = len(tree) + 1
    lowest = [*map(int, rank[:n])]
    found = tree.copy()
    for step, (one, other, _, _) in enumerate(tree):
        if not np.isfinite(one):
            break
        sides = sorted((int(one), int(other)), key=lambda side: lowest[side])
        lowest.append(lowest[sides[0]])
        found[step, :2] = [rank[side] if side < n else side for side in sides]
    return found
