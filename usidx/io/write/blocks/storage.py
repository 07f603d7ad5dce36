"""Shape, cell size and blocks of a main dataset -> how it lies in the file: contiguous, or in which chunks.

A chunk is the least that can be read. One spectrum touches every chunk of its row of chunks, one image (all positions
at one spectroscopic step) every chunk of its column of chunks: with chunks of ``r`` rows by ``c`` columns a spectrum
costs ``r`` times its own bytes, an image ``c`` times. Long chunks along the spectra make images hundreds of times
slower, so chunks are square: 256 x 256 cells serve both. They hold 0.25 to 1 MiB, small enough for the first and large
enough that the work per chunk does not count. A side that is shorter than 256 is taken whole and gives what is left to
the other. Wherever that is near, a chunk is a box of the grid (whole lines, or equal parts of one), so that stores of
references can show it as a chunk of the N-D array; and chunks end where the blocks end that are to be written, since a
chunk can only be compressed when all of its cells are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import gcd, isqrt, log2, prod
from typing import Any

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.io.write.blocks.compress import FASTEST

__all__ = ["CONTIGUOUS", "Extent", "Storage", "choose_chunk_shape", "measure_extent"]

#: Cells of a chunk, where the bytes allow.
CELLS = 256 * 256
LEAST_BYTES, MOST_BYTES = 256 << 10, 1 << 20
#: What chunks that wait for their cells may hold in memory, by plan.
WAITING_BYTES = 48 << 20

# How far a side may be from the wanted one, so that it ends where something else does.
_STRETCH = 2**0.5
# And how many times shorter or, where nothing shorter is, longer, so that it is a box of the grid.
_SHORTEST, _LONGEST = 8, 4
_WHOLE_GRAIN = 0
# HDF5's own limit for a chunk.
_LARGEST_CHUNK = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Storage:
    """What the caller of `usidx.write` wishes.

    Attributes
    ----------
    level : int or None
        Of deflate after shuffle; None leaves the data as it is.
    chunks : tuple of int or None
        (rows, columns) of the main datasets; None chooses.
    at_once : bool
        All is written in one transaction: plain chunks get their places at once, so that they can go past HDF5.
    """

    level: int | None = None
    chunks: tuple[int, int] | None = None
    at_once: bool = False

    @classmethod
    def parse(cls, compression: str | int | None, chunks: Sequence[int] | None) -> Storage:
        """Check the options of `usidx.write`.

        Raises
        ------
        UsidError
            An option is none of those that there are.
        """
        return cls(_parse_level(compression), None if chunks is None else _parse_chunks(chunks))

    def make_options(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rows: Extent, columns: Extent
    ) -> dict[str, Any]:
        """Return what h5py's ``create_dataset`` needs for a main dataset."""
        if 0 in shape or (self.level is None and self.chunks is None):
            return {}
        wanted = self.chunks or choose_chunk_shape(rows, columns, dtype.itemsize)
        chunks = min(wanted[0], shape[0]), min(wanted[1], shape[1])
        _refuse_giants(chunks, dtype.itemsize)
        if self.level is None:
            return {"chunks": chunks, "dcpl": _make_early_allocation()} if self.at_once else {"chunks": chunks}
        # A shuffle of single bytes does nothing.
        return {
            "chunks": chunks,
            "compression": "gzip",
            "compression_opts": self.level,
            "shuffle": dtype.itemsize > 1,
        }


CONTIGUOUS = Storage()


def _make_early_allocation() -> Any:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return plan


def _parse_level(compression: str | int | None) -> int | None:
    if compression is None:
        return None
    if compression == "gzip":
        return FASTEST
    if isinstance(compression, int | np.integer) and not isinstance(compression, bool) and 0 <= compression <= 9:
        return int(compression)
    raise UsidError(f"compression is {compression!r}; it can be None, 'gzip', or a level of deflate from 0 to 9.")


def _parse_chunks(chunks: Sequence[int]) -> tuple[int, int]:
    sides = tuple(chunks) if isinstance(chunks, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(s, int | np.integer) and s > 0 for s in sides):
        raise UsidError(
            f"chunks is {chunks!r}; give (rows, columns) of the main dataset: how many positions by how many "
            f"spectroscopic steps, each at least 1."
        )
    return int(sides[0]), int(sides[1])


def _refuse_giants(chunks: tuple[int, int], itemsize: int) -> None:
    if prod(chunks) * itemsize > _LARGEST_CHUNK:
        raise UsidError(
            f"A chunk of {chunks[0]} x {chunks[1]} cells of {itemsize} bytes has {prod(chunks) * itemsize} bytes; HDF5 "
            f"takes at most {_LARGEST_CHUNK}. Give smaller chunks=(rows, columns); about 1 MiB is best."
        )


