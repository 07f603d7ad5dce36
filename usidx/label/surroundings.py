"""Blocks of a lazy array -> the same with the cells around them, of which a kernel sees a piece at a time.

To make one array of a block and what lies around it, it would have to be copied. So only its edges are, once for all
blocks that see them; and a kernel gets small pieces, which it may copy as often as it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from typing import Any, Final

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.tokenize import tokenize

from usidx.tasks.graph import build_like

__all__ = ["Surrounded", "surround"]

Array = npt.NDArray[Any]
#: Whether what lies there comes before (-1) or after (1) along each of the first dims, or beside (0).
Offset = tuple[int, ...]

_PIECE_BYTES: Final = 2**20  # of a piece, without what lies around it


@dataclass(frozen=True, slots=True)
class Surrounded:
    """A block, and so many cells around it along its first dims as `depth` says; none beyond the ends of the array."""

    block: Array
    depth: tuple[int, ...]
    around: Mapping[Offset, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the block alone."""
        return self.block.shape

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self.block.nbytes + sum(part.nbytes for part in self.around.values())

    def list_pieces(self) -> list[tuple[slice, ...]]:
        """Return places of small pieces, along the first dims, which are all of the block."""
        steps, sizes = [], self.shape[: len(self.depth)]
        for k, size in enumerate(sizes):
            row_bytes = self.block.itemsize * prod(self.shape[k + 1 :])
            steps.append(min(size, max(1, _PIECE_BYTES // max(1, row_bytes))))
        cuts = (range(0, size, step) for size, step in zip(sizes, steps, strict=True))
        return [
            tuple(slice(a, min(a + step, size)) for a, step, size in zip(begin, steps, sizes, strict=True))
            for begin in product(*cuts)
        ]

    def take(self, piece: Sequence[slice], dtype: np.dtype[Any]) -> Array:
        """Return the cells of a piece and around it, NaN beyond the ends of the array."""
        begin = [p.start - d for p, d in zip(piece, self.depth, strict=True)]
        sizes = [p.stop + d - b for p, d, b in zip(piece, self.depth, begin, strict=True)]
        found = np.full((*sizes, *self.shape[len(sizes) :]), np.nan, dtype)
        for offset, part in ((0,) * len(sizes), self.block), *self.around.items():
            first = [(-d, 0, n)[o + 1] - b for d, n, o, b in zip(self.depth, self.shape, offset, begin, strict=False)]
            last = [min(f + n, size) for f, n, size in zip(first, part.shape, sizes, strict=False)]
            if all(max(f, 0) < stop for f, stop in zip(first, last, strict=True)):
                there = tuple(slice(max(f, 0), stop) for f, stop in zip(first, last, strict=True))
                here = tuple(slice(t.start - f, t.stop - f) for t, f in zip(there, first, strict=True))
                found[there] = part[here]
        return found


def surround(variable: xr.Variable, depth: Sequence[int]) -> xr.Variable:
    """Return a lazy array of which each block is `Surrounded`, along the first dims; its shape is that of the blocks.

    Of a block no more is kept for those beside it than copies of its edges.
    """
    array = variable.data.rechunk({k: _join_small(d, variable.data.chunks[k]) for k, d in enumerate(depth)})
    token = tokenize(array.name, depth)
    edges, name = f"usidx-edges-{token}", f"usidx-surrounded-{token}"
    calls: dict[Any, Any] = {}
    for place in product(*map(range, array.numblocks)):
        there = dict(_list_beside(place, array.numblocks, len(depth)))
        if there:
            calls[edges, *place] = partial(_copy_edges, depth, list(there)), [(array.name, *place)]
        others = [(edges, *one) for one in there.values()]
        calls[name, *place] = partial(_join, tuple(depth), list(there)), [(array.name, *place), *others]
    return xr.Variable(variable.dims, build_like(array, name, calls))


def _join_small(depth: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks along a dim, none so small that a block would have to see beyond the one beside it."""
    return tuple(da.overlap.ensure_minimum_chunksize(min(depth, sum(sizes)), sizes))


def _list_beside(
    place: tuple[int, ...], numblocks: tuple[int, ...], rank: int
) -> Iterator[tuple[Offset, tuple[int, ...]]]:
    """Yield the offset and the place of each block that lies beside one along the first dims."""
    for offset in product((-1, 0, 1), repeat=rank):
        there = tuple(p + o for p, o in zip(place, offset, strict=False))
        if any(offset) and all(0 <= p < n for p, n in zip(there, numblocks, strict=False)):
            yield offset, (*there, *place[rank:])


def _copy_edges(depth: Sequence[int], offsets: Sequence[Offset], block: Array) -> dict[Offset, Array]:
    """Return what the blocks at these offsets see of a block."""
    found = {}
    for offset in offsets:
        ends = zip(offset, depth, block.shape, strict=False)
        found[offset] = block[tuple(slice(*((0, d), (0, n), (max(0, n - d), n))[o + 1]) for o, d, n in ends)].copy()
    return found


def _join(
    depth: tuple[int, ...], offsets: Sequence[Offset], block: Array, *edges: Mapping[Offset, Array]
) -> Surrounded:
    """Join a block to what it sees of the others; by their side it lies the other way."""
    around = {offset: theirs[tuple(-o for o in offset)] for offset, theirs in zip(offsets, edges, strict=True)}
    return Surrounded(block, depth, around)
