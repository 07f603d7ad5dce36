"""Labelled array to its leading singular vectors: `svd` as it stands, `pca` about its mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import Dims, split
from usidx.learn.fields import Decomposable, kept_fields, together
from usidx.learn.krylov import lanczos
from usidx.learn.matrix import Matrix, masked, refuse_dim, to_matrix, working_dtype
from usidx.learn.moments import block_moments, join_moments
from usidx.learn.passes import Passes, passes_over
from usidx.learn.rank import suggest_n
from usidx.learn.result import assemble
from usidx.learn.scale import decompose_scaled
from usidx.learn.spectrum import Decomposed, decompose_rows, project_rows
from usidx.learn.turned import decompose_turned, join_turned, project_turned, solve_turned, turned_moments
from usidx.results.provenance import record

__all__ = ["check_n", "pca", "svd"]

#: Components that are looked through for a number of them that is not given.
_MOST_TRIED = 128
#: Up to this many rows and columns a Gram matrix is 32 MiB, and its eigenvectors take seconds at most.
_GRAM_SIDE = 2048


def svd(
    data: Decomposable,
    n: int | float | str = 16,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    scale: str | None = None,
    solver: str | None = None,
    tol: float = 1e-6,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its leading singular vectors, without removing a mean.

    A lazy array stays lazy: the result is a graph of two passes over the blocks, the second starting when the first
    is done, so a few blocks per worker are held at a time. Positions with a cell that is not finite are left out and
    get NaN scores; what is not finite at every position gets NaN components.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real, complex or integer. The fields of a Dataset stand side by side: the components have the dim ``field`` too,
        and :func:`reconstruct` gives a Dataset again.
    n : int, float or "auto", optional
        Number of components. Computes the singular values, also of a lazy array, to find it where it is a part of the
        variance, between 0 and 1, or "auto": those that stand out of the noise, see :func:`suggest_n`.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    scale : {"poisson", "std"}, optional
        Divide the data first, which takes one more pass: by the roots of its means over positions and over steps, so
        that the noise of counts is even [3]_; or each step by its standard deviation. The components are given their
        scale back, and are then orthonormal only if divided by ``scale`` (*spectroscopic), which is in the result.
    solver : {"gram", "krylov"}, optional
        How the components are found; by default from the shape, see the notes of :func:`svd`. Recorded.
    tol : float, optional
        Relative error of a singular value at which the Krylov solver may stop.
    random_state : int, optional
        Seed of the Krylov solver; the Gram solver does not depend on it.

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
        `n` is not a number of components that the array can have, or fields are not numbers over the same dims.
    UnitsError
        Fields have different units, and `scale` is not "std".

    See Also
    --------
    pca : The same about the mean over positions.
    reconstruct : The way back, from all or some components.

    Notes
    -----
    Gram solver: the eigenvectors of the Gram matrix of the smaller side, summed in double precision over the blocks,
    are the singular vectors; two passes. A singular value is right to the rounding of the data where it is above about
    1e-7 of the largest, and zero where it cannot be told from zero. It is chosen up to 2048 on the smaller side.

    Krylov solver: block Lanczos [1]_ [2]_ without that matrix, one pass per step (at most 24) until the estimated error
    of every singular value is below `tol`, and one for the scores. The estimates are in ``singular_values_error``.

    Among the cells of a component within a thousandth of the largest in modulus, the first is real and positive; the
    scores turn with it.

    References
    ----------
    .. [1] G. Golub, R. Underwood, The block Lanczos method for computing eigenvalues, Mathematical Software III (1977)
       361-377.
    .. [2] C. Musco, C. Musco, Randomized block Krylov methods for stronger and faster approximate singular value
       decomposition, NIPS 28 (2015).
    .. [3] M. Keenan, P. Kotula, Accounting for Poisson noise in the multivariate analysis of ToF-SIMS spectrum images,
       Surface and Interface Analysis 36 (2004) 203-212.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.svd import svd
    >>> cube = xr.DataArray(np.outer([1.0, 2.0], [3.0, 4.0]), dims=("x", "energy"), attrs={"units": "V"})
    >>> found = svd(cube, 1, dim="energy")
    >>> found.components.values.round(3), found.scores.values.round(3).ravel(), found.scores.units
    (array([[0.6, 0.8]]), array([ 5., 10.]), 'V')
    """
    return _recorded(data, "svd", n, dim, mask, scale, _Recipe(solver, tol, random_state))


