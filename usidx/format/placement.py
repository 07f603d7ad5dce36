"""Where each cell of an N-D array lies in the two-dimensional main dataset, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from usidx.format.layout import Array

__all__ = ["Axes", "Key", "Placement", "Selector", "as_selector"]

#: Index of one axis of the array: an integer drops the axis.
Key = int | slice | Array
#: Rows or columns of the main dataset, in the order wanted.
Selector = slice | Array


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Axes that one side gives to the array: their sizes, and the row of each cell in C order (None: in order)."""

    shape: tuple[int, ...]
    rows: Array | None

    def select(self, keys: Sequence[slice | Array]) -> Selector:
        """Return the rows of the cells that the keys pick, in C order."""
        if all(_is_whole(key, size) for key, size in zip(keys, self.shape, strict=True)):
            return slice(0, prod(self.shape), 1) if self.rows is None else as_selector(self.rows)
        cells = np.zeros(1, dtype=np.int64)
        for key, size in zip(keys, self.shape, strict=True):
            picked = np.arange(size)[key]
            cells = (cells[:, None] * size + picked).reshape(-1)
        return as_selector(cells if self.rows is None else self.rows[cells])


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """How an N-D array is laid over the main dataset.

    Attributes
    ----------
    position, spectroscopic : Axes
        What rows and columns unfold to.
    order : tuple of int
        Axis i of the array is axis ``order[i]`` of (*position, *spectroscopic).
    """

    position: Axes
    spectroscopic: Axes
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the N-D array."""
        natural = self.position.shape + self.spectroscopic.shape
        return tuple(natural[axis] for axis in self.order)

    def take(self, key: Sequence[Key], read: Callable[[Selector, Selector], Array]) -> Array:
        """Fetch a block of the N-D array with one read of rows by columns.

        Parameters
        ----------
        key : sequence of int, slice or array of int
            One for each axis of the array; arrays select along their own axis (outer indexing).
        read : callable
            Given row and column selectors, returns the 2-D block in that order.
        """
        natural: list[Key] = [slice(None)] * len(self.order)
        for axis, one in zip(self.order, key, strict=True):
            natural[axis] = one
        kept = [slice(k, k + 1 or None) if isinstance(k, int | np.integer) else k for k in natural]
        split = len(self.position.shape)
        rows = self.position.select(kept[:split])
        columns = self.spectroscopic.select(kept[split:])
        sizes = self.position.shape + self.spectroscopic.shape
        block = read(rows, columns).reshape([len(np.arange(n)[k]) for k, n in zip(kept, sizes, strict=True)])
        block = block.transpose(self.order)
        return block[tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)]

    def find_rows(self, key: Sequence[Key]) -> slice | None:
        """Return the rows whose cells, all of each, are a block in the order of the main dataset; None if it is none.

        Parameters
        ----------
        key : sequence of int, slice or array of int
            As for `take`.
        """
        split = len(self.position.shape)
        columns = self.spectroscopic
        is_natural = self.order == tuple(range(len(self.order))) and columns.rows is None
        if not is_natural or any(isinstance(k, np.ndarray) for k in key):
            return None
        kept = [slice(k, k + 1 or None) if isinstance(k, int | np.integer) else k for k in key]
        if not all(_is_whole(k, n) for k, n in zip(kept[split:], columns.shape, strict=True)):
            return None
        rows = self.position.select(kept[:split])
        return rows if isinstance(rows, slice) and rows.step == 1 else None

    def unfold(self, main: Array) -> Array:
        """Return the whole N-D array of a main dataset in memory."""
        return self.take([slice(None)] * len(self.order), lambda rows, columns: main[rows][:, columns])


def as_selector(indices: Array) -> Selector:
    """Return a slice where the indices rise by equal steps, else the indices."""
    if indices.size == 0:
        return slice(0, 0, 1)
    first = int(indices[0])
    if indices.size == 1:
        return slice(first, first + 1, 1)
    step = int(indices[1]) - first
    if step > 0 and bool((np.diff(indices) == step).all()):
        return slice(first, int(indices[-1]) + 1, step)
    return indices


def _is_whole(key: slice | Array, size: int) -> bool:
    return isinstance(key, slice) and key.indices(size) == (0, size, 1)
