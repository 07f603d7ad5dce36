"""Rotations against shapes that are known to be simple."""

from typing import Any

import numpy as np
import pytest

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.rotate import rotate
from usidx.learn.svd import pca, svd


def simple(dtype: str = "float64", noise: float = 0.0) -> tuple[Any, Any]:
    """Mixtures of three shapes without a common cell, of equal strength: so that svd mixes them."""
    rng = np.random.default_rng(0)
    shapes = np.zeros((3, 24), dtype)
    for k in range(3):
        shapes[k, 8 * k : 8 * k + 8] = rng.random(8) + (1j * rng.random(8) if dtype == "complex128" else 0)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    parts = rng.normal(size=(30, 3))
    cells = parts @ shapes + noise * rng.normal(size=(30, 24))
    return cells.reshape(5, 6, 2, 12), shapes


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("method", ["varimax", "promax"])
def test_finds_the_simple_shapes(method: str, dtype: str, backing: Backing, cube: Cube) -> None:
    cells, shapes = simple(dtype, 0.05 if dtype == "float64" else 0.0)
    mixed = svd(backing(cube(cells)), 3)
    found = rotate(mixed, method).compute()
    likeness = np.abs(found.components.values.reshape(3, 24).conj() @ shapes.T)
    np.testing.assert_allclose(likeness.max(axis=0), 1, atol=0.02)
    before = np.abs(mixed.compute().components.values.reshape(3, 24).conj() @ shapes.T)
    assert before.max(axis=0).min() < 0.97


@pytest.mark.parametrize("method", ["varimax", "promax"])
@pytest.mark.parametrize("verb", [svd, pca])
def test_makes_the_same_array(verb: Any, method: str, backing: Backing, cube: Cube) -> None:
    data = cube(np.random.default_rng(1).normal(size=(4, 5, 2, 6)))
    data[0, 1], data[..., 0, 3] = np.nan, np.nan
    found = verb(backing(data), 4)
    turned = rotate(found, method)
    assert (turned.scores.chunks is None) == (found.scores.chunks is None)
    np.testing.assert_allclose(reconstruct(turned).compute(), reconstruct(found).compute(), atol=1e-10)
    np.testing.assert_allclose(project(turned, backing(data)).compute(), turned.scores.compute(), atol=1e-9)
    norms = np.linalg.norm(np.nan_to_num(turned.components.values).reshape(4, -1), axis=1)
    np.testing.assert_allclose(norms, 1)
    strength = np.linalg.norm(np.nan_to_num(turned.scores.values).reshape(-1, 4), axis=0)
    assert (np.diff(strength) <= 1e-9).all()
    assert turned.scores.attrs["units"] == "V"
    assert "singular_values" not in turned


def test_varimax_of_scaled_data_makes_the_same_array(backing: Backing, cube: Cube) -> None:
    data = backing(cube(np.random.default_rng(1).poisson(9, size=(4, 5, 2, 6)).astype(float)))
    found = svd(data, 4, scale="poisson")
    turned = rotate(found)
    np.testing.assert_allclose(reconstruct(turned).compute(), reconstruct(found).compute(), atol=1e-9)
    np.testing.assert_allclose(project(turned, data).compute(), turned.scores.compute(), atol=1e-9)


@pytest.mark.parametrize("method", ["varimax", "promax"])
def test_components_of_no_strength_spoil_no_shape(method: str, backing: Backing, cube: Cube) -> None:
    cells, shapes = simple()
    found = rotate(svd(backing(cube(cells)), 5), method).compute()
    likeness = np.abs(found.components.values.reshape(5, 24)[:3] @ shapes.T)
    np.testing.assert_allclose(likeness.max(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(found.scores[..., 3:], 0, atol=1e-6)


def test_refuses_what_it_cannot_rotate(cube: Cube) -> None:
    data = cube(np.random.default_rng(1).random(size=(4, 5, 2, 6)))
    with pytest.raises(ResultError, match="Components of 'nmf' are not rotated"):
        rotate(nmf(data, 2))
    with pytest.raises(ResultError, match="No rotation 'magic'"):
        rotate(svd(data, 2), "magic")
    with pytest.raises(ResultError, match="rotated already"):
        rotate(rotate(svd(data, 2)))
