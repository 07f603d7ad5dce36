"""Trees of files -> measurements: what lies on one grid belongs together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from usidx.label.roles import POSITION, ROLE

__all__ = ["Measurement", "collect_measurements"]


@dataclass(slots=True, eq=False)
class Measurement:
    """What becomes one measurement of a USID file.

    Attributes
    ----------
    grid : hashable
        The positions, or what was swept where there is one.
    has_positions : bool
        Whether there are any.
    attrs : dict
        What the file says.
    leaves : list of (path, Dataset)
        The channels.
    """

    grid: Hashable
    has_positions: bool
    attrs: dict[str, Any]
    leaves: list[tuple[str, xr.Dataset]] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """What the channels are called in their tree."""
        return {path for path, _ in self.leaves}


def collect_measurements(trees: Iterable[xr.DataTree]) -> list[Measurement]:
    """Sort the leaves of trees into measurements, in their order.

    Those of a tree that lie on the same grid are channels of one measurement. So are those of a further tree on that
    very grid if none of its channels has a name that is there: then they were measured, or made, beside each other.
    """
    found: list[Measurement] = []
    for tree in trees:
        for own in _divide(tree):
            beside = next((one for one in found if _belongs(own, one)), None)
            if beside is None:
                found.append(own)
            else:
                beside.leaves += [(path, leaf.assign_attrs({**own.attrs, **leaf.attrs})) for path, leaf in own.leaves]
    return found


def _belongs(one: Measurement, other: Measurement) -> bool:
    return one.has_positions and one.grid == other.grid and not one.names & other.names


def _divide(tree: xr.DataTree) -> Iterator[Measurement]:
    """Give the measurements of one file."""
    grids: dict[Hashable, Measurement] = {}
    for path, leaf in _list_leaves(tree):
        key, has_positions = _describe_grid(leaf)
        if key not in grids:
            grids[key] = Measurement(key, has_positions, {str(k): v for k, v in tree.attrs.items()})
        grids[key].leaves.append((path, leaf))
    yield from grids.values()


def _list_leaves(tree: xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    for node in tree.subtree:
        data = node.to_dataset(inherit=False)
        if data.data_vars:
            yield node.path, data


def _describe_grid(leaf: xr.Dataset) -> tuple[Hashable, bool]:
    """Return what tells a grid from another: its positions and where the scan lies, or else what was swept."""
    of_dims = [leaf[dim] for dim in leaf.dims]
    positions = [c for c in of_dims if c.attrs.get(ROLE) == POSITION]
    frame = [c for c in leaf.coords.values() if not c.ndim] if positions else []
    # Sorted: what was scanned backwards lies on the same grid.
    told = [
        (str(c.name), c.attrs.get("units"), np.sort(c.values.ravel()).tobytes()) for c in (positions or of_dims) + frame
    ]
    return tuple(told), bool(positions)
