"""Work on a cluster of dask.distributed, or in other processes -> its blocks here, as each is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dask
import numpy as np

from usidx.tasks.graph import optimize_for_cluster
from usidx.tasks.progress import TOPIC, Line, count_progress, hear, is_watched, show_iterations
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
    if is_on_cluster():
        return _fetch_from_cluster(list(arrays), progress)
    arrays = dask.persist(*arrays)
    return (
        (number, place, array.blocks[name[1:]].compute(scheduler="sync"))
        for number, array in enumerate(arrays)
        for name, place in _list_places(array)
    )


def _fetch_from_cluster(arrays: Sequence[Any], progress: bool) -> Iterator[Block]:
    from distributed import as_completed, futures_of

    places = {name: (number, place) for number, array in enumerate(arrays) for name, place in _list_places(array)}
    # The cluster's own bar would wait for all of them.
    with count_progress(len(places), progress, arrays, "write") as advance:
        _listen()
        # Nothing else keeps the blocks.
        finished = as_completed(futures_of(dask.persist(*optimize_for_cluster(arrays), optimize_graph=False)))
        del arrays
        for future in finished:
            yield *places[future.key], future.result()
            advance()


def _list_places(array: Any) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    """Give the name of each block, and where it lies."""
    bounds = [np.cumsum([0, *sizes]).tolist() for sizes in array.chunks]
    for index in np.ndindex(*array.numblocks):
        yield (array.name, *index), tuple(slice(b[i], b[i + 1]) for b, i in zip(bounds, index, strict=True))


def follow_on_cluster(lazy: list[Any], progress: bool, step: str = "compute") -> list[Any]:
    """Return lazy objects, optimised; computed by the cluster if a person can see how far that is meanwhile."""
    optimized = optimize_for_cluster(lazy)
    if not (progress and is_watched()):
        return optimized
    from distributed import futures_of

    with show_iterations(lazy, step) as line:
        _listen()
        running = list(dask.persist(*optimized, optimize_graph=False))
        _draw_tasks(line, futures_of(running))
    return running


def _draw_tasks(line: Line, futures: Sequence[Any]) -> None:
    """Draw how many tasks are done, until all are; those that the futures rest on among them."""
    from distributed.diagnostics.progressbar import TextProgressBar

    class Bar(TextProgressBar):  # type: ignore[misc,unused-ignore]
        def _draw_bar(self, remaining: int, all: int, **_figures: Any) -> None:
            line.count(all - remaining, all)

        def _draw_stop(self, **_figures: Any) -> None:
            """Leave the line as it is."""

    Bar(futures)


def _listen() -> None:
    """Let the workers tell of iterations."""
    from distributed import get_client

    get_client().subscribe_topic(TOPIC, _hear_event)


def _hear_event(event: tuple[float, list[str]]) -> None:
    hear(*event[1])