@dataclass(frozen=True, slots=True)
class Extent:
    """One side of a main dataset, as far as chunks care.

    Attributes
    ----------
    size : int
        Rows, or columns.
    scan : int
        Steps of the fastest dim.
    grain : int
        Blocks that are to be written end at multiples of this; 0 where one block holds the whole side.
    span : int
        Rows, or columns, of the largest block.
    sizes : tuple of int
        Of the dims, slowest first.
    """

    size: int
    scan: int = 1
    grain: int = _WHOLE_GRAIN
    span: int = 0
    sizes: tuple[int, ...] = ()

    def list_boxes(self, most: int) -> Array:
        """List the numbers of rows, up to `most`, that fill a box of the grid wherever those before filled one."""
        inner, boxes = 1, []
        for n in reversed(self.sizes[1:]):
            parts = np.arange(1, min(n - 1, most // inner) + 1)
            boxes.append(inner * parts[n % parts == 0])
            inner *= n
        return np.concatenate([*boxes, np.arange(inner, min(self.size, most) + 1, inner)])

    def waits(self, side: int) -> bool:
        """Say whether chunks of this side get their cells from several blocks."""
        return self.grain != _WHOLE_GRAIN and self.grain % side != 0


def measure_extent(sizes: Sequence[int], blocks: Sequence[Sequence[int]] | None) -> Extent:
    """Return the extent of a side.

    Parameters
    ----------
    sizes : sequence of int
        Of its dims, slowest first.
    blocks : sequence of sequence of int or None
        Sizes of the blocks along each dim; None for data in memory.
    """
    size, scan = prod(sizes), sizes[-1] if sizes else 1
    cut = [axis for axis, of in enumerate(blocks or ()) if len(of) > 1]
    if blocks is None or not cut:
        return Extent(size, scan, _WHOLE_GRAIN, size, tuple(sizes))
    axis = cut[-1]  # the dims behind it are whole, so what a block holds of it lies side by side
    inner = prod(sizes[axis + 1 :])
    ends = list(accumulate(blocks[axis]))
    # The last block may end anywhere, unless it is followed by the next step of a slower dim.
    inside = ends if prod(sizes[:axis]) > 1 else ends[:-1]
    largest = [max(of) for of in blocks]
    reach = 1 + sum((n - 1) * prod(sizes[i + 1 :]) for i, n in enumerate(largest))
    return Extent(size, scan, gcd(*inside) * inner, reach, tuple(sizes))


def choose_chunk_shape(rows: Extent, columns: Extent, itemsize: int) -> tuple[int, int]:
    """Choose a chunk that serves both one spectrum and one image.

    Parameters
    ----------
    rows, columns : Extent
        The sides of the main dataset.
    itemsize : int
        Bytes of a cell.

    Returns
    -------
    tuple of int
        (rows, columns)

    Examples
    --------
    >>> choose_chunk_shape(Extent(65536, scan=256), Extent(4096), itemsize=4)
    (256, 256)
    >>> choose_chunk_shape(Extent(65536, scan=256), Extent(64), itemsize=4)
    (1024, 64)
    """
    cells = min(max(CELLS, LEAST_BYTES // itemsize), max(1, MOST_BYTES // itemsize))
    wide = _fit_side(cells // min(rows.size, isqrt(cells)), columns)
    if columns.waits(wide):
        # Blocks are narrower than the chunk: all the rows of a block wait until its columns are there.
        wide = _narrow_side(wide, columns, rows.span * itemsize)
    high = _fit_side(max(1, cells // wide), rows)
    if rows.waits(high):
        low = _narrow_side(high, rows, columns.size * itemsize)
        wide = wide if low == high else _fit_side(max(1, cells // low), columns)
        high = low
    return high, wide


def _narrow_side(side: int, along: Extent, line_bytes: int) -> int:
    """Shorten a side until the lines of cells that wait for it fit the memory; end where blocks end if that is near."""
    most = min(side, max(1, WAITING_BYTES // line_bytes))
    if most == side:
        return side
    return most // along.grain * along.grain if most > along.grain else _find_divisor(along, most)


def _find_divisor(along: Extent, most: int) -> int:
    """Return the largest divisor of the grain that is not much less than `most`, a box if there is one, else `most`."""
    sides = np.arange(most, max(0, most // 2), -1)
    exact = sides[along.grain % sides == 0]
    boxes = exact[np.isin(exact, along.list_boxes(most))]
    found = boxes if boxes.size else exact
    return int(found[0]) if found.size else most


def _fit_side(wanted: int, along: Extent) -> int:
    """Return a side near the wanted one that wastes little at the end, and ends where blocks and scan rows end."""
    if along.size <= wanted * _STRETCH:
        return along.size
    sides = _list_sides(wanted, along)
    waste = -(-along.size // sides) * sides / along.size - 1
    distance = np.abs(np.log2(sides) - log2(wanted))
    off_blocks = (along.grain % sides != 0) if along.grain != _WHOLE_GRAIN else np.zeros(len(sides), dtype=bool)
    off_scan = (along.scan % sides != 0) & (sides % along.scan != 0)
    cost: Array = 4 * off_blocks + 0.5 * off_scan + 2 * waste + distance
    return int(sides[int(np.argmin(cost))])


def _list_sides(wanted: int, along: Extent) -> Array:
    """List sides near the wanted one: boxes of the grid if there are any."""
    most = min(along.size, int(wanted * _STRETCH))
    boxes = along.list_boxes(_LONGEST * wanted)
    longer = boxes[boxes > most][:1]
    near = boxes[(boxes * _SHORTEST >= wanted) & (boxes <= most)]
    near = near if near.size else longer
    return near if near.size else np.arange(max(1, int(wanted / _STRETCH)), most + 1)
