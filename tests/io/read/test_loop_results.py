"""Loop fits of the old programs open under the names of today, and do not pass for what they are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.kit.legacy import add_sho_fit
from tests.kit.legacy_loops import SWITCHING_FIELDS, add_loop_fit
from usidx.testing.files import Expected
from usidx.testing.measurements import beps_file, forc_file

Build = Callable[..., Expected]

PARAMETERS = {
    "a_0": "r_minus", "a_1": "switchable_polarization", "a_2": "v_minus", "a_3": "v_plus", "a_4": "slope",
    "b_0": "falling_width_below", "b_1": "falling_width_above", "b_2": "rising_width_below",
    "b_3": "rising_width_above", "R2 Criterion": "criterion",
}  # fmt: skip
METRICS = {
    "Area": "area", "Centroid x": "centroid_x", "Centroid y": "centroid_y", "Rotation Angle [rad]": "rotation_angle",
    "Offset": "offset",
}  # fmt: skip
DERIVED = {
    "Imprint": "imprint", "R+": "r_plus", "Work of Switching": "work_of_switching",
    "Nucleation Bias 1": "nucleation_bias_1", "Nucleation Bias 2": "nucleation_bias_2",
}  # fmt: skip


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("source", [beps_file, forc_file])
def test_names(tmp_path: Path, source: Build, dtype: str, fitted: bool) -> None:
    built = source(tmp_path / "scan.h5")
    add_sho_fit(built, dtype=dtype)
    found = add_loop_fit(built, dtype=dtype, fitted=fitted)
    result = usidx.open_result(built.path, "Fit-Loop_Fit_000")
    dims = [d for d in built.dims if d not in ("Frequency", "DC_Offset")]
    expected = {name: found["Loop_Metrics"][field] for field, name in METRICS.items()}
    for stage, ending in (("Guess", "_guess"), ("Fit", "")) if fitted else (("Guess", "_guess"),):
        expected |= {f"{n}{ending}": found[stage][f] for f, n in PARAMETERS.items()}
        expected |= {f"{n}{ending}": found[f"{stage}_Loop_Parameters"][f] for f, n in DERIVED.items()}
    assert set(result.data_vars) == {"projected_loops", *expected}
    for name, values in expected.items():
        np.testing.assert_array_equal(result[name].transpose(*dims), values, err_msg=name)
        assert result[name].dtype == dtype
    loops = result.projected_loops.transpose(*(d for d in built.dims if d != "Frequency"))
    np.testing.assert_array_equal(loops, found["Projected_Loops"])


def test_a_criterion_is_not_called_r2(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    add_sho_fit(built)
    add_loop_fit(built)
    result = usidx.open_result(built.path, "Fit-Loop_Fit_000")
    assert "r2" not in result
    assert "r2_guess" not in result
    for name in ("criterion", "criterion_guess"):
        assert "not the coefficient of determination" in result[name].attrs["comment"]
    assert "-1e-10" in result.nucleation_bias_1.attrs["comment"]
    assert "tan(slope)" in result.projected_loops.attrs["comment"]
    assert "last edge" in result.area.attrs["comment"]
    assert "comment" not in result.v_plus.attrs


def test_the_kit_knows_the_fields() -> None:
    assert {*DERIVED, "V+", "V-", "R-", "Switchable Polarization"} == set(SWITCHING_FIELDS)
