"""Labelled array of cells that are not negative but for noise -> non-negative scores and components."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims, split
from usidx.learn.factors.hals import Factors, factorise, factorise_sample
from usidx.learn.factors.penalty import Penalty
from usidx.learn.factors.sketched_nmf import choose_basis, factorise_by_sketch
from usidx.learn.matrix.exponent import find_exponent, lower_blocks
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import (
    check_n,
    check_seed,
    choose_working_dtype,
    count_cells,
    number_rows,
    refuse_dim,
    to_matrix,
)
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, ITERATED, SINGULAR, assemble
from usidx.learn.matrix.sample import Numbers, Survey, refuse_more_than_noise, survey
from usidx.learn.weighting import Even, decompose_scaled
from usidx.results.declarations import Quantity
from usidx.results.verbs import add_choices, verb
from usidx.tasks.blocks import Blocks
from usidx.tasks.passes import plan_passes
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.progress import Iterations

__all__ = ["nmf"]

Array = npt.NDArray[Any]

SOLVERS = ("hals", "compressed")
#: Data no larger than this is iterated over as it is.
_LARGE = 2**26


@verb(
    **DECOMPOSITION,
    outputs={
        **FACTORS,
        **ITERATED,
        "scale": SINGULAR["scale"],
        "relative_error": Quantity("Norm of the residual over that of the data"),
    },
    projection="nonnegative",
)
def nmf(
    data: Decomposable,
    n: int,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    scale: str | None = None,
    solver: str | None = None,
    alpha_W: float = 0.0,
    alpha_H: float | str = "same",
    l1_ratio: float = 0.0,
    random_state: int = 0,
    max_iter: int = 200,
    tol: float = 1e-6,
) -> xr.Dataset:
    """Factorise an array into non-negative scores and components.

    A lazy array stays lazy; when the result is computed, one node reads the blocks, a few at a time: once per iteration
    ("hals"), or four times and more ("compressed"). Lazy arrays up to 64 MiB are read once and held. Positions
    with a cell that is not finite are left out and get NaN scores; what is not finite at every position gets NaN
    components.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real or integer. Noise about zero may reach below it, by a quarter of the highest cell at most; for a lazy array
        that is checked when the result is computed. Fields of a Dataset stand side by side, as in :func:`svd`.
    n : int
        Number of components.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    scale : {"poisson", "std"}, optional
        Divide the data first, as in :func:`svd`, so that noise that grows with the counts does not pass for structure.
        The components are given their scale back, and are then of norm one only if divided by ``scale``; errors and
        penalties are those of the divided data.
    solver : {"hals", "compressed"}, optional
        How the factors are found, see the notes; by default "hals" up to 64 MiB of data and "compressed" above, whether
        the data is lazy or not. Recorded.
    alpha_W, alpha_H : float, optional
        Weights of the penalties on scores and components, as in scikit-learn [5]_; `alpha_H` is that of the scores
        where it is "same". A penalty on one of them alone is evaded by scaling the other.
    l1_ratio : float, optional
        The part of the penalty that is on absolute values, from 0 to 1; the rest is on squares.
    random_state : int, optional
        Chooses the rows that the start is found from, where there are more than can be held, and what the sketch of
        "compressed" looks for beyond them.
    max_iter : int, optional
        Most iterations; with "hals" each is a pass over the data.
    tol : float, optional
        Stop when two iterations lower the error by less than this part of it each. A larger one saves passes of
        "hals": on a mixture of six overlapping peaks ten times the default took a tenth of them, for an error larger
        by a thousandth.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), in the units of `data`; ``components`` (component, *spectroscopic), of norm
        one, dimensionless, in falling order of the norm of their scores; ``reconstruction_error``, the Frobenius norm
        of what is left, and ``relative_error``, the same over the norm of the data. With penalties the components have
        the norm that these give them.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex or has cells far below zero, `n` is not a number of components that the array can have,
        there is no such solver, a weight is negative, or fields are not numbers over the same dims.
    UnitsError
        Fields have different units.

    Notes
    -----
    "hals": hierarchical alternating least squares [1]_ with several sweeps per product [2]_ and extrapolation [3]_,
    started from the positive parts of the singular vectors of a sample of the rows [4]_, settled on that sample first.
    Of lazy data the scores of three steps are held.

    "compressed": the same on a sketch of 2 n + 16 columns [6]_ [7]_ of at most 16 MiB, then passes over the data, each
    with the scores that suit the components best, until one lowers the error by less than 2e-5 of it (or `tol`), at
    most 20 or 21. The last of them finds the error, which is that of the data and not of the sketch. Tests hold it to
    at most a thousandth above the error of "hals" on data with a gap in its spectrum, without one, and with much noise;
    without a gap it takes most passes.

    With N complete positions of m known cells, half the square of the error plus ``alpha_W m (l1_ratio Σ W +
    (1 - l1_ratio) Σ W² / 2)`` for the scores W, and the same with ``alpha_H N`` for the components, is made small.

    Cells below zero are fitted as they are. Noise about zero so averages out, which it would not after
    ``data.clip(min=0)``.

    The error is the root of a difference of sums: a ``relative_error`` below about 1e-3 in single precision, and 1e-7
    in double, says that hardly anything is left, but not how little.

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
    .. [5] https://scikit-learn.org/stable/modules/generated/sklearn.decomposition.NMF.html
    .. [6] M. Tepper, G. Sapiro, Compressed nonnegative matrix factorization is fast and accurate, IEEE Transactions on
       Signal Processing 64 (2016) 2269-2283.
    .. [7] N. B. Erichson, A. Mendible, S. Wihlborn, J. N. Kutz, Randomized nonnegative matrix factorization, Pattern
       Recognition Letters 104 (2018) 1-7.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.nmf import nmf
    >>> cube = xr.DataArray(np.outer([1.0, 2.0], [3.0, 4.0]), dims=("x", "energy"))
    >>> found = nmf(cube, 1, dim="energy")
    >>> found.components.values.round(3), found.scores.values.round(3).ravel()
    (array([[0.6, 0.8]]), array([ 5., 10.]))
    """
    fields = kept_fields(data)
    data, dim = join_fields(data, dim, any_units=scale == "std")
    refuse_dim(data, "component", "scores", "components", "reconstruction_error", "relative_error")
    if data.dtype.kind == "c":
        raise ResultError(
            f"Array {data.name!r} is {data.dtype}: non-negative factors need real data. Pass abs(data), or one of "
            f"data.real and data.imag."
        )
    samples, features = split(data, dim)
    height, width = count_cells(data, samples), count_cells(data, features)
    check_n(n, min(height, width), f"{height} positions and {width} spectroscopic steps")
    solver = _choose_solver(solver, data.nbytes)
    penalty = Penalty(alpha_W, alpha_W if alpha_H == "same" else alpha_H, l1_ratio)  # type: ignore[arg-type]
    random_state = check_seed(random_state)
    recipe = _Recipe(n, solver, penalty, random_state, max_iter, tol)
    used = apply_mask(data, mask)

    def decompose(some: xr.DataArray, even: Even | None = None) -> xr.Dataset:
        return _decompose(some, features, recipe, even)

    found = decompose(used) if scale is None else decompose_scaled(used, features, scale, decompose, reproject=False)
    return add_choices(found, dim=features, solver=solver, alpha_W=penalty.scores, alpha_H=penalty.components, **fields)


@dataclass(frozen=True, slots=True)
class _Recipe:
    n: int
    solver: str
    penalty: Penalty
    random_state: int
    max_iter: int
    tol: float


def _decompose(data: xr.DataArray, features: tuple[str, ...], recipe: _Recipe, even: Even | None) -> xr.Dataset:
    matrix = to_matrix(data, features)
    width = matrix.values.shape[1]
    passes, dtype = plan_passes(matrix.values), choose_working_dtype(matrix.values.dtype)
    seen = passes if even is None else even.see(passes)
    found = seen.iterate(_find_factors, number_rows(matrix), width, recipe)
    components = passes.pick_array(found, _pick_components, (recipe.n, width), dtype)
    variables = {
        "scores": matrix.label_rows(passes.split(found, "scores", recipe.n, dtype), "component"),
        "components": matrix.label_cells(components, matrix.columns, "component"),
        "reconstruction_error": passes.pick_array(found, "error", (), np.float64),
        "relative_error": passes.pick_array(found, _pick_relative_error, (), np.float64),
    }
    return assemble(data, variables)


def _choose_solver(wanted: str | None, size: int) -> str:
    """Choose the solver by the size of the data alone, so that a lazy array gives what it gives in memory."""
    if wanted not in (None, *SOLVERS):
        raise ResultError(f"No solver {wanted!r}: it is one of {SOLVERS}, or None to have it chosen by size.")
    return wanted or ("hals" if size <= _LARGE else "compressed")


def _find_factors(blocks: Blocks, numbers: Numbers, width: int, recipe: _Recipe) -> Factors:
    # The small products between passes are over before a second thread has begun.
    with limit_blas():
        seen = survey(blocks, numbers, width, recipe.random_state)
        refuse_more_than_noise(seen)
        exponent = find_exponent(seen.sample)
        if exponent:
            blocks, recipe = lower_blocks(blocks, exponent), replace(recipe, penalty=recipe.penalty.lower(exponent))
            seen = survey(blocks, numbers, width, recipe.random_state)
        components = factorise_sample(seen.sample, recipe.n, recipe.tol, recipe.penalty)
        is_sketched = recipe.solver == "compressed" and seen.square > 0
        basis = choose_basis(seen, recipe.n, recipe.random_state) if is_sketched else None
        seen = seen.drop_sample()
        found = _order(_iterate(blocks, seen, numbers, components, basis, recipe), scaled=not recipe.penalty)
    return _restore_scale(found, exponent) if exponent else found


def _restore_scale(found: Factors, exponent: int) -> Factors:
    """Return the factors of what was lowered by a power of two; the components do not change."""
    error, norm = float(np.ldexp(found.error, exponent)), float(np.ldexp(found.norm, exponent))
    return replace(found, scores=found.scores.change(np.ldexp, exponent), error=error, norm=norm)


def _iterate(
    blocks: Blocks, seen: Survey, numbers: Numbers, components: Array, basis: Array | None, recipe: _Recipe
) -> Factors:
    most, tol, penalty = recipe.max_iter, recipe.tol, recipe.penalty
    if basis is not None:
        known: Any = {"seed": recipe.random_state, "max_iter": most, "tol": tol, "penalty": penalty}
        return factorise_by_sketch(blocks, seen, numbers, components, basis, **known)
    return factorise(blocks, seen, components, most, tol, penalty, watched=Iterations("nmf", most, "error"))


def _order(found: Factors, *, scaled: bool) -> Factors:
    """Put the strongest component first; scale them to norm one where no penalty settles their norm."""
    norms = np.linalg.norm(found.components, axis=1)
    order = np.argsort(-np.sqrt(found.sizes) * norms, kind="stable")
    factors = norms[order] if scaled else np.ones(len(norms))
    scores = found.scores.change(_reorder, order, factors)
    components = found.components[order] / np.where(factors > 0, factors, 1)[:, np.newaxis]
    return replace(found, scores=scores, sizes=found.sizes[order] * factors**2, components=components)


def _reorder(scores: Array, order: Array, factors: Array) -> Array:
    return np.asarray(scores[:, order] * factors.astype(scores.dtype))


def _pick_components(found: Factors) -> Array:
    return np.where(found.holes, np.nan, found.components)


def _pick_relative_error(found: Factors) -> Any:
    return found.error / found.norm if found.norm > 0 else 0.0
