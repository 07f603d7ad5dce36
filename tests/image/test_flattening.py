"""Backgrounds of simulated surfaces, and what each method takes off exactly."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import usidx
from usidx.errors import UsidError


def find_residual(found: xr.DataArray, surface: xr.DataArray) -> float:
    """Return what is off beside a plane and a bow along the lines."""
    y, x = np.mgrid[: found.sizes["Y"], : found.sizes["X"]]
    basis = np.stack([np.ones(y.size), y.ravel(), x.ravel(), x.ravel() ** 2], axis=1)
    off = (found - surface).values.ravel()
    return float(np.std(off - basis @ np.linalg.lstsq(basis, off, rcond=None)[0]))


@pytest.mark.parametrize(
    ("method", "order", "most", "seed", "size"),
    [
        ("differences", 1, 0.1, 4, ((128, 160), 8)),
        ("differences", 2, 0.1, 0, ((192, 256), 25)),
        ("lines", 1, 0.2, 1, ((128, 160), 8)),
    ],
)
def test_steps_particles_and_offsets_of_lines(method: Any, order: int, most: float, seed: int, size: Any) -> None:
    image, truth = usidx.simulate.stepped_surface(size[0], particles=size[1], seed=seed)
    assert find_residual(image, truth.surface) > 0.3
    assert find_residual(usidx.image.flatten(image, method, order), truth.surface) < most


@pytest.mark.parametrize("seed", [0, 1])
def test_steps_do_not_tilt_the_whole(seed: int) -> None:
    image, truth = usidx.simulate.stepped_surface(seed=seed)
    assert (usidx.image.flatten(image, "differences", 2) - truth.surface).std() < 0.06


def test_particles_over_three_quarters_of_the_image() -> None:
    image, truth = usidx.simulate.stepped_surface((128, 192), particles=32, seed=2)
    assert find_residual(usidx.image.flatten(image, "differences", 2), truth.surface) < 0.1


def test_a_plane_lies_along_the_terraces() -> None:
    y, x = np.mgrid[:80, :100]
    steps = 2.0 * (x > 30) + 3.0 * (x + 0.3 * y > 75)
    noise = 0.05 * np.random.default_rng(0).normal(size=y.shape)
    image = xr.DataArray(steps + 0.03 * x - 0.02 * y + noise, dims=("Y", "X"))
    off = usidx.image.flatten(image, dims=("Y", "X")) - steps
    assert off.std() < 0.055
    without = usidx.image.flatten(image, mask=None, dims=("Y", "X")) - steps
    assert without.std() > 0.5


def poly(y: Any, x: Any, coefficients: list[float]) -> Any:
    terms = [y, x, y**2, y * x, x**2]
    return sum(c * t for c, t in zip(coefficients, terms, strict=False))


@settings(max_examples=15)
@given(
    st.sampled_from([("plane", 1), ("polynomial", 2), ("lines", 1), ("differences", 0), ("differences", 2)]),
    st.sampled_from([None, "auto"]),
    st.integers(0, 1000),
)
def test_exactly_what_was_added_of_its_own_kind_is_taken_off(how: Any, mask: Any, seed: int) -> None:
    method, order = how
    rng = np.random.default_rng(seed)
    y, x = 3.0 + 0.5 * np.arange(30)[:, np.newaxis], 7.0 - 0.25 * np.arange(40)
    surface = 1.0 * (x > 2) + 0.02 * rng.normal(size=(30, 40))
    own = rng.normal(size=(30, 1)) + 0.0 * x if method in ("lines", "differences") else np.zeros((30, 40))
    own = own + (rng.normal(size=(30, 1)) * x if method == "lines" else 0)
    added = own + (0 if method == "lines" else poly(y, x, list(rng.normal(size=2 if order == 1 else 5))[: 5 * order]))
    image = xr.DataArray(surface, {"Y": y.ravel(), "X": x}, ("Y", "X"))
    found = [usidx.image.flatten(one, method, order, mask, ("Y", "X")) for one in (image, image + added)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "i2"])
@pytest.mark.parametrize("method", ["plane", "lines", "differences"])
def test_each_image_by_itself_and_in_any_blocks(method: Any, dtype: str) -> None:
    image, _ = usidx.simulate.stepped_surface((30, 40), particles=0)
    weights = xr.DataArray([1.0, -2.0, 3.0], dims="Bias", attrs={"usid_role": "spectroscopic"})
    stack = (100 * image * weights).transpose("Y", "Bias", "X").astype(dtype).assign_attrs(units="nm")
    found = usidx.image.flatten(stack, method)
    assert found.dtype == ("f4" if dtype == "f4" else "f8")
    assert found.dims == stack.dims
    assert found.units == "nm"
    for number in range(3):
        alone = usidx.image.flatten(stack.isel(Bias=number), method)
        np.testing.assert_allclose(found.isel(Bias=number), alone, rtol=1e-4, atol=1e-4)
    lazy = usidx.image.flatten(stack.chunk({"Y": 7, "Bias": 2}), method)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute(), found, rtol=1e-4, atol=1e-3)


def test_without_a_mask_it_is_least_squares() -> None:
    rng = np.random.default_rng(0)
    image = xr.DataArray(rng.normal(size=(12, 15)), dims=("Y", "X"))
    y, x = np.mgrid[:12, :15]
    basis = np.stack([np.ones(180), y.ravel(), x.ravel()], axis=1)
    wanted = image.values.ravel() - basis @ np.linalg.lstsq(basis, image.values.ravel(), rcond=None)[0]
    np.testing.assert_allclose(
        usidx.image.flatten(image, mask=None, dims=("Y", "X")).values.ravel(), wanted, atol=1e-12
    )
    lines = usidx.image.flatten(image, "lines", 2, None, ("Y", "X"))
    for line, given_line in zip(lines.values, image.values, strict=True):
        np.testing.assert_allclose(line, given_line - np.polyval(np.polyfit(x[0], given_line, 2), x[0]), atol=1e-10)
    offsets = usidx.image.flatten(image, "differences", 0, None, ("Y", "X")).values
    np.testing.assert_allclose(np.median(np.diff(offsets, axis=0), axis=1), 0, atol=0.2)


def test_what_is_left_out_or_missing_does_not_count() -> None:
    y, x = np.mgrid[:20, :30]
    image = xr.DataArray(0.3 * x - 0.1 * y + 5.0, dims=("Y", "X"))
    spoilt = image.copy(deep=True)
    spoilt[5:9, 10:20] = 40.0
    left_out = xr.zeros_like(image, bool)
    left_out[5:9, 10:20] = True
    for method in ("plane", "lines", "differences"):
        found = usidx.image.flatten(spoilt, method, 1, left_out, ("Y", "X"))
        np.testing.assert_allclose(found.where(~left_out, 0), 0, atol=1e-9)
        missing = usidx.image.flatten(spoilt.where(~left_out), method, 1, None, ("Y", "X"))
        assert (np.isnan(missing) == left_out).all()
        np.testing.assert_allclose(missing.fillna(0), 0, atol=1e-9)
    empty = usidx.image.flatten(image.where(False), dims=("Y", "X"))
    assert np.isnan(empty).all()


def test_lines_lie_along_the_second_dim() -> None:
    rng = np.random.default_rng(0)
    image = xr.DataArray(rng.normal(size=(1, 25)) + 0.01 * rng.normal(size=(20, 25)), dims=("Y", "X"))
    assert usidx.image.flatten(image, "differences", 0, dims=("X", "Y")).std() < 0.02
    assert usidx.image.flatten(image, "differences", 0, dims=("Y", "X")).std() > 0.5


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2), (1, 1), (3, 4)])
@pytest.mark.parametrize("method", ["plane", "polynomial", "lines", "differences"])
def test_the_smallest_images(shape: tuple[int, int], method: Any) -> None:
    image = xr.DataArray(np.random.default_rng(0).normal(size=shape), dims=("Y", "X"))
    for mask in ("auto", None):
        assert np.isfinite(usidx.image.flatten(image, method, 1, mask, ("Y", "X"))).all()


@pytest.mark.parametrize("method", ["plane", "polynomial", "lines", "differences"])
def test_ground_without_any_noise(method: Any) -> None:
    values = np.zeros((48, 64))
    values[16:32, 20:36] = 1
    image = xr.DataArray(values > 0, dims=("Y", "X"), name="covered")
    for one in (image, image * 1e9):
        found = usidx.image.flatten(one, method, dims=("Y", "X"))
        np.testing.assert_allclose(found, one.astype(float), atol=1e-6 * float(one.max()))


def test_what_is_not_there_is_refused() -> None:
    image, _ = usidx.simulate.stepped_surface((12, 15), particles=0)
    for arguments in ({"method": "median"}, {"order": 2}, {"method": "lines", "order": 9}, {"mask": "facets"}):
        with pytest.raises(UsidError, match=next(reversed(arguments))):
            usidx.image.flatten(image, **arguments)
    with pytest.raises(UsidError, match="is complex"):
        usidx.image.flatten(image + 0j)
    with pytest.raises(UsidError, match="mask is float"):
        usidx.image.flatten(image, mask=image)
    with pytest.raises(UsidError, match="mask has sizes"):
        usidx.image.flatten(image, mask=image.isel(X=slice(3)) > 0)
