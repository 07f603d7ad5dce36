"""A block of an N-D array -> its rows and columns in a stored dataset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from threading import Lock
from typing import Any

import h5py
import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Placement, Selector

__all__ = ["MainTarget"]


class MainTarget:
    """What dask stores the blocks of a labelled array into.

    Blocks may be cut along any dims: each goes to its own rows and columns, so nothing is gathered or reshaped first.
    """

    def __init__(self, dataset: h5py.Dataset, placement: Placement, lock: Lock) -> None:
        self.dataset = dataset
        self.placement = placement
        self.lock = lock

    def __setitem__(self, key: tuple[slice, ...], block: Array) -> None:
        axes = np.argsort(self.placement.order)  # axes of the array, position ones first
        natural = [key[axis] for axis in axes]
        sides = self.placement.position, self.placement.spectroscopic
        split = len(sides[0].shape)
        rows, columns = sides[0].select(natural[:split]), sides[1].select(natural[split:])
        matrix = np.asarray(block).transpose(axes).reshape(_length(rows), _length(columns))
        with self.lock:
            for row, column in product(_runs(rows), _runs(columns)):
                self.dataset[row[0], column[0]] = matrix[row[1]][:, column[1]]


def _length(selector: Selector) -> int:
    return len(range(selector.start, selector.stop, selector.step)) if isinstance(selector, slice) else selector.size


def _runs(selector: Selector) -> Iterator[tuple[slice, Any]]:
    """Yield (where in the file, where in the block) for stretches that lie together in the file."""
    if isinstance(selector, slice) and selector.step == 1:
        yield selector, slice(None)
        return
    wanted = np.arange(selector.start, selector.stop, selector.step) if isinstance(selector, slice) else selector
    order = np.argsort(wanted, kind="stable")
    rising = wanted[order]
    bounds = [0, *(np.flatnonzero(np.diff(rising) != 1) + 1).tolist(), rising.size]
    for first, end in pairwise(bounds):
        yield slice(int(rising[first]), int(rising[end - 1]) + 1), order[first:end]
