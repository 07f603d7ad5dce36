"""A variable that was opened and left alone -> the dataset of the file that holds it, and how it lies there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from usidx.format.placement import Axes
from usidx.io.read.chunks.lazy import Lazy, MainArray, PlainArray
from usidx.io.read.chunks.stored_array import StoredArray

__all__ = ["Held", "find_held"]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Where a variable lies.

    Attributes
    ----------
    stored : StoredArray
        The dataset, or the field of a compound one.
    sides : tuple of Axes
        What each axis of the dataset unfolds to; the axes of the variable are those of all sides, one after another.
    dims : tuple of str
        Of the variable, in that order.
    """

    stored: StoredArray
    sides: tuple[Axes, ...]
    dims: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape over the dims."""
        return tuple(n for side in self.sides for n in side.shape)


def find_held(variable: xr.Variable) -> Held | None:
    """Return where a variable lies, None where it is computed, in memory, or a part of what is stored.

    Parameters
    ----------
    variable : Variable
        As it was opened with ``chunks=None``.
    """
    array, key = _unwrap(variable._data)
    if not isinstance(array, MainArray | PlainArray) or not _is_whole(key, array.shape):
        return None
    if isinstance(array, PlainArray):
        order = array.order
        sides = tuple(Axes((n,), None) for n in array.stored.shape)
        stored = array.stored
    else:
        order = array.placement.order
        sides = (_straighten(array.placement.position), _straighten(array.placement.spectroscopic))
        stored = array.stored
    if len(variable.dims) != len(order):
        return None
    dims = [""] * len(order)
    for dim, axis in zip(variable.dims, order, strict=True):
        dims[axis] = str(dim)
    return Held(stored, sides, tuple(dims))


def _unwrap(data: Any) -> tuple[Any, tuple[Any, ...] | None]:
    """Take off what xarray lays around an array; return it, and the index that waits to be applied."""
    key = None
    while not isinstance(data, MainArray | PlainArray):
        if isinstance(data, Lazy):
            key = data.key.tuple if key is None else key
        data = getattr(data, "array", None)
        if data is None or isinstance(data, np.ndarray):
            return None, None
    return data, key


def _is_whole(key: tuple[Any, ...] | None, shape: tuple[int, ...]) -> bool:
    return key is None or (
        len(key) == len(shape)
        and all(isinstance(k, slice) and k.indices(n) == (0, n, 1) for k, n in zip(key, shape, strict=True))
    )


def _straighten(axes: Axes) -> Axes:
    """Leave out a permutation that permutes nothing."""
    if axes.rows is not None and bool((axes.rows == np.arange(axes.rows.size)).all()):
        return replace(axes, rows=None)
    return axes
