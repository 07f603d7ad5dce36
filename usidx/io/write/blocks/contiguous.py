"""Blocks of rows and columns, in any order -> a dataset that lies in the file row by row.

Blocks of whole rows go to HDF5 as they are. HDF5 writes anything narrower row by row, some microseconds for each, so
narrow blocks are put together first (`usidx.io.write.blocks.gather`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import pairwise, product
from threading import Lock
from typing import Any

import h5py
import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Selector
from usidx.io.write.blocks.chunked import ChunkedSink
from usidx.io.write.blocks.gate import Gate, Ground

__all__ = ["ContiguousSink"]

# Pieces that are shorter than this are put together to tiles: rows of so many bytes, so many bytes in all.
_SHORT = 8 << 10
_TILE_ROW, _TILE = 2 << 10, 256 << 10


class ContiguousSink:
    """Hands blocks to HDF5, in pieces that are worth a call.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of two dims.
    lock : Lock
        Held while HDF5 is called.
    """

    def __init__(self, dataset: h5py.Dataset, lock: Lock) -> None:
        self._dataset = dataset
        self._lock = lock
        self._gate = Gate()
        self._tiles: ChunkedSink | None = None
        # Either all blocks go through tiles or none, since a tile must see all of its cells; the first one decides.
        self._is_decided = False

    def start(self, pool: Executor | None, ground: Ground | None = None) -> None:
        """Take blocks from now on, all through HDF5: the system lets one thread at a time write a file anyway."""
        self._is_decided = False
        self._gate.open()

    def put(self, rows: Selector, columns: Selector, matrix: Array) -> None:
        """Take a block, dims (row, column)."""
        runs = list(_list_runs(rows)), list(_list_runs(columns))
        with self._gate:
            with self._lock:
                self._gate.check()
                if not self._is_decided:
                    self._tiles = self._make_tiles() if self._is_in_pieces(matrix, *map(len, runs)) else None
                    self._is_decided = True
                if self._tiles is None:
                    for row, column in product(*runs):
                        self._dataset[row[0], column[0]] = matrix[row[1]][:, column[1]]
                    return
            self._tiles.put(rows, columns, matrix)

    def finish(self) -> None:
        """Write the tiles of which only a part came."""
        if self._tiles is not None:
            self._tiles.finish()

    def stop(self) -> None:
        """Refuse what still comes."""
        if self._tiles is not None:
            self._tiles.stop()
        self._gate.shut()

    def _is_in_pieces(self, matrix: Array, row_runs: int, column_runs: int) -> bool:
        is_whole = column_runs == 1 and matrix.shape[1] == self._dataset.shape[1]
        count = row_runs if is_whole else len(matrix) * column_runs
        return count > 1 and matrix.nbytes < count * _SHORT and matrix.shape != self._dataset.shape

    def _make_tiles(self) -> ChunkedSink:
        cell = self._dataset.dtype.itemsize
        wide = min(self._dataset.shape[1], max(1, _TILE_ROW // cell))
        high = min(self._dataset.shape[0], max(1, _TILE // (wide * cell)))
        return ChunkedSink(
            self._dataset,
            self._lock,
            shape=(high, wide),
            is_fresh=self._dataset.id.get_storage_size() == 0,
            pack=lambda tile: tile,
            keep=self._keep,
        ).start_alone()

    def _keep(self, start: tuple[int, int], tile: Array) -> None:
        place = tuple(
            slice(a, min(a + n, size)) for a, n, size in zip(start, tile.shape, self._dataset.shape, strict=True)
        )
        self._dataset[place] = tile[: place[0].stop - start[0], : place[1].stop - start[1]]


def _list_runs(selector: Selector) -> Iterator[tuple[slice, Any]]:
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
