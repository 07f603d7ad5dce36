"""Edges on power laws, simulated with counts."""

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import SelectionError


def simulate() -> tuple[xr.DataArray, xr.DataArray]:
    loss = xr.DataArray(np.arange(200.0, 500.0), dims="Loss", attrs={"units": "eV"})
    power = xr.DataArray([[2.0, 2.7, 3.4], [2.5, 3.0, 4.0]], dims=("Y", "X"))
    edge = (400 * (loss / 284) ** -1.5).where(loss >= 284, 0.0)
    data = (3000 * (loss / 250) ** -power).transpose("Y", "X", "Loss") + edge
    return data.assign_coords(Loss=loss).assign_attrs(units="counts"), edge


@pytest.mark.parametrize("turned", [False, True])
def test_without_noise_it_is_exact(turned: bool) -> None:
    data, edge = simulate()
    given = data.isel(Loss=slice(None, None, -1)) if turned else data
    found = usidx.signal.remove_power_law(given.chunk({"Loss": 50}), (210, 280), "Loss")
    np.testing.assert_allclose(found.sortby("Loss"), np.broadcast_to(edge, data.shape), atol=1e-8)
    assert found.units == "counts"


def test_the_edge_is_within_a_percent() -> None:
    data, edge = simulate()
    random = np.random.default_rng(0)
    counts = data.copy(data=random.poisson(data.values * np.ones((400, 1, 1, 1))).mean(0))
    after = slice(284, 340)
    found = usidx.signal.remove_power_law(counts, (210, 283), "Loss").sel(Loss=after).sum("Loss")
    wanted = float(edge.assign_coords(Loss=data.Loss).sel(Loss=after).sum())
    np.testing.assert_allclose(found, wanted, rtol=0.01)


def test_few_counts_are_not_biased() -> None:
    loss = np.arange(100.0, 200.0)
    law = 4 * (loss / 100) ** -2
    counts = np.random.default_rng(0).poisson(law, (4000, 100))
    data = xr.DataArray(counts, dims=("X", "Loss"), coords={"Loss": loss})
    left = usidx.signal.remove_power_law(data, (100, 199), "Loss")
    assert abs(float(left.mean())) < 0.01
    assert left.dtype == "f8"


def test_no_power_law_at_zero_and_without_numbers() -> None:
    data = xr.DataArray(np.ones((3, 40)), dims=("X", "Loss"), coords={"Loss": np.arange(-10.0, 30.0)})
    data[0], data[1, 20], data[2, 3] = 0.0, np.nan, np.nan
    found = usidx.signal.remove_power_law(data, slice(5, None), "Loss")
    assert found.isnull().sum("Loss").values.tolist() == [11, 40, 11]
    np.testing.assert_allclose(found.sel(Loss=slice(1, None))[[0, 2]], 0, atol=1e-9)
    with pytest.raises(SelectionError, match="has 1 samples of 'Loss' above 0"):
        usidx.signal.remove_power_law(data, (-5, 1), "Loss")
