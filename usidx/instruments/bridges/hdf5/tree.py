"""What the readers of HDF5 formats share: marks of a format, short arrays, texts, and datasets as lazy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import dask.array as da
import h5py
import numpy as np

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.bridges.lazy_blocks import read_version
from usidx.io.read.chunks.block_sizes import choose_plain_blocks
from usidx.io.read.chunks.plugins import lies_elsewhere
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.attributes import read_attributes

__all__ = [
    "find_marks",
    "is_numeric",
    "list_attributes",
    "list_objects",
    "open_dataset",
    "open_hdf5",
    "read_short",
    "text_of",
]

_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
#: Axes are short; what is longer is no axis.
_MOST_VALUES: Final = 1 << 24
_MOST_OBJECTS: Final = 100_000
_MOST_LOOKED_AT: Final = 300


@dataclass(frozen=True, slots=True)
class _Stored:
    """A stored dataset that dask indexes; axis i of the array is axis ``order[i]`` of the dataset."""

    stored: StoredArray
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.shape[axis] for axis in self.order)

    @property
    def ndim(self) -> int:
        return len(self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stored.dtype

    def __getitem__(self, key: tuple[slice | int, ...]) -> Array:
        natural: list[Any] = [slice(None)] * len(key)
        for axis, one in zip(self.order, key, strict=True):
            natural[axis] = one if isinstance(one, slice) else slice(one, one + 1 or None)
        block = self.stored.read(*natural).transpose(self.order)
        return block[tuple(slice(None) if isinstance(one, slice) else 0 for one in key)]


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for as long as a block lasts."""
    with open_file_at(path) as file:
        yield file


def list_objects(file: h5py.File) -> dict[str, h5py.Group | h5py.Dataset]:
    """Return all groups and datasets by their paths, the root included; links to others are not followed.

    Raises
    ------
    TranslationError
        There are more than a measurement has.
    """
    found: dict[str, h5py.Group | h5py.Dataset] = {"/": file["/"]}

    def note(name: str, object_: Any) -> bool | None:
        found[f"/{name}"] = object_
        return True if len(found) > _MOST_OBJECTS else None

    if file.visititems(note):
        raise TranslationError(f"it has more than {_MOST_OBJECTS} objects")
    return found


def open_dataset(dataset: h5py.Dataset, order: Sequence[int] | None = None) -> da.Array:
    """Return a dataset as a lazy array that is read by ranges; axis i is axis ``order[i]`` of the dataset."""
    if not is_numeric(dataset):
        raise TranslationError(f"{dataset.name!r} holds {dataset.dtype}, which is no number")
    lies_elsewhere(dataset)
    stored = describe_stored_array(dataset)
    turned = tuple(range(len(stored.shape))) if order is None else tuple(order)
    source = _Stored(stored, turned)
    chunks = choose_plain_blocks(stored.shape, stored.dtype.itemsize, stored.chunks)
    size, changed = read_version(Path(str(dataset.file.filename)))
    return da.from_array(
        source,
        chunks=tuple(chunks[axis] for axis in turned),
        name=f"usid-dataset-{stored.file.name}-{size}-{changed}-{stored.dataset}-{turned}",
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * source.ndim, source.dtype),
        inline_array=True,
    )


def is_numeric(object_: Any) -> bool:
    """Say whether an object is a dataset of numbers with at least one dim."""
    return (
        isinstance(object_, h5py.Dataset)
        and bool(object_.shape)
        and object_.dtype.kind in "biufc"
        and not object_.dtype.shape
    )


def read_short(dataset: Any) -> Array | None:
    """Return the values of an axis; None where it is no short array of numbers."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biuf" or dataset.shape is None:
        return None
    if dataset.size > _MOST_VALUES:
        return None
    lies_elsewhere(dataset)
    return np.asarray(dataset[()]).reshape(-1)


def list_attributes(object_: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Return the attributes of an object; references and unreadable ones are left out."""
    return {name: value for name, value in read_attributes(object_).items() if not name.startswith("DIMENSION_")}


def text_of(attributes: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """Return an attribute as text."""
    value = attributes.get(name, otherwise)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def find_marks(path: Path, head: bytes) -> frozenset[str]:
    """Return what marks formats in an HDF5 file: attributes' names, with ``=`` and value where short, and root members.

    Empty where it is no HDF5 file, or one that cannot be opened.
    """
    # A user block may stand before the magic bytes.
    if not any(head[start : start + 8] == _MAGIC for start in (0, 512, 1024, 2048, 4096, 8192)):
        return frozenset()
    try:
        return _find_marks(str(path), read_version(path))
    except DAMAGE:
        return frozenset()


@lru_cache(8)
def _find_marks(path: str, version: tuple[int, int]) -> frozenset[str]:
    marks: set[str] = set()
    seen = 0

    def note(name: str, object_: Any) -> bool | None:
        nonlocal seen
        seen += 1
        marks.update(_list_marks(object_))
        return True if seen > _MOST_LOOKED_AT else None

    with open_file_at(path) as file:
        marks.update(f"/{name}" for name in file)
        marks.update(_list_marks(file))
        file.visititems(note)
    return frozenset(marks)


def _list_marks(object_: h5py.Group | h5py.Dataset) -> Iterator[str]:
    wanted: dict[str, Callable[[Any], str]] = {
        "NX_class": str, "pyNSID_version": str, "nsid_version": str, "emd_group_type": str, "file_format": str,
        "version_major": str, "main_data_name": str, "authoring_program": str,
    }  # fmt: skip
    for name, show in wanted.items():
        try:
            if name in object_.attrs:
                value = object_.attrs[name]
                yield f"{name}={show(value.decode() if isinstance(value, bytes) else value)}"
        except DAMAGE:
            continue
