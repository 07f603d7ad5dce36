"""Labelled array -> the profiles of its constituents, by alternating least squares under constraints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims
from usidx.learn.factors.endmembers import choose_farthest_rows
from usidx.learn.factors.nnls import solve_least_squares
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import (
    check_max_iter,
    check_n,
    check_seed,
    choose_working_dtype,
    number_rows,
    refuse_dim,
    to_matrix,
)
from usidx.learn.matrix.missing import keep_complete
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, ITERATED, assemble
from usidx.learn.matrix.sample import Numbers, Survey, survey
from usidx.learn.reconstruct import find_scores
from usidx.results.verbs import add_choices, verb
from usidx.tasks.blocks import Blocks, cut_pieces
from usidx.tasks.passes import plan_passes
from usidx.tasks.progress import Iterations

__all__ = ["mcr_als"]

Array = npt.NDArray[Any]

#: Iterations without a lower error, as unimodality may make them, until it is given up.
_PATIENCE = 8
#: Part of the sum of squares below which what is left of it is rounding.
_ROUNDING = 32 * np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True)
class _Resolution:
    """Profiles, the error of them with the concentrations they give, and the sums over these, c cᵀ."""

    components: Array
    holes: npt.NDArray[np.bool_]
    error: float
    inner: Array
    converged: bool


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the factors have to obey."""

    closure: bool
    nonnegative: bool
    unimodal: bool


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="nonnegative")
def mcr_als(
    data: Decomposable,
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
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real; negative cells are allowed, as noise has them. Fields of a Dataset stand side by side, as in :func:`svd`.
    n : int
        Number of constituents.
    dim : str or iterable of str, optional
        The dims of a profile; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    initial : DataArray, dims (component, *spectroscopic), optional
        Profiles to begin with, of any length, which are computed; by default the purest rows of a sample.
    closure : bool, optional
        The concentrations of a position sum to one.
    nonnegative_components : bool, optional
        The profiles are not negative either.
    unimodal : bool, optional
        The profiles rise to one maximum and fall after it; for a single dim.
    random_state : int, optional
        Chooses the sample, where there are more rows than can be held.
    max_iter : int, optional
        Most iterations; each is a pass over the data, and one more is for the error.
    tol : float, optional
        Stop when an iteration changes the error by less than this part of it.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), the concentrations; ``components`` (component, *spectroscopic), the profiles;
        ``reconstruction_error``, the Frobenius norm of what is left; ``converged``, false where the iteration did not
        settle within `max_iter`, or went on to raise the error: the best profiles it met are returned. With `closure`
        the scores are dimensionless and the profiles have the units of `data`; else the profiles are of norm one and
        the scores have the units.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex, `n` is not a number of constituents that the array can have, `initial` does not fit,
        unimodal profiles over several dims are asked for, fields are not numbers over the same dims, or `max_iter` is
        not a number of iterations.
    UnitsError
        Fields have different units.

    Notes
    -----
    Each step solves its constrained least squares exactly; unimodal profiles are then the nearest to the solution [2]_.

    References
    ----------
    .. [1] R. Tauler, Multivariate curve resolution applied to second order data, Chemometrics and Intelligent
       Laboratory Systems 30 (1995) 133-146.
    .. [2] Q. Stout, Unimodal regression via prefix isotonic regression, Computational Statistics and Data Analysis 53
       (2008) 289-297.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.mcr import mcr_als
    >>> cube = xr.DataArray([[1.0, 0, 0], [0, 2, 2], [1, 1, 1]], dims=("x", "energy"))
    >>> mcr_als(cube, 2, dim="energy").components.round(3).values
    array([[0.   , 0.707, 0.707],
           [1.   , 0.   , 0.   ]])
    """
    fields = kept_fields(data)
    data, dim = join_fields(data, dim)
    refuse_dim(data, "component", "scores", "components", "reconstruction_error", "converged")
    check_max_iter(max_iter)
    random_state = check_seed(random_state)
    if data.dtype.kind == "c":
        raise ResultError(f"Array {data.name!r} is {data.dtype}: constituents need real data. Pass abs(data).")
    used = apply_mask(data, mask)
    matrix = to_matrix(used, dim)
    height, width = matrix.values.shape
    check_n(n, min(height, width), f"{height} positions and {width} spectroscopic steps", "constituents")
    if unimodal and len(matrix.columns) > 1:
        raise ResultError(f"Profiles over the dims {matrix.columns} have no one maximum: unimodal= is for one dim.")
    passes, dtype = plan_passes(matrix.values), choose_working_dtype(matrix.values.dtype)
    rules = _Rules(closure, nonnegative_components, unimodal)
    begun = None if initial is None else _check_initial(initial, n, used, matrix.columns)
    arguments = (number_rows(matrix), width, n, begun, rules, random_state, max_iter, tol)
    found = passes.iterate(_resolve, *arguments)
    components = matrix.label_cells(
        passes.pick_array(found, _pick_components, (n, width), dtype), matrix.columns, "component"
    )
    scores = find_scores(xr.Dataset({"components": components}), used, "closed" if closure else "nonnegative")
    error = passes.pick_array(found, "error", (), np.float64)
    settled = passes.pick_array(found, "converged", (), bool)
    variables = {"scores": scores, "components": components, "reconstruction_error": error, "converged": settled}
    result = assemble(data, variables, units_in="components" if closure else "scores")
    return add_choices(result, dim=matrix.columns, **fields)


def _check_initial(initial: xr.DataArray, n: int, data: xr.DataArray, columns: tuple[str, ...]) -> Array:
    if set(initial.dims) != {"component", *columns} or initial.sizes["component"] != n:
        raise ResultError(
            f"Initial profiles have the dims {('component', *columns)} and n={n}; got {dict(initial.sizes)}."
        )
    for dim in columns:
        if initial.sizes[dim] != data.sizes[dim]:
            raise ResultError(
                f"Initial profiles have {initial.sizes[dim]} steps along {dim!r}; the data has {data.sizes[dim]}."
            )
        if dim in initial.coords and dim in data.coords and not np.array_equal(initial[dim], data[dim]):
            raise ResultError(f"Initial profiles have other coordinates {dim!r} than the data: interpolate them.")
    return np.asarray(initial.transpose("component", *columns).values, np.float64).reshape(n, -1)


def _resolve(
    blocks: Blocks,
    numbers: Numbers,
    width: int,
    n: int,
    initial: Array | None,
    rules: _Rules,
    seed: int,
    max_iter: int,
    tol: float,
) -> _Resolution:
    seen = survey(blocks, numbers, width, seed)
    components = _constrain(
        _choose_start(seen, n, rules) if initial is None else _take_out_holes(initial, seen.holes), rules, seen.holes
    )
    best, previous, steps_without_gain = None, np.inf, 0
    watched = Iterations("mcr_als", max_iter + 1, "error", "pass")
    for step in range(max_iter + 1):
        inner, outer = blocks.fold(_sum_products, _join, components, seen.holes, rules.closure)
        error = _measure_residual(seen.square, components, inner, outer)
        watched.tell(error)
        settled = error == 0 or abs(previous - error) <= tol * error
        improved = best is None or error < best.error
        steps_without_gain = 0 if improved else steps_without_gain + 1
        if improved:
            best = _Resolution(components, seen.holes, error, inner, settled)
        if settled or steps_without_gain == _PATIENCE or step == max_iter:
            break
        previous = error
        components = _constrain(_find_profiles(inner, outer, rules), rules, seen.holes)
    assert best is not None
    return _order(replace(best, converged=settled), rules)


def _choose_start(seen: Survey, n: int, rules: _Rules) -> Array:
    """Return the purest rows of the sample."""
    sample = seen.sample.astype(np.float64)
    sample = np.maximum(sample, 0) if rules.nonnegative else sample
    return sample[choose_farthest_rows(sample, n)]


def _take_out_holes(initial: Array, holes: Array) -> Array:
    """Return the initial profiles, zero where the data has holes."""
    if not np.isfinite(initial[:, ~holes]).all():
        raise ResultError("Initial profiles have cells that are not finite, at steps where the data is known.")
    return np.where(holes, 0, initial)


def _sum_products(block: Array, components: Array, holes: Array, closed: bool) -> tuple[Array, Array]:
    """Return the sums over rows x of concentrations c: c cᵀ and c xᵀ."""
    rows, _ = keep_complete(block, holes)
    gram = components @ components.T
    inner, outer = np.zeros(gram.shape), np.zeros(components.shape)
    for part in cut_pieces(len(rows), rows.shape[1] * 8):
        near = rows[part].astype(np.float64)
        scores = solve_least_squares(gram, near @ components.T, closed=closed)
        inner += scores.T @ scores
        outer += scores.T @ near
    return inner, outer


def _join(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] + second[0], first[1] + second[1]


def _find_profiles(inner: Array, outer: Array, rules: _Rules) -> Array:
    """Return the least squares profiles of the concentrations whose sums these are."""
    if rules.nonnegative:
        return solve_least_squares(inner, outer.T, closed=False).T
    return np.asarray(np.linalg.pinv(inner, hermitian=True) @ outer)


def _constrain(components: Array, rules: _Rules, holes: Array) -> Array:
    """Return the nearest profiles that the rules allow."""
    components = np.maximum(components, 0) if rules.nonnegative else components
    if rules.unimodal:
        components = components.copy()
        components[:, ~holes] = [_make_unimodal(row) for row in components[:, ~holes]]
    return components


def _make_unimodal(profile: Array) -> Array:
    """Return the nearest profile that rises to a maximum, wherever that is, and falls after it."""
    from scipy.optimize import isotonic_regression

    errors = _measure_rise_errors(profile) + _measure_rise_errors(profile[::-1])[::-1]
    top = int(errors.argmin())
    sides = [(profile[:top], True), (profile[top:], False)]
    return np.concatenate([isotonic_regression(side, increasing=up).x for side, up in sides if side.size])


def _measure_rise_errors(values: Array) -> Array:
    """Return the squared distance of the first k values, k from 0 to all, to the nearest that do not fall.

    Neighbours that fall are pooled to their mean as each value comes; the error changes by theirs alone.
    """
    errors, total = np.zeros(len(values) + 1), 0.0
    means: list[float] = []
    counts: list[int] = []
    for k, value in enumerate(values.tolist(), 1):
        mean, count = value, 1
        while means and means[-1] >= mean:
            other, more = means.pop(), counts.pop()
            total += (other - mean) ** 2 * count * more / (count + more)
            mean, count = (mean * count + other * more) / (count + more), count + more
        means.append(mean)
        counts.append(count)
        errors[k] = total
    return errors


def _measure_residual(square: float, components: Array, inner: Array, outer: Array) -> float:
    left = square - 2 * float(np.vdot(components, outer)) + float(np.vdot(components @ components.T, inner))
    # Less is rounding of the sums, which differs between processors, and an exact fit would never settle.
    return float(np.sqrt(left)) if left > _ROUNDING * square else 0.0


def _order(found: _Resolution, rules: _Rules) -> _Resolution:
    """Put the constituent of largest concentrations first; without closure, profiles are scaled to norm one."""
    norms = np.linalg.norm(found.components, axis=1)
    norms[norms == 0] = 1
    size = np.sqrt(np.diag(found.inner)) * (1 if rules.closure else norms)
    components = found.components if rules.closure else found.components / norms[:, np.newaxis]
    return replace(found, components=components[np.argsort(-size, kind="stable")])


def _pick_components(found: _Resolution) -> Array:
    return np.where(found.holes, np.nan, found.components)
