"""Nanonis: the order of lines and points, scans and grids that were stopped, sweeps that differ from point to point."""

from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.kit.pyusid import open_with_pyusid
from tests.kit.small_scans import MAKERS, find_arrays, make_sxm
from usidx.errors import TranslationError


@pytest.mark.parametrize(("direction", "y"), [("down", [6, 4, 2, 0]), ("up", [0, 2, 4, 6])])
def test_axes_say_in_which_order_a_scan_ran(tmp_path: Path, direction: str, y: list[int]) -> None:
    made = make_sxm(tmp_path, direction)
    found = find_arrays(usidx.read_instrument(made.path))
    np.testing.assert_array_equal(found["/Z/backward"], made.truth["/Z/backward"])
    for name, x in (("/Z/forward", [0, 1, 2, 3, 4, 5]), ("/Z/backward", [5, 4, 3, 2, 1, 0])):
        np.testing.assert_allclose(found[name].Y, np.array(y) * 1e-9)
        np.testing.assert_allclose(found[name].X, np.array(x) * 1e-9)


def test_both_directions_line_up_by_their_axes(tmp_path: Path) -> None:
    made = make_sxm(tmp_path)
    found = find_arrays(usidx.read_instrument(made.path))
    forward, backward = found["/Z/forward"], found["/Z/backward"].sortby("X")
    np.testing.assert_array_equal(forward - backward, made.truth["/Z/forward"] - made.truth["/Z/backward"][:, ::-1])


def test_a_scan_that_was_stopped_says_so(tmp_path: Path) -> None:
    path = make_sxm(tmp_path).path
    content = bytearray(path.read_bytes())
    content[-6 * 4 :] = np.full(6, np.nan, ">f4").tobytes()  # the last line of the last frame
    path.write_bytes(content)
    found = find_arrays(usidx.read_instrument(path))
    assert found["/Current/forward"].attrs["lines_measured"] == 3
    assert "lines_measured" not in found["/Z/forward"].attrs


def test_a_grid_that_was_stopped_keeps_its_points(tmp_path: Path) -> None:
    made = MAKERS["nanonis_3ds"](tmp_path)
    point = 4 * (4 + 2 * 5)
    made.path.write_bytes(made.path.read_bytes()[: -2 * point])
    current = find_arrays(usidx.read_instrument(made.path))["/Current"]
    assert (current.shape, current.attrs["points_measured"]) == ((2, 3, 5), 4)
    np.testing.assert_array_equal(current[0], made.truth["/Current"][0])
    np.testing.assert_array_equal(current[1, 0], made.truth["/Current"][1, 0])
    assert np.isnan(current[1, 1:]).all()


def test_a_header_may_not_plan_what_nobody_can_hold(tmp_path: Path) -> None:
    made = MAKERS["nanonis_3ds"](tmp_path)
    made.path.write_bytes(made.path.read_bytes().replace(b"3 x 2", b"9999999 x 9999999"))
    with pytest.raises(TranslationError, match="which nobody planned"):
        usidx.read_instrument(made.path)


def test_sweeps_that_differ_keep_their_values(tmp_path: Path) -> None:
    made = MAKERS["nanonis_3ds"](tmp_path)
    content = bytearray(made.path.read_bytes())
    start = content.index(b":HEADER_END:") + 14
    content[start : start + 8] = np.array([-2, 3], ">f4").tobytes()
    made.path.write_bytes(content)
    current = find_arrays(usidx.read_instrument(made.path))["/Current"]
    assert current.dims == ("Y", "X", "Bias_step")
    np.testing.assert_allclose(current.Bias[0, 0], np.linspace(-2, 3, 5))
    np.testing.assert_allclose(current.Bias[1, 2], np.linspace(-1, 1, 5))


def test_parameters_of_points_and_the_frame_are_coordinates(tmp_path: Path) -> None:
    current = find_arrays(usidx.read_instrument(MAKERS["nanonis_3ds"](tmp_path).path))["/Current"]
    np.testing.assert_allclose(current.tip_X, [[3, 7, 11], [15, 19, 23]])
    assert current.tip_X.attrs["units"] == "m"
    assert (float(current.scan_center_Y), float(current.scan_size_X), float(current.scan_angle)) == (2e-9, 6e-9, 15.0)
    np.testing.assert_allclose(current.X, [0, 2e-9, 4e-9])


def test_a_spectrum_knows_where_the_tip_stood(tmp_path: Path) -> None:
    found = find_arrays(usidx.read_instrument(MAKERS["nanonis_dat"](tmp_path).path))["/Current/backward"]
    assert (float(found.X), found.X.attrs["units"]) == (1e-9, "m")
    assert (found.dims, found["Bias calc"].attrs["units"]) == (("Bias calc",), "V")


def test_pyusid_reads_a_spectrum_of_one_place(tmp_path: Path) -> None:
    pytest.importorskip("pyUSID", reason="pyUSID is not installed")
    made = MAKERS["nanonis_dat"](tmp_path)
    target = usidx.convert(made.path, tmp_path / "out.h5")
    seen = open_with_pyusid(target, "Measurement_000/Channel_001/Current_backward")
    np.testing.assert_allclose(seen.in_order("Bias calc"), made.truth["/Current/backward"])
    assert float(usidx.open_main(target, "Current_backward").X) == 1e-9
