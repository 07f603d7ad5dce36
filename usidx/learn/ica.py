"""Labelled array -> sources that are as independent as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import Dims
from usidx.learn.factors.eigen import fix_sign
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import Matrix, check_max_iter, refuse_dim, to_matrix
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, ITERATED, assemble
from usidx.learn.svd import pca
from usidx.results.verbs import add_choices, verb
from usidx.tasks.passes import plan_passes
from usidx.tasks.progress import Iterations

__all__ = ["ica"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Unmixing:
    """The matrix (n, n) that turns components, and whether the iteration settled."""

    matrix: Array
    converged: bool


@dataclass(frozen=True, slots=True)
class _Sources:
    """What turns components, and scores, into those of the sources."""

    components: Array
    scores: Array


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="linear")
def ica(
    data: Decomposable,
    n: int | float | str,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    independent: str = "scores",
    random_state: int = 0,
    max_iter: int = 500,
    tol: float = 1e-8,
) -> xr.Dataset:
    """Separate an array into sources whose maps, or whose responses, are as independent as they can be.

    A lazy array stays lazy: two passes over the blocks; the n principal scores of all positions are held. Positions
    with a cell that is not finite are left out and get NaN scores.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real. Fields of a Dataset stand side by side, as in :func:`svd`.
    n : int, float or "auto"
        Number of sources, as the number of components of :func:`pca`.
    dim : str or iterable of str, optional
        The dims of a response; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    independent : {"scores", "components"}, optional
        What is independent: the maps over positions, or the responses over steps.
    random_state : int, optional
        Decides the start.
    max_iter, tol : int, float, optional
        Most iterations, and the change of direction at which to stop.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), in the units of `data`; ``components`` (component, *spectroscopic), of norm
        one, the largest cell positive, in falling order of the norm of their scores; ``mean`` (*spectroscopic);
        ``reconstruction_error``, the Frobenius norm of what is left; ``converged``, false where the iteration was
        stopped by `max_iter`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex, `n` is not a number of sources that the array can have, `max_iter` is no number of
        iterations, or fields are not numbers over the same dims.
    UnitsError
        Fields have different units.

    Notes
    -----
    Fixed point iteration with symmetric decorrelation and the logarithm of cosh [1]_, on whitened principal scores (or
    components).

    References
    ----------
    .. [1] A. Hyvärinen, Fast and robust fixed-point algorithms for independent component analysis, IEEE Transactions on
       Neural Networks 10 (1999) 626-634.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.ica import ica
    >>> maps = np.array([[1.0, -1, 1, -1], [1, 1, -1, -1]]).T
    >>> cube = xr.DataArray(maps @ [[1.0, 0, 1], [0, 2, 1]], dims=("x", "energy"))
    >>> np.abs(ica(cube, 2, dim="energy").components.values.round(3))
    array([[0.   , 0.894, 0.447],
           [0.707, 0.   , 0.707]])
    """
    fields = kept_fields(data)
    data, dim = join_fields(data, dim)
    if data.dtype.kind == "c":
        raise ResultError(f"Array {data.name!r} is {data.dtype}: sources need real data. Pass abs(data), or data.real.")
    if independent not in ("scores", "components"):
        raise ResultError(f"No independent {independent!r}: it is 'scores' or 'components'.")
    check_max_iter(max_iter)
    refuse_dim(data, "component", *FACTORS, *ITERATED)
    found = pca(data, n, dim=dim, mask=mask, random_state=random_state)
    count = found.sizes["component"]
    scores, components = found["scores"], found["components"]
    features = tuple(str(d) for d in components.dims if d != "component")
    rows = to_matrix(scores, "component")
    passes = plan_passes(rows.values)
    flat = to_matrix(components, features)
    source = rows if independent == "scores" else Matrix(flat.values.T, flat.labelled, flat.columns, flat.rows)
    unmixing = passes.gather(_find_unmixing, source.values, independent == "scores", random_state, max_iter, tol)
    joint = passes.gather(_apply_unmixing, flat.values, unmixing, passes.gather(_sum_squares, rows.values))
    turned = passes.pick_array(joint, "components", components.shape, components.dtype)
    matrix = passes.pick_array(joint, "scores", (count, count), scores.dtype)
    variables = {
        "scores": scores.copy(data=scores.data @ matrix),
        "components": components.copy(data=turned),
        "mean": found["mean"],
        "reconstruction_error": _measure_residual(found),
        "converged": passes.pick_array(unmixing, "converged", (), bool),
    }
    return add_choices(assemble(data, variables), dim=features, **fields)


def _measure_residual(found: xr.Dataset) -> xr.DataArray:
    """Return the norm of what the components leave, from the share of the squares that they hold."""
    squares = (found["singular_values"] ** 2).sum()
    share = found["explained_variance_ratio"].sum()
    return (squares * (1 / share.where(share > 0) - 1)).clip(min=0).fillna(0) ** 0.5


def _find_unmixing(rows: Array, scores: bool, seed: int, max_iter: int, tol: float) -> _Unmixing:
    """Return what turns components; the rows, whose mixtures become independent, are scores or components."""
    n = rows.shape[1]
    known = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    if len(known) < 2:
        return _Unmixing(np.eye(n), converged=True)
    # Whitening: directions and lengths in which the rows have unit covariance, so that only a rotation is left to find.
    about = known - known.mean(axis=0)
    size, axes = np.linalg.eigh(about.T @ about / len(about))
    # Directions without spread are noise of rounding: they are left alone.
    spread = np.sqrt(np.maximum(size, 0))
    whitening = axes / np.where(spread > 1e-7 * max(float(spread[-1]), np.finfo(float).tiny), spread, np.inf)
    real = np.isfinite(whitening).all(axis=0) & (np.abs(whitening).sum(axis=0) > 0)
    turn = np.eye(n)
    count = int(real.sum())
    turn[n - count :, n - count :], settled = _iterate(about @ whitening[:, real], seed, max_iter, tol)
    restore = np.where(real, spread, 1.0)
    matrix = turn @ (axes / restore).T
    return _Unmixing(np.asarray(np.linalg.inv(matrix).T if scores else matrix), settled)


def _iterate(white: Array, seed: int, max_iter: int, tol: float) -> tuple[Array, bool]:
    """Return the rotation, and whether its change fell below `tol`."""
    drawn = np.random.default_rng(seed).normal(size=(white.shape[1],) * 2)
    matrix = _decorrelate(drawn) if white.shape[1] else drawn
    watched, before, settled = Iterations("ica", max_iter, "turned by"), np.inf, False
    for _ in range(max_iter):
        bent = np.tanh(white @ matrix.T)
        fresh = _decorrelate(bent.T @ white / len(white) - (1 - bent**2).mean(axis=0)[:, np.newaxis] * matrix)
        change = float(np.abs(np.abs((fresh * matrix).sum(axis=1)) - 1).max(initial=0.0))
        watched.tell(change)
        matrix = fresh
        settled |= change < tol
        # A cosine off by 1e-8 is an angle of 1e-4. Each step squares what is left, so a few more lead to where rounding
        # ends it, from wherever rounding had led before.
        if settled and (change < 1e-15 or change > 0.1 * before):
            break
        before = change
    return matrix, settled


def _decorrelate(matrix: Array) -> Array:
    """Return the orthogonal matrix nearest to this one: the symmetric decorrelation of all rows at once."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def _sum_squares(rows: Array) -> Array:
    known = np.where(np.isfinite(rows), rows, 0).astype(np.float64)
    return np.asarray(known.T @ known)


def _apply_unmixing(components: Array, unmixing: _Unmixing, squares: Array) -> _Sources:
    """Return components of norm one, strongest first, and the matrix that gives their scores."""
    holes = np.logical_not(np.isfinite(components).all(axis=0))
    turned, back = unmixing.matrix @ np.where(holes, 0, components), np.linalg.inv(unmixing.matrix)
    norms = np.linalg.norm(turned, axis=1)
    norms[norms == 0] = 1
    factor = fix_sign(turned) / norms
    turned, back = turned * factor[:, np.newaxis], back / factor
    order = np.argsort(-np.sqrt(np.maximum(np.diag(back.T @ squares @ back), 0)), kind="stable")
    return _Sources(np.where(holes, np.nan, turned[order]), back[:, order])
