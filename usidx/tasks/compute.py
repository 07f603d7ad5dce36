"""Many lazy results -> memory, in one pass over their source, with a progress bar."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
import xarray as xr

from usidx.tasks.cluster import follow_on_cluster, is_on_cluster
from usidx.tasks.columns import find_tables
from usidx.tasks.merge import merge_passes
from usidx.tasks.passes import join_iterations
from usidx.tasks.progress import name_step, show_progress
from usidx.tasks.threads import runs_here

__all__ = ["compute"]

_LOG = logging.getLogger(__name__)


def compute(*objects: Any, progress: bool = True) -> Any:
    """Compute several lazy objects together, each block of their source being read once for all of them.

    Verbs that read their source twice (svd and pca) share the second time too.

    Blocks go straight to their place in the result, where dask keeps all of them and joins them at the end. So this
    takes half the memory of ``.compute()``, and less time.

    Parameters
    ----------
    *objects : DataArray, Dataset or any dask collection
        What to compute; what is not lazy is returned as it is.
    progress : bool, default True
        Show a line for work that takes more than a moment, in a terminal or a notebook: what is done, how far it is
        and the time that is left. Verbs that iterate say in its place which iteration they are at, of how many at
        most, and what it gained. Nothing is shown in a pipe, in a log, or in a notebook that a program runs.

    Returns
    -------
    object or tuple
        The same in memory: one object for one, a tuple for several.

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> svd, mean = usidx.compute(raw.usid.svd(4), raw.mean(["Y", "X"]))
    >>> svd.scores.dims, mean.dims
    (('Y', 'X', 'component'), ('Frequency',))
    """
    lazy = join_iterations(merge_passes([array for one in objects for array in _list_arrays(one)]))
    begun = time.perf_counter()
    _LOG.debug("compute begins, of %d arrays", len(lazy))
    step = name_step(objects)
    with show_progress(progress, lazy, step):
        computed = iter(_compute_together(lazy, progress, step))
    _LOG.info("compute: %d arrays done in %.2f s", len(lazy), time.perf_counter() - begun)
    found = tuple(_put_back(one, computed) for one in objects)
    return found[0] if len(found) == 1 else found


def _list_arrays(one: Any) -> list[Any]:
    """Return the lazy arrays of an object; given whole Datasets, dask loses variables that others are made from."""
    if isinstance(one, xr.DataArray):
        one = one._to_temp_dataset()
    if isinstance(one, xr.Dataset):
        return [v.data for v in one.variables.values() if dask.is_dask_collection(v.data)]
    return [one] if dask.is_dask_collection(one) else []


class _OtherKind(Exception):
    """A block is not what its array said."""


class _Room:
    """Memory for an array, to which dask's threads bring the blocks."""

    def __init__(self, array: Any) -> None:
        self.array = np.empty(array.shape, array.dtype)
        self._name = uuid4().hex

    def __dask_tokenize__(self) -> str:
        return self._name

    def __setitem__(self, key: tuple[slice, ...], block: Any) -> None:
        place = self.array[key]
        if type(block) is not np.ndarray or block.dtype != self.array.dtype or block.shape != place.shape:
            raise _OtherKind
        if block.shape == self.array.shape:
            self.array = block
        else:
            place[...] = block


def _compute_together(lazy: Sequence[Any], progress: bool, step: str) -> Sequence[Any]:
    """Compute lazy objects at once."""
    tables = find_tables(lazy)
    arrays = [table.array for table in tables]
    if runs_here() and all(_has_known_size(one) for one in lazy):
        rooms = [_Room(one) for one in lazy]
        try:
            da.store(arrays, [table.join_targets(rooms) for table in tables], lock=False, return_stored=False)
        except _OtherKind:
            pass  # dask makes of such blocks what it can
        else:
            return [room.array for room in rooms]
    spread = is_on_cluster()
    if spread:
        arrays = follow_on_cluster(arrays, progress, step)
    found: dict[int, Any] = {}
    for table, values in zip(tables, dask.compute(*arrays, optimize_graph=not spread), strict=True):
        found |= table.make_arrays(values)
    return [found[number] for number in range(len(lazy))]


def _has_known_size(one: Any) -> bool:
    return isinstance(one, da.Array) and type(one._meta) is np.ndarray and not any(np.isnan(n) for n in one.shape)


def _put_back(one: Any, computed: Iterator[Any]) -> Any:
    """Put computed arrays in the place of the lazy ones, in the same order."""
    if isinstance(one, xr.DataArray):
        return one._from_temp_dataset(_put_back(one._to_temp_dataset(), computed))
    if isinstance(one, xr.Dataset):
        done = {n: v.copy(data=next(computed)) for n, v in one.variables.items() if dask.is_dask_collection(v.data)}
        return one._replace(variables={n: done.get(n, v) for n, v in one.variables.items()})
    return next(computed) if dask.is_dask_collection(one) else one
