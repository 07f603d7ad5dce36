"""Blocks that kernels work on: joined and cut, and handed on."""

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.label.chunking import call_on_blocks, cut_single_block, join_along


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


def test_a_function_is_given_the_blocks_themselves() -> None:
    given: list[Any] = []
    blocks = [np.arange(12.0).reshape(2, 6), np.ones((2, 6))]
    first = da.concatenate([da.from_delayed(dask.delayed(one, pure=True), one.shape, one.dtype) for one in blocks])
    turned = da.from_delayed(dask.delayed(np.ones((6, 4)).T), (4, 6), float)

    def look(block: Any, other: Any, weight: Any) -> Any:
        given.append(block)
        assert other.flags.c_contiguous
        return block + other * weight, block[:, :2]

    inputs = [xr.Variable(("y", "e"), one) for one in (first, turned)] + [xr.Variable(("e",), np.ones(6))]
    metas = [np.empty((0, 0)), np.empty((0, 0))]
    found = call_on_blocks(look, inputs, ("y",), metas, [(6,), (2,)])
    assert [one.chunks for one in found] == [((2, 2), (6,)), ((2, 2), (2,))]
    whole, part = dask.compute(*found, scheduler="sync")
    np.testing.assert_array_equal(whole, np.concatenate(blocks) + 1)
    np.testing.assert_array_equal(part, np.concatenate(blocks)[:, :2])
    assert all(any(np.shares_memory(block, one) for one in blocks) for block in given)
