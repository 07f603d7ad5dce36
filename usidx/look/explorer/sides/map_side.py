"""The map of a view: read for a step or a band, clicked for a place, drawn on for a region or a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import xarray as xr

from usidx.look.draw.downsample import as_floats
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import find_unit
from usidx.look.explorer.pictures.histogram import HistogramPicture
from usidx.look.explorer.pictures.maps import MapPicture
from usidx.look.explorer.reading.growing import Draft
from usidx.look.explorer.reading.reads import Region, read_region, read_step, read_window
from usidx.look.explorer.reading.regions import find_border, make_profile, make_region
from usidx.look.explorer.reading.scene import find_nearest, read_mean, take_part
from usidx.look.explorer.reading.subject import BLUE, Curve, locate_atoms
from usidx.look.explorer.reading.work import Task
from usidx.look.explorer.sides.beside import Beside
from usidx.look.explorer.sides.controls import DRAGS, listen
from usidx.look.explorer.sides.looking import Looking, Signal
from usidx.look.explorer.sides.pointing import follow_clicks, follow_pointer

__all__ = ["MapSide", "Other"]

_PURPOSE = "`usidx view`"
_BINS = 64


class Other(Protocol):
    """The other side of the view."""

    @property
    def band(self) -> tuple[float, float] | None:
        """The band that was drawn."""

    def refresh(self) -> None:
        """Show what belongs to the place."""

    def find_signal(self) -> Signal:
        """Return what of the signal a map is made of."""

    def list_kept_dims(self) -> list[str]:
        """Return the dims along which a region is averaged."""

    def show_mean(self, count: int, mean: xr.DataArray, spread: xr.DataArray) -> None:
        """Show the mean over a region."""

    def show_curve(self, curve: Curve, dim: str, title: str) -> None:
        """Show a curve that is not of the signal."""

    def mark(self) -> None:
        """Show what the map is made of."""


class MapSide:
    """The map.

    Parameters
    ----------
    looking : Looking
        What is looked at.
    other : Other
        What shows the signal of a place.
    """

    def __init__(self, looking: Looking, other: Other) -> None:
        self.looking, self.other = looking, other
        # Beside a pattern there is room for less.
        self.picture = MapPicture(looking.scene, 0.82 if len(other.list_kept_dims()) > 1 else 1.2)
        self.beside = Beside(looking, self.picture, self.choose_place)
        self.values: xr.DataArray | None = None
        self.is_whole = False
        self._limits: tuple[float, float] | None = None
        self._histogram: HistogramPicture | None = None
        self.histogram_box = require("bokeh.models", _PURPOSE).Column(visible=False)
        self._title = ""
        self._steps: dict[str, int] | None = None
        self._region: Region | None = None
        self._start: tuple[float, float] | None = None
        self._connect()

    def _connect(self) -> None:
        events, models = require("bokeh.events", _PURPOSE), require("bokeh.models", _PURPOSE)
        figure = self.picture.figure
        figure.name = "usidx-map"
        follow_clicks(figure, self._take_click)
        figure.on_event(events.SelectionGeometry, self._take_region)
        figure.on_event(events.PanStart, self._begin_line)
        figure.on_event(events.PanEnd, self._end_line)
        # In the browser: which tool a drag moves is no matter of the server.
        code = "tools.forEach((tool, n) => { tool.active = n === cb_obj.active })"
        drag = models.CustomJS(args={"tools": self.picture.drag_tools}, code=code)
        self.looking.controls.drag.js_on_change("active", drag)
        follow_pointer(figure, self.looking.controls.follow, self._go_to)
        listen(self.looking.controls.percent, "value", lambda _: self._forget_limits())

    def _take_click(self, event: Any) -> None:
        self.choose_place(event.x, event.y)

    def choose_place(self, x: float | None, y: float | None) -> None:
        """Look at the place under a click, and stay there."""
        self.looking.controls.follow.active = []
        self._go_to(x, y, is_asked=True)

    def _go_to(self, x: float | None, y: float | None, *, is_asked: bool = False) -> None:
        found, index = find_nearest(self.looking.scene, x, y), self.looking.index
        if found is not None and (is_asked or any(index[d] != n for d, n in found.items())):
            index.update(found)
            self.forget_region()
            self.look_there()

    def look_there(self) -> None:
        """Show the place that is looked at."""
        self.picture.mark(self.looking.index)
        self.beside.mark()
        self.other.refresh()
        self.looking.changed()

    def forget_region(self) -> None:
        """Take away what was drawn on the map."""
        self._region = None
        self.picture.outline([], [])

    @property
    def is_of_now(self) -> bool:
        """Whether the map that is shown, or being read, is that of the steps that are chosen."""
        index, swept = self.looking.index, self.looking.scene.swept
        return self.looking.reduce == "step" and self._steps == {d: index[d] for d in swept}

    def refresh(self) -> None:
        """Read the map anew."""
        looking, title = self.looking, self.looking.describe_steps()
        self._steps = {d: looking.index[d] for d in looking.scene.swept} if looking.reduce == "step" else None
        if looking.reduce == "step":
            steps = dict(self._steps or {})
            self._read("Reading the map", title, lambda task, show: read_step(looking.scene, steps, task, show))
        elif looking.reduce == "mean" and self.other.band is None and looking.is_quick:
            self._read("Reading the map", "mean of a few steps", lambda task, show: Draft(read_mean(looking.scene)))
        else:
            made: Any = looking.reduce
            signal = self.other.find_signal()
            self._read(
                f"Making the map: {made}",
                signal.said,
                lambda task, show: read_window(
                    looking.scene, signal.window, made, signal.fixed, task, show, signal.weights
                ),
            )
        self.beside.refresh()
        self.other.mark()

    def _read(self, said: str, title: str, read: Callable[[Task, Callable[[Draft], None]], Draft]) -> None:
        """Read a map in a thread; what comes before it is ready is shown already."""
        desk = self.looking.desk

        def work(task: Task) -> Draft:
            return read(task, lambda draft: desk.post(task, lambda: self._take(draft, title)))

        desk.start("map", said, work, lambda draft: self._take(draft, title))

    def _take(self, draft: Draft, title: str) -> None:
        self.values, self.is_whole, self._title = draft.values, draft.part >= 1, draft.complete(title)
        self.show()

    def show(self) -> None:
        """Draw the map that was read, in the part and the colours that are chosen."""
        if self.values is None:
            return
        looking = self.looking
        values = take_part(self.values, looking.part)
        self.picture.show(values, replace(looking.controls.taste, limits=self._limits), self._title)
        self.picture.mark(looking.index)
        self._show_limits()
        if looking.subject.atoms is not None:
            self.picture.put_spots(*locate_atoms(looking.subject.atoms, looking.scene))
        if not looking.scene.swept and looking.is_plain and self._region is None:
            self._show_histogram(values)

    def _show_limits(self) -> None:
        """Show the histogram on which limits are drawn, where it is wanted."""
        is_wanted = self.looking.controls.has_histogram
        if is_wanted and self._histogram is None:
            self._histogram = HistogramPicture(self.picture.width, self._take_limits)
            self.histogram_box.children = [self._histogram.figure]
        self.histogram_box.visible = is_wanted
        if is_wanted and self._histogram is not None:
            self._histogram.show(self.picture.numbers, self.picture.limits, self.picture.said)

    def _take_limits(self, low: float, high: float) -> None:
        self._limits = low / self.picture.factor, high / self.picture.factor
        self.show()

    def _forget_limits(self) -> None:
        self._limits = None

    def clear(self) -> None:
        """Take away the region, and the limits that were drawn."""
        self.forget_region()
        self._forget_limits()
        self.show()

    def empty(self) -> None:
        """Let go of what is drawn."""
        self.picture.empty()
        self.beside.empty()

    def _show_histogram(self, values: xr.DataArray) -> None:
        """Show how often which values are there, where there is no curve to show."""
        numbers = as_floats(values.values)
        known = numbers[np.isfinite(numbers)]
        if known.size:
            counts, edges = np.histogram(known, _BINS)
            said = {"long_name": str(values.attrs.get("long_name") or values.name or ""), "units": find_unit(values)}
            coord = xr.Variable("value", (edges[1:] + edges[:-1]) / 2, said)
            bars = xr.DataArray(counts, {"value": coord}, ("value",), attrs={"long_name": "Number of cells"})
            self.other.show_curve(Curve(bars, "", BLUE), "value", "How often which value is there")

    def _take_region(self, event: Any) -> None:
        """Show the mean over a box or a lasso, once it is drawn."""
        looking = self.looking
        if not event.final or DRAGS[looking.controls.drag.active] not in ("Box", "Lasso"):
            return
        self.picture.outline(*find_border(event.geometry))
        region = self._region = make_region(looking.scene, event.geometry)
        if region is None:
            return
        kept = self.other.list_kept_dims()
        fixed = {d: looking.index[d] for d in looking.scene.swept if d not in kept}
        looking.desk.start(
            "place",
            f"Mean over {region.count} places",
            lambda task: read_region(looking.scene, region, fixed, task),
            lambda found: self._take_mean(region.count, *found),
        )

    def _take_mean(self, count: int, mean: xr.DataArray, spread: xr.DataArray) -> None:
        if mean.ndim:
            self.other.show_mean(count, mean, spread)
        else:
            value = f"{float(mean):.4g} ± {float(spread):.2g} {find_unit(mean)}"
            self.picture.figure.title.text = f"Mean of {count} places: {value}"

    def _begin_line(self, event: Any) -> None:
        self._start = (event.x, event.y) if DRAGS[self.looking.controls.drag.active] == "Line" else None

    def _end_line(self, event: Any) -> None:
        """Show what lies under a line over the map."""
        start, self._start = self._start, None
        if start is not None and self.picture.values is not None and self.looking.scene.kind == "image":
            self.picture.outline([start[0], event.x], [start[1], event.y])
            values = make_profile(self.looking.scene, self.picture.values, start, (event.x, event.y))
            said = "Profile along the line" if self.is_whole else "Profile along the line, of a coarse map"
            self.other.show_curve(Curve(values, "", BLUE), "distance", said)
