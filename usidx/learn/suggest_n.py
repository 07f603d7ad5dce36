"""Singular values -> how many components are worth keeping."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.learn.reconstruct import find_decomposition_step
from usidx.results.verbs import verb

__all__ = ["count_before_elbow", "count_for_fraction", "count_significant", "scree", "suggest_n"]

Values = npt.NDArray[np.float64]


@verb()
def scree(result: xr.Dataset) -> xr.Dataset:
    """Lay out how much each component of a decomposition explains.

    Lazy where the result is.

    Parameters
    ----------
    result : Dataset
        What :func:`svd` or :func:`pca` returned.

    Returns
    -------
    Dataset, dims (component)
        ``singular_values`` in their units, ``explained_variance_ratio``, and ``cumulative_ratio``, its running sum.

    Raises
    ------
    ResultError
        `result` has no singular values.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.suggest_n import scree
    >>> from usidx.learn.svd import svd
    >>> scree(svd(xr.DataArray(np.diag([2.0, 1.0]), dims=("x", "energy")), 2, dim="energy")).cumulative_ratio.values
    array([0.8, 1. ])
    """
    ratio = _read_variable(result, "explained_variance_ratio")
    cumulative = ratio.cumsum("component").assign_coords(ratio.coords)
    cumulative.attrs = {"long_name": "Cumulative explained variance ratio", "units": ""}
    kept = {"singular_values": _read_variable(result, "singular_values"), "explained_variance_ratio": ratio}
    return xr.Dataset({**kept, "cumulative_ratio": cumulative})


def suggest_n(result: xr.Dataset, rule: str | float = "significant") -> int:
    """Suggest how many components of a decomposition to keep.

    Computes the singular values where they are lazy.

    Parameters
    ----------
    result : Dataset
        What :func:`svd` or :func:`pca` returned, with more components than are expected to matter.
    rule : {"significant", "elbow"} or float, optional
        "significant": those above what noise alone could reach [1]_, the noise level taken from what the components
        leave. "elbow": those before the farthest point from the chord of the logarithm of the scree [2]_. A number
        between 0 and 1: the fewest that explain that part of the variance.

    Returns
    -------
    int
        From 0, as of data without variance, to the number of components of `result`.

    Raises
    ------
    ResultError
        `result` has no singular values, or too few for the part that is asked for; or the rule is not known.

    Notes
    -----
    The noise rule supposes white noise: scale data whose noise is not, see :func:`svd`. Of data that was smoothed,
    interpolated or measured behind a slow filter it keeps far too many; "elbow" keeps fewer.

    References
    ----------
    .. [1] M. Gavish, D. Donoho, The optimal hard threshold for singular values is 4/sqrt(3), IEEE Transactions on
       Information Theory 60 (2014) 5040-5053, equation 11.
    .. [2] V. Satopää, J. Albrecht, D. Irwin, B. Raghavan, Finding a "kneedle" in a haystack, ICDCS Workshops (2011)
       166-171.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.suggest_n import suggest_n
    >>> from usidx.learn.svd import svd
    >>> suggest_n(svd(xr.DataArray(np.diag([2.0, 1.0]), dims=("x", "energy")), 2, dim="energy"), 0.8)
    1
    """
    figures = {name: _read_variable(result, name) for name in ("singular_values", "explained_variance_ratio")}
    known = xr.Dataset(figures).compute()  # in the same passes
    values, ratio = known["singular_values"].values.astype(np.float64), known["explained_variance_ratio"].values
    if rule == "significant":
        return count_significant(values, ratio, *_read_shape(result))
    if rule == "elbow":
        return count_before_elbow(values)
    if isinstance(rule, str | bool) or not 0 < rule <= 1:
        raise ResultError(f"No rule {rule!r}: it is 'significant', 'elbow', or a part of the variance between 0 and 1.")
    return count_for_fraction(ratio, rule)


def count_significant(values: Values, ratio: Values, height: int, width: int) -> int:
    """Count the singular values above the optimal hard threshold for white noise.

    The noise level comes from the variance that the significant components leave: so it is found by iteration, from
    all variance being noise downwards.
    """
    if not values.size or values[0] <= 0:
        return 0
    total = values[0] ** 2 / ratio[0]
    beta = min(height, width) / max(height, width)
    root = (beta + 1) + np.sqrt(beta**2 + 14 * beta + 1)
    factor = np.sqrt(2 * (beta + 1) + 8 * beta / root) * np.sqrt(max(height, width))
    count = 0
    while True:
        left = max(total - float((values[:count] ** 2).sum()), 0.0)
        cells = max((height - count) * (width - count), 1)
        above = int((values > max(factor * np.sqrt(left / cells), 1e-7 * values[0])).sum())
        if above <= count:
            return count
        count = above


def count_before_elbow(values: Values) -> int:
    """Count the values before the point that is farthest below the chord of their logarithm."""
    kept = values[values > 1e-7 * max(float(values[0]), np.finfo(float).tiny)] if values.size else values
    if len(kept) < 3:
        return len(kept)
    heights = np.log(kept)
    chord = np.linspace(heights[0], heights[-1], len(heights))
    return max(1, int(np.argmax(chord - heights)))


def count_for_fraction(ratio: Values, part: float) -> int:
    """Count the components that together explain a part of the variance; none where there is no variance."""
    if not ratio.any():
        return 0
    explained = np.cumsum(ratio)
    reached = explained >= part * (1 - 1e-12)
    if not reached.any():
        last = float(explained[-1])
        raise ResultError(
            f"{len(ratio)} components explain {last:.4g} of the variance, less than the {part:g} asked for. "
            f"Decompose into more components."
        )
    return int(reached.argmax()) + 1


def _read_variable(result: xr.Dataset, name: str) -> xr.DataArray:
    find_decomposition_step(result)
    if name not in result:
        raise ResultError(f"The decomposition has no {name!r}, which svd and pca give; its variables: {list(result)}.")
    return result[name]


def _read_shape(result: xr.Dataset) -> tuple[int, int]:
    sizes: list[Any] = [
        [n for dim, n in result[name].sizes.items() if dim != "component"] for name in ("scores", "components")
    ]
    return int(np.prod(sizes[0])), int(np.prod(sizes[1]))
