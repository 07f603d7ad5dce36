"""The engine ``usid`` of ``xr.open_dataset`` and ``xr.open_datatree``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import h5py
import xarray as xr
from xarray.backends import BackendEntrypoint

from usidx.errors import UsidError, UsidWarning
from usidx.escapes import escape_controls
from usidx.io.read.chunks.elsewhere import get_inside
from usidx.io.read.place.opened import Origin, open_file_at, open_place
from usidx.io.read.place.place import Options, Place, find_place
from usidx.io.read.place.remote import RemoteFile
from usidx.io.read.tree import build_tree
from usidx.io.read.usid.datasets import open_group_dataset, open_main_dataset
from usidx.io.read.usid.inventory import find_group, find_main, list_extras, take_inventory, warn_of_damage
from usidx.io.read.usid.scales import separate_dims
from usidx.io.read.usid.tables import Tables

__all__ = ["UsidBackend", "open_main_node", "open_node", "open_nodes"]

_EXTENSIONS = {".h5", ".hdf5", ".hf5", ".usid"}


class UsidBackend(BackendEntrypoint):
    """Open USID HDF5 files with xarray."""

    description: ClassVar[str] = "Open microscopy data in USID HDF5 files (.h5, .hdf5)"
    url: ClassVar[str] = "https://pycroscopy.github.io/USID/"
    supports_groups: ClassVar[bool] = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        *("filename_or_obj", "drop_variables", "group", "squeeze", "storage_options", "external"),
    )

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
        storage_options: Options = None,
        external: bool = False,
    ) -> xr.Dataset:
        """Open one main dataset (or the attributes and extra datasets of one group) lazily."""
        return _drop_names(
            open_node(find_place(filename_or_obj, storage_options, external=external), group, squeeze=squeeze),
            drop_variables,
        )

    def open_groups_as_dict(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
        storage_options: Options = None,
        external: bool = False,
    ) -> dict[str, xr.Dataset]:
        """Open every group and main dataset below `group` as one Dataset each, by path."""
        nodes = open_nodes(find_place(filename_or_obj, storage_options, external=external), group, squeeze=squeeze)
        return {name: _drop_names(node, drop_variables) for name, node in nodes.items()}

    def open_datatree(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
        storage_options: Options = None,
        external: bool = False,
    ) -> xr.DataTree:
        """Open a file as a tree: a leaf per main dataset at its own path, a node per group."""
        nodes = self.open_groups_as_dict(
            filename_or_obj,
            drop_variables=drop_variables,
            group=group,
            squeeze=squeeze,
            storage_options=storage_options,
            external=external,
        )
        return build_tree(nodes)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Say whether this is a local HDF5 file with at least one main dataset."""
        if not isinstance(filename_or_obj, str | PathLike):
            return False
        place = find_place(filename_or_obj)
        if isinstance(place, RemoteFile):
            return False  # finding out takes requests; engine="usid" says it
        path = Path(place.name)
        if path.suffix.lower() not in _EXTENSIONS or not path.is_file():
            return False
        try:
            with open_file_at(path) as file:
                return bool(take_inventory(file).mains)
        except (OSError, UsidError):
            return False


def open_node(place: Place, name: str | None, *, squeeze: bool, partial: bool = False) -> xr.Dataset:
    """Open one main dataset (or the attributes and extra datasets of one group) lazily."""
    with open_place(place) as (file, origin):
        if name is None or not _is_group(file, name):
            main, tables = find_main(file, name, partial=partial), Tables(is_partial=partial)
            return _set_origin(open_main_dataset(main, origin, squeeze=squeeze, tables=tables), origin)
        held = find_group(file, name)
        return _set_origin(open_group_dataset(held, list_extras(held), origin), origin)


def open_main_node(place: Place, main: str | None, *, squeeze: bool, partial: bool) -> tuple[Place, str, xr.Dataset]:
    """Open one main dataset lazily; before it the file that holds it, to which a link may have led, and its path."""
    with open_place(place) as (file, origin):
        found = find_main(file, main, partial=partial)
        holder, path = place.find_place_of(found), str(found.name)
        if holder == place:
            opened = open_main_dataset(found, origin, squeeze=squeeze, tables=Tables(is_partial=partial))
            return place, path, _set_origin(opened, origin)
    return holder, path, open_node(holder, path, squeeze=squeeze, partial=partial)


def open_nodes(place: Place, group: str | None, *, squeeze: bool) -> dict[str, xr.Dataset]:
    """Open every group and main dataset below `group` as one Dataset each, by path."""
    with open_place(place) as (file, origin):
        root = "/" if group is None else str(find_group(file, group).name)
        tables = Tables()
        found = take_inventory(file, tables)
        extras: dict[str, list[str]] = {}
        for path in found.extras:
            extras.setdefault(_find_parent(path), []).append(path)
        nodes: dict[str, xr.Dataset] = {}
        for path in found.groups:
            if _is_below(path, root):
                nodes[_make_relative(path, root)] = open_group_dataset(
                    file[path], extras.get(path, []), origin, tables.paths
                )
        groups = dict(nodes)
        for path in found.mains:
            if _is_below(path, root):
                leaf = _open_leaf(tables.mains[path], origin, squeeze=squeeze, tables=tables)
                if leaf is not None:
                    nodes[_make_relative(path, root)] = leaf
        warn_of_damage(found, file)
        for path in found.broken:
            if _is_below(path, root):
                _warn_of_broken(path, file)
        nodes |= separate_dims(nodes, groups)
        return {name: _set_origin(node, origin) for name, node in nodes.items()}


def _is_group(file: h5py.File, name: str) -> bool:
    return isinstance(get_inside(file, name), h5py.Group)


def _set_origin(data: xr.Dataset, origin: Origin) -> xr.Dataset:
    """Say where it comes from before xarray notes the URL with its secrets."""
    if isinstance(origin.place, RemoteFile):
        data.encoding["source"] = origin.place.name
    return data


def _open_leaf(dataset: h5py.Dataset, origin: Origin, *, squeeze: bool, tables: Tables) -> xr.Dataset | None:
    """Open one main dataset of a tree; one that breaks a rule must not hide the others."""
    try:
        return open_main_dataset(dataset, origin, squeeze=squeeze, tables=tables)
    except UsidError as err:
        warnings.warn(f"left out of the tree: {err}", UsidWarning, stacklevel=4)
        return None


def _warn_of_broken(path: str, file: h5py.File) -> None:
    warnings.warn(
        f"{path!r} in {file.filename!r} claims to be a main dataset but breaks a rule of the format; it is kept as a "
        f"plain dataset of its group. usidx.validate(path) says which rule.",
        UsidWarning,
        stacklevel=4,
    )


def _find_parent(path: str) -> str:
    return path.rsplit("/", 1)[0] or "/"


def _is_below(path: str, root: str) -> bool:
    return root == "/" or path == root or path.startswith(root + "/")


def _make_relative(path: str, root: str) -> str:
    return escape_controls(path if root == "/" else "/" + path[len(root) :].strip("/"))


def _drop_names(data: xr.Dataset, names: str | Iterable[str] | None) -> xr.Dataset:
    if names is None:
        return data
    return data.drop_vars([names] if isinstance(names, str) else list(names), errors="ignore")
