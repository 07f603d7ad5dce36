"""Labelled array, or the scores of a decomposition -> how many clusters its positions form."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims
from usidx.learn.clusters.kmeans import run_kmeans
from usidx.learn.clusters.rows import view_as_real
from usidx.learn.matrix.fields import join_fields
from usidx.learn.matrix.matrix import check_seed, number_rows, to_matrix
from usidx.learn.matrix.sample import Numbers, survey
from usidx.learn.reconstruct import is_decomposition
from usidx.tasks.blocks import Blocks, Held
from usidx.tasks.passes import plan_passes

__all__ = ["suggest_k"]

Array = npt.NDArray[Any]

_SAMPLE = 2048
_REFERENCES = 10


def suggest_k(
    data: xr.DataArray | xr.Dataset,
    most: int = 10,
    *,
    rule: str = "silhouette",
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    random_state: int = 0,
) -> int:
    """Suggest a number of clusters, from k-means on a fair sample of the positions.

    Computes one pass over the data; at most 2048 positions are looked at.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset
        Responses, real or complex; or a decomposition, whose scores are looked at; or fields, as in :func:`cluster`.
    most : int, optional
        The largest number to try.
    rule : {"silhouette", "elbow", "gap", "bic"}, optional
        "silhouette": the largest mean silhouette [1]_, at least two clusters. "elbow": the point of the logarithm of
        the inertia that is farthest below its chord. "gap": the gap statistic [2]_. "bic": the smallest Bayesian
        information criterion of a mixture of spherical normal distributions.
    dim : str or iterable of str, optional
        The dims of a response; by default those with the role spectroscopic. Not for a decomposition.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out. Not for a decomposition.
    random_state : int, optional
        Decides the sample and the starts.

    Returns
    -------
    int
        From 1 (2 for the silhouette) to `most`.

    Raises
    ------
    ResultError
        The rule is not known, `most` is no number of clusters, or there are too few complete positions.

    References
    ----------
    .. [1] P. Rousseeuw, Silhouettes: a graphical aid to the interpretation and validation of cluster analysis, Journal
       of Computational and Applied Mathematics 20 (1987) 53-65.
    .. [2] R. Tibshirani, G. Walther, T. Hastie, Estimating the number of clusters in a data set via the gap statistic,
       Journal of the Royal Statistical Society B 63 (2001) 411-423.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.suggest_k import suggest_k
    >>> cube = xr.DataArray([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1]], dims=("x", "energy"))
    >>> suggest_k(cube, 5, dim="energy")
    3
    """
    if rule not in _RULES:
        raise ResultError(f"No rule {rule!r}; there are {sorted(_RULES)}.")
    random_state = check_seed(random_state)
    held = isinstance(data, xr.Dataset) and is_decomposition(data)
    least = 2 if rule == "silhouette" else 1
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < least:
        raise ResultError(f"most={most!r} clusters to try with the rule {rule!r}: a whole number, at least {least}.")
    if isinstance(data, xr.Dataset) and held:
        if dim is not None or mask is not None:
            raise ResultError(
                "The number of clusters of a decomposition is that of its scores: leave out dim= and mask=."
            )
        matrix = to_matrix(data["scores"], "component")
    else:
        data, dim = join_fields(data, dim)
        matrix = to_matrix(apply_mask(data, mask), dim)
    width = matrix.values.shape[1] * (2 if matrix.values.dtype.kind == "c" else 1)
    found = plan_passes(matrix.values).iterate(_draw_sample, number_rows(matrix), width, random_state, hold=held)
    sample = found if isinstance(found, np.ndarray) else found.compute()
    if len(sample) < 3:
        raise ResultError(
            f"Array {data.name if isinstance(data, xr.DataArray) else 'scores'!r} has {len(sample)} complete "
            f"positions; a number of clusters needs at least three."
        )
    return _RULES[rule](_even_out(sample), min(most, len(sample) - 1), random_state)


def _draw_sample(blocks: Blocks, numbers: Numbers, width: int, seed: int) -> Array:
    seen = survey(view_as_real(blocks), numbers, width, seed)
    return seen.sample[:_SAMPLE].astype(np.float64)


def _even_out(sample: Array) -> Array:
    """Return the sample in numbers whose squares neither overflow nor vanish; every rule takes any unit."""
    largest = float(np.abs(sample).max())
    return sample / largest if largest > 0 else sample


def _find_clusters(sample: Array, k: int, seed: int) -> tuple[Array, float]:
    found = run_kmeans(Held(sample), np.arange(len(sample)), sample.shape[1], k, seed, 100, 1e-6)
    return found.labels.join(), found.inertia


def _suggest_by_silhouette(sample: Array, most: int, seed: int) -> int:
    from sklearn.metrics import silhouette_score

    values = []
    for k in range(2, most + 1):
        labels, _ = _find_clusters(sample, k, seed)
        values.append(silhouette_score(sample, labels) if 1 < len(np.unique(labels)) < len(sample) else -1.0)
    return 2 + int(np.argmax(values)) if values else 1


def _suggest_by_elbow(sample: Array, most: int, seed: int) -> int:
    inertia = np.array([_find_clusters(sample, k, seed)[1] for k in range(1, most + 1)])
    heights = np.log(np.maximum(inertia, 1e-12 * max(float(inertia[0]), np.finfo(float).tiny)))
    return 1 + int(np.argmax(np.linspace(heights[0], heights[-1], len(heights)) - heights))


def _suggest_by_gap(sample: Array, most: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    low, high = sample.min(axis=0), sample.max(axis=0)
    tiny = np.finfo(float).tiny
    mine = np.array([np.log(max(_find_clusters(sample, k, seed)[1], tiny)) for k in range(1, most + 1)])
    # Points spread evenly over the box of the data form no clusters: what k-means gains on them is gained by chance.
    drawn = [rng.uniform(low, high, sample.shape) for _ in range(_REFERENCES)]
    others = np.array([[np.log(max(_find_clusters(d, k, seed)[1], tiny)) for k in range(1, most + 1)] for d in drawn])
    gap, spread = others.mean(axis=0) - mine, others.std(axis=0) * np.sqrt(1 + 1 / _REFERENCES)
    enough = np.flatnonzero(gap[:-1] >= gap[1:] - spread[1:])
    return 1 + int(enough[0]) if enough.size else most


def _suggest_by_bic(sample: Array, most: int, seed: int) -> int:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    spread = float(sample.var(axis=0).mean())

    def measure_bic(k: int) -> float:
        # The floor of the variance is a part of the spread: data in small units has no other than that in large ones.
        floor = max(1e-6 * spread, np.finfo(float).tiny)
        mixture = GaussianMixture(k, covariance_type="spherical", n_init=3, reg_covar=floor, random_state=seed)
        return float(mixture.fit(sample).bic(sample))

    with warnings.catch_warnings():
        # Fewer distinct responses than clusters is an answer here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return 1 + int(np.argmin([measure_bic(k) for k in range(1, most + 1)]))


_RULES: dict[str, Callable[[Array, int, int], int]] = {
    "silhouette": _suggest_by_silhouette,
    "elbow": _suggest_by_elbow,
    "gap": _suggest_by_gap,
    "bic": _suggest_by_bic,
}
