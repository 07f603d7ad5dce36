"""Corners of clouds of scores whose corners are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from usidx.learn.factors.endmembers import choose_farthest_rows, find_largest_simplex, find_vertex_components

Array = np.ndarray[Any, Any]


def cloud(corners: Array, seed: int = 0) -> Array:
    """Return mixtures of the corners, and the corners among them."""
    parts = np.random.default_rng(seed).dirichlet(np.ones(len(corners)), 200)
    return np.concatenate([parts[:90] @ corners, corners, parts[90:] @ corners])


def in_order(rows: Array) -> Array:
    return rows[np.lexsort(rows.T)]


def test_each_row_is_the_longest_at_right_angles_to_those_before() -> None:
    rows = np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 1.0], [2.9, 0.5, 0.0], [0.0, 2.0, 0.1]])
    assert choose_farthest_rows(rows, 3) == [0, 3, 1]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_largest_simplex_has_the_corners(n: int) -> None:
    corners = np.random.default_rng(n).normal(size=(n, n - 1)) * 1e6
    rows = cloud(corners)
    rows[5] = np.nan
    assert_allclose(in_order(find_largest_simplex(rows)), in_order(corners), rtol=1e-12)


@pytest.mark.parametrize("noise", [False, True], ids=["to a plane", "to a subspace"])
def test_vertex_components_are_the_corners(noise: bool) -> None:
    corners = np.array([[5.0, 0.3, 0.2], [4.0, 2.0, 0.1], [6.0, 0.5, 3.0]])
    found = find_vertex_components(cloud(corners), 0.5 if noise else 1.0, features=100, seed=0)
    assert_allclose(in_order(found), in_order(corners), rtol=1e-12)


def test_of_nothing_known_nothing_is_found() -> None:
    assert np.isnan(find_largest_simplex(np.full((4, 2), np.nan))).all()
    assert np.isnan(find_vertex_components(np.full((4, 2), np.nan), 1.0, 5, 0)).all()
