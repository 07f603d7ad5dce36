"""Blocks of rows and columns, in any order -> the chunks of a dataset, compressed in threads and put by one at a time.

What a block covers of a chunk wholly is compressed at once. The rest waits in memory until other blocks bring its other
cells (`usidx.io.write.blocks.gather`), so each chunk is compressed and written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Selector, as_selector
from usidx.io.write.blocks.compress import choose_packer
from usidx.io.write.blocks.gate import Gate, Ground
from usidx.io.write.blocks.gather import Gathering, Number

__all__ = ["ChunkedSink", "make_chunked_sink", "takes_whole_chunks"]


def takes_whole_chunks(dataset: h5py.Dataset) -> bool:
    """Say whether chunks of the dataset can be made here: two dims, cells as in memory, filters that we know."""
    if dataset.chunks is None or dataset.ndim != 2 or dataset.id.get_type().get_size() != dataset.dtype.itemsize:
        return False
    if dataset.dtype.hasobject:
        return False
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(place)[0] for place in range(pipeline.get_nfilters())]
    return filters == _list_filters(dataset)


def _list_filters(dataset: h5py.Dataset) -> list[int]:
    """Return the filters that `choose_packer` applies to this dataset."""
    if dataset.compression != "gzip":
        return []
    return (
        [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE] if dataset.dtype.itemsize > 1 else [h5py.h5z.FILTER_DEFLATE]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """What a block has of one row, or column, of chunks."""

    number: int
    inside: Selector  # of the chunk
    outside: Selector  # of the block
    count: int
    cells: int  # that this chunk has along here; the last one may reach beyond the dataset

    @property
    def is_whole(self) -> bool:
        return self.count == self.cells


class ChunkedSink:
    """Makes chunks of what comes.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of two dims.
    lock : Lock
        Held while HDF5 is called.
    shape : tuple of int
        Of a chunk.
    is_fresh : bool
        The dataset has no cells yet, so no chunk need be read before it is added to.
    pack : callable
        Chunk -> what is kept of it; called in several threads.
    keep : callable
        Given where in the dataset a chunk starts and what is kept of it, has HDF5 write that.
    """

    def __init__(
        self,
        dataset: h5py.Dataset,
        lock: Lock,
        *,
        shape: tuple[int, int],
        is_fresh: bool,
        pack: Callable[[Array], Any],
        keep: Callable[[tuple[int, int], Any], None],
    ) -> None:
        self._dataset = dataset
        self._lock = lock
        self._shape = shape
        self._is_fresh = is_fresh
        self._pack = pack
        self._keep = keep
        self._dtype = dataset.dtype
        self._gathering = Gathering(shape, self._dtype, Path(dataset.file.filename).parent)
        self._gate = Gate()
        self._pool: Executor | None = None
        self._ground: Ground | None = None
        self._addresses: dict[tuple[int, int], int] = {}

    def start(self, pool: Executor | None, ground: Ground | None = None) -> None:
        """Take blocks from now on, and compress in the threads of a pool; what needs no HDF5 goes past it."""
        # A mere copy takes less time than handing it to another thread.
        self._pool = pool if self._dataset.compression else None
        self._addresses = {} if ground is None else _find_addresses(self._dataset, ground)
        self._ground = ground if self._addresses else None
        self._gate.open()

    def start_alone(self) -> ChunkedSink:
        """Take blocks from now on, without threads."""
        self._gate.open()
        return self

    def put(self, rows: Selector, columns: Selector, matrix: Array) -> None:
        """Take a block, dims (row, column); returns when its whole chunks are written."""
        with self._gate:
            self._put(rows, columns, matrix)

    def _put(self, rows: Selector, columns: Selector, matrix: Array) -> None:
        values = matrix.astype(self._dtype, copy=False)
        cuts = product(
            _cut_at_chunks(rows, self._shape[0], self._dataset.shape[0]),
            _cut_at_chunks(columns, self._shape[1], self._dataset.shape[1]),
        )
        ready = (work for cut in cuts if (work := self._prepare(cut, values)) is not None)
        # Results are asked for so that errors are raised here.
        for _ in map(_call, ready) if self._pool is None else self._pool.map(_call, ready):
            pass

    def finish(self) -> None:
        """Write the chunks of which only a part came."""
        for number, chunk in self._gathering.drain():
            self._write(number, chunk)
        self._is_fresh = False

    def stop(self) -> None:
        """Refuse what still comes, and forget what waits."""
        self._gate.shut()
        self._pool = None
        self._gathering.clear()

    def _prepare(self, cut: tuple[_Cut, _Cut], matrix: Array) -> Callable[[], None] | None:
        """Return what is left to do for a chunk whose cells are all there.

        Pieces are many and small, so they are put together at once; a whole chunk is worth a thread.
        """
        row, column = cut
        number = row.number, column.number
        if row.is_whole and column.is_whole:
            return partial(self._write_whole, number, cut, matrix)
        place, piece = _make_index(row.inside, column.inside), matrix[:, column.outside][row.outside]
        chunk = self._gathering.add(number, place, piece, row.cells * column.cells, self._begin)
        return None if chunk is None else partial(self._write, number, chunk)

    def _write_whole(self, number: Number, cut: tuple[_Cut, _Cut], matrix: Array) -> None:
        row, column = cut
        chunk = matrix[:, column.outside][row.outside]
        if chunk.shape != self._shape:  # it reaches beyond the dataset
            padded = np.zeros(self._shape, self._dtype)
            padded[: chunk.shape[0], : chunk.shape[1]] = chunk
            chunk = padded
        self._write(number, chunk)

    def _begin(self, number: Number) -> Array:
        """Return a chunk as the file has it."""
        chunk = np.zeros(self._shape, self._dtype)
        if not self._is_fresh:
            start = number[0] * self._shape[0], number[1] * self._shape[1]
            with self._lock:
                self._gate.check()
                found = self._dataset[start[0] : start[0] + self._shape[0], start[1] : start[1] + self._shape[1]]
            chunk[: found.shape[0], : found.shape[1]] = found
        return chunk

    def _write(self, number: Number, chunk: Array) -> None:
        packed = self._pack(chunk)
        self._gate.check()
        start = number[0] * self._shape[0], number[1] * self._shape[1]
        if self._ground is not None:
            self._ground.write_new(self._addresses[start], packed.view(np.uint8).reshape(-1))
            return
        with self._lock:
            self._gate.check()
            self._keep(start, packed)


def _cut_at_chunks(selector: Selector, chunk: int, size: int) -> Sequence[_Cut]:
    """Cut rows, or columns, where chunks end."""
    if isinstance(selector, slice) and selector.step == 1:
        edges = [selector.start, *range((selector.start // chunk + 1) * chunk, selector.stop, chunk), selector.stop]
        return [
            _make_cut(
                a // chunk, slice(a % chunk, a % chunk + b - a), slice(a - edges[0], b - edges[0]), b - a, chunk, size
            )
            for a, b in pairwise(edges)
            if b > a
        ]
    wanted = np.arange(selector.start, selector.stop, selector.step) if isinstance(selector, slice) else selector
    order = np.argsort(wanted, kind="stable")
    rising = wanted[order]
    edges = [0, *(np.flatnonzero(np.diff(rising // chunk)) + 1).tolist(), rising.size]
    return [
        _make_cut(
            int(rising[a]) // chunk, as_selector(rising[a:b] % chunk), as_selector(order[a:b]), b - a, chunk, size
        )
        for a, b in pairwise(edges)
        if b > a
    ]


def _make_cut(number: int, inside: Selector, outside: Selector, count: int, chunk: int, size: int) -> _Cut:
    return _Cut(number, inside, outside, count, min(chunk, size - number * chunk))


def make_chunked_sink(dataset: h5py.Dataset, lock: Lock) -> ChunkedSink:
    """Return what makes the HDF5 chunks of a dataset for which `takes_whole_chunks`."""
    return ChunkedSink(
        dataset,
        lock,
        shape=(int(dataset.chunks[0]), int(dataset.chunks[1])),
        is_fresh=dataset.id.get_num_chunks() == 0,
        pack=choose_packer(dataset.compression_opts if dataset.compression else None),
        keep=dataset.id.write_direct_chunk,
    )


def _find_addresses(dataset: h5py.Dataset, ground: Ground) -> dict[tuple[int, int], int]:
    """Return where each chunk lies, if all may be written past HDF5: as they are, and allocated for this write."""
    if dataset.compression or dataset.id.get_create_plist().get_alloc_time() != h5py.h5d.ALLOC_TIME_EARLY:
        return {}
    found: dict[tuple[int, int], int] = {}
    # A call that returns nothing goes on to the next chunk.
    dataset.id.chunk_iter(lambda chunk: found.__setitem__(chunk.chunk_offset, chunk.byte_offset))
    return found if found and all(ground.is_new(address) for address in found.values()) else {}


def _call(work: Callable[[], None]) -> None:
    work()


def _make_index(rows: Selector, columns: Selector) -> Any:
    """Return an index of rows by columns."""
    if isinstance(rows, slice) or isinstance(columns, slice):
        return rows, columns
    return np.ix_(rows, columns)
