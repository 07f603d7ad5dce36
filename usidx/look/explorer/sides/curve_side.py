"""The curves of a view: of a place or a region, with the band or the step that the map is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.colours import list_category_colours
from usidx.look.draw.downsample import make_ruler
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import write_extent
from usidx.look.explorer.pictures.curves import CurvePicture
from usidx.look.explorer.reading.subject import ORANGE, Curve, read_curves
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.sides.looking import Looking, Signal
from usidx.look.explorer.sides.pointing import follow_clicks

__all__ = ["CurveSide"]

_PURPOSE = "`usidx view`"
_PINS = 8


class CurveSide:
    """The curves.

    Parameters
    ----------
    looking : Looking
        What is looked at.
    along : str
        The dim along which they run; empty where nothing was swept.
    band : (low, high) or None
        Of the coordinate, of which the map is made.
    """

    def __init__(self, looking: Looking, along: str, band: tuple[float, float] | None) -> None:
        self.looking, self.along = looking, along
        self.band = band if along else None
        self.picture = CurvePicture()
        self._pinned: list[Curve] = []
        self._shown: list[Curve] = []
        self.picture.figure.name = "usidx-curves"
        events = require("bokeh.events", _PURPOSE)
        follow_clicks(self.picture.figure, self._take_click)
        self.picture.figure.on_event(events.SelectionGeometry, self._take_band)
        listen(looking.controls.along, "value", self._turn)

    @property
    def _is_pointed(self) -> bool:
        """Whether the map is made of what the curves run along."""
        return bool(self.along) and self.looking.is_plain

    def _take_click(self, event: Any) -> None:
        """Show the map of the step under a click."""
        if event.x is None or not self._is_pointed:
            return
        values = make_ruler(self.looking.scene.array, self.along).values
        self.looking.controls.reduce.active = 0
        slider = self.looking.controls.sliders[self.along]
        slider.value = int(np.abs(values - self.picture.unscale(event.x)).argmin())
        self.looking.remap()
        self.looking.changed()

    def _take_band(self, event: Any) -> None:
        """Make the map of the band that was drawn."""
        if event.final and self._is_pointed:
            low, high = sorted(self.picture.unscale(float(event.geometry[k])) for k in ("x0", "x1"))
            self.band = (low, high)
            self.looking.use_reduction("mean")

    def _turn(self, along: str) -> None:
        self.along, self.band = along, None
        self.looking.controls.reduce.active = 0
        self.refresh()

    def list_kept_dims(self) -> list[str]:
        """Return the dims along which a region is averaged."""
        return [self.along]

    def find_signal(self) -> Signal:
        """Return the steps inside the band; all where none is drawn, the nearest where it holds none."""
        scene, index = self.looking.scene, self.looking.index
        ruler = make_ruler(scene.array, self.along)
        low, high = self.band or (float(ruler.values.min()), float(ruler.values.max()))
        inside = np.flatnonzero((ruler.values >= low) & (ruler.values <= high))
        nearest = int(np.abs(ruler.values - (low + high) / 2).argmin())
        first, last = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (nearest, nearest + 1)
        fixed = {d: index[d] for d in scene.swept if d != self.along}
        said = write_extent(float(ruler.values[first]), float(ruler.values[last - 1]), ruler.unit)
        return Signal({self.along: (first, last)}, fixed, None, f"{ruler.quantity} {said}")

    def refresh(self) -> None:
        """Read the curves of the place."""
        looking, along, index = self.looking, self.along, dict(self.looking.index)
        if along or not looking.is_plain:
            looking.desk.start(
                "place",
                "Reading the spectrum",
                lambda _: read_curves(looking.subject, looking.scene, index, along),
                self._take,
                is_quick=True,
            )

    def _take(self, curves: list[Curve]) -> None:
        self._shown = curves
        self.show(self.looking.describe_place())

    def show(self, title: str) -> None:
        """Draw the curves that were read, over those that are pinned."""
        self.picture.show([*self._pinned, *self._shown], self.along, self.looking.part, title)
        self.mark()

    def show_again(self) -> None:
        """Draw in another part what is drawn."""
        if self._shown:
            self.show(self.picture.figure.title.text)

    def show_mean(self, count: int, mean: xr.DataArray, spread: xr.DataArray) -> None:
        """Show the mean over a region, and one standard deviation to either side."""
        self._shown = [Curve(mean, f"mean of {count}", ORANGE, "line", spread)]
        self.show(f"Mean of {count} places, with standard deviation")

    def show_curve(self, curve: Curve, dim: str, title: str) -> None:
        """Show a curve that is not of the signal: a profile, a histogram."""
        self.picture.mark_step(None)
        self.picture.mark_band(None)
        self.picture.show([curve], dim, self.looking.part, title)

    def mark(self) -> None:
        """Show what the map is made of."""
        if not self._is_pointed:
            return
        scene, by_step = self.looking.scene, self.looking.reduce == "step" and bool(self.looking.scene.places)
        at = float(make_ruler(scene.array, self.along).values[self.looking.index[self.along]])
        self.picture.mark_step(at if by_step else None)
        self.picture.mark_band(None if by_step else self.band)

    def pin(self) -> None:
        """Keep the curve of the place beside those to come."""
        shown = [c for c in self._shown if c.style == "line"]
        if shown:
            name = shown[-1].name or self.looking.describe_place()
            color = list_category_colours(_PINS)[(2 + len(self._pinned)) % _PINS]
            self._pinned.append(Curve(shown[-1].values, name, color))
            self.show_again()

    def clear(self) -> None:
        """Take away the band, and what is pinned."""
        self._pinned, self.band = [], None
        self.mark()
