"""A block of an N-D array -> its rows and columns in a stored dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any
from uuid import uuid4

import h5py
import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Placement, Selector
from usidx.io.write.blocks.chunked import ChunkedSink, make_chunked_sink, takes_whole_chunks
from usidx.io.write.blocks.contiguous import ContiguousSink
from usidx.io.write.blocks.gate import Ground
from usidx.tasks.threads import worker_count

__all__ = ["MainTarget", "write_in_threads"]

# Of a block whose cells must be put in another order first, so much at once.
_TURNED_BYTES = 32 << 20


class MainTarget:
    """What dask stores the blocks of a labelled array into.

    Blocks may be cut along any dims, and come in any order and from several threads: each goes to its own rows and
    columns. Where the dataset lies in chunks, they are compressed outside HDF5.

    Parameters
    ----------
    dataset : h5py.Dataset
        The main dataset.
    placement : Placement
        How the array is laid over it.
    lock : Lock
        Held while a block is handed to HDF5.
    """

    def __init__(self, dataset: h5py.Dataset, placement: Placement, lock: Lock) -> None:
        self.dataset = dataset
        self.placement = placement
        make = make_chunked_sink if takes_whole_chunks(dataset) else ContiguousSink
        self._sink: ChunkedSink | ContiguousSink = make(dataset, lock)
        self._name = uuid4().hex
        self._check: Callable[[], None] = _do_nothing

    def __dask_tokenize__(self) -> str:
        # Otherwise dask tries to pickle the open file.
        return self._name

    def __setitem__(self, key: tuple[slice, ...], block: Array) -> None:
        axes = np.argsort(self.placement.order)  # axes of the array, position ones first
        sizes = self.placement.position.shape + self.placement.spectroscopic.shape
        keys = [slice(*key[axis].indices(size)) for axis, size in zip(axes, sizes, strict=True)]
        for part, cells in _cut_parts(keys, np.asarray(block).transpose(axes)):
            self._put(part, cells)
            self._check()

    def _put(self, keys: Sequence[slice], cells: Array) -> None:
        split = len(self.placement.position.shape)
        rows = self.placement.position.select(keys[:split])
        columns = self.placement.spectroscopic.select(keys[split:])
        self._sink.put(rows, columns, cells.reshape(_count_selected(rows), _count_selected(columns)))

    def start(self, pool: Executor | None, check: Callable[[], None], ground: Ground | None = None) -> None:
        """Take blocks from now on.

        Parameters
        ----------
        pool : Executor or None
            Threads to compress in; None for the one that brings the block.
        check : callable
            Called after each block; raises what went wrong with the file.
        ground : Ground, optional
            Lets uncompressed cells be written past HDF5.
        """
        self._check = check
        self._sink.start(pool, ground)

    def finish(self) -> None:
        """Write the chunks of which only a part came."""
        self._sink.finish()

    def stop(self) -> None:
        """Refuse what still comes; once this returns nobody touches the file."""
        self._check = _do_nothing
        self._sink.stop()


@contextmanager
def write_in_threads(targets: Sequence[Any], check: Callable[[], None], ground: Ground | None = None) -> Iterator[None]:
    """Have threads for what is written to targets inside the block.

    Whatever ends the block, after it no thread of ours runs and nobody touches the file. Blocks that dask's own threads
    still compute after an exception are refused when they come.

    Parameters
    ----------
    targets : sequence
        Those that are no `MainTarget`, or seen through one, are left alone.
    check : callable
        Called after each block of each target; raises what went wrong with the file.
    ground : Ground, optional
        Lets uncompressed cells be written past HDF5.
    """
    ours = [t for t in (getattr(t, "target", t) for t in targets) if isinstance(t, MainTarget)]
    count = worker_count()
    pool = ThreadPoolExecutor(count, thread_name_prefix="usidx-write") if count > 1 else None
    try:
        for target in ours:
            target.start(pool, check, ground)
        yield
        for target in ours:
            target.finish()
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        for target in ours:
            target.stop()
        if pool is not None:
            pool.shutdown(wait=True)


def _do_nothing() -> None:
    """Do nothing."""


def _cut_parts(keys: list[slice], cells: Array) -> Iterator[tuple[list[slice], Array]]:
    """Cut a large block whose rows and columns do not lie in order, since putting them in order copies it."""
    axis = next((a for a, n in enumerate(cells.shape) if n > 1), None)
    if axis is None or cells.flags.c_contiguous or cells.nbytes <= _TURNED_BYTES:
        yield keys, cells
        return
    step = max(1, _TURNED_BYTES * cells.shape[axis] // cells.nbytes)
    for start in range(0, cells.shape[axis], step):
        part = cells[(slice(None),) * axis + (slice(start, start + step),)]
        begin = keys[axis].start + start
        yield [*keys[:axis], slice(begin, begin + part.shape[axis]), *keys[axis + 1 :]], part


def _count_selected(selector: Selector) -> int:
    return len(range(selector.start, selector.stop, selector.step)) if isinstance(selector, slice) else selector.size
