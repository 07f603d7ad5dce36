"""Components from Gram matrices, against the singular value decomposition of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from usidx.learn.factors.eigen import decompose_rows, divide_by_total, find_leading, find_leading_rows, fix_sign
from usidx.learn.factors.eigen import project_rows as project
from usidx.learn.factors.gram import sum_moments

Array = np.ndarray[Any, Any]


def rows_of(dtype: str, shape: tuple[int, int] = (60, 7)) -> Array:
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype.startswith("c") else 0)
    return np.asarray(drawn * np.arange(1, shape[1] + 1), dtype)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("centred", [False, True])
def test_components_and_scores(dtype: str, centred: bool) -> None:
    rows = rows_of(dtype) + 2.0
    found = decompose_rows(sum_moments(rows, centred), 4)
    about = rows - rows.mean(axis=0) if centred else rows
    left, values, right = np.linalg.svd(about, full_matrices=False)
    assert_allclose(found.values, values[:4], rtol=1e-12)
    assert_allclose(found.ratio, values[:4] ** 2 / (values**2).sum(), rtol=1e-12)
    # Components are known up to a factor of modulus one: projectors are not.
    assert_allclose(found.components.conj().T @ found.components, right[:4].conj().T @ right[:4], rtol=1e-9, atol=1e-9)
    assert_allclose(project(rows, found) @ found.components, left[:, :4] * values[:4] @ right[:4], atol=1e-9)


def test_scores_of_rows_that_are_not_known_are_nan() -> None:
    rows = rows_of("f8")
    rows[:, 3] = np.nan
    found = decompose_rows(sum_moments(rows, True), 2)
    rows[5, 0] = np.nan
    scores = project(rows, found)
    assert np.isnan(scores[5]).all()
    assert np.isfinite(np.delete(scores, 5, axis=0)).all()
    assert (found.components[:, 3] == 0.0).all()


def test_the_largest_cell_becomes_real_and_positive() -> None:
    components = np.array([[1.0, -3.0, 2.0], [0.0, 2j, 1.0]])
    turned = components * fix_sign(components)[:, np.newaxis]
    assert_allclose(turned, np.array([[-1.0, 3.0, -2.0], [0.0, 2.0, -1j]]))


def test_the_first_of_cells_that_are_all_but_equal_decides() -> None:
    assert_array_equal(fix_sign(np.array([[-1.0, 1.0 + 1e-9], [0.0, 0.0]])), [-1.0, 1.0])


def test_eigenvalues_that_are_rounding_are_zero() -> None:
    thin = rows_of("f8", (9, 2))
    squares, _ = find_leading(thin @ thin.T, 5)
    assert_allclose(squares[:2], np.linalg.svd(thin)[1] ** 2, rtol=1e-12)
    assert (squares[2:] == 0.0).all()


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_leading_rows_of_tall_and_of_wide_samples(shape: tuple[int, int]) -> None:
    rows = rows_of("f8", shape)
    found = find_leading_rows(rows, 3)
    expected = np.linalg.svd(rows, full_matrices=False)[2][:3]
    assert_allclose(np.abs(np.vecdot(found, expected)), 1.0, rtol=1e-10)


def test_shares_of_nothing_are_zero() -> None:
    assert_array_equal(divide_by_total(np.array([0.0, 0.0]), 0.0), [0.0, 0.0])
    assert_array_equal(divide_by_total(np.array([3.0, 1.0]), 4.0), [0.75, 0.25])
