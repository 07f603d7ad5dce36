"""Cells lie where the data lies, whichever way the axes run; curves and histograms over their axes."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("bokeh.models", reason="bokeh is not installed")

from usidx.look.explorer.pictures.curves import CurvePicture
from usidx.look.explorer.pictures.histogram import HistogramPicture
from usidx.look.explorer.pictures.maps import MapPicture, choose_map_size
from usidx.look.explorer.pictures.shades import Taste
from usidx.look.explorer.reading.scene import make_scene
from usidx.look.explorer.reading.subject import BLUE, Curve

Y, X, E = np.array([0.0, 1e-9, 2e-9]), np.array([0.0, 1e-9, 2e-9, 3e-9]), np.array([-1.0, 0.0, 1.0, 2.0, 3.0])


def scan(y: Any = Y, x: Any = X, e: Any = E) -> xr.DataArray:
    roles = {"Y": ("position", y, "m"), "X": ("position", x, "m"), "Bias": ("spectroscopic", e, "V")}
    coords = {d: (d, v, {"usid_role": role, "units": unit}) for d, (role, v, unit) in roles.items()}
    values = np.arange(float(len(y) * len(x) * len(e))).reshape(len(y), len(x), len(e))
    return xr.DataArray(values, coords=coords, dims=tuple(roles), attrs={"long_name": "Current", "units": "A"})


@pytest.mark.parametrize("down", [False, True])
def test_cells_of_an_image_are_where_they_were_measured(down: bool) -> None:
    data = scan(y=Y[::-1] if down else Y)
    picture = MapPicture(make_scene(data))
    picture.show(data[:, :, 0], Taste(), "here")
    drawn = picture.figure.renderers[0].data_source.data
    # In nm, as the axes are, from half a cell before the first place to half a cell behind the last.
    assert [drawn[k][0] for k in ("x", "y", "dw", "dh")] == pytest.approx([-0.5, -0.5, 4.0, 3.0])
    # The lowest row of the picture is that of the smallest Y.
    np.testing.assert_array_equal(drawn["image"][0][0], data.sel(Y=0.0).values[:, 0])


def test_the_plot_keeps_the_shape_of_the_scan() -> None:
    wide = choose_map_size(make_scene(scan(y=np.array([0.0, 1e-9]))), 1.0)
    assert wide["frame_height"] == pytest.approx(wide["frame_width"] / 2, abs=1)


def test_the_marker_is_at_the_place_that_is_looked_at() -> None:
    data = scan()
    picture = MapPicture(make_scene(data))
    picture.show(data[:, :, 0], Taste(), "here")
    picture.mark({"Y": 2, "X": 1})
    rings = [r for r in picture.figure.renderers if getattr(r.glyph, "size", None) == 13]
    assert [dict(r.data_source.data) for r in rings] == [{"x": [1.0], "y": [2.0]}] * 2


def test_limits_that_are_drawn_hold_before_percentiles() -> None:
    data = scan()
    picture = MapPicture(make_scene(data))
    picture.show(data[:, :, 0], Taste(low=10, high=90, limits=(5.0, 20.0)), "here")
    assert picture.limits == (5.0, 20.0)


def test_a_drag_over_the_histogram_tells_the_limits() -> None:
    from bokeh.events import SelectionGeometry

    told: list[tuple[float, float]] = []
    histogram = HistogramPicture(400, lambda low, high: told.append((low, high)))
    histogram.show(np.array([0.0, 1.0, 1.0, np.nan, 10.0]), (1.0, 9.0), "Current (A)")
    drawn = histogram.figure.renderers[0].data_source.data
    assert sorted(n for n in drawn["count"] if n) == pytest.approx([1.0, 1.0, np.sqrt(2)])
    assert (drawn["left"][0], drawn["right"][-1]) == (0.0, 10.0)
    for final in (False, True):
        geometry = {"type": "rect", "x0": 8.0, "x1": 2.0, "y0": 0, "y1": 1}
        histogram.figure._trigger_event(SelectionGeometry(histogram.figure, geometry=geometry, final=final))
    assert told == [(2.0, 8.0)]


def test_a_spectrum_is_drawn_over_its_axis() -> None:
    picture = CurvePicture()
    picture.show([Curve(scan()[1, 2], "", BLUE)], "Bias", "magnitude", "here")
    drawn = next(r for r in picture.figure.renderers if r.name == "usidx-lines").data_source.data
    np.testing.assert_array_equal(drawn["xs"][0], E)
    np.testing.assert_array_equal(drawn["ys"][0], scan().values[1, 2])


def test_the_legend_leaves_the_curves_to_be_seen() -> None:
    rising, falling = (scan()[0, 0].copy(data=v) for v in ([0.0, 0, 0, 5, 9], [9.0, 5, 0, 0, 0]))
    corners = []
    for line in (rising, falling):
        picture = CurvePicture()
        picture.show([Curve(line, name, BLUE) for name in "ab"], "Bias", "magnitude", "here")
        corners.append(picture.figure.legend[0].location)
    assert corners == ["top_left", "top_right"]
