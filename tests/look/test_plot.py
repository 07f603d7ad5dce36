"""Every kind of picture is drawn without a warning, over the right axes, and without reading more than it shows."""

from __future__ import annotations

import sys
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import MissingExtraError, ResultError, RoleError
from usidx.look.plot import plot_clusters, plot_fit, plot_map, plot_maps, plot_scree, plot_spectra
from usidx.simulate import band_excitation, gaussian_map

SCAN, TRUTH = band_excitation((12, 16), 20)
RNG = np.random.default_rng(0)


def drawn(figure: Any) -> Any:
    """Draw for real, so that whatever matplotlib finds to complain about is raised."""
    figure.canvas.draw()
    return figure


def words(figure: Any) -> str:
    import matplotlib.text

    return " | ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()).replace("\n", " ")


def image(values: Any, **coords: Any) -> xr.DataArray:
    return xr.DataArray(values, dims=("Y", "X"), coords=coords, name="Raw_Data", attrs={"units": "V"})


def test_a_map_has_physical_axes() -> None:
    axes = drawn(plot_map(TRUTH.frequency)).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("X (µm)", "Y (µm)")
    step = 5 / 15
    np.testing.assert_allclose(axes.images[0].get_extent(), [-step / 2, 5 + step / 2, -step / 2, 11.5 * step])
    assert axes.get_aspect() == 1
    assert axes.images[0].origin == "lower"
    assert "Resonance frequency" in words(axes.figure)


def test_a_falling_coordinate_shows_the_same_picture() -> None:
    right = drawn(plot_map(TRUTH.frequency)).axes[0].images[0]
    turned = drawn(plot_map(TRUTH.frequency.isel(Y=slice(None, None, -1), X=slice(None, None, -1)))).axes[0].images[0]
    np.testing.assert_array_equal(turned.get_array(), right.get_array())
    np.testing.assert_allclose(turned.get_extent(), right.get_extent())


def test_pixels_without_unit_run_from_the_top() -> None:
    axes = drawn(plot_map(image(RNG.integers(0, 255, (6, 9)).astype("uint8")))).axes[0]
    assert axes.yaxis_inverted()
    assert axes.images[0].get_cmap().name == "gray"


def test_two_units_of_length_share_one() -> None:
    array = image(
        np.ones((3, 4)), Y=("Y", [0.0, 1, 2], {"units": "um"}), X=("X", [0.0, 500, 1000, 1500], {"units": "nm"})
    )
    axes = drawn(plot_map(array)).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("X (µm)", "Y (µm)")
    np.testing.assert_allclose(axes.images[0].get_extent(), [-0.25, 1.75, -0.5, 2.5])


def test_uneven_steps_are_drawn_where_they_lie() -> None:
    axes = drawn(plot_map(TRUTH.frequency.isel(X=[0, 1, 2, 5, 15]))).axes[0]
    assert not axes.images
    assert len(axes.collections) == 1


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 5), 7.0),
        np.zeros((4, 5)),
        np.full((4, 5), np.nan),
        np.where(np.eye(4, 5), np.nan, 1.0),
        np.where(np.eye(4, 5), np.inf, 1.0),
        np.eye(4, 5).astype(bool),
        np.arange(20).reshape(4, 5).astype("uint8"),
        np.arange(20).reshape(4, 5) - 10,
        RNG.normal(size=(4, 5)).astype("float32"),
        RNG.normal(size=(4, 5)) * 1e-40,
        RNG.normal(size=(4, 5)) + 1j,
        RNG.normal(size=(1, 5)),
        RNG.normal(size=(4, 1)),
        RNG.normal(size=(1, 1)),
    ],
    ids=lambda v: f"{v.dtype}{v.shape}",
)
def test_anything_over_two_dims_is_drawn(values: Any) -> None:
    drawn(plot_map(image(values)))


def test_lazy_values_are_drawn_like_those_in_memory() -> None:
    values = RNG.normal(size=(4, 5))
    for given in (values, da.from_array(values, chunks=3)):
        np.testing.assert_array_equal(drawn(plot_map(image(given))).axes[0].images[0].get_array(), values)


def test_holes_are_grey_and_all_holes_are_said() -> None:
    figure = drawn(plot_map(image(np.full((4, 5), np.nan))))
    assert "no finite values" in words(figure)
    assert "constant" in words(drawn(plot_map(image(np.full((4, 5), 7.0)))))


def test_complex_is_magnitude_and_phase() -> None:
    figure = drawn(plot_map(SCAN.isel(Frequency=3)))
    assert [axes.get_title() for axes in figure.axes] == ["magnitude", "phase"]
    assert "|Cantilever deflection| (mV)" in words(figure)
    magnitude = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(magnitude, 1e3 * np.abs(SCAN.isel(Frequency=3)), rtol=1e-6)


def test_points_without_a_grid_lie_where_they_were_measured() -> None:
    coords = {name: ("position", RNG.normal(size=30) * 1e-7, {"units": "m"}) for name in ("X", "Y")}
    points = xr.DataArray(RNG.normal(size=30), dims="position", coords=coords)
    axes = drawn(plot_map(points)).axes[0]
    np.testing.assert_allclose(axes.collections[-1].get_offsets()[:, 0], points.X.values * 1e9)
    assert axes.get_xlabel() == "X (nm)"