def pca(
    data: Decomposable,
    n: int | float | str = 16,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    scale: str | None = None,
    solver: str | None = None,
    tol: float = 1e-6,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its principal components, about the mean over positions.

    A lazy array stays lazy, and cells that are not finite are treated as in :func:`svd`.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real, complex or integer; fields as in :func:`svd`.
    n : int, float or "auto", optional
        Number of components, as in :func:`svd`.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    scale : {"poisson", "std"}, optional
        Divide the data first, as in :func:`svd`.
    solver : {"gram", "krylov"}, optional
        How the components are found; by default from the shape, see the notes of :func:`svd`. Recorded.
    tol : float, optional
        Relative error of a singular value at which the Krylov solver may stop.
    random_state : int, optional
        Seed of the Krylov solver; the Gram solver does not depend on it.

    Returns
    -------
    Dataset
        The variables of :func:`svd` for `data` less its mean, and ``mean`` (*spectroscopic) in the units of `data`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        `n` is not a number of components that the array can have, or fields are not numbers over the same dims.
    UnitsError
        Fields have different units, and `scale` is not "std".

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
    return _recorded(data, "pca", n, dim, mask, scale, _Recipe(solver, tol, random_state))


@dataclass(frozen=True, slots=True)
class _Recipe:
    solver: str | None
    tol: float
    random_state: int


def _recorded(
    given: Decomposable,
    verb: str,
    n: int | float | str,
    dim: Dims | None,
    mask: xr.DataArray | None,
    scale: str | None,
    recipe: _Recipe,
) -> xr.Dataset:
    data, dim = together(given, dim, any_units=scale == "std")
    refuse_dim(data, "component")
    samples, features = split(data, dim)
    height, width = _count(data, samples), _count(data, features)
    open_ended = n == "auto" or (isinstance(n, float) and 0 < n < 1)
    most = min(height, width, _MOST_TRIED) if open_ended else n
    check_n(most, min(height, width), f"{height} positions and {width} spectroscopic steps")
    count = int(most)
    recipe = replace(recipe, solver=_solver(recipe.solver, height, width, count))
    used = masked(data, mask)

    def decompose(some: xr.DataArray) -> xr.Dataset:
        return _decomposed(some, count, features, verb == "pca", recipe)

    found = decompose(used) if scale is None else decompose_scaled(used, features, scale, decompose)
    if open_ended:
        known = record(found, data, verb, {})
        found = found.isel(component=slice(max(1, suggest_n(known, "significant" if n == "auto" else n))))
    parameters = {"n": n, "dim": features, "mask": mask, "scale": scale, **asdict(recipe), **kept_fields(given)}
    return record(found, data, verb, parameters)


def _decomposed(data: xr.DataArray, n: int, features: tuple[str, ...], centred: bool, recipe: _Recipe) -> xr.Dataset:
    height, width = data.size // _count(data, features), _count(data, features)
    turned = recipe.solver == "gram" and height < width
    matrix = to_matrix(data, features, turned=turned)
    passes = passes_over(matrix.values)
    if turned:
        variables, found = _by_samples(matrix, passes, n, centred)
    else:
        if recipe.solver == "gram":
            found = passes.call(decompose_rows, passes.fold(block_moments, join_moments, centred), n)
        else:
            pairs = matrix.values.dtype.kind == "c"
            found = passes.iterate(lanczos, width, pairs, n, centred, recipe.random_state, recipe.tol)
        variables = _by_features(matrix, passes, n, found)
    return assemble(data, variables | _figures(matrix, passes, n, found, features, centred, recipe.solver))


def _count(data: xr.DataArray, dims: tuple[str, ...]) -> int:
    return int(np.prod([data.sizes[d] for d in dims], dtype=np.int64))


def _solver(wanted: str | None, height: int, width: int, n: int) -> str:
    """Choose the solver: the Gram matrix while it is small, or smaller than the basis of the other."""
    if wanted not in (None, "gram", "krylov"):
        raise ResultError(f"No solver {wanted!r}: it is 'gram' or 'krylov', or None to have it chosen from the shape.")
    small = min(height, width)
    return wanted or ("gram" if small <= _GRAM_SIDE or small**2 < 10 * n * width else "krylov")


def check_n(n: Any, most: int, of_what: str, things: str = "components") -> None:
    """Refuse a number of components, or of other things, that cannot be."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= most:
        raise ResultError(f"n={n!r} {things} of an array with {of_what}: n is a whole number from 1 to {most}.")


Variables = dict[str, Any]


def _by_features(matrix: Matrix, passes: Passes, n: int, found: Any) -> Variables:
    dtype = working_dtype(matrix.values.dtype)
    scores = passes.rows(project_rows, found, n, dtype)
    components = passes.array(found, _components, (n, matrix.values.shape[1]), dtype)
    return {
        "scores": matrix.along_rows(scores, "component"),
        "components": matrix.in_order(components, matrix.columns, "component"),
    }


def _by_samples(matrix: Matrix, passes: Passes, n: int, centred: bool) -> tuple[Variables, Any]:
    dtype = working_dtype(matrix.values.dtype)
    basis = passes.call(solve_turned, passes.fold(turned_moments, join_turned, centred), n, centred)
    projected = passes.rows(project_turned, basis, n + 1, np.result_type(dtype, np.float64))
    found = passes.gather(decompose_turned, matrix.along_rows(projected, "component").data, basis, n)
    height, width = matrix.values.shape
    scores = matrix.in_order(passes.array(found, _turned_scores, (n, width), dtype), matrix.columns, "component")
    components = passes.array(found, _components, (n, height), dtype)
    variables = {
        "scores": scores.transpose(..., "component"),
        "components": matrix.in_order(components, matrix.rows, "component"),
    }
    return variables, found


def _figures(
    matrix: Matrix, passes: Passes, n: int, found: Any, features: tuple[str, ...], centred: bool, solver: str | None
) -> Variables:
    figures: Variables = {
        "singular_values": passes.array(found, _values, (n,), np.float64),
        "explained_variance_ratio": passes.array(found, _ratio, (n,), np.float64),
    }
    if solver == "krylov":
        figures["singular_values_error"] = passes.array(found, _errors, (n,), np.float64)
    if centred:
        width = _count(matrix.labelled, features)
        mean = passes.array(found, _mean, (1, width), working_dtype(matrix.values.dtype))
        figures["mean"] = matrix.in_order(mean, features)
    return figures


def _components(found: Decomposed) -> Any:
    return np.where(found.holes, np.nan, found.components) if found.holes.any() else found.components


def _mean(found: Decomposed) -> Any:
    return np.where(found.holes, np.nan, found.mean)


def _values(found: Decomposed) -> Any:
    return found.values


def _ratio(found: Decomposed) -> Any:
    return found.ratio


def _errors(found: Decomposed) -> Any:
    return found.errors


def _turned_scores(found: Decomposed) -> Any:
    return None if found.scores is None else found.scores.T
