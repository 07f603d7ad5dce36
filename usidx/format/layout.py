"""What a main dataset and its four ancillaries say, checked once and then trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from usidx.errors import GridError, LayoutError

__all__ = ["Array", "Layout", "Role", "Side", "decode_text", "parse_counters", "parse_labels"]

Array = np.ndarray[Any, np.dtype[Any]]
Role = Literal["position", "spectroscopic"]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of a main dataset: its positions, or its spectroscopic steps.

    Attributes
    ----------
    role : {"position", "spectroscopic"}
        Which side.
    labels, units : tuple of str
        One per dimension, in the order of the file, as found.
    indices : ndarray of int64, shape (n, d)
        Counter of each dimension for each of the n rows (or columns) of the main dataset.
    values : ndarray, shape (n, d)
        What the counters stand for, in `units`.
    types : tuple of int
        Kind of each dimension where the file says it: 0 default, 1 incomplete, 2 dependent; else empty.
    slowest_first : bool
        True where the writer is known to put the slowest dimension first. Only used where the rows do not tell.
    hints : mapping
        What an earlier write left for an exact round trip; empty for other writers.
    """

    role: Role
    labels: tuple[str, ...]
    units: tuple[str, ...]
    indices: Array
    values: Array
    types: tuple[int, ...] = ()
    slowest_first: bool = False
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of rows (positions) or columns (spectroscopic steps)."""
        return int(self.indices.shape[0])

    @property
    def is_placeholder(self) -> bool:
        """Whether an earlier write made its one dimension only because a side must have one."""
        return self.hints.get("placeholder") is True and len(self.labels) == 1 and self.size == 1

    def get_hint(self, name: str) -> Mapping[str, Any]:
        """Return what an earlier write left about one coordinate; empty for other writers."""
        coordinates = self.hints.get("coordinates")
        found = coordinates.get(name) if isinstance(coordinates, dict) else None
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A main dataset without its data.

    Attributes
    ----------
    name : str
        Last part of the dataset's path.
    quantity, units : str
        What is measured, and its unit.
    shape : tuple of int
        (positions, spectroscopic steps).
    dtype : dtype
        Of one cell; may be compound.
    position, spectroscopic : Side
        The two sides.
    attributes : mapping
        The other attributes of the dataset.
    book_keeping : mapping
        Attributes that say who wrote it and when.
    hints : mapping
        What an earlier write left for an exact round trip; empty for other writers.
    """

    name: str
    quantity: str
    units: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    position: Side
    spectroscopic: Side
    attributes: Mapping[str, Any] = field(default_factory=dict)
    book_keeping: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, Any] = field(default_factory=dict)


def decode_text(value: Any) -> str | None:
    """Return a string attribute as str, None where it is not a string (bytes are UTF-8)."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        # Instrument programs also wrote Latin-1 (a lone 0xb5 for micro); it never fails.
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value) if isinstance(value, str) else None


def parse_labels(value: Any, count: int, where: object, attribute: str) -> tuple[str, ...]:
    """Turn the attribute `labels` or `units` (bytes, vlen or scalar strings) into one string per dimension.

    Raises
    ------
    LayoutError
        The attribute is not made of strings, or does not have one entry per dimension.
    """
    entries = [value] if isinstance(value, str | bytes) else list(np.asarray(value).reshape(-1))
    texts = [decode_text(entry) for entry in entries]
    found = tuple(text for text in texts if text is not None)
    if len(found) != len(texts):
        raise LayoutError(f"{where}: attribute {attribute!r} must hold strings, found {entries!r}.")
    if len(found) != count:
        raise LayoutError(
            f"{where}: attribute {attribute!r} has {len(found)} entries {list(found)!r} for {count} dimensions; "
            f"one per dimension is required."
        )
    return found


def parse_counters(indices: Array, where: object) -> Array:
    """Turn an index matrix of any integer or whole-number float type into int64.

    Raises
    ------
    GridError
        An entry is not a whole number.
    LayoutError
        The matrix is not numeric.
    """
    if indices.dtype.kind not in "iufb":
        raise LayoutError(f"{where}: indices must be whole numbers, found the type {indices.dtype}.")
    if indices.dtype.kind == "f":
        indices = indices.astype(np.float64)  # half floats cannot even be compared with the limit
        wrong = ~(np.isfinite(indices) & (indices == np.trunc(indices)) & (np.abs(indices) < 2.0**53))
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            raise GridError(
                f"{where}: indices count, so they must be whole numbers; found {indices[row, column]} "
                f"at entry {row} of dimension {column}."
            )
    if indices.dtype == np.uint64 and indices.size and int(indices.max()) > np.iinfo(np.int64).max:
        raise GridError(f"{where}: index {int(indices.max())} is too large to count cells.")
    return indices.astype(np.int64)
