"""A result -> what it is: the graph that makes it or the numbers it holds, never the text of its history.

Two results are the same where everything that decides their values is known and equal: the graph with the bodies of
the functions in it and the arrays that it holds, or the bytes in memory; names, dims, coordinates, attributes; the
steps; and, looked at by who writes, the bytes of every source (see decision 9).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np
import xarray as xr

from usidx.results.arguments import as_json, digest_coordinate, digest_labelled, is_lazy
from usidx.results.digests import digest, digest_parts
from usidx.results.provenance import PROVENANCE, Step, read_steps, remove_seals
from usidx.tasks.evidence import (
    Operation,
    UnprovenError,
    collect_evidence,
    collect_layers,
    find_opened,
    find_operations,
    selects_of,
    takes_all_cells,
)

__all__ = [
    "OPENED",
    "Identity",
    "StoredSource",
    "describe_changes",
    "find_place_of_opened",
    "find_sources",
    "identify",
    "note_made",
]

#: Results in memory above this size are not looked at again to see whether they were changed: that is not known then.
_MOST_LOOKED_AT: Final = 2**24
#: How many results are remembered as a verb returned them.
_MOST_REMEMBERED: Final = 2**16
#: How the layers are called that usidx's own opening makes.
OPENED: Final = "usid-"


#: File and group that a result was opened from.
Opened = tuple[str, str]


class StoredSource(Protocol):
    """A stored array that a graph reads."""

    @property
    def file(self) -> Any:
        """Where its file is."""

    @property
    def dataset(self) -> str:
        """Its path in the file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a result is, but for the bytes of the files that it is read from.

    Attributes
    ----------
    digest : str
        Of all else that decides its values.
    sources : tuple of StoredSource
        What its graph reads, each dataset once.
    is_direct : bool
        Whether it reads them as they were opened: no cells were selected, and no block was kept in memory.
    """

    digest: str
    sources: tuple[StoredSource, ...]
    is_direct: bool


def identify(result: xr.Dataset, recorded: list[Step], title: str) -> Identity:
    """Return what a result is that is to be written under a title; nothing is computed.

    Raises
    ------
    UnprovenError
        It cannot be proven: the graph was named by hand, holds functions that nobody can look into, or what a cluster
        computed before.
    """
    evidence = collect_evidence(_layers_of(result))
    functions = sorted({digest(function) for function in evidence.functions.values()})
    held = sorted(f"{name} {digest(array)}" for name, array in evidence.held.items())
    told = json.dumps(remove_seals(recorded))
    is_kept = any(OPENED in key.partition(",")[0] for key in evidence.held)
    is_direct = not is_kept and not any(selects_of(v.data, _is_opened) for v in _list_lazy_variables(result))
    return Identity(
        digest_parts(title, told, digest_labelled(result), *functions, *held),
        tuple(_keep_distinct(evidence.opened)),
        is_direct,
    )


def find_sources(data: xr.DataArray | xr.Dataset) -> tuple[StoredSource, ...]:
    """Return the stored arrays that a lazy object reads, each dataset once; none where it lies in memory."""
    try:
        return tuple(_keep_distinct(find_opened(_layers_of(data))))
    except UnprovenError:
        return ()  # of what a cluster holds nobody knows where it is from


def _layers_of(data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    return collect_layers(v.data for v in _list_lazy_variables(data))


def _keep_distinct(opened: dict[str, Any]) -> list[StoredSource]:
    by_place = {(str(s.file), s.dataset): s for s in opened.values() if hasattr(s, "file") and hasattr(s, "dataset")}
    return list(by_place.values())


class _Remembered:
    """What verbs returned and what was opened, by digest, and the names of their lazy arrays; the oldest are let go."""

    def __init__(self) -> None:
        self._digests: dict[str, Opened | None] = {}
        self._lock = Lock()

    def add(self, *digests: str, opened: Opened | None = None) -> None:
        with self._lock:
            self._digests |= dict.fromkeys(digests, opened)
            while len(self._digests) > _MOST_REMEMBERED:
                del self._digests[next(iter(self._digests))]

    def __contains__(self, one: str) -> bool:
        return one in self._digests

    def find_place(self, one: str) -> Opened | None:
        return self._digests.get(one)


_remembered = _Remembered()


def note_made(data: xr.DataArray | xr.Dataset, opened: Opened | None = None) -> None:
    """Remember an object as a verb made it, or as it was opened from a group of a file."""
    if (found := _digest_or_none(data)) is not None:
        _remembered.add(*(f"name {v.data.name}" for v in _list_lazy_variables(data)))
        _remembered.add(found, opened=opened)


def find_place_of_opened(data: xr.DataArray | xr.Dataset) -> Opened | None:
    """Return (file, group) that an object was opened from, None where anything was done to it since."""
    found = _digest_or_none(data)
    return None if found is None else _remembered.find_place(found)


def describe_changes(data: xr.DataArray | xr.Dataset) -> Any:
    """Say what plain xarray did to an object since its last recorded step: "nothing", what can be told, or "unknown".

    Told are selections, with the digests of the coordinates that are left, and what was done to each cell: arithmetic
    with numbers, parts of complex numbers, changes of type.
    """
    if not read_steps(data):
        return "unknown"
    if (found := _digest_or_none(data)) is not None and found in _remembered:
        return "nothing"
    lazy = _list_lazy_variables(data)
    values = [data] if isinstance(data, xr.DataArray) else list(data.data_vars.values())
    if not lazy or any(v.chunks is None for v in values):
        return "unknown"
    operations = _find_operations(lazy, values)
    if operations is None:
        return "unknown"
    is_whole = {"whole": True} if all(takes_all_cells(v.data, _is_known) for v in lazy) else {}
    return _describe_selection(data) | _describe_operations(operations) | is_whole


def _find_operations(lazy: list[xr.Variable], values: list[xr.DataArray]) -> list[Operation] | None:
    """Return what was done to all values alike; None where that is not known, or anything was done to a coordinate."""
    found = [find_operations(v.data, _is_known) for v in lazy]
    if any(one is None for one in found):
        return None
    of_names = {str(v.data.name): one for v, one in zip(lazy, found, strict=True)}
    of_values = [of_names.pop(name) for name in {str(v.data.name) for v in values}]
    is_alike = all(repr(one) == repr(of_values[0]) for one in of_values)
    return of_values[0] if is_alike and not any(of_names.values()) else None


def _describe_selection(data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    borne = [dim for dim in data.dims if dim in data.coords and data.coords[dim].dims == (dim,)]
    at = {
        str(name): as_json(c.values.item()) for name, c in data.coords.items() if not c.dims and c.dtype.kind in "biufU"
    }
    return {
        "selection": {str(dim): _describe_extent(data, str(dim)) for dim in data.dims},
        "coordinates": {str(dim): digest_coordinate(data.coords[dim].values) for dim in borne},
        **({"at": at} if at else {}),
    }


def _describe_operations(operations: list[Operation]) -> dict[str, Any]:
    told = [_describe_operation(one) for one in operations]
    return {"operations": told} if told else {}


def _describe_operation(one: Operation) -> dict[str, Any]:
    if one.name == "astype":
        return {"operation": one.name, "dtype": one.number}
    if one.number is None:
        return {"operation": one.name}
    dtype = {"dtype": str(one.number.dtype)} if isinstance(one.number, np.generic) else {}
    return {"operation": one.name, "number": as_json(one.number), "number_first": one.is_number_first, **dtype}


def _is_known(layer: str) -> bool:
    """Say whether usidx's own opening, or a verb, made a layer."""
    return _is_opened(layer) or f"name {layer}" in _remembered


