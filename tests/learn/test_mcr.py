"""Curve resolution on reactions and mixtures that are known."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.mcr import _make_unimodal, mcr_als
from usidx.learn.reconstruct import project, reconstruct


def reaction(noise: float = 0.0, shape: tuple[int, ...] = (6, 10, 1, 30)) -> tuple[Any, Any, Any]:
    """A to B to C in time, three peaks: each constituent is alone for a while and has steps of its own."""
    time = np.linspace(0, 5, shape[0] * shape[1])
    a, c = np.clip(2 - time, 0, 1), np.clip(time - 3, 0, 1)
    parts = np.stack([a, 1 - a - c, c], axis=1)
    peaks = np.exp(-((np.arange(30) - np.array([[6], [15], [24]])) ** 2) / 10.0)
    peaks[peaks < 1e-2] = 0
    cells = parts @ peaks + noise * np.random.default_rng(0).normal(size=(60, 30))
    return cells.reshape(shape), peaks, parts.reshape(*shape[:2], 3)


def order_of(found: xr.Dataset, peaks: Any) -> list[int]:
    likeness = np.nan_to_num(found.components.values.reshape(3, -1)) @ peaks.T
    return [int(k) for k in likeness.argmax(axis=0)]


@pytest.mark.parametrize("unimodal", [False, True])
@pytest.mark.parametrize("closure", [False, True])
def test_resolves_a_reaction(closure: bool, unimodal: bool, backing: Backing, iteration: str, cube: Cube) -> None:
    cells, peaks, parts = reaction(0.002)
    data = cube(cells).squeeze("Cycle")
    found = mcr_als(backing(data), 3, closure=closure, unimodal=unimodal, tol=1e-6).compute()
    order = order_of(found, peaks)
    assert sorted(order) == [0, 1, 2]
    scores, components = found.scores.values[..., order], found.components.values.reshape(3, 30)[order]
    scale = np.ones(3) if closure else np.linalg.norm(peaks, axis=1)
    np.testing.assert_allclose(components * scale[:, None], peaks, atol=0.06)
    np.testing.assert_allclose(scores / scale, parts, atol=0.06)
    assert (found.scores >= 0).all()
    assert (found.components >= 0).all()
    if closure:
        np.testing.assert_allclose(found.scores.sum("component"), 1)
    if unimodal:
        turns = np.sign(np.diff(components, axis=1))
        assert all((np.diff(row[row != 0]) <= 0).all() for row in turns)


def test_error_is_that_of_the_factors(backing: Backing, cube: Cube) -> None:
    cells, _, _ = reaction(0.05)
    found = mcr_als(backing(cube(cells)), 2, tol=1e-7, max_iter=300).compute()
    made = reconstruct(found)
    np.testing.assert_allclose(found.reconstruction_error, np.linalg.norm(made - cells), rtol=1e-3)


@pytest.mark.parametrize("closure", [False, True])
def test_units_and_the_way_back(closure: bool, backing: Backing, cube: Cube) -> None:
    cells, _, _ = reaction()
    data = backing(cube(cells))
    found = mcr_als(data, 3, closure=closure)
    assert found.scores.attrs["units"] == ("" if closure else "V")
    assert found.components.attrs["units"] == ("V" if closure else "")
    assert reconstruct(found).attrs["units"] == "V"
    np.testing.assert_allclose(project(found, data).compute(), found.scores.compute(), atol=1e-9)
    assert (found.scores.chunks is None) == (data.chunks is None)


def test_initial_profiles_and_holes(backing: Backing, iteration: str, cube: Cube) -> None:
    cells, peaks, parts = reaction()
    data = cube(cells)
    data[2, 3, 0, 4], data[..., 7] = np.nan, np.nan
    initial = xr.DataArray(peaks[::-1].reshape(3, 1, 30), dims=("component", "Cycle", "Bias"))
    found = mcr_als(backing(data), 3, initial=initial, closure=True).compute()
    assert np.isnan(found.scores).sum() == 3
    assert np.isnan(found.components).sum() == 3
    order = order_of(found, np.where(np.arange(30) == 7, 0, peaks))
    known = ~np.isnan(found.scores.values[..., 0])
    np.testing.assert_allclose(found.scores.values[known][:, order], parts[known], atol=1e-6)


def test_components_may_be_negative(cube: Cube) -> None:
    rng = np.random.default_rng(0)
    cells = (rng.random((60, 2)) @ rng.normal(size=(2, 30))).reshape(6, 10, 1, 30)
    found = mcr_als(cube(cells), 2, nonnegative_components=False, tol=1e-8, max_iter=500)
    assert float(found.components.min()) < 0
    assert float(found.reconstruction_error) < 1e-2 * np.linalg.norm(cells)


def test_nothing_in_it(backing: Backing, cube: Cube) -> None:
    found = mcr_als(backing(cube(np.zeros((3, 4, 1, 5)))), 2).compute()
    assert float(found.reconstruction_error) == 0
    with pytest.raises(ResultError, match="nothing to learn from"):
        mcr_als(backing(cube(np.full((3, 4, 1, 5), np.nan))), 2).compute()


def test_refuses_what_cannot_be_resolved(cube: Cube) -> None:
    data = cube(reaction(shape=(6, 10, 2, 15))[0])
    with pytest.raises(ResultError, match="is complex128: constituents need real data"):
        mcr_als(data * 1j, 2)
    with pytest.raises(ResultError, match=r"over the dims \('Cycle', 'Bias'\) have no one maximum"):
        mcr_als(data, 2, unimodal=True)
    with pytest.raises(ResultError, match=r"Initial profiles have the dims \('component', 'Cycle', 'Bias'\) and n=2"):
        mcr_als(data, 2, initial=xr.DataArray(np.zeros((2, 3)), dims=("component", "Bias")))
    with pytest.raises(ResultError, match="have 3 steps along 'Bias'; the data has 15"):
        mcr_als(data, 2, initial=xr.DataArray(np.zeros((2, 2, 3)), dims=("component", "Cycle", "Bias")))


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("unimodal", [False, True])
@pytest.mark.parametrize("max_iter", [1, 3, 200])
def test_error_is_exactly_that_of_what_is_returned(
    closure: bool, unimodal: bool, max_iter: int, backing: Backing, cube: Cube
) -> None:
    cells, _, _ = reaction(0.1)
    data = backing(cube(cells).squeeze("Cycle"))
    found = mcr_als(data, 3, closure=closure, unimodal=unimodal, max_iter=max_iter, tol=1e-5).compute()
    left = np.linalg.norm(reconstruct(found) - data.compute())
    np.testing.assert_allclose(found.reconstruction_error, left, rtol=1e-9)
    assert max_iter > 1 or not bool(found.converged)
    assert unimodal or max_iter < 200 or bool(found.converged)


def test_a_hole_does_not_end_a_rise(backing: Backing, iteration: str, cube: Cube) -> None:
    cells, peaks, parts = reaction()
    data = cube(cells).squeeze("Cycle")
    data[..., 4] = np.nan  # in the rise of the first peak
    found = mcr_als(backing(data), 3, unimodal=True, closure=True, tol=1e-9, max_iter=500).compute()
    assert float(found.reconstruction_error) < 1e-3
    np.testing.assert_allclose(found.scores.values[..., order_of(found, peaks)], parts, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_unimodal_profile_is_the_nearest_there_is(seed: int) -> None:
    from scipy.optimize import isotonic_regression

    profile = np.random.default_rng(seed).normal(size=14).cumsum()
    found = _make_unimodal(profile)
    top = int(found.argmax())
    assert (np.diff(found[: top + 1]) >= 0).all()
    assert (np.diff(found[top:]) <= 0).all()
    distances = []
    for k in range(15):
        sides = [(profile[:k], True), (profile[k:], False)]
        nearest = np.concatenate([isotonic_regression(s, increasing=up).x for s, up in sides if s.size])
        distances.append(((profile - nearest) ** 2).sum())
    np.testing.assert_allclose(((profile - found) ** 2).sum(), min(distances))


def test_fields_stand_side_by_side(backing: Backing, cube: Cube) -> None:
    cells, _, parts = reaction()
    data = backing(cube(cells).drop_vars("field"))
    found = mcr_als(
        xr.Dataset({"a": data, "b": (2 * data).assign_attrs(data.attrs)}), 3, closure=True, tol=1e-8, max_iter=500
    ).compute()
    np.testing.assert_allclose(found.components.sel(field="b"), 2 * found.components.sel(field="a"), atol=1e-6)
    np.testing.assert_allclose(np.sort(found.scores.max(("Y", "X"))), np.sort(parts.max((0, 1))), atol=0.01)
    assert list(reconstruct(found)) == ["a", "b"]


def test_refuses_initial_profiles_that_do_not_fit(cube: Cube) -> None:
    cells, peaks, _ = reaction()
    data = cube(cells).squeeze("Cycle", drop=True)
    initial = xr.DataArray(peaks, dims=("component", "Bias"))
    with pytest.raises(ResultError, match="Initial profiles have other coordinates 'Bias'"):
        mcr_als(data, 3, initial=initial.assign_coords(Bias=np.arange(30.0)))
    with pytest.raises(ResultError, match="cells that are not finite, at steps where the data is known"):
        mcr_als(data, 3, initial=initial.where(initial.Bias != 3))
    with pytest.raises(ResultError, match="max_iter=0: expected"):
        mcr_als(data, 3, max_iter=0)
