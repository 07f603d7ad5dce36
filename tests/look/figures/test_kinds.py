"""Stacks, patterns, loops and atoms: what is in each panel, and where."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, RoleError, UsidError


def stack() -> xr.DataArray:
    sides = {"Y": ("Y", np.arange(4) * 1e-9, {"units": "m"}), "X": ("X", np.arange(5) * 1e-9, {"units": "m"})}
    frames = np.arange(7.0)[:, None, None] * np.ones((7, 4, 5)) + np.random.default_rng(0).random((7, 4, 5))
    array = xr.DataArray(frames, dims=("frame", "Y", "X"), coords={"frame": range(7), **sides}, name="Height")
    return usidx.set_roles(array, position=["Y", "X"])


def patterns() -> xr.DataArray:
    return usidx.simulate.diffraction((3, 4), (6, 8))[0]


def test_a_stack_shows_images_from_all_of_it_in_the_same_colours() -> None:
    figure = usidx.plot_image_stack(stack(), limit=4)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["frame 0", "frame 2", "frame 4", "frame 6"]
    shown = stack()[::2].values
    assert {axes.images[0].get_clim() for axes in panels} == {(shown.min(), shown.max())}
    assert "4 of 7 images" in figure.get_supxlabel()
    np.testing.assert_allclose(panels[1].images[0].get_array(), stack()[2])


def test_only_the_frames_that_are_shown_are_read() -> None:
    read = []

    def block(block_info: Any = None) -> Any:
        read.append(block_info[None]["chunk-location"][0])
        return np.ones((1, 4, 5))

    lazy = da.map_blocks(block, chunks=((1,) * 40, (4,), (5,)), dtype=float, meta=np.empty((0, 0, 0)))
    usidx.plot_image_stack(xr.DataArray(lazy, dims=("frame", "Y", "X")), limit=3)
    assert sorted(set(read)) == [0, 20, 39]


def test_patterns_are_images_with_true_aspect() -> None:
    scan = patterns()
    for figure in (usidx.plot_spectra(scan, limit=2), usidx.plot_image_stack(scan, limit=2)):
        panels = [axes for axes in figure.axes if axes.images]
        assert len(panels) == 2
        assert panels[0].images[0].get_array().shape == (6, 8)
        assert panels[0].get_aspect() == 1
        assert panels[0].get_xlabel() == "Angle (mrad)"


def test_two_swept_dims_that_are_no_detector_are_lines() -> None:
    scan, _ = usidx.simulate.beps((2, 2), 8, dc_steps=8)
    assert usidx.plot_spectra(abs(scan), limit=2).axes[0].lines


def test_dims_of_an_image_can_be_named() -> None:
    figure = usidx.plot_image_stack(patterns(), ["Y", "X"], limit=1)
    assert figure.axes[0].images[0].get_array().shape == (3, 4)
    with pytest.raises(RoleError, match=r"An image has two dims of .*, not \('Y',\)"):
        usidx.plot_image_stack(patterns(), "Y")


def loops() -> tuple[xr.DataArray, np.ndarray[Any, Any]]:
    bias = np.array([0.0, 2, 4, 2, 0, -2, -4, -2])
    rising = np.array([True, True, False, False, False, False, True, True])
    values = np.where(rising, -1.0, 1.0) * np.ones((3, 1)) + 0.01 * bias
    coords = {"DC_Offset": ("DC_Offset", bias, {"units": "V", "long_name": "DC offset"}), "X": [0, 1, 2]}
    array = xr.DataArray(values, dims=("X", "DC_Offset"), coords=coords, name="Response", attrs={"units": "m"})
    return usidx.set_roles(array, position="X", spectroscopic="DC_Offset"), rising


def test_loops_part_where_the_voltage_turns() -> None:
    array, rising = loops()
    figure = usidx.plot_loops(array, count=2)
    assert [axes.get_title() for axes in figure.axes] == ["X 0", "X 2"]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    np.testing.assert_array_equal(np.isfinite(lines["up"]), rising)
    np.testing.assert_array_equal(np.isfinite(lines["down"]), ~rising)
    assert figure.axes[0].get_xlabel() == "DC offset (V)"


def test_fitted_loops_are_drawn_over_the_measured_ones() -> None:
    _, truth = usidx.simulate.beps((2, 2), 8)
    fit = truth.response.usid.loop_fit()
    figure = fit.usid.plot.loops(count=1)
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    # The truth is a loop of this shape without noise, so the fit goes through it, on the way up and on the way down.
    measured = np.fmax(lines["up"], lines["down"]) if np.isnan(lines["up"]).any() else lines["up"]
    parts, left = divmod(lines["fitted"].size - 1, measured.size - 1)
    assert parts > 1
    assert left == 0
    np.testing.assert_allclose(lines["fitted"][::parts], measured, atol=0.02 * np.ptp(measured))


def test_complex_responses_are_projected() -> None:
    array, _ = loops()
    turned = (array * np.exp(1j * 0.7)).assign_attrs(array.attrs)
    lines = usidx.plot_loops(turned, count=1).axes[0].lines
    up, down = (next(line for line in lines if line.get_label() == name).get_ydata() for name in ("up", "down"))
    # Projected onto the line along which they switch, the branches are as far apart as before.
    apart = np.nanmean(np.asarray(down)) - np.nanmean(np.asarray(up))
    assert abs(apart) == pytest.approx(2.0 * 1.0, rel=0.02)


def test_a_voltage_that_goes_one_way_makes_no_loop() -> None:
    array, _ = loops()
    with pytest.raises(UsidError, match="goes only one way"):
        usidx.plot_loops(array.isel(DC_Offset=slice(0, 3)))


def atoms() -> tuple[xr.DataArray, xr.Dataset]:
    return usidx.simulate.atoms((48, 64), noise=0.01)


def test_atoms_lie_over_their_image() -> None:
    image, truth = atoms()
    for figure in (usidx.plot_atoms(image, truth), usidx.plot_atoms(truth, image)):
        axes = figure.axes[0]
        assert axes.images[0].get_cmap().name == "gray"
        np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack([truth.x, truth.y], axis=1))


def test_atoms_are_brought_to_the_unit_of_the_image() -> None:
    image, truth = atoms()
    metres = xr.Dataset({n: ("atom", truth[n].values * 1e-9, {"units": "m"}) for n in "yx"})
    places = usidx.plot_atoms(image, metres).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(places, np.stack([truth.x, truth.y], axis=1))
    with pytest.raises(ResultError, match="The atoms are in 'V' and the image in 'nm'"):
        usidx.plot_atoms(image, xr.Dataset({n: ("atom", [1.0], {"units": "V"}) for n in "yx"}))


def test_atoms_have_their_size_and_colours() -> None:
    image, truth = atoms()
    figure = usidx.plot_atoms(image, truth, sizes=True, color="amplitude", vmin=0.5, vmax=1.5)
    (ellipses,) = figure.axes[0].collections
    np.testing.assert_allclose(ellipses.get_widths(), 2.3548 * truth.sigma_x, rtol=1e-4)
    np.testing.assert_allclose(ellipses.get_array(), truth.amplitude)
    assert ellipses.get_clim() == (0.5, 1.5)


def test_displacements_are_arrows_that_say_how_long_they_are() -> None:
    image, truth = atoms()
    moved = xr.Dataset({f"displacement_{d}": ("atom", np.full(truth.sizes["atom"], 0.002)) for d in "yx"})
    figure = usidx.plot_atoms(image, truth, displacements=moved, stretch=10)
    arrows = figure.axes[0].collections[-1]
    np.testing.assert_allclose(arrows.U, 0.02)
    assert "arrows 10 times as long as displacements" in figure.get_supxlabel()
    # Atoms are 0.24 nm apart: arrows of 0.0028 nm, 20 times as long, go less than 0.45 of the way; 50 times, beyond.
    chosen = usidx.plot_atoms(image, truth, displacements=moved)
    np.testing.assert_allclose(chosen.axes[0].collections[-1].U, 0.04)


def test_atoms_are_sought_where_none_are_given() -> None:
    image, truth = atoms()
    assert len(image.usid.plot.atoms().axes[0].collections[0].get_offsets()) == truth.sizes["atom"]


def test_what_is_missing_of_atoms_is_named() -> None:
    image, truth = atoms()
    with pytest.raises(ResultError, match="'charge' of atoms should be over 'atom' alone, and there is none"):
        usidx.plot_atoms(image, truth, color="charge")
    with pytest.raises(RoleError, match="Give one image, a DataArray, and the atoms in it"):
        usidx.plot_atoms(truth, truth)
    moved = xr.Dataset({f"displacement_{d}": ("atom", np.ones(truth.sizes["atom"])) for d in "yx"})
    with pytest.raises(UsidError, match="stretch=-1; it should be more than 0"):
        usidx.plot_atoms(truth, displacements=moved, stretch=-1)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_fit_is_evaluated_where_it_is_drawn_and_between(is_lazy: bool) -> None:
    energy = xr.DataArray(np.linspace(-5, 5, 11), dims="Energy", attrs={"units": "eV"})
    center = xr.DataArray(np.linspace(-1, 1, 6).reshape(2, 3), dims=("Y", "X"))
    shape: xr.DataArray = np.exp(-0.5 * (energy - center) ** 2)  # type: ignore[assignment,unused-ignore]
    measured = shape.transpose("Y", "X", "Energy").assign_coords(Energy=energy)
    fit = usidx.fit(measured.chunk({"Y": 1}) if is_lazy else measured, usidx.models.Gaussian("height"), dim="Energy")
    for figure in (fit.usid.plot.fit(measured, count=2), measured.usid.plot.fit(fit, count=2)):
        for axes in figure.axes[:2]:
            _, line = axes.lines
            x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
            assert x.size == 301
            centers = center.values.ravel()
            nearest = centers[np.argmin(abs(centers - x[np.argmax(y)]))]
            np.testing.assert_allclose(y, np.exp(-0.5 * (x - nearest) ** 2), atol=1e-4)


def test_only_the_spectra_that_are_shown_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    from usidx.fitting import evaluate

    measured, _ = usidx.simulate.gaussian_map((20, 20), 40, noise=0.0)
    fit = measured.usid.fit(usidx.models.Gaussian() + usidx.models.Constant(), dim="Energy")
    sizes = []
    plain = evaluate.evaluate

    def note(*given: Any) -> xr.DataArray:
        found = plain(*given)
        sizes.append(dict(found.sizes))
        return found

    monkeypatch.setattr(evaluate, "evaluate", note)
    usidx.plot_fit(measured, fit, count=2)
    assert sizes == [{"cell": 2, "Energy": 39 * 8 + 1}]


def test_a_fit_along_another_coordinate_is_drawn_at_the_samples() -> None:
    energy = xr.DataArray(np.linspace(-5, 5, 11), dims="step")
    measured = xr.DataArray(3 * energy.values + 1, dims="step").assign_coords(energy=energy).expand_dims(X=2)
    fit = usidx.fit(measured, usidx.models.Linear(), dim="step", coordinate="energy")
    _, line = usidx.plot_fit(measured, fit).axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), measured[0])
