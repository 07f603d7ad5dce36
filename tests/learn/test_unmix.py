"""Unmixing of mixtures whose endmembers and abundances are known."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, UnitsError
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.unmix import fcls, nfindr, vca


def mixture(n: int = 3, noise: float = 0.0, shape: tuple[int, ...] = (6, 7, 2, 12)) -> tuple[Any, Any, Any]:
    """Cells of known abundances, with one pure position per endmember."""
    rng = np.random.default_rng(0)
    pure = rng.random((n, shape[2] * shape[3])) + 0.2
    parts = rng.dirichlet(np.ones(n), shape[0] * shape[1])
    parts[rng.permutation(len(parts))[:n]] = np.eye(n)
    cells = parts @ pure + noise * rng.normal(size=(len(parts), pure.shape[1]))
    return cells.reshape(shape), pure, parts.reshape(*shape[:2], n)


def matched(found: xr.Dataset, pure: Any) -> list[int]:
    components = found.components.values.reshape(len(pure), -1)
    return [int(np.linalg.norm(components - row, axis=1).argmin()) for row in pure]


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("verb", [nfindr, vca])
def test_finds_pure_positions_exactly(verb: Any, n: int, backing: Backing, cube: Cube) -> None:
    cells, pure, parts = mixture(n)
    found = verb(backing(cube(cells)), n)
    assert (found.scores.chunks is None) == (backing(cube(cells)).chunks is None)
    found = found.compute()
    order = matched(found, pure)
    assert sorted(order) == list(range(n))
    np.testing.assert_allclose(found.components.values.reshape(n, -1)[order], pure, atol=1e-8)
    np.testing.assert_allclose(found.scores.values[..., order], parts, atol=1e-7)


@pytest.mark.parametrize("verb", [nfindr, vca])
def test_noise_and_holes(verb: Any, backing: Backing, cube: Cube) -> None:
    cells, pure, parts = mixture(3, 0.005)
    cells[2, 3, 0, 1], cells[..., 1, 4] = np.nan, np.nan
    found = verb(backing(cube(cells)), 3).compute()
    assert np.isnan(found.scores[2, 3]).all()
    assert np.isnan(found.scores).sum() == 3
    assert np.isnan(found.components[:, 1, 4]).all()
    assert np.isnan(found.components).sum() == 3
    components = np.nan_to_num(found.components.values.reshape(3, -1))
    pure[:, 16] = 0
    order = [int(np.linalg.norm(components - row, axis=1).argmin()) for row in pure]
    np.testing.assert_allclose(components[order], pure, atol=0.05)
    error = np.abs(found.scores.values[..., order] - parts)
    assert np.nanmax(error) < 0.05


def test_fcls_is_constrained_least_squares(backing: Backing, cube: Cube) -> None:
    cells, pure, _ = mixture(3, 0.3)
    data = cube(cells)
    endmembers = xr.DataArray(pure.reshape(3, 2, 12), dims=("component", "Cycle", "Bias"))
    found = fcls(backing(data), endmembers).compute()
    np.testing.assert_allclose(found.scores.sum("component"), 1)
    assert (found.scores >= 0).all()
    heavy = np.hstack([pure, np.full((3, 1), 1e5)])
    for y, x in np.ndindex(6, 7):
        expected, _norm = scipy.optimize.nnls(heavy.T, np.r_[cells[y, x].ravel(), 1e5])
        np.testing.assert_allclose(found.scores[y, x], expected, atol=1e-6)


def test_units_and_the_way_back(backing: Backing, cube: Cube) -> None:
    cells, _, _ = mixture()
    data = backing(cube(cells))
    found = nfindr(data, 3)
    assert found.scores.attrs["units"] == ""
    assert found.components.attrs["units"] == "V"
    again = reconstruct(found).compute()
    np.testing.assert_allclose(again, cells, atol=1e-7)
    assert again.attrs["units"] == "V"
    assert again.name == "Raw_Data"
    np.testing.assert_allclose(project(found, data).compute(), found.scores.compute(), atol=1e-9)


@pytest.mark.parametrize("verb", [nfindr, vca])
def test_nothing_in_it(verb: Any, backing: Backing, cube: Cube) -> None:
    found = verb(backing(cube(np.zeros((3, 4, 1, 5)))), 3).compute()
    assert not np.isnan(found.scores).any()
    with pytest.raises(ResultError, match="nothing to learn from"):
        verb(backing(cube(np.full((3, 4, 1, 5), np.nan))), 3).compute()


def test_refuses_what_cannot_be_unmixed(cube: Cube) -> None:
    data = cube(mixture()[0])
    with pytest.raises(ResultError, match="'Raw_Data' is complex128: abundances need real data"):
        vca(data * 1j, 3)
    with pytest.raises(ResultError, match="ask for at least two"):
        nfindr(data, 1)
    with pytest.raises(ResultError, match="n=25 endmembers of an array with 42 positions and 24"):
        nfindr(data, 25)
    with pytest.raises(ResultError, match=r"these have \('Bias',\)"):
        fcls(data, data[0, 0, 0].drop_vars(["Y", "X"]))


def test_fcls_of_masked_positions_and_steps(backing: Backing, cube: Cube) -> None:
    cells, pure, parts = mixture(3)
    cells[..., 1, 3], cells[2, 2] = 99.0, 77.0
    endmembers = xr.DataArray(pure.reshape(3, 2, 12), dims=("component", "Cycle", "Bias"))
    step = xr.DataArray(np.arange(24).reshape(2, 12) == 15, dims=("Cycle", "Bias"))
    place = xr.DataArray(np.arange(42).reshape(6, 7) == 16, dims=("Y", "X"))
    # A step that is left out everywhere leaves no row complete, unless the endmembers leave it out, too.
    found = fcls(backing(cube(cells)), endmembers.where(~step), mask=place).compute()
    assert np.isnan(found.scores[2, 2]).all()
    parts[2, 2] = np.nan
    np.testing.assert_allclose(found.scores, parts, atol=1e-9)


@pytest.mark.parametrize("verb", [nfindr, vca])
def test_fields_stand_side_by_side(verb: Any, backing: Backing, cube: Cube) -> None:
    cells, _, parts = mixture(3)
    data = backing(cube(cells).drop_vars("field"))
    found = verb(xr.Dataset({"a": data, "b": (3 * data).assign_attrs(data.attrs)}), 3).compute()
    assert found.components.dims == ("component", "Cycle", "Bias", "field")
    fields = xr.Dataset({"a": data, "b": (3 * data).assign_attrs(data.attrs)})
    again = fcls(fields, found.components)
    np.testing.assert_allclose(again.scores.compute(), found.scores, atol=1e-9)
    order = [int(np.abs(found.scores.values - parts[..., [k]]).sum(axis=(0, 1)).argmin()) for k in range(3)]
    np.testing.assert_allclose(found.scores.values[..., order], parts, atol=1e-7)
    assert list(reconstruct(found)) == ["a", "b"]


def test_refuses_endmembers_in_other_units(cube: Cube) -> None:
    cells, pure, _ = mixture(3)
    endmembers = xr.DataArray(pure.reshape(3, 2, 12), dims=("component", "Cycle", "Bias"), attrs={"units": "mV"})
    with pytest.raises(UnitsError, match="'Raw_Data' is in 'V', the endmembers in 'mV'"):
        fcls(cube(cells), endmembers)
