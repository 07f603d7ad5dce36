"""Powers of two bring numbers of any unit to a size whose squares can be summed, and back without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from usidx.learn.matrix.exponent import find_exponent, lower_blocks, multiply_by_power
from usidx.tasks.blocks import Held


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_usual_numbers_stay_as_they_are(size: float, dtype: str) -> None:
    assert find_exponent(np.array([[size, -size / 2]], dtype)) == 0


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e-20), ("f4", 3e25), ("c8", 1e-20), ("f8", 1e-70), ("f8", 1e70)])
def test_others_come_to_between_a_half_and_one(dtype: str, size: float) -> None:
    sample: Any = np.array([[size, -size / 4]], dtype)
    exponent = find_exponent(sample)
    lowered = multiply_by_power(sample, -exponent)
    assert 0.5 <= np.abs(lowered).max() < 1.0
    assert lowered.dtype == sample.dtype
    assert_array_equal(multiply_by_power(lowered, exponent), sample)


def test_whole_numbers_need_none() -> None:
    assert find_exponent(np.array([[2**40, -1]])) == 0


def test_blocks_are_lowered_as_they_are_read() -> None:
    blocks = Held(np.array([[8.0, 4.0], [2.0, 1.0]]))
    assert_array_equal(np.concatenate(list(lower_blocks(blocks, 2).read_each())), [[2.0, 1.0], [0.5, 0.25]])
    assert lower_blocks(blocks, 0) is blocks
