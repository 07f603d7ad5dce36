"""What is drawn on a map means the cells inside it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from usidx.look.explorer.reading.regions import make_disk, make_profile, make_region
from usidx.look.explorer.reading.scene import make_scene

# In nm, as the axes of the map are.
SIDE = {"usid_role": "position", "units": "m"}
IMAGE = xr.DataArray(
    np.arange(30.0).reshape(5, 6),
    {"Y": ("Y", np.arange(5) * 1e-9, SIDE), "X": ("X", np.arange(6) * 1e-9, SIDE)},
    ("Y", "X"),
)
SCENE = make_scene(IMAGE)


def test_a_box_holds_rows_and_columns() -> None:
    region = make_region(SCENE, {"type": "rect", "x0": 0.5, "x1": 3.2, "y0": 0.9, "y1": 2.1})
    assert region is not None
    assert region.box == {"Y": (1, 3), "X": (1, 4)}
    assert region.cells.all()


def test_a_lasso_holds_what_is_inside() -> None:
    triangle = {"type": "poly", "x": [-0.5, 4.4, -0.5], "y": [-0.5, -0.5, 4.4]}
    region = make_region(SCENE, triangle)
    assert region is not None
    rows, columns = (found.tolist() for found in np.nonzero(region.cells))
    inside = {(y, x) for y in range(5) for x in range(6) if x + y < 4}
    assert {(r + region.box["Y"][0], c + region.box["X"][0]) for r, c in zip(rows, columns, strict=True)} == inside


def test_nothing_is_no_region() -> None:
    assert make_region(SCENE, {"type": "rect", "x0": 9, "x1": 10, "y0": 0, "y1": 1}) is None
    assert make_region(SCENE, {"type": "poly", "x": [1.0], "y": [1.0]}) is None


def test_a_ring_lies_between_two_radii() -> None:
    ring = make_disk(SCENE, (2.0, 2.0), 0.5, 1.1)
    assert ring is not None
    assert {tuple(cell) for cell in np.argwhere(ring.cells).tolist()} == {(1, 2), (2, 1), (2, 3), (3, 2)}


def test_a_profile_follows_a_ramp() -> None:
    profile = make_profile(SCENE, IMAGE, (0.0, 1.0), (3.0, 1.0))
    assert float(profile[0]) == pytest.approx(6)
    assert float(profile[-1]) == pytest.approx(9)
    assert float(profile.distance[-1]) == pytest.approx(3)
    assert profile.distance.attrs["units"] == "nm"
