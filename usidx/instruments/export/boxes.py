"""Chunks of a dataset of rows and columns -> chunks of the N-D array, where each is one piece of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Axes

__all__ = ["Boxes", "cut_contiguous", "cut_side", "fold_chunk"]

#: Bytes of a piece of contiguous data, about: as large as one request should be.
PIECE: Final = 8 << 20
# Where the sizes allow no pieces of that size without very many of them, larger ones are cut.
_MOST_PIECES: Final = 4096
_LARGEST: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Boxes:
    """How one side of an N-D array is cut: its chunk shape, and for each chunk in C order the row it begins with."""

    chunk: tuple[int, ...]
    grid: tuple[int, ...]
    starts: Array

    def number(self) -> Iterator[tuple[tuple[int, ...], int]]:
        """Yield (index of the chunk, its first row)."""
        yield from zip(product(*map(range, self.grid)), self.starts.tolist(), strict=True)


def fold_chunk(shape: Sequence[int], rows: int) -> tuple[int, ...] | None:
    """Return the box of a grid that so many rows in a row fill, None where they end inside of a line.

    Only along the slowest dim may the last box stick out: there it is the end of the rows.
    """
    if not shape:
        return () if rows == 1 else None
    chunk: list[int] = []
    left = rows
    for axis in range(len(shape) - 1, -1, -1):
        n = shape[axis]
        if axis and left >= n and left % n == 0:
            chunk.append(n)
            left //= n
        elif axis and (left > n or n % left):
            return None
        else:
            chunk.append(left)
            left = 1
    return tuple(reversed(chunk))


def cut_side(side: Axes, chunk: tuple[int, ...], rows: int) -> Boxes | None:
    """Cut a side into boxes; None where the rows of a box do not lie one after another, from a chunk's first on.

    Parameters
    ----------
    side : Axes
        What the rows unfold to.
    chunk : tuple of int
        Shape of a box.
    rows : int
        What the first row of a box is a multiple of.
    """
    grid = tuple(-(-n // c) for n, c in zip(side.shape, chunk, strict=True))
    strides = [prod(side.shape[axis + 1 :]) for axis in range(len(side.shape))]
    firsts = np.zeros(grid, dtype=np.int64)
    for axis, (count, size, stride) in enumerate(zip(grid, chunk, strides, strict=True)):
        along = np.arange(count) * size * stride
        firsts += along.reshape([-1 if a == axis else 1 for a in range(len(grid))])
    cells = firsts.reshape(-1)
    if side.rows is None:
        return Boxes(chunk, grid, cells)
    total = side.rows.size
    length = prod(chunk)
    starts = side.rows[cells]
    if (starts % rows).any():
        return None
    # In C order the cells of a box follow each other: a box is as long as it can be along all faster dims.
    wanted = np.repeat(starts, length)[: cells.size * length] + np.tile(np.arange(length), cells.size)
    held = cells[:, None] + np.arange(length)
    inside = held.reshape(-1) < total
    found = side.rows[np.minimum(held.reshape(-1), total - 1)]
    return Boxes(chunk, grid, starts) if bool((found == wanted)[inside].all()) else None


def cut_contiguous(side: Axes, row_bytes: int) -> Boxes:
    """Cut a side whose rows lie one after another in the file: as few pieces as size and order allow."""
    for chunk in _list_chunks(side.shape, row_bytes):
        found = cut_side(side, chunk, 1)
        if found is not None:
            return found
    chunk = (1,) * len(side.shape)
    return Boxes(chunk, side.shape, np.arange(prod(side.shape)) if side.rows is None else side.rows)


def _list_chunks(shape: tuple[int, ...], row_bytes: int) -> Iterator[tuple[int, ...]]:
    """Yield shapes of pieces, those of a good size first and then ever smaller ones."""
    for axis in range(len(shape)):
        inner = prod(shape[axis + 1 :])
        steps = _list_divisors(shape[axis])
        outer = prod(shape[:axis])
        fitting = [s for s in steps if s * inner * row_bytes <= PIECE]
        for step in reversed(fitting):
            few = next((s for s in steps if outer * shape[axis] // s <= _MOST_PIECES), step)
            if few > step and few * inner * row_bytes <= _LARGEST:
                yield (*(1,) * axis, few, *shape[axis + 1 :])
            yield (*(1,) * axis, step, *shape[axis + 1 :])


def _list_divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0] if number < 1 << 20 else [1, number]
