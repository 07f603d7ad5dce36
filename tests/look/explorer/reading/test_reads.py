"""Maps and means that are read block by block are those of the whole array, and end when they are cancelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.look.explorer.reading import reads
from usidx.look.explorer.reading.reads import Region, read_region, read_step, read_window
from usidx.look.explorer.reading.scene import make_scene
from usidx.look.explorer.reading.work import Cancelled, Task

Y, X, E = 7, 5, 11
VALUES = np.random.default_rng(0).normal(3, 1, (Y, X, E))


def scan(values: Any = VALUES) -> xr.DataArray:
    roles = {"Y": ("position", "m"), "X": ("position", "m"), "Energy": ("spectroscopic", "eV")}
    coords = {
        d: (d, np.linspace(1, 2, n), {"usid_role": role, "units": unit})
        for (d, (role, unit)), n in zip(roles.items(), values.shape, strict=True)
    }
    return xr.DataArray(values, coords, tuple(roles), name="Raw", attrs={"units": "A", "long_name": "Current"})


def task() -> Task:
    return Task("map", "Reading", lambda _: None)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the array into blocks of two rows."""
    monkeypatch.setattr(reads, "_BLOCK_BYTES", 2 * X * E * 8)


def test_a_step_is_read_in_blocks() -> None:
    shown: list[Any] = []
    values = read_step(make_scene(scan()), {"Energy": 4}, task(), shown.append)
    np.testing.assert_array_equal(values, VALUES[:, :, 4])
    assert shown == []


def test_a_large_map_is_shown_coarse_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_AT_ONCE", 10)
    monkeypatch.setattr(reads, "_GLANCE", 3)
    shown: list[xr.DataArray] = []
    read_step(make_scene(scan()), {"Energy": 4}, task(), shown.append)
    np.testing.assert_array_equal(shown[0], VALUES[::3, ::2, 4])


@pytest.mark.parametrize("complex_", [False, True])
def test_a_window_is_reduced(complex_: bool) -> None:
    values = VALUES * (1j if complex_ else 1)
    amounts = np.abs(VALUES[:, :, 3:9]) if complex_ else VALUES[:, :, 3:9]
    scene, window = make_scene(scan(values)), {"Energy": (3, 9)}
    mean = read_window(scene, window, "mean", {}, task())
    np.testing.assert_allclose(mean, amounts.mean(axis=-1))
    assert mean.attrs["units"] == "A"
    np.testing.assert_allclose(read_window(scene, window, "sum", {}, task()), amounts.sum(axis=-1))
    centre = read_window(scene, window, "centre", {}, task())
    along = np.linspace(1, 2, E)[3:9]
    np.testing.assert_allclose(centre, (amounts * along).sum(axis=-1) / amounts.sum(axis=-1))
    assert centre.attrs["units"] == "eV"


def test_a_region_has_a_mean_and_a_spread() -> None:
    cells = np.zeros((4, 3), bool)
    cells[0, 1] = cells[2, 2] = cells[3, 0] = True
    region = Region({"Y": (2, 6), "X": (1, 4)}, cells)
    mean, spread = read_region(make_scene(scan(VALUES + 1e6)), region, {}, task())
    chosen = VALUES[2:6, 1:4][cells]
    np.testing.assert_allclose(mean - 1e6, chosen.mean(axis=0), atol=1e-8)
    np.testing.assert_allclose(spread, chosen.std(axis=0), atol=1e-8)


def test_reading_ends_when_nobody_wants_it() -> None:
    begun = task()
    begun.cancel()
    with pytest.raises(Cancelled):
        read_window(make_scene(scan()), {"Energy": (0, 3)}, "mean", {}, begun)
