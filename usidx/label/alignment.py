"""Labelled objects that belong together -> the same cells in the same order, by their labels, or an error."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from usidx.errors import ResultError

__all__ = ["align_like"]

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
#: Labels that differ by less than this part of the largest are the same: files hold them in single precision.
_ROUNDING = 1e-6


def align_like(given: Labelled, like: xr.DataArray, *, what: str, other: str) -> Labelled:
    """Return an object with its cells in the order of another one, paired by their labels; nothing is computed.

    A dim that has no labels on one of both sides is paired by position.

    Parameters
    ----------
    given : DataArray or Dataset
        What is to be put in order.
    like : DataArray
        Whose cells count.
    what, other : str
        What the two are called in messages.

    Returns
    -------
    DataArray or Dataset
        `given`, reordered and cut down to the cells of `like`.

    Raises
    ------
    ResultError
        A label of `like` is missing or stands twice, sizes without labels differ, or a coordinate that the two share
        has other values.
    """
    found = {dim: _find_cells(given, like, dim, what, other) for dim in like.dims if dim in given.dims}
    chosen = {dim: cells for dim, cells in found.items() if cells is not None}
    aligned = given.isel(chosen) if chosen else given
    for name in set(aligned.coords) & set(like.coords):
        own, wanted = aligned.coords[name].variable, like.coords[name].variable
        if own.ndim and set(own.dims) <= set(like.dims) and not _holds_same(own, wanted):
            raise ResultError(
                f"The coordinate {name!r} of {what} differs from that of {other}, so their cells cannot be paired. "
                f"Select the cells that both have, in the same order."
            )
    return aligned


def _find_cells(
    given: xr.DataArray | xr.Dataset, like: xr.DataArray, dim: Hashable, what: str, other: str
) -> np.ndarray | None:
    """Return where the cells of `like` lie along a dim; None where they lie there already."""
    if dim not in given.indexes or dim not in like.indexes:
        if given.sizes[dim] != like.sizes[dim]:
            raise ResultError(
                f"{what[0].upper()}{what[1:]} has the dims {dict(given.sizes)}, {other} {dict(like.sizes)}; "
                f"they should agree."
            )
        return None
    own, wanted = given.indexes[dim], like.indexes[dim]
    if own.equals(wanted) or _is_close(own, wanted):
        return None
    found = own.get_indexer(wanted) if own.is_unique else np.full(len(wanted), -1)
    if (found < 0).any():
        missing = wanted[int(np.argmax(found < 0))]
        why = "has no cell" if own.is_unique else "has labels that stand twice, which leaves open what belongs"
        raise ResultError(
            f"{what[0].upper()}{what[1:]} {why} at {dim}={missing}, which {other} has. Select the cells that both have."
        )
    return np.asarray(found)


def _is_close(own: pd.Index, wanted: pd.Index) -> bool:
    if len(own) != len(wanted) or own.dtype.kind not in "iuf" or wanted.dtype.kind not in "iuf":
        return False
    return _is_rounding(np.asarray(own, float), np.asarray(wanted, float))


def _is_rounding(own: np.ndarray, wanted: np.ndarray) -> bool:
    largest = float(np.abs(wanted).max(initial=0.0, where=np.isfinite(wanted)))
    return bool(np.allclose(own, wanted, rtol=0.0, atol=_ROUNDING * largest, equal_nan=True))


def _holds_same(own: xr.Variable, wanted: xr.Variable) -> bool:
    """Say whether two coordinates agree, as far as can be told without computing."""
    if own.chunks is not None or wanted.chunks is not None:
        return True
    if set(own.dims) != set(wanted.dims):
        return True  # one of both changes along more dims: the labels of these decide
    wanted = wanted.transpose(*own.dims)
    if own.dtype.kind in "iuf" and wanted.dtype.kind in "iuf":
        return _is_rounding(np.asarray(own.values, float), np.asarray(wanted.values, float))
    return bool(np.array_equal(own.values, wanted.values))
