"""What is derived from current-voltage curves, in files."""

from pathlib import Path

import numpy as np
import xarray as xr

import usidx


def test_conductance_and_gap_find_their_way_back(tmp_path: Path) -> None:
    path = tmp_path / "curves.h5"
    usidx.write(usidx.simulate.current_voltage((4, 3), 101, noise=1e-4)[0], path)
    curves = usidx.open_main(path)
    slope = usidx.didv(curves)
    group = slope.usid.write()
    assert group.endswith("/Raw_Data-Didv_000")
    again = usidx.open_result(path, group)
    np.testing.assert_array_equal(again.didv, slope)
    assert again.didv.units == "A/V"
    found = usidx.gap(slope, inside=(-0.3, 0.3))
    group = found.usid.write()
    assert group.endswith("/Raw_Data-Gap_000")
    xr.testing.assert_identical(usidx.open_result(path, group).compute(), found.compute())
