"""What a user wants of a picture: colours, limits, size, and the axes it is drawn into."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import usidx
from usidx.errors import UsidError


def make_map(low: float = 1e-9, high: float = 9e-9) -> xr.DataArray:
    values = np.linspace(low, high, 20).reshape(4, 5)
    places = {"Y": ("Y", np.arange(4) * 1e-6, {"units": "m"}), "X": ("X", np.arange(5) * 1e-6, {"units": "m"})}
    array = xr.DataArray(values, dims=("Y", "X"), coords=places, name="Height", attrs={"units": "m"})
    return usidx.set_roles(array, position=["Y", "X"])


def make_result() -> xr.Dataset:
    labels = make_map().copy(data=np.arange(20).reshape(4, 5) % 3).rename("labels").drop_attrs(deep=False)
    means = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("cluster", "Energy"), attrs={"units": "V"})
    return xr.Dataset({"labels": labels, "mean_response": means})


def list_spectra() -> xr.DataArray:
    return xr.DataArray(np.arange(12.0).reshape(3, 4) * 1e-3, dims=("point", "Energy"), attrs={"units": "V"})


def find_image(axes: Axes) -> Any:
    (image,) = axes.get_images()
    return image


def test_a_map_takes_colours_and_limits_in_the_unit_of_the_data() -> None:
    figure = usidx.plot_map(make_map(), cmap="magma", vmin=2e-9, vmax=4e-9, figsize=(3, 2))
    image = find_image(figure.axes[0])
    assert image.get_cmap().name == "magma"
    assert image.get_clim() == pytest.approx((2, 4))  # the bar is in nm
    assert tuple(figure.get_size_inches()) == (3, 2)


def test_one_limit_is_mirrored_where_values_have_both_signs() -> None:
    assert find_image(usidx.plot_map(make_map(-5e-9, 9e-9), vmax=2e-9).axes[0]).get_clim() == pytest.approx((-2, 2))
    assert find_image(usidx.plot_map(make_map(1e-9, 9e-9), vmax=5e-9).axes[0]).get_clim() == pytest.approx((1, 5))


def test_a_norm_is_in_the_unit_of_the_data() -> None:
    given = LogNorm(vmin=1e-9, vmax=1e-8)
    image = find_image(usidx.plot_map(make_map(), norm=given).axes[0])
    assert (image.norm.vmin, image.norm.vmax) == (1e-9, 1e-8)
    assert np.nanmax(image.get_array()) == pytest.approx(9e-9)
    assert isinstance(find_image(usidx.plot_map(make_map(), norm="log").axes[0]).norm, LogNorm)
    free = LogNorm()
    usidx.plot_map(make_map(), norm=free)
    assert free.vmin is None


def test_all_maps_share_what_is_given_and_the_phase_keeps_its_own() -> None:
    several = xr.Dataset({"a": make_map(), "b": (2 * make_map()).assign_attrs(make_map().attrs)})
    figure = usidx.plot_maps(several, cmap="gray", vmin=0, vmax=1e-8)
    assert [find_image(axes).get_clim() for axes in figure.axes[:2]] == [pytest.approx((0, 10))] * 2
    magnitude, phase = usidx.plot_map(make_map() * 1j, cmap="gray").axes[:2]
    assert (find_image(magnitude).get_cmap().name, find_image(phase).get_cmap().name) == ("gray", "twilight")


def test_clusters_and_their_lines_take_colours_from_one_map() -> None:
    figure = usidx.plot_clusters(make_result(), cmap="gray", vmin=1, vmax=5)
    place, lines = figure.axes[0], next(axes for axes in figure.axes if len(axes.lines) == 3)
    ends = [find_image(place).get_cmap()(n)[:3] for n in (0, 2)]
    assert ends == [(0, 0, 0), (1, 1, 1)]
    assert [lines.lines[n].get_color() for n in (0, 2)] == ["#000000", "#ffffff"]
    assert lines.get_ylim() == (1, 5)


def test_lines_take_colours_and_limits() -> None:
    figure = usidx.plot_spectra(list_spectra(), cmap="gray", vmin=0, vmax=5e-3)
    assert figure.axes[0].get_ylim() == pytest.approx((0, 5))  # in mV
    assert figure.axes[0].lines[0].get_color() == "#000000"
    fits = usidx.plot_fit(list_spectra(), list_spectra(), cmap="gray", vmax=5e-3, figsize=(4, 3))
    assert fits.axes[0].get_ylim()[1] == pytest.approx(5)
    assert fits.axes[0].lines[-1].get_color() == "#ffffff"


def test_lines_that_come_later_count_where_one_end_is_given() -> None:
    fitted = (10 * list_spectra()).assign_attrs(list_spectra().attrs)
    figure = usidx.plot_fit(list_spectra(), fitted, vmin=0, count=1)
    assert figure.axes[0].get_ylim()[1] > 30


SINGLE: dict[str, Callable[[Any], Figure]] = {
    "map": lambda ax: usidx.plot_map(make_map(), ax=ax, title="mine"),
    "spectra": lambda ax: usidx.plot_spectra(list_spectra(), ax=ax, title="mine"),
    "scree": lambda ax: usidx.plot_scree(
        xr.Dataset({"singular_values": ("component", [2.0, 1.0])}), ax=ax, title="mine"
    ),
    "dendrogram": lambda ax: usidx.plot_dendrogram(
        xr.Dataset({"linkage": (("merge", "link"), [[0.0, 1.0, 0.5, 2.0]])}), ax=ax, title="mine"
    ),
}
SEVERAL: dict[str, tuple[int, Callable[[Any], Figure]]] = {
    "complex map": (2, lambda ax: usidx.plot_map(make_map() * 1j, ax=ax)),
    "maps": (3, lambda ax: usidx.plot_maps(xr.Dataset({n: make_map() for n in "abc"}), ax=ax)),
    "clusters": (2, lambda ax: usidx.plot_clusters(make_result(), ax=ax)),
    "fit": (3, lambda ax: usidx.plot_fit(list_spectra(), list_spectra(), ax=ax)),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_picture_of_one_panel_is_drawn_into_the_axes(name: str) -> None:
    figure = Figure(layout="constrained")
    _, ax = figure.subplots(1, 2)
    assert SINGLE[name](ax) is figure
    assert ax.get_title() == "mine"
    assert ax.has_data()
    figure.canvas.draw()


@pytest.mark.parametrize("name", SEVERAL)
def test_a_picture_of_several_panels_takes_as_many_axes_or_the_place_of_one(name: str) -> None:
    count, draw = SEVERAL[name]
    figure = Figure(layout="constrained", figsize=(9, 6))
    given = figure.subplots(1, count)
    assert draw(given) is figure
    assert all(axes.has_data() for axes in given)
    figure = Figure(layout="constrained", figsize=(12, 8))
    ax, other = figure.subplots(2, 1)
    assert draw(ax) is figure
    assert len(figure.subfigs) == 1
    assert not other.has_data()
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cmap": "nowhere"}, "no colour map 'nowhere'"),
        ({"norm": "nowhere"}, "Unknown norm 'nowhere': give one of 'linear', 'log'"),
        ({"norm": LogNorm(), "vmin": 1}, "limits in norm"),
        ({"ax": 3}, "ax is int, and not the axes"),
        ({"ax": "figure", "figsize": (3, 2)}, "figsize is the size of a new figure"),
    ],
)
def test_what_does_not_fit_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsidError, match=said):
        usidx.plot_map(make_map(), **options)


def test_too_few_axes_are_counted() -> None:
    given = Figure().subplots(1, 2)
    with pytest.raises(UsidError, match="This picture has 3 panels and ax 2"):
        usidx.plot_maps(xr.Dataset({n: make_map() for n in "abc"}), ax=given)


@pytest.mark.parametrize(("shape", "ratio"), [((4, 60), 1 / 15), ((60, 4), 15.0)])
def test_a_strip_is_drawn_true_to_scale(shape: tuple[int, int], ratio: float) -> None:
    sides = {d: (d, np.arange(n) * 1e-8, {"units": "m"}) for d, n in zip("YX", shape, strict=True)}
    strip = xr.DataArray(np.random.default_rng(0).random(shape), dims=("Y", "X"), coords=sides)
    figure = usidx.plot_map(strip)
    figure.canvas.draw()
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(ratio, rel=0.02)
    assert max(box.height, box.width) > 300
