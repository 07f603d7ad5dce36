"""A chunk map and what is wanted -> a block of the dataset, read past HDF5 and decoded on all cores.

After the map is collected no HDF5 call is made and no lock is held, HDF5's or Python's: addresses and sizes are checked
against the file, a chunk never decodes to more than its own size, and the block is read again if the file turns out to
have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Protocol

import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.format.placement import Selector
from usidx.io.read.chunks.cache import Located, forget, locate
from usidx.io.read.chunks.chunk_map import ChunkMap
from usidx.io.read.chunks.filters import bound_stored_size, decode
from usidx.io.read.chunks.rows import Work, lies_in_rows, walk_rows
from usidx.io.read.chunks.selection import WINDOW, Axis, Cut, cut_at_chunks, make_outer_index, resolve, restore_order
from usidx.io.read.chunks.strips import batch_strips, choose_strips, list_addresses
from usidx.io.read.place.byte_source import ByteSource, Reader, StripReader
from usidx.io.read.place.local_bytes import BUFFERS
from usidx.io.read.place.place import Place
from usidx.tasks.pool import do_each
from usidx.tasks.process.memory import use_memory_again
from usidx.tasks.threads import find_room

__all__ = ["Stored", "read_direct", "walk_direct"]

# Bytes between two chunks that are read along rather than skipped.
_CHEAP_GAP = 16 << 10
# Less than this is read faster than other threads are woken.
_WORTH_THREADS = 1 << 20
_LEAST_UNIT = 256 << 10
_TRIES = 5
use_memory_again()


class Stored(Protocol):
    """What tells a dataset, or one field of it, in a file."""

    @property
    def file(self) -> Place: ...  # noqa: D102
    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def field(self) -> str | None: ...  # noqa: D102
    @property
    def address(self) -> int | None: ...  # noqa: D102


def read_direct(stored: Stored, selectors: Sequence[Selector]) -> Array | None:
    """Read a block past HDF5.

    Parameters
    ----------
    stored : Stored
        The dataset, and the type to give it in.
    selectors : sequence of slice or ndarray of int
        One per axis, none of them empty; outer indexing, in any order, with repeats.

    Returns
    -------
    ndarray or None
        None where the dataset must be read through h5py, or is no longer what was opened.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    UsidError
        The file is cut off, or what is stored cannot be decoded.
    """
    axes = [resolve(selector, size) for selector, size in zip(selectors, stored.shape, strict=True)]
    for _ in range(_TRIES):
        located = locate(stored.file, stored.dataset, stored.address)
        if located is None:
            return None
        if located.map is None or not _serves(located.map, stored):
            if _may_have_changed(stored, located):
                continue
            return None
        out = np.empty([axis.size for axis in axes], stored.dtype)
        if _read(stored, located, partial(_fill_block, stored, axes=axes, out=out)):
            return restore_order(out, axes)
    return None


def walk_direct(stored: Stored, rows: slice, columns: slice, work: Work) -> bool:
    """Read rows of a contiguous matrix in pieces, each of which is worked on while it is in the cache.

    Parameters
    ----------
    stored : Stored
        The dataset.
    rows, columns : slice
        What is wanted, each with a step of one, none of them empty.
    work : callable
        Called with which of the rows they are, and their cells (row, column), in memory that is used again. More than
        once for the same rows, where the file changed meanwhile; on any thread.

    Returns
    -------
    bool
        False where it does not lie so in the file, or the file is no longer what was opened: then nothing of what was
        worked out holds, and `read_direct` is to be asked.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    UsidError
        The file is cut off.
    """
    for _ in range(_TRIES):
        located = locate(stored.file, stored.dataset, stored.address)
        found = None if located is None else located.map
        if located is None or found is None or not (_serves(found, stored) and lies_in_rows(found, stored.dtype)):
            return False
        if _read(stored, located, partial(_walk_block, stored, rows=rows, columns=columns, work=work)):
            return True
    return False


def _serves(found: ChunkMap, stored: Stored) -> bool:
    dtype = found.stored
    if stored.field is not None:
        if stored.field not in (dtype.names or ()):
            return False
        dtype = dtype[stored.field]
    is_it = stored.address in {None, found.address} and found.shape == stored.shape
    is_known = found.fill is not None or found.numbers.size == prod(found.grid)
    return is_it and is_known and bool(dtype.newbyteorder("=") == stored.dtype)


def _fill_block(stored: Stored, found: ChunkMap, source: ByteSource, *, axes: Sequence[Axis], out: Array) -> None:
    _Block(stored, found, source, axes, out).read()


def _walk_block(
    stored: Stored, found: ChunkMap, source: ByteSource, *, rows: slice, columns: slice, work: Work
) -> None:
    whole = _Block(stored, found, source, [resolve(slice(None), n) for n in found.shape], np.empty(0, stored.dtype))
    whole.check()
    if not walk_rows(found, source, rows, columns, work):
        raise whole.make_damage_error(None, "the file ends within it")


def _read(stored: Stored, located: Located, do: Callable[[ChunkMap, ByteSource], None]) -> bool:
    """Do what reads; False where the file changed so that it must be read again."""
    if located.map is None:
        return False
    try:
        with stored.file.open_source(located.version) as source:
            if source is None:
                return False
            do(located.map, source)
            if source.is_proven:
                return True
        return _still_holds(stored, located, located.map)
    except (UsidError, FileNotFoundError):
        if _may_have_changed(stored, located):
            return False
        raise
    except OSError as err:
        raise UsidError(f"{stored.dataset!r} in {stored.file.name!r} cannot be read. ({err})") from err


def _still_holds(stored: Stored, located: Located, found: ChunkMap) -> bool:
    if not _has_changed(stored, located):
        return True
    later = locate(stored.file, stored.dataset)
    return later is not None and later.map is not None and later.map.equals(found)


def _has_changed(stored: Stored, located: Located) -> bool:
    if stored.file.find_version() == located.version:
        return False
    forget(stored.file, stored.dataset, located)
    return True


def _may_have_changed(stored: Stored, located: Located) -> bool:
    """Whether what cannot be read was looked for where it lay in another version of the file."""
    try:
        return _has_changed(stored, located)
    except (UsidError, OSError):
        return False


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One range of bytes of the file, and what to make of it."""

    address: int
    size: int
    mask: int
    cuts: tuple[Cut, ...]
    view: Array  # of the output
    bytes: Array | None  # of that view, where all that is read goes there as it is

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A block that is being read; the methods that read may run in several threads."""

    stored: Stored
    map: ChunkMap
    source: ByteSource
    axes: Sequence[Axis]
    out: Array

    def read(self) -> None:
        """Fill the output."""
        strips = self._choose_strips()
        if strips and self.source.strips is not None:
            work = list(batch_strips(self.axes[0].wanted, strips, self.map.stored.itemsize))
            do_each(partial(self._read_strips, self.source.strips), work)
            return
        cuts = cut_at_chunks(self.axes, self.map.chunk, self.map.stored.itemsize, whole=bool(self.map.filters))
        entries = self._find_entries(cuts)
        for number in np.flatnonzero(entries < 0).tolist():
            self.out[_make_index(_select_cuts(cuts, number))] = self._fill()
        present = np.flatnonzero(entries >= 0)
        addresses, sizes = self._find_ranges(cuts, present, entries[present])
        order = np.argsort(addresses, kind="stable")
        masks = self.map.masks[entries[present]]
        table = np.stack([present, addresses, sizes, masks])[:, order]
        for reader, part in self.source.split_ranges(table):
            do_each(partial(self._read_unit, cuts, reader), self._divide_work(part))

    def _choose_strips(self) -> list[Cut]:
        """Return which columns to read row by row, where the data is one matrix in the file and that is faster."""
        is_matrix = not self.map.is_chunked and self.map.numbers.size == 1 and self.source.strips is not None
        found = choose_strips(self.axes, self.map.shape, self.map.stored.itemsize) if is_matrix else []
        if found:
            self.check()
        return found

    def check(self) -> None:
        """Refuse contiguous data that the file does not hold as a whole."""
        whole = cut_at_chunks([resolve(slice(None), n) for n in self.map.shape], self.map.shape, 1, whole=True)
        self._find_ranges(whole, np.zeros(1, np.int64), np.zeros(1, np.int64))

    def _read_strips(self, reader: StripReader, batch: tuple[slice, Cut]) -> None:
        part, cut = batch
        cell = self.map.stored.itemsize
        begin = int(self.map.addresses[0]) + cut.start * cell
        addresses = list_addresses(self.axes[0].wanted, part, begin, self.map.shape[1] * cell)
        data = reader.read_each(addresses, cut.length * cell)
        if data is None:
            raise self.make_damage_error(None, "the file ends within it")
        box = data.view(self.map.stored)
        box = box if self.stored.field is None else box[self.stored.field]
        self.out[part, cut.place] = box[:, cut.inside]

    def _fill(self) -> Any:
        fill = self.map.fill if self.map.fill is not None else np.zeros((), self.map.stored)
        return fill if self.stored.field is None else fill[self.stored.field]

    def _find_entries(self, cuts: Sequence[Sequence[Cut]]) -> Array:
        """Return the place in the map of the chunk of each combination of cuts; -1 where nothing was stored."""
        grid, known = self.map.grid, self.map.numbers
        strides = [prod(grid[axis + 1 :]) for axis in range(len(grid))]
        numbers = _combine(
            np.add, [[c.number * stride for c in part] for part, stride in zip(cuts, strides, strict=True)]
        )
        if known.size == 0:
            return np.full(numbers.size, -1)
        entries = np.minimum(np.searchsorted(known, numbers), known.size - 1)
        return np.where(known[entries] == numbers, entries, -1)

    def _find_ranges(self, cuts: Sequence[Sequence[Cut]], present: Array, entries: Array) -> tuple[Array, Array]:
        """Return address and size of each range of bytes, checked against the file."""
        addresses, sizes = self.map.addresses[entries], self.map.sizes[entries]
        most = bound_stored_size(self.map.chunk_bytes) if self.map.filters else self.map.chunk_bytes
        least = 0 if self.map.filters else most
        is_wrong = (addresses < 0) | (sizes < least) | (sizes > most) | (addresses > self.source.size - sizes)
        if is_wrong.any():
            first = int(np.flatnonzero(is_wrong)[0])
            where = f"{int(sizes[first])} bytes at byte {int(addresses[first])} of {self.source.size}"
            raise self.make_damage_error(
                _select_cuts(cuts, int(present[first])), f"it is said to have {where} in the file"
            )
        if self.map.filters:
            return addresses, sizes
        cell, chunk = self.map.stored.itemsize, self.map.chunk
        strides = [prod(chunk[axis + 1 :]) * cell for axis in range(len(chunk))]
        skipped = _combine(
            np.add, [[c.start * stride for c in part] for part, stride in zip(cuts, strides, strict=True)]
        )
        lengths = _combine(np.multiply, [[c.length for c in part] for part in cuts])
        return addresses + skipped[present], lengths[present] * cell

    def _divide_work(self, table: Array) -> list[Array]:
        """Share the work out in parts of about equal size, several for each thread."""
        sizes = table[2]
        cost = max(int(sizes.sum()), sizes.size * self.map.chunk_bytes if self.map.filters else 0)
        if cost < _WORTH_THREADS:
            return [table]
        unit = min(max(int(sizes.sum()) // (4 * find_room().threads), _LEAST_UNIT), WINDOW)
        return np.split(table, np.flatnonzero(np.diff(np.cumsum(sizes) // unit)) + 1, axis=1)

    def _read_unit(self, cuts: Sequence[Sequence[Cut]], reader: Reader, table: Array) -> None:
        run: list[_Piece] = []
        for piece in self._cut_pieces(cuts, table):
            if run and not (reader.reads_along and _goes_on(run, piece)):
                self._read_run(reader, run)
                run = []
            run.append(piece)
        if run:
            self._read_run(reader, run)

    def _cut_pieces(self, cuts: Sequence[Sequence[Cut]], table: Array) -> Iterator[_Piece]:
        is_same = self.stored.field is None and self.map.stored == self.out.dtype
        for number, address, size, mask in table.T.tolist():
            parts = _select_cuts(cuts, number)
            view = self.out[_make_index(parts)]
            is_straight = is_same and view.flags.c_contiguous and all(cut.is_whole for cut in parts)
            yield _Piece(address, size, mask, parts, view, view.reshape(-1).view(np.uint8) if is_straight else None)

    def _read_run(self, reader: Reader, run: Sequence[_Piece]) -> None:
        """Read neighbouring ranges at once: straight into the output, or to be decoded."""
        first, span = run[0], run[-1].end - run[0].address
        is_straight = not self.map.filters and span == sum(piece.size for piece in run)
        views = [piece.bytes for piece in run if piece.bytes is not None] if is_straight else []
        if len(views) == len(run):
            self._fetch(reader, first, [view.data for view in views])
            return
        staged = np.empty(span, np.uint8)
        self._fetch(reader, first, [staged.data])
        for piece in run:
            self._place(piece, staged[piece.address - first.address : piece.end - first.address])

    def _fetch(self, reader: Reader, first: _Piece, buffers: Sequence[memoryview]) -> None:
        if not reader.read_into(first.address, buffers):
            raise self.make_damage_error(first.cuts, "the file ends within it")

    def _place(self, piece: _Piece, data: Array) -> None:
        if self.map.filters:
            try:
                data = decode(data.data, self.map.filters, piece.mask, self.map.chunk_bytes, piece.bytes)
            except UsidError as err:
                raise self.make_damage_error(piece.cuts, str(err)) from err
            if data is piece.bytes:
                return
        box = data.view(self.map.stored).reshape([cut.length for cut in piece.cuts])
        box = box if self.stored.field is None else box[self.stored.field]
        piece.view[...] = box[make_outer_index([cut.inside for cut in piece.cuts])]

    def make_damage_error(self, cuts: Sequence[Cut] | None, reason: str) -> UsidError:
        """Say where the file is damaged."""
        numbers = [0] * len(self.map.chunk) if cuts is None else [cut.number for cut in cuts]
        corner = tuple(number * n for number, n in zip(numbers, self.map.chunk, strict=True))
        return UsidError(
            f"{self.stored.dataset!r} in {self.stored.file.name!r} cannot be read at {corner}: it is damaged: {reason}."
            " The file was cut off or changed; other parts of it may still be read."
        )


def _goes_on(run: Sequence[_Piece], piece: _Piece) -> bool:
    """Whether a range lies so near behind the others that one call reads it, too."""
    is_near = 0 <= piece.address - run[-1].end <= _CHEAP_GAP
    return is_near and len(run) < BUFFERS and piece.end - run[0].address <= WINDOW


def _select_cuts(cuts: Sequence[Sequence[Cut]], number: int) -> tuple[Cut, ...]:
    """Return one combination of cuts, counted in C order."""
    parts: list[Cut] = []
    for along in reversed(cuts):
        number, index = divmod(number, len(along))
        parts.append(along[index])
    return tuple(reversed(parts))


def _make_index(cuts: Sequence[Cut]) -> tuple[Any, ...]:
    return (*(cut.place for cut in cuts), ...)


def _combine(how: np.ufunc, parts: Sequence[Sequence[int]]) -> Array:
    """Combine one number per cut of each axis for all combinations, in C order."""
    result = np.full((), how.identity, np.int64)
    for part in parts:
        result = how.outer(result, np.array(part, np.int64))
    return result.reshape(-1)
