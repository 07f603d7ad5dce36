"""A tree of labelled arrays -> which groups, main datasets and plain datasets it becomes; no file is touched.

Paths in a plan begin with the name of a group at the root of the file, which the file may change: a measurement of
that number may be there already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import RoleError, UsidError
from usidx.format import names
from usidx.format.layout import Array
from usidx.io.read.usid.datasets import FIELD
from usidx.io.write.main import make_safe_name
from usidx.io.write.same import stream
from usidx.label.roles import ROLE, find_role
from usidx.results.provenance import find_source

__all__ = ["NEW_MEASUREMENT", "Plan", "PlannedMain", "plan_tree"]

Parts = tuple[str, ...]

#: Stands in a plan for a measurement whose number the file decides.
NEW_MEASUREMENT = ""
_MEASUREMENT = re.compile(rf"{names.MEASUREMENT}_\d+")
_CHANNEL = re.compile(rf"{names.CHANNEL}_\d+")
# Dims that datasets without labels get when a file is opened: their size is all that is known.
_SIZE_ONLY = re.compile(r"size_\d+(_again)*")


@dataclass(frozen=True, slots=True, eq=False)
class PlannedMain:
    """A main dataset to be.

    Attributes
    ----------
    node : str
        Path in the tree.
    group : tuple of str
        Where it goes.
    name : str
        Of the dataset.
    array : DataArray
        As lazy as the tree; a structured dtype for several fields.
    """

    node: str
    group: Parts
    name: str
    array: xr.DataArray


@dataclass(slots=True, eq=False)
class Plan:
    """What a tree becomes.

    Attributes
    ----------
    groups : dict
        Attributes of each group by its path; those above come first.
    mains : list of PlannedMain
        In the order of the tree.
    extras : list of (group, name, DataArray)
        Arrays without roles, which become plain datasets.
    """

    groups: dict[Parts, dict[str, Any]] = field(default_factory=dict)
    mains: list[PlannedMain] = field(default_factory=list)
    extras: list[tuple[Parts, str, xr.DataArray]] = field(default_factory=list)

    def add_group(self, parts: Parts, attrs: Mapping[str, Any]) -> None:
        """Add a group and those above it, or attributes to one that is there."""
        for depth in range(len(parts) + 1):
            self.groups.setdefault(parts[:depth], {})
        self.groups[parts].update({str(k): v for k, v in attrs.items()})

    def list_tops(self) -> dict[str, bool]:
        """Return the groups at the root, and whether a main dataset lies below each."""
        measured = {main.group[:1] for main in self.mains}
        return {parts[0]: parts in measured for parts in self.groups if len(parts) == 1}


def plan_tree(tree: xr.DataTree) -> Plan:
    """Decide what a tree becomes.

    A tree whose main arrays lie below ``Measurement_NNN``, or where their file had them, keeps its paths. One whose
    arrays lie below ``Channel_NNN`` is one measurement. Of any other each node with data becomes a channel.

    Raises
    ------
    RoleError
        A leaf has data, but no array whose dims have roles; the message names it.
    UsidError
        There is no main array at all.
    """
    nodes = [_Node.of(node) for node in tree.subtree]
    bearing = [node for node in nodes if node.mains]
    if not bearing:
        raise UsidError(
            f"The tree {tree.name!r} has no array whose dims have roles, so there is nothing to measure in it. Mark "
            f"the dims of its leaves: dataset.usid.set_roles(position=[...], spectroscopic=[...])."
        )
    if all(_MEASUREMENT.fullmatch(node.top) or node.is_where_it_was for node in bearing):
        return _plan_as_it_was(nodes, ())
    if all(_CHANNEL.fullmatch(node.top) for node in bearing):
        return _plan_as_it_was(nodes, (NEW_MEASUREMENT,))
    return _plan_numbered(nodes)


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """A node of the tree, its variables sorted."""

    path: str
    data: xr.Dataset
    mains: dict[str, xr.DataArray]
    extras: dict[str, xr.DataArray]
    is_leaf: bool

    @classmethod
    def of(cls, node: xr.DataTree) -> _Node:
        data = node.to_dataset()
        arrays = {str(name): data[name] for name in data.data_vars}
        mains = {name: array for name, array in arrays.items() if _has_roles(array)}
        extras = {name: array for name, array in arrays.items() if name not in mains}
        unknown = [n for n, a in extras.items() if not all(_SIZE_ONLY.fullmatch(str(d)) for d in a.dims)]
        if unknown and not mains and not node.children:
            raise RoleError(
                f"Leaf {node.path!r} of the tree has no array whose dims have roles: {unknown[0]!r} has the dims "
                f"{extras[unknown[0]].dims}. Mark them with "
                f"dataset.usid.set_roles(position=[...], spectroscopic=[...])."
            )
        if mains and all(FIELD in array.attrs for array in mains.values()):
            name = node.path.rsplit("/", 1)[-1] or names.RAW_DATA
            mains = {name: _join_fields(mains, data.attrs, name)}
        return cls(node.path, data, mains, extras, not node.children)

    @property
    def parts(self) -> Parts:
        return tuple(part for part in self.path.split("/") if part)

    @property
    def top(self) -> str:
        return self.parts[0] if self.parts else ""

    @property
    def is_dataset(self) -> bool:
        """Whether the node stands for its one main dataset, and not for the group around it."""
        if len(self.mains) != 1 or not self.parts or not self.is_leaf:
            return False
        name, part = next(iter(self.mains)), self.parts[-1]
        return name == part or (name.startswith(part) and set(name[len(part) :]) == {"_"})  # beside a coordinate

    @property
    def is_where_it_was(self) -> bool:
        """Whether the one main was opened from a dataset at this very path."""
        source = find_source(next(iter(self.mains.values())))
        return self.is_dataset and source is not None and source[1] == self.path

    @property
    def attrs(self) -> dict[str, Any]:
        """What the group is told; the history of mains is with each of them, and fields share the node's."""
        if any(array.dtype.names for array in self.mains.values()):
            return {}
        aside = {names.PROVENANCE} if self.mains else set()
        return {str(k): v for k, v in self.data.attrs.items() if k not in aside}


