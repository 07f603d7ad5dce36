"""Labelled array -> its leading singular vectors: `svd` as it stands, `pca` about its mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims, split
from usidx.learn.factors.eigen import Decomposition, decompose_rows, pick_components, project_rows
from usidx.learn.factors.gram import join_moments, sum_moments
from usidx.learn.factors.gram_of_samples import (
    decompose_projection,
    find_sample_moments,
    project_features,
    solve_sample_gram,
)
from usidx.learn.factors.lanczos import Aim, run_lanczos
from usidx.learn.factors.products import choose_dtype
from usidx.learn.factors.projections import are_images_kept, find_scores
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import (
    Matrix,
    check_n,
    check_seed,
    choose_working_dtype,
    count_cells,
    refuse_dim,
    to_matrix,
)
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, SINGULAR, assemble
from usidx.learn.suggest_n import suggest_n
from usidx.learn.weighting import Even, decompose_scaled
from usidx.results.verbs import add_choices, delegate, record_step, verb
from usidx.tasks.passes import Passes, plan_passes

__all__ = ["pca", "svd"]

#: Components where nobody says how many; and that are looked through, to begin with, for as many as matter.
_NUMBER, _MOST_TRIED = 16, 128
_OR_ELSE = ", a part of the variance between 0 and 1, or 'auto'"
#: Up to this many rows and columns a Gram matrix is 32 MiB, and its eigenvectors take seconds at most.
_GRAM_SIDE = 2048
_GRAM_MOST = 8192
SOLVERS = ("gram", "krylov", "adaptive")
#: Fewer cells are decomposed at once in any way; more bytes are taken to be read anew in each pass.
_FEW_CELLS = 2**20
_CACHED_BYTES = 2**33


@verb(
    "SVD",
    datasets={"scores": "U", "components": "V", "singular_values": "S"},
    dims={"component": "Principal Component"},
    old_labels=("Principal_Component",),
    count="num_components",
    algorithm="svd_method",
    outputs={**FACTORS, **SINGULAR},
    projection="linear",
)
def svd(
    data: Decomposable,
    n: int | float | str | None = None,
    *,
    dim: Dims | None = None,
    center: bool = False,
    mask: xr.DataArray | None = None,
    scale: str | None = None,
    solver: str | None = None,
    tol: float = 1e-7,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its leading singular vectors, as it stands or about its mean.

    A lazy array stays lazy: the result is a graph of passes over the blocks, each starting when the one before is done,
    so a few blocks per worker are held at a time: two passes, or as many as the solver takes. Positions with a cell
    that is not finite are left out and get NaN scores; what is not finite at every position gets NaN components.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real, complex or integer. The fields of a Dataset stand side by side: the components have the dim ``field`` too,
        and :func:`reconstruct` gives a Dataset again.
    n : int, float or "auto", optional
        Number of components, by default 16, or as many as the array can have. Computes the singular values, also of a
        lazy array, to find it where it is a part of the variance, between 0 and 1, or "auto": those that stand out of
        the noise, see :func:`suggest_n`.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    center : bool, optional
        Remove the mean over positions first. That is :func:`pca`, and is recorded and written as such.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    scale : {"poisson", "std"}, optional
        Divide the data first, which takes one more pass: by the roots of its means over positions and over steps, so
        that the noise of counts is even [3]_; or each step by its standard deviation. The components are given their
        scale back, and are then orthonormal only if divided by ``scale`` (*spectroscopic), which is in the result. With
        "std" they have the units of `data`, and scores and singular values have none.
    solver : {"gram", "krylov", "adaptive"}, optional
        How the components are found; by default chosen by what it costs, see the notes of :func:`svd`. Recorded.
    tol : float, optional
        Relative error of a singular value at which Krylov passes may stop; components are then right to about its root.
    random_state : int, optional
        Seed of the Krylov passes; the Gram solver does not depend on it.

    Returns
    -------
    Dataset
        ``scores`` (*position, component) = `data` times the conjugate components, in the units of `data`;
        ``components`` (component, *spectroscopic), orthonormal, dimensionless; ``singular_values`` (component),
        falling; ``explained_variance_ratio`` (component). With `center` the same of `data` less its mean, and ``mean``
        (*spectroscopic) in the units of `data`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        `n` is not a number of components that the array can have, `center` is neither true nor false, or fields are not
        numbers over the same dims.
    UnitsError
        Fields have different units, and `scale` is not "std".

    See Also
    --------
    pca : The same with ``center=True``.
    reconstruct : The way back, from all or some components.

    Notes
    -----
    "gram": the eigenvectors of the Gram matrix of the smaller side, summed in double precision over the blocks, are the
    singular vectors; two passes, which results on the same source share. Above 2048 on that side it is much to hold, 8
    bytes a number and twice while it is solved, and above 8192 refused. A singular value is right to the rounding of
    the data where it is above about 1e-7 of the largest, and zero where it cannot be told from zero.

    "krylov": block Lanczos [1]_ [2]_ without that matrix, started from the components of up to a sixteenth of the rows,
    one pass per step until the estimated error of every singular value is below `tol`; after 64 passes a warning names
    the components that are not as near. The scores come from what the passes leave behind where that takes up to 64
    MiB, else from one more. Single precision data is multiplied in single precision about its mean and summed in
    double, unless some rows show values so far apart that this would cost more than a millionth of the n-th. The
    estimates, with what rounding may add, are in ``singular_values_error``.

    "adaptive": the same, but where the passes look like costing more than a Gram matrix of up to 2048 steps, this is
    summed after all, in single precision where the values are near each other, as where components are noise.

    By default it is "adaptive" for data of single precision, or of integers of up to 16 bits, with 1024 × 1024 cells to
    8 GiB (larger is not taken to be cached between passes), no fewer positions than steps, and more than 10 (n + 8)
    steps; else "gram" up to 2048 on the smaller side, and "krylov" above.

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
    if not isinstance(center, bool | np.bool_):
        raise ResultError(f"center={center!r}: True removes the mean over positions, False removes none.")
    if center:
        options: Any = {"dim": dim, "mask": mask, "scale": scale, "solver": solver, "tol": tol}
        return delegate(pca(data, n, random_state=random_state, **options))
    return _find_vectors(data, n, dim, mask, scale, False, _Recipe(solver, tol, check_seed(random_state)))


@verb(**DECOMPOSITION, outputs={**FACTORS, **SINGULAR}, projection="linear")
def pca(
    data: Decomposable,
    n: int | float | str | None = None,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    scale: str | None = None,
    solver: str | None = None,
    tol: float = 1e-7,
    random_state: int = 0,
) -> xr.Dataset:
    """Decompose an array into its principal components: singular vectors about the mean over positions.

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
    solver : {"gram", "krylov", "adaptive"}, optional
        How the components are found; by default chosen by what it costs, see the notes of :func:`svd`. Recorded.
    tol : float, optional
        Relative error of a singular value at which Krylov passes may stop; components are then right to about its root.
    random_state : int, optional
        Seed of the Krylov passes; the Gram solver does not depend on it.

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
    svd : The same without removing a mean; with ``center=True`` this.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.svd import pca
    >>> cube = xr.DataArray([[1.0, 5.0], [3.0, 5.0]], dims=("x", "energy"))
    >>> found = pca(cube, 1, dim="energy")
    >>> found["mean"].values, found.scores.values.ravel()
    (array([2., 5.]), array([-1.,  1.]))
    """
    return _find_vectors(data, n, dim, mask, scale, True, _Recipe(solver, tol, check_seed(random_state)))


@dataclass(frozen=True, slots=True)
class _Recipe:
    solver: str | None
    tol: float
    random_state: int


def _find_vectors(
    given: Decomposable,
    n: int | float | str | None,
    dim: Dims | None,
    mask: xr.DataArray | None,
    scale: str | None,
    centred: bool,
    recipe: _Recipe,
) -> xr.Dataset:
    data, dim = join_fields(given, dim, any_units=scale == "std")
    refuse_dim(data, "component", "scores", "components", *SINGULAR, *(("mean",) if centred else ()))
    samples, features = split(data, dim)
    height, width = count_cells(data, samples), count_cells(data, features)
    most = min(height, width)
    n = min(_NUMBER, most) if n is None else _simplify(n)
    open_ended = n == "auto" or (isinstance(n, float) and 0 < n < 1)
    wanted = min(most, _MOST_TRIED) if open_ended else n
    check_n(wanted, most, f"{height} positions and {width} spectroscopic steps", or_else=_OR_ELSE)
    used = apply_mask(data, mask)

    def decompose(count: int) -> tuple[xr.Dataset, _Recipe]:
        chosen = replace(recipe, solver=_choose_solver(recipe.solver, data, width, count))

        def of(some: xr.DataArray, even: Even | None = None) -> xr.Dataset:
            return _decompose(some, count, features, centred, chosen, even)

        return of(used) if scale is None else decompose_scaled(used, features, scale, of), chosen

    found, chosen = decompose(int(wanted))
    if open_ended:
        known = _compute_figures(found)
        while (count := found.sizes["component"]) < min(most, _GRAM_SIDE) and _needs_more(known, n):
            found, chosen = decompose(min(4 * count, most, _GRAM_SIDE))
            known = _compute_figures(found)
        kept = suggest_n(record_step(known, data, "svd", {}), "significant" if n == "auto" else n)
        found = found.isel(component=slice(max(1, kept)))
    return add_choices(found, n=n, dim=features, **asdict(chosen), **kept_fields(given))


def _simplify(n: Any) -> Any:
    return float(n) if isinstance(n, np.floating) else n


def _compute_figures(found: xr.Dataset) -> xr.Dataset:
    """Compute what tells how many components matter, all in the same passes."""
    return found.assign(found[["singular_values", "explained_variance_ratio"]].compute())


def _needs_more(known: xr.Dataset, n: int | float | str) -> bool:
    """Say whether it takes more components to explain the part `n` of the variance."""
    return isinstance(n, float) and 0 < float(known["explained_variance_ratio"].sum()) < n


def _decompose(
    data: xr.DataArray, n: int, features: tuple[str, ...], centred: bool, recipe: _Recipe, even: Even | None
) -> xr.Dataset:
    height, width = data.size // count_cells(data, features), count_cells(data, features)
    turned = recipe.solver == "gram" and height < width
    if even is not None and turned:
        data, even = even.divide(data), None  # a block has some steps of all positions: it does not know their means
    matrix = to_matrix(data, features, turned=turned)
    passes = plan_passes(matrix.values) if even is None else even.see(plan_passes(matrix.values))
    if turned:
        variables, found = _decompose_by_samples(matrix, passes, n, centred)
    else:
        if recipe.solver == "gram":
            found = passes.call(decompose_rows, passes.fold(sum_moments, join_moments, centred), n)
        else:
            pairs, adaptive = matrix.values.dtype.kind == "c", recipe.solver == "adaptive" and width <= _GRAM_SIDE
            aim = Aim(n, centred, recipe.random_state, recipe.tol, adaptive, are_images_kept(matrix.values, n))
            found = passes.iterate(run_lanczos, width, pairs, aim)
        variables = _collect_by_features(matrix, passes, n, found, recipe.solver)
    return assemble(data, variables | _collect_figures(matrix, passes, n, found, features, centred, recipe.solver))


def _choose_solver(wanted: str | None, data: xr.DataArray, width: int, n: int) -> str:
    """Choose the solver by what it costs, from the shape, the size and the precision."""
    if wanted is not None and wanted not in SOLVERS:
        raise ResultError(f"No solver {wanted!r}: it is one of {SOLVERS}, or None to have it chosen.")
    height = data.size // width
    small = min(height, width)
    if wanted == "gram" and small > _GRAM_MOST:
        raise ResultError(
            f"solver='gram' would hold a matrix of {small} x {small} numbers, and needs it twice; expected at most "
            f"{_GRAM_MOST} on the smaller side. Leave `solver` out, or take 'krylov'."
        )
    if wanted is not None or small > _GRAM_SIDE:
        return wanted or ("gram" if small <= _GRAM_MOST and small**2 < 10 * n * width else "krylov")
    single = choose_dtype(data.dtype, double=False) in (np.float32, np.complex64)
    cached = data.size > _FEW_CELLS and data.nbytes <= _CACHED_BYTES
    return "adaptive" if single and cached and height >= width > 10 * (n + 8) else "gram"


Variables = dict[str, Any]


def _collect_by_features(matrix: Matrix, passes: Passes, n: int, found: Any, solver: str | None) -> Variables:
    dtype = choose_working_dtype(matrix.values.dtype)
    if solver != "gram" and are_images_kept(matrix.values, n):
        scores = passes.split(passes.iterate(find_scores, found), None, n, dtype)
    else:
        scores = passes.map_rows(project_rows, found, n, dtype)
    components = passes.pick_array(found, pick_components, (n, matrix.values.shape[1]), dtype)
    return {
        "scores": matrix.label_rows(scores, "component"),
        "components": matrix.label_cells(components, matrix.columns, "component"),
    }


def _decompose_by_samples(matrix: Matrix, passes: Passes, n: int, centred: bool) -> tuple[Variables, Any]:
    dtype = choose_working_dtype(matrix.values.dtype)
    basis = passes.call(solve_sample_gram, find_sample_moments(passes, matrix.values.shape[1], centred), n, centred)
    projected = passes.map_rows(project_features, basis, n + 1, np.result_type(dtype, np.float64))
    found = passes.gather(decompose_projection, matrix.label_rows(projected, "component").data, basis, n)
    height, width = matrix.values.shape
    scores = matrix.label_cells(passes.pick_array(found, _pick_scores, (n, width), dtype), matrix.columns, "component")
    components = passes.pick_array(found, pick_components, (n, height), dtype)
    variables = {
        "scores": scores.transpose(..., "component"),
        "components": matrix.label_cells(components, matrix.rows, "component"),
    }
    return variables, found


def _collect_figures(
    matrix: Matrix, passes: Passes, n: int, found: Any, features: tuple[str, ...], centred: bool, solver: str | None
) -> Variables:
    figures: Variables = {
        "singular_values": passes.pick_array(found, "values", (n,), np.float64),
        "explained_variance_ratio": passes.pick_array(found, "ratio", (n,), np.float64),
    }
    if solver in ("adaptive", "krylov"):
        figures["singular_values_error"] = passes.pick_array(found, "errors", (n,), np.float64)
    if centred:
        width = count_cells(matrix.labelled, features)
        mean = passes.pick_array(found, _pick_mean, (1, width), choose_working_dtype(matrix.values.dtype))
        figures["mean"] = matrix.label_cells(mean, features)
    return figures


def _pick_mean(found: Decomposition) -> Any:
    return np.where(found.holes, np.nan, found.mean)


def _pick_scores(found: Decomposition) -> Any:
    return None if found.scores is None else found.scores.join().T
