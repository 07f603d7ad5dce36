"""Curves of a place as one Bokeh figure, with what is left of a fit below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.downsample import as_floats, break_phase, compute_envelope, make_ruler
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import Scale, choose_scale, find_finite_range, find_quantity, find_unit, write_label
from usidx.look.explorer.pictures.changes import put_data
from usidx.look.explorer.pictures.maps import escape_long, make_figure
from usidx.look.explorer.reading.scene import take_part
from usidx.look.explorer.reading.subject import Curve

__all__ = ["CurvePicture"]

_PURPOSE = "`usidx view`"
_MOST = 4000
_HEIGHT, _LEFT_HEIGHT = 396, 140
_WIDTHS = {"line": 1.8, "points": 1.0, "faint": 1.0, "other": 1.3, "residual": 1.2}
_ALPHAS = {"line": 1.0, "points": 0.9, "faint": 0.45, "other": 0.7, "residual": 1.0}


class CurvePicture:
    """The curves: their figure, the one of what is left, the step of the map and the band that is chosen."""

    def __init__(self) -> None:
        models = require("bokeh.models", _PURPOSE)
        self._band_tool = models.BoxSelectTool(dimensions="width")
        self._pan = models.PanTool(dimensions="width")
        tools = [self._band_tool, self._pan, models.BoxZoomTool(), models.WheelZoomTool(dimensions="width")]
        self.figure = make_figure(
            tools=[*tools, models.ResetTool(), models.SaveTool()], height=_HEIGHT + 85, min_width=340,
            sizing_mode="stretch_width", x_range=models.Range1d(0, 1), y_range=models.Range1d(0, 1),
        )  # fmt: skip
        self.figure.toolbar.active_drag = self._band_tool
        self.figure.grid.grid_line_color = "#eceff2"
        self.left = make_figure(
            tools="", height=_LEFT_HEIGHT, min_width=340, sizing_mode="stretch_width", x_range=self.figure.x_range,
            y_range=models.Range1d(-1, 1), visible=False,
        )  # fmt: skip
        self.left.grid.grid_line_color = "#eceff2"
        self.left.toolbar_location = None
        self._make_renderers(models)
        self.curves: list[Curve] = []
        self.factor = 1.0
        self._x_factor = 1.0

    def _make_renderers(self, models: Any) -> None:
        empty: dict[str, list[Any]] = {n: [] for n in ("xs", "ys", "color", "width", "alpha", "name")}
        self._lines, self._left = models.ColumnDataSource(dict(empty)), models.ColumnDataSource(dict(empty))
        self._points = models.ColumnDataSource({"x": [], "y": [], "color": []})
        self._spreads = models.ColumnDataSource({"xs": [], "ys": [], "color": []})
        looks = {"line_color": "color", "line_width": "width", "line_alpha": "alpha"}
        self._band = models.BoxAnnotation(fill_color="#f0a500", fill_alpha=0.16, line_color="#c98a00", visible=False)
        self._step = models.Span(dimension="height", line_color="#d55e00", line_width=1.3, visible=False)
        for one in (self._band, self._step):
            self.figure.add_layout(one)
        self.figure.patches("xs", "ys", source=self._spreads, fill_color="color", fill_alpha=0.2, line_color=None)
        points = self.figure.scatter("x", "y", source=self._points, size=4.5, color="color", line_color=None)
        lines = self.figure.multi_line("xs", "ys", source=self._lines, legend_field="name", name="usidx-lines", **looks)
        self._legend = self.figure.legend[0]
        self._legend.update(
            border_line_color=None, background_fill_alpha=0.75, label_text_font_size="12px", padding=4, spacing=1,
            glyph_width=18, visible=False, location="top_right",
        )  # fmt: skip
        rest = self.left.multi_line("xs", "ys", source=self._left, **looks)
        zero = models.Span(location=0, dimension="width", line_color="#8c96a0", line_width=1)
        self.left.add_layout(zero)
        self._hover = models.HoverTool(renderers=[lines, points], line_policy="nearest")
        self.figure.add_tools(self._hover)
        self.left.add_tools(models.HoverTool(renderers=[rest], tooltips=[("", "$snap_y{0.[0000]}")]))

    def show(self, curves: Sequence[Curve], along: str, part: str, title: str) -> None:
        """Draw curves along one dim, all in one unit."""
        self.curves = list(curves)
        drawn = [(c, take_part(c.values, part)) for c in curves]
        straight = [(c, v) for c, v in drawn if c.style != "residual"]
        unit = find_unit(straight[0][1]) if straight else ""
        scale = _choose_common_scale(straight, unit)
        self.factor = scale.factor
        self._fill(self._lines, [d for d in straight if d[0].style != "points"], along, scale.factor)
        left = [d for d in drawn if d[0].style == "residual"]
        left_scale = _choose_common_scale(left, unit)
        self._fill(self._left, left, along, left_scale.factor)
        self._fill_points([d for d in straight if d[0].style == "points"], along)
        self._fill_spreads([c for c in curves if c.spread is not None], along)
        self._label(straight, along, scale.unit, title)
        self.left.yaxis.axis_label = escape_long(write_label("Residual", left_scale.unit))
        _fit_ranges(self.figure, [self._lines, self._points, self._spreads])
        _fit_ranges(self.left, [self._left])
        self.left.visible = bool(self._left.data["xs"])
        self._legend.location = _find_empty_corner(self.figure, self._lines.data["xs"], self._lines.data["ys"])
        self._legend.visible = len([c for c in curves if c.name and c.style != "residual"]) > 1

    def _label(self, drawn: list[tuple[Curve, xr.DataArray]], along: str, unit: str, title: str) -> None:
        self.figure.title.text = escape_long(title)
        if not drawn:
            return
        values = drawn[0][1]
        ruler = make_ruler(values, along if along in values.dims else str(values.dims[0]))
        _, x_label = ruler.scale_values()
        largest = float(np.abs(ruler.values).max()) if ruler.values.size else 0.0
        self._x_factor = choose_scale(largest, ruler.unit).factor
        said = write_label(find_quantity(values), unit)
        self.figure.xaxis.axis_label = self.left.xaxis.axis_label = escape_long(x_label)
        self.figure.yaxis.axis_label = escape_long(said)
        told = [(escape_long(x_label), "$snap_x{0.[0000]}"), (escape_long(said), "$snap_y{0.[0000]}")]
        self._hover.tooltips = [*told, ("", "@name")] if len(drawn) > 1 else told

    def _course(
        self, values: xr.DataArray, along: str, factor: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where a curve runs, thinned to what can be seen; phases are lifted where they come round."""
        dim = along if along in values.dims else str(values.dims[0])
        where = make_ruler(values, dim).scale_values()[0]
        numbers = as_floats(values.values)
        is_phase = find_quantity(values) == "Phase"
        x, y = compute_envelope(where, numbers * (1.0 if is_phase else factor), _MOST // 2)
        if is_phase and find_unit(values) == "rad":
            return break_phase(x, y)
        return x, y

    def _fill(self, source: Any, drawn: list[tuple[Curve, xr.DataArray]], along: str, factor: float) -> None:
        courses = [self._course(v, along, factor) for _, v in drawn]
        told: dict[str, list[Any]] = {
            "xs": [x for x, _ in courses],
            "ys": [y for _, y in courses],
            "color": [c.color for c, _ in drawn],
            "width": [_WIDTHS[c.style] for c, _ in drawn],
            "alpha": [_ALPHAS[c.style] for c, _ in drawn],
            "name": [escape_long(c.name) for c, _ in drawn],
        }
        put_data(source, told)

    def _fill_points(self, drawn: list[tuple[Curve, xr.DataArray]], along: str) -> None:
        courses = [self._course(v, along, self.factor) for _, v in drawn]
        x, y = (np.concatenate([c[n] for c in courses]) if courses else np.zeros(0) for n in (0, 1))
        color = [c.color for (c, _), (x_, _) in zip(drawn, courses, strict=True) for _ in range(x_.size)]
        put_data(self._points, {"x": x, "y": y, "color": color})

    def _fill_spreads(self, curves: list[Curve], along: str) -> None:
        """Draw one standard deviation to either side."""
        xs, ys = [], []
        for curve in curves:
            x = make_ruler(curve.values, along).scale_values()[0]
            middle, around = as_floats(curve.values.values), as_floats(getattr(curve.spread, "values", 0.0))
            low, high = ((middle + sign * around) * self.factor for sign in (-1, 1))
            step = max(1, x.size // _MOST)
            xs.append(np.concatenate([x[::step], x[::-step]]))
            ys.append(np.concatenate([low[::step], high[::-step]]))
        put_data(self._spreads, {"xs": xs, "ys": ys, "color": [c.color for c in curves]})

    def empty(self) -> None:
        """Let go of what is drawn: a browser keeps for a while what is not on the page any more."""
        for source in (self._lines, self._left, self._points, self._spreads):
            source.data = {name: [] for name in source.data}

    def unscale(self, x: float) -> float:
        """Return a place of the horizontal axis in the unit of the coordinate."""
        return x / self._x_factor

    def mark_step(self, at: float | None) -> None:
        """Draw where the map is taken, in the unit of the coordinate; None draws nothing."""
        self._step.visible = at is not None
        self._step.location = (at or 0.0) * self._x_factor

    def mark_band(self, band: tuple[float, float] | None) -> None:
        """Draw the band that the map is made of, in the unit of the coordinate; None draws nothing."""
        self._band.visible = band is not None
        if band is not None:
            self._band.left, self._band.right = (end * self._x_factor for end in sorted(band))


def _choose_common_scale(drawn: list[tuple[Curve, xr.DataArray]], unit: str) -> Scale:
    """Choose the prefix that suits all of some curves."""
    found = [r for _, v in drawn if (r := find_finite_range(as_floats(v.values)))]
    return choose_scale(max((max(map(abs, r)) for r in found), default=0.0), unit)


def _find_empty_corner(figure: Any, xs: list[Any], ys: list[Any]) -> str:
    """Return the corner in which the fewest cells are: there the legend hides least."""
    corners = {"top_right": 0, "top_left": 0, "bottom_right": 0, "bottom_left": 0}
    for x, y in zip(xs, ys, strict=True):
        across, up = (
            (np.asarray(v) - r.start) / ((r.end - r.start) or 1.0)
            for v, r in ((x, figure.x_range), (y, figure.y_range))
        )
        sides, heights = {"left": across < 0.3, "right": across > 0.7}, {"top": up > 0.65, "bottom": up < 0.35}
        for corner in corners:
            height, _, side = corner.partition("_")
            corners[corner] += int(np.count_nonzero(heights[height] & sides[side]))
    return min(corners, key=lambda corner: corners[corner])


def _fit_ranges(figure: Any, sources: list[Any]) -> None:
    """Let the vertical axis follow what is drawn, and the horizontal one where that lies elsewhere than before."""
    names = [("xs", "ys") if "xs" in s.data else ("x", "y") for s in sources]
    for axis, room in ((0, 0.01), (1, 0.06)):
        drawn = [s.data[n[axis]] for s, n in zip(sources, names, strict=True)]
        parts = [np.asarray(p, np.float64) for d in drawn for p in (d if isinstance(d, list) else [d]) if np.size(p)]
        found = find_finite_range(np.concatenate(parts)) if parts else None
        if found is None:
            continue
        span = (found[1] - found[0]) or abs(found[0]) or 1.0
        low, high = found[0] - room * span, found[1] + room * span
        range_ = figure.y_range if axis else figure.x_range
        if axis or (range_.reset_start, range_.reset_end) != (low, high):
            range_.update(start=low, end=high, reset_start=low, reset_end=high)
