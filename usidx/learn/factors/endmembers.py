"""Scores of a decomposition -> the positions that are purest: the corners of the cloud that they form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["choose_farthest_rows", "find_largest_simplex", "find_vertex_components"]

Array = npt.NDArray[Any]

_SWEEPS = 50  # over all corners at most; few are needed before none moves


def choose_farthest_rows(rows: Array, n: int) -> list[int]:
    """Choose rows one by one, each the longest at right angles to those before (Araújo et al., 2001)."""
    left, chosen = rows.astype(np.float64), []
    for _ in range(n):
        chosen.append(int((left * left).sum(axis=1).argmax()))
        along = left[chosen[-1]]
        size = float(along @ along)
        left = left - np.outer(left @ along, along) / size if size > 0 else left
    return chosen


def find_largest_simplex(scores: Array) -> Array:
    """Return the corners (n, n - 1), among rows of n - 1 scores, of the simplex of largest volume: N-FINDR.

    The volume is linear in each corner, so the best row for one corner is found for all rows at once.
    """
    rows = _keep_known(scores)
    if not len(rows):
        return np.full((scores.shape[-1] + 1, scores.shape[-1]), np.nan)
    # With a first cell of one the volume of the simplex is a determinant of its corners.
    lifted = np.hstack([np.ones((len(rows), 1)), rows / max(float(np.abs(rows).max()), np.finfo(float).tiny)])
    chosen = choose_farthest_rows(lifted, lifted.shape[1])
    for _ in range(_SWEEPS):
        before = list(chosen)
        for corner in range(len(chosen)):
            volumes = np.abs(lifted @ _compute_cofactors(lifted[chosen], corner))
            best = int(volumes.argmax())
            if volumes[best] > volumes[chosen[corner]] * (1 + 1e-12):
                chosen[corner] = best
        if chosen == before:
            break
    return rows[chosen]


def find_vertex_components(scores: Array, total_ratio: float, features: int, seed: int) -> Array:
    """Return the corners (n, n), among rows of n scores, by vertex component analysis.

    `total_ratio` is the part of the squares of the data that the scores hold, from which the noise is judged.
    """
    rows = _keep_known(scores)
    n = scores.shape[-1]
    if not len(rows):
        return np.full((n, n), np.nan)
    # Much signal: rows are brought to one plane, so that their brightness does not matter. Much noise would be blown up
    # by that where rows are dark: there the leading directions about the mean are taken.
    cloud = (
        _project_to_plane(rows)
        if _estimate_decibels(total_ratio, n, features) > 15 + 10 * np.log10(n)
        else _project_to_subspace(rows)
    )
    rng = np.random.default_rng(seed)
    corners, chosen = np.zeros((n, n)), []
    corners[-1, 0] = 1
    for i in range(n):
        # A random direction at right angles to the corners so far: some row that is extreme along it is a corner.
        drawn = rng.random(n)
        across = drawn - corners @ (np.linalg.pinv(corners) @ drawn)
        chosen.append(int(np.abs(cloud @ across).argmax()))
        corners[:, i] = cloud[chosen[-1]]
    return rows[chosen]


def _keep_known(scores: Array) -> Array:
    """Return the rows of scores that are finite."""
    flat = scores.reshape(-1, scores.shape[-1]).astype(np.float64)
    return flat[np.isfinite(flat).all(axis=1)]


def _compute_cofactors(corners: Array, corner: int) -> Array:
    """Return the vector whose product with a row is the determinant with that row in place of the corner."""
    rest = np.delete(corners, corner, axis=0)
    return np.array([(-1) ** (corner + j) * np.linalg.det(np.delete(rest, j, axis=1)) for j in range(len(corners))])


def _estimate_decibels(ratio: float, n: int, features: int) -> float:
    """Return the ratio of signal to noise; noise spreads evenly, so n of its features are within the scores, too."""
    left = max(1 - ratio, np.finfo(float).tiny)
    return float(10 * np.log10(max(ratio - n / features, np.finfo(float).tiny) / left))


def _project_to_plane(rows: Array) -> Array:
    """Scale each row so that its product with the mean is one; rows at right angles to it become zero."""
    along = rows @ rows.mean(axis=0)
    known = np.abs(along)[:, np.newaxis] > 0
    return np.asarray(np.divide(rows, along[:, np.newaxis], out=np.zeros_like(rows), where=known))


def _project_to_subspace(rows: Array) -> Array:
    """Return the n - 1 leading directions about the mean, and a last cell that is the same for all rows."""
    about = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(about.T @ about)
    flat = about @ axes[: rows.shape[1] - 1].T
    lifted: Array = np.hstack([flat, np.full((len(rows), 1), np.sqrt((flat * flat).sum(axis=1).max()))])
    return lifted
