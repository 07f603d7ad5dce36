"""Lazy table of figures -> arrays made of its columns; and such arrays -> their tables, to be computed once.

Each array alone takes a task per block. Where all of a result is computed or written, so many would cost more than what
they do: then a task per block makes the table, and what is made of it comes from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np

__all__ = ["Table", "find_tables", "join_columns", "list_targets", "make_column"]

Make = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Column:
    """How an array comes from a table: ``make(block)``, in the place of whose last dim are dims of these sizes."""

    table: Any
    make: Make
    sizes: tuple[int, ...]

    def find_place(self, key: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return where in the array that belongs which is made of a part of the table."""
        return (*key[:-1], *(slice(0, size) for size in self.sizes))


@dataclass(frozen=True, slots=True)
class Table:
    """An array to be computed, and the arrays, by their numbers, that are made of it; the only one may be itself."""

    array: Any
    columns: dict[int, _Column | None] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The number of the first of them."""
        return next(iter(self.columns))

    def join_targets(self, targets: Sequence[Any]) -> Any:
        """Return what takes the blocks of the table, and hands on to the targets of all what belongs there."""
        ((number, column), *others) = self.columns.items()
        if column is None and not others:
            return targets[number]
        return _Targets([(made, targets[number]) for number, made in self.columns.items() if made is not None])

    def make_arrays(self, values: Any) -> dict[int, Any]:
        """Return the arrays that are made of the whole table, by their numbers."""
        return {number: values if made is None else made.make(values) for number, made in self.columns.items()}


class _Targets:
    def __init__(self, parts: list[tuple[_Column, Any]]) -> None:
        self.parts = parts
        self._name = uuid4().hex

    def __dask_tokenize__(self) -> str:
        return self._name

    def __setitem__(self, key: tuple[slice, ...], block: Any) -> None:
        for column, target in self.parts:
            target[column.find_place(key)] = column.make(block)


def list_targets(target: Any) -> list[Any]:
    """Return the targets that were joined to one."""
    return [one for _, one in target.parts] if isinstance(target, _Targets) else [target]


def make_column(table: Any, make: Make, dtype: Any, sizes: tuple[int, ...] = ()) -> Any:
    """Return what a function makes of a table, along whose last dim there is one block.

    Parameters
    ----------
    table : ndarray or dask array
        Some rows, with the figures of each along the last dim.
    make : callable
        Takes a block and returns an array of its own, with dims of these `sizes` in the place of the last; it must
        pickle.
    dtype : dtype
        Of that.
    sizes : tuple of int, optional
        By default there is no dim in the place of the last.
    """
    if not isinstance(table, da.Array):
        return make(table)
    rows = tuple(range(table.ndim - 1))
    new = {table.ndim + number: size for number, size in enumerate(sizes)}
    meta = np.empty((0,) * (len(rows) + len(sizes)), dtype)
    arguments = (partial(_make_of_one, make), (*rows, *new), table, (*rows, table.ndim - 1))
    options = {"dtype": dtype, "meta": meta, "align_arrays": False, "token": "usidx-column"}
    found = da.blockwise(*arguments, new_axes=new, **options)  # type: ignore[no-untyped-call,unused-ignore]
    # Layers are handed on as they are, until dask optimises a graph.
    found.dask.layers[found.name].usidx_column = _Column(table, make, sizes)
    return found


def join_columns(arrays: Sequence[Any], join: Callable[..., Any], dtype: Any) -> Any | None:
    """Return ``join(*blocks)`` of arrays that are columns of one table as another one, None where they are not."""
    columns = [_find_column(array) for array in arrays]
    known = [column for column in columns if column is not None and not column.sizes]
    if len(known) < len(columns) or len({column.table.name for column in known}) != 1:
        return None
    return make_column(known[0].table, partial(_make_joined, join, [column.make for column in known]), dtype)


def _make_joined(join: Callable[..., Any], makes: Sequence[Make], block: Any) -> Any:
    return join(*(make(block) for make in makes))


def _make_of_one(make: Make, blocks: Any) -> Any:
    """Take the one block that there is along the last dim."""
    return make(blocks[0] if isinstance(blocks, list) else blocks)


def find_tables(arrays: Sequence[Any]) -> list[Table]:
    """Return what to compute in the place of arrays: tables for all that is made of them, other arrays as they are."""
    found: dict[Any, Table] = {}
    for number, array in enumerate(arrays):
        column = _find_column(array)
        if column is None:
            found[number] = Table(array, {number: None})
        else:
            table = column.table
            # On the graph that there is now, in which passes may have become one.
            same = da.Array(array.dask, table.name, table.chunks, meta=table._meta)
            found.setdefault(table.name, Table(same)).columns[number] = column
    return list(found.values())


def _find_column(array: Any) -> _Column | None:
    if not isinstance(array, da.Array):
        return None
    return getattr(array.dask.layers.get(array.name), "usidx_column", None)