def _is_opened(layer: str) -> bool:
    return layer.startswith(OPENED)


def _describe_extent(data: xr.DataArray | xr.Dataset, dim: str) -> dict[str, Any]:
    extent: dict[str, Any] = {"size": int(data.sizes[dim])}
    if dim in data.coords and data.coords[dim].dims == (dim,) and data.sizes[dim]:
        values = data.coords[dim].values
        extent |= {"first": as_json(values[0]), "last": as_json(values[-1])}
    return extent


def _list_lazy_variables(data: xr.DataArray | xr.Dataset) -> list[xr.Variable]:
    held = data._to_temp_dataset() if isinstance(data, xr.DataArray) else data
    return [v for v in held.variables.values() if is_lazy(v)]


def _digest_or_none(data: xr.DataArray | xr.Dataset) -> str | None:
    """Return the digest of what an object is; None where that would take long, or cannot be told."""
    held = data._to_temp_dataset() if isinstance(data, xr.DataArray) else data
    here = [v for v in held.variables.values() if not is_lazy(v)]
    # What is still in its file would have to be read.
    if not all(v._in_memory for v in here) or sum(v.nbytes for v in here) > _MOST_LOOKED_AT:
        return None
    try:
        # With its steps, for a verb may return what it was given as it is.
        return digest_parts(digest_labelled(data), str(data.attrs.get(PROVENANCE, "")))
    except UnprovenError:
        return None
