"""Drift beside the truth of simulated stacks, whatever the blocks, the axes and the other dims."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import usidx
from usidx.errors import ResultError, RoleError, SelectionError, UnitsError, UsidError

BOTH = ("shift_Y", "shift_X")
NM = 1e-9


def find_error(found: xr.Dataset, truth: xr.Dataset) -> Any:
    """Return how far the shifts are off, in samples of 1 nm."""
    return np.stack([(found[v] - truth[v]).values / NM for v in BOTH])


@pytest.mark.parametrize("kind", ["topography", "lattice"])
@pytest.mark.parametrize(("noise", "rms"), [(0.1, 0.01), (1.0, 0.04)])
def test_the_truth_is_found_between_the_samples(kind: Any, noise: float, rms: float) -> None:
    stack, truth = usidx.simulate.drifting_stack((128, 192), 12, kind=kind, noise=noise, seed=3)
    found = usidx.image.estimate_drift(stack)
    error = find_error(found, truth)
    assert np.sqrt((error**2).mean()) < rms
    assert abs(error).max() < 0.1
    assert found.shift_X.units == "m"


def test_standard_errors_are_those_of_repeated_measurements() -> None:
    ratios = []
    for seed in range(12):
        stack, truth = usidx.simulate.drifting_stack((48, 64), 6, noise=0.5, seed=seed)
        found = usidx.image.estimate_drift(stack)
        ratios += [find_error(found, truth)[n, 1:] * NM / found[f"{v}_stderr"].values[1:] for n, v in enumerate(BOTH)]
    assert 0.7 < np.sqrt(np.mean(np.square(ratios))) < 1.3
    assert (found.shift_Y_stderr[0], found.shift_X_stderr[0]) == (0, 0)


@pytest.mark.parametrize("reference", ["previous", "first"])
def test_with_other_references(reference: Any) -> None:
    stack, truth = usidx.simulate.drifting_stack((64, 96), 8, noise=0.1, drift=1.5, seed=1)
    found = usidx.image.estimate_drift(stack, reference=reference)
    assert abs(find_error(found, truth)).max() < 0.1


def test_a_picture_may_move_out_of_view_and_on() -> None:
    stack, truth = usidx.simulate.drifting_stack((48, 64), 24, noise=0.05, drift=5.0, seed=2)
    assert truth.shift_Y[-1] > 64 * NM
    assert abs(find_error(usidx.image.estimate_drift(stack, reference="previous"), truth)).max() < 0.2


@pytest.mark.parametrize("reference", ["mean", "previous", "first"])
def test_any_blocks_give_the_same(reference: Any) -> None:
    stack, _ = usidx.simulate.drifting_stack((32, 40), 7, noise=0.2)
    wanted = usidx.image.correct_drift(stack, reference=reference)
    for chunks in ({"Frame": 1}, {"Frame": 3, "Y": 10, "X": 11}, {"Frame": -1}):
        lazy = usidx.image.correct_drift(stack.chunk(chunks), reference=reference)
        assert all(v.chunks is not None for v in lazy.data_vars.values())
        xr.testing.assert_allclose(lazy.compute(), wanted, atol=1e-6)
        found = usidx.image.estimate_drift(stack.chunk(chunks), reference=reference).compute()
        xr.testing.assert_allclose(found, wanted.drop_vars("corrected").drop_vars(["Y", "X"]), atol=1e-15)


def test_frames_of_each_further_dim_move_by_themselves() -> None:
    one, first = usidx.simulate.drifting_stack((32, 40), 5, noise=0.05, seed=1)
    two, second = usidx.simulate.drifting_stack((32, 40), 5, noise=0.05, seed=2)
    both = xr.concat([one, two], "Channel").transpose("Y", "Channel", "X", "Frame")
    found = usidx.image.correct_drift(both, "Frame")
    assert found.corrected.dims == both.dims
    assert found.shift_Y.dims == ("Channel", "Frame")
    for number, truth in enumerate((first, second)):
        assert abs(find_error(found.isel(Channel=number), truth)).max() < 0.1
    lazy = usidx.image.correct_drift(both.chunk({"Y": 16, "Channel": 1}), "Frame").compute()
    xr.testing.assert_allclose(lazy, found, atol=1e-6)


def test_axes_may_descend_and_begin_anywhere() -> None:
    stack, truth = usidx.simulate.drifting_stack((48, 64), 4, noise=0.05)
    other = stack.assign_coords(
        Y=("Y", 7.0 - 0.5 * np.arange(48), stack.Y.attrs),
        X=("X", 2.0 * np.arange(64), {**stack.X.attrs, "units": "um"}),
    )
    found = usidx.image.estimate_drift(other)
    np.testing.assert_allclose(found.shift_Y, -0.5 * truth.shift_Y / NM, atol=0.02)
    np.testing.assert_allclose(found.shift_X, 2.0 * truth.shift_X / NM, atol=0.08)
    assert found.shift_X.units == "um"
    still = usidx.image.shift(other, found).isel(Y=slice(5, -5), X=slice(5, -5))
    assert still.std("Frame").mean() < 0.1


def test_missing_samples_and_dead_ones_do_not_count() -> None:
    stack, truth = usidx.simulate.drifting_stack((48, 64), 6, noise=0.05)
    broken = stack.copy(deep=True)
    broken[:, 20:23, 30:34] = 50.0  # stays in its place
    dead = xr.zeros_like(stack[0], bool)
    dead[20:23, 30:34] = True
    found = usidx.image.estimate_drift(broken, mask=dead)
    assert abs(find_error(found, truth)).max() < 0.05
    assert abs(find_error(usidx.image.estimate_drift(broken.where(~dead)), truth)).max() < 0.05
    assert abs(find_error(usidx.image.estimate_drift(broken), truth)).max() > 0.2


def test_a_frame_that_shows_nothing_is_left_out() -> None:
    stack, truth = usidx.simulate.drifting_stack((48, 64), 6, noise=0.05)
    stack[2], stack[4] = np.nan, 1.0
    found = usidx.image.correct_drift(stack)
    assert np.isnan(found.shift_Y.values).tolist() == [False, False, True, False, True, False]
    assert np.isnan(found.corrected[2]).all()
    kept = [0, 1, 3, 5]
    assert abs(find_error(found.isel(Frame=kept), truth.isel(Frame=kept))).max() < 0.05


def test_where_lines_show_nothing_along_themselves_the_error_is_infinite() -> None:
    values = np.sin(0.3 * (np.arange(50) - 0.4 * np.arange(3)[:, np.newaxis]))
    stack = xr.DataArray(np.repeat(values[:, np.newaxis], 30, axis=1), dims=("Frame", "Y", "X"))
    found = usidx.image.estimate_drift(stack, "Frame", dims=("Y", "X"))
    np.testing.assert_allclose(found.shift_X, [0, 0.4, 0.8], atol=0.02)
    assert np.isinf(found.shift_Y_stderr[1:]).all()
    assert np.isfinite(found.shift_X_stderr).all()


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), frames=st.integers(2, 6))
def test_the_way_back_is_the_way_there(seed: int, frames: int) -> None:
    stack, _ = usidx.simulate.drifting_stack((64, 96), frames, noise=0.1, seed=seed)
    there = usidx.image.estimate_drift(stack)
    back = usidx.image.estimate_drift(stack.isel(Frame=slice(None, None, -1)))
    for name in BOTH:
        np.testing.assert_allclose(there[name][-1] + back[name][-1], 0, atol=0.015 * NM)
        np.testing.assert_allclose(there[name] - there[name][-1], back[name][::-1], atol=0.02 * NM)


def test_a_lattice_is_not_left_by_its_spacing() -> None:
    y, x = np.mgrid[:64, :64]
    values = [np.cos(2 * np.pi * (y - 0.9 * k) / 6) + np.cos(2 * np.pi * (x + 1.1 * k) / 6) for k in range(12)]
    stack = xr.DataArray(values + 0.3 * np.random.default_rng(0).normal(size=(12, 64, 64)), dims=("Frame", "Y", "X"))
    found = usidx.image.estimate_drift(stack, "Frame", dims=("Y", "X"), max_shift=3)
    np.testing.assert_allclose(found.shift_Y, 0.9 * np.arange(12), atol=0.05)
    np.testing.assert_allclose(found.shift_X, -1.1 * np.arange(12), atol=0.05)


def test_the_dim_of_the_frames_tells_those_of_the_images() -> None:
    stack, _ = usidx.simulate.drifting_stack((24, 28), 3)
    expected = usidx.image.estimate_drift(stack, "Frame")
    bare = xr.DataArray(stack.values, {d: stack[d].values for d in stack.dims}, stack.dims)
    series = usidx.set_roles(bare, position=["Frame", "Y", "X"])
    for one in (bare, series):
        found = usidx.image.estimate_drift(one, "Frame")
        np.testing.assert_array_equal(found.shift_Y, expected.shift_Y)
        np.testing.assert_array_equal(found.shift_X, expected.shift_X)
    with pytest.raises(RoleError, match=r"Name the dims to work along with dims=\[...\]"):
        usidx.image.estimate_drift(bare.expand_dims(Channel=2), "Frame")


def test_what_has_no_answer_is_refused() -> None:
    stack, _ = usidx.simulate.drifting_stack((16, 20), 3)
    with pytest.raises(SelectionError, match="Drift is seen between frames, and there is 1 along 'Frame'"):
        usidx.image.estimate_drift(stack[:1], "Frame")
    with pytest.raises(RoleError, match="Frames lie along 'Y', which is a dim of the images"):
        usidx.image.estimate_drift(stack, "Y")
    with pytest.raises(UsidError, match="reference='median'"):
        usidx.image.estimate_drift(stack, reference="median")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="is complex"):
        usidx.image.estimate_drift(stack + 0j)
    with pytest.raises(ResultError, match="already has a dim or coordinate 'shift_Y'"):
        usidx.image.estimate_drift(stack.assign_coords(shift_Y=("Frame", np.arange(3.0))))
    with pytest.raises(UsidError, match="mask is float"):
        usidx.image.estimate_drift(stack, mask=stack[0])
    with pytest.raises(UsidError, match="max_shift=-1"):
        usidx.image.estimate_drift(stack, max_shift=-1)
    with pytest.raises(UnitsError, match="steps of 'X' differ"):
        usidx.image.estimate_drift(stack.assign_coords(X=stack.X**2), dims=("Y", "X"))
