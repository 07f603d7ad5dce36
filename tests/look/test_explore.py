"""The explorer moves as it is told to, and reads only what it shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.errors import MissingExtraError, ResultError, UsidError
from usidx.look.explore import Explorer, build, explore, save_explorer
from usidx.look.explorer.scene import make_scene, start_at
from usidx.simulate import band_excitation

SCAN, TRUTH = band_excitation((6, 8), 10)


def made(array: xr.DataArray, reduce: str = "index", **at: float) -> Explorer:
    scene = make_scene(array)
    return build(scene, start_at(scene, at), reduce)


def shown(dynamic: Any) -> Any:
    """Return what a linked picture shows now, as the browser would get it."""
    import holoviews as hv

    return hv.renderer("bokeh").get_plot(dynamic)


def map_values(explorer: Explorer) -> Any:
    image = next(iter(explorer.map[()].traverse(lambda e: e, ["Image"])))
    return image.dimension_values("value", flat=False)


def curve_values(explorer: Explorer) -> Any:
    return next(iter(explorer.spectrum[()].traverse(lambda e: e, ["Curve"]))).dimension_values("response")


def test_it_begins_where_it_is_told() -> None:
    explorer = made(SCAN, Y=1e-6, X=5e-6, Frequency=321e3)
    at = SCAN.sel(Y=1e-6, X=5e-6, method="nearest")
    np.testing.assert_allclose(curve_values(explorer), 1e3 * np.abs(at), rtol=1e-5)
    expected = 1e3 * np.abs(SCAN.sel(Frequency=321e3, method="nearest"))
    np.testing.assert_allclose(map_values(explorer), expected, rtol=1e-5)


def test_a_click_chooses_the_place_and_holds_it() -> None:
    explorer = made(SCAN)
    tap, pointer = explorer.pointers["click"], explorer.pointers["pointer"]
    tap.event(x=0.0, y=0.0)
    np.testing.assert_allclose(curve_values(explorer), 1e3 * np.abs(SCAN[0, 0]), rtol=1e-5)
    assert explorer.widgets["follow"].value is False
    pointer.event(x=5.0, y=0.0)
    assert explorer.place.contents == {"place0": 0, "place1": 0}
    explorer.widgets["follow"].value = True
    pointer.event(x=5.0, y=0.0)
    assert explorer.place.contents == {"place0": 0, "place1": 7}
    pointer.event(x=None, y=None)
    assert explorer.place.contents == {"place0": 0, "place1": 7}


def test_a_slider_changes_the_map_and_a_part_both() -> None:
    explorer = made(SCAN)
    explorer.widgets["step0"].value = 2
    np.testing.assert_allclose(map_values(explorer), 1e3 * np.abs(SCAN.isel(Frequency=2)), rtol=1e-5)
    explorer.widgets["part"].value = "phase"
    np.testing.assert_allclose(map_values(explorer), np.angle(SCAN.isel(Frequency=2)), rtol=1e-5)
    np.testing.assert_allclose(curve_values(explorer), np.angle(SCAN[3, 4]), rtol=1e-5)


def test_a_click_into_the_spectrum_chooses_the_step() -> None:
    explorer = made(SCAN.chunk())
    explorer.pointers["step"].event(x=300.0, y=0.0)
    assert explorer.widgets["step0"].value == 0
    np.testing.assert_allclose(map_values(explorer), 1e6 * np.abs(SCAN.isel(Frequency=0)), rtol=1e-5)


def test_another_dim_can_run_to_the_right() -> None:
    loop, _ = band_excitation((3, 4), 6, dc_steps=8)
    explorer = made(loop)
    explorer.widgets["along"].value = "DC_Offset"
    np.testing.assert_allclose(curve_values(explorer), 1e3 * np.abs(loop[1, 2, :, 3]), rtol=1e-5)


def test_the_mean_over_a_few_steps() -> None:
    explorer = made(SCAN, reduce="mean")
    expected = 1e3 * np.abs(SCAN.isel(Frequency=[1, 3, 6, 8])).mean(axis=-1)
    np.testing.assert_allclose(map_values(explorer), expected, rtol=1e-5)


def test_only_what_is_looked_at_is_read() -> None:
    read: list[Any] = []

    def block(block_info: Any = None) -> Any:
        where = block_info[None]
        read.append(where["chunk-location"])
        return np.ones(where["chunk-shape"])

    chunks = ((2, 2, 2, 2), (8,), (3, 3, 3))
    lazy = da.map_blocks(block, chunks=chunks, dtype=float, meta=np.empty((0, 0, 0)))
    roles = {"Y": "position", "X": "position", "E": "spectroscopic"}
    coords = {d: (d, np.arange(n), {"usid_role": r}) for (d, r), n in zip(roles.items(), (8, 8, 9), strict=True)}
    explorer = made(xr.DataArray(lazy, dims=tuple(roles), coords=coords), Y=5, X=0, E=4)
    assert read == []
    shown(explorer.map)
    assert set(read) == {(n, 0, 1) for n in range(4)}
    del read[:]
    shown(explorer.spectrum)
    assert set(read) == {(2, 0, n) for n in range(3)}
    del read[:]
    explorer.pointers["click"].event(x=7, y=0)
    assert set(read) == {(0, 0, n) for n in range(3)}
    assert len(read) == 3
    del read[:]
    explorer.widgets["step0"]._process_events({"value": 8})  # as a browser says it
    assert read == []  # dragging reads nothing; letting go does


ODD = xr.DataArray(np.zeros((3, 4, 5)), dims=("<b>a</b>", "$$x$$", "c"), name="<script>alert(1)</script>")
POINTS = {k: ("position", np.random.default_rng(0).normal(size=20), {"units": "um"}) for k in ("X", "Y")}


@pytest.mark.parametrize(
    "array",
    [
        SCAN,
        SCAN.chunk(Y=2),
        SCAN.isel(X=[0, 1, 2, 5]),
        SCAN.isel(Y=slice(None, None, -1)),
        SCAN.isel(Y=2),
        SCAN.isel(Y=2, X=2),
        SCAN.isel(Frequency=2),
        TRUTH.topography,
        TRUTH.topography * np.nan,
        SCAN * np.nan,
        TRUTH.domain.expand_dims(time=3),
        (TRUTH.topography > 0).expand_dims(time=1),
        xr.DataArray(np.ones((20, 3), "uint8"), dims=("position", "E"), coords=POINTS),
        ODD,
    ],
    ids=[
        "image",
        "lazy",
        "uneven",
        "falling",
        "line",
        "pure spectrum",
        "mere complex image",
        "mere image",
        "nothing finite",
        "nothing finite anywhere",
        "labels",
        "booleans",
        "points",
        "odd names",
    ],
)
def test_anything_can_be_explored(array: xr.DataArray) -> None:
    explore(array).get_root()


@pytest.mark.parametrize("array", [SCAN, ODD], ids=["image", "odd names"])
def test_what_is_saved_needs_no_network(array: xr.DataArray, tmp_path: Path) -> None:
    page = save_explorer(tmp_path / "new" / "page.html", explore(array))
    text = page.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="https?:', text)
    assert not re.search(r"https?://[^\"'\s]*\.(css|js)[\"'?]", text)
    assert "data:text/css;base64," in text
    assert re.search(r"<head[^>]*>\s*<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';", text)


def test_refuses() -> None:
    with pytest.raises(UsidError, match="Unknown reduce 'sum'"):
        explore(SCAN, reduce="sum")  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["panel", "holoviews"])
def test_a_missing_package_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"panel": "panel", "holoviews": "holoviews.plotting.bokeh"}[package]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"Exploring needs the package '{package}'.*usidx\[plot\]"):
        explore(SCAN)


def test_phases_come_round_in_colour() -> None:
    """The colours of -180 and 180 degrees are the same, and those between differ."""
    phases = xr.DataArray(
        np.linspace(-180, 180, 48).reshape(6, 8), dims=("Y", "X"), name="Phase", attrs={"units": "deg"}
    )
    drawn = next(iter(made(phases).map[()].traverse(lambda e: e, ["Image"])))
    palette = drawn.opts.get("style").kwargs["cmap"]
    first, last = (np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) for colour in (palette[0], palette[-1]))
    assert np.abs(first - last).max() < 8
    assert len(set(palette)) > 200


def test_a_result_says_what_of_it_can_be_explored() -> None:
    result = SCAN.usid.svd(2)
    for call in (result.usid.explore, lambda: explore(result)):
        with pytest.raises(ResultError, match=r"has 4 variables: result\['scores'\].usid.explore\(\)"):
            call()
    with pytest.raises(ResultError, match=r"result.usid.evaluate\(\).usid.explore\(\)"):
        SCAN.usid.sho_fit().usid.explore()
    with pytest.raises(ResultError, match="none of them holds numbers"):
        explore(xr.Dataset({"text": "a"}))


def test_the_browser_learns_where_a_slider_of_lazy_data_rests() -> None:
    """Only a script in the browser can tell it: the property that panel would have to set is read-only in Python."""
    lazy, loaded = (made(array).widgets["step0"].get_root() for array in (SCAN.chunk(), SCAN))
    (script,) = lazy.js_property_callbacks["change:value"]
    assert "setv({value_throttled: cb_obj.value})" in script.code
    assert not loaded.js_property_callbacks
