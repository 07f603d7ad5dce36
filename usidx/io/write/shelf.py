"""Tables of positions and steps in a file -> those that a further main dataset may refer to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import Any

import h5py
import numpy as np

from usidx.format import names
from usidx.format.grid import Coordinate, Grid, find_grid
from usidx.format.layout import Role, Side
from usidx.io.read.usid.main import find_ancillaries, read_layout
from usidx.label.coding import is_opened_alike

__all__ = ["Kept", "Shelf"]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One side that lies in the file already."""

    side: Side
    grid: Grid
    indices: h5py.Dataset
    values: h5py.Dataset


@dataclass(slots=True, eq=False)
class Shelf:
    """Sides in a file that further mains may refer to instead of writing equal ones."""

    kept: dict[Hashable, list[Kept]] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def add_main(self, main: h5py.Dataset) -> None:
        """Offer the sides of a main dataset."""
        layout, found = read_layout(main), find_ancillaries(main)
        for side in (layout.position, layout.spectroscopic):
            indices, values = (found[names.name_ancillary(side.role, kind)] for kind in (names.INDICES, names.VALUES))
            self.add(Kept(side, find_grid(side), indices, values))

    def add(self, kept: Kept) -> None:
        """Offer one side."""
        self.kept.setdefault(_mark(kept.side.role, kept.grid), []).append(kept)

    def find(self, side: Side, grid: Grid) -> Kept | None:
        """Return a side of that role that opens as the same dims and coordinates."""
        alike = self.kept.get(_mark(side.role, grid), ())
        return next((k for k in alike if is_opened_alike(k.side, k.grid, side, grid)), None)


def _mark(role: Role, grid: Grid) -> Hashable:
    """Return what equal grids have in common, so that among many sides few must be compared."""
    dims = tuple(d for d in zip(grid.dims, grid.shape, strict=True) if d[1] > 1)
    return role, grid.is_flat, dims, tuple(sorted(map(_mark_of_one, grid.coordinates)))


def _mark_of_one(coordinate: Coordinate) -> tuple[str, str, str]:
    # Adding zero makes one of the two zeros; the type may differ where the tables of a side share one.
    values = np.squeeze(coordinate.values).astype(np.float64) + 0.0
    return coordinate.name, coordinate.label.strip(), blake2b(values.tobytes(), digest_size=16).hexdigest()
