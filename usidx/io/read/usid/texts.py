"""A dataset of texts -> an array of them, once it is proven that HDF5 can read them (see `place.heap`)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.chunks.chunk_map import list_chunks, read_filters
from usidx.io.read.chunks.filters import bound_stored_size, decode
from usidx.io.read.chunks.plugins import bring_filters, lies_elsewhere
from usidx.io.read.place.heap import POINTER, WatchedBytes, find_watched_bytes

__all__ = ["read_texts"]

# Texts are decoded when the file is opened; a dataset with more of them stays unread.
_MOST_TEXTS, _MOST_BYTES = 100_000, 64 << 20
# In an array each takes as much memory as the longest.
_LARGEST_ARRAY = 512 << 20


def read_texts(dataset: h5py.Dataset) -> Array | None:
    """Read the texts of a dataset, None where it holds other things, or too much.

    Raises
    ------
    OSError, UsidError
        It is damaged.
    """
    is_large = dataset.size > _MOST_TEXTS or dataset.nbytes > _MOST_BYTES
    kind = h5py.check_string_dtype(dataset.dtype)
    if kind is None or is_large or lies_elsewhere(dataset):
        return None
    bring_filters(dataset)
    if kind.length is None and _measure_length(dataset) > _MOST_BYTES:
        return None
    texts = np.empty(dataset.shape, object)
    texts[...] = dataset.asstr("utf-8", errors="replace")[()] if kind.length is None else _decode(read_part(dataset))
    longest = max(map(len, texts.reshape(-1)), default=0)
    return texts.astype(f"U{longest or 1}") if 4 * longest * texts.size <= _LARGEST_ARRAY else None


def _decode(stored: Array) -> Array:
    texts = np.empty(stored.shape, object)
    texts.reshape(-1)[:] = [text.decode("utf-8", "replace") for text in stored.reshape(-1).tolist()]
    return texts


def _measure_length(dataset: h5py.Dataset) -> int:
    """Return the bytes of all texts, as far as they can be proven."""
    held = find_watched_bytes(dataset)
    if held is None:
        return 0
    kind = dataset.id.get_type().encode()[2:]
    return sum(held.prove(kind, pointers) for pointers in _read_pointers(dataset, held))


def _read_pointers(dataset: h5py.Dataset, held: WatchedBytes) -> Iterator[bytes]:
    """Yield what is stored for the texts; nothing where that is stored or compressed in an uncommon way."""
    creation = dataset.id.get_create_plist()
    filters = read_filters(creation)
    if creation.get_layout() == h5py.h5d.CONTIGUOUS and dataset.id.get_offset() is not None:
        data = held.read(dataset.id.get_offset(), POINTER * dataset.size)
        yield data[: len(data) // POINTER * POINTER]  # less than it should be is no file that HDF5 reads
    elif creation.get_layout() == h5py.h5d.CHUNKED and filters is not None and hasattr(dataset.id, "chunk_iter"):
        chunk = dataset.chunks
        size = POINTER * prod(chunk)
        for corner, _, stored, _ in list_chunks(dataset.file, dataset, dataset.size):
            if stored > bound_stored_size(size):
                raise UsidError(f"a chunk of it claims to take {stored} bytes")
            mask, data = dataset.id.read_direct_chunk(corner)
            cells = decode(memoryview(data), filters, mask, size).view(f"V{POINTER}").reshape(chunk)
            # Beyond the end of the array there may be what it held before it was cut.
            yield cells[tuple(slice(max(n - c, 0)) for n, c in zip(dataset.shape, corner, strict=True))].tobytes()
