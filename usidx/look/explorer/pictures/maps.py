"""Maps as one Bokeh figure, on which a place or a region is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.colours import Colours
from usidx.look.draw.downsample import as_floats
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import escape_formulas, find_quantity, make_printable, write_label
from usidx.look.explorer.pictures.changes import find_models_once, put_data
from usidx.look.explorer.pictures.shades import Taste, choose_mapper
from usidx.look.explorer.reading.scene import Scene

__all__ = ["MapPicture", "choose_map_size", "escape_long", "make_figure", "style_figure"]

_PURPOSE = "`usidx view`"
_INK, _FAINT = "#1d2733", "#d9dee4"
# Beyond this each cell of an uneven grid is too much for the browser.
_MOST_CELLS = 128

#: As much of a name as the page has room for.
escape_long = partial(escape_formulas, limit=90)


def make_figure(**options: Any) -> Any:
    """Make an empty figure of the app's looks."""
    figure = require("bokeh.plotting", _PURPOSE).figure
    return style_figure(figure(toolbar_location="above", background_fill_color="white", **options))


def make_tick_formatter() -> Any:
    """Make what writes the numbers of an axis: 0.0008 and 25000 are read sooner than 8.000e-4 and 2.500e+4."""
    return require("bokeh.models", _PURPOSE).BasicTickFormatter(power_limit_low=-4, power_limit_high=6)


def style_figure(figure: Any) -> Any:
    """Give a figure the app's looks."""
    figure.toolbar.logo = None
    figure.outline_line_color = "#b8c0c8"
    figure.border_fill_color = None
    figure.title.text_font_size, figure.title.text_font_style = "13px", "normal"
    figure.title.text_color = _INK
    figure.min_border_right = 12
    for axis in figure.axis:
        axis.formatter = make_tick_formatter()
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "13px"
        axis.major_label_text_font_size = "12px"
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.axis_line_color = None
        axis.minor_tick_line_color = None
        axis.major_tick_line_color = "#8c96a0"
    return figure


def choose_map_size(scene: Scene, larger: float) -> dict[str, int]:
    """Return the size of the map itself; lengths are equal both ways where the image keeps its aspect."""
    if scene.kind == "line":
        return {"frame_width": round(420 * larger), "frame_height": round(330 * larger)}
    aspect = scene.grid.aspect if scene.grid is not None and scene.grid.keeps_aspect else 1.0
    width = float(np.clip(330 / aspect, 40, 440 if aspect > 0.25 else 880))
    return {"frame_width": round(width * larger), "frame_height": round(width * aspect * larger)}


