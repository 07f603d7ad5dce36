"""Blocks of a stored dataset, read on demand. The one place where data is read; no handle stays open.

A stored array is where its file is, and its shape, so it pickles to a few hundred bytes and works in threads, processes
and on a cluster alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.format.placement import Selector
from usidx.io.read.chunks.bounded import check_chunks
from usidx.io.read.chunks.direct import read_direct, walk_direct
from usidx.io.read.chunks.plugins import bring_filters, describe_missing_filters, lies_elsewhere
from usidx.io.read.chunks.rows import Work
from usidx.io.read.chunks.selection import Axis, Cut, cut_apart, make_outer_index, resolve, restore_order
from usidx.io.read.place.identity import find_address
from usidx.io.read.place.local import LocalFile
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import Place, find_place

__all__ = ["StoredArray", "describe_stored_array"]

# Reading a gap of this many bytes costs less than a second call into HDF5.
_CHEAP_GAP = 32 * 1024
# Memory that reading across gaps may take beside the block that was asked for.
_STAGING = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A dataset in a file, or one field of it, which reads blocks of itself.

    Attributes
    ----------
    file : place
        The file.
    dataset : str
        HDF5 path in it.
    shape : tuple of int
        As when it was opened; a change is an error.
    dtype : dtype
        Of what is read, in native byte order.
    chunks : tuple of int or None
        HDF5 chunk, None where the data is contiguous.
    field : str or None
        Field of a compound dataset.
    address : int or None
        Where in the file the dataset itself lies; another one there is another dataset. None if it does not matter.
    """

    file: Place
    dataset: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    field: str | None = None
    address: int | None = None

    def read(self, *selectors: Selector) -> Array:
        """Read a block.

        Parameters
        ----------
        *selectors : slice or array of int
            One per axis; an array may have any order and repeats (outer indexing).

        Returns
        -------
        ndarray
            In the order asked.

        Raises
        ------
        FileNotFoundError, UsidError
            The file or the dataset is no longer there, the dataset has another shape, type or place now, or what is
            stored cannot be decoded.
        """
        counts = [_count(one, n) for one, n in zip(selectors, self.shape, strict=True)]
        if 0 in counts:
            return np.empty(counts, dtype=self.dtype)
        block = read_direct(self, selectors)
        return self._read_by_hdf5(selectors) if block is None else block

    def walk(self, rows: slice, columns: slice, work: Work) -> bool:
        """Read rows of contiguous data of this machine in pieces, each worked on while it is in the cache.

        See :func:`usidx.io.read.chunks.direct.walk_direct`.
        """
        return walk_direct(self, rows, columns, work)

    @property
    def may_walk(self) -> bool:
        """Whether `walk` is worth a try: nothing is decoded, nothing fetched, so that reading it twice costs little."""
        return self.chunks is None and self.field is None and isinstance(self.file, LocalFile)

    def _read_by_hdf5(self, selectors: Sequence[Selector]) -> Array:
        axes = [resolve(one, size) for one, size in zip(selectors, self.shape, strict=True)]
        out = np.empty([axis.size for axis in axes], dtype=self.dtype)
        with open_file_at(self.file) as file:
            dataset = self._find_dataset(file)
            bring_filters(dataset)
            self._check_chunks(dataset, axes)
            for cuts in product(*self._cut_axes(axes)):
                block = self._fetch(dataset, tuple(slice(cut.start, cut.start + cut.length) for cut in cuts))
                out[tuple(cut.place for cut in cuts)] = block[make_outer_index([cut.inside for cut in cuts])]
        return restore_order(out, axes)

    def _check_chunks(self, dataset: h5py.Dataset, axes: Sequence[Axis]) -> None:
        box = [slice(first := int(axis.wanted[0]), first + axis.span) for axis in axes]
        try:
            check_chunks(dataset, box)
        except (OSError, RuntimeError, UsidError) as err:
            raise UsidError(f"{self.dataset!r} in {self.file.name!r} cannot be read. It is damaged. ({err})") from err

    def _find_dataset(self, file: h5py.File) -> h5py.Dataset:
        dataset = file.get(self.dataset)
        found = f"{dataset.shape} of {dataset.dtype}" if isinstance(dataset, h5py.Dataset) else "nothing"
        if not isinstance(dataset, h5py.Dataset) or dataset.shape != self.shape or not self._has_type(dataset.dtype):
            wanted = f"{self.shape} of {self.dtype}" + ("" if self.field is None else f" in a field {self.field!r}")
            raise UsidError(
                f"{self.dataset!r} in {self.file.name!r} has changed since it was opened: it had the shape {wanted}, "
                f"now there is {found}. Open it again."
            )
        if self.address not in {None, find_address(dataset)}:
            raise UsidError(
                f"{self.dataset!r} in {self.file.name!r} has changed since it was opened: another dataset took its "
                f"place (at byte {find_address(dataset)} instead of {self.address}). Open it again."
            )
        if lies_elsewhere(dataset):
            raise UsidError(
                f"{self.dataset!r} in {self.file.name!r} is made of other files, which cannot be followed from a URL. "
                "Download them together and open the copy."
            )
        return dataset

    def _has_type(self, dtype: np.dtype[Any]) -> bool:
        if self.field is not None:
            if self.field not in (dtype.names or ()):
                return False
            dtype = dtype[self.field]
        return bool(dtype.newbyteorder("=") == self.dtype)

    def _fetch(self, dataset: h5py.Dataset, part: tuple[slice, ...]) -> Array:
        try:
            return np.asarray((dataset if self.field is None else dataset.fields(self.field))[part])
        except (OSError, RuntimeError) as err:
            start = tuple(one.start for one in part)
            reason = describe_missing_filters(dataset) or f" It is damaged. ({err})"
            raise UsidError(f"{self.dataset!r} in {self.file.name!r} cannot be read at {start}.{reason}") from err

    def _cut_axes(self, axes: Sequence[Axis]) -> list[list[Cut]]:
        """Join what lies close together along each axis, so that few reads fetch little that is not wanted."""
        counts, cell = [axis.size for axis in axes], self.dtype.itemsize
        across = [max(1, prod(counts[:axis] + counts[axis + 1 :]) * cell) for axis in range(len(counts))]
        return [
            # What has no gaps goes to the output; else what is read is held beside it, so that is limited.
            cut_apart(axis, size, self._bound_gap(number, wide), max(1, _STAGING // wide))
            for number, (axis, size, wide) in enumerate(zip(axes, self.shape, across, strict=True))
        ]

    def _bound_gap(self, axis: int, across: int) -> int:
        """Return how many unwanted entries along an axis, of so many bytes each, cost less than another read."""
        chunk = 0 if self.chunks is None else self.chunks[axis]  # what lies in one chunk is decoded anyway
        return max(1, _CHEAP_GAP // across, chunk if chunk * across <= _STAGING else 0)


def _count(selector: Selector, size: int) -> int:
    return len(range(*selector.indices(size))) if isinstance(selector, slice) else int(selector.size)


def describe_stored_array(dataset: h5py.Dataset, field: str | None = None, file: Place | None = None) -> StoredArray:
    """Describe a dataset of an open file, so that it can be read after the file is closed.

    Parameters
    ----------
    dataset : h5py.Dataset
        The dataset.
    field : str, optional
        Field of a compound type.
    file : place, optional
        Where the file is that holds it; what HDF5 calls it, by default.
    """
    dtype = dataset.dtype if field is None else dataset.dtype[field]
    return StoredArray(
        file=find_place(str(dataset.file.filename)) if file is None else file,
        dataset=str(dataset.name),
        shape=dataset.shape,
        dtype=dtype.newbyteorder("="),
        chunks=dataset.chunks,
        field=field,
        address=find_address(dataset),
    )
