"""Lazy array of a file -> the same, whose blocks come unread, for work that looks at each cell once.

A block takes longer on its way to memory and back than it takes to be summed. Who gets it unread works on it piece by
piece while each is in the cache, and reads no more of it than is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.tasks.merge import UNREAD
from usidx.tasks.pool import Ask, meet

__all__ = ["Unread", "leave_unread"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """A block of an opened array.

    Attributes
    ----------
    opened : object
        The array, which is read by an index.
    index : tuple of slice
        Where the block is.
    shape : tuple of int
        Of the block.
    dtype : dtype
        Of its cells.
    """

    opened: Any
    index: tuple[slice, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of dims."""
        return len(self.shape)

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Any:
        """Return the block in another type, which is read then."""
        return self if dtype == self.dtype and not copy else self.read().astype(dtype, copy=False)

    def read(self) -> Array:
        """Return the block in memory."""
        return np.asarray(self.opened[self.index])

    def walk(self, columns: slice, work: Callable[[slice, Array], None]) -> bool:
        """Work on its rows while they are read; False where that cannot be, and then nothing that was found holds.

        Parameters
        ----------
        columns : slice
            Which cells of each row are wanted, a row being all cells of a position.
        work : callable
            Called with which of the rows they are, counted in C order, and their cells (row, column), which hold
            during the call; on any thread, and again for the same rows where the file changed meanwhile.
        """
        array, key = _find_source(self.opened, self.index)
        return array is not None and bool(array.walk(key, columns, work))

    def work_together(self, calls: Sequence[Callable[[Unread], Any]]) -> list[Any]:
        """Return what several calls find whose walks through this block are one."""
        return meet([partial(self._let_ask, call) for call in calls], self._answer)

    def _let_ask(self, call: Callable[[Unread], Any], ask: Ask) -> Any:
        return call(_Asking(self.opened, self.index, self.shape, self.dtype, ask))

    def _answer(self, walks: list[tuple[slice, Callable[[slice, Array], None]]]) -> list[bool]:
        """Walk once for all that want to."""
        first, last = min(own.start for own, _ in walks), max(own.stop for own, _ in walks)

        def work_for_all(part: slice, cells: Array) -> None:
            for own, work in walks:
                work(part, cells[:, own.start - first : own.stop - first])

        return [self.walk(slice(first, last), work_for_all)] * len(walks)


@dataclass(frozen=True, slots=True, eq=False)
class _Asking(Unread):
    """A block through which others want to walk, too."""

    ask: Ask

    def walk(self, columns: slice, work: Callable[[slice, Array], None]) -> bool:
        """Wait until all want to walk, or are done."""
        return bool(self.ask((columns, work)))


def leave_unread(variable: xr.Variable) -> xr.Variable:
    """Return the array with its blocks unread, where it is as it was opened, and they can be worked on while read."""
    array = variable._data
    if not isinstance(array, da.Array):
        return variable
    layers = array.dask.layers
    (opened,) = dict(layers.get(f"original-{array.name}", {})).values() or (None,)
    source, _ = _find_source(opened, (slice(None),) * array.ndim)
    if source is None or array.name not in layers or len(layers) != 2 or 0 in array.shape:
        return variable
    kind = np.empty((0,) * array.ndim, array.dtype)
    found = da.from_array(opened, array.chunks, name=f"{UNREAD}{array.name}", getitem=_take, meta=kind)
    return variable.copy(data=found)


def _take(opened: Any, index: tuple[slice, ...]) -> Unread:
    shape = tuple(len(range(*one.indices(n))) for one, n in zip(index, opened.shape, strict=True))
    return Unread(opened, index, shape, opened.dtype)


def _find_source(opened: Any, index: tuple[slice, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return the array below xarray's adapters that can be walked through, and the index into it; None if none can."""
    selected: Any = getattr(opened, "array", None)
    source = getattr(selected, "array", None)
    keys = getattr(getattr(selected, "key", None), "tuple", ())
    if not getattr(source, "may_walk", False) or any(isinstance(k, slice) and k != slice(None) for k in keys):
        return None, ()
    given = iter(index)
    return source, tuple(next(given) if isinstance(k, slice) else k for k in keys)
