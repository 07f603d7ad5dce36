"""A fair sample of rows does not depend on how they are cut into blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from usidx.errors import ResultError
from usidx.learn.matrix.sample import (
    RowNumbers,
    draw_numbers,
    find_draw_limit,
    refuse_more_than_noise,
    refuse_negative,
    survey,
)
from usidx.tasks.blocks import Held

Array = np.ndarray[Any, Any]


def test_draws_are_spread_evenly_and_belong_to_a_place() -> None:
    places = np.arange(20000)
    drawn = draw_numbers(places, 3)
    counts = np.histogram(drawn.astype(np.float64), bins=10, range=(0.0, 2.0**64))[0]
    assert abs(counts - 2000).max() < 250  # five standard deviations are 212
    shuffled = np.random.default_rng(0).permutation(places)
    assert_array_equal(draw_numbers(shuffled, 3), drawn[shuffled])
    assert (draw_numbers(places, 4) != drawn).all()


def test_the_limit_lets_about_as_many_through_as_are_wanted() -> None:
    drawn = draw_numbers(np.arange(20000), 0)
    assert abs(int((drawn <= find_draw_limit(500, 20000)).sum()) - 500) < 110
    assert (drawn <= find_draw_limit(30000, 20000)).all()


@pytest.fixture
def rows() -> Array:
    """More rows than the sample holds, a hole, and rows that lack a cell."""
    values = np.random.default_rng(1).normal(size=(20000, 4))
    values[:, 2] = np.nan
    values[::50, 0] = np.nan
    return values


@pytest.mark.parametrize("sizes", [[20000], [9999, 1, 10000], [5000] * 4])
def test_one_pass_finds_the_same_for_any_blocks(rows: Array, sizes: list[int]) -> None:
    found = survey(Held(rows, sizes), np.arange(20000), 4, seed=0)
    known = np.delete(rows, np.arange(0, 20000, 50), axis=0)[:, [0, 1, 3]]
    assert found.count == len(known)
    assert_array_equal(found.holes, [False, False, True, False])
    assert_allclose(found.square, (known**2).sum(), rtol=1e-12)
    assert len(found.sample) == 16384
    assert (np.diff(found.draws.astype(np.float64)) >= 0).all()
    whole = survey(Held(rows), np.arange(20000), 4, seed=0)
    assert_array_equal(found.sample, whole.sample)
    # Each row of the sample is one of the data, none twice.
    assert len(np.unique(found.sample[:, 0])) == 16384
    assert np.isin(found.sample[:, 0], known[:, 0]).all()


def test_rows_in_another_order_give_the_same_sample(rows: Array) -> None:
    order = np.random.default_rng(2).permutation(20000)
    moved = survey(Held(rows[order]), order, 4, seed=0)
    assert_array_equal(moved.sample, survey(Held(rows), np.arange(20000), 4, seed=0).sample)


def test_negative_cells_are_refused() -> None:
    refuse_negative(np.array([[0.0, np.nan, 2.0]]))
    with pytest.raises(ResultError, match=r"negative cells .the lowest found is -0\.5"):
        refuse_negative(np.array([[0.0, np.nan, -0.5]]))


def test_noise_below_zero_is_told_from_data() -> None:
    for lowest, is_noise in ((-0.2, True), (-0.3, False)):
        changed = np.random.default_rng(1).random((2000, 4))
        changed[5, 0] = 1
        changed[777, 1] = lowest
        for sizes in ((2000,), (700, 700, 2000 - 1400)):
            seen = survey(Held(changed, sizes), np.arange(2000), 4, seed=0)
            assert (seen.lowest, seen.highest) == (lowest, 1)
            if is_noise:
                refuse_more_than_noise(seen)
            else:
                with pytest.raises(ResultError, match=r"negative cells .the lowest found is -0\.3"):
                    refuse_more_than_noise(seen)


def test_numbers_of_rows_are_those_of_their_blocks() -> None:
    chunks = ((2, 3), (4, 1), (2,))
    cube = np.arange(5 * 5 * 2).reshape(5, 5, 2)
    blocks = [cube[:2, :4], cube[:2, 4:], cube[2:, :4], cube[2:, 4:]]
    expected = np.concatenate([block.ravel() for block in blocks])
    numbers = RowNumbers(chunks)
    assert len(numbers) == 50
    assert_array_equal(numbers[:], expected)
    for start, stop in ((0, 16), (16, 20), (3, 45), (19, 21), (49, 50), (7, 7)):
        assert_array_equal(numbers[start:stop], expected[start:stop])
