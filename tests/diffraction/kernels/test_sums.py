"""Runs of pixels and the sums over them, beside NumPy's over masks."""

import numpy as np
import pytest

from usidx.diffraction.kernels.pixels import as_frames, find_runs, make_zero
from usidx.diffraction.kernels.sums import sum_known_rings, sum_rings, sum_runs

_CHANCE = np.random.default_rng(0)
_SHAPE = (5, 9, 14)


@pytest.mark.parametrize("counts", [_CHANCE.random((9, 14)) < 0.4, np.ones((9, 14), bool), np.zeros((9, 14), bool)])
def test_runs_are_the_pixels_that_count(counts: np.ndarray) -> None:
    found = np.zeros_like(counts)
    for row, first, after in find_runs(counts):
        assert not found[row, first:after].any()
        found[row, first:after] = True
    np.testing.assert_array_equal(found, counts)


def test_long_runs_are_cut_where_a_sum_of_32_bits_would_run_over() -> None:
    counts = np.ones((1, 70_000), bool)
    frames = np.full((1, 1, 70_000), 65535, np.uint16)
    out = np.empty(1)
    sum_runs(frames, find_runs(counts), 0, make_zero(frames.dtype), out)
    assert out[0] == 65535 * 70_000


def test_rings_take_each_pixel_once() -> None:
    frames = as_frames(_CHANCE.integers(0, 65536, _SHAPE).astype(">u2")).reshape(_SHAPE[0], -1)
    rings = _CHANCE.integers(0, 4, frames.shape[1])
    expected = np.stack([[frame[rings == ring].sum(dtype=float) for ring in range(4)] for frame in frames])
    out, counts = np.empty((_SHAPE[0], 4)), np.empty((_SHAPE[0], 4))
    sum_rings(frames, rings, make_zero(frames.dtype), out)
    np.testing.assert_array_equal(out, expected)
    known = frames.astype(float)
    known[1, 3] = np.nan
    sum_known_rings(known, rings, out, counts)
    expected[1, rings[3]] -= frames[1, 3]
    np.testing.assert_allclose(out, expected, rtol=1e-14)
    assert counts.sum() == frames.size - 1
