"""Spikes in simulated maps of Raman lines, beside where they were put."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import usidx
from usidx.errors import UsidError

Array = npt.NDArray[Any]


def simulate(seed: int, side: int = 24, size: int = 800) -> tuple[xr.DataArray, Array, Array]:
    """Return counts of lines of 4.7 samples' width and more with spikes, what was put where, and the lines alone."""
    random = np.random.default_rng(seed)
    place, shapes = np.arange(size), []
    for _ in range(3):
        lines = zip(random.uniform(20, 200, 6), random.uniform(50, size - 50, 6), random.uniform(2, 12, 6), strict=True)
        shapes.append(sum(a * np.exp(-((place - c) ** 2) / 2 / w**2) for a, c, w in lines))
    share = gaussian_filter(random.random((3, side, side)), (0, 5, 5))
    clean = np.einsum("kyx,kn->yxn", share / share.sum(0), np.array(shapes)) + 50
    hits, values = np.zeros(clean.shape), random.poisson(clean).astype(float)
    for height in random.lognormal(5.3, 0.8, side * side // 2):
        y, x, z = (int(random.integers(low, high)) for low, high in ((0, side), (0, side), (2, size - 3)))
        for k in range(int(random.integers(1, 4))):
            hits[y, x, z + k] += height * (1 if k == 0 else 0.5)
    data = xr.DataArray(values + hits, dims=("Y", "X", "Raman"), coords={"Raman": 100.0 + np.arange(size)})
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Raman"), hits, clean


@pytest.fixture(scope="module")
def spiky() -> tuple[xr.DataArray, Array, Array]:
    return simulate(0)


def test_most_are_found_and_little_else(spiky: tuple[xr.DataArray, Array, Array]) -> None:
    data, hits, clean = spiky
    found = usidx.signal.find_spikes(data).values
    there = hits > 0
    assert (found & there).sum() / found.sum() >= 0.985
    assert (found & there).sum() / there.sum() >= 0.94
    large = there & (data.values - clean > 8 * np.sqrt(clean))
    assert found[large].all()


def test_what_is_put_in_is_as_good_as_noise(spiky: tuple[xr.DataArray, Array, Array]) -> None:
    data, hits, clean = spiky
    cleaned = usidx.signal.remove_spikes(data)
    assert np.sqrt(np.mean((cleaned.values - clean)[hits > 0] ** 2)) < 1.5 * np.sqrt(clean[hits > 0].mean())
    found = usidx.signal.find_spikes(data)
    np.testing.assert_array_equal(cleaned.values[~found.values], data.values[~found.values])


@pytest.mark.parametrize("chunks", [{"Y": 7, "X": 11, "Raman": 100}, {"Y": 1, "X": 1}, {"Y": -1}])
def test_blocks_see_their_neighbours(chunks: Any, spiky: tuple[xr.DataArray, Array, Array]) -> None:
    data = spiky[0].isel(Y=slice(0, 8), X=slice(0, 12), Raman=slice(0, 300))
    for find in (usidx.signal.find_spikes, usidx.signal.remove_spikes):
        lazy = find(data.chunk(chunks))
        assert lazy.chunks is not None
        np.testing.assert_allclose(lazy, find(data))


@pytest.mark.parametrize("width", [4.0, 5.0, 9.0])
@pytest.mark.parametrize("neighbours", [True, False])
def test_a_line_at_a_single_position_is_none(neighbours: bool, width: float) -> None:
    place = np.arange(300)
    values = np.random.default_rng(0).poisson(100, (6, 7, 300)).astype(float)
    for k in range(6):
        values[k, k] += 2000 * np.exp(-((place - 60 - 30.3 * k) ** 2) / 2 / (width / 2.3548) ** 2)
    data = xr.DataArray(values, dims=("Y", "X", "E"))
    data = usidx.set_roles(data, position=["Y", "X"], spectroscopic="E")
    found = usidx.signal.find_spikes(data, neighbours=neighbours).values
    near = np.abs(place - 60 - 30.3 * np.arange(6)[:, np.newaxis]) < 2 * width
    assert not any(found[k, k, near[k]].any() for k in range(6))
    values[2, 3, 200] += 500
    assert usidx.signal.find_spikes(data, neighbours=neighbours).values[2, 3, 200]


def test_where_no_dim_has_a_role_the_others_are_positions(spiky: tuple[xr.DataArray, Array, Array]) -> None:
    data = spiky[0]
    bare = xr.DataArray(data.values, dims=data.dims)
    dim = next(str(d) for d in data.dims if d not in ("Y", "X"))
    assert (usidx.signal.find_spikes(bare, dim).values == usidx.signal.find_spikes(data, dim).values).all()


def test_lines_of_positions_and_single_spectra() -> None:
    values = np.random.default_rng(0).normal(size=(9, 400))
    values[4, 100] += 40
    values[4, 250:252] += 30
    line = usidx.set_roles(xr.DataArray(values, dims=("X", "E")), position="X", spectroscopic="E")
    expected = np.zeros(values.shape, bool)
    expected[4, [100, 250, 251]] = True
    np.testing.assert_array_equal(usidx.signal.find_spikes(line, threshold=7), expected)
    np.testing.assert_array_equal(usidx.signal.find_spikes(line[4], "E", threshold=7), expected[4])
    assert not usidx.signal.find_spikes(line, threshold=50).any()


def test_protected_ranges_and_missing_samples(spiky: tuple[xr.DataArray, Array, Array]) -> None:
    data = spiky[0].isel(Y=slice(0, 6), X=slice(0, 6)).copy()
    every = usidx.signal.find_spikes(data)
    for protect in ((200, 400), [(400, 200)], [(200.0, 300.0), (300.5, 400.0)]):
        found = usidx.signal.find_spikes(data, protect=protect)
        inside = (data.Raman >= 200) & (data.Raman <= 400)
        assert not found.where(inside, False).any()
        np.testing.assert_array_equal(found.where(~inside, False), every.where(~inside, False))
    data[2, 2] = np.nan
    data[3, 3, 5] = np.nan
    found, cleaned = usidx.signal.find_spikes(data), usidx.signal.remove_spikes(data)
    assert not found[2, 2].any()
    np.testing.assert_array_equal(cleaned.isnull(), data.isnull())
    for wrong in ("high", -1, 0):
        with pytest.raises(UsidError, match="threshold="):
            usidx.signal.find_spikes(data, threshold=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="protect="):
        usidx.signal.find_spikes(data, protect=[1, 2, 3])  # type: ignore[list-item]


@pytest.mark.parametrize("neighbours", [True, False])
def test_spectra_of_nothing_and_of_few_samples_are_no_trouble(neighbours: bool) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 60)) * np.array([1.0, 1e3, 1e6])[:, None, None]
    values[0, 0, [3, 57]], values[1, 2], values[2, :, 10:] = np.nan, np.nan, np.nan
    data = usidx.set_roles(xr.DataArray(values, dims=("Y", "X", "E")), position=["Y", "X"], spectroscopic="E")
    whole = usidx.signal.remove_spikes(data, threshold=20, neighbours=neighbours)
    np.testing.assert_array_equal(whole.isnull(), data.isnull())
    rows = usidx.signal.remove_spikes(data.chunk({"Y": 1}), threshold=20, neighbours=neighbours)
    xr.testing.assert_allclose(rows.compute(), whole)
    for size in (1, 2):
        assert not usidx.signal.find_spikes(data.isel(E=slice(size)), "E", threshold=50, neighbours=neighbours).any()
