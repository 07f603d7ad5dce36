"""Nanoscope files: values of another reader, sizes and units; versions of other sizes; what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed
from usidx.errors import TranslationError
from usidx.instruments.bridges.probe.bruker import READER

Files = Callable[[str], Path]
REAL = "bruker_spm/di-3.di"


def make_file(path: Path, values: np.ndarray, *, version: str = "0x05120130", image: str = "", scan: str = "") -> Path:
    rows, columns = values.shape
    header = (
        f"\\*File list\r\n\\Version: {version}\r\n\\*Scanner list\r\n\\@Sens. Zsens: V 10.0 nm/V\r\n"
        f"\\*Ciao scan list\r\n{scan}\\*Ciao image list\r\n\\Data offset: 2048\r\n\\Data length: {values.nbytes}\r\n"
        f"\\Bytes/pixel: 2\r\n\\Samps/line: {columns}\r\n\\Number of lines: {rows}\r\n\\Scan Size: 6 4 ~m\r\n"
        f'\\@2:Image Data: S [Height] "Height"\r\n{image}'
    )
    if "Z scale" not in image:
        header += "\\@2:Z scale: V [Sens. Zsens] (0.006 V/LSB) 65.536 V\r\n"
    path.write_bytes((header + "\\*File list end\r\n\x1a").encode("latin-1").ljust(2048, b"\0") + values.tobytes())
    return path


@pytest.mark.parametrize(
    ("place", "result", "units"),
    [
        ("Height Sensor/trace", 'S [ZSensor] "Height Sensor"', "nm"),
        ("Amplitude Error/retrace", 'S [AmplitudeError] "Amplitude Error"', "mV"),
        ("Phase/retrace", 'S [Phase] "Phase"', "deg"),
        ("Height/retrace", 'S [Height] "Height"', "nm"),
    ],
)
def test_real_images_have_the_values_of_another_reader_and_the_units_of_the_file(
    real_files: Files, place: str, result: str, units: str
) -> None:
    path = real_files(REAL)
    image = READER(path)[place][place.rsplit("/", 1)[-1]]
    assert_as_listed(image, path, result)
    assert image.attrs["units"] == units
    assert image.X.attrs["units"] == "um"
    np.testing.assert_allclose(image.X[[0, -1]], [0, 10 * 255 / 256])
    assert float(image.scan_size_X) == 10


def test_an_oblong_image_is_scaled_by_its_sensitivity(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<i2").reshape(2, 3)
    image = READER(make_file(tmp_path / "a.spm", values))["Height"]["Height"]
    np.testing.assert_allclose(image, values * 65.536 / 65536 * 10)
    np.testing.assert_allclose(image.X, [0, 2, 4])
    np.testing.assert_allclose(image.Y, [0, 2])


def test_a_scale_in_millivolts_meets_a_sensitivity_per_volt(tmp_path: Path) -> None:
    values = np.full((2, 2), 1000, dtype="<i2")
    image = "\\@2:Z scale: V [Sens. Zsens] (0.006 mV/LSB) 65536 mV\r\n"
    height = READER(make_file(tmp_path / "a.spm", values, image=image))["Height"]["Height"]
    np.testing.assert_allclose(height, 1000e-3 * 10)


def test_new_versions_keep_32_bits_whatever_the_header_says(tmp_path: Path) -> None:
    values = np.array([[1 << 20, -5], [7, 0]], dtype="<i4")
    image = READER(make_file(tmp_path / "a.spm", values, version="0x09200000"))["Height"]["Height"]
    np.testing.assert_allclose(image, values * 65.536 / 65536 * 10)


@pytest.mark.parametrize("keep", [20, 300, 35_000, 200_000, -1])
def test_a_file_that_is_cut_off_is_refused(real_files: Files, keep: int) -> None:
    path = real_files(REAL)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"di-3\.di.*'bruker'"):
        READER(path)


def test_force_curves_are_refused(tmp_path: Path) -> None:
    path = make_file(tmp_path / "a.spm", np.ones((2, 2), "<i2"), scan="\\Operating mode: Force\r\n")
    with pytest.raises(TranslationError, match="holds force curves of a Nanoscope, which are not read"):
        READER(path)


def test_a_sensitivity_in_other_units_is_refused(tmp_path: Path) -> None:
    image = "\\@2:Z scale: V [Sens. Zsens] (0.006 A/LSB) 65536 A\r\n"
    with pytest.raises(TranslationError, match="scaled in 'A', but its sensitivity is per 'V'"):
        READER(make_file(tmp_path / "a.spm", np.ones((2, 2), "<i2"), image=image))
