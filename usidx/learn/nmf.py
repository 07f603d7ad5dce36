"""Labelled array without negative cells to non-negative scores and components."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import Dims
from usidx.learn.blocks import Blocks
from usidx.learn.hals import Factors, factorise, settle
from usidx.learn.matrix import masked, refuse_dim, row_numbers, to_matrix, working_dtype
from usidx.learn.passes import passes_over
from usidx.learn.result import assemble
from usidx.learn.survey import refuse_negative, survey
from usidx.learn.svd import check_n
from usidx.results.provenance import record

__all__ = ["nmf"]

Array = npt.NDArray[Any]


def nmf(
    data: xr.DataArray,
    n: int,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    random_state: int = 0,
    max_iter: int = 200,
    tol: float = 1e-6,
) -> xr.Dataset:
    """Factorise an array without negative cells into non-negative scores and components.

    A lazy array stays lazy; when the result is computed, one node reads the blocks once per iteration, a few at a
    time, and holds the scores of three steps. Arrays up to 64 MiB are read once and held. Positions with a cell that
    is not finite are left out and get NaN scores; what is not finite at every position gets NaN components.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Real or integer, no cell below zero; for a lazy array that is checked when the result is computed.
    n : int
        Number of components.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    random_state : int, optional
        Chooses the rows that the start is found from, where there are more than can be held.
    max_iter : int, optional
        Most iterations; each is a pass over the data.
    tol : float, optional
        Stop when two iterations lower the error by less than this part of it each. A larger one saves passes: on a
        mixture of six overlapping peaks ten times the default took a tenth of them, for an error larger by a
        thousandth.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), in the units of `data`; ``components`` (component, *spectroscopic), of norm
        one, dimensionless, in falling order of the norm of their scores; ``reconstruction_error``, the Frobenius norm
        of what is left.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex or has negative cells, or `n` is not a number of components that the array can have.

    Notes
    -----
    Hierarchical alternating least squares [1]_ with several sweeps per product [2]_ and extrapolation [3]_, started
    from the positive parts of the singular vectors of a sample of the rows [4]_, settled on that sample first.

    References
    ----------
    .. [1] A. Cichocki, R. Zdunek, S. Amari, Hierarchical ALS algorithms for nonnegative matrix and 3D tensor
       factorization, ICA 2007, 169-176.
    .. [2] N. Gillis, F. Glineur, Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative
       matrix factorization, Neural Computation 24 (2012) 1085-1105.
    .. [3] A. Ang, N. Gillis, Accelerating nonnegative matrix factorization algorithms using extrapolation, Neural
       Computation 31 (2019) 417-439.
    .. [4] C. Boutsidis, E. Gallopoulos, SVD based initialization: a head start for nonnegative matrix factorization,
       Pattern Recognition 41 (2008) 1350-1362.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.nmf import nmf
    >>> cube = xr.DataArray(np.outer([1.0, 2.0], [3.0, 4.0]), dims=("x", "energy"))
    >>> found = nmf(cube, 1, dim="energy")
    >>> found.components.values.round(3), found.scores.values.round(3).ravel()
    (array([[0.6, 0.8]]), array([ 5., 10.]))
    """
    refuse_dim(data, "component")
    if data.dtype.kind == "c":
        raise ResultError(
            f"Array {data.name!r} is {data.dtype}: non-negative factors need real data. Pass abs(data), or one of "
            f"data.real and data.imag."
        )
    matrix = to_matrix(masked(data, mask), dim)
    height, width = matrix.values.shape
    check_n(n, min(height, width), f"{height} positions and {width} spectroscopic steps")
    passes, dtype = passes_over(matrix.values), working_dtype(matrix.values.dtype)
    found = passes.iterate(_factors, row_numbers(matrix), width, n, random_state, max_iter, tol)
    components = passes.array(found, _components, (n, width), dtype)
    variables = {
        "scores": matrix.along_rows(passes.split(found, _scores, n, dtype), "component"),
        "components": matrix.in_order(components, matrix.columns, "component"),
        "reconstruction_error": passes.array(found, _error, (), np.float64),
    }
    parameters = {"n": n, "dim": matrix.columns, "random_state": random_state, "max_iter": max_iter, "tol": tol}
    return record(assemble(data, variables), data, "nmf", parameters)


def _factors(
    blocks: Blocks, numbers: Array, width: int, n: int, random_state: int, max_iter: int, tol: float
) -> Factors:
    seen = survey(blocks, numbers, width, random_state, refuse_negative)
    components = settle(seen.sample, n, tol) if seen.count else np.zeros((n, width))
    return _ordered(factorise(blocks, seen, components, max_iter, tol))


def _ordered(found: Factors) -> Factors:
    """Scale the components to norm one and put the strongest first."""
    norms = np.linalg.norm(found.components, axis=1)
    components = found.components / np.where(norms > 0, norms, 1)[:, np.newaxis]
    scores = found.scores * norms
    order = np.argsort(-np.sqrt(np.nansum(scores**2, axis=0, dtype=np.float64)), kind="stable")
    return replace(found, scores=scores[:, order], components=components[order])


def _scores(found: Factors) -> Array:
    return found.scores


def _components(found: Factors) -> Array:
    return np.where(found.holes, np.nan, found.components)


def _error(found: Factors) -> Any:
    return found.error
