"""What both sides of a view share: what is looked at, where, and how to say that this changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from usidx.look.draw.downsample import describe_cell
from usidx.look.explorer.reading.scene import Scene, start_at
from usidx.look.explorer.reading.subject import Subject
from usidx.look.explorer.reading.work import Desk
from usidx.look.explorer.sides.controls import REDUCTIONS, Controls

__all__ = ["Looking", "Signal", "begin_at", "strip_roles"]


@dataclass(frozen=True)
class Signal:
    """What of the signal a map is made of.

    Attributes
    ----------
    window : mapping of dim to (first, last)
        Steps that count, the last one left out.
    fixed : mapping of dim to index
        Of the other swept dims.
    weights : ndarray of bool or None
        Which cells of the window count.
    said : str
        What it is, in words.
    """

    window: Mapping[str, tuple[int, int]]
    fixed: Mapping[str, int]
    weights: Any
    said: str


@dataclass
class Looking:
    """What is looked at, and where.

    Attributes
    ----------
    variable : str
        Of the subject.
    index : dict of dim to int
        The place, and the step of each swept dim.
    remap : callable
        Reads the map anew.
    changed : callable
        Is told that something else is looked at.
    is_quick : bool
        Whether a mean over everything may leave out most of it.
    """

    subject: Subject
    variable: str
    scene: Scene
    controls: Controls
    desk: Desk
    index: dict[str, int]
    remap: Callable[[], None]
    changed: Callable[[], None]
    is_quick: bool = False

    @property
    def reduce(self) -> str:
        """What the map is made of: "step", or what of the band."""
        return list(REDUCTIONS.values())[self.controls.reduce.active] if self.scene.swept else "step"

    @property
    def part(self) -> str:
        """The part of complex values that is seen."""
        return str(self.controls.part.value)

    @property
    def is_plain(self) -> bool:
        """Whether the curves are those of the array that the map shows."""
        return self.subject.kind in ("main", "result")

    def use_reduction(self, reduce: str) -> None:
        """Make the map in this way, where it is made by one step; in any case anew."""
        if self.reduce == "step":
            self.controls.reduce.active = list(REDUCTIONS.values()).index(reduce)  # which makes the map
        else:
            self.remap()
            self.changed()

    def describe_place(self) -> str:
        """Say where one looks."""
        return describe_cell(self.scene.array, self._keep_long(self.scene.places))

    def describe_steps(self) -> str:
        """Say which step the map shows."""
        return describe_cell(self.scene.array, self._keep_long(self.scene.swept))

    def _keep_long(self, dims: tuple[str, ...]) -> dict[str, int]:
        return {d: self.index[d] for d in dims if self.scene.array.sizes[d] > 1}


def begin_at(scene: Scene, index: Mapping[str, int]) -> dict[str, int]:
    """Begin where an address says, as far as there is such a place."""
    begun = start_at(scene, None)
    return begun | {d: n for d, n in index.items() if d in begun and n < scene.array.sizes[d]}


def strip_roles(array: xr.DataArray) -> xr.DataArray:
    """Make of a pattern an array whose two dims make a map."""
    bare = array.copy(deep=False)
    for coord in bare.coords.values():
        coord.attrs = {k: v for k, v in coord.attrs.items() if k != "usid_role"}
    return bare
