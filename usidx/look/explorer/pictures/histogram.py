"""The values of a map as a histogram, over which the limits of the colours are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usidx.look.draw.extras import require
from usidx.look.explorer.pictures.maps import escape_long, make_figure

__all__ = ["HistogramPicture"]

_PURPOSE = "`usidx view`"
_BINS = 96


class HistogramPicture:
    """The histogram: its figure, and the limits that are marked on it.

    Parameters
    ----------
    width : int
        Of the figure.
    choose : callable
        Takes the limits that were drawn, in the unit of the axis.
    """

    def __init__(self, width: int, choose: Callable[[float, float], None]) -> None:
        models, events = require("bokeh.models", _PURPOSE), require("bokeh.events", _PURPOSE)
        drag = models.BoxSelectTool(dimensions="width")
        self.figure = make_figure(
            tools=[drag], width=width, height=132, name="usidx-histogram", title="Drag over it to choose the limits",
            x_range=models.Range1d(0, 1), y_range=models.DataRange1d(start=0, range_padding=0.05),
        )  # fmt: skip
        self.figure.toolbar_location = None
        self.figure.toolbar.active_drag = drag
        self.figure.grid.visible = False
        self.figure.yaxis.visible = False
        self._source = models.ColumnDataSource({"left": [], "right": [], "count": []})
        self.figure.quad(
            "left", "right", "count", 0, source=self._source, fill_color="#8c96a0", line_color=None, level="underlay"
        )
        self._limits = models.BoxAnnotation(fill_color="#0b5ea8", fill_alpha=0.13, line_color="#0b5ea8")
        self.figure.add_layout(self._limits)
        self._choose = choose
        self.figure.on_event(events.SelectionGeometry, self._take)

    def _take(self, event: Any) -> None:
        low, high = sorted(float(event.geometry[end]) for end in ("x0", "x1"))
        if event.final and high > low:
            self._choose(low, high)

    def show(self, numbers: NDArray[np.float64], limits: tuple[float, float], said: str) -> None:
        """Draw how often which value is there, and the limits of the colours, all in one unit."""
        known = numbers[np.isfinite(numbers)]
        if not known.size:
            return
        counts, edges = np.histogram(known, _BINS)
        # The root lets rare values be seen beside the many.
        self._source.data = {"left": edges[:-1], "right": edges[1:], "count": np.sqrt(counts)}
        self._limits.update(left=limits[0], right=limits[1])
        self.figure.x_range.update(start=float(edges[0]), end=float(edges[-1]))
        self.figure.xaxis.axis_label = escape_long(said)
