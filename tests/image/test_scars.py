"""Scars of simulated surfaces, and that nothing else is touched."""

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError


@pytest.mark.parametrize("sign", [1, -1])
def test_scars_are_filled_and_nothing_else_is_touched(sign: int) -> None:
    image, truth = usidx.simulate.stepped_surface((96, 128), scars=12, particles=6, seed=2)
    image = sign * image
    found = usidx.image.remove_scars(image)
    scar = truth.scar.values
    clean = sign * (truth.surface + truth.background)
    inner = scar.copy()
    inner[0] = inner[-1] = False
    before, after = (abs(one - clean).values for one in (image, found))
    assert np.median(before[inner]) > 2.5
    assert np.mean(after[inner] < 1.0) > 0.97
    touched = (found != image).values & ~scar
    assert touched.mean() < 0.005


def test_two_lines_at_once_and_any_blocks() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 20, 30)) + 3 * rng.normal(size=(20, 1))
    spoilt = values.copy()
    spoilt[0, 7:9, 4:16] += 40
    spoilt[1, 12, 10:22] -= 40
    data = xr.DataArray(spoilt, dims=("Frame", "Y", "X"))
    found = usidx.image.remove_scars(data, dims=("Y", "X"))
    assert abs(found - values).max() < 20
    assert (found == data).sum() == data.size - 24 - 12
    one = usidx.image.remove_scars(data, width=1, dims=("Y", "X"))
    assert (one[0] == data[0]).all()
    lazy = usidx.image.remove_scars(data.chunk({"Y": 5, "Frame": 1}), dims=("Y", "X"))
    np.testing.assert_array_equal(lazy.compute(), found)
    assert usidx.image.remove_scars(data.astype("f4"), dims=("Y", "X")).dtype == np.float32


@pytest.mark.parametrize(("length", "is_filled"), [(14, True), (16, False)])
def test_scars_of_half_a_line_and_more(length: int, is_filled: bool) -> None:
    values = np.random.default_rng(0).normal(size=(20, 30))
    data = xr.DataArray(values, dims=("Y", "X")).copy()
    data[7, 5 : 5 + length] += 50
    found = usidx.image.remove_scars(data, dims=("Y", "X")).values
    others = np.delete(np.arange(20), 7)
    np.testing.assert_array_equal(found[others], values[others])
    if is_filled:
        assert abs(found[7]).max() < 5
        np.testing.assert_array_equal(found[7, 5 + length :], values[7, 5 + length :])
    else:  # the line counts as one that lies higher
        np.testing.assert_array_equal(found[7, 5 : 5 + length], data[7, 5 : 5 + length])


def test_missing_samples_stay() -> None:
    data = xr.DataArray(np.random.default_rng(0).normal(size=(9, 20)), dims=("Y", "X"))
    data[3, 4:15] = np.nan
    xr.testing.assert_equal(usidx.image.remove_scars(data, dims=("Y", "X")), data)
    nothing = data.where(False)
    assert np.isnan(usidx.image.remove_scars(nothing, dims=("Y", "X"))).all()
    assert usidx.image.remove_scars(data[:2], dims=("Y", "X")).equals(data[:2])


def test_options_are_checked() -> None:
    data = xr.DataArray(np.zeros((9, 20)), dims=("Y", "X"))
    for options in ({"threshold": 0.0}, {"length": 0}, {"width": 1.5}):
        with pytest.raises(UsidError, match=next(iter(options))):
            usidx.image.remove_scars(data, dims=("Y", "X"), **options)
    with pytest.raises(UsidError, match="is complex"):
        usidx.image.remove_scars(data + 0j, dims=("Y", "X"))
