"""What every simulated scan is made of: maps, noise and blocks that depend on the cell alone."""

from typing import Any

import dask.array as da
import numpy as np
import pytest

from usidx.simulate.fields import SmoothField, assemble, draw_row_noise, make_position_coordinates, match_chunks


def test_a_field_is_its_sum_of_waves() -> None:
    field = SmoothField(np.array([1.0, 0.5]), np.array([0.0, 2.0]), np.array([0.3, 1.1]))
    y, x = np.array([0.0, 1.5]), np.array([0.0, 0.7, 2.0])
    expected = [[np.cos(a + 0.3) + np.cos(0.5 * a + 2.0 * b + 1.1) for b in x] for a in y]
    np.testing.assert_allclose(field(y, x), expected, rtol=1e-12)


def test_a_field_has_unit_variance_and_no_mean() -> None:
    places = np.linspace(0, 400, 300)
    values = SmoothField.draw(np.random.default_rng(0), length=10.0, waves=64)(places, places)
    assert abs(values.mean()) < 0.05
    assert values.std() == pytest.approx(1.0, abs=0.05)


def test_noise_of_a_cell_does_not_depend_on_what_else_is_asked_for() -> None:
    whole = draw_row_noise(3, 5, [4, 6], [np.arange(4), np.arange(6)])
    some = draw_row_noise(3, 5, [4, 6], [np.array([2]), np.array([1, 5])])
    np.testing.assert_array_equal(some, whole[2:3, [1, 5]])
    assert not np.array_equal(whole, draw_row_noise(3, 6, [4, 6], [np.arange(4), np.arange(6)]))


def test_blocks_are_filled_by_their_indices() -> None:
    def fill(y: Any, x: Any) -> Any:
        return 10 * y[:, None] + x

    at_once = assemble(fill, {"Y": 5, "X": 4}, "i8", None)
    in_blocks = assemble(fill, {"Y": 5, "X": 4}, "i8", {"Y": 2, "X": 3})
    assert isinstance(in_blocks, da.Array)
    assert in_blocks.chunks == ((2, 2, 1), (3, 1))
    np.testing.assert_array_equal(in_blocks.compute(), at_once)
    assert at_once[4, 3] == 43


def test_pixels_are_square() -> None:
    coords = make_position_coordinates((3, 5), 8e-6)
    np.testing.assert_allclose(coords["X"].values, [0, 2e-6, 4e-6, 6e-6, 8e-6])
    np.testing.assert_allclose(coords["Y"].values, [0, 2e-6, 4e-6])
    assert coords["Y"].attrs == {"usid_role": "position", "long_name": "Y", "units": "m"}


def test_the_truth_is_cut_along_what_it_shares() -> None:
    assert match_chunks({"Y": 2, "Frequency": 8}, {"Y": 4, "X": 4}) == {"Y": 2}
    assert match_chunks(None, {"Y": 4}) is None
    assert match_chunks("auto", {"Y": 4}) == "auto"
