"""Rows, and the scale of their columns -> rows divided by it where they are looked at, a few at a time.

So no block is copied whole, and a block of counts stays as small as it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.tasks.blocks import Blocks, Changed, cut_pieces
from usidx.tasks.passes import Passes

__all__ = ["EvenPasses", "EvenRows", "Evening", "find_level", "pick_rows", "show_undivided"]

Array = npt.NDArray[Any]
Func = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Evening:
    """How rows are divided: by the scale of the columns; `by_row` then by the root of the mean of each row, too."""

    dtype: np.dtype[Any]
    by_row: bool

    def see(self, block: Array, steps: Array) -> EvenRows:
        """Return the rows of a block as they are when divided."""
        return EvenRows(block, steps, self)


class EvenRows:
    """A block whose rows are divided when they are asked for; as an array it is the whole."""

    def __init__(self, block: Array, steps: Array, evening: Evening) -> None:
        self.undivided = block
        self.dtype = evening.dtype
        self._evening = evening
        self._steps = steps.astype(evening.dtype, copy=False)
        self._level = find_level(block).astype(evening.dtype) if evening.by_row else None

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return self.undivided.shape[0], self.undivided.shape[1]

    @property
    def size(self) -> int:
        """How many cells there are."""
        return self.undivided.size

    def __len__(self) -> int:
        return len(self.undivided)

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows, chosen by a slice or an array."""
        even: Array = np.divide(self.undivided[rows], self._steps, dtype=self.dtype)
        if self._level is not None:
            even /= self._level[rows, np.newaxis]
        return even

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    def divide_alike(self, rows: Array) -> EvenRows:
        """Return other rows as they are when divided in the same way."""
        return EvenRows(rows, self._steps, self._evening)

    def mean(self, axis: int, dtype: Any = None) -> Array:
        """Return the mean of each column (`axis` 0)."""
        total = np.zeros(self.shape[1], dtype)
        for part in cut_pieces(len(self), self.shape[1] * self.dtype.itemsize):
            total += self[part].sum(axis=axis, dtype=dtype)
        return total / max(len(self), 1)


def show_undivided(block: Any) -> Array:
    """Return the block as it was read: it has the holes and the signs of what is made of it."""
    return block.undivided if isinstance(block, EvenRows) else block


def pick_rows(parts: Sequence[Any], numbers: Array) -> Any:
    """Return some rows of all that stand in several parts, by their numbers; what is yet to be divided stays so."""
    if all(isinstance(part, EvenRows) for part in parts):
        return parts[0].divide_alike(pick_rows([part.undivided for part in parts], numbers))
    found = np.empty((len(numbers), parts[0].shape[1]), np.result_type(*(part.dtype for part in parts)))
    stops = np.cumsum([len(part) for part in parts])
    for part, stop in zip(parts, stops, strict=True):
        mine = np.flatnonzero((numbers >= stop - len(part)) & (numbers < stop))
        for some in cut_pieces(len(mine), found.shape[1] * found.itemsize):
            found[mine[some]] = part[numbers[mine[some]] - (stop - len(part))]
    return found


def find_level(block: Array) -> Array:
    """Return the root of the mean of the known cells of each row; one where that is not above zero."""
    level = np.empty(len(block))
    for part in cut_pieces(len(block), 8 * block.shape[1]):
        rows = block[part]
        if rows.dtype.kind == "f":
            known = ~np.isnan(rows)
            total, count = np.where(known, rows, 0).sum(axis=1, dtype=np.float64), known.sum(axis=1)
        else:
            total, count = rows.sum(axis=1, dtype=np.float64), np.full(len(rows), block.shape[1])
        level[part] = total / np.maximum(count, 1)
    return np.sqrt(np.where(level > 0, level, 1.0))


class EvenPasses:
    """Passes whose steps see rows that are divided; `steps`, the scale of the columns, may be a promise."""

    def __init__(self, passes: Passes, steps: Any, evening: Evening) -> None:
        self._passes = passes
        self._steps = steps
        self._evening = evening

    def __getattr__(self, name: str) -> Any:
        """Return what is done with what the passes have found, which does not see the rows."""
        return getattr(self._passes, name)

    def fold(self, step: Func, merge: Func, *shared: Any) -> Any:
        """Join ``step(rows, *shared)`` over all blocks: one pass."""
        return self._passes.fold(partial(_step, self._evening, step), merge, self._steps, *shared)

    def map_rows(self, func: Func, value: Any, width: int, dtype: Any) -> Any:
        """Return ``func(rows, value)`` for all blocks as a (rows, width) array: one more pass."""
        both = self._passes.call(_pair, self._steps, value)
        return self._passes.map_rows(partial(_map, self._evening, func), both, width, dtype)

    def iterate(self, func: Func, *args: Any) -> Any:
        """Call ``func(blocks, *args)``, which may pass over the blocks as often as it needs."""
        return self._passes.iterate(partial(_iterate, self._evening, func), self._steps, *args)


class _EvenBlocks(Changed):
    """Blocks of rows that are divided; a sample of them is an array."""

    def sample(self, count: int) -> Array:
        return np.asarray(super().sample(count))

    def read_each(self) -> Iterator[Array]:
        return map(np.asarray, super().read_each())


def _pair(first: Any, second: Any) -> tuple[Any, Any]:
    return first, second


def _step(evening: Evening, step: Func, block: Array, steps: Array, *shared: Any) -> Any:
    return step(evening.see(block, steps), *shared)


def _map(evening: Evening, func: Func, block: Array, both: tuple[Array, Any]) -> Any:
    return func(evening.see(block, both[0]), both[1])


def _iterate(evening: Evening, func: Func, blocks: Blocks, steps: Array, *args: Any) -> Any:
    return func(_EvenBlocks(blocks, partial(evening.see, steps=steps)), *args)  # type: ignore[arg-type]
