"""Products with a thin block of vectors, shifted and put right again, against whole Gram matrices."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from usidx.learn.factors.products import choose_dtype, join_sums, make_frame, sum_first_pass, sum_gram, sum_next_pass

Array = np.ndarray[Any, Any]


def rows_of(dtype: str) -> Array:
    rng = np.random.default_rng(2)
    i = 1j if dtype.startswith("c") else 0
    return np.asarray(rng.normal(size=(50, 8)) + i * rng.normal(size=(50, 8)) + 20.0 + 5 * i, dtype)


def basis_of(dtype: str) -> Array:
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(8, 3)) + (1j * rng.normal(size=(8, 3)) if dtype.startswith("c") else 0)
    return np.asarray(np.linalg.qr(drawn)[0])


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("centred", [False, True])
def test_images_under_the_gram_matrix(dtype: str, centred: bool) -> None:
    rows, basis = rows_of(dtype), basis_of(dtype)
    shift = rows[:9].mean(axis=0)
    sums = reduce(join_sums, [sum_first_pass(part, basis, shift, True)[0] for part in np.split(rows, [11, 12, 40])])
    frame = make_frame(sums, shift, centred)
    image, inner = frame.complete_products(basis, sums.product, sums.inner)
    about = rows - rows.mean(axis=0) if centred else rows
    gram = about.conj().T @ about
    assert_allclose(image, gram @ basis, rtol=1e-11, atol=1e-9)
    assert_allclose(inner, basis.conj().T @ gram @ basis, rtol=1e-11, atol=1e-9)
    assert_allclose(frame.square, np.trace(gram).real, rtol=1e-12)
    if centred:
        assert_allclose(frame.mean, rows.mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("centred", [False, True])
def test_later_passes_and_whole_gram_matrices_agree(centred: bool) -> None:
    rows, basis = rows_of("f8"), basis_of("f8")
    shift = rows[:9].mean(axis=0)
    first, _ = sum_first_pass(rows, basis, shift, True)
    frame = make_frame(first, shift, centred)
    about = rows - rows.mean(axis=0) if centred else rows
    (product, inner), images = sum_next_pass(rows, basis, frame.shift, frame.holes, True)
    assert_allclose(frame.complete_products(basis, product, inner)[0], about.T @ about @ basis, rtol=1e-11, atol=1e-9)
    assert images is not None
    assert_allclose(images, (rows - shift) @ basis, rtol=1e-12, atol=1e-12)
    assert_allclose(frame.complete_gram(sum_gram(rows, shift, True).product), about.T @ about, rtol=1e-11, atol=1e-9)


def test_what_rows_have_in_common_costs_single_precision_no_digits() -> None:
    rng = np.random.default_rng(4)
    rows = (1e4 + rng.integers(-8, 9, size=(64, 8))).astype(np.float32)
    basis, shift = basis_of("f8").astype(np.float32).astype(np.float64), np.full(8, 1e4)
    sums, _ = sum_first_pass(rows, basis, shift, False)
    about = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    image, _ = make_frame(sums, shift, True).complete_products(basis, sums.product, sums.inner)
    assert_allclose(image, about.T @ about @ basis, rtol=1e-4, atol=2e-2)


def test_rows_that_lack_a_cell_do_not_count_and_leave_no_images() -> None:
    rows, basis = rows_of("f8"), basis_of("f8")
    shift = rows[:9].mean(axis=0)
    rows[4, 2] = np.nan
    sums, images = sum_first_pass(rows, basis, shift, True)
    known = np.delete(rows, 4, axis=0)
    assert images is None
    assert sums.count == 49
    assert_allclose(sums.total, (known - shift).sum(axis=0), rtol=1e-11, atol=1e-11)


def test_a_cell_that_single_precision_cannot_square_is_multiplied_in_double() -> None:
    rows = rows_of("f8").astype(np.float32)
    rows[3, 3] = 1e30
    sums, _ = sum_first_pass(rows, basis_of("f8"), np.zeros(8), False)
    assert_allclose(sums.square, (rows.astype(np.float64) ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "double", "expected"),
    [
        ("i2", False, "f4"),
        ("i4", False, "f8"),
        ("f4", False, "f4"),
        ("f4", True, "f8"),
        ("c8", False, "c8"),
        ("c8", True, "c16"),
        ("f8", False, "f8"),
    ],
)
def test_the_precision_to_multiply_in(dtype: str, double: bool, expected: str) -> None:
    assert choose_dtype(np.dtype(dtype), double) == np.dtype(expected)
