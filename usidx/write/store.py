"""Lazy arrays -> their places in an open file: everything computed once, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np

from usidx.computing import on_cluster, runs_here
from usidx.write.target import writing

__all__ = ["Store", "patience", "put", "store"]

#: What, and where to.
Store = tuple[Any, Any]


def patience() -> float:
    """Return for how many seconds to wait for a file: workers of a cluster lock it for moments while they read."""
    return 30.0 if on_cluster() else 2.0


def store(pairs: Sequence[Store], check: Callable[[], None]) -> None:
    """Compute what is lazy, once, and put every block where it belongs.

    Parameters
    ----------
    pairs : sequence of (array, target)
        A target takes blocks by their slices.
    check : callable
        Raises what went wrong with the file so far.
    """
    with writing([target for _, target in pairs], check):
        for data, target in pairs:
            if not dask.is_dask_collection(data):
                put(target, (slice(None),) * np.ndim(data), data)
        lazy = [(data, target) for data, target in pairs if dask.is_dask_collection(data)]
        if lazy:
            arrays, targets = [a for a, _ in lazy], [t for _, t in lazy]
            if runs_here():
                da.store(arrays, targets, lock=False, return_stored=False)  # targets and h5py lock for themselves
            else:
                _fetch(arrays, targets)
    check()


def _fetch(arrays: Sequence[Any], targets: Sequence[Any]) -> None:
    """Fetch blocks one by one from where they were computed; only this process may write."""
    for array, target in zip(arrays, targets, strict=True):
        for index in np.ndindex(*array.numblocks):
            bounds = [np.cumsum([0, *sizes]) for sizes in array.chunks]
            key = tuple(slice(int(b[i]), int(b[i + 1])) for b, i in zip(bounds, index, strict=True))
            put(target, key, array.blocks[index].compute(scheduler=None if on_cluster() else "sync"))


def put(target: Any, key: tuple[slice, ...], block: Any) -> None:
    """Put one block; a scalar dataset takes no slices."""
    if isinstance(target, h5py.Dataset) and target.shape == ():
        target[()] = block
    else:
        target[key] = block
