"""Rows -> what an iteration has to know before it starts: holes, number, size, and a fair sample of them.

Each row draws a number from its place and the seed, and the rows with the smallest numbers are the sample; so it is
the same for any chunks, and masked rows never take a place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.matrix.even import pick_rows, show_undivided
from usidx.learn.matrix.missing import refuse_nothing, sift
from usidx.tasks.blocks import Blocks, cut_pieces

__all__ = [
    "Numbers",
    "RowNumbers",
    "Survey",
    "draw_numbers",
    "find_draw_limit",
    "list_bounds",
    "refuse_more_than_noise",
    "refuse_negative",
    "survey",
]

Array = npt.NDArray[Any]

_SAMPLE_BYTES = 2**24
_SAMPLE_ROWS = (512, 16384)
#: Of the highest cell: so far below zero noise reaches.
_NOISE = 0.25


@dataclass(frozen=True, slots=True)
class RowNumbers:
    """The place of each row in the order of the dims, for the chunks of these; a slice is made when it is asked for.

    Rows stand block by block, the last dim of blocks fastest, and in a block the last dim fastest.
    """

    chunks: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return prod(map(sum, self.chunks))

    def __getitem__(self, part: slice) -> npt.NDArray[np.int64]:
        start, stop, _ = part.indices(len(self))
        counts = [len(sizes) for sizes in self.chunks]
        rows = reduce(np.multiply.outer, [np.array(sizes, np.int64) for sizes in self.chunks])
        stops = np.cumsum(np.ravel(rows))
        first, last = np.searchsorted(stops, [start, max(start, stop - 1)], side="right")
        parts = [self._number_block(np.unravel_index(block, counts)) for block in range(int(first), int(last) + 1)]
        begin = int(stops[first - 1]) if first else 0
        return np.concatenate(parts)[start - begin : stop - begin]

    def _number_block(self, place: Sequence[Any]) -> npt.NDArray[np.int64]:
        chosen = list(zip(self.chunks, place, strict=True))
        ranges = [np.arange(sum(sizes[:k]), sum(sizes[: k + 1])) for sizes, k in chosen]
        return np.ravel_multi_index(np.ix_(*ranges), [sum(sizes) for sizes in self.chunks]).ravel()


#: The place of each row in the order of the dims.
Numbers = RowNumbers | npt.NDArray[np.int64]


def list_bounds(sizes: Sequence[int]) -> list[slice]:
    """Return which rows each block has."""
    stops = np.cumsum(sizes).tolist()
    return [slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass finds: ``square`` is the sum of squares, ``sample`` rows with their draws in rising order.

    ``lowest`` and ``highest`` are cells of complete rows, infinite where there are none.
    """

    holes: npt.NDArray[np.bool_]
    count: int
    square: float
    sample: Array
    draws: npt.NDArray[np.uint64]
    lowest: float = np.inf
    highest: float = -np.inf

    def drop_sample(self) -> Survey:
        """Return the same without a row of the sample, which is as large as a block or two."""
        return replace(self, sample=np.empty((0, self.sample.shape[1]), self.sample.dtype), draws=self.draws[:0].copy())


def survey(blocks: Blocks, numbers: Numbers, columns: int, seed: int) -> Survey:
    """Pass once over the blocks.

    Parameters
    ----------
    blocks : Blocks
        Real rows.
    numbers : RowNumbers, or ndarray of int
        Place of each row in the order of the dims.
    columns : int
        How many there are.
    seed : int
        Decides the sample.

    Returns
    -------
    Survey
    """
    least, most = _SAMPLE_ROWS
    size = int(np.clip(_SAMPLE_BYTES // (8 * max(1, columns)), least, most))
    bounds = list_bounds(blocks.sizes)
    # A block offers the rows that have a chance, twice as many as are wanted of all: fewer wait to be joined.
    limit = find_draw_limit(2 * size, len(numbers))
    found: Survey = blocks.fold_states(_survey_block, _Join(size), bounds, numbers, size, limit, seed)[0]
    refuse_nothing(found.count)
    return replace(found, sample=np.asarray(found.sample))


def refuse_negative(block: Array) -> None:
    """Refuse a block with negative cells."""
    lowest = np.fmin.reduce(show_undivided(block), axis=None) if block.size else 0
    if lowest < 0:
        raise _explain_negative(float(lowest))


def refuse_more_than_noise(seen: Survey) -> None:
    """Refuse data with cells farther below zero than noise about it reaches."""
    if seen.lowest < -_NOISE * max(seen.highest, 0.0):
        raise _explain_negative(seen.lowest)


def _explain_negative(lowest: float) -> ResultError:
    return ResultError(
        f"Non-negative factors of data with negative cells (the lowest found is {lowest:g}): "
        f"pass abs(data), or data.clip(min=0) where the negative cells are noise about zero."
    )


def _survey_block(
    block: Array, bounds: slice, places: Numbers, size: int, limit: np.uint64, seed: int
) -> tuple[Survey, None]:
    rows, holes = sift(block)
    numbers = draw_numbers(places[bounds], seed)
    kept = numbers if len(rows) == len(block) else numbers[_mark_complete(block, holes)]
    square, lowest, highest = 0.0, np.inf, -np.inf
    with np.errstate(over="ignore"):  # that is told from the sample
        for part in cut_pieces(len(rows), 8 * rows.shape[1]):
            some = rows[part]
            flat = some.astype(np.float64).ravel()
            square += float(flat @ flat)
            lowest, highest = min(lowest, float(some.min())), max(highest, float(some.max()))
    near = np.flatnonzero(kept <= limit)
    chosen = near[np.argsort(kept[near], kind="stable")[:size]]
    return Survey(holes, len(rows), square, pick_rows([rows], chosen), kept[chosen], lowest, highest), None


def _mark_complete(block: Array, holes: Array) -> Array:
    """Return which rows `sift` keeps."""
    finite = np.isfinite(block)
    return np.asarray((finite | holes).all(axis=1) & finite.any(axis=1))


@dataclass(frozen=True, slots=True)
class _Join:
    """Join two surveys; the sample stays at its size."""

    size: int

    def __call__(self, first: Survey, second: Survey) -> Survey:
        holes = first.holes & second.holes
        used = [s for s in (first, second) if s.count and (s.holes == holes).all()]
        if not used:
            return Survey(holes, 0, 0.0, pick_rows([first.sample], np.arange(0)), first.draws[:0])
        drawn = np.concatenate([s.draws for s in used])
        chosen = np.argsort(drawn, kind="stable")[: self.size]
        sample = pick_rows([s.sample for s in used], chosen)
        ends = min(s.lowest for s in used), max(s.highest for s in used)
        return Survey(holes, sum(s.count for s in used), sum(s.square for s in used), sample, drawn[chosen], *ends)


def find_draw_limit(wanted: int, rows: int) -> np.uint64:
    """Return the number that about so many of the draws of all rows do not exceed."""
    most = 2**64 - 1
    return np.uint64(most if wanted >= rows else int(wanted / rows * most))


def draw_numbers(numbers: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """Return a number for each place that looks random: the mixer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    # Each seed begins at another place of the sequence that is mixed.
    mixed = numbers.astype(np.uint64) + np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
