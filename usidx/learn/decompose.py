"""Labelled array -> the decomposition that any estimator makes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UsidWarning
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims
from usidx.learn.clusters.rows import view_as_real
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import number_rows, refuse_dim, to_matrix
from usidx.learn.matrix.missing import keep_complete
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, ITERATED, assemble
from usidx.learn.matrix.sample import Numbers, survey
from usidx.results.arguments import as_json
from usidx.results.verbs import add_choices, verb
from usidx.tasks.blocks import Blocks, Held, join_nothing
from usidx.tasks.passes import plan_passes

__all__ = ["decompose", "read_count"]

Array = npt.NDArray[Any]

_LARGE = 2**26


@dataclass(frozen=True, slots=True)
class _FittedEstimator:
    """An estimator that has seen the complete rows without the holes."""

    estimator: Any
    holes: npt.NDArray[np.bool_]
    n: int


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="linear")
def decompose(
    data: Decomposable,
    estimator: Any,
    n: int | None = None,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
) -> xr.Dataset:
    """Decompose an array with an estimator as in scikit-learn.

    A lazy array stays lazy. When the result is computed, an estimator with ``partial_fit`` is shown one block after
    another, once, of an array of more than 64 MiB; its result then depends on the chunks. Else all rows are loaded and
    fitted, with a warning if that is much. Positions with a cell that is not finite are left out and get NaN scores.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        What the estimator takes: most take real data only. Fields of a Dataset stand side by side, as in :func:`svd`.
    estimator : object
        With ``fit`` or ``partial_fit``, ``transform``, and ``components_`` (n, features) or ``mixing_``; it is cloned
        first. Parameters, seeds among them, are its own.
    n : int, optional
        The number of components that it makes; by default its ``n_components``.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), what ``transform`` gives of a block at a time, which of some estimators, such
        as MiniBatchNMF, is not what ``fit_transform`` gives; ``components`` (component, *spectroscopic);
        ``mean`` (*spectroscopic), zero where the estimator has none; ``reconstruction_error``, the Frobenius norm of
        what scores times components plus mean leave of the data.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The estimator lacks what is needed, refuses the data, or makes another number of components; or fields are not
        numbers over the same dims.
    UnitsError
        Fields have different units.

    Warns
    -----
    UsidWarning
        A lazy array of more than 64 MiB will be loaded.

    Notes
    -----
    Scores times components plus mean is the array again only where the estimator is such a decomposition (a PCA that
    whitens is not); ``reconstruction_error`` tells. :func:`project` gives the least squares, not what ``transform``
    would.

    Of a streamed array a block is shown in batches of the estimator's ``batch_size``, if it has one.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from sklearn.decomposition import PCA
    >>> from usidx.learn.decompose import decompose
    >>> cube = xr.DataArray([[1.0, 5.0], [3.0, 5.0]], dims=("x", "energy"))
    >>> decompose(cube, PCA(1), dim="energy")["mean"].values
    array([2., 5.])
    """
    from sklearn.base import clone

    fields = kept_fields(data)
    data, dim = join_fields(data, dim)
    refuse_dim(data, "component", "scores", "components", "mean", "reconstruction_error")
    streamed = _is_streamed(estimator)
    n = _choose_count(estimator, n)
    used = apply_mask(data, mask)
    matrix = to_matrix(used, dim)
    if matrix.is_lazy and not streamed and used.nbytes > _LARGE:
        warnings.warn(
            f"{type(estimator).__name__} loads all of {data.name!r}, {used.nbytes / 2**20:.0f} MiB, when the result is "
            f"computed. An estimator with partial_fit is streamed.",
            UsidWarning,
            stacklevel=2,
        )
    passes, width = plan_passes(matrix.values), matrix.values.shape[1]
    pairs = matrix.values.dtype.kind == "c"
    found = passes.iterate(_fit, number_rows(matrix), width, pairs, n, clone(estimator, safe=False))
    dtype = np.result_type(matrix.values.dtype, np.float64)
    factors = [
        passes.pick_array(found, pick, (rows, width), dtype) for pick, rows in ((_pick_components, n), (_pick_mean, 1))
    ]
    # What is left of a row stands beside its scores: one reading serves both.
    rows = passes.map_rows(_transform, found, n + 1, dtype)
    variables = {
        "scores": matrix.label_rows(rows[:, :n], "component"),
        "components": matrix.label_cells(factors[0], matrix.columns, "component"),
        "mean": matrix.label_cells(factors[1], matrix.columns),
        "reconstruction_error": np.sqrt((da if matrix.is_lazy else np).nansum(rows[:, n].real)),
    }
    # repr leaves out what is long: the digest tells estimators apart.
    told = {"estimator": repr(estimator), "estimator_digest": as_json(estimator)}
    return add_choices(assemble(data, variables), n=n, dim=matrix.columns, **told, **fields)


def read_count(estimator: Any, *names: str) -> int | None:
    """Return the number of things that an estimator was made to find, None where it does not say."""
    found = [getattr(estimator, name, None) for name in names]
    return next((int(k) for k in found if isinstance(k, int | np.integer) and not isinstance(k, bool)), None)


def _choose_count(estimator: Any, n: int | None) -> int:
    count = read_count(estimator, "n_components") if n is None else n
    if count is None:
        raise ResultError(f"{estimator!r} does not say how many components it makes: pass n=.")
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ResultError(f"n={count!r} components: n is a whole number, at least one.")
    return int(count)


def _is_streamed(estimator: Any) -> bool:
    if isinstance(estimator, type):
        raise ResultError(f"{estimator.__name__} is a class: pass an estimator, such as {estimator.__name__}().")
    fits = [name for name in ("partial_fit", "fit") if callable(getattr(estimator, name, None))]
    if not fits or not callable(getattr(estimator, "transform", None)):
        raise ResultError(f"{estimator!r} is no decomposition: an estimator has fit (or partial_fit) and transform.")
    return fits[0] == "partial_fit"


def _fit(blocks: Blocks, numbers: Numbers, width: int, pairs: bool, n: int, estimator: Any) -> _FittedEstimator:
    from sklearn.base import clone

    # The graph keeps the one that it was given: what is computed twice must not go on learning.
    estimator = clone(estimator, safe=False)
    parts = 2 if pairs else 1
    seen = survey(view_as_real(blocks), numbers, width * parts, 0)
    holes = np.asarray(seen.holes.reshape(width, parts).any(axis=1))
    whole = isinstance(blocks, Held) and callable(getattr(estimator, "fit", None))
    try:
        if _is_streamed(estimator) and not whole:
            for batch in _cut_batches(_iterate_complete(blocks, holes), n, read_count(estimator, "batch_size")):
                estimator.partial_fit(batch)
        else:
            estimator.fit(_load_rows(blocks, numbers, holes))
    except ValueError as err:
        raise ResultError(f"{estimator!r} refused the data: {str(err).splitlines()[0]}") from err
    made = _read_components(estimator)
    if len(made) != n:
        raise ResultError(f"{estimator!r} made {len(made)} components; n={n} were announced. Pass n={len(made)}.")
    return _FittedEstimator(estimator, holes, n)


def _load_rows(blocks: Blocks, numbers: Numbers, holes: Array) -> Array:
    """Return the complete rows, in the order of the dims."""
    states: Sequence[Any] = [None] * len(blocks.sizes)
    _, states = blocks.fold_states(_keep_block, join_nothing, states, holes)
    rows, used = map(np.concatenate, zip(*states, strict=True))
    order = np.argsort(numbers[:][used])
    return np.asarray(rows[order])


def _iterate_complete(blocks: Blocks, holes: Array) -> Iterator[Array]:
    for block in blocks.read_each():
        yield _keep_known(block, holes)


def _cut_batches(parts: Iterator[Array], least: int, size: int | None) -> Iterator[Array]:
    """Cut, or join, rows to batches of at least so many; what is too few at the end joins the last."""
    waiting: Array | None = None
    for part in parts:
        for start in range(0, len(part), max(size or len(part), least)):
            rows = part[start : start + max(size or len(part), least)]
            if waiting is not None and min(len(waiting), len(rows)) >= least:
                yield waiting
                waiting = rows
            else:
                waiting = rows if waiting is None else np.concatenate([waiting, rows])
    if waiting is not None and len(waiting):
        yield waiting


def _keep_block(block: Array, _state: Any, holes: Array) -> tuple[None, tuple[Array, Array]]:
    rows, used = keep_complete(block, holes)
    return None, (rows[:, ~holes], np.ones(len(block), bool) if used is None else used)


def _keep_known(block: Array, holes: Array) -> Array:
    return np.asarray(keep_complete(block, holes)[0][:, ~holes])


def _transform(block: Array, found: _FittedEstimator) -> Array:
    """Return the scores of a block, and as the last column the square of what they leave of each row."""
    rows, used = keep_complete(block, found.holes)
    full = np.full((len(block), found.n + 1), np.nan, np.result_type(block.dtype, np.float64))
    if len(rows):
        rows = rows[:, ~found.holes]
        scores = found.estimator.transform(rows)
        mean = getattr(found.estimator, "mean_", None)
        left = rows - scores @ _read_components(found.estimator) - (0 if mean is None else mean)
        squares = (np.abs(left) ** 2).sum(axis=1, keepdims=True)
        full[slice(None) if used is None else used] = np.hstack([scores, squares])
    return full


def _read_components(estimator: Any) -> Array:
    mixing = getattr(estimator, "mixing_", None)
    found = getattr(estimator, "components_", None) if mixing is None else np.transpose(mixing)
    if found is None:
        raise ResultError(f"{estimator!r} has neither components_ nor mixing_ once it is fitted: nothing to return.")
    return np.asarray(found)


def _pick_components(found: _FittedEstimator) -> Array:
    made = _read_components(found.estimator)
    full = np.full((found.n, len(found.holes)), np.nan, made.dtype)
    full[:, ~found.holes] = made
    return full


def _pick_mean(found: _FittedEstimator) -> Array:
    mean = getattr(found.estimator, "mean_", None)
    full = np.where(found.holes, np.nan, 0.0)
    if mean is not None:
        full = full.astype(np.result_type(full, mean))
        full[~found.holes] = mean
    return full
