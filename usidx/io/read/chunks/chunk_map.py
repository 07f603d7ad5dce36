"""An open dataset -> where its bytes lie in the file, and what was done to them; None where that cannot be proven."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.io.read.chunks.filters import UNDO, Filter
from usidx.io.read.place.identity import find_address, find_file_number

__all__ = ["ChunkMap", "describe", "list_chunks", "read_filters"]

# numpy's and HDF5's 16-byte floats differ between platforms in what their padding holds.
_LARGEST = {"f": 8, "c": 16}
# What the index of a file spends on one chunk, at least: a file cannot list more chunks than its size allows.
_LEAST_ENTRY = 8


@dataclass(frozen=True, slots=True, eq=False)
class ChunkMap:
    """Where the bytes of a dataset lie.

    Attributes
    ----------
    address : int
        Where the dataset itself lies.
    shape : tuple of int
        Of the dataset.
    stored : dtype
        As it lies in the file.
    fill : ndarray or None
        What holds where nothing was written, dims (); None where HDF5 alone knows.
    chunk : tuple of int
        Shape of a chunk; contiguous data is one chunk.
    filters : tuple of Filter
        In the order of writing.
    numbers : ndarray of int64
        Chunks that exist, counted in C order over the grid of chunks, rising.
    addresses, sizes, masks : ndarray
        Of each of them: first byte, bytes in the file, filters that were left out (a bit each).
    is_chunked : bool
        Whether the file has chunks at all.
    """

    address: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    fill: Array | None
    chunk: tuple[int, ...]
    filters: tuple[Filter, ...]
    numbers: Array
    addresses: Array
    sizes: Array
    masks: Array
    is_chunked: bool

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return _count_chunks(self.shape, self.chunk)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before it was filtered."""
        return prod(self.chunk) * self.stored.itemsize

    @property
    def nbytes(self) -> int:
        """Memory that the map takes, about."""
        return 1024 + sum(part.nbytes for part in (self.numbers, self.addresses, self.sizes, self.masks))

    def equals(self, other: ChunkMap) -> bool:
        """Whether every byte lies where the other map says."""
        is_alike = self._list_frame() == other._list_frame()
        return is_alike and all(
            np.array_equal(*both) for both in zip(self._list_tables(), other._list_tables(), strict=True)
        )

    def _list_tables(self) -> tuple[Array, ...]:
        return self.numbers, self.addresses, self.sizes, self.masks

    def _list_frame(self) -> tuple[Any, ...]:
        return self.address, self.shape, self.stored, self.chunk, self.filters, self.is_chunked


def describe(file: h5py.File, name: str) -> ChunkMap | None:
    """Find out where a dataset of an open file lies.

    Reads no data.

    Parameters
    ----------
    file : h5py.File
        The file, open.
    name : str
        HDF5 path of the dataset.

    Returns
    -------
    ChunkMap or None
        None where reading past HDF5 is not proven right: another layout, type or filter, another file, no dataset, or
        damage that HDF5 will name when it is asked for data.

    Raises
    ------
    UsidError
        The index of the chunks is damaged.
    """
    try:
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or not _lies_in(file, dataset):
            return None
        return _describe_storage(file, dataset)
    except UsidError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def _describe_storage(file: h5py.File, dataset: h5py.Dataset) -> ChunkMap | None:
    creation = dataset.id.get_create_plist()
    filters = read_filters(creation)
    if filters is None or not _is_plain_type(dataset) or creation.get_external_count():
        return None
    if creation.get_layout() == h5py.h5d.CONTIGUOUS:
        return _map_contiguous(dataset, _fill(dataset, creation))
    if creation.get_layout() == h5py.h5d.CHUNKED and hasattr(dataset.id, "chunk_iter"):
        return _map_chunked(file, dataset, _fill(dataset, creation), filters)
    return None


def _lies_in(file: h5py.File, dataset: h5py.Dataset) -> bool:
    """Whether addresses of the dataset count from the beginning of this very file."""
    return find_file_number(file) == find_file_number(dataset) and bool(file.userblock_size == 0)


def read_filters(creation: Any) -> tuple[Filter, ...] | None:
    """Return the pipeline, None where it has other steps than those decoded here, or one of them twice."""
    steps = [creation.get_filter(index) for index in range(creation.get_nfilters())]
    codes = [int(code) for code, _, _, _ in steps]
    if not set(codes) <= UNDO.keys() or len(set(codes)) < len(codes):
        return None
    return tuple(Filter(code, int(values[0]) if values else 0) for code, _, values, _ in steps)


