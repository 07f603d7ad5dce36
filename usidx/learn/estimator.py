"""Labelled array to the decomposition that any estimator makes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UsidWarning
from usidx.label.roles import Dims
from usidx.learn.blocks import Blocks
from usidx.learn.holes import without_holes
from usidx.learn.matrix import masked, refuse_dim, row_numbers, to_matrix
from usidx.learn.passes import passes_over
from usidx.learn.result import assemble
from usidx.learn.survey import survey
from usidx.results.provenance import record

__all__ = ["decompose"]

Array = npt.NDArray[Any]

_LARGE = 2**26


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An estimator that has seen the complete rows without the holes."""

    estimator: Any
    holes: npt.NDArray[np.bool_]
    n: int


def decompose(
    data: xr.DataArray, estimator: Any, n: int, *, dim: Dims | None = None, mask: xr.DataArray | None = None
) -> xr.Dataset:
    """Decompose an array with an estimator as in scikit-learn.

    A lazy array stays lazy. When the result is computed, an estimator with ``partial_fit`` is shown one block after
    another; its result then depends on the chunks. Any other loads all rows, with a warning if that is much. Positions
    with a cell that is not finite are left out and get NaN scores.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        What the estimator takes: most take real data only.
    estimator : object
        With ``fit`` or ``partial_fit``, ``transform``, and ``components_`` (n, features) or ``mixing_``; it is cloned
        first. Parameters, seeds among them, are its own.
    n : int
        The number of components that it makes.
    dim : str or iterable of str, optional
        The dims that the components extend over; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), what ``transform`` gives; ``components`` (component, *spectroscopic);
        ``mean`` (*spectroscopic), zero where the estimator has none.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The estimator lacks what is needed, or makes another number of components.

    Warns
    -----
    UsidWarning
        A lazy array of more than 64 MiB will be loaded.

    Notes
    -----
    Scores times components plus mean is the array again only where the estimator is such a decomposition; and
    :func:`project` gives the least squares, not what ``transform`` would.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from sklearn.decomposition import PCA
    >>> from usidx.learn.estimator import decompose
    >>> cube = xr.DataArray([[1.0, 5.0], [3.0, 5.0]], dims=("x", "energy"))
    >>> decompose(cube, PCA(1), 1, dim="energy")["mean"].values
    array([2., 5.])
    """
    from sklearn.base import clone

    refuse_dim(data, "component")
    streamed = _streamed(estimator)
    used = masked(data, mask)
    matrix = to_matrix(used, dim)
    if matrix.lazy and not streamed and used.nbytes > _LARGE:
        warnings.warn(
            f"{type(estimator).__name__} loads all of {data.name!r}, {used.nbytes / 2**20:.0f} MiB, when the result is "
            f"computed. An estimator with partial_fit is streamed.",
            UsidWarning,
            stacklevel=2,
        )
    passes, width = passes_over(matrix.values), matrix.values.shape[1]
    found = passes.iterate(_fitted, row_numbers(matrix), width, n, clone(estimator), streamed)
    dtype = np.result_type(matrix.values.dtype, np.float64)
    factors = [passes.array(found, pick, (rows, width), dtype) for pick, rows in ((_components, n), (_mean, 1))]
    variables = {
        "scores": matrix.along_rows(passes.rows(_transformed, found, n, dtype), "component"),
        "components": matrix.in_order(factors[0], matrix.columns, "component"),
        "mean": matrix.in_order(factors[1], matrix.columns),
    }
    parameters = {"estimator": repr(estimator), "n": n, "dim": matrix.columns}
    return record(assemble(data, variables), data, "decompose", parameters)


def _streamed(estimator: Any) -> bool:
    fits = [name for name in ("partial_fit", "fit") if callable(getattr(estimator, name, None))]
    if not fits or not callable(getattr(estimator, "transform", None)):
        raise ResultError(f"{estimator!r} is no decomposition: an estimator has fit (or partial_fit) and transform.")
    return fits[0] == "partial_fit"


def _fitted(blocks: Blocks, numbers: Array, width: int, n: int, estimator: Any, streamed: bool) -> _Fitted:
    holes = survey(blocks, numbers, width, 0).holes
    if streamed:
        for block in blocks.each():
            rows = _kept(block, holes)
            if len(rows) >= n:
                estimator.partial_fit(rows)
    else:
        states: Sequence[Any] = [None] * len(blocks.sizes)
        _, states = blocks.fold_states(_keep_block, _first, states, holes)
        rows = np.concatenate([rows for rows, _ in states])
        order = np.argsort(numbers[np.concatenate([used for _, used in states])])
        estimator.fit(rows[order])
    made = _of(estimator)
    if len(made) != n:
        raise ResultError(f"{estimator!r} made {len(made)} components; n={n} were announced. Pass n={len(made)}.")
    return _Fitted(estimator, holes, n)


def _keep_block(block: Array, _state: Any, holes: Array) -> tuple[None, tuple[Array, Array]]:
    rows, used = without_holes(block, holes)
    return None, (rows[:, ~holes], np.ones(len(block), bool) if used is None else used)


def _kept(block: Array, holes: Array) -> Array:
    return np.asarray(without_holes(block, holes)[0][:, ~holes])


def _first(first: None, _second: None) -> None:
    return first


def _transformed(block: Array, found: _Fitted) -> Array:
    rows, used = without_holes(block, found.holes)
    full = np.full((len(block), found.n), np.nan, np.result_type(block.dtype, np.float64))
    if len(rows):
        full[slice(None) if used is None else used] = found.estimator.transform(rows[:, ~found.holes])
    return full


def _of(estimator: Any) -> Array:
    mixing = getattr(estimator, "mixing_", None)
    found = getattr(estimator, "components_", None) if mixing is None else np.transpose(mixing)
    if found is None:
        raise ResultError(f"{estimator!r} has neither components_ nor mixing_ once it is fitted: nothing to return.")
    return np.asarray(found)


def _components(found: _Fitted) -> Array:
    made = _of(found.estimator)
    full = np.full((found.n, len(found.holes)), np.nan, made.dtype)
    full[:, ~found.holes] = made
    return full


def _mean(found: _Fitted) -> Array:
    mean = getattr(found.estimator, "mean_", None)
    full = np.where(found.holes, np.nan, 0.0)
    if mean is not None:
        full = full.astype(np.result_type(full, mean))
        full[~found.holes] = mean
    return full
