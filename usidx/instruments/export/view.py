"""Where the cells of an array lie in a dataset -> a virtual dataset that shows them N-D, made of few hyperslabs.

A hyperslab takes rows by a constant step, upwards. So rows in the order of the grid are one of them, those of a grid
that was measured column by column, or there and back, some for each line; rows in no order would take one per cell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import xarray as xr

from usidx.errors import GridError, UsidError
from usidx.format.layout import Array
from usidx.format.placement import Axes
from usidx.instruments.export.nexus import copy_signal
from usidx.instruments.export.stored import Held, find_held

__all__ = ["MOST_COPIED", "Piece", "find_pieces", "make_view", "relate"]

#: What is no dataset of its own (a field of a compound type, a product) is copied up to so many bytes.
MOST_COPIED: Final = 64 << 20
# More than these make a file that is slow to open, and no small one.
_MOST_PIECES: Final = 4096
_MOST_LINES: Final = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that a hyperslab takes: `count` blocks of `block` rows, each `stride` behind the one before.

    Attributes
    ----------
    where : tuple of slice
        The cells of the side that they are.
    start, stride, count, block : int
        The rows.
    """

    where: tuple[slice, ...]
    start: int
    stride: int
    count: int
    block: int


def make_view(group: h5py.Group, name: str, variable: xr.Variable, folder: Path) -> tuple[str, ...]:
    """Show a variable of a file in a group of another; what HDF5 cannot show, and is small, is copied.

    Parameters
    ----------
    group : h5py.Group
        Where to.
    name : str
        Of the dataset to make.
    variable : Variable
        As it was opened, with ``chunks=None``.
    folder : Path
        Of the file that is made: the path of the source is noted relative to it.

    Returns
    -------
    tuple of str
        Dims of the dataset: positions first, as the file has them.

    Raises
    ------
    GridError
        The order of the rows would take too many pieces.
    UsidError
        It is no dataset of its own, and too large to be copied.
    """
    held = find_held(variable)
    if held is None or held.stored.field is not None or 0 in variable.shape or not variable.ndim:
        return _copy(group, name, variable)
    sides = [_list_pieces(side, held, by_line=number == 0) for number, side in enumerate(held.sides)]
    shape = held.shape
    source = relate(Path(held.stored.file.name), folder)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if held.stored.dtype.kind in "fc":  # what is shown where the source is not found: never zeros, if it can be helped
        plan.set_fill_value(np.full(1, np.nan, held.stored.dtype))
    for pieces in product(*sides):
        plan.set_virtual(
            _select(shape, [cut for piece in pieces for cut in piece.where]),
            os.fsencode(_escape(source)),
            _escape(held.stored.dataset).encode(),
            _select_rows(held.stored.shape, pieces),
        )
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(held.stored.dtype, logical=True), space, dcpl=plan)
    return held.dims


def _copy(group: h5py.Group, name: str, variable: xr.Variable) -> tuple[str, ...]:
    size = variable.size * variable.dtype.itemsize
    if size > MOST_COPIED:
        raise UsidError(
            f"{name!r} is a field of a compound dataset, or computed from several, which HDF5 cannot show without "
            f"copying, and its {size} bytes are more than the {MOST_COPIED} that are copied all the same. Export with "
            "copy=True, or name something else with group=."
        )
    return copy_signal(group, name, variable)


def _escape(name: str) -> str:
    """Double what HDF5 would take for the number of a file or dataset."""
    return name.replace("%", "%%")


def relate(source: Path, folder: Path) -> str:
    """Return the path of a file as it is found from a folder."""
    try:
        return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(source)


def _list_pieces(side: Axes, held: Held, *, by_line: bool) -> list[Piece]:
    found = list(_take_few(find_pieces(side, by_line=by_line)))
    if len(found) > _MOST_PIECES:
        raise GridError(
            f"{held.stored.dataset!r} in {held.stored.file.name!r} holds its rows in an order that takes more than "
            f"{_MOST_PIECES} pieces to show as {' x '.join(map(str, side.shape))}, one for almost every cell. Export "
            "with copy=True, or write it in the order of its grid with usidx.write(data, 'ordered.h5') and export that."
        )
    return found


def _take_few(pieces: Iterator[Piece]) -> Iterator[Piece]:
    for number, piece in enumerate(pieces):
        yield piece
        if number > _MOST_PIECES:
            return


