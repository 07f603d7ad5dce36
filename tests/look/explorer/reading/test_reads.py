"""Maps and means that are read block by block are those of the whole array, and end when they are cancelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.look.explorer.reading import growing, reads
from usidx.look.explorer.reading.growing import Draft
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


def ignore(_: Draft) -> None:
    """Show nothing."""


def test_a_small_array_is_read_at_once() -> None:
    shown: list[Draft] = []
    whole = read_step(make_scene(scan()), {"Energy": 4}, task(), shown.append)
    np.testing.assert_array_equal(whole.values, VALUES[:, :, 4])
    assert whole.part == 1
    assert whole.values.attrs["units"] == "A"
    assert shown == []


@pytest.mark.parametrize("stored", [1, 3])
def test_a_map_that_takes_long_is_shown_coarse_first(monkeypatch: pytest.MonkeyPatch, stored: int) -> None:
    monkeypatch.setattr(reads, "_AT_ONCE", 0)
    monkeypatch.setattr(growing, "_FIRST_DRAFT", -1)  # a draft after each block
    monkeypatch.setattr(growing, "_LEAST_BLOCKS", 2)
    monkeypatch.setattr(growing, "_AIM", 0)
    data = scan()
    data.encoding["preferred_chunks"] = {"Y": stored}
    shown: list[Draft] = []
    whole = read_step(make_scene(data), {"Energy": 4}, task(), shown.append)
    np.testing.assert_array_equal(whole.values, VALUES[:, :, 4])
    first = shown[0]
    assert first.complete("Energy 1.4 eV") == f"Energy 1.4 eV, coarse: {first.part:.0%} read"
    # Of blocks of one row the first and the fifth are read; of those of three, the first and the last.
    nearest = [0, 0, 0, 4, 4, 4, 4] if stored == 1 else [0, 1, 2, 2, 2, 6, 6]
    assert first.part == pytest.approx(len(set(nearest)) / Y)
    np.testing.assert_array_equal(first.values, VALUES[nearest, :, 4])


def test_what_nobody_sees_grow_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_AT_ONCE", 0)
    monkeypatch.setattr(growing, "_ENOUGH_BLOCKS", 3)
    monkeypatch.setattr(growing, "_AIM", 0)
    prompt = Task("map", "Reading", lambda _: None, is_alone=True, patience=-1)
    found = read_step(make_scene(scan()), {"Energy": 4}, prompt, ignore)
    assert found.part < 1
    np.testing.assert_array_equal(found.values[0], VALUES[0, :, 4])


@pytest.mark.parametrize("at_once", [0, 10**9])
@pytest.mark.parametrize("complex_", [False, True])
def test_a_window_is_reduced(monkeypatch: pytest.MonkeyPatch, complex_: bool, at_once: int) -> None:
    monkeypatch.setattr(reads, "_AT_ONCE", at_once)
    values = VALUES * (1j if complex_ else 1)
    amounts = np.abs(VALUES[:, :, 3:9]) if complex_ else VALUES[:, :, 3:9]
    scene, window = make_scene(scan(values)), {"Energy": (3, 9)}
    mean = read_window(scene, window, "mean", {}, task(), ignore).values
    np.testing.assert_allclose(mean, amounts.mean(axis=-1))
    assert mean.attrs["units"] == "A"
    np.testing.assert_allclose(read_window(scene, window, "sum", {}, task(), ignore).values, amounts.sum(axis=-1))
    centre = read_window(scene, window, "centre", {}, task(), ignore).values
    along = np.linspace(1, 2, E)[3:9]
    np.testing.assert_allclose(centre, (amounts * along).sum(axis=-1) / amounts.sum(axis=-1))
    assert centre.attrs["units"] == "eV"


def test_blocks_of_dask_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_AT_ONCE", 0)
    lazy = scan().chunk(Y=(2, 4, 1))
    seen: list[int] = []

    def watch(block: Any) -> Any:
        seen.append(len(block))
        return block

    watched = lazy.copy(data=lazy.data.map_blocks(watch, dtype=float, meta=np.zeros((0, 0, 0))))
    found = read_step(make_scene(watched), {"Energy": 4}, task(), ignore)
    np.testing.assert_array_equal(found.values, VALUES[:, :, 4])
    assert sorted(seen) == [1, 2, 4]


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
        read_window(make_scene(scan()), {"Energy": (0, 3)}, "mean", {}, begun, ignore)
