"""Runs of pixels are all pixels that count, and frames are what sums can take."""

import numpy as np
import pytest

from usidx.diffraction.kernels.pixels import as_frames, find_runs, make_zero


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (2, 70000)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_runs_cover_what_counts_and_nothing_else(share: float, shape: tuple[int, int]) -> None:
    counts = np.random.default_rng(0).random(shape) < share
    covered = np.zeros(shape, int)
    for row, begin, end in find_runs(counts):
        assert 0 < end - begin <= 2**15
        covered[row, begin:end] += 1
    np.testing.assert_array_equal(covered, counts)


@pytest.mark.parametrize(
    ("stored", "seen", "summed"),
    [
        ("?", "u1", "u4"),
        (">u2", "u2", "u4"),
        ("i1", "i1", "i4"),
        ("u4", "u4", "u8"),
        ("i8", "f8", "f8"),
        ("f2", "f4", "f8"),
    ],
)
def test_frames_are_contiguous_and_native(stored: str, seen: str, summed: str) -> None:
    block = np.ones((4, 5, 2, 3), stored).transpose(3, 2, 0, 1)
    frames = as_frames(block)
    assert frames.shape == (6, 4, 5)
    assert frames.dtype == seen
    assert frames.dtype.isnative
    assert frames.flags.c_contiguous
    assert make_zero(block.dtype).dtype == summed
