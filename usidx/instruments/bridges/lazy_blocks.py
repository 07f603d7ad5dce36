"""What reads parts of itself from a file -> a lazy array; for data that does not lie at regular distances."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import numpy as np

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.reader import explain_failure
from usidx.io.read.chunks.block_sizes import choose_plain_blocks

__all__ = ["Blocks", "open_blocks", "read_version"]


def read_version(path: Path) -> tuple[int, int]:
    """Return (bytes, time of change) of a file; another pair is another file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


class Blocks(ABC):
    """An array that reads parts of itself and holds no handle; what goes wrong names the file and the reader."""

    reader: ClassVar[str]
    path: Path
    version: tuple[int, int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[slice | int, ...]) -> Array:
        """Read a part: a slice or a whole number per axis."""
        parts = [one if isinstance(one, slice) else slice(one, one + 1 or None) for one in key]
        try:
            if read_version(self.path) != self.version:
                raise TranslationError("it has changed since it was opened. Read it again")
            block = self.read(*parts)
        except Exception as err:
            raise explain_failure(err, self.path, self.reader) from err
        return block[tuple(slice(None) if isinstance(one, slice) else 0 for one in key)]

    @abstractmethod
    def read(self, *parts: slice) -> Array:
        """Read a part, a slice per axis."""


def open_blocks(blocks: Blocks, name: str, chunks: Sequence[int] | None = None) -> da.Array:
    """Return a lazy array.

    Parameters
    ----------
    blocks : Blocks
        What reads.
    name : str
        Of the data in its file; with the version of the file it tells one array from another.
    chunks : sequence of int, optional
        Of what is read together, per axis; by default blocks of some megabytes of whole rows.
    """
    size, changed = blocks.version
    return da.from_array(
        blocks,
        chunks=choose_plain_blocks(blocks.shape, blocks.dtype.itemsize, tuple(chunks) if chunks else None),
        name=f"usid-blocks-{blocks.path.absolute()}-{size}-{changed}-{name}",
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * blocks.ndim, blocks.dtype),
        inline_array=False,
    )