class MapPicture:
    """The map: its figure, and what is drawn on it.

    Parameters
    ----------
    scene : Scene
        Where the cells lie.
    larger : float
        Its size beside that of a map in a notebook.
    """

    def __init__(self, scene: Scene, larger: float = 1.2) -> None:
        models = require("bokeh.models", _PURPOSE)
        self.scene = scene
        self.values: xr.DataArray | None = None
        self.numbers: NDArray[np.float64] = np.zeros(0)
        self.factor, self.limits, self.said = 1.0, (0.0, 1.0), ""
        self._tools = [models.PanTool(), models.BoxSelectTool(), models.LassoSelectTool()]
        size = choose_map_size(scene, larger)
        self.width = max(size["frame_width"] + 140, 400)
        self.figure = make_figure(
            tools=[*self._tools, models.WheelZoomTool(), models.ResetTool(), models.SaveTool()], **size
        )
        self.figure.toolbar.active_scroll = None
        self.figure.grid.visible = scene.kind == "line"
        self.figure.grid.grid_line_color = "#eceff2"
        self.figure.xaxis.axis_label = escape_long(scene.x_label)
        self.figure.yaxis.axis_label = escape_long(scene.y_label)
        self._set_ranges()
        self._source = models.ColumnDataSource()
        self._mapper: Any = None
        self._bar: Any = None
        self._ticks: tuple[Any, ...] = ()
        self._hover = models.HoverTool()
        self.figure.add_tools(self._hover)
        self._draw = {"image": self._draw_image, "points": self._draw_points, "line": self._draw_line}[scene.kind]
        self._renderer: Any = None
        self._has_overlays = False
        if scene.kind != "line":
            self._add_scale_bar()
        self._marker = models.ColumnDataSource({"x": [], "y": []})
        self._outline = models.ColumnDataSource({"x": [], "y": []})
        self._spots = models.ColumnDataSource({"x": [], "y": []})

    @property
    def drag_tools(self) -> list[Any]:
        """Pan, box, lasso: what a drag over the map does."""
        return self._tools

    def _set_ranges(self) -> None:
        models = require("bokeh.models", _PURPOSE)
        x = _find_ends(self.scene.x)
        self.figure.x_range = models.Range1d(*x, bounds=None)
        if self.scene.kind == "line":
            self.figure.y_range = models.DataRange1d(range_padding=0.08)
            return
        low, high = _find_ends(self.scene.y)
        if self.scene.kind == "points":
            room = 0.04 * (x[1] - x[0]), 0.04 * (high - low)
            self.figure.x_range = models.Range1d(x[0] - room[0], x[1] + room[0])
            low, high = low - room[1], high + room[1]
        from_top = self.scene.grid is not None and self.scene.grid.from_top
        self.figure.y_range = models.Range1d(high, low) if from_top else models.Range1d(low, high)

    def _add_scale_bar(self) -> None:
        """Add a scale bar where both sides are lengths of one unit."""
        models = require("bokeh.models", _PURPOSE)
        grid = self.scene.grid
        unit = self.scene.x_label.rpartition("(")[2].rstrip(")") if "(" in self.scene.x_label else ""
        if grid is None or not grid.same_unit or not unit.endswith("m"):
            return
        self.figure.add_layout(
            models.ScaleBar(
                range=self.figure.x_range, unit=unit, location="bottom_right", dimensional=models.MetricLength(),
                background_fill_color="#ffffff", background_fill_alpha=0.75, border_line_color=None, bar_line_width=3,
                label_text_font_size="12px", padding=5, margin=6, bar_length=0.22,
            )
        )  # fmt: skip

    def show(self, values: xr.DataArray, taste: Taste, title: str) -> None:
        """Draw real values that were read for this scene."""
        # Later on next to nothing is put into the page.
        with find_models_once(self.figure.document if self._renderer is None else None):
            self._show(values, taste, title)

    def _show(self, values: xr.DataArray, taste: Taste, title: str) -> None:
        self.values = values
        numbers = as_floats(values.values)
        colours, mapper = choose_mapper(values, numbers, taste)
        said = escape_long(write_label(find_quantity(values), colours.unit))
        self._update_mapper(mapper, colours, said)
        self.numbers, self.factor, self.said = numbers * colours.factor, colours.factor, said
        self.limits = float(mapper.low), float(mapper.high)
        self._draw(self.numbers, said)
        if self._renderer is not None and self._hover.renderers != [self._renderer]:
            self._hover.renderers = [self._renderer]
        if not self._has_overlays:
            self._has_overlays = True
            self._add_overlays()
        # Last, so that what is read there is true of the picture.
        self.figure.title.text = escape_long(title)

    def _update_mapper(self, mapper: Any, colours: Colours, said: str) -> None:
        """Change the mapper that is there: what is drawn by it follows. One of another kind needs all drawn anew."""
        if type(mapper) is type(self._mapper):
            self._mapper.update(palette=mapper.palette, low=mapper.low, high=mapper.high)
        else:
            self._mapper = mapper
            if self._renderer is not None:
                self.figure.renderers.remove(self._renderer)
                self._renderer = None
        if self.scene.kind != "line":
            self._update_bar(colours, said)

    def _update_bar(self, colours: Colours, said: str) -> None:
        """Change the colour bar, or make it anew: one that is there makes no room for other ticks."""
        ticks = None if colours.ticks is None else [float(t) for t in colours.ticks]
        texts = colours.tick_labels
        shown = ticks, texts, self._mapper.low, self._mapper.high
        if self._bar is not None:
            if (self._bar.color_mapper, self._ticks) == (self._mapper, shown):
                self._bar.title = said
                return
            self.figure.right.remove(self._bar)
        self._ticks = shown
        models = require("bokeh.models", _PURPOSE)
        self._bar = models.ColorBar(
            color_mapper=self._mapper, title=said, width=12, padding=2, margin=8, border_line_color=None,
            formatter=make_tick_formatter(),
            title_text_font_style="normal", title_text_font_size="12px", major_label_text_font_size="12px",
            title_standoff=10, bar_line_color="#b8c0c8", major_tick_line_color="#8c96a0",
            ticker="auto" if ticks is None else models.FixedTicker(ticks=ticks),
            major_label_overrides={} if ticks is None or texts is None else dict(zip(ticks, texts, strict=True)),
        )  # fmt: skip
        self.figure.add_layout(self._bar, "right")

    def _place_cells(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the rows and columns that were read lie: every n-th."""
        y, x = self.scene.y, self.scene.x
        return y[:: -(-y.size // shape[0])], x[:: -(-x.size // shape[1])]

    def _draw_image(self, numbers: NDArray[np.float64], said: str) -> None:
        y, x = self._place_cells(numbers.shape)
        if y.size > 1 and y[0] > y[-1]:
            y, numbers = y[::-1], numbers[::-1]
        if x.size > 1 and x[0] > x[-1]:
            x, numbers = x[::-1], numbers[:, ::-1]
        if self.scene.grid is not None and not self.scene.grid.is_uniform:
            self._draw_cells(y, x, numbers, said)
            return
        (x0, x1), (y0, y1) = _find_edges(x), _find_edges(y)
        self._source.data = {
            "image": [np.ascontiguousarray(numbers, np.float32)],
            "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0],
        }  # fmt: skip
        if self._renderer is None:
            self._renderer = self.figure.image(
                "image", "x", "y", "dw", "dh", source=self._source, level="image", color_mapper=self._mapper
            )
        self._say_value(said, "@image")

    def _draw_cells(self, y: Any, x: Any, numbers: Any, said: str) -> None:
        """Draw each cell of an uneven grid by itself."""
        every = [max(1, -(-n // _MOST_CELLS)) for n in numbers.shape]
        y, x, numbers = y[:: every[0]], x[:: every[1]], numbers[:: every[0], :: every[1]]
        (left, right), (bottom, top) = _find_sides(x), _find_sides(y)
        bottom, left = (a.ravel() for a in np.meshgrid(bottom, left, indexing="ij"))
        top, right = (a.ravel() for a in np.meshgrid(top, right, indexing="ij"))
        self._source.data = {"left": left, "right": right, "bottom": bottom, "top": top, "value": numbers.ravel()}
        if self._renderer is None:
            color = {"field": "value", "transform": self._mapper}
            looks = {"source": self._source, "line_color": None, "level": "image"}
            self._renderer = self.figure.quad("left", "right", "top", "bottom", fill_color=color, **looks)
        self._say_value(said, "@value")

    def _draw_points(self, numbers: NDArray[np.float64], said: str) -> None:
        step = -(-self.scene.x.size // numbers.size)
        self._source.data = {"x": self.scene.x[::step], "y": self.scene.y[::step], "value": numbers}
        if self._renderer is None:
            size = float(np.clip(400 / np.sqrt(max(numbers.size, 1)), 3, 14))
            color = {"field": "value", "transform": self._mapper}
            looks = {"source": self._source, "line_color": None, "level": "image"}
            self._renderer = self.figure.scatter("x", "y", size=size, fill_color=color, **looks)
        self._say_value(said, "@value")

    def _draw_line(self, numbers: NDArray[np.float64], said: str) -> None:
        step = -(-self.scene.x.size // numbers.size)
        self._source.data = {"x": self.scene.x[::step], "y": numbers}
        self.figure.yaxis.axis_label = said
        if self._renderer is None:
            self._renderer = self.figure.line("x", "y", source=self._source, line_color="#0072b2", line_width=1.5)
        self._say_value(said, "@y")

    def _say_value(self, said: str, value: str) -> None:
        labels = [make_printable(n, 40) for n in (self.scene.x_label, self.scene.y_label, said)]
        told = [(labels[0], "$x{0.[000]}"), (labels[1], "$y{0.[000]}"), (labels[2], f"{value}{{0.[00000]}}")]
        self._hover.tooltips = told if self.scene.kind != "line" else [told[0], told[2]]

    def _add_overlays(self) -> None:
        """Draw the marker and what is chosen over the map; white under black is seen on any colour."""
        add = self.figure
        if self.scene.kind == "line":
            add.ray("x", "y", source=self._marker, angle=np.pi / 2, line_color="#d55e00", line_width=1.5)
            add.ray("x", "y", source=self._marker, angle=-np.pi / 2, line_color="#d55e00", line_width=1.5)
            return
        for color, width in (("white", 3.5), ("#111111", 1.5)):
            add.scatter("x", "y", source=self._marker, size=13, fill_color=None, line_color=color, line_width=width)
            add.line("x", "y", source=self._outline, line_color=color, line_width=width)
        add.scatter("x", "y", source=self._spots, size=5, fill_color="#d55e00", line_color="white", line_width=0.7)

    def mark(self, index: Mapping[str, int]) -> None:
        """Put the marker on a place."""
        at = [index[d] for d in self.scene.places]
        y = self.scene.y[at[0]] if self.scene.kind != "line" else 0.0
        self._marker.data = {"x": [float(self.scene.x[at[-1]])], "y": [float(y)]}

    def outline(self, x: list[float], y: list[float]) -> None:
        """Draw the border of a region, or a line; empty lists take it away."""
        put_data(self._outline, {"x": x, "y": y})

    def empty(self) -> None:
        """Let go of what is drawn: a browser keeps for a while what is not on the page any more."""
        self._source.data = {name: [] for name in self._source.data}

    def put_spots(self, x: Any, y: Any) -> None:
        """Draw atoms."""
        self._spots.data = {"x": x, "y": y}


def _find_ends(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    half = (high - low) / (values.size - 1) / 2 if high > low else 0.5
    return low - half, high + half


def _find_edges(values: NDArray[np.float64]) -> tuple[float, float]:
    half = (values[-1] - values[0]) / (values.size - 1) / 2 if values.size > 1 else 0.5
    return float(values[0] - half), float(values[-1] + half)


def _find_sides(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where cells begin and end: half way to their neighbours."""
    if values.size < 2:
        return values - 0.5, values + 0.5
    between = (values[1:] + values[:-1]) / 2
    first, last = 2 * values[0] - between[0], 2 * values[-1] - between[-1]
    return np.concatenate([[first], between]), np.concatenate([between, [last]])
