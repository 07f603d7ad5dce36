"""HDF5's dimension scales -> the names of the dims of datasets that are no mains, as in files of NSID and netCDF."""

from __future__ import annotations

from collections.abc import Mapping

import h5py
import numpy as np
import xarray as xr

from usidx.escapes import escape_controls
from usidx.format.layout import decode_text
from usidx.io.read.place.identity import Identity, identify_object
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.usid.attributes import has_attribute, read_attribute, read_text_attribute

__all__ = ["name_dims", "name_size_dims", "separate_dims"]

_SCALE = "DIMENSION_SCALE"


def name_dims(dataset: h5py.Dataset, taken: Mapping[str, str], sizes: dict[str, int]) -> tuple[str, ...]:
    """Name the dims of a dataset after its scales, if each axis has one of its own; else after their sizes.

    Parameters
    ----------
    dataset : h5py.Dataset
        No main.
    taken : mapping
        The datasets of its group: name to path. No dim is called as one of them, but for its own scale.
    sizes : dict
        The dims of the group so far, which is added to.
    """
    scales = _find_scales(dataset)
    names = tuple(escape_controls(str(one.name).rsplit("/", 1)[-1]) for one in scales or ())
    fits = len(set(names)) == len(dataset.shape) > 0 and all(
        sizes.get(name, size) == size and _is_own(scale, name, taken)
        for name, size, scale in zip(names, dataset.shape, scales or (), strict=True)
    )
    found = names if fits else name_size_dims(dataset.shape, taken)
    sizes.update(zip(found, dataset.shape, strict=True))
    return found


def _is_own(scale: h5py.Dataset, name: str, taken: Mapping[str, str]) -> bool:
    """Say whether a dataset of that name in the group, if there is one, is the scale itself."""
    path = taken.get(name)
    return path is None or _identify(scale.file.get(path)) == _identify(scale)


def _identify(object_: object) -> Identity | None:
    return identify_object(object_) if isinstance(object_, h5py.Dataset) else None


def _find_scales(dataset: h5py.Dataset) -> list[h5py.Dataset] | None:
    """Return the scale of each axis, None where an axis has none, or several, or one that does not fit."""
    if _is_scale(dataset) and len(dataset.shape) == 1:
        return [dataset]
    try:
        listed = read_attribute(dataset, "DIMENSION_LIST") if has_attribute(dataset, "DIMENSION_LIST") else ()
        if len(listed) != len(dataset.shape):
            return None
        scales = [dataset.file[one[0]] if len(one) == 1 else None for one in map(np.atleast_1d, listed)]
    except (*DAMAGE, TypeError):
        return None
    found = [one for one in scales if isinstance(one, h5py.Dataset) and one.name and _is_scale(one)]
    shapes = [one.shape for one in found]
    return found if shapes == [(size,) for size in dataset.shape] else None


def _is_scale(dataset: h5py.Dataset) -> bool:
    return decode_text(read_text_attribute(dataset, "CLASS")) == _SCALE


def name_size_dims(shape: tuple[int, ...], taken: Mapping[str, str] | frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Name dims after their sizes, but never as one of the names that are taken."""
    names: list[str] = []
    for size in shape:
        name = f"size_{size}"
        while name in names or name in taken:
            name += "_again"
        names.append(name)
    return tuple(names)


def separate_dims(nodes: Mapping[str, xr.Dataset], groups: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Rename scaled dims of groups where a node above or below has one of the same name: a tree takes both for one.

    Parameters
    ----------
    nodes : mapping
        All nodes of a tree by path.
    groups : mapping
        Those that are groups.

    Returns
    -------
    dict
        The groups that had to change.
    """
    scaled = {dim for held in groups.values() for dim in held.dims if not str(dim).startswith("size_")}
    holders = {path: scaled.intersection(held.dims) for path, held in nodes.items()} if scaled else {}
    meeting: dict[str, set[object]] = {}
    for path, dims in holders.items():
        for above in _list_above(path) if dims else ():
            shared = dims & holders.get(above, set())
            for one in (path, above) if shared else ():
                meeting.setdefault(one, set()).update(shared)
    return {path: _name_by_size(groups[path], dims) for path, dims in meeting.items() if path in groups}


def _list_above(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return ["/", *("/" + "/".join(parts[:n]) for n in range(1, len(parts)))] if path != "/" else []


def _name_by_size(held: xr.Dataset, dims: set[object]) -> xr.Dataset:
    kept = frozenset(map(str, {*held.variables, *held.dims} - dims))
    ordered = [str(dim) for dim in held.dims if dim in dims]
    names = dict(zip(ordered, name_size_dims(tuple(held.sizes[dim] for dim in ordered), kept), strict=True))
    return xr.Dataset({name: _rename(one, names) for name, one in held.variables.items()}, attrs=held.attrs)


def _rename(variable: xr.Variable, names: Mapping[str, str]) -> xr.Variable:
    renamed = variable.to_base_variable()
    renamed.dims = tuple(names.get(str(dim), dim) for dim in variable.dims)
    chunks = renamed.encoding.get("preferred_chunks", {})
    renamed.encoding = {**renamed.encoding, "preferred_chunks": {names.get(d, d): n for d, n in chunks.items()}}
    return renamed
