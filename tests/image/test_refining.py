"""Atoms that are refined, beside where they were put and the bound of Cramer and Rao."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import cKDTree

import usidx
from usidx.errors import ResultError, UsidError
from usidx.image import find_atoms, refine_atoms

PIXEL = 0.02


def measure_errors(found: xr.Dataset, truth: xr.Dataset) -> Any:
    """Return by how much each true atom is missed, in pixels."""
    there = found.dropna("atom", subset=["y"])
    places = np.stack([there.y, there.x], axis=1)
    true = np.stack([truth.y, truth.x], axis=1)
    far, at = cKDTree(places).query(true)
    assert far.max() < 2 * PIXEL
    return (places[at] - true) / PIXEL


def find_bound(sigma: tuple[float, float], angle: float, noise: float, height: float) -> Any:
    """Return the least standard deviation of y and x: from the inverse of the information of all parameters."""
    v, u = np.mgrid[-12:13, -12:13].astype(float)
    turned = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    value = height * np.exp(-((turned[0] / sigma[1]) ** 2) / 2 - (turned[1] / sigma[0]) ** 2 / 2)
    pull = turned[0] / sigma[1] ** 2, turned[1] / sigma[0] ** 2
    slopes = np.stack([
        value / height,
        value * (pull[0] * np.sin(angle) + pull[1] * np.cos(angle)),
        value * (pull[0] * np.cos(angle) - pull[1] * np.sin(angle)),
        value * v * v, value * v * u, value * u * u, np.ones_like(value),
    ]).reshape(7, -1)  # fmt: skip
    return noise * np.sqrt(np.diag(np.linalg.inv(slopes @ slopes.T)))[1:3]


def test_places_are_as_good_as_the_noise_allows() -> None:
    sigma, angle = (0.032, 0.044), 0.4
    image, truth = usidx.simulate.atoms((400, 420), spacing=0.246, sigma=sigma, angle=angle, scatter=0.006, seed=3)
    found = refine_atoms(image, find_atoms(image))
    assert found.converged.all()
    errors = measure_errors(found, truth)
    # Atoms are 0.8 to 1.2 high: the bound goes with 1 over the height, whose mean square is 1.04.
    bound = np.sqrt(1.04) * find_bound((1.6, 2.2), angle, 0.05, 1.0)
    assert (np.sqrt((errors**2).mean(axis=0)) < 1.1 * bound).all()
    assert (np.abs(errors.mean(axis=0)) < 0.005).all()
    assert float(found.angle.median()) == pytest.approx(angle, abs=0.01)
    assert float(found.sigma_y.median()) == pytest.approx(sigma[0], rel=0.01)
    assert float(found.sigma_x.median()) == pytest.approx(sigma[1], rel=0.01)
    ratio = errors / np.stack([found.y_stderr, found.x_stderr], axis=1) * PIXEL
    assert 0.93 < ratio.std() < 1.07
    for name in ("amplitude", "background"):
        off = (found[name] - float(truth[name].mean())) / found[f"{name}_stderr"]
        assert abs(float(off.mean())) < (0.2 if name == "background" else 1)


@pytest.mark.parametrize("model", ["elliptic", "round"])
@pytest.mark.parametrize("options", [
    {"spacing": 0.24}, {"spacing": 0.4, "dumbbell": (0.02, 0.12)}, {"spacing": 0.18},
])  # fmt: skip
def test_without_noise_neighbours_and_dumbbells_leave_no_bias(options: dict[str, Any], model: Any) -> None:
    image, truth = usidx.simulate.atoms((120, 130), noise=0.0, **options)
    found = refine_atoms(image, find_atoms(image), model)
    assert found.converged.all()
    np.testing.assert_allclose(measure_errors(found, truth), 0, atol=2e-3)
    assert float(abs(found.sigma_y - 0.04).max()) < 1e-4
    if model == "round":
        assert (found.angle == 0).all()
        np.testing.assert_allclose(found.sigma_x, found.sigma_y, rtol=1e-9)
        np.testing.assert_allclose(found.sigma_x_stderr, found.sigma_y_stderr, rtol=1e-9)


def test_neighbours_bias_what_is_fitted_alone() -> None:
    image, _ = usidx.simulate.atoms((120, 130), spacing=0.4, dumbbell=(0.0, 0.12), noise=0.0)
    start = find_atoms(image)
    alone, together = (refine_atoms(image, start, overlap=overlap) for overlap in (False, True))
    assert float(abs(alone.x - together.x).max()) > 0.1 * PIXEL


def test_dumbbells_with_noise_are_unbiased_and_errors_are_honest() -> None:
    image, truth = usidx.simulate.atoms((300, 300), spacing=0.4, dumbbell=(0.0, 0.13), seed=5)
    found = refine_atoms(image, find_atoms(image))
    errors = measure_errors(found, truth)
    for site, sign in ((0, 1), (1, -1)):
        assert abs(errors[truth.site == site, 1].mean()) < 0.02, sign
    assert np.sqrt((errors**2).mean()) < 1.2 * float(np.sqrt((found.x_stderr**2).mean())) / PIXEL


def test_who_stands_where_changes_nothing_and_what_is_shifted_is_found_there() -> None:
    image, _ = usidx.simulate.atoms((100, 100), spacing=0.3, dumbbell=(0.0, 0.12))
    start = find_atoms(image)
    found = refine_atoms(image, start)
    order = np.random.default_rng(0).permutation(start.sizes["atom"])
    mixed = refine_atoms(image, start.isel(atom=order))
    for name in found.data_vars:
        np.testing.assert_array_equal(mixed[name], found[name].values[order])
    moved = image.assign_coords(Y=image.Y.copy(data=image.Y.values[::-1] + 3), X=image.X.copy(data=2 * image.X.values))
    there = start.assign(y=3 + float(image.Y[-1]) - start.y, x=2 * start.x, sigma_x=2 * start.sigma_x)
    other = refine_atoms(moved, there)
    np.testing.assert_allclose(other.y, 3 + float(image.Y[-1]) - found.y, atol=1e-6)
    np.testing.assert_allclose(other.x_stderr, 2 * found.x_stderr, rtol=1e-4)


def test_stacks_of_any_chunking_and_what_is_missing() -> None:
    image, _ = usidx.simulate.atoms((80, 90))
    start = find_atoms(image)
    hole = image.where((abs(image.Y - start.y[7]) > 0.1) | (abs(image.X - start.x[7]) > 0.1))
    stack = xr.concat([image, hole], "frame").transpose("Y", "frame", "X")
    found = refine_atoms(stack, start, dims=("Y", "X"))
    assert found.y.dims == ("frame", "atom")
    assert found.converged.sum("atom").values.tolist() == [start.sizes["atom"], start.sizes["atom"] - 1]
    assert found.isel(frame=1, atom=7).drop_vars("converged").isnull().to_array().all()
    xr.testing.assert_allclose(found.isel(frame=0).drop_attrs(), refine_atoms(image, start).drop_attrs())
    lazy = refine_atoms(stack.chunk({"frame": 1, "X": 40}), start, dims=("Y", "X"))
    assert lazy.y.chunks is not None
    xr.testing.assert_equal(lazy.compute(), found)
    padded = start.reindex(atom=np.arange(start.sizes["atom"] + 2))
    more = refine_atoms(image, padded)
    assert not more.converged[-2:].any()
    assert more.y[-2:].isnull().all()


def test_places_are_enough_to_begin_with() -> None:
    image, truth = usidx.simulate.atoms((100, 110), noise=0.02)
    bare = truth[["y", "x"]] + 0.01
    found = refine_atoms(image.astype("float32"), bare)
    assert found.converged.all()
    assert np.abs(measure_errors(found, truth)).max() < 0.1


def test_what_makes_no_sense_is_refused() -> None:
    image, truth = usidx.simulate.atoms((60, 60))
    with pytest.raises(UsidError, match="model='square'"):
        refine_atoms(image, truth, "square")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="complex"):
        refine_atoms(image * 1j, truth)
    with pytest.raises(ResultError, match="'x'"):
        refine_atoms(image, truth.drop_vars("x"))
    with pytest.raises(ResultError, match="'frame'"):
        refine_atoms(image, truth.expand_dims(frame=3))
