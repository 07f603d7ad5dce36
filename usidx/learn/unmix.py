"""Labelled array -> endmembers and their abundances: what is in it, and how much of each is where."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UnitsError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims, split
from usidx.learn.factors.endmembers import find_largest_simplex, find_vertex_components
from usidx.learn.matrix.fields import Decomposable, join_fields, kept_fields
from usidx.learn.matrix.matrix import check_n, count_cells, refuse_dim, to_matrix
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, ITERATED, assemble
from usidx.learn.reconstruct import find_scores
from usidx.learn.svd import pca, svd
from usidx.results.verbs import add_choices, verb
from usidx.tasks.passes import plan_passes

__all__ = ["fcls", "nfindr", "vca"]

Array = npt.NDArray[Any]


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="closed")
def fcls(data: Decomposable, endmembers: Decomposable, *, mask: xr.DataArray | None = None) -> xr.Dataset:
    """Find how much of each endmember every position holds: abundances, none negative, that sum to one.

    Lazy where the data or the endmembers are. Positions with a cell that is not finite get NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real. Fields of a Dataset stand side by side, as in :func:`svd`.
    endmembers : DataArray, dims (component, *spectroscopic), or Dataset of the same fields
        Pure responses, in the units of `data`. Steps where one is not finite do not count.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.

    Returns
    -------
    Dataset
        ``scores`` (*position, component), the abundances, dimensionless; ``components``, the endmembers.

    Raises
    ------
    ResultError
        The data is complex, the endmembers have no dim ``component``, or fields are not numbers over the same dims.
    RoleError
        `data` lacks a dim of the endmembers, or its size or coordinate differs.
    UnitsError
        The endmembers, or fields, have other units.

    References
    ----------
    .. [1] D. Heinz, C.-I Chang, Fully constrained least squares linear spectral mixture analysis method for material
       quantification in hyperspectral imagery, IEEE Transactions on Geoscience and Remote Sensing 39 (2001) 529-545.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.unmix import fcls
    >>> pure = xr.DataArray(np.eye(2), dims=("component", "energy"))
    >>> fcls(xr.DataArray([[0.25, 0.75], [2.0, 0.0]], dims=("x", "energy")), pure).scores.values
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    fields = kept_fields(data)
    data, endmembers = join_fields(data, None)[0], join_fields(endmembers, None)[0]
    _refuse_complex(data)
    refuse_dim(data, "component", "scores", "components", "reconstruction_error")
    if "component" not in endmembers.dims:
        raise ResultError(f"Endmembers have the dims ('component', *spectroscopic); these have {endmembers.dims}.")
    pure = (
        endmembers
        if "component" in endmembers.coords
        else endmembers.assign_coords(component=_number_components(endmembers))
    )
    _refuse_other_units(data, endmembers)
    features = [d for d in pure.dims if d != "component"]
    return add_choices(_find_abundances(apply_mask(data, mask), pure), dim=features, **fields)


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="closed")
def nfindr(
    data: Decomposable, n: int, *, dim: Dims | None = None, mask: xr.DataArray | None = None, random_state: int = 0
) -> xr.Dataset:
    """Find the positions that span the simplex of largest volume, and the abundances of their responses everywhere.

    A lazy array stays lazy: three passes over the blocks; the n - 1 principal scores of all positions are held.
    Positions with a cell that is not finite are left out and get NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real. Fields of a Dataset stand side by side, as in :func:`svd`.
    n : int
        Number of endmembers, at least two.
    dim : str or iterable of str, optional
        The dims of a response; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    random_state : int, optional
        Recorded; the result does not depend on it, but for the Krylov solver of very large arrays.

    Returns
    -------
    Dataset
        ``components`` (component, *spectroscopic), the endmembers within the space of the principal components, in the
        units of `data`; ``scores`` (*position, component), their abundances as by :func:`fcls`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex, `n` is not a number of endmembers that the array can have, or fields are not numbers over
        the same dims.
    UnitsError
        Fields have different units.

    References
    ----------
    .. [1] M. Winter, N-FINDR: an algorithm for fast autonomous spectral end-member determination in hyperspectral data,
       Proceedings of SPIE 3753 (1999) 266-275.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.unmix import nfindr
    >>> cube = xr.DataArray([[1.0, 0, 2], [0, 1, 2], [0.5, 0.5, 2]], dims=("x", "energy"))
    >>> nfindr(cube, 2, dim="energy").scores.round(6).values[2]
    array([0.5, 0.5])
    """
    fields = kept_fields(data)
    data, dim = join_fields(data, dim)
    features = _check(data, n, dim)
    used = apply_mask(data, mask)
    bare, inner = _make_bare(used, features)
    found = pca(bare, n - 1, dim=inner, random_state=random_state)
    matrix = to_matrix(found["scores"], "component")
    passes = plan_passes(matrix.values)
    corners = passes.pick_array(passes.gather(find_largest_simplex, matrix.values), None, (n, n - 1), np.float64)
    pure = _make_responses(found, corners) + found["mean"].variable
    result = _find_abundances(used, _label_as(pure, used, dict(zip(inner, features, strict=True))))
    return add_choices(result, dim=features, **fields)


