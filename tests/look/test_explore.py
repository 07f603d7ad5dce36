"""The explorer moves as it is told to, shows arrays, results and trees, and reads only what it shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import MissingExtraError, ResultError, RoleError, UsidError
from usidx.look.explore import explore, save_explorer
from usidx.look.explorer.address import Address
from usidx.look.explorer.pane import Showing
from usidx.look.explorer.reading.scene import make_scene, start_at
from usidx.look.explorer.sides.curve_side import CurveSide
from usidx.look.explorer.subjects import list_subjects
from usidx.look.explorer.view import View
from usidx.simulate import band_excitation, beps, diffraction

pytest.importorskip("panel", reason="panel is not installed")

SCAN, TRUTH = band_excitation((6, 8), 10)


def made(data: Any, reduce: str = "step", source: Any = None, **at: float) -> Showing:
    begun = start_at(make_scene(data), at) if isinstance(data, xr.DataArray) else {}
    return Showing(list_subjects(data, source), Address(index=begun, reduce=reduce))


def view_of(showing: Showing) -> View:
    assert showing.view is not None
    return showing.view


def map_values(showing: Showing) -> Any:
    side = view_of(showing).map
    assert side is not None
    return side.picture.figure.renderers[0].data_source.data["image"][0]


def curves(showing: Showing) -> dict[str, Any]:
    """Return the lines that are drawn by their names."""
    drawn = lines(showing)
    return dict(zip(drawn["name"], drawn["ys"], strict=True))


def lines(showing: Showing) -> Any:
    side = view_of(showing).side
    assert isinstance(side, CurveSide)
    return next(r for r in side.picture.figure.renderers if r.name == "usidx-lines").data_source.data


def curve_values(showing: Showing) -> Any:
    return list(curves(showing).values())[-1]


def click(showing: Showing, x: float, y: float) -> None:
    side = view_of(showing).map
    assert side is not None
    side.choose_place(x, y)


def test_it_begins_where_it_is_told() -> None:
    showing = made(SCAN, Y=1e-6, X=5e-6, Frequency=321e3)
    at = SCAN.sel(Y=1e-6, X=5e-6, method="nearest")
    np.testing.assert_allclose(curve_values(showing), 1e3 * np.abs(at), rtol=1e-5)
    expected = 1e3 * np.abs(SCAN.sel(Frequency=321e3, method="nearest"))
    np.testing.assert_allclose(map_values(showing), expected, rtol=1e-5)


def test_a_click_chooses_the_place_and_holds_it() -> None:
    showing = made(SCAN)
    side, controls = view_of(showing).map, view_of(showing).controls
    assert side is not None
    assert controls.follow.active == [0]
    click(showing, 0.0, 0.0)
    np.testing.assert_allclose(curve_values(showing), 1e3 * np.abs(SCAN[0, 0]), rtol=1e-5)
    assert controls.follow.active == []
    click(showing, float("nan"), 0.0)
    assert view_of(showing).looking.index["X"] == 0


@pytest.mark.parametrize(("key", "place"), [("left", (3, 3)), ("right", (3, 5)), ("up", (4, 4)), ("down", (2, 4))])
def test_a_key_goes_to_the_next_place(key: str, place: tuple[int, int]) -> None:
    showing = made(SCAN)
    view_of(showing).move(key)
    np.testing.assert_allclose(curve_values(showing), 1e3 * np.abs(SCAN[place]), rtol=1e-5)


def test_a_slider_changes_the_map_and_a_part_both() -> None:
    showing = made(SCAN)
    controls = view_of(showing).controls
    controls.sliders["Frequency"].value = 2
    controls.sliders["Frequency"].trigger("value_throttled", 5, 2)
    np.testing.assert_allclose(map_values(showing), 1e3 * np.abs(SCAN.isel(Frequency=2)), rtol=1e-5)
    controls.part.value = "phase"
    np.testing.assert_allclose(map_values(showing), np.angle(SCAN.isel(Frequency=2)), rtol=1e-5)
    np.testing.assert_allclose(curve_values(showing)[~np.isnan(curve_values(showing))], np.angle(SCAN[3, 4]), rtol=1e-5)


def test_another_dim_can_run_to_the_right() -> None:
    loop, _ = band_excitation((3, 4), 6, dc_steps=8)
    showing = made(loop)
    view_of(showing).controls.along.value = "DC_Offset"
    np.testing.assert_allclose(curve_values(showing), 1e3 * np.abs(loop[1, 2, :, 3]), rtol=1e-5)


def test_the_mean_over_a_few_steps() -> None:
    expected = 1e3 * np.abs(SCAN.isel(Frequency=[1, 3, 6, 8])).mean(axis=-1)
    np.testing.assert_allclose(map_values(made(SCAN, reduce="mean")), expected, rtol=1e-5)


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
    array = xr.DataArray(lazy, dims=tuple(roles), coords=coords)
    explore(array, at={"Y": 5})
    assert read == []
    showing = made(array, Y=5, X=0, E=4)
    assert sorted(read) == sorted([*((n, 0, 1) for n in range(4)), *((2, 0, n) for n in range(3))])
    del read[:]
    click(showing, 7, 0)
    assert sorted(read) == [(0, 0, n) for n in range(3)]
    del read[:]
    view_of(showing).controls.sliders["E"].value = 8
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
        xr.Dataset({"a": SCAN.real, "b": SCAN.imag}),
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
        "fields",
        "odd names",
    ],
)
def test_anything_can_be_explored(array: Any) -> None:
    # A page of its own for each showing: what Bokeh draws belongs to one.
    view = explore(array)
    assert view.get_root() is not view.get_root()


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
    with pytest.raises(RoleError, match="No dim 'Z' to start at"):
        explore(SCAN, at={"Z": 1})
    with pytest.raises(ResultError, match="has 1 variables, and none of them holds numbers over a dim"):
        explore(xr.Dataset({"text": "a"}))
    with pytest.raises(ResultError, match="has 0 nodes with data"):
        explore(xr.DataTree())


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "panel", None)
    with pytest.raises(MissingExtraError, match=r"Exploring needs the package 'panel'.*usidx\[plot\]"):
        explore(SCAN)


def test_phases_come_round_in_colour() -> None:
    """The colours of -180 and 180 degrees are the same, and those between differ."""
    phases = xr.DataArray(
        np.linspace(-180, 180, 48).reshape(6, 8), dims=("Y", "X"), name="Phase", attrs={"units": "deg"}
    )
    side = view_of(made(phases)).map
    assert side is not None
    palette = side.picture.figure.renderers[0].glyph.color_mapper.palette
    first, last = (np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) for colour in (palette[0], palette[-1]))
    assert np.abs(first - last).max() < 8
    assert len(set(palette)) > 200


def test_a_fit_is_drawn_over_its_data() -> None:
    fit = usidx.compute(SCAN.usid.sho_fit(), progress=False)
    showing = made(fit, source=SCAN)
    side = view_of(showing).side
    assert isinstance(side, CurveSide)
    fitted = fit.isel(Y=3, X=4).usid.evaluate()
    smooth = curves(showing)["fitted"]
    every = (len(smooth) - 1) // (fitted.size - 1)
    assert every > 5  # between two samples, too
    np.testing.assert_allclose(smooth[::every], 1e3 * np.abs(fitted), rtol=1e-5)
    measured = next(c for c in side.picture.curves if c.name == "measured")
    np.testing.assert_array_equal(measured.values, SCAN[3, 4])
    residual = next(c for c in side.picture.curves if c.style == "residual")
    np.testing.assert_allclose(residual.values, SCAN[3, 4].values - fitted.values, atol=1e-9)
    view_of(showing).controls.variable.value = "phase"
    np.testing.assert_allclose(map_values(showing), fit["phase"], rtol=1e-5)


def test_maps_stand_beside_one_another() -> None:
    fit = usidx.compute(SCAN.usid.sho_fit(), progress=False)
    view = view_of(made(fit))
    view.controls.beside.value = "frequency"
    view.controls.beside.value = "phase"
    assert view.map is not None
    first, (other, last) = view.map.picture.figure, view.map.beside.box.children
    assert (other.x_range, other.y_range) == (first.x_range, first.y_range)
    np.testing.assert_allclose(other.renderers[0].data_source.data["image"][0], fit["frequency"] / 1e3, rtol=1e-5)
    view.controls.beside.value = "frequency"
    assert view.map.beside.box.children == [last]
    assert view.describe()["beside"] == ("phase",)


def test_components_and_clusters_show_their_responses() -> None:
    svd = SCAN.usid.svd(3)
    showing = made(svd)
    np.testing.assert_allclose(curves(showing)["component 0"], np.abs(svd.components[0]), rtol=1e-5)
    clusters = usidx.compute(SCAN.usid.cluster("kmeans", 2), progress=False)
    shown = curves(made(clusters))
    assert list(shown) == ["cluster 0", "cluster 1"]
    np.testing.assert_allclose(shown["cluster 1"], 1e3 * np.abs(clusters.mean_response[1]), rtol=1e-5)


@pytest.mark.slow
def test_loops_are_drawn_round() -> None:
    response = beps((2, 2), 12)[1].response
    loops = usidx.compute(response.usid.loop_fit(), progress=False)
    drawn = lines(made(loops))
    along = drawn["xs"][drawn["name"].index("fitted")]
    bias = response["DC_Offset"].values
    # Through every sample on the way, there and back.
    np.testing.assert_allclose(along[:: (along.size - 1) // (bias.size - 1)], bias)


def test_a_detector_makes_the_map() -> None:
    four = diffraction((3, 4), (12, 12))[0]
    view = view_of(made(four))
    view.controls.radii.value = (0, 100)
    view.controls.radii.trigger("value_throttled", None, (0, 100))
    assert view.map is not None
    assert view.map.values is not None
    np.testing.assert_allclose(view.map.values, four.values.astype(float).sum(axis=(2, 3)))


def test_a_tree_shows_everything_in_it(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    raw = usidx.open_main(path)
    group = usidx.write(usidx.compute(raw.usid.svd(2), progress=False))
    showing = made(usidx.open_tree(path))
    assert [value for value, _ in showing.choice.options] == ["/Measurement_000/Channel_000/Raw_Data", group]
    showing.choice.value = group
    assert view_of(showing).subject.kind == "components"
    usidx.open_tree(path).usid.explore().get_root()


def test_channels_of_a_tree_stand_beside_one_another() -> None:
    tree = xr.DataTree.from_dict({"a": SCAN.real.to_dataset(name="up"), "b": SCAN.imag.to_dataset(name="down")})
    view = view_of(made(tree))
    view.controls.beside.value = "/b"
    assert view.map is not None
    drawn = view.map.beside.box.children[0].renderers[0].data_source.data["image"][0]
    np.testing.assert_allclose(drawn, 1e3 * SCAN.imag[:, :, 5], rtol=1e-5)


def test_what_fails_is_said() -> None:
    def block(block_info: Any = None) -> Any:
        raise UsidError("the file is gone: <b>")

    lazy = da.map_blocks(block, chunks=((4,), (4,), (4,)), dtype=float, meta=np.empty((0, 0, 0)))
    showing = made(xr.DataArray(lazy, dims=("Y", "X", "E")))
    assert "the file is gone: &lt;b&gt;" in showing._message.text
