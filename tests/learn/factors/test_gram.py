"""Count, mean and Gram matrix of rows, whole and in pieces, against NumPy."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from usidx.learn.factors.gram import compute_gram, join_moments, sum_moments

Array = np.ndarray[Any, Any]


def rows_of(dtype: str, offset: float = 0.0) -> Array:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(40, 5)) + (1j * rng.normal(size=(40, 5)) if dtype.startswith("c") else 0)
    return np.asarray(drawn + offset, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_gram_matrices(dtype: str) -> None:
    rows = rows_of(dtype)
    assert_allclose(compute_gram(rows), rows.conj().T @ rows, rtol=1e-5 if dtype in ("f4", "c8") else 1e-13, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("centred", [False, True])
def test_pieces_join_to_the_moments_of_the_whole(dtype: str, centred: bool) -> None:
    rows = rows_of(dtype, offset=3.0)
    found = reduce(join_moments, [sum_moments(part, centred) for part in np.split(rows, [7, 8, 30])])
    about = rows - rows.mean(axis=0) if centred else rows
    assert found.count == 40
    assert not found.holes.any()
    assert_allclose(found.gram, about.conj().T @ about, rtol=1e-12)
    if centred:
        assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-13)


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    rows = np.round(rows_of("f8") * 64) / 64  # sums with 1e8 are exact then
    found = reduce(join_moments, [sum_moments(part, True) for part in np.split(rows + 1e8, 4)])
    about = rows - rows.mean(axis=0)
    assert_allclose(found.gram, about.T @ about, rtol=1e-6)


def test_rows_that_lack_a_cell_are_left_out_and_holes_are_not() -> None:
    rows = rows_of("f8")
    rows[:, 2] = np.nan
    rows[11, 4] = np.inf
    found = join_moments(sum_moments(rows[:20], True), sum_moments(rows[20:], True))
    known = np.delete(rows, 11, axis=0)[:, [0, 1, 3, 4]]
    about = known - known.mean(axis=0)
    assert found.count == 39
    assert_array_equal(found.holes, [False, False, True, False, False])
    kept = ~found.holes
    assert_allclose(found.gram[np.ix_(kept, kept)], about.T @ about, rtol=1e-12)


def test_a_block_whose_holes_are_not_those_of_all_does_not_count() -> None:
    rows = rows_of("f8")
    rows[:20, 1] = np.nan
    found = join_moments(sum_moments(rows[:20], False), sum_moments(rows[20:], False))
    assert found.count == 20
    assert_allclose(found.gram, rows[20:].T @ rows[20:], rtol=1e-13)