@verb(**DECOMPOSITION, outputs={**FACTORS, **ITERATED}, projection="closed")
def vca(
    data: Decomposable, n: int, *, dim: Dims | None = None, mask: xr.DataArray | None = None, random_state: int = 0
) -> xr.Dataset:
    """Find endmembers as the extremes along directions at right angles to those found before, and their abundances.

    A lazy array stays lazy: three passes over the blocks; the n scores of all positions are held. Positions with a cell
    that is not finite are left out and get NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset of such
        Real. Fields of a Dataset stand side by side, as in :func:`svd`.
    n : int
        Number of endmembers, at least two.
    dim : str or iterable of str, optional
        The dims of a response; by default those with the role spectroscopic.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out.
    random_state : int, optional
        Decides the directions.

    Returns
    -------
    Dataset
        ``components`` (component, *spectroscopic), the endmembers within the space of the singular vectors, in the
        units of `data`; ``scores`` (*position, component), their abundances as by :func:`fcls`.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The data is complex, `n` is not a number of endmembers that the array can have, or fields are not numbers over
        the same dims.
    UnitsError
        Fields have different units.

    References
    ----------
    .. [1] J. Nascimento, J. Bioucas-Dias, Vertex component analysis: a fast algorithm to unmix hyperspectral data, IEEE
       Transactions on Geoscience and Remote Sensing 43 (2005) 898-910.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.unmix import vca
    >>> cube = xr.DataArray([[1.0, 0, 2], [0, 1, 2], [0.5, 0.5, 2]], dims=("x", "energy"))
    >>> vca(cube, 2, dim="energy").scores.round(6).values[2]
    array([0.5, 0.5])
    """
    fields = kept_fields(data)
    data, dim = join_fields(data, dim)
    features = _check(data, n, dim)
    used = apply_mask(data, mask)
    bare, inner = _make_bare(used, features)
    found = svd(bare, n, dim=inner, random_state=random_state)
    matrix = to_matrix(found["scores"], "component")
    passes = plan_passes(matrix.values)
    width = found["components"].size // n
    ratio = passes.gather(float, found["explained_variance_ratio"].sum().data)
    chosen = passes.gather(find_vertex_components, matrix.values, ratio, width, random_state)
    pure = _make_responses(found, passes.pick_array(chosen, None, (n, n), np.float64))
    result = _find_abundances(used, _label_as(pure, used, dict(zip(inner, features, strict=True))))
    return add_choices(result, dim=features, **fields)


def _check(data: xr.DataArray, n: int, dim: Dims | None) -> tuple[str, ...]:
    _refuse_complex(data)
    refuse_dim(data, "component", "scores", "components", "reconstruction_error")
    samples, features = split(data, dim)
    height, width = count_cells(data, samples), count_cells(data, features)
    most = min(height, width)
    if most < 2:
        raise ResultError(
            f"n={n!r} endmembers of an array with {height} positions and {width} spectroscopic steps: a mixture needs "
            f"at least two of each."
        )
    check_n(n, most, f"{height} positions and {width} spectroscopic steps", "endmembers")
    if n < 2:
        raise ResultError("n=1 endmembers: one would be everywhere; ask for at least two.")
    return features


def _refuse_complex(data: xr.DataArray) -> None:
    if data.dtype.kind == "c":
        raise ResultError(
            f"Array {data.name!r} is {data.dtype}: abundances need real data. Pass abs(data), or one of data.real and "
            f"data.imag."
        )


def _refuse_other_units(data: xr.DataArray, endmembers: xr.DataArray) -> None:
    units = [str(a.attrs.get("units", "")) for a in (data, endmembers)]
    if all(units) and units[0] != units[1]:
        raise UnitsError(
            f"Array {data.name!r} is in {units[0]!r}, the endmembers in {units[1]!r}: bring them to the same units, or "
            f"set the attribute 'units' right."
        )


def _make_bare(data: xr.DataArray, features: tuple[str, ...]) -> tuple[xr.DataArray, tuple[str, ...]]:
    """Return the data without labels, its dims by number, and the features by these.

    What the decomposition within adds to its result then has the name of none of them.
    """
    names = {dim: f"dim_{number}" for number, dim in enumerate(data.dims)}
    bare = xr.DataArray(data.data, dims=tuple(names.values()), name=data.name, attrs=data.attrs)
    return bare, tuple(names[dim] for dim in features)


def _label_as(pure: xr.DataArray, data: xr.DataArray, names: dict[str, str]) -> xr.DataArray:
    """Return responses with the features of the data, and their coordinates."""
    borne = {name: c for name, c in data.coords.items() if c.dims and set(c.dims) <= set(names.values())}
    return pure.rename(names).assign_coords(borne)


def _make_responses(found: xr.Dataset, corners: Any) -> xr.DataArray:
    """Return the full responses of corners that are given by their scores."""
    components = found["components"].transpose("component", ...)
    basis = components.data
    either = da if isinstance(corners, da.Array) or isinstance(basis, da.Array) else np
    dims = ("component", *components.dims[1:])
    pure = xr.DataArray(either.tensordot(corners.astype(basis.dtype), basis, axes=(1, 0)), dims=dims)
    pure = pure.assign_coords(components.drop_vars("component").coords)
    return pure.assign_coords(component=_number_components(pure))


def _find_abundances(data: xr.DataArray, pure: xr.DataArray) -> xr.Dataset:
    found = xr.Dataset({"components": pure})
    scores = find_scores(found, data, "closed")
    return assemble(data, {"scores": scores, "components": pure}, units_in="components")


def _number_components(labelled: xr.DataArray) -> Array:
    return np.arange(labelled.sizes["component"])
