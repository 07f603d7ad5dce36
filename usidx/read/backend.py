"""The engine ``usid`` of ``xr.open_dataset`` and ``xr.open_datatree``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar

import h5py
import xarray as xr
from xarray.backends import BackendEntrypoint

from usidx.errors import UsidError, UsidWarning
from usidx.read.datasets import group_dataset, main_dataset
from usidx.read.main import Cache
from usidx.read.tree import find_group, find_main, inventory, opened_file

__all__ = ["UsidBackend"]

_EXTENSIONS = {".h5", ".hdf5", ".hf5", ".usid"}


class UsidBackend(BackendEntrypoint):
    """Open USID HDF5 files with xarray."""

    description: ClassVar[str] = "Open microscopy data in USID HDF5 files (.h5, .hdf5)"
    url: ClassVar[str] = "https://pycroscopy.github.io/USID/"
    supports_groups: ClassVar[bool] = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables", "group", "squeeze")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
    ) -> xr.Dataset:
        """Open one main dataset (or the attributes and extra datasets of one group) lazily."""
        with opened_file(filename_or_obj) as file:
            if group is not None and _is_group(file, group):
                held = find_group(file, group)
                inside = [p for p in inventory(file).extras if _parent(p) == held.name]
                data = group_dataset(held, inside)
            else:
                data = main_dataset(find_main(file, group), squeeze=squeeze)
            return _without(data, drop_variables)

    def open_groups_as_dict(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
    ) -> dict[str, xr.Dataset]:
        """Open every group and main dataset below `group` as one Dataset each, by path."""
        with opened_file(filename_or_obj) as file:
            root = "/" if group is None else str(find_group(file, group).name)
            found = inventory(file)
            cache: Cache = {}
            nodes: dict[str, xr.Dataset] = {}
            for path in found.groups:
                if _is_below(path, root):
                    extras = [p for p in found.extras if _parent(p) == path]
                    nodes[_relative(path, root)] = _without(group_dataset(file[path], extras), drop_variables)
            for path in found.mains:
                if _is_below(path, root):
                    leaf = _leaf(file, path, nodes, squeeze=squeeze, cache=cache)
                    if leaf is not None:
                        nodes[_relative(path, root)] = _without(leaf, drop_variables)
            for path in found.broken:
                if _is_below(path, root):
                    _warn_of_broken(path, file)
            return nodes

    def open_datatree(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        squeeze: bool = True,
    ) -> xr.DataTree:
        """Open a file as a tree: a leaf per main dataset at its own path, a node per group."""
        nodes = self.open_groups_as_dict(filename_or_obj, drop_variables=drop_variables, group=group, squeeze=squeeze)
        return xr.DataTree.from_dict(nodes)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Say whether this is a local HDF5 file with at least one main dataset."""
        if not isinstance(filename_or_obj, str | PathLike):
            return False
        path = Path(fspath(filename_or_obj))
        if path.suffix.lower() not in _EXTENSIONS or not path.is_file():
            return False
        try:
            with opened_file(path) as file:
                return bool(inventory(file).mains)
        except (OSError, UsidError):
            return False


def _is_group(file: h5py.File, name: str) -> bool:
    try:
        return isinstance(file.get(name), h5py.Group)
    except (OSError, KeyError, RuntimeError, ValueError):
        return False


def _leaf(
    file: h5py.File, path: str, nodes: dict[str, xr.Dataset], *, squeeze: bool, cache: Cache
) -> xr.Dataset | None:
    """Open one main dataset of a tree; one that breaks a rule must not hide the others."""
    try:
        return main_dataset(file[path], squeeze=squeeze, cache=cache)
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


def _parent(path: str) -> str:
    return path.rsplit("/", 1)[0] or "/"


def _is_below(path: str, root: str) -> bool:
    return root == "/" or path == root or path.startswith(root + "/")


def _relative(path: str, root: str) -> str:
    return path if root == "/" else "/" + path[len(root) :].strip("/")


def _without(data: xr.Dataset, names: str | Iterable[str] | None) -> xr.Dataset:
    if names is None:
        return data
    return data.drop_vars([names] if isinstance(names, str) else list(names), errors="ignore")
