"""The ancillary tables of an open file -> numbers, labels and units, read once for all mains that refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import h5py
import numpy as np

from usidx.errors import LayoutError, UsidError
from usidx.format import names
from usidx.format.layout import Array, Layout, Role, Side, parse_counters, parse_labels
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.chunks.plugins import describe_missing_filters, lies_elsewhere
from usidx.io.read.place.identity import Identity, identify_id
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.usid.attributes import has_attribute, identity_referred_to, read_attribute, read_json
from usidx.io.read.usid.paths import Paths, Where, say_where
from usidx.label.coding import Frame, decode

__all__ = ["Header", "Table", "Tables", "check_stored", "read_required_attribute"]

# Matrices above this size must be stored, compressed no more than any filter compresses counters.
_FREELY_READ = 256 * 1024 * 1024
_MOST_COMPRESSED = 5000
# Larger sides are not held a second time to compare them with others.
_FREELY_COMPARED = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What can be checked of a main dataset without reading a matrix.

    Attributes
    ----------
    tables : dict
        The four tables by the attributes that refer to them.
    quantity, units : str
        What is measured, and its unit, as found.
    """

    tables: Mapping[str, Table]
    quantity: str
    units: str


@dataclass(slots=True)
class Tables:
    """What was read of the main datasets of an open file and their tables.

    Attributes
    ----------
    paths : Paths
        Paths of the objects of the file.
    tables : dict
        Each table by its identity.
    headers : dict
        What was found of each main dataset by its identity.
    mains : dict
        Each dataset that claims to be a main dataset, open, by its path.
    sides : dict
        Each side of a main dataset by the identities of its two tables, and what else it depends on.
    alike : dict
        Each small side by what it holds: mains whose tables are equal share one.
    frames : dict
        What mains that share both sides are labelled with.
    is_partial : bool
        Whether tables may be longer or shorter than their main: what all of them have is taken.
    """

    paths: Paths = field(default_factory=Paths)
    tables: dict[Identity, Table] = field(default_factory=dict)
    headers: dict[Identity, Header] = field(default_factory=dict)
    mains: dict[str, h5py.Dataset] = field(default_factory=dict)
    sides: dict[tuple[Role, Identity, Identity, bool], Side] = field(default_factory=dict)
    alike: dict[tuple[Any, ...], Side] = field(default_factory=dict)
    frames: dict[tuple[int, int, str, bool], Frame] = field(default_factory=dict)
    is_partial: bool = False

    def of(self, dataset: h5py.h5d.DatasetID) -> Table:
        """Return the table that a dataset is."""
        identity = identify_id(dataset)
        if identity not in self.tables:
            self.tables[identity] = Table(h5py.Dataset(dataset, readonly=True), identity, self.paths)
        return self.tables[identity]

    def shared(self, side: Side) -> Side:
        """Return the side met before that holds the same, else the one given, which from now on is shared."""
        if side.indices.nbytes + side.values.nbytes > _FREELY_COMPARED:
            return side
        numbers = (side.indices.tobytes(), side.values.shape, side.values.dtype.str, side.values.tobytes())
        said = (side.role, side.labels, side.units, side.types, side.slowest_first, repr(side.hints))
        return self.alike.setdefault((*said, *numbers), side)

    def frame_of(self, layout: Layout, *, squeeze: bool) -> Frame:
        """Return the frame of a layout whose sides are held here. Its coordinates are shared, so copy them.

        Raises
        ------
        GridError
            A side has no rows.
        """
        key = (
            id(layout.position),
            id(layout.spectroscopic),
            repr((layout.hints.get("dims"), layout.hints.get("beside"))),
            squeeze,
        )
        self.frames[key] = decode(layout, squeeze=squeeze, alike=self.frames.get(key))
        return self.frames[key]

    def referred_to(self, holder: h5py.Dataset, attribute: str) -> Table | None:
        """Return the table that an attribute refers to, None where neither it nor its path is known."""
        try:
            identity = identity_referred_to(holder, attribute)
            if identity is None or identity in self.tables:
                return None if identity is None else self.tables[identity]
            path = self.paths.known.get(identity)
            return None if path is None else self.of(h5py.h5d.open(holder.id, path.encode()))
        except DAMAGE:
            return None