def test_one_dim_is_a_line() -> None:
    axes = drawn(plot_map(TRUTH.frequency.isel(Y=0))).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), TRUTH.frequency.isel(Y=0) / 1e3)
    assert axes.get_ylabel() == "Resonance frequency (kHz)"


def test_a_large_image_is_thinned_and_says_so() -> None:
    array = image(da.zeros((2500, 1500), chunks=(500, 1500)))
    figure = drawn(plot_map(array))
    assert "shown: 1 in 3 along Y, 1 in 2 along X" in words(figure)
    assert figure.axes[0].images[0].get_array().shape == (834, 750)


def test_three_dims_are_no_map() -> None:
    with pytest.raises(RoleError, match=r"A map shows one or two dims, array 'Raw_Data' has 3"):
        plot_map(SCAN)


def test_names_are_never_formulas() -> None:
    odd = image(np.eye(3)).assign_attrs(long_name=r"$\bad{ <b>\x00", units="$")
    assert r"$\bad{ <b>" in words(drawn(plot_map(odd))).replace(r"\$", "$")


def test_maps_of_a_dataset_and_of_a_dim() -> None:
    figure = drawn(plot_maps(TRUTH))
    assert [a.get_title() for a in figure.axes] == [
        "amplitude",
        "frequency",
        "quality factor",
        "phase",
        "domain",
        "topography",
    ]
    scores = xr.DataArray(RNG.normal(size=(4, 5, 20)), dims=("Y", "X", "component"), coords={"component": range(20)})
    figure = drawn(plot_maps(scores, dim="component", limit=3))
    assert [a.get_title() for a in figure.axes] == ["component 0", "component 1", "component 2"]
    assert "first 3 of 20 maps" in words(figure)


def test_maps_of_a_dataset_over_more_dims_show_the_first() -> None:
    _, truth = band_excitation((3, 4), 4, dc_steps=8, cycles=2)
    figure = drawn(plot_maps(truth))
    assert [a.get_title() for a in figure.axes] == ["amplitude", "frequency", "quality factor", "phase"]
    assert "at Cycle 0, DC Offset 0 V" in words(figure)


def test_a_figure_shows_itself_in_a_notebook() -> None:
    assert plot_map(TRUTH.frequency)._repr_png_()[:4] == b"\x89PNG"


def test_maps_refuse() -> None:
    with pytest.raises(RoleError, match="No dim 'z' here"):
        plot_maps(SCAN, dim="z")
    with pytest.raises(RoleError, match="No variable 'charge' here"):
        plot_maps(TRUTH, variables=["charge"])
    with pytest.raises(RoleError, match="Nothing to draw"):
        plot_maps(xr.Dataset({"a": 1.0}))


def test_a_label_below_zero_is_in_no_cluster() -> None:
    labels = image(np.array([[-1, 0], [1, 2]])).rename("labels")
    figure = drawn(plot_map(labels))
    assert figure.axes[0].images[0].get_cmap().colors[0] == "#d9d9d9"
    assert "none" in words(figure)


def test_spectra_are_lines_with_a_legend() -> None:
    figure = drawn(plot_spectra(abs(SCAN).assign_attrs(SCAN.attrs), "Frequency", limit=3))
    assert len(figure.axes[0].lines) == 3
    assert figure.axes[0].get_xlabel() == "Frequency (kHz)"
    assert "3 of 192 lines" in words(figure)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), SCAN.Frequency / 1e3)


def test_complex_spectra_have_two_panels_and_phases_do_not_jump() -> None:
    turning = xr.DataArray(np.exp(1j * np.linspace(0, 12, 50)), dims="t")
    figure = drawn(plot_spectra(turning))
    assert len(figure.axes) == 2
    assert np.isnan(figure.axes[1].lines[0].get_ydata()).sum() == 2


def test_a_bias_that_turns_back_is_drawn_as_a_loop() -> None:
    _, truth = band_excitation((3, 3), 4, dc_steps=8)
    line = drawn(plot_spectra(truth.amplitude, "DC_Offset", limit=2)).axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 4, 8, 4, 0, -4, -8, -4])


def test_long_lines_are_drawn_as_their_envelope() -> None:
    long = xr.DataArray(RNG.normal(size=300_000), dims="t", name="signal")
    figure = drawn(plot_spectra(long))
    assert figure.axes[0].lines[0].get_xdata().size <= 4000
    assert "lines of 300000 points drawn as the envelope of 2000 bins" in words(figure)


def test_only_the_lines_that_are_shown_are_read() -> None:
    read: list[Any] = []

    def block(block_info: Any = None) -> Any:
        read.append(block_info[None]["chunk-location"])
        return np.ones((1, 1, 6))

    lazy = da.map_blocks(block, chunks=((1,) * 10, (1,) * 10, (6,)), dtype=float, meta=np.empty((0, 0, 0)))
    drawn(plot_spectra(xr.DataArray(lazy, dims=("Y", "X", "E")), "E", limit=4))
    assert len(set(read)) == 4