def _is_plain_type(dataset: h5py.Dataset) -> bool:
    """Whether the bytes in the file are those that numpy has for the same type."""
    if not _is_plain_dtype(dataset.dtype):
        return False
    return bool(h5py.h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type()))


def _is_plain_dtype(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return all(_is_plain_dtype(dtype[name]) for name in dtype.names)
    return dtype.kind in "biufc" and dtype.itemsize <= _LARGEST.get(dtype.kind, 8)


def _fill(dataset: h5py.Dataset, creation: Any) -> Array | None:
    is_known = creation.fill_value_defined() != h5py.h5d.FILL_VALUE_UNDEFINED
    if not is_known or creation.get_fill_time() == h5py.h5d.FILL_TIME_NEVER:
        return None
    fill = np.zeros((), dataset.dtype)
    fill[...] = dataset.fillvalue
    return fill


def _map_contiguous(dataset: h5py.Dataset, fill: Array | None) -> ChunkMap | None:
    address = dataset.id.get_offset()
    size = prod(dataset.shape) * dataset.dtype.itemsize
    if size >= 1 << 63:
        return None
    found = [] if address is None else [(0, int(address), size, 0)]
    return _map(dataset, fill, dataset.shape, (), found)


def _map_chunked(
    file: h5py.File, dataset: h5py.Dataset, fill: Array | None, filters: tuple[Filter, ...]
) -> ChunkMap | None:
    chunk = tuple(int(n) for n in dataset.chunks)
    grid = _count_chunks(dataset.shape, chunk)
    if prod(grid) >= 1 << 62 or prod(chunk) * dataset.dtype.itemsize >= 1 << 32:
        return None
    infos = list_chunks(file, dataset, prod(grid))
    corners = np.array([info[0] for info in infos], dtype=np.uint64).reshape(len(infos), len(chunk))
    steps, ends = np.array(chunk, dtype=np.uint64), np.array(dataset.shape, dtype=np.uint64)
    if (corners % steps).any() or (corners >= ends).any():
        return None  # some versions of HDF5 count in chunks
    strides = [prod(grid[axis + 1 :]) for axis in range(len(grid))]
    numbers = (corners // steps @ np.array(strides, dtype=np.uint64)).tolist()
    if len(set(numbers)) < len(numbers):
        return None
    found = sorted((number, *info[1:]) for number, info in zip(numbers, infos, strict=True))
    return _map(dataset, fill, chunk, filters, found)


def list_chunks(file: h5py.File, dataset: h5py.Dataset, cells: int) -> list[tuple[tuple[int, ...], int, int, int]]:
    """List (corner, address, size, mask) of each chunk."""
    infos: list[tuple[tuple[int, ...], int, int, int]] = []
    most = min(cells, file.id.get_filesize() // _LEAST_ENTRY)

    def keep(info: Any) -> bool | None:
        infos.append((info.chunk_offset, info.byte_offset or 0, info.size, info.filter_mask))
        return True if len(infos) > most else None  # True stops a damaged index that goes round in circles

    try:
        dataset.id.chunk_iter(keep)
    except (OSError, RuntimeError) as err:
        raise UsidError(
            f"{dataset.name!r} in {file.filename!r} cannot be read: its index of chunks is damaged. ({err})"
        ) from err
    if len(infos) > most:
        raise UsidError(
            f"{dataset.name!r} in {file.filename!r} cannot be read: its index lists more than {most} chunks, all that "
            f"there can be. The file is damaged."
        )
    return infos


def _map(
    dataset: h5py.Dataset,
    fill: Array | None,
    chunk: tuple[int, ...],
    filters: tuple[Filter, ...],
    found: list[tuple[int, int, int, int]],
) -> ChunkMap:
    table = np.array(found, dtype=np.uint64).reshape(len(found), 4)
    # Addresses beyond the largest int64 become negative: no file is that long, so reading them is refused.
    numbers, addresses, sizes, masks = np.ascontiguousarray(table.T.astype(np.int64))
    return ChunkMap(
        address=find_address(dataset),
        shape=dataset.shape,
        stored=dataset.dtype,
        fill=fill,
        chunk=chunk,
        filters=filters,
        numbers=numbers,
        addresses=addresses,
        sizes=sizes,
        masks=masks,
        is_chunked=dataset.chunks is not None,
    )


def _count_chunks(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True))
