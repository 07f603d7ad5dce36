"""Peaks beside SciPy's, and beside where they were put."""

from typing import Any

import numpy as np
import pytest
import scipy.signal
import xarray as xr

import usidx
from usidx.errors import UsidError


def lines(noise: float = 0.0, *, step: float = 0.5, turned: bool = False) -> tuple[xr.DataArray, Any]:
    """Return two lines at places that differ, with noise, and the places."""
    random, energy = np.random.default_rng(0), 100 + step * np.arange(400)
    places = np.stack([random.uniform(130, 160, (3, 4)), random.uniform(200, 260, (3, 4))], axis=-1)
    values = 5 * np.exp(-((energy - places[..., :1]) ** 2) / 32) + 3 * np.exp(-((energy - places[..., 1:]) ** 2) / 32)
    values = values + noise * random.normal(size=values.shape)
    coordinate = xr.DataArray(energy, dims="E", attrs={"units": "eV"})
    data = xr.DataArray(values, dims=("Y", "X", "E"), coords={"E": coordinate}, attrs={"units": "A"})
    return (data.isel(E=slice(None, None, -1)) if turned else data), places


@pytest.mark.parametrize("options", [
    {}, {"prominence": 0.5}, {"height": 2.0}, {"prominence": 0.2, "width": 3.0}, {"prominence": 0.1, "distance": 20.0},
])  # fmt: skip
def test_the_samples_are_those_of_scipy(options: dict[str, Any]) -> None:
    data, _ = lines(0.1)
    found = usidx.signal.find_peaks(data, "E", **options)
    asked = {k: v / 0.5 if k in ("width", "distance") else v for k, v in options.items()}
    for y, x in np.ndindex(3, 4):
        row = data.values[y, x]
        at, told = scipy.signal.find_peaks(row, **{"prominence": 0, "width": 0, **asked})
        own = found.isel(Y=y, X=x).dropna("peak")
        np.testing.assert_allclose(own.position, data.E.values[at], atol=0.251)
        np.testing.assert_allclose(own.prominence, told["prominences"])
        np.testing.assert_allclose(own.width, 0.5 * told["widths"])
        assert (own.height.values >= row[at]).all()
    lazy = usidx.signal.find_peaks(data.chunk({"E": 90, "Y": 1}), "E", n=3, **options)
    assert lazy.position.chunks is not None
    assert lazy.sizes["peak"] == 3
    assert usidx.signal.find_peaks(data.chunk({"Y": 1}), "E", **options).equals(found)


@pytest.mark.parametrize("turned", [False, True])
def test_places_heights_and_areas(turned: bool) -> None:
    data, places = lines(turned=turned)
    found = usidx.signal.find_peaks(data, "E", prominence=1.0)
    np.testing.assert_allclose(found.position, places, atol=0.01)
    np.testing.assert_allclose(found.height, np.broadcast_to([5.0, 3.0], places.shape), rtol=1e-3)
    np.testing.assert_allclose(found.width, 4 * 2.3548, rtol=0.01)
    np.testing.assert_allclose(found.area / found.height, 4 * np.sqrt(2 * np.pi), rtol=0.01)
    told = {name: found[name].attrs.get("units") for name in found.data_vars}
    assert told == {
        "position": "eV", "position_stderr": "eV", "height": "A", "height_stderr": "A", "width": "eV",
        "prominence": "A", "area": "A eV",
    }  # fmt: skip


def test_noise_is_told_from_peaks_and_errors_are_honest() -> None:
    data, places = lines(0.002)
    found = usidx.signal.find_peaks(data, "E", prominence="noise")
    assert found.sizes["peak"] == 2
    off = (found.position - places) / found.position_stderr
    assert 0.5 < float(np.sqrt((off**2).mean())) < 1.7
    given = usidx.signal.find_peaks(data, "E", prominence="noise", sigma=0.004)
    np.testing.assert_allclose(given.position_stderr / 2, found.position_stderr, rtol=0.35)


def test_the_most_prominent_are_kept_and_bad_spectra_have_none() -> None:
    data, places = lines(0.01)
    found = usidx.signal.find_peaks(data, "E", n=1)
    np.testing.assert_allclose(found.position[..., 0], places[..., 0], atol=1.5)
    data[0, 0, 5] = np.nan
    data[1, 1] = 0.0
    found = usidx.signal.find_peaks(data, "E", prominence="noise")
    assert found.position.isnull().all("peak").values.nonzero()[0].tolist() == [0, 1]
    uneven = data[2, 2].assign_coords(E=np.geomspace(1, 10, 400))
    assert usidx.signal.find_peaks(uneven, prominence=1.0).position.notnull().all()
    assert usidx.signal.find_peaks(data * 0, "E", n=2).height.isnull().all()
    with pytest.raises(UsidError, match="n=0"):
        usidx.signal.find_peaks(data, "E", n=0)
