"""Rows of a map in the order in which it is soonest known everywhere; the nearest stand in for those to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.explorer.reading.work import Task

__all__ = ["Draft", "Rows", "grow"]

#: First and last row, and how many to go on from one to the next.
Rows = slice

# Seconds that one reading should take, so that it can be ended; and until the first draft, the next ones twice as late.
_AIM, _FIRST_DRAFT = 0.1, 0.25
# Of a draft; so that a slow machine shows something, too.
_LEAST_BLOCKS = 4
# Where nobody sees a draft, reading ends after some seconds, but not before so many blocks.
_ENOUGH_BLOCKS = 32


@dataclass(frozen=True)
class Draft:
    """A map as far as it was read.

    Attributes
    ----------
    values : DataArray
        A row that was not read yet is the nearest one that was.
    part : float
        How much of it was read; 1 where it is whole.
    """

    values: xr.DataArray
    part: float = 1.0

    def complete(self, title: str) -> str:
        """Say in the title that the map is not whole, where it is not."""
        return title if self.part >= 1 else ", ".join(filter(None, (title, f"coarse: {self.part:.0%} read")))


def grow(
    blocks: Sequence[tuple[int, int]],
    most: int,
    read: Callable[[Rows], NDArray[Any]],
    draw: Callable[[NDArray[Any]], xr.DataArray],
    task: Task,
    show: Callable[[Draft], None],
) -> Draft:
    """Read all rows, coarse first, and show drafts on the way where it takes a while.

    Parameters
    ----------
    blocks : sequence of (first, last)
        Rows that are read together because they are stored together; the last one left out.
    most : int
        Rows that are read at once, at most, where each is a block.
    read : callable
        Reads some rows.
    draw : callable
        Labels the values of all rows.
    task : Task
        Told how far it is; it may have to give way.
    show : callable
        Takes drafts.
    """
    size, begun, wait = blocks[-1][1], time.monotonic(), _FIRST_DRAFT
    known, values, shown = np.zeros(size, bool), np.zeros(0), begun
    reading = _Pace(blocks, most)
    for number, rows in enumerate(reading):
        task.tell(float(known.mean()))
        found = read(rows)
        values = np.empty((size, *found.shape[1:]), found.dtype) if not number else values
        values[rows], known[rows] = found, True
        now = time.monotonic()
        if known.all() or (task.is_alone and reading.count >= _ENOUGH_BLOCKS and now - begun > task.patience):
            break
        if now - shown > wait and reading.count >= _LEAST_BLOCKS:
            show(Draft(draw(_fill(values, known)), float(known.mean())))
            shown, wait = now, 2 * wait
        if shown > begun:
            task.give_way()
    return Draft(draw(_fill(values, known)), float(known.mean()))


class _Pace:
    """Yields which rows to read next: as many as take about a tenth of a second."""

    def __init__(self, blocks: Sequence[tuple[int, int]], most: int) -> None:
        self._blocks, self._most = blocks, max(most, 1)
        self.count = 0

    def __iter__(self) -> Iterator[Rows]:
        are_single = all(stop - start == 1 for start, stop in self._blocks)
        at_once = 1
        for first, step in _list_levels(len(self._blocks)):
            left = range(first, len(self._blocks), step)
            while left:
                some, left = left[:at_once], left[at_once:]
                begun, self.count = time.monotonic(), self.count + len(some)
                yield slice(self._blocks[some[0]][0], self._blocks[some[-1]][1], step if are_single else 1)
                took = max(time.monotonic() - begun, 1e-4)
                fitting = min(int(len(some) * _AIM / took), 4 * at_once, self._most)
                at_once = max(fitting, 1) if are_single else 1


def _list_levels(count: int) -> list[tuple[int, int]]:
    """List (first, step) of passes over so many blocks: every 64th, those half way between, and so on."""
    step = 1 << max(count - 1, 0).bit_length()
    levels = [(0, step)]
    while step > 1:
        levels.append((step // 2, step))
        step //= 2
    return levels


def _fill(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Put the nearest known row where none is known."""
    if known.all():
        return values
    places, rows = np.flatnonzero(known), np.arange(known.size)
    after = np.searchsorted(places, rows).clip(max=places.size - 1)
    before = (after - 1).clip(min=0)
    is_later = abs(places[after] - rows) < abs(rows - places[before])
    filled: NDArray[Any] = values[places[np.where(is_later, after, before)]]
    return filled
