"""Work on a cluster of dask.distributed, or in other processes -> its blocks here, as each is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dask
import numpy as np

from usidx.tasks.progress import count_progress, is_watched
from usidx.tasks.threads import runs_here

__all__ = ["count_cluster_threads", "fetch_blocks", "follow_on_cluster", "is_on_cluster"]


def is_on_cluster() -> bool:
    """Say whether a client of dask.distributed runs the tasks."""
    try:
        from distributed import get_client

        get_client()
    except (ImportError, ValueError):
        return False
    return not runs_here()


def count_cluster_threads() -> int:
    """Return how many threads the cluster has; 0 where there is none."""
    if not is_on_cluster():
        return 0
    from distributed import get_client

    return int(sum(get_client().nthreads().values()))


Block = tuple[int, tuple[slice, ...], Any]


def fetch_blocks(arrays: Sequence[Any], progress: bool) -> Iterator[Block]:
    """Compute dask arrays in other processes; give (number of the array, where in it, the block) in any order.

    From a cluster each block comes once it is finished, and is then let go of, so that its workers hold what waits and
    not the whole.
    """
    arrays = dask.persist(*arrays)
    if is_on_cluster():
        return _fetch_from_cluster(list(arrays), progress)
    return (
        (number, place, array.blocks[name[1:]].compute(scheduler="sync"))
        for number, array in enumerate(arrays)
        for name, place in _list_places(array)
    )


def _fetch_from_cluster(arrays: Sequence[Any], progress: bool) -> Iterator[Block]:
    from distributed import as_completed, futures_of

    places = {name: (number, place) for number, array in enumerate(arrays) for name, place in _list_places(array)}
    finished = as_completed(futures_of(arrays))
    del arrays  # which would keep all blocks on the workers
    # The cluster's own bar would wait for all of them.
    with count_progress(len(places), progress) as advance:
        for future in finished:
            yield *places[future.key], future.result()
            advance()


def _list_places(array: Any) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    """Give the name of each block, and where it lies."""
    bounds = [np.cumsum([0, *sizes]).tolist() for sizes in array.chunks]
    for index in np.ndindex(*array.numblocks):
        yield (array.name, *index), tuple(slice(b[i], b[i + 1]) for b, i in zip(bounds, index, strict=True))


def follow_on_cluster(running: Sequence[Any], progress: bool) -> None:
    """Show the cluster's own bar for what runs on it."""
    if not (progress and is_watched()):
        return
    from distributed import progress as follow

    bar = follow(*running)
    if bar is not None:  # in a notebook it is a widget, which only shows itself at the end of a cell
        import IPython.display as notebook

        notebook.display(bar)  # type: ignore[no-untyped-call,unused-ignore]
