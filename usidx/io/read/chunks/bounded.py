"""A dataset of an open file -> its cells, in no more memory than they take.

HDF5 undoes deflate into as much memory as comes out, however small the chunk is said to be: 4 MB may become 4 GB. So
large chunks are decoded here, no further than to their size. Small ones are left to HDF5, which is faster where they
are many, once what is stored of each is no longer than any filter makes it: then little can come out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any, Final

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.io.read.chunks.chunk_map import list_chunks, read_filters
from usidx.io.read.chunks.filters import Filter, bound_stored_size, decode
from usidx.io.read.chunks.plugins import bring_filters

__all__ = ["check_chunks", "read_part"]

#: Chunks of so many bytes become no more than about 70 MB, whatever deflate makes of what is stored.
_SMALL_CHUNK: Final = 64 << 10
# More chunks than these are looked at faster all at once than one by one.
_FEW: Final = 64
# Which parameters of a filter, multiplied, say how many bytes a chunk becomes: of n-bit and scale-offset the number of
# elements and the size of one, of LZF and Blosc the bytes themselves.
_SIZES: Final = {
    h5py.h5z.FILTER_NBIT: (2, 4),
    h5py.h5z.FILTER_SCALEOFFSET: (2, 4),
    h5py.h5z.FILTER_LZF: (2,),
    32001: (3,),
}

Corner = tuple[int, ...]


def read_part(dataset: h5py.Dataset, part: tuple[slice, ...] | None = None) -> Array:
    """Read a dataset, or a part of it, through HDF5 where that can be trusted with it.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open, of numbers or texts of fixed length; its bytes lie in its own file.
    part : tuple of slice, optional
        A box with a step of one along each axis; everything by default.

    Returns
    -------
    ndarray
        In the type that the file has.

    Raises
    ------
    OSError, UsidError
        It is damaged, or decodes to more than it should.
    """
    box = [slice(*one.indices(n)) for one, n in zip(part or [slice(None)] * dataset.ndim, dataset.shape, strict=True)]
    if dataset.chunks is None or not dataset.id.get_create_plist().get_nfilters():
        return np.asarray(dataset[tuple(box)])
    filters = read_filters(dataset.id.get_create_plist())
    if filters is None or prod(dataset.chunks) * dataset.dtype.itemsize <= _SMALL_CHUNK or not _is_plain(dataset):
        check_chunks(dataset, box)
        bring_filters(dataset)
        return np.asarray(dataset[tuple(box)])
    return _decode_part(dataset, box, filters)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether the bytes in the file are those that numpy has for the same type."""
    is_known = dataset.dtype.kind in "biufcS" and not dataset.dtype.hasobject
    return is_known and bool(h5py.h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type()))


def _list_corners(dataset: h5py.Dataset, box: list[slice]) -> Iterator[Corner]:
    starts = [range(one.start // c * c, one.stop, c) for one, c in zip(box, dataset.chunks, strict=True)]
    return product(*starts) if all(one.stop > one.start for one in box) else iter(())


def check_chunks(dataset: h5py.Dataset, box: list[slice]) -> None:
    """Refuse chunks that HDF5 would take far more memory for than they hold, before it reads any of a box.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open; of one without filters nothing is looked at.
    box : list of slice
        What is about to be read, with a step of one along each axis.

    Raises
    ------
    UsidError
        More is stored of a chunk than any filter makes of it, or a filter claims to make more of it.
    """
    creation = dataset.id.get_create_plist()
    if dataset.chunks is None or not creation.get_nfilters():
        return
    _check_filters(dataset, creation)
    _check_sizes(dataset, box)


def _check_filters(dataset: h5py.Dataset, creation: Any) -> None:
    """Check what filters are told of the size of a chunk: HDF5 takes as much memory as they say."""
    nbytes = prod(dataset.chunks) * dataset.dtype.itemsize
    for code, _, values, _ in map(creation.get_filter, range(creation.get_nfilters())):
        places = _SIZES.get(int(code), ())
        if places and len(values) > max(places):
            claimed = prod(int(values[place]) for place in places)
            if claimed > bound_stored_size(nbytes):
                raise UsidError(
                    f"filter {int(code)} of {dataset.name!r} claims to make {claimed} bytes of a chunk that holds "
                    f"{nbytes}: it is damaged"
                )


def _check_sizes(dataset: h5py.Dataset, box: list[slice]) -> None:
    nbytes = prod(dataset.chunks) * dataset.dtype.itemsize
    touched = prod(-(-(one.stop - one.start) // c) + 1 for one, c in zip(box, dataset.chunks, strict=True))
    total = prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    if touched <= max(_FEW, total // 8):
        sizes = (dataset.id.get_chunk_info_by_coord(corner).size for corner in _list_corners(dataset, box))
    else:
        sizes = (size for _, _, size, _ in list_chunks(dataset.file, dataset, total))
    for size in sizes:
        _check_size(dataset, size, nbytes)


def _check_size(dataset: h5py.Dataset, size: int, nbytes: int) -> None:
    if size > nbytes + nbytes // 8 + 1024:
        raise UsidError(
            f"a chunk of {dataset.name!r} that holds {nbytes} bytes takes {size} in the file: it is damaged"
        )


def _decode_part(dataset: h5py.Dataset, box: list[slice], filters: tuple[Filter, ...]) -> Array:
    out: Array = np.full([one.stop - one.start for one in box], dataset.fillvalue, dataset.dtype)
    nbytes = prod(dataset.chunks) * dataset.dtype.itemsize
    for corner in _list_corners(dataset, box):
        info: Any = dataset.id.get_chunk_info_by_coord(corner)
        if info.byte_offset is None:
            continue  # nothing was written there
        _check_size(dataset, info.size, nbytes)
        mask, stored = dataset.id.read_direct_chunk(corner)
        cells = decode(memoryview(stored), filters, mask, nbytes).view(dataset.dtype).reshape(dataset.chunks)
        ends = [min(one.stop, start + c) for one, start, c in zip(box, corner, dataset.chunks, strict=True)]
        firsts = [max(one.start, start) for one, start in zip(box, corner, strict=True)]
        inside = tuple(slice(a - c, b - c) for a, b, c in zip(firsts, ends, corner, strict=True))
        place = tuple(slice(a - one.start, b - one.start) for a, b, one in zip(firsts, ends, box, strict=True))
        out[place] = cells[inside]
    return out
