"""The medians of machine code beside those of sorting, for each network and beyond."""

import numpy as np
import pytest

from usidx.signal.kernels.running_median import find_medians


@pytest.mark.parametrize("window", [1, 3, 5, 7, 9, 11, 41])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_windows_of_any_order(window: int, dtype: str) -> None:
    rows = np.random.default_rng(0).integers(0, 9, (20, 60)).astype(dtype)
    rows[3, 7], rows[4, 5] = np.inf, -np.inf
    windows = np.lib.stride_tricks.sliding_window_view(rows, window, axis=1)
    for given in (rows, np.asfortranarray(rows)):
        given.flags.writeable = False
        np.testing.assert_array_equal(find_medians(given, window), np.sort(windows, axis=-1)[..., window // 2])