def find_pieces(side: Axes, *, by_line: bool = False) -> Iterator[Piece]:
    """Yield the pieces that make up a side, in any order; together they hold each cell once.

    Parameters
    ----------
    side : Axes
        What the rows unfold to.
    by_line : bool
        Give each step of the slowest dim a piece of its own where there are few: NeXpy takes the number of pieces for
        the length of that dim.
    """
    if side.rows is None:
        steps = side.shape[0] if by_line and side.shape and side.shape[0] <= _MOST_LINES else 1
        size = prod(side.shape) // steps
        for step in range(steps):
            first = slice(step, step + 1, 1) if steps > 1 else slice(0, prod(side.shape[:1]), 1)
            yield Piece((first, *(slice(0, n, 1) for n in side.shape[1:]))[: len(side.shape)], step * size, 1, 1, size)
        return
    width = side.shape[-1]
    depth = side.shape[-2] if len(side.shape) > 1 else 1
    planes = side.rows.reshape(-1, depth, width)
    for number, plane in enumerate(planes):
        outer = np.unravel_index(number, side.shape[:-2]) if len(side.shape) > 2 else ()
        for lines, columns, rows in _cut_plane(plane):
            inner = (lines, columns) if len(side.shape) > 1 else (columns,)
            where = (*(slice(int(i), int(i) + 1, 1) for i in outer), *inner)
            yield Piece(where, *rows)


def _cut_plane(plane: Array) -> Iterator[tuple[slice, slice, tuple[int, int, int, int]]]:
    """Cut a plane of rows into lines and columns that a hyperslab takes each.

    Yields (lines, columns, (start, stride, count, block)).
    """
    width = plane.shape[1]
    steps = np.diff(plane, axis=1)
    rises = (steps > 0).all(axis=1) & (steps == steps[:, :1]).all(axis=1) if width > 1 else np.zeros(len(plane), bool)
    unbroken = rises & (steps == 1).all(axis=1)
    for first, step, count in _find_runs(np.flatnonzero(unbroken), plane[unbroken, 0]):
        stride = int(plane[first + step, 0] - plane[first, 0]) if count > 1 else width
        lines = slice(first, first + (count - 1) * step + 1, step)
        yield lines, slice(0, width, 1), (int(plane[first, 0]), stride, count, width)
    for line in np.flatnonzero(rises & ~unbroken).tolist():
        stride = int(plane[line, 1] - plane[line, 0])
        yield slice(line, line + 1, 1), slice(0, width, 1), (int(plane[line, 0]), stride, width, 1)
    others = np.flatnonzero(~rises)
    for column in range(width if others.size else 0):
        for first, step, count in _find_runs(others, plane[others, column]):
            stride = int(plane[first + step, column] - plane[first, column]) if count > 1 else 1
            lines = slice(first, first + (count - 1) * step + 1, step)
            yield lines, slice(column, column + 1, 1), (int(plane[first, column]), stride, count, 1)


def _find_runs(lines: Array, rows: Array) -> Iterator[tuple[int, int, int]]:
    """Yield (first, step, count): runs of lines by a constant step, whose rows rise by a constant step."""
    start, total = 0, len(lines)
    while start < total:
        end = start + 1
        if end < total and rows[end] > rows[start]:
            apart = (lines[end] - lines[start], rows[end] - rows[start])
            while end < total and (lines[end] - lines[end - 1], rows[end] - rows[end - 1]) == apart:
                end += 1
        yield int(lines[start]), int(lines[start + 1] - lines[start]) if end > start + 1 else 1, end - start
        start = end


def _select(shape: tuple[int, ...], cuts: list[slice]) -> h5py.h5s.SpaceID:
    space = h5py.h5s.create_simple(shape)
    counts = tuple(len(range(*cut.indices(n))) for cut, n in zip(cuts, shape, strict=True))
    space.select_hyperslab(tuple(cut.start for cut in cuts), counts, tuple(cut.step for cut in cuts))
    return space


def _select_rows(shape: tuple[int, ...], pieces: tuple[Piece, ...]) -> h5py.h5s.SpaceID:
    space = h5py.h5s.create_simple(shape)
    space.select_hyperslab(
        tuple(piece.start for piece in pieces),
        tuple(piece.count for piece in pieces),
        tuple(max(piece.stride, piece.block) for piece in pieces),
        tuple(piece.block for piece in pieces),
    )
    return space
