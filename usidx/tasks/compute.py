"""Many lazy results -> memory, in one pass over their source, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
import xarray as xr

from usidx.tasks.merge import merged

__all__ = ["cluster_threads", "compute", "counted", "fetched", "on_cluster", "runs_here", "shown"]

# A bar that comes and goes within this many seconds only flickers.
_SHOWN_AFTER = 1.0
_WIDTH = 40


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
        Show a progress bar for work that takes more than a moment; on a cluster that of dask.distributed.

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
    lazy = merged([array for one in objects for array in _arrays(one)])
    if progress and on_cluster():
        lazy = list(dask.persist(*lazy))
        followed(lazy, progress)
    with shown(progress):
        computed = iter(_computed(lazy))
    found = tuple(_rebuilt(one, computed) for one in objects)
    return found[0] if len(found) == 1 else found


def _arrays(one: Any) -> list[Any]:
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


def _computed(lazy: Sequence[Any]) -> Sequence[Any]:
    """Compute lazy objects at once."""
    if runs_here() and all(_has_known_size(one) for one in lazy):
        rooms = [_Room(one) for one in lazy]
        try:
            da.store(list(lazy), rooms, lock=False, return_stored=False)
        except _OtherKind:
            pass  # dask makes of such blocks what it can
        else:
            return [room.array for room in rooms]
    found: Sequence[Any] = dask.compute(*lazy)
    return found


def _has_known_size(one: Any) -> bool:
    return isinstance(one, da.Array) and type(one._meta) is np.ndarray and not any(np.isnan(n) for n in one.shape)


def _rebuilt(one: Any, computed: Iterator[Any]) -> Any:
    """Put computed arrays in the place of the lazy ones, in the same order."""
    if isinstance(one, xr.DataArray):
        return one._from_temp_dataset(_rebuilt(one._to_temp_dataset(), computed))
    if isinstance(one, xr.Dataset):
        done = {n: v.copy(data=next(computed)) for n, v in one.variables.items() if dask.is_dask_collection(v.data)}
        return one._replace(variables={n: done.get(n, v) for n, v in one.variables.items()})
    return next(computed) if dask.is_dask_collection(one) else one


def runs_here() -> bool:
    """Say whether tasks run in this process."""
    scheduler = dask.base.get_scheduler()
    return scheduler is None or scheduler in {dask.threaded.get, dask.local.get_sync}


@contextmanager
def shown(progress: bool) -> Iterator[None]:
    """Show dask's progress bar, in a terminal or a notebook, for work that takes more than a moment."""
    if progress and runs_here() and _is_watched():
        from dask.diagnostics import ProgressBar

        bar: Any = ProgressBar(minimum=_SHOWN_AFTER)
    else:
        bar = nullcontext()
    with bar:
        yield


@contextmanager
def counted(total: int, progress: bool) -> Iterator[Callable[[], None]]:
    """Show one progress bar for work in `total` parts, each computed by itself; gives what to call after each part."""
    begun, done, is_drawn = time.monotonic(), 0, False

    def advance() -> None:
        nonlocal done, is_drawn
        done += 1
        spent = time.monotonic() - begun
        if progress and _is_watched() and (is_drawn or spent > _SHOWN_AFTER):
            is_drawn = True
            bar = "#" * (_WIDTH * done // total)
            sys.stdout.write(f"\r[{bar:<{_WIDTH}}] | {100 * done // total}% Completed | {spent:.1f} s")
            sys.stdout.flush()

    try:
        yield advance
    finally:
        if is_drawn:
            sys.stdout.write("\n")


def _is_watched() -> bool:
    """Say whether a person can see a bar: in a terminal or a notebook, not in a log."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stdout, "isatty", lambda: False)())


def on_cluster() -> bool:
    """Say whether a client of dask.distributed runs the tasks."""
    try:
        from distributed import get_client

        get_client()
    except (ImportError, ValueError):
        return False
    return not runs_here()


def cluster_threads() -> int:
    """Return how many threads the cluster has; 0 where there is none."""
    if not on_cluster():
        return 0
    from distributed import get_client

    return int(sum(get_client().nthreads().values()))


Block = tuple[int, tuple[slice, ...], Any]


def fetched(arrays: Sequence[Any], progress: bool) -> Iterator[Block]:
    """Compute dask arrays in other processes; give (number of the array, where in it, the block) in any order.

    From a cluster each block comes once it is finished, and is then let go of, so that its workers hold what waits and
    not the whole.
    """
    arrays = dask.persist(*arrays)
    if on_cluster():
        return _from_cluster(list(arrays), progress)
    return (
        (number, place, array.blocks[name[1:]].compute(scheduler="sync"))
        for number, array in enumerate(arrays)
        for name, place in _places(array)
    )


def _from_cluster(arrays: Sequence[Any], progress: bool) -> Iterator[Block]:
    from distributed import as_completed, futures_of

    places = {name: (number, place) for number, array in enumerate(arrays) for name, place in _places(array)}
    finished = as_completed(futures_of(arrays))
    del arrays  # which would keep all blocks on the workers
    # The cluster's own bar would wait for all of them.
    with counted(len(places), progress) as advance:
        for future in finished:
            yield *places[future.key], future.result()
            advance()


def _places(array: Any) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    """Give the name of each block, and where it lies."""
    bounds = [np.cumsum([0, *sizes]).tolist() for sizes in array.chunks]
    for index in np.ndindex(*array.numblocks):
        yield (array.name, *index), tuple(slice(b[i], b[i + 1]) for b, i in zip(bounds, index, strict=True))


def followed(running: Sequence[Any], progress: bool) -> None:
    """Show the cluster's own bar for what runs on it."""
    if not (progress and _is_watched()):
        return
    from distributed import progress as follow

    bar = follow(*running)
    if bar is not None:  # in a notebook it is a widget, which only shows itself at the end of a cell
        import IPython.display as notebook

        notebook.display(bar)  # type: ignore[no-untyped-call,unused-ignore]
