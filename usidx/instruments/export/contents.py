"""A file, or what of it is named -> Datasets by path, all lazy: mains, results, and groups with their attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import xarray as xr

from usidx.errors import NotMainError, ResultError, SelectionError, UsidError
from usidx.io.read.chunks.elsewhere import get_inside
from usidx.io.read.open import Chunks, open_dataset, open_tree
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import Place
from usidx.io.read.results import list_results, open_result
from usidx.io.read.usid.inventory import find_group, find_main

__all__ = ["Contents", "open_contents", "take_contents"]

_AS_RESULT = re.compile(r"[^/]-[^/]*_\d{3,}$")

_LARGEST_LOADED = 64 << 20


@dataclass(frozen=True, slots=True)
class Contents:
    """What is exported.

    Attributes
    ----------
    nodes : mapping of str to Dataset
        By path, which begins with a slash; groups stand before what they hold.
    alone : str or None
        Path of the only node, or of the only measurement, where there is one.
    is_part : bool
        Whether somebody named it: then nothing else is exported.
    """

    nodes: Mapping[str, xr.Dataset]
    alone: str | None
    is_part: bool

    @property
    def leaves(self) -> dict[str, xr.Dataset]:
        """Those of the nodes that hold data."""
        return {path: node for path, node in self.nodes.items() if node.data_vars}


def open_contents(place: Place, group: str | None, *, chunks: Chunks) -> Contents:
    """Open what is to be exported of a file.

    Parameters
    ----------
    place : place
        The file.
    group : str or None
        A main dataset, a results group, or a group with what lies below it; everything where it is None.
    chunks : mapping or None
        As in :func:`usidx.open_main`.

    Raises
    ------
    SelectionError
        The name matches nothing, or more than one thing; or there is nothing to export.
    """
    if group is None:
        nodes = _open_group(place, None, chunks)
        return Contents(nodes, _find_alone(place, nodes), is_part=False)
    path, is_group = _find_named(place, group)
    if not is_group:
        return _take_part(path, open_dataset(_as_path(place), path, chunks=chunks))
    result = _open_result(place, path, chunks) if _AS_RESULT.search(path) else None
    if result is not None:
        return _take_part(path, result)
    nodes = _open_group(place, path, chunks)
    leaves = [name for name, node in nodes.items() if node.data_vars]
    return Contents(nodes, leaves[0] if len(leaves) == 1 else None, is_part=True)


def take_contents(data: xr.DataArray | xr.Dataset | xr.DataTree) -> Contents:
    """Take what is in memory, or lazy, as what is to be exported."""
    if isinstance(data, xr.DataTree):
        nodes = {node.path: _spread_levels(node.to_dataset(inherit=False)) for node in data.subtree}
        leaves = [name for name, node in nodes.items() if node.data_vars]
        return Contents(nodes, leaves[0] if len(leaves) == 1 else None, is_part=False)
    if isinstance(data, xr.DataArray):
        name = "data" if data.name is None else str(data.name)
        # A coordinate of the array's own name would be taken for it.
        return _take_part(name, data.rename(f"{name}_" if name in data.coords else name).to_dataset())
    if isinstance(data, xr.Dataset):
        return _take_part("result", data)
    raise UsidError(f"A {type(data).__name__} cannot be exported; give a file, a DataArray, a Dataset or a DataTree.")


def _take_part(path: str, data: xr.Dataset) -> Contents:
    name = "/" + path.rstrip("/").rsplit("/", 1)[-1]
    return Contents({name: _spread_levels(data)}, name, is_part=True)


def _spread_levels(data: xr.Dataset) -> xr.Dataset:
    """Make the levels of stacked dims coordinates along them: no file has an index of several levels."""
    stacked = [dim for dim in data.dims if dim in data.indexes and data.indexes[dim].nlevels > 1]
    return data.reset_index(stacked) if stacked else data


def _as_path(place: Place) -> Any:
    """Pass a place where the path of a file is asked for, which takes either."""
    return place


def _find_named(place: Place, name: str) -> tuple[str, bool]:
    """Return the path of what is named, and whether that is a group."""
    with open_file_at(place) as file:
        exact = get_inside(file, name)
        if isinstance(exact, h5py.Group):
            return str(exact.name), True
        try:
            return str(find_main(file, name).name), False
        except (SelectionError, NotMainError) as err:
            try:
                return str(find_group(file, name).name), True
            except SelectionError:
                raise err from None


def _find_alone(place: Place, nodes: Mapping[str, xr.Dataset]) -> str | None:
    with open_file_at(place) as file:
        try:
            found = str(find_main(file, None).name)
        except SelectionError:
            return None
    return found if found in nodes else None


def _open_group(place: Place, group: str | None, chunks: Chunks) -> dict[str, xr.Dataset]:
    """Open a group and all below it; a result is one node, as :func:`usidx.open_result` opens it."""
    tree = open_tree(_as_path(place), group=group, chunks=chunks)
    nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    root = "" if group is None else group.rstrip("/")
    for path in list_results(_as_path(place)):
        relative = path[len(root) :] if path.startswith(root + "/") else None
        if relative is None or relative not in nodes:
            continue
        result = _open_result(place, path, chunks)
        if result is None:
            continue
        inside = [n for n in nodes if n.startswith(relative + "/") and not _AS_RESULT.search(n)]
        for name in (n for n in inside if not _lies_in_other_result(n, relative)):
            del nodes[name]
        nodes[relative] = result.assign_attrs({**nodes[relative].attrs, **result.attrs})
    return nodes


def _open_result(place: Place, path: str, chunks: Chunks) -> xr.Dataset | None:
    """Open a result; None where its datasets are to be taken as they lie in the file.

    That is where the group holds no result in spite of its name, and where it is opened without dask and is large: what
    is computed of it would be held in memory.
    """
    try:
        if chunks is None and open_result(_as_path(place), path).nbytes > _LARGEST_LOADED:
            return None
        return open_result(_as_path(place), path, chunks=chunks)
    except ResultError:
        return None


def _lies_in_other_result(path: str, result: str) -> bool:
    """Whether a result of this result holds it."""
    return any(_AS_RESULT.search(part) for part in path[len(result) + 1 :].split("/")[:-1])
