"""Labelled array to its leading singular vectors: `svd` as it stands, `pca` about its mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import Dims, split
from usidx.learn.matrix import Matrix, masked, refuse_dim, to_matrix, working_dtype
from usidx.learn.moments import block_moments, join_moments
from usidx.learn.passes import Passes, passes_over
from usidx.learn.result import assemble
from usidx.learn.spectrum import Decomposed, decompose_rows, project_rows
from usidx.learn.turned import decompose_turned, join_turned, project_turned, solve_turned, turned_moments
from usidx.results.provenance import record

__all__ = ["pca", "svd"]


def svd(
    data: xr.DataArray,
    n: int = 16,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its leading singular vectors, without removing a mean.

    A lazy array stays lazy: the result is a graph of two passes over the blocks, the second starting when the first
    is done, so a few blocks per worker are held at a time. Positions with a cell that is not finite are left out and
    get NaN scores; what is not finite at every position gets NaN components.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Real, complex or integer.
    n : int, optional
        Number of components.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    random_state : int, optional
        Recorded; the result does not depend on it.

    Returns
    -------
    Dataset
        ``scores`` (*position, component) = `data` times the conjugate components, in the units of `data`;
        ``components`` (component, *spectroscopic), orthonormal, dimensionless; ``singular_values`` (component),
        falling; ``explained_variance_ratio`` (component).

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        `n` is not a number of components that the array can have.

    See Also
    --------
    pca : The same about the mean over positions.
    reconstruct : The way back, from all or some components.

    Notes
    -----
    The eigenvectors of the Gram matrix of the smaller side, summed in double precision over the blocks, are the
    singular vectors. A singular value is right to the rounding of the data where it is above about 1e-7 of the
    largest, and zero where it cannot be told from zero. Among the cells of a component within a thousandth of the
    largest in modulus, the first is real and positive; the scores turn with it.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.svd import svd
    >>> cube = xr.DataArray(np.outer([1.0, 2.0], [3.0, 4.0]), dims=("x", "energy"), attrs={"units": "V"})
    >>> found = svd(cube, 1, dim="energy")
    >>> found.components.values.round(3), found.scores.values.round(3).ravel(), found.scores.units
    (array([[0.6, 0.8]]), array([ 5., 10.]), 'V')
    """
    found = _decomposed(data, n, dim, mask, centred=False)
    return record(found, data, "svd", {"n": n, "dim": _plain_dim(dim), "random_state": random_state})


def pca(
    data: xr.DataArray,
    n: int = 16,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its principal components, about the mean over positions.

    A lazy array stays lazy, and cells that are not finite are treated as in :func:`svd`.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Real, complex or integer.
    n : int, optional
        Number of components.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    random_state : int, optional
        Recorded; the result does not depend on it.

    Returns
    -------
    Dataset
        The variables of :func:`svd` for `data` less its mean, and ``mean`` (*spectroscopic) in the units of `data`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        `n` is not a number of components that the array can have.

    See Also
    --------
    svd : The same without removing a mean.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.svd import pca
    >>> cube = xr.DataArray([[1.0, 5.0], [3.0, 5.0]], dims=("x", "energy"))
    >>> found = pca(cube, 1, dim="energy")
    >>> found["mean"].values, found.scores.values.ravel()
    (array([2., 5.]), array([-1.,  1.]))
    """
    found = _decomposed(data, n, dim, mask, centred=True)
    return record(found, data, "pca", {"n": n, "dim": _plain_dim(dim), "random_state": random_state})


def _decomposed(
    data: xr.DataArray, n: int, dim: Dims | None, mask: xr.DataArray | None, *, centred: bool
) -> xr.Dataset:
    refuse_dim(data, "component")
    samples, features = split(data, dim)
    height, width = (int(np.prod([data.sizes[d] for d in dims], dtype=np.int64)) for dims in (samples, features))
    check_n(n, min(height, width), f"{height} positions and {width} spectroscopic steps")
    matrix = to_matrix(masked(data, mask), dim, turned=height < width)
    decompose = _by_samples if height < width else _by_features
    scores, components, found = decompose(matrix, passes_over(matrix.values), n, centred)
    passes = found[0]
    variables = {
        "scores": scores,
        "components": components,
        "singular_values": passes.array(found[1], _values, (n,), np.float64),
        "explained_variance_ratio": passes.array(found[1], _ratio, (n,), np.float64),
    }
    if centred:
        dtype = working_dtype(data.dtype)
        variables["mean"] = matrix.in_order(passes.array(found[1], _mean, (1, width), dtype), features)
    return assemble(data, variables)


def check_n(n: int, most: int, of_what: str, things: str = "components") -> None:
    """Refuse a number of components, or of other things, that cannot be."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= most:
        raise ResultError(f"n={n!r} {things} of an array with {of_what}: n is a whole number from 1 to {most}.")


Found = tuple[xr.DataArray, xr.DataArray, tuple[Passes, Any]]


def _by_features(matrix: Matrix, passes: Passes, n: int, centred: bool) -> Found:
    dtype = working_dtype(matrix.values.dtype)
    moments = passes.fold(block_moments, join_moments, centred)
    found = passes.call(decompose_rows, moments, n)
    scores = matrix.along_rows(passes.rows(project_rows, found, n, dtype), "component")
    components = passes.array(found, _components, (n, matrix.values.shape[1]), dtype)
    return scores, matrix.in_order(components, matrix.columns, "component"), (passes, found)


def _by_samples(matrix: Matrix, passes: Passes, n: int, centred: bool) -> Found:
    dtype = working_dtype(matrix.values.dtype)
    moments = passes.fold(turned_moments, join_turned, centred)
    basis = passes.call(solve_turned, moments, n, centred)
    projected = passes.rows(project_turned, basis, n + 1, np.result_type(dtype, np.float64))
    found = passes.gather(decompose_turned, matrix.along_rows(projected, "component").data, basis, n)
    height, width = matrix.values.shape
    scores = matrix.in_order(passes.array(found, _turned_scores, (n, width), dtype), matrix.columns, "component")
    components = matrix.in_order(passes.array(found, _components, (n, height), dtype), matrix.rows, "component")
    return scores.transpose(..., "component"), components, (passes, found)


def _components(found: Decomposed) -> Any:
    return np.where(found.holes, np.nan, found.components) if found.holes.any() else found.components


def _mean(found: Decomposed) -> Any:
    return np.where(found.holes, np.nan, found.mean)


def _values(found: Decomposed) -> Any:
    return found.values


def _ratio(found: Decomposed) -> Any:
    return found.ratio


def _turned_scores(found: Decomposed) -> Any:
    return None if found.scores is None else found.scores.T


def _plain_dim(dim: Dims | None) -> Any:
    return dim if dim is None or isinstance(dim, str) else list(dim)
