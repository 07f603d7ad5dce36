"""Lazy arrays -> their places in an open file: everything computed once, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np

from usidx.io.write.blocks.gate import Ground
from usidx.io.write.blocks.target import write_in_threads
from usidx.tasks.cluster import fetch_blocks, is_on_cluster
from usidx.tasks.columns import find_tables, list_targets
from usidx.tasks.threads import runs_here

__all__ = ["Store", "choose_waiting_time", "put", "store"]

#: What, and where to.
Store = tuple[Any, Any]


def choose_waiting_time() -> float:
    """Return for how many seconds to wait for a file: workers of a cluster lock it for moments while they read."""
    return 30.0 if is_on_cluster() else 2.0


def store(
    pairs: Sequence[Store], check: Callable[[], None], ground: Ground | None = None, *, progress: bool = False
) -> None:
    """Compute what is lazy, once, and put every block where it belongs.

    Only this process may write; from a cluster blocks are fetched as they are finished, and its workers let go of them.

    Parameters
    ----------
    pairs : sequence of (array, target)
        A target takes blocks by their slices; several may be joined to one (see `usidx.tasks.columns`).
    check : callable
        Raises what went wrong with the file so far.
    ground : Ground, optional
        Lets uncompressed cells be written past HDF5.
    progress : bool
        Show a progress bar for what comes from a cluster.
    """
    with write_in_threads([one for _, target in pairs for one in list_targets(target)], check, ground):
        for data, target in pairs:
            if not dask.is_dask_collection(data):
                put(target, (slice(None),) * np.ndim(data), data)
        lazy = [(data, target) for data, target in pairs if dask.is_dask_collection(data)]
        if lazy:
            tables = find_tables([array for array, _ in lazy])
            arrays = [table.array for table in tables]
            targets = [table.join_targets([target for _, target in lazy]) for table in tables]
            if runs_here():
                da.store(arrays, targets, lock=False, return_stored=False)  # targets and h5py lock for themselves
            else:
                for number, key, block in fetch_blocks(arrays, progress):
                    put(targets[number], key, block)
    check()


def put(target: Any, key: tuple[slice, ...], block: Any) -> None:
    """Put one block; a scalar dataset takes no slices."""
    if isinstance(target, h5py.Dataset) and target.shape == ():
        target[()] = block
    else:
        target[key] = block