def test_scree() -> None:
    ratio = xr.DataArray([0.9, 0.09, 0.0], dims="component")
    left, right = drawn(plot_scree(xr.Dataset({"explained_variance_ratio": ratio}))).axes
    assert left.get_yscale() == "log"
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.9, 0.99, 0.99])
    drawn(plot_scree(xr.Dataset({"singular_values": 10 * ratio})))
    with pytest.raises(ResultError, match=r"this result has 'scores'"):
        plot_scree(xr.Dataset({"scores": ratio}))


@pytest.mark.parametrize("complex_", [False, True])
def test_clusters_share_colours_between_map_and_lines(complex_: bool) -> None:
    labels = TRUTH.domain.rename("labels")
    means = xr.concat([SCAN.where(labels == k).mean(("Y", "X")) for k in (0, 1)], "cluster").assign_coords(
        cluster=[0, 1]
    )
    means = means if complex_ else abs(means)
    figure = drawn(plot_clusters(xr.Dataset({"labels": labels, "mean_response": means})))
    map_, lines = figure.axes[:2]
    assert [line.get_color() for line in lines.lines] == list(map_.images[0].get_cmap().colors)
    assert len(figure.axes) == (3 if complex_ else 2)


def test_clusters_of_more_dims_show_the_first_and_say_so() -> None:
    labels = xr.DataArray(RNG.integers(0, 3, (2, 4, 5)), dims=("Z", "Y", "X"), coords={"Z": [0, 1]}).transpose(
        "Y", "X", "Z"
    )
    means = xr.DataArray(RNG.normal(size=(3, 2, 6)), dims=("cluster", "Cycle", "E"))
    figure = drawn(plot_clusters(xr.Dataset({"labels": labels, "mean_response": means})))
    assert "at Z 0" in words(figure)
    assert "at Cycle 0" in words(figure)
    with pytest.raises(ResultError, match="'mean_response' is missing"):
        plot_clusters(xr.Dataset({"labels": labels}))


def test_fit_draws_measured_true_and_fitted() -> None:
    (measured, _), (true, _) = gaussian_map((5, 5), 30), gaussian_map((5, 5), 30, noise=0)
    figure = drawn(plot_fit(measured, true * 1.1, truth=true, count=4))
    assert len(figure.axes) == 4
    assert all(len(axes.lines) == 3 for axes in figure.axes)
    assert all(name in words(figure) for name in ("measured", "true", "fitted"))
    with pytest.raises(RoleError, match="they must be the same"):
        plot_fit(measured, true.isel(Y=0))


def test_nothing_is_left_in_pyplot() -> None:
    plot_map(TRUTH.frequency)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"Drawing needs the package 'matplotlib'.*usidx\[plot\]"):
        plot_spectra(TRUTH.frequency)


def test_maps_of_a_decomposition_are_those_of_its_scores() -> None:
    scan, _ = usidx.simulate.band_excitation((5, 4), 16)
    result = abs(scan).usid.nfindr(3)
    figure = drawn(plot_maps(result))
    assert [axes.get_title() for axes in figure.axes] == ["component 0", "component 1", "component 2"]
    assert "Abundance" in words(figure)


def test_titles_break_after_commas_and_panels_are_as_high() -> None:
    coords = {
        "Y": ("Y", [6.45e-7, 1.61e-6], {"units": "m"}),
        "X": ("X", [4.19e-6, 8.06e-7], {"units": "m"}),
        "DC_Offset": ("DC_Offset", [-3.0, 1.0], {"units": "V"}),
    }
    data = xr.DataArray(RNG.random((2, 2, 2, 9)), dims=("Y", "X", "DC_Offset", "E"), coords=coords)
    figure = drawn(plot_fit(data, data, "E", count=8))
    titles = [axes.get_title() for axes in figure.axes]
    assert "Y 0.645 µm, X 0.806 µm,\nDC Offset -3 V" in titles
    assert {t.count("\n") for t in titles} == {1}
    heights = [axes.get_position().height * axes.figure.bbox.height for axes in figure.axes]
    np.testing.assert_allclose(heights, heights[0], rtol=0.01)


EMPTY = xr.DataArray(np.zeros((0, 4)), dims=("Y", "X"), name="image")
TEXTS = xr.DataArray(np.array([["a", "b"]]), dims=("Y", "X"), name="image")


@pytest.mark.parametrize("draw", [plot_map, plot_maps, plot_spectra, lambda a: plot_fit(a, a)])
@pytest.mark.parametrize(
    ("array", "told"), [(EMPTY, "no cells to draw|lacks an index"), (TEXTS, "only numbers are drawn")]
)
def test_what_cannot_be_drawn_is_refused(draw: Any, array: xr.DataArray, told: str) -> None:
    with pytest.raises(RoleError, match=told):
        draw(array)


@pytest.mark.parametrize("draw", [plot_spectra, plot_maps])
def test_at_least_one_is_drawn(draw: Any) -> None:
    with pytest.raises(RoleError, match="At least one is drawn, 0 is less"):
        draw(image(RNG.random((4, 5))), limit=0)
