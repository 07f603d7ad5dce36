"""Which rows and columns of a block can be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from usidx.errors import ResultError
from usidx.learn.matrix.missing import are_all_finite, find_complete, keep_complete, sift

Array = np.ndarray[Any, Any]


def block(**cells: float) -> Array:
    """Return rows 0 1 2, 3 4 5, ... with some cells replaced, such as ``r1c2=nan``."""
    values = np.arange(12.0).reshape(4, 3)
    for place, value in cells.items():
        values[int(place[1]), int(place[3])] = value
    return values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (block(), True),
        (block(r1c2=np.nan), False),
        (block(r1c2=-np.inf), False),
        (np.array([1 + 1j, np.nan * 1j]), False),
        (np.array([1, 2]), True),
        (np.zeros((0, 3)), True),
    ],
)
def test_whether_all_is_finite(values: Array, expected: bool) -> None:
    assert are_all_finite(values) is expected


def test_numbers_whose_squares_overflow_are_refused() -> None:
    with pytest.raises(ResultError, match="numbers up to 1e\\+80, whose squares cannot be summed"):
        are_all_finite(block(r0c0=1e80))


def test_a_whole_block_is_returned_as_it_is() -> None:
    values = block()
    rows, holes = sift(values)
    assert rows is values
    assert not holes.any()
    assert find_complete(values, holes) is None
    assert keep_complete(values, holes)[0] is values


def test_columns_without_a_number_are_holes_and_other_gaps_leave_a_row_out() -> None:
    values = block(r0c1=np.nan, r1c1=np.nan, r2c1=np.nan, r3c1=np.nan, r2c0=np.inf)
    rows, holes = sift(values)
    assert_array_equal(holes, [False, True, False])
    assert_array_equal(rows, [[0.0, 0.0, 2.0], [3.0, 0.0, 5.0], [9.0, 0.0, 11.0]])


def test_rows_without_any_number_decide_nothing() -> None:
    values = block(r1c0=np.nan, r1c1=np.nan, r1c2=np.nan)
    rows, holes = sift(values)
    assert not holes.any()
    assert_array_equal(rows, values[[0, 2, 3]])


def test_complete_rows_of_known_holes() -> None:
    holes = np.array([False, True, False])
    values = block(r0c1=np.nan, r2c2=np.nan)
    rows, used = keep_complete(values, holes)
    assert used is not None
    assert_array_equal(used, [True, True, False, True])
    assert_array_equal(rows, [[0.0, 0.0, 2.0], [3.0, 0.0, 5.0], [9.0, 0.0, 11.0]])


def test_where_all_columns_are_holes_no_row_is_complete() -> None:
    values = np.full((2, 3), np.nan)
    used = find_complete(values, np.ones(3, bool))
    assert used is not None
    assert not used.any()
