"""The pattern of a place, where the signal is a picture; what is drawn on it is a detector that makes the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.extras import require
from usidx.look.explorer.pictures.maps import MapPicture
from usidx.look.explorer.reading.reads import Region
from usidx.look.explorer.reading.regions import find_border, make_disk, make_region
from usidx.look.explorer.reading.scene import find_nearest, make_scene, take_part
from usidx.look.explorer.reading.subject import Curve
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.sides.looking import Looking, Signal, strip_roles
from usidx.look.explorer.sides.pointing import follow_clicks

__all__ = ["PatternSide", "is_pattern"]

_PURPOSE = "`usidx view`"
_SIZE = 0.82
_TURN = np.linspace(0, 2 * np.pi, 97)


class PatternSide:
    """The pattern.

    Parameters
    ----------
    looking : Looking
        What is looked at.
    """

    along, band = "", None

    def __init__(self, looking: Looking) -> None:
        self.looking = looking
        self._dims = looking.scene.swept[-2:]
        others = [d for d in map(str, looking.scene.array.dims) if d not in self._dims]
        one = strip_roles(looking.scene.array.isel(dict.fromkeys(others, 0)))
        self.picture = MapPicture(make_scene(one), _SIZE)
        self.values: xr.DataArray | None = None
        self._detector: Region | None = None
        self._said = self._title = ""
        events = require("bokeh.events", _PURPOSE)
        figure = self.picture.figure
        figure.name = "usidx-pattern"
        follow_clicks(figure, self._take_click)
        figure.on_event(events.SelectionGeometry, self._take_shape)
        figure.toolbar.active_drag = self.picture.drag_tools[1]
        listen(looking.controls.radii, "value_throttled", lambda _: self._place_disk())

    def _take_click(self, event: Any) -> None:
        """Put the detector about the place of a click."""
        found = find_nearest(self.picture.scene, event.x, event.y)
        if found is not None:
            for dim, step in found.items():
                self.looking.index[dim] = step
                self.looking.controls.sliders[dim].value = step
            self._place_disk()

    def _place_disk(self) -> None:
        """Draw a disk or a ring, and make the map of it."""
        scene = self.picture.scene
        steps = zip(scene.places, (scene.y, scene.x), strict=True)
        y, x = (float(v[self.looking.index[d]]) for d, v in steps)
        cell = abs(float(scene.x[1] - scene.x[0]))
        inner, outer = (r * cell for r in self.looking.controls.radii.value)
        rings = [(x + r * np.cos(_TURN), y + r * np.sin(_TURN)) for r in (outer, inner) if r > 0]
        lifted = [[float(v) for ring in rings for v in (*ring[n], np.nan)] for n in (0, 1)]
        self.picture.outline(lifted[0], lifted[1])
        self._use(make_disk(scene, (x, y), inner, outer), f"detector of {outer / cell:.3g} cells")

    def _take_shape(self, event: Any) -> None:
        if event.final:
            self.picture.outline(*find_border(event.geometry))
            self._use(make_region(self.picture.scene, event.geometry), "detector")

    def _use(self, detector: Region | None, said: str) -> None:
        self._detector, self._said = detector, said
        self.looking.use_reduction("sum")

    def list_kept_dims(self) -> list[str]:
        """Return the dims of the pattern."""
        return list(self._dims)

    def find_signal(self) -> Signal:
        """Return the cells of the detector; all where none is drawn."""
        scene, index = self.looking.scene, self.looking.index
        fixed = {d: index[d] for d in scene.swept if d not in self._dims}
        if self._detector is None:
            return Signal({d: (0, scene.array.sizes[d]) for d in self._dims}, fixed, None, "whole pattern")
        return Signal(self._detector.box, fixed, self._detector.cells, self._said)

    def refresh(self) -> None:
        """Read the pattern of the place."""
        looking = self.looking
        one = looking.scene.array.isel({d: n for d, n in looking.index.items() if d not in self._dims})
        title = looking.describe_place()
        looking.desk.start(
            "place",
            "Reading the pattern",
            lambda _: strip_roles(one).load(),
            lambda values: self._take(values, title),
            is_quick=True,
        )

    def _take(self, values: xr.DataArray, title: str) -> None:
        self.values, self._title = values, title
        self.show_again()

    def show_again(self) -> None:
        """Draw the pattern that was read."""
        if self.values is not None:
            self.picture.show(take_part(self.values, self.looking.part), self.looking.controls.taste, self._title)

    def show_mean(self, count: int, mean: xr.DataArray, spread: xr.DataArray) -> None:
        """Show the mean pattern of a region."""
        self._take(strip_roles(mean), f"Mean of {count} places")

    def show_curve(self, curve: Curve, dim: str, title: str) -> None:
        """Show no curve: there is a pattern."""

    def mark(self) -> None:
        """Show the cell that the map is made of, where it is one."""
        if self.looking.reduce == "step":
            self.picture.mark(self.looking.index)

    def pin(self) -> None:
        """Pin nothing: there is one pattern at a time."""

    def clear(self) -> None:
        """Take away the detector."""
        self._detector = None
        self.picture.outline([], [])


def is_pattern(looking: Looking) -> bool:
    """Say whether the signal is a picture: its last two dims share a unit, and a look."""
    scene = looking.scene
    last = scene.swept[-2:]
    if len(last) < 2 or scene.kind == "none" or looking.subject.kind != "main":
        return False
    units = {str(scene.array[d].attrs.get("units", "")) if d in scene.array.coords else "" for d in last}
    return len(units) == 1 and all(scene.array.sizes[d] > 3 for d in last)