class Table:
    """An ancillary dataset; what is asked for once is kept.

    Parameters
    ----------
    dataset : h5py.Dataset
        The dataset, open.
    identity : (int, int)
        What tells it from others.
    paths : Paths
        Paths of the objects of the file.
    """

    def __init__(self, dataset: h5py.Dataset, identity: Identity, paths: Paths) -> None:
        self.dataset, self.identity, self._paths = dataset, identity, paths
        self.shape: tuple[int, ...] = () if dataset.shape is None else dataset.shape
        self._attributes: dict[str, Any] = {}
        self._strings: dict[tuple[str, int], tuple[str, ...] | None] = {}

    @property
    def where(self) -> Where:
        """What a message calls it."""
        return say_where(self.dataset, self._paths)

    @property
    def path(self) -> str | None:
        """Where it lies in the file, None where no path leads to it."""
        return self._paths.of(self.dataset)

    def has(self, attribute: str) -> bool:
        """Say whether it has one of the attributes of tables."""
        return self._read_attribute(attribute) is not _MISSING

    def read_strings(self, attribute: str, count: int) -> tuple[str, ...] | None:
        """Return the texts in an attribute, one per dimension, None where it is missing.

        Raises
        ------
        LayoutError
            They are no texts, or another number of them.
        """
        if (attribute, count) not in self._strings:
            found = self._read_attribute(attribute)
            parsed = None if found is _MISSING else parse_labels(found, count, self.where, attribute)
            self._strings[attribute, count] = parsed
        return self._strings[attribute, count]

    def read_types(self, count: int) -> tuple[int, ...]:
        """Return the kind of each dimension where the table tells it, else nothing."""
        found = self._read_attribute(names.DIMENSION_TYPE)
        raw = np.asarray(() if found is _MISSING else found)
        return tuple(int(t) for t in raw.reshape(-1)) if raw.dtype.kind in "iu" and raw.size == count else ()

    @cached_property
    def hints(self) -> dict[str, Any]:
        """What an earlier write left for an exact round trip."""
        return read_json(self.dataset, names.COORDINATE_HINTS)

    @cached_property
    def matrix(self) -> Array:
        """Its numbers, as they lie in the file.

        Raises
        ------
        LayoutError
            It cannot be read, or claims to be far larger than what is stored.
        """
        is_plain = self._is_plain
        if not is_plain:
            check_stored(self.dataset)
        try:
            matrix = self._read_plain() if is_plain else read_part(self.dataset)
        except (OSError, RuntimeError, UsidError) as err:
            reason = describe_missing_filters(self.dataset) or f" It is damaged. ({err})"
            raise LayoutError(f"{self.where} cannot be read.{reason}") from err
        return matrix.astype(matrix.dtype.newbyteorder("="), copy=False)

    def _read_plain(self) -> Array:
        """Read all of it; h5py's own way makes four objects first."""
        dtype = self.dataset.dtype
        if dtype.kind not in "iuf" or not prod(self.shape):
            return np.asarray(self.dataset[()])
        matrix = np.empty(self.shape, dtype)
        self.dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, matrix)
        return matrix

    @property
    def _is_plain(self) -> bool:
        """Whether it is small and lies in the file as it is, which most tables do: then there is nothing to check."""
        creation = self.dataset.id.get_create_plist()
        is_here = creation.get_layout() in _UNFILTERED and not creation.get_external_count()
        return is_here and prod(self.shape) * self.dataset.dtype.itemsize <= _FREELY_READ

    def read_counters(self, role: Role) -> Array:
        """Return its numbers as counters, dims (row of the side, dimension).

        Raises
        ------
        LayoutError, GridError
            They are no whole numbers.
        """
        return parse_counters(self.matrix if role == "position" else self.matrix.T, self.where)

    def _read_attribute(self, name: str) -> Any:
        if name not in self._attributes:
            is_there = has_attribute(self.dataset, name)
            self._attributes[name] = read_required_attribute(self.dataset, name, self._paths) if is_there else _MISSING
        return self._attributes[name]


_MISSING = object()
_UNFILTERED = frozenset({h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS})


def read_required_attribute(object_: h5py.Dataset, name: str, paths: Paths | None = None) -> Any:
    """Return an attribute without which a dataset cannot be opened.

    Raises
    ------
    LayoutError
        It cannot be read.
    """
    try:
        return read_attribute(object_, name)
    except DAMAGE as err:
        raise LayoutError(f"{say_where(object_, paths)}: attribute {name!r} cannot be read ({err}).") from err


def check_stored(dataset: h5py.Dataset) -> None:
    """Refuse a matrix that claims to be far larger than what is stored can hold, before memory is taken for it.

    Raises
    ------
    LayoutError
        It does, or it is made of files that cannot be followed.
    UsidError
        It is made of files that nobody asked for.
    """
    if lies_elsewhere(dataset):
        raise LayoutError(f"{say_where(dataset)} is made of other files, which cannot be followed from a URL.")
    nbytes = dataset.nbytes
    if nbytes <= _FREELY_READ:
        return
    stored = dataset.id.get_storage_size()
    if nbytes > _MOST_COMPRESSED * stored:
        raise LayoutError(
            f"{say_where(dataset)} has the shape {dataset.shape}, {nbytes} bytes, but only {stored} bytes of it "
            f"are stored; it should hold a number for every position or step."
        )
