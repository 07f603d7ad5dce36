"""Result of a decomposition -> the array that its components make, and other data to scores on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, RoleError
from usidx.label.roles import refuse_unlabelled
from usidx.learn.factors.eigen import Decomposition, project_rows
from usidx.learn.factors.nnls import find_constrained_scores
from usidx.learn.matrix.fields import Decomposable, join_fields, split_fields
from usidx.learn.matrix.matrix import choose_working_dtype, to_matrix
from usidx.learn.matrix.missing import keep_complete
from usidx.results.declarations import HANDED_ON, find_declaration
from usidx.results.provenance import Step, find_own_attrs, read_steps
from usidx.results.verbs import verb
from usidx.tasks.passes import plan_passes

__all__ = ["find_decomposition_step", "is_decomposition", "project", "reconstruct", "select_modes"]

Array = npt.NDArray[Any]
Modes = int | slice | Sequence[int]


@verb("Rebuilt", outputs=HANDED_ON)
def reconstruct(result: xr.Dataset, modes: Modes | None = None) -> Any:
    """Put an array together again from all or some components of a decomposition.

    Lazy where the scores are; blocks stay blocks, and nothing but one block of the output is made at a time.
    Positions and steps that were left out are NaN.

    Parameters
    ----------
    result : Dataset
        What :func:`svd`, :func:`pca` or :func:`nmf` returned, also after a reload from a file.
    modes : int, slice or sequence of int, optional
        The first `modes` components; a slice of their order; or the values of ``component`` to use. By default all.

    Returns
    -------
    DataArray, dims of the array that was decomposed
        With its name, quantity, units and coordinates, and attributes that are the user's own; the mean is added where
        one was removed. A Dataset where fields of a Dataset were decomposed together.

    Raises
    ------
    ResultError
        `result` is no decomposition, or has no such component.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.svd import svd
    >>> from usidx.learn.reconstruct import reconstruct
    >>> cube = xr.DataArray(np.outer([1.0, 2.0], [3.0, 4.0]), dims=("x", "energy"), attrs={"units": "A"})
    >>> again = reconstruct(svd(cube, 1, dim="energy"))
    >>> again.values, again.units
    (array([[3., 4.],
           [6., 8.]]), 'A')
    """
    step = find_decomposition_step(result)
    chosen = select_modes(result, modes)
    scores, components = chosen["scores"], chosen["components"]
    samples = tuple(str(d) for d in scores.dims if d != "component")
    features = tuple(str(d) for d in components.dims if d != "component")
    left, right = scores.transpose(*samples, "component").data, components.transpose("component", *features).data
    either = da if isinstance(left, da.Array) or isinstance(right, da.Array) else np
    made = xr.DataArray(either.tensordot(left, right, axes=(len(samples), 0)), dims=(*samples, *features))
    if "mean" in result.data_vars:
        made = made + result["mean"].variable
    made = _restore_labels(made, result, step)
    fields = step.get("parameters", {}).get("fields")
    if fields:
        return split_fields(made, fields)
    return made


@verb(source="other")
def project(result: xr.Dataset, other: Decomposable) -> xr.DataArray:
    """Find the scores of other data on the components of a decomposition.

    Lazy where `other` or the result is. Positions with a cell that is not finite, where the components are, get NaN.

    Parameters
    ----------
    result : Dataset
        What :func:`svd`, :func:`pca` or :func:`nmf` returned, also after a reload from a file.
    other : DataArray, dims (*any, *spectroscopic), or Dataset
        Data with the spectroscopic dims, coordinates and fields of the data that was decomposed.

    Returns
    -------
    DataArray, dims (*any, component)
        In the units of `other`, or in none where the components have them. For :func:`pca` the mean is removed first;
        for :func:`nmf` the scores are the non-negative ones of the least squares.

    Raises
    ------
    ResultError
        `result` is no decomposition.
    RoleError
        `other` lacks a dim of the components, or its size or coordinate differs.
    """
    step = find_decomposition_step(result)
    other, _ = join_fields(other, None, any_units="scale" in result)
    scores = find_scores(result, other, _choose_kind(step))
    units = (
        {"units": "" if _are_dimensionless(result, step) else other.attrs["units"]} if "units" in other.attrs else {}
    )
    scores.attrs = {"long_name": result["scores"].attrs.get("long_name", "Scores"), **units}
    return scores.rename("scores")


def find_scores(result: xr.Dataset, other: xr.DataArray, kind: str) -> xr.DataArray:
    """Return the scores of other data on the components, bare of name and record."""
    components = result["components"]
    features = tuple(str(d) for d in components.dims if d != "component")
    _check_features(components, other, features)
    lazy = components.chunks is not None
    matrix = to_matrix(other.chunk(dict.fromkeys(other.dims, -1)) if lazy and other.chunks is None else other, features)
    dtype = np.result_type(
        choose_working_dtype(other.dtype), components.dtype if components.dtype.kind == "c" else np.float32
    )
    passes = plan_passes(matrix.values)
    basis = _stack_basis(result, components, matrix.columns, matrix.is_lazy)
    found = passes.map_rows(
        _BLOCKS[kind],
        passes.gather(_split_basis if kind == "linear" else _split_constrained, basis),
        components.sizes["component"],
        dtype,
    )
    return matrix.label_rows(found, "component").assign_coords(component=result["component"])


def is_decomposition(result: xr.Dataset) -> bool:
    """Say whether a Dataset is what a decomposition returned."""
    return {"scores", "components"} <= set(result.data_vars)


def find_decomposition_step(result: xr.Dataset) -> Step:
    """Return the recorded step of the decomposition that made a Dataset."""
    refuse_unlabelled(result, (xr.Dataset,))
    found = [step for step in read_steps(result) if _projection(step)]
    if found and is_decomposition(result):
        return found[-1]
    raise ResultError(
        f"A Dataset with variables {sorted(map(str, result.data_vars))} is not a decomposition: it needs 'scores', "
        f"'components' and the record of a verb that decomposes, as svd, in its attributes. Pass on what the verb "
        f"returned."
    )


def select_modes(result: xr.Dataset, modes: Modes | None) -> xr.Dataset:
    """Return the result with the chosen components only."""
    count = result.sizes["component"]
    if modes is None:
        return result
    if isinstance(modes, slice):
        return result.isel(component=modes)
    if isinstance(modes, int | np.integer) and not isinstance(modes, bool):
        if not 0 <= modes <= count:
            raise ResultError(f"The first {modes} components are asked for; there are {count}.")
        return result.isel(component=slice(0, int(modes)))
    missing = [m for m in _list_modes(modes) if m not in result["component"].values]
    if missing:
        raise ResultError(f"No component {missing[0]!r}; there are {result['component'].values.tolist()}.")
    return result.sel(component=_list_modes(modes))


def _list_modes(modes: Any) -> list[Any]:
    if not isinstance(modes, Iterable):
        raise ResultError(f"modes={modes!r}: expected a number, a slice or a list of components.")
    return [m.item() if isinstance(m, np.generic) else m for m in modes]


def _restore_labels(made: xr.DataArray, result: xr.Dataset, step: Step) -> xr.DataArray:
    """Put name, quantity, units, coordinates and order of dims as they were before the decomposition."""
    held = result.coords.to_dataset()
    made = made.assign_coords(
        held.drop_vars([n for n, c in held.coords.items() if not set(c.dims) <= set(made.dims)]).coords
    )
    given = step.get("input", {})
    order = [d for d in given.get("dims", ()) if d in made.dims]
    made = made.transpose(*order, ...).rename(given.get("name"))
    units = given.get("units") if given.get("units") or "units" in result["scores"].attrs else None
    quantity = given.get("long_name") or None
    known = {k: v for k, v in (("long_name", quantity), ("units", units)) if v is not None}
    made.attrs = find_own_attrs(result.attrs) | known
    return made


def _check_features(components: xr.DataArray, other: xr.DataArray, features: tuple[str, ...]) -> None:
    for dim in features:
        if dim not in other.dims or other.sizes[dim] != components.sizes[dim]:
            raise RoleError(
                f"The components extend over {dim!r} with {components.sizes[dim]} steps; the other data has "
                f"{dict(other.sizes)}. Select or interpolate it to the same steps."
            )
        if dim in components.coords and dim in other.coords and not _are_equal(components[dim], other[dim]):
            raise RoleError(
                f"Coordinate {dim!r} of the other data differs from that of the components: interpolate it."
            )


def _are_equal(first: xr.DataArray, second: xr.DataArray) -> bool:
    return first.dims == second.dims and bool(np.array_equal(first.values, second.values))


def _stack_basis(result: xr.Dataset, components: xr.DataArray, columns: tuple[str, ...], lazy: bool) -> Any:
    """Return mean and scale (zero and one where there is none) and components as rows of one array."""
    rows = components.transpose("component", *columns).data
    mean = (
        result["mean"].transpose(*columns).data if "mean" in result.data_vars else np.zeros(rows.shape[1:], rows.dtype)
    )
    scale = (
        result["scale"].transpose(*columns).data if "scale" in result.data_vars else np.ones(rows.shape[1:], rows.dtype)
    )
    if not lazy:
        return np.concatenate([mean[np.newaxis], scale[np.newaxis], rows])
    return da.concatenate([da.asarray(mean)[np.newaxis], da.asarray(scale)[np.newaxis], da.asarray(rows)])


@dataclass(frozen=True, slots=True)
class _Parts:
    """Components divided by the scale (*columns) of the data, zero in the holes."""

    components: Array
    scale: Array
    holes: npt.NDArray[np.bool_]


def _split_constrained(stacked: Array) -> _Parts:
    flat = stacked.reshape(len(stacked), -1)
    holes = np.logical_not(np.isfinite(flat).all(axis=0))
    scale = np.where(holes, 1, flat[1])
    return _Parts(np.where(holes, 0, flat[2:]) / scale, scale, holes)


def _split_basis(stacked: Array) -> Decomposition:
    flat = stacked.reshape(len(stacked), -1)
    holes = np.logical_not(np.isfinite(flat).all(axis=0))
    mean, scale, *rows = np.where(holes, 0, flat)
    # Least squares of data and components both divided by the scale; the inverse is one for orthonormal components.
    weight = np.divide(1, scale.real.astype(np.float64) ** 2, out=np.zeros(scale.shape), where=~holes)
    components = np.stack(rows).astype(np.result_type(flat.dtype, np.float64))
    dual = np.linalg.pinv((components * weight) @ components.conj().T, hermitian=True) @ (components * weight)
    return Decomposition(dual, np.zeros(0), np.zeros(0), mean, holes)


def fit_block(block: Array, basis: _Parts) -> Array:
    """Return the non-negative scores of a block; rows that are not complete get NaN."""
    return _constrain_block(block, basis, closed=False)


def unmix_block(block: Array, basis: _Parts) -> Array:
    """Return the non-negative scores of a block that sum to one; rows that are not complete get NaN."""
    return _constrain_block(block, basis, closed=True)


def _constrain_block(block: Array, basis: _Parts, *, closed: bool) -> Array:
    rows, used = keep_complete(block, basis.holes)
    rows = rows if (basis.scale == 1).all() else rows / basis.scale.astype(choose_working_dtype(rows.dtype))
    scores = find_constrained_scores(rows, basis.components, closed=closed)
    if used is None:
        return scores
    full = np.full((len(block), len(basis.components)), np.nan, scores.dtype)
    full[used] = scores
    return full


_BLOCKS: dict[str, Callable[..., Array]] = {"linear": project_rows, "nonnegative": fit_block, "closed": unmix_block}


def _are_dimensionless(result: xr.Dataset, step: Step) -> bool:
    """Say whether the scores have no units, because the components have those of the data."""
    return _choose_kind(step) == "closed" or bool(result["components"].attrs.get("units"))


def _choose_kind(step: Step) -> str:
    told = step.get("parameters", {})
    if told.get("closure") is True:
        return "closed"
    return "nonnegative" if told.get("nonnegative") is True else _projection(step)


def _projection(step: Step) -> str:
    """Say how scores are found on the components of a step; empty where it decomposes nothing."""
    verb_of = find_declaration(str(step["tool"]))
    return "" if verb_of is None else verb_of.projection
