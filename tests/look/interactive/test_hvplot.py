"""By hvplot the same pictures: labels, units, aspect and colours as in matplotlib, and what is lazy stays so."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import MissingExtraError, UsidError

hv = pytest.importorskip("holoviews")
pytest.importorskip("hvplot")


def looks(element: Any) -> dict[str, Any]:
    """Return the options of an element, of all kinds."""
    found: dict[str, Any] = {}
    for kind in ("style", "plot", "norm"):
        found |= hv.Store.lookup_options("bokeh", element, kind).kwargs
    return found


def image(values: Any, **attrs: str) -> xr.DataArray:
    values = values if isinstance(values, da.Array) else np.asarray(values)
    sides = {d: (d, np.arange(n) * 1e-7, {"units": "m"}) for d, n in zip("YX", values.shape[-2:], strict=True)}
    dims = ("Bias", "Y", "X")[-values.ndim :]
    array = xr.DataArray(values, dims=dims, coords=sides, name="Height", attrs={"units": "m"} | attrs)
    return usidx.set_roles(array, position=["Y", "X"])


def ramp() -> xr.DataArray:
    return image(np.arange(200.0).reshape(10, 20) * 1e-9)


class Counted:
    """A lazy array that notes which blocks were read."""

    def __init__(self, *lengths: int) -> None:
        self.read: list[Any] = []
        chunks = ((1,) * lengths[0], *((n,) for n in lengths[1:]))
        meta = np.empty((0,) * len(lengths))
        self.array = da.map_blocks(self._read, chunks=chunks, dtype=float, meta=meta)
        self._shape = (1, *lengths[1:])

    def _read(self, block_info: Any = None) -> Any:
        self.read.append(block_info[None]["chunk-location"][0])
        return np.arange(float(np.prod(self._shape))).reshape(self._shape)


def test_a_map_has_the_cells_labels_and_colours_of_a_figure() -> None:
    drawn, figure = usidx.plot_map(ramp(), backend="hvplot", cmap="magma"), usidx.plot_map(ramp(), cmap="magma")
    axes = figure.axes[0]
    assert isinstance(drawn, hv.Image)
    np.testing.assert_allclose(drawn.dimension_values("value", flat=False), axes.images[0].get_array())
    assert drawn.bounds.lbrt() == pytest.approx(tuple(np.array(axes.images[0].get_extent())[[0, 2, 1, 3]]))
    said = looks(drawn)
    assert (said["xlabel"], said["ylabel"]) == (axes.get_xlabel(), axes.get_ylabel()) == ("X (µm)", "Y (µm)")
    assert said["clabel"] == "Height (nm)"
    assert said["clim"] == pytest.approx(axes.images[0].get_clim())
    assert (said["cmap"][0], said["cmap"][-1]) == ("#000004", "#fcfdbf")  # the ends of magma
    assert said["frame_height"] / said["frame_width"] == pytest.approx(0.5, abs=0.01)


def test_a_falling_coordinate_shows_the_same_picture() -> None:
    right, turned = (usidx.plot_map(a, backend="hvplot") for a in (ramp(), ramp().isel(Y=slice(None, None, -1))))
    np.testing.assert_array_equal(*(one.dimension_values("value", flat=False) for one in (right, turned)))


def test_complex_maps_are_magnitude_and_cyclic_phase() -> None:
    magnitude, phase = usidx.plot_map(ramp() * np.exp(1j), backend="hvplot")
    assert [looks(one)["title"] for one in (magnitude, phase)] == ["magnitude", "phase"]
    assert looks(phase)["clim"] == pytest.approx((-math.pi, math.pi))
    assert looks(phase)["cmap"][0] == looks(phase)["cmap"][-1]


def test_labels_have_their_own_colours_and_names() -> None:
    labels = image(np.array([[0, 1], [2, -1]])).rename("labels")
    said = looks(usidx.plot_map(labels, backend="hvplot"))
    assert len(said["cmap"]) == 4
    assert said["colorbar_opts"]["major_label_overrides"][-1.0] == "none"


def test_a_norm_is_in_the_colours() -> None:
    said = looks(usidx.plot_map(ramp(), norm="power", backend="hvplot"))
    plain = looks(usidx.plot_map(ramp(), norm="linear", backend="hvplot"))
    # The root of a quarter is a half.
    assert said["cmap"][64] == plain["cmap"][128]
    assert said["clim"] == plain["clim"]


def test_what_is_lazy_is_read_when_it_is_shown() -> None:
    counted = Counted(1, 6)
    drawn = usidx.plot_map(image(counted.array), backend="hvplot")
    assert counted.read == []
    assert isinstance(drawn, hv.DynamicMap)
    assert looks(drawn[()])["xlabel"] == "X (nm)"
    assert counted.read == [0]


def test_more_dims_become_sliders_and_only_the_chosen_map_is_read() -> None:
    counted = Counted(5, 4, 3)
    array = image(counted.array).assign_coords(Bias=("Bias", np.arange(5) * 1e-3, {"units": "V"}))
    for drawn in (usidx.plot_map(array, backend="hvplot"), usidx.plot_image_stack(array, backend="hvplot")):
        counted.read.clear()
        (slider,) = drawn.kdims
        assert (slider.name, slider.unit) == ("Bias", "mV")
        np.testing.assert_allclose(slider.values, np.arange(5.0))
        drawn[slider.values[3]]
        assert set(counted.read) == {3}


def test_a_swept_dim_that_turns_back_slides_by_its_index() -> None:
    array = image(np.ones((3, 4, 3))).assign_coords(Bias=("Bias", [0.0, 1.0, 0.0], {"units": "V"}))
    assert usidx.plot_map(array, backend="hvplot").kdims[0].values == [0.0, 1.0, 2.0]


def test_points_lie_where_they_were_measured_and_many_are_shaded() -> None:
    def scattered(count: int) -> xr.DataArray:
        rng = np.random.default_rng(0)
        places = {n: ("position", rng.normal(size=count) * 1e-7, {"units": "m"}) for n in ("X", "Y")}
        return xr.DataArray(rng.normal(size=count), dims="position", coords=places, name="Height")

    few = usidx.plot_map(scattered(50), backend="hvplot")
    np.testing.assert_allclose(few.dimension_values("x"), scattered(50).X * 1e9)
    assert looks(few)["xlabel"] == "X (nm)"
    pytest.importorskip("datashader")
    many = usidx.plot_map(scattered(30_000), backend="hvplot")
    assert isinstance(many, hv.DynamicMap)
    assert isinstance(many[()], hv.Image)


def test_a_scale_bar_stands_for_the_axes() -> None:
    said = looks(usidx.plot_map(ramp(), scalebar=5e-7, backend="hvplot"))
    assert (said["scalebar"], said["xaxis"]) == (True, None)
    assert said["scalebar_unit"] == ("µm", "m")
    assert said["scalebar_opts"]["bar_length"] == pytest.approx(0.5)
    with pytest.raises(UsidError, match="two axes with one unit"):
        usidx.plot_map(ramp().drop_vars(["X", "Y"]), scalebar=True, backend="hvplot")


def test_spectra_are_lines_of_the_same_colours_read_when_shown() -> None:
    counted = Counted(6, 8)
    lines = xr.DataArray(counted.array, dims=("X", "Energy"), coords={"Energy": ("Energy", np.arange(8.0))})
    drawn = usidx.plot_spectra(lines, "Energy", limit=2, backend="hvplot")
    assert counted.read == []
    overlay = drawn[()]
    assert len(set(counted.read)) == 2
    figure = usidx.plot_spectra(lines, "Energy", limit=2)
    assert [looks(one)["color"] for one in overlay] == [line.get_color() for line in figure.axes[0].lines]
    assert [one.label for one in overlay] == ["X 0", "X 5"]


def test_fits_clusters_trees_and_the_rest_have_their_parts() -> None:
    sets = xr.DataArray(np.arange(12.0).reshape(3, 4) * 1e-3, dims=("point", "Energy"), attrs={"units": "V"})
    fits = usidx.plot_fit(sets, sets, count=2, backend="hvplot")
    assert [[one.label for one in panel] for panel in fits] == [["measured", "fitted"]] * 2
    assert looks(fits[0, 0])["ylabel"].endswith("(mV)")
    means = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("cluster", "Energy"))
    labels = image(np.arange(20).reshape(4, 5) % 3).rename("labels")
    where, response = usidx.plot_clusters(xr.Dataset({"labels": labels, "mean_response": means}), backend="hvplot")
    assert [looks(line)["color"] for line in response] == looks(where)["cmap"]
    ratio = xr.Dataset({"explained_variance_ratio": ("component", [0.9, 0.09])})
    alone, together = usidx.plot_scree(ratio, backend="hvplot")
    assert looks(alone)["logy"]
    np.testing.assert_allclose(together.Curve.I.dimension_values(1), [0.9, 0.99])
    merges = xr.DataArray([[0.0, 1.0, 0.5, 2.0], [2.0, 3.0, 2.0, 3.0]], dims=("merge", "link"))
    tree = usidx.plot_dendrogram(xr.Dataset({"linkage": merges}), backend="hvplot")
    assert len(tree.Path.I.split()) == 2


def test_atoms_lie_over_their_image() -> None:
    picture, truth = usidx.simulate.atoms((48, 48), noise=0.01)
    moved = xr.Dataset({f"displacement_{d}": ("atom", np.full(truth.sizes["atom"], 0.01)) for d in "yx"})
    drawn = usidx.plot_atoms(
        picture, truth, color="amplitude", sizes=True, displacements=moved, stretch=2, backend="hvplot"
    )
    np.testing.assert_allclose(drawn.Points.I.dimension_values("x"), truth.x)
    np.testing.assert_allclose(drawn.Segments.I.dimension_values("x_end"), truth.x + 0.02)
    assert len(drawn.Path.I.split()) == truth.sizes["atom"]
    assert looks(drawn.Points.I)["clabel"].startswith("Amplitude")


def test_everything_is_rendered_by_bokeh() -> None:
    scan, truth = usidx.simulate.band_excitation((4, 5), 8)
    for drawn in (
        usidx.plot_maps(truth, variables=["amplitude", "phase", "domain"], title="All", backend="hvplot"),
        usidx.plot_spectra(scan, limit=2, figsize=(6, 5), backend="hvplot"),
        usidx.plot_map(truth.frequency.isel(Y=0), backend="hvplot"),
    ):
        assert hv.render(drawn, backend="bokeh") is not None


@pytest.mark.parametrize(
    "values", [np.full((4, 5), np.nan), np.zeros((4, 5)), np.eye(4, 5, dtype=bool), np.ones((1, 5)), np.ones((1, 1))]
)
def test_anything_over_two_dims_is_rendered(values: Any) -> None:
    for draw in (usidx.plot_map, usidx.plot_spectra):
        assert hv.render(draw(image(values), backend="hvplot"), backend="bokeh") is not None


def test_axes_and_letters_are_of_matplotlib() -> None:
    with pytest.raises(UsidError, match="ax and letters are of matplotlib"):
        usidx.plot_map(ramp(), letters=True, backend="hvplot")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvplot.xarray", None)
    with pytest.raises(MissingExtraError, match=r"Drawing with hvplot needs the package 'hvplot'.*usidx\[plot\]"):
        usidx.plot_map(ramp(), backend="hvplot")


def test_lines_are_drawn_in_a_program_that_has_loaded_nothing_else() -> None:
    code = """
import usidx
raw = usidx.open_main(usidx.example_file())
raw.usid.plot.fit(raw, count=1, backend="hvplot")
raw.usid.svd(2).compute().usid.plot.scree(backend="hvplot")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
