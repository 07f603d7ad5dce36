"""Labelled array to the profiles of its constituents, by alternating least squares under constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import Dims
from usidx.learn.blocks import Blocks, pieces
from usidx.learn.constrained import least_squares
from usidx.learn.endmembers import farthest_rows
from usidx.learn.holes import without_holes
from usidx.learn.matrix import masked, refuse_dim, row_numbers, to_matrix, working_dtype
from usidx.learn.passes import passes_over
from usidx.learn.reconstruct import scores_of
from usidx.learn.result import assemble
from usidx.learn.survey import survey
from usidx.learn.svd import check_n
from usidx.results.provenance import record

__all__ = ["mcr_als"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Resolved:
    components: Array
    holes: npt.NDArray[np.bool_]
    error: float


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the factors have to obey."""

    closure: bool
    nonnegative: bool
    unimodal: bool


def mcr_als(
    data: xr.DataArray,
    n: int,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    initial: xr.DataArray | None = None,
    closure: bool = False,
    nonnegative_components: bool = True,
    unimodal: bool = False,
    random_state: int = 0,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> xr.Dataset:
    """Resolve an array into constituents: non-negative concentrations times their profiles.

    A lazy array stays lazy; when the result is computed, one node reads the blocks once per iteration, a few at a
    time, and holds only the profiles. Arrays up to 64 MiB are read once and held. Positions with a cell that is not
    finite are left out and get NaN; what is not finite at every position gets NaN profiles.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Real; negative cells are allowed, as noise has them.
    n : int
        Number of constituents.
    dim : str or iterable of str, optional
        The dims of a profile; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    initial : DataArray, dims (component, *spectroscopic), optional
        Profiles to begin with; by default the purest rows of a sample.
    closure : bool, optional
        The concentrations of a position sum to one.
    nonnegative_components : bool, optional
        The profiles are not negative either.
    unimodal : bool, optional
        The profiles have one maximum; for a single dim.
    random_state : int, optional
        Chooses the sample, where there are more rows than can be held.
    max_iter : int, optional
        Most iterations; each is a pass over the data.
    tol : float, optional
        Stop when an iteration lowers the error by less than this part of it.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), the concentrations; ``components`` (component, *spectroscopic), the profiles;
        ``reconstruction_error``, the Frobenius norm of what is left. With `closure` the scores are dimensionless and
        the profiles have the units of `data`; else the profiles are of norm one and the scores have the units.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex, `n` is not a number of constituents that the array can have, `initial` does not fit, or
        unimodal profiles over several dims are asked for.

    References
    ----------
    .. [1] R. Tauler, Multivariate curve resolution applied to second order data, Chemometrics and Intelligent
       Laboratory Systems 30 (1995) 133-146.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.mcr import mcr_als
    >>> cube = xr.DataArray([[1.0, 0, 0], [0, 2, 2], [1, 1, 1]], dims=("x", "energy"))
    >>> mcr_als(cube, 2, dim="energy").components.round(3).values
    array([[0.   , 0.707, 0.707],
           [1.   , 0.   , 0.   ]])
    """
    refuse_dim(data, "component")
    if data.dtype.kind == "c":
        raise ResultError(f"Array {data.name!r} is {data.dtype}: constituents need real data. Pass abs(data).")
    used = masked(data, mask)
    matrix = to_matrix(used, dim)
    height, width = matrix.values.shape
    check_n(n, min(height, width), f"{height} positions and {width} spectroscopic steps", "constituents")
    if unimodal and len(matrix.columns) > 1:
        raise ResultError(f"Profiles over the dims {matrix.columns} have no one maximum: unimodal= is for one dim.")
    passes, dtype = passes_over(matrix.values), working_dtype(matrix.values.dtype)
    rules = _Rules(closure, nonnegative_components, unimodal)
    begun = None if initial is None else _initial(initial, n, matrix.columns, width)
    arguments = (row_numbers(matrix), width, n, begun, rules, random_state, max_iter, tol)
    found = passes.iterate(_resolved, *arguments)
    components = matrix.in_order(passes.array(found, _components, (n, width), dtype), matrix.columns, "component")
    scores = scores_of(xr.Dataset({"components": components}), used, "closed" if closure else "nonnegative")
    error = passes.array(found, _error, (), np.float64)
    variables = {"scores": scores, "components": components, "reconstruction_error": error}
    result = assemble(data, variables, units_in="components" if closure else "scores")
    parameters = {
        "n": n,
        "dim": matrix.columns,
        "initial": initial is not None,
        "closure": closure,
        "nonnegative_components": nonnegative_components,
        "unimodal": unimodal,
        "random_state": random_state,
        "max_iter": max_iter,
        "tol": tol,
    }
    return record(result, data, "mcr_als", parameters)


def _initial(initial: xr.DataArray, n: int, columns: tuple[str, ...], width: int) -> Array:
    if set(initial.dims) != {"component", *columns} or initial.shape[initial.dims.index("component")] != n:
        raise ResultError(f"Initial profiles have the dims {('component', *columns)} and n={n}; got {initial.sizes}.")
    found = np.asarray(initial.transpose("component", *columns).values, np.float64)
    if found.size != n * width:
        raise ResultError(f"Initial profiles have {found.size // n} steps each; the data has {width}.")
    return found.reshape(n, width)


def _resolved(
    blocks: Blocks,
    numbers: Array,
    width: int,
    n: int,
    begun: Array | None,
    rules: _Rules,
    seed: int,
    max_iter: int,
    tol: float,
) -> _Resolved:
    seen = survey(blocks, numbers, width, seed)
    if not seen.count:
        return _Resolved(np.zeros((n, width)), seen.holes, 0.0)
    sample = seen.sample.astype(np.float64)
    components = sample[farthest_rows(sample, n)] if begun is None else np.where(seen.holes, 0, begun)
    components, previous, error = _obeying(components, rules), np.inf, float(np.sqrt(seen.square))
    for _ in range(max_iter):
        inner, outer = blocks.fold(_products, _join, components, seen.holes, rules.closure)
        components = _obeying(_profiles(inner, outer, rules), rules)
        error = _residual(seen.square, components, inner, outer)
        if previous - error <= tol * error:
            break
        previous = error
    return _ordered(_Resolved(components, seen.holes, error), inner, rules)


def _products(block: Array, components: Array, holes: Array, closed: bool) -> tuple[Array, Array]:
    """Return the sums over rows x of concentrations c: c cᵀ and c xᵀ."""
    rows, _ = without_holes(block, holes)
    gram = components @ components.T
    inner, outer = np.zeros(gram.shape), np.zeros(components.shape)
    for part in pieces(len(rows), rows.shape[1] * 8):
        near = rows[part].astype(np.float64)
        scores = least_squares(gram, near @ components.T, closed=closed)
        inner += scores.T @ scores
        outer += scores.T @ near
    return inner, outer


def _join(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] + second[0], first[1] + second[1]


def _profiles(inner: Array, outer: Array, rules: _Rules) -> Array:
    if rules.nonnegative:
        return least_squares(inner, outer.T, closed=False).T
    return np.asarray(np.linalg.pinv(inner, hermitian=True) @ outer)


def _obeying(components: Array, rules: _Rules) -> Array:
    components = np.maximum(components, 0) if rules.nonnegative else components
    return np.stack([_unimodal(row) for row in components]) if rules.unimodal else components


def _unimodal(profile: Array) -> Array:
    """Return the nearest profile that rises to the maximum and falls after it."""
    from scipy.optimize import isotonic_regression

    top = int(profile.argmax())
    rising, falling = isotonic_regression(profile[: top + 1]).x, isotonic_regression(profile[top:], increasing=False).x
    return np.concatenate([rising[:-1], [max(rising[-1], falling[0])], falling[1:]])


def _residual(square: float, components: Array, inner: Array, outer: Array) -> float:
    left = square - 2 * float(np.vdot(components, outer)) + float(np.vdot(components @ components.T, inner))
    return float(np.sqrt(max(left, 0.0)))


def _ordered(found: _Resolved, inner: Array, rules: _Rules) -> _Resolved:
    """Put the constituent of largest concentrations first; without closure, profiles are scaled to norm one."""
    norms = np.linalg.norm(found.components, axis=1)
    norms[norms == 0] = 1
    size = np.sqrt(np.diag(inner)) * (1 if rules.closure else norms)
    components = found.components if rules.closure else found.components / norms[:, np.newaxis]
    return _Resolved(components[np.argsort(-size, kind="stable")], found.holes, found.error)


def _components(found: _Resolved) -> Array:
    return np.where(found.holes, np.nan, found.components)


def _error(found: _Resolved) -> float:
    return found.error
