"""Atoms over their image, by HoloViews."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.colours import Shades, choose_colours
from usidx.look.draw.downsample import as_floats
from usidx.look.draw.numbers import escape_formulas, find_quantity, write_label
from usidx.look.draw.spots import Spots
from usidx.look.draw.wishes import Wishes
from usidx.look.interactive.elements import list_palette, load_holoviews, make_map, name_value, set_title

__all__ = ["lay_out_atoms"]

_WIDE = 420
_RED, _YELLOW = "#ff3b30", "#ffd60a"
_TURN = np.linspace(0, 2 * np.pi, 25)


def lay_out_atoms(image: xr.DataArray | None, spots: Spots, wishes: Wishes) -> Any:
    """Draw atoms over their image, if there is one, with ellipses and arrows."""
    layers = []
    shades, aspect = wishes.shades, spots.aspect
    if image is not None:
        grey = Shades("gray") if spots.color is not None or shades.cmap is None else shades
        layers.append(make_map(image, grey, "", wishes.scalebar, _WIDE).opts(colorbar=False, backend="bokeh"))
        aspect = image.sizes[image.dims[0]] / image.sizes[image.dims[1]]
    if spots.ellipses is not None:
        layers.append(_make_ellipses(spots))
    layers.append(_make_marks(spots, shades))
    if spots.arrows is not None:
        layers.append(_make_arrows(spots))
    drawn = load_holoviews().Overlay(layers)
    return set_title(drawn, wishes.title or "", _WIDE, aspect)


def _make_marks(spots: Spots, shades: Shades) -> Any:
    hv = load_holoviews()
    looks: dict[str, Any] = {"size": 6, "tools": ["hover"], "fill_alpha": 0.0, "line_color": _RED}
    data, named = [spots.x, spots.y], []
    labels = {"x": spots.labels[0], "y": spots.labels[1]}
    if spots.color is not None:
        values = as_floats(spots.color.values)
        colours = choose_colours(spots.color, values, shades)
        data, named = [*data, values * colours.factor], ["figure"]
        labels["figure"] = write_label(find_quantity(spots.color), colours.unit)
        looks |= {"color": "figure", "cmap": list_palette(colours), "clim": (colours.low, colours.high)}
        looks |= {"colorbar": True, "clabel": escape_formulas(labels["figure"]), "fill_alpha": 1.0, "line_alpha": 0.0}
    made = hv.Points(tuple(data), ["x", "y"], named).opts(**looks, backend="bokeh")
    return name_value(made, labels)


def _make_ellipses(spots: Spots) -> Any:
    assert spots.ellipses is not None
    width, height, angle = (column[:, np.newaxis] for column in spots.ellipses.T)
    along, beside = width / 2 * np.cos(_TURN), height / 2 * np.sin(_TURN)
    x = spots.x[:, np.newaxis] + along * np.cos(angle) - beside * np.sin(angle)
    y = spots.y[:, np.newaxis] + along * np.sin(angle) + beside * np.cos(angle)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    paths = list(np.stack([x[known], y[known]], axis=-1))
    return load_holoviews().Path(paths, ["x", "y"]).opts(color=_RED, backend="bokeh")


def _make_arrows(spots: Spots) -> Any:
    assert spots.arrows is not None
    ends = (spots.x, spots.y, spots.x + spots.arrows[:, 0], spots.y + spots.arrows[:, 1])
    made = load_holoviews().Segments(ends, ["x", "y", "x_end", "y_end"])
    return made.opts(color=_YELLOW, line_width=2, backend="bokeh")
