"""What a user says of the dims of a tree -> their roles; what nobody says is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import xarray as xr

from usidx.errors import TranslationError
from usidx.label.roles import ROLE, SPECTROSCOPIC, find_role, set_roles

__all__ = ["UNNAMED", "assign_roles"]

#: What the dims are called that a file does not name.
UNNAMED: Final = "dim_{}"
_UNNAMED = re.compile(r"dim_\d+")

Names = tuple[str, ...]


def assign_roles(
    tree: xr.DataTree,
    position: Iterable[str] | str | None,
    spectroscopic: Iterable[str] | str | None,
    *,
    file: str,
    reader: str,
) -> xr.DataTree:
    """Give the dims of all arrays the roles that are asked for.

    Raises
    ------
    TranslationError
        No array has a dim of that name, one is named twice, or the role of a dim is not known.
    """
    where, swept = _as_names(position), _as_names(spectroscopic)
    twice = set(where) & set(swept)
    if twice:
        raise TranslationError(f"{sorted(twice)[0]!r} is named both as position and as spectroscopic", file=file)
    nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    leaves = {path: _name_dims(data, where + swept) for path, data in nodes.items() if data.data_vars}
    known = {str(dim) for data in leaves.values() for dim in data.dims}
    missing = [name for name in where + swept if name not in known]
    if missing:
        raise TranslationError(f"it has no dim {missing[0]!r}; the dims are {sorted(known)}", file=file, reader=reader)
    for path, data in leaves.items():
        nodes[path] = _mark(data, where, swept)
        _refuse_unknown(nodes[path], file, reader)
    return xr.DataTree.from_dict(nodes, name=tree.name)


def _as_names(names: Iterable[str] | str | None) -> Names:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def _name_dims(data: xr.Dataset, names: Names) -> xr.Dataset:
    """Name the dims of an array that has no names, in their order, where a name is given for each."""
    dims = list(data.dims)
    is_unnamed = all(_UNNAMED.fullmatch(str(dim)) for dim in dims)
    if not is_unnamed or len(names) != len(dims) or any(name in dims for name in names):
        return data
    renamed = data.rename(dict(zip(dims, names, strict=True)))
    for name in names:
        renamed[name].attrs["long_name"] = name
    return renamed


def _mark(data: xr.Dataset, where: Names, swept: Names) -> xr.Dataset:
    dims = [str(dim) for dim in data.dims]
    if not set(dims) & {*where, *swept}:
        return data
    marked = set_roles(
        data,
        position=[d for d in dims if d in where or (not where and d not in swept)],
        spectroscopic=[d for d in dims if d in swept or (not swept and d not in where)],
    )
    order = [d for d in dims if find_role(marked, d) != SPECTROSCOPIC]
    return marked.transpose(*order, *(d for d in dims if d not in order))


def _refuse_unknown(data: xr.Dataset, file: str, reader: str) -> None:
    unknown = [str(dim) for dim in data.dims if ROLE not in data[dim].attrs]
    if unknown:
        name, array = next(iter(data.data_vars.items()))
        raise TranslationError(
            f"it does not say which of the dims {tuple(map(str, array.dims))} of {name!r}, of {array.shape} entries, "
            "say where and which were swept. Name the dims in their order, as in position=['Y', 'X'], "
            "spectroscopic=['Energy'], or tell the roles of the names that they have",
            file=file,
            reader=reader,
        )
