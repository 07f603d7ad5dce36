"""What is wanted of a dataset -> the parts of its chunks to read, axis by axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from usidx.format.layout import Array
from usidx.format.placement import Selector, as_selector

__all__ = ["WINDOW", "Axis", "Cut", "cut_apart", "cut_at_chunks", "make_outer_index", "resolve", "restore_order"]

#: Bytes that are read at once, at most, where nothing has to be decoded whole.
WINDOW = 4 << 20
# Reading this many bytes that are not wanted takes as long as another read.
_CHEAP_GAP = 128 << 10


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Entries wanted along an axis, rising and each once; `order` makes of them what was asked for."""

    wanted: range | Array
    order: Array | None

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.wanted)

    @property
    def span(self) -> int:
        """Entries from the first to the last."""
        return int(self.wanted[-1]) - int(self.wanted[0]) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A part of one chunk along one axis.

    Attributes
    ----------
    number : int
        The chunk, counted along the axis.
    start, length : int
        Entries to read, counted from the beginning of the chunk.
    inside : slice or ndarray of int
        Those of them that are wanted.
    place : slice
        Where they belong in the output.
    """

    number: int
    start: int
    length: int
    inside: Selector
    place: slice

    @property
    def is_whole(self) -> bool:
        """Whether all that is read is wanted."""
        return isinstance(self.inside, slice) and self.inside == slice(0, self.length, 1)


def resolve(selector: Selector, size: int) -> Axis:
    """Sort what is asked for along an axis.

    Raises
    ------
    IndexError
        An index lies outside.
    """
    if isinstance(selector, slice):
        steps = range(*selector.indices(size))
        return Axis(steps, None) if steps.step > 0 else Axis(steps[::-1], np.arange(len(steps))[::-1])
    unique, inverse = np.unique(selector, return_inverse=True)
    if unique.size and (unique[0] < 0 or unique[-1] >= size):
        raise IndexError(f"index {int(unique[0])} to {int(unique[-1])} is out of bounds for {size} entries")
    order = inverse.reshape(-1)
    is_rising = unique.size == order.size and bool((order == np.arange(order.size)).all())
    is_unbroken = unique.size > 0 and int(unique[-1]) - int(unique[0]) + 1 == unique.size
    wanted = range(int(unique[0]), int(unique[-1]) + 1) if is_unbroken else unique
    return Axis(wanted, None if is_rising else order)


def cut_at_chunks(axes: Sequence[Axis], chunk: Sequence[int], itemsize: int, *, whole: bool) -> list[list[Cut]]:
    """Cut what is wanted at the edges of the chunks.

    Parameters
    ----------
    axes : sequence of Axis
        What is wanted, none of it empty.
    chunk : sequence of int
        Shape of a chunk.
    itemsize : int
        Bytes of a cell.
    whole : bool
        Chunks must be decoded whole; else only those of their bytes are read that hold what is wanted, in windows.

    Returns
    -------
    list of list of Cut
        For each axis; every combination of them is one unbroken range of bytes of a chunk.
    """
    planned: list[list[Cut]] = []
    may_trim = not whole
    for number, (axis, size) in enumerate(zip(axes, chunk, strict=True)):
        if may_trim:
            inner = prod(chunk[number + 1 :]) * itemsize
            most = _limit_entries(axes[number + 1 :], chunk[number + 1 :], inner, itemsize)
            cuts = [
                _make_trimmed_cut(*group)
                for group in _group_entries(axis.wanted, size, most, max(1, _CHEAP_GAP // inner))
            ]
            # Within a single entry of this axis the next axis may be trimmed, too.
            may_trim = all(cut.length == 1 for cut in cuts)
        else:
            cuts = [_make_untrimmed_cut(*group, size) for group in _group_entries(axis.wanted, size, size, size)]
        planned.append(cuts)
    return planned


def cut_apart(axis: Axis, size: int, gap: int, most: int | None = None) -> list[Cut]:
    """Cut what is wanted of an axis of some size wherever more than `gap` entries in a row are not.

    What is wanted without any gap stays one cut; with gaps no cut is longer than `most`.
    """
    if isinstance(axis.wanted, range) and axis.wanted.step == 1:
        most = None
    return [
        _make_trimmed_cut(*group) for group in _group_entries(axis.wanted, size, size if most is None else most, gap)
    ]


def restore_order(block: Array, axes: Sequence[Axis]) -> Array:
    """Return a block whose entries rise along all axes in the order that was asked for."""
    if all(axis.order is None for axis in axes):
        return block
    orders = [np.arange(n) if axis.order is None else axis.order for axis, n in zip(axes, block.shape, strict=True)]
    result: Array = block[np.ix_(*orders)]
    return result


def make_outer_index(inside: Sequence[Selector]) -> tuple[Any, ...]:
    """Return the index that selects along each axis by itself."""
    if all(isinstance(one, slice) for one in inside):
        return tuple(inside)
    return np.ix_(*(np.arange(one.start, one.stop, one.step) if isinstance(one, slice) else one for one in inside))


def _limit_entries(axes: Sequence[Axis], chunk: Sequence[int], inner: int, itemsize: int) -> int:
    """Return how many entries, each of `inner` bytes, to read at once: one, where most bytes of it are not wanted."""
    strides = [prod(chunk[axis + 1 :]) * itemsize for axis in range(len(chunk))]
    wanted = itemsize + sum(
        (min(axis.span, n) - 1) * stride for axis, n, stride in zip(axes, chunk, strides, strict=True)
    )
    return 1 if inner - wanted > _CHEAP_GAP else max(1, WINDOW // inner)


def _group_entries(
    wanted: range | Array, chunk: int, most: int, gap: int
) -> Iterator[tuple[int, int, range | Array, slice]]:
    """Yield (chunk, its beginning, entries wanted of it, their place): of one chunk, near each other, not too many."""
    breaks = None if isinstance(wanted, range) else np.flatnonzero(np.diff(wanted) > gap) + 1
    first = 0
    while first < len(wanted):
        number = int(wanted[first]) // chunk
        bound = min((number + 1) * chunk, int(wanted[first]) + most)
        last = _find_end(wanted, first, bound, breaks, gap)
        yield number, number * chunk, wanted[first:last], slice(first, last)
        first = last


def _find_end(wanted: range | Array, first: int, bound: int, breaks: Array | None, gap: int) -> int:
    """Return the end of the entries from `first` on that lie below `bound` and near each other."""
    if isinstance(wanted, range):
        if wanted.step > gap:
            return first + 1
        return min(len(wanted), first + -(-(bound - wanted[first]) // wanted.step))
    end = int(np.searchsorted(wanted, bound))
    following = 0 if breaks is None else int(np.searchsorted(breaks, first, side="right"))
    return end if breaks is None or following == breaks.size else min(end, int(breaks[following]))


def _make_trimmed_cut(number: int, begin: int, part: range | Array, place: slice) -> Cut:
    first, last = int(part[0]), int(part[-1])
    return Cut(number, first - begin, last - first + 1, _count_from(part, first), place)


def _make_untrimmed_cut(number: int, begin: int, part: range | Array, place: slice, chunk: int) -> Cut:
    return Cut(number, 0, chunk, _count_from(part, begin), place)


def _count_from(part: range | Array, begin: int) -> Selector:
    if isinstance(part, range):
        return slice(part[0] - begin, part[-1] - begin + 1, part.step if len(part) > 1 else 1)
    return as_selector(part - begin)
