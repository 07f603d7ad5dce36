"""Simulated force curves against the equations that their docstring states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError
from usidx.simulate import force_map

RADIUS, POISSON, ANGLE = 2.5e-6, 0.5, np.radians(35)


def law(truth: xr.Dataset, model: str) -> xr.DataArray:
    reduced = truth.modulus / (1 - POISSON**2)
    found: xr.DataArray = reduced * (2 / np.pi * np.tan(ANGLE) if model == "cone" else 4 / 3 * np.sqrt(RADIUS))
    return found


@pytest.mark.parametrize(("model", "power"), [("hertz", 1.5), ("cone", 2.0)])
def test_forces_obey_the_law_of_contact(model: Any, power: float) -> None:
    curves, truth = force_map((3, 3), 400, model=model, noise=0.0, tilt=1e-3)
    level = curves - 1e-3 * (1e-6 - curves.height)
    into = truth.contact_point - curves.height - level / 0.2
    touches = abs(level) > 1e-15
    expected = law(truth, model) * into.clip(0) ** power - truth.adhesion
    np.testing.assert_allclose(level.where(touches, 0), expected.where(touches, 0).transpose(*level.dims), atol=1e-15)
    goes = (curves.segment == 0) & (curves.height > truth.contact_point)
    assert not touches.where(goes, False).any()
    back = level.where(curves.segment > 0)
    assert (abs(-back.min("time") / truth.adhesion - 1) < 0.15).all()  # the last sample before the tip is torn off
    assert (truth.work > 0).all()
    area = -level.where((curves.segment > 0) & (level < 0), 0).sum("time") * 1e-6 / 399
    assert (abs(area / truth.work - 1) < 0.1).all()


def test_a_sphere_that_sticks_is_that_of_johnson_kendall_and_roberts() -> None:
    curves, truth = force_map((3, 3), 4000, model="jkr", noise=0.0, tilt=0.0)
    energy = truth.adhesion / (1.5 * np.pi * RADIUS)
    reduced = truth.modulus / (1 - POISSON**2)
    radius = xr.DataArray(np.linspace(5e-8, 1.5e-6, 20001), dims="a")
    force = 4 * reduced * radius**3 / (3 * RADIUS) - np.sqrt(8 * np.pi * energy * reduced * radius**3)
    depth = radius**2 / RADIUS - np.sqrt(2 * np.pi * energy * radius / reduced)
    for y, x in np.ndindex(3, 3):
        f, d = force[:, y, x] if force.dims[0] == "a" else force.isel(Y=y, X=x), depth.isel(Y=y, X=x)
        way = (d + f / 0.2).values
        holds = slice(int(np.argmin(way)), None)
        seen = curves[y, x].where(curves.segment > 0, drop=True)
        on = truth.contact_point.values[y, x] - seen.height.values
        expected = np.interp(on, way[holds], f.values[holds])
        np.testing.assert_allclose(seen.values, np.where(on >= way.min(), expected, 0), atol=2e-12)
    np.testing.assert_allclose(-curves.min("time"), truth.adhesion, rtol=1e-3)


def test_figures_at_the_end_of_the_approach() -> None:
    curves, truth = force_map((2, 3), 300, noise=0.0, tilt=0.0, adhesion=0.0)
    top = curves.isel(time=299)
    np.testing.assert_allclose(truth.indentation, truth.contact_point - top / 0.2, rtol=1e-9)
    np.testing.assert_allclose(truth.stiffness, 1.5 * top / truth.indentation, rtol=1e-9)
    assert (truth.snap_in == 0).all()


@pytest.mark.parametrize("model", ["hertz", "jkr"])
def test_blocks_and_files_hold_the_same_map(model: Any, tmp_path: Path) -> None:
    curves, truth = force_map((4, 3), 50, model=model, pause=5)
    assert curves.segment.values.tolist() == [0] * 50 + [1] * 5 + [2] * 50
    lazy, lazy_truth = force_map((4, 3), 50, model=model, pause=5, chunks={"Y": 3, "time": 20})
    xr.testing.assert_identical(lazy.compute(), curves)
    xr.testing.assert_identical(lazy_truth.compute(), truth)
    usidx.write(curves, tmp_path / "map.h5", progress=False)
    again = usidx.open_main(tmp_path / "map.h5")
    np.testing.assert_array_equal(again, curves)
    for name in ("height", "segment"):
        np.testing.assert_array_equal(again[name], curves[name])
    assert again.height.units == "m"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": (0, 2)}, "rows=0"),
        ({"samples": 0}, "samples=0"),
        ({"model": "flat"}, "Unknown model 'flat'"),
        ({"model": "jkr", "adhesion": 0.0}, "adhesion=0.0"),
        ({"dtype": "int32"}, "A force is real"),
    ],
)
def test_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsidError, match=text):
        force_map(**options)
