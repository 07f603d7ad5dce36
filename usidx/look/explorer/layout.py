"""A view to the models that show it."""

from __future__ import annotations

from typing import Any

from usidx.look.draw.extras import require
from usidx.look.explorer.sides.pattern_side import PatternSide
from usidx.look.explorer.view import View

__all__ = ["lay_out", "wrap"]

_PURPOSE = "`usidx view`"
# What the controls of the colours need, all in one line.
_CONTROLS = 500
# Of the curves, which then still stand beside the map on the screen of a laptop, 1280 wide.
_NARROWEST = 360


def wrap(*children: Any, **options: Any) -> Any:
    """Put models in a row that goes on in the next line where it is full."""
    row = require("bokeh.models", _PURPOSE).Row
    return row(*children, styles={"flex-wrap": "wrap"}, **options)


def lay_out(view: View) -> Any:
    """Put map, curves and controls beside one another."""
    models = require("bokeh.models", _PURPOSE)
    controls = view.controls
    columns = []
    if view.map is not None:
        tools = models.Row(controls.drag, controls.clear, margin=(0, 0, 4, 0))
        colours = [
            controls.colormap,
            controls.percent,
            controls.gamma,
            models.Column(controls.switches, margin=(14, 0, 0, 8)),
        ]
        below = wrap(*colours, width=max(view.map.picture.width, _CONTROLS))
        columns.append(models.Column(tools, view.map.picture.figure, view.map.histogram_box, below))
    beside = [view.map.beside.box] if view.map is not None else []
    if not any(
        view.side.list_kept_dims()
    ):  # an image: beside it is more to be seen than how often which value is there
        columns += beside
        beside = []
    columns.append(_lay_out_signal(models, view))
    choices = [controls.variable, controls.part, controls.along, controls.beside, *controls.sliders.values()]
    shown = [w for w in choices if w.visible]
    if controls.follow.visible:
        shown.append(models.Column(controls.follow, margin=(20, 0, 0, 8)))
    above = [wrap(*shown, sizing_mode="stretch_width")] if shown else []
    rows = [*above, wrap(*columns, sizing_mode="stretch_width"), *beside]
    return models.Column(*rows, sizing_mode="stretch_width")


def _lay_out_signal(models: Any, view: View) -> Any:
    controls, side = view.controls, view.side
    tools = models.Row(controls.reduce, controls.pin, margin=(0, 0, 4, 0))
    if isinstance(side, PatternSide):
        return models.Column(tools, side.picture.figure, controls.radii)
    figures = (side.picture.figure, side.picture.left)
    looks = {"sizing_mode": "stretch_width", "min_width": _NARROWEST, "styles": {"flex": f"1 1 {_NARROWEST}px"}}
    return models.Column(tools, *figures, **looks)
