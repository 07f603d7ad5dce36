"""Blocks that kernels work on: joined, cut, and with the cells beside them."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.label.chunking import cut_single_block, join_along, trim, widen


def lazy(shape: tuple[int, ...], chunks: Any) -> xr.Variable:
    return xr.Variable(("y", "x", "e")[: len(shape)], da.zeros(shape, chunks=chunks))


def test_spectra_are_joined_and_nothing_else() -> None:
    assert join_along(lazy((6, 4, 10), (2, 4, 3)), ("e",)).chunks == ((2, 2, 2), (4,), (10,))
    whole = lazy((6, 4, 10), (2, 3, 10))
    assert join_along(whole, ("e",)) is whole
    plain = xr.Variable(("e",), np.zeros(3))
    assert join_along(plain, ("e",)) is plain


def test_blocks_that_grow_when_spectra_are_joined_are_cut_elsewhere() -> None:
    (heights, widths, depths) = join_along(lazy((400, 400, 1000), (400, 400, 1)), ("e",)).chunks or ()
    assert depths == (1000,)
    assert max(heights) * max(widths) * 1000 * 8 <= 64 * 2**20
    assert (sum(heights), sum(widths)) == (400, 400)
    assert join_along(lazy((2, 2, 2**24), (2, 2, 2**20)), ("e",)).chunks == ((1, 1), (1, 1), (2**24,))


@pytest.mark.parametrize(
    ("shape", "smallest", "expected"),
    [
        ((100, 20, 1000), 0, ((4,) * 25, (20,), (1000,))),
        ((20, 100, 1000), 0, ((20,), (4,) * 25, (1000,))),
        ((100, 20, 10), 1600 * 50, ((50, 50), (20,), (10,))),
        ((100, 20, 10), 2**20, ((100,), (20,), (10,))),
        ((3, 2, 10), 0, ((1, 1, 1), (2,), (10,))),
        ((0, 2, 10), 0, ((0,), (1, 1), (10,))),
    ],
)
def test_a_single_block_becomes_up_to_32_parts_that_are_worth_it(
    shape: tuple[int, ...], smallest: int, expected: Any
) -> None:
    assert cut_single_block(lazy(shape, -1), ("e",), smallest).chunks == expected


def test_what_is_in_parts_or_all_one_spectrum_is_not_cut() -> None:
    parts = lazy((100, 20, 1000), (50, 20, 1000))
    assert cut_single_block(parts, ("e",), 0) is parts
    alone = lazy((100, 20), -1)
    assert cut_single_block(alone, ("y", "x"), 0) is alone


@pytest.mark.parametrize("other", [lambda v: v, lambda v: v.chunk({"y": 4})])
def test_cells_beside_a_block_are_given_and_taken_away(other: Any) -> None:
    first = xr.Variable(("y", "x"), da.from_array(np.arange(12.0).reshape(6, 2), chunks=(2, 2)))
    second = xr.Variable(("y",), np.arange(6))
    third = xr.Variable(("x",), np.arange(2))
    wide, along, across = widen([first, other(second), third], {"y": 1})
    np.testing.assert_array_equal(along, [0, 1, 2, 1, 2, 3, 4, 3, 4, 5])
    np.testing.assert_array_equal(wide[:, 0] / 2, along)
    assert across is third
    xr.testing.assert_identical(trim(wide, {"y": 1}).compute(), first.compute())
