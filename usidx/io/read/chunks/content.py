"""A stored dataset -> a digest of all its bytes, to prove later that it holds the very same."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import h5py
import numpy as np

from usidx.io.read.chunks.plugins import bring_filters
from usidx.io.read.place.open_errors import DAMAGE
from usidx.tasks.pool import do_each

__all__ = ["digest_content", "measure_stored_size"]

#: Bytes that are read and digested at once.
_PIECE: Final = 8 << 20


def measure_stored_size(dataset: h5py.Dataset) -> int:
    """Return how many bytes a dataset takes in its file, about."""
    return int(dataset.id.get_storage_size())


def digest_content(dataset: h5py.Dataset) -> str | None:
    """Digest what a dataset of a local file holds; None where its bytes lie elsewhere or cannot be read.

    Bytes are read as they are stored, compressed or not, and past HDF5 where it says where they lie.
    """
    if dataset.is_virtual or dataset.external or dataset.dtype.hasobject:
        return None
    whole = sha256(f"{dataset.shape} {dataset.dtype.descr} {_list_filters(dataset)}".encode())
    try:
        ranges = _list_ranges(dataset)
        pieces = _digest_by_hdf5(dataset) if ranges is None else _digest_ranges(dataset.file.filename, ranges)
    except DAMAGE:
        return None
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()[:32]


def _list_filters(dataset: h5py.Dataset) -> list[Any]:
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(k)[0] for k in range(plist.get_nfilters())]


def _list_ranges(dataset: h5py.Dataset) -> list[tuple[int, int]] | None:
    """Return (address, size) of the bytes in pieces, in the order of the cells; None where HDF5 does not say."""
    if dataset.file.userblock_size:
        return None
    if dataset.chunks is None:
        start, size = dataset.id.get_offset(), dataset.id.get_storage_size()
        if start is None:
            return None
        return [(start + at, min(_PIECE, size - at)) for at in range(0, size, _PIECE)]
    found: list[tuple[tuple[int, ...], int, int]] = []
    dataset.id.chunk_iter(lambda chunk: found.append((chunk.chunk_offset, chunk.byte_offset, chunk.size)))
    return [(address, size) for _, address, size in sorted(found)]


def _digest_ranges(path: str, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Digest groups of ranges side by side; the order of the groups is kept."""
    groups = list(_group_ranges(ranges))
    digests = [b""] * len(groups)

    def digest_group(number: int) -> None:
        hashed = sha256()
        with open(path, "rb", buffering=0) as file:
            for address, size in groups[number]:
                file.seek(address)
                hashed.update(_read_all(file, size))
        digests[number] = hashed.digest()

    do_each(digest_group, range(len(groups)))
    return digests


def _group_ranges(ranges: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    groups: list[list[tuple[int, int]]] = []
    size = _PIECE
    for one in ranges:
        if size >= _PIECE:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += one[1]
    return groups


def _read_all(file: Any, size: int) -> memoryview:
    buffer = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = file.readinto(buffer[done:])
        if not count:
            raise OSError(f"the file ends within {size} bytes of a dataset")
        done += count
    return buffer


def _digest_by_hdf5(dataset: h5py.Dataset) -> list[bytes]:
    bring_filters(dataset)
    rows = max(1, _PIECE // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))))
    total = dataset.shape[0] if dataset.shape else 0
    if not dataset.shape:
        return [sha256(np.asarray(dataset[()]).tobytes()).digest()]
    return [sha256(np.ascontiguousarray(dataset[k : k + rows]).tobytes()).digest() for k in range(0, total, rows)]
