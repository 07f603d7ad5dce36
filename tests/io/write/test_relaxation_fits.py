"""Fits of decays in files: the fields of BGlib, and the same Dataset again."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.legacy import results_group
from usidx.testing.files import build_main

STORED = {
    "exponential": ("Exp_Fit", "Exponential_Fit", ("Amplitude [V]", "Time_Constant [s]", "Offset [V]")),
    "double": (
        "Double_Exp",
        "Double_Exp_Fit",
        ("Amplitude [V]", "Time_Constant [s]", "Amplitude 2 [V]", "Time_Constant 2 [s]", "Offset [V]"),
    ),
    "stretched": ("Str_Exp", "Str_Exp_Fit", ("Amplitude [V]", "Time_Constant [s]", "Beta", "Offset [V]")),
}


@pytest.mark.parametrize("decay", STORED)
def test_fields_are_those_of_bglib(tmp_path: Path, decay: Any) -> None:
    data, _ = usidx.simulate.relaxation((4, 3), 40, biases=3, kind=decay)
    usidx.write(data, tmp_path / "scan.h5")
    fitted = usidx.relaxation_fit(usidx.open_main(tmp_path / "scan.h5"), decay)
    group = fitted.usid.write()
    title, dataset, fields = STORED[decay]
    assert group.endswith(f"/Raw_Data-{title}_000")
    with h5py.File(tmp_path / "scan.h5") as file:
        stored = file[f"{group}/{dataset}"]
        assert stored.dtype.names == (*fields, "R2 Criterion")
        assert stored.shape == (12, 3)
        assert file[group].attrs["decay"] == decay
    xr.testing.assert_identical(usidx.open_result(tmp_path / "scan.h5", group).compute(), fitted.compute())


def test_an_exponential_fit_of_bglib_opens_under_the_same_names(tmp_path: Path) -> None:
    position: Any = [("Y", "m", np.arange(4) * 1e-6), ("X", "m", np.arange(3) * 1e-6)]
    build_main(tmp_path / "scan.h5", np.zeros((4, 3, 5), "f4"), position, [("Time", "s", np.arange(5.0))])
    values = np.zeros((4, 3, 2), [("Amplitude [pm]", "f8"), ("Time_Constant [s]", "f8"), ("Offset [pm]", "f8")])
    values["Time_Constant [s]"] = np.arange(24.0).reshape(4, 3, 2)
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        group = results_group(file, "/Measurement_000/Channel_000/Raw_Data", "Exp_Fit")
        bias: Any = [("Bias", "V", [-1.0, 1.0])]
        build_main(group, values, position, bias, name="Exponential_Fit", quantity="None", units="pm")
    opened = usidx.open_result(tmp_path / "scan.h5", "Exp_Fit_000")
    assert set(opened.data_vars) == {"amplitude", "time_constant", "offset"}
    np.testing.assert_array_equal(opened.time_constant, values["Time_Constant [s]"])
    assert opened.time_constant.units == "s"
