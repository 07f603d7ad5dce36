"""Rows that are divided where they are looked at, beside those that were divided before."""

from typing import Any

import numpy as np
import pytest

from usidx.learn.matrix.even import Evening, EvenPasses, EvenRows, find_level, pick_rows
from usidx.tasks.passes import plan_passes

Array = np.ndarray[Any, Any]


def counts(dtype: str) -> tuple[Array, Array, Array]:
    """Return counts, the scale of the columns, and the divided rows."""
    rng = np.random.default_rng(0)
    block, steps = rng.poisson(4, (40, 7)).astype(dtype), 1 + rng.random(7)
    block[3] = 0
    level = np.sqrt(np.where(block.mean(axis=1) > 0, block.mean(axis=1), 1.0))
    return block, steps, block / steps / level[:, np.newaxis]


@pytest.mark.parametrize("dtype", ["u2", "f8"])
def test_each_choice_of_rows_is_divided(dtype: str) -> None:
    block, steps, divided = counts(dtype)
    rows = EvenRows(block, steps, Evening(np.dtype("f8"), by_row=True))
    for chosen in (slice(None), slice(3, 30, 4), np.array([5, 1]), divided[:, 0] > 1):
        np.testing.assert_allclose(rows[chosen], divided[chosen], rtol=1e-14)
    np.testing.assert_allclose(np.asarray(rows), divided, rtol=1e-14)
    np.testing.assert_allclose(rows.mean(0), divided.mean(axis=0), rtol=1e-14)
    assert (rows.shape, len(rows), rows.size) == ((40, 7), 40, 280)


def test_single_precision_stays() -> None:
    block, steps, divided = counts("u2")
    rows = EvenRows(block, steps, Evening(np.dtype("f4"), by_row=True))
    assert rows[:2].dtype == np.asarray(rows).dtype == np.float32
    np.testing.assert_allclose(rows, divided, rtol=1e-6)


def test_cells_that_are_missing_do_not_count_for_the_level() -> None:
    block = np.array([[4.0, np.nan, 14.0], [np.nan] * 3, [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(find_level(block), [3, 1, 1])


def test_passes_see_divided_rows() -> None:
    block, steps, divided = counts("u2")
    passes = EvenPasses(plan_passes(block), steps, Evening(np.dtype("f8"), by_row=True))
    total = passes.fold(lambda rows: rows[:].sum(axis=0), np.add)
    np.testing.assert_allclose(total, divided.sum(axis=0))
    np.testing.assert_allclose(
        passes.map_rows(lambda rows, value: rows[:] @ value, np.eye(7)[:, :2], 2, float), divided[:, :2]
    )
    sampled, read = passes.iterate(lambda blocks: (blocks.sample(40), np.concatenate(list(blocks.read_each()))))
    np.testing.assert_allclose(sampled, divided)
    np.testing.assert_allclose(read, divided)


def test_rows_that_are_picked_are_as_large_as_they_were_read() -> None:
    block, steps, divided = counts("u2")
    parts = [EvenRows(part, steps, Evening(np.dtype("f4"), by_row=True)) for part in (block[:11], block[11:])]
    numbers = np.array([30, 2, 11, 10, 39])
    picked = pick_rows(parts, numbers)
    assert picked.undivided.dtype == np.uint16
    np.testing.assert_allclose(picked, divided[numbers], rtol=1e-6)
    mixed = pick_rows([parts[0], divided[11:]], numbers)
    np.testing.assert_allclose(mixed, divided[numbers], rtol=1e-6)
    assert pick_rows(parts, np.arange(0)).shape == (0, 7)
