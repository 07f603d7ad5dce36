"""Which samples approach and which retract: by height, and by numbers of segments."""

import numpy as np

from usidx.modes.force.kernels.segments import find_parts


def test_a_curve_is_cut_where_the_tip_turns_round() -> None:
    down, up = np.linspace(1, 0, 11), np.linspace(0, 1, 11)
    rows = np.array([np.concatenate([down, np.zeros(3), up]), 5 - 2 * np.concatenate([down, np.zeros(3), up])])
    np.testing.assert_array_equal(find_parts(rows, None), [[0, 11, 14, 25]] * 2)
    only = find_parts(down[np.newaxis], None)[0]
    assert (only[0], only[1]) == (0, 11)
    assert only[3] - only[2] == 0


def test_a_curve_may_end_beyond_where_it_began_and_have_missing_ends() -> None:
    height = np.concatenate([[np.nan], np.linspace(1, 0, 11), np.linspace(0.1, 4, 40), [np.nan, np.nan]])
    np.testing.assert_array_equal(find_parts(height[np.newaxis], None), [[1, 12, 12, 52]])
    np.testing.assert_array_equal(find_parts(np.full((1, 9), np.nan), None), [[0, 0, 0, 0]])


def test_pauses_among_the_segments_are_passed_over() -> None:
    parts = [np.full(4, 1.0), np.linspace(1, 0, 10), np.linspace(0, 0.05, 6), np.linspace(0.05, 1, 8)]
    marks = np.repeat(np.arange(4.0), [len(one) for one in parts])
    height = np.concatenate(parts)
    np.testing.assert_array_equal(find_parts(height[np.newaxis], marks[np.newaxis]), [[4, 14, 20, 28]])
    several = find_parts(np.tile(height, (3, 1)), marks[np.newaxis])
    np.testing.assert_array_equal(several, [[4, 14, 20, 28]] * 3)
