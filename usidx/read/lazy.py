"""A stored dataset -> an array that xarray indexes lazily, each index pushed down to the rows and columns it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from usidx.format.layout import Array
from usidx.format.placement import Placement
from usidx.read.storage import StoredArray

__all__ = ["MainArray", "PlainArray"]


class MainArray(BackendArray):
    """A main dataset as an N-D array."""

    def __init__(self, stored: StoredArray, placement: Placement) -> None:
        self.stored = stored
        self.placement = placement
        self.shape = placement.shape
        self.dtype = stored.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        return self.placement.take(key, self.stored.read)


class PlainArray(BackendArray):
    """A dataset that is no main dataset, axis by axis."""

    def __init__(self, stored: StoredArray, decode: Callable[[Array], Array] | None = None) -> None:
        self.stored = stored
        self.shape = stored.shape
        self.dtype = stored.dtype if decode is None else decode(np.empty(0, stored.dtype)).dtype
        self.decode = decode

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        kept = [slice(k, k + 1 or None) if isinstance(k, int | np.integer) else k for k in key]
        block = self.stored.read(*kept)
        block = block if self.decode is None else self.decode(block)
        return block[tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)]
