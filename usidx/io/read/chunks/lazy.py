"""A stored dataset -> an array that xarray indexes lazily, each index pushed down to the rows and columns it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from usidx.format.layout import Array
from usidx.format.placement import Placement
from usidx.io.read.chunks.rows import Work
from usidx.io.read.chunks.stored_array import StoredArray

__all__ = ["Lazy", "MainArray", "PlainArray"]


class Lazy(indexing.LazilyIndexedArray):
    """A stored array and an index that was not applied yet; turning its axes keeps it so.

    xarray's own way turns an array by indexing it point by point, and then fails to take a single cell of it.
    """

    def transpose(self, order: Sequence[int]) -> Lazy:
        """Turn the axes that the index keeps."""
        keys = self.key.tuple
        kept = [axis for axis, key in enumerate(keys) if not isinstance(key, int | np.integer)]
        turned = [*(kept[axis] for axis in order), *(axis for axis in range(len(keys)) if axis not in kept)]
        return Lazy(self.array.reorder_axes(turned), type(self.key)(tuple(keys[axis] for axis in turned)))


class MainArray(BackendArray):
    """A main dataset as an N-D array."""

    def __init__(self, stored: StoredArray, placement: Placement) -> None:
        self.stored = stored
        self.placement = placement
        self.shape = placement.shape
        self.dtype = stored.dtype

    def reorder_axes(self, axes: Sequence[int]) -> MainArray:
        """Return the array with its axes in another order."""
        return MainArray(self.stored, replace(self.placement, order=tuple(self.placement.order[a] for a in axes)))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return _adapt_index(key, self.shape, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        return self.placement.take(key, self.stored.read)

    @property
    def may_walk(self) -> bool:
        """Whether blocks can be worked on as they are read, as `usidx.label.unread` wants it."""
        return self.stored.may_walk

    def walk(self, key: tuple[Any, ...], columns: slice, work: Work) -> bool:
        """Work on the rows of a block, of each only some columns, while they are read; False where that cannot be."""
        rows = self.placement.find_rows(key)
        return rows is not None and self.stored.walk(rows, columns, work)


class PlainArray(BackendArray):
    """A dataset that is no main dataset; axis i of the array is axis ``order[i]`` of the dataset."""

    def __init__(self, stored: StoredArray, order: tuple[int, ...] | None = None) -> None:
        self.stored = stored
        self.order = tuple(range(len(stored.shape))) if order is None else order
        self.shape = tuple(stored.shape[axis] for axis in self.order)
        self.dtype = stored.dtype

    def reorder_axes(self, axes: Sequence[int]) -> PlainArray:
        """Return the array with its axes in another order."""
        return PlainArray(self.stored, tuple(self.order[axis] for axis in axes))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return _adapt_index(key, self.shape, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        natural: list[Any] = [slice(None)] * len(key)
        for axis, one in zip(self.order, key, strict=True):
            natural[axis] = slice(one, one + 1 or None) if isinstance(one, int | np.integer) else one
        block = self.stored.read(*natural).transpose(self.order)
        return block[tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)]


def _adapt_index(
    key: indexing.ExplicitIndexer, shape: tuple[int, ...], read: Callable[[tuple[Any, ...]], Array]
) -> Any:
    """Let xarray break any index down to outer indexing."""
    if not isinstance(key, indexing.VectorizedIndexer):
        # xarray looks for the last entry of slices that run backwards, which an empty one does not have.
        key = type(key)(tuple(_simplify_index(one, size) for one, size in zip(key.tuple, shape, strict=True)))
    return indexing.explicit_indexing_adapter(key, shape, indexing.IndexingSupport.OUTER, read)


def _simplify_index(key: Any, size: int) -> Any:
    return slice(0, 0) if isinstance(key, slice) and not range(*key.indices(size)) else key
