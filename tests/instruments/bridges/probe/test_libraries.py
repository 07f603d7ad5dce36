"""RHK and MATRIX, which libraries read: values of the list, places and ramps; damage is one error."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed, get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.probe import matrix, rhk

Files = Callable[[str], Path]
CURVES = "rhk/test_iv.SM4"


@pytest.mark.parametrize(
    ("name", "units"),
    [("DC Current", "A"), ("Conductance2", "V"), ("THz Current", "e-"), ("Pump Induced", "V"), ("Current", "A")],
)
def test_real_curves_of_rhk_lie_over_their_bias(real_files: Files, name: str, units: str) -> None:
    pytest.importorskip("sm4file")
    path = real_files(CURVES)
    curves = get_leaf(rhk.READER(path), name)
    assert curves.sizes == {"curve": 5, "Bias": 299}
    # The list has them as the library gives them: a column of the bias, then a column per curve.
    assert_as_listed(np.column_stack([curves.Bias, curves.values.T]), path, f"page {name} ")
    assert (curves.attrs["units"], curves.Bias.attrs["units"]) == (units, "V")
    np.testing.assert_allclose(curves.X, -2.6837618349873082e-08)


@pytest.mark.parametrize("keep", [100, 5000, 40_000])
def test_a_file_of_rhk_that_is_cut_off_is_one_error(real_files: Files, keep: int) -> None:
    pytest.importorskip("sm4file")
    path = real_files(CURVES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"test_iv\.SM4.*'rhk'"):
        rhk.READER(path)


class _Measurement:
    """What access2theMatrix gives for two traces of an image of 2 x 3 pixels, 20 nm x 30 nm."""

    def open(self, path: str) -> tuple[dict[int, str], str]:
        if "alone" in path:
            return {}, "Error, the result file chain could not be opened."
        return {0: "forward/up", 1: "backward/up"}, "ok"

    def select_image(self, trace: str) -> tuple[Any, str]:
        data = np.arange(6.0).reshape(2, 3) + (10 if trace.startswith("back") else 0)
        data[0, 1] = np.nan
        told = {"data": data, "width": 30e-9, "height": 20e-9, "x_offset": 1e-9, "y_offset": 2e-9, "angle": 45}
        return SimpleNamespace(**told, channel_name_and_unit=["Z", "m"]), ""

    def get_experiment_element_parameters(self) -> tuple[list[list[Any]], str]:
        return [["Regulator.Setpoint", 1e-9, "Ampere"], ["Scan.Enabled", True, "--"]], ""


@pytest.fixture
def matrix_library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("access2thematrix")
    vars(module)["MtrxData"] = _Measurement
    monkeypatch.setitem(sys.modules, "access2thematrix", module)
    monkeypatch.setattr("usidx.instruments.reader.Package.is_installed", True)


@pytest.mark.usefixtures("matrix_library")
def test_images_of_matrix_have_sizes_and_ways(tmp_path: Path) -> None:
    tree = matrix.READER(tmp_path / "default--1_1.Z_mtrx")
    image = get_leaf(tree, "Z/backward_up")
    np.testing.assert_array_equal(image, [[10, np.nan, 12], [13, 14, 15]])
    np.testing.assert_allclose(image.X, [0, 10e-9, 20e-9])
    np.testing.assert_allclose(image.Y, [10e-9, 0], atol=1e-20)
    assert (float(image.scan_angle), float(image.scan_center_Y), image.attrs["units"]) == (45, 2e-9, "m")
    assert image.attrs["measured"] == "1 of 2 rows"
    assert tree.attrs["Regulator.Setpoint"] == "1e-09 Ampere"


@pytest.mark.usefixtures("matrix_library")
def test_data_of_matrix_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranslationError, match="parameter file beside it cannot be read: Error, the result file chain"):
        matrix.READER(tmp_path / "alone--1_1.Z_mtrx")
    with pytest.raises(TranslationError, match="read one of the data files beside it"):
        matrix.READER(tmp_path / "default_0001.mtrx")
