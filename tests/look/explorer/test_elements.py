"""Elements lie where the data lies, whichever way the axes run."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.look.explorer.elements import (
    add_margins,
    choose_map_size,
    find_step,
    make_curve,
    make_map_element,
    make_marker,
)
from usidx.look.explorer.scene import make_scene

# Loads the means to draw, as the explorer does.
pytest.importorskip("holoviews.plotting.bokeh")

Y, X, E = np.array([0.0, 1e-9, 2e-9]), np.array([0.0, 1e-9, 2e-9, 3e-9]), np.array([-1.0, 0.0, 1.0, 2.0, 3.0])


def scan(y: Any = Y, x: Any = X, e: Any = E) -> xr.DataArray:
    roles = {"Y": ("position", y, "m"), "X": ("position", x, "m"), "Bias": ("spectroscopic", e, "V")}
    coords = {d: (d, v, {"usid_role": role, "units": unit}) for d, (role, v, unit) in roles.items()}
    values = np.arange(float(len(y) * len(x) * len(e))).reshape(len(y), len(x), len(e))
    return xr.DataArray(values, coords=coords, dims=tuple(roles), attrs={"long_name": "Current", "units": "A"})


@pytest.mark.parametrize("down", [False, True])
def test_cells_of_an_image_are_where_they_were_measured(down: bool) -> None:
    data = scan(y=Y[::-1] if down else Y)
    drawn = make_map_element(make_scene(data), data[:, :, 0], "here")
    # At the place of the first row and the second column: in nm, as the axes are.
    assert drawn[1.0, 2.0 if down else 0.0] == data.values[0, 1, 0]
    assert drawn.bounds.lbrt() == pytest.approx((-0.5, -0.5, 3.5, 2.5))


def test_the_plot_keeps_the_shape_of_the_scan() -> None:
    wide = choose_map_size(make_scene(scan(y=np.array([0.0, 1e-9]))))
    assert wide["frame_height"] == pytest.approx(wide["frame_width"] / 2, abs=1)
    assert add_margins({"frame_width": 300, "frame_height": 200}, has_bar=False) == {"width": 405, "height": 285}


def test_the_marker_is_at_the_place_that_is_looked_at() -> None:
    ring = make_marker(make_scene(scan()), {"Y": 2, "X": 1}).get(0)
    assert ring.array().tolist() == [[1.0, 2.0]]


def test_a_spectrum_is_drawn_over_its_axis() -> None:
    drawn = make_curve(scan()[1, 2], "Bias", "here")
    np.testing.assert_array_equal(drawn.dimension_values("along"), E)
    np.testing.assert_array_equal(drawn.dimension_values("response"), scan().values[1, 2])


def test_the_nearest_step_is_chosen() -> None:
    scene = make_scene(scan())
    assert [find_step(scene, "Bias", x) for x in (-9.0, 0.4, 0.6, 9.0)] == [0, 1, 2, 4]