def _has_roles(array: xr.DataArray) -> bool:
    """Say whether an array is a main one: a dim has a role, or of a single cell a scalar coordinate has one."""
    if not array.ndim:
        return any(ROLE in c.attrs for c in array.coords.values())
    return any(find_role(array, dim) is not None for dim in array.dims)


def _join_fields(fields: Mapping[str, xr.DataArray], attrs: Mapping[Any, Any], name: str) -> xr.DataArray:
    """Join the fields of a compound main dataset again, as lazy as they are."""
    first = next(iter(fields.values()))
    dtype = np.dtype([(str(v.attrs[FIELD]), v.dtype) for v in fields.values()])
    parts = [v.copy(data=stream(v)) for v in fields.values()]
    joined: xr.DataArray = xr.apply_ufunc(
        _join, *parts, kwargs={"dtype": dtype}, dask="parallelized", output_dtypes=[dtype], join="exact"
    )
    found = first.copy(data=joined.transpose(*first.dims).data).rename(name)
    found.attrs = dict(attrs)
    return found


def _join(*parts: Array, dtype: np.dtype[Any]) -> Array:
    whole = np.empty(np.shape(parts[0]), dtype)
    for title, part in zip(dtype.names or (), parts, strict=True):
        whole[title] = part
    return whole


def _plan_as_it_was(nodes: list[_Node], above: Parts) -> Plan:
    """Plan a tree that has the paths of a file, or of a measurement."""
    plan = Plan()
    for node in nodes:
        parts = above + node.parts
        if not node.is_dataset:
            plan.add_group(parts, node.attrs)
            _add_arrays(plan, node, parts)
            continue
        plan.add_group(parts[:-1], {})
        plan.extras += [(parts[:-1], name, extra) for name, extra in node.extras.items()]
        main = next(iter(node.mains.values()))
        told = main.assign_attrs({**node.attrs, **main.attrs})
        if names.PROVENANCE in plan.groups[parts[:-1]]:  # kept once, on the group
            told.attrs = {k: v for k, v in told.attrs.items() if k != names.PROVENANCE}
        plan.mains.append(PlannedMain(node.path, parts[:-1], parts[-1], told))
    return plan


def _plan_numbered(nodes: list[_Node]) -> Plan:
    """Plan any other tree: a channel for each node with data; what is told above it is told of the channel."""
    plan = Plan()
    told = {node.parts: node.attrs for node in nodes}
    plan.add_group((NEW_MEASUREMENT,), told[()] if not nodes[0].mains else {})
    number = 0
    for node in nodes:
        if not node.parts and not node.mains:
            _add_arrays(plan, node, (NEW_MEASUREMENT,))
        elif node.mains or node.extras:
            channel = (NEW_MEASUREMENT, f"{names.CHANNEL}_{number:03d}")
            number += 1
            plan.add_group(channel, dict(_find_told(node, told)))
            _add_arrays(plan, node, channel)
    return plan


def _find_told(node: _Node, told: Mapping[Parts, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for depth in range(1, len(node.parts)):
        yield from told[node.parts[:depth]].items()
    yield from node.attrs.items()
    if node.parts:
        yield names.NODE, node.path


def _add_arrays(plan: Plan, node: _Node, group: Parts) -> None:
    plan.extras += [(group, name, extra) for name, extra in node.extras.items()]
    plan.mains += [PlannedMain(node.path, group, make_safe_name(name), array) for name, array in node.mains.items()]
