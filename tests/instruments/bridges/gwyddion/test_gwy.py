"""Gwyddion files: values of another reader, the pair of the old translator, volumes, spectra; damage of all kinds."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed, get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.gwyddion.gwy import READER
from usidx.io.read.open import open_main

Files = Callable[[str], Path]


def pack(kind: str, **items: Any) -> bytes:
    """Write an object as the user guide describes it."""
    body = b""
    for name, value in items.items():
        head = name.replace("__", "/").encode() + b"\0"
        if isinstance(value, bytes):
            body += head + b"o" + value
        elif isinstance(value, str):
            body += head + b"s" + value.encode() + b"\0"
        elif isinstance(value, int):
            body += head + b"i" + struct.pack("<i", value)
        elif isinstance(value, float):
            body += head + b"d" + struct.pack("<d", value)
        elif isinstance(value, list):
            body += head + b"O" + struct.pack("<I", len(value)) + b"".join(value)
        else:
            body += head + b"D" + struct.pack("<I", value.size) + value.astype("<f8").tobytes()
    return kind.encode() + b"\0" + struct.pack("<I", len(body)) + body


def unit(text: str) -> bytes:
    return pack("GwySIUnit", unitstr=text)


def save(path: Path, **items: Any) -> Path:
    path.write_bytes(b"GWYP" + pack("GwyContainer", **items))
    return path


def test_real_fields_have_the_values_of_another_reader(real_files: Files) -> None:
    for name, title, result in (
        ("131017Spectroscopy002", "Height", "Height: (256"),
        ("tuxu_test", "Test", "Test: (128"),
    ):
        path = real_files(f"gwy/{name}.gwy")
        assert_as_listed(READER(path)[title][title], path, result)


def test_a_real_field_is_what_the_old_translator_wrote(real_files: Files) -> None:
    field = READER(real_files("gwy/131017Spectroscopy002.gwy"))["Height"]["Height"]
    np.testing.assert_array_equal(field, open_main(real_files("usid/pycroscopy_131017Spectroscopy002.h5")))
    assert field.attrs["Set point"] == "50.7 nN"
    np.testing.assert_allclose(field.X[[0, -1]], [0, 3e-5 * 255 / 256])


def test_images_and_masks_of_an_oblong_field(tmp_path: Path) -> None:
    values = np.arange(6.0)
    field = pack(
        "GwyDataField", xres=3, yres=2, xreal=3e-6, yreal=4e-6, xoff=1e-6, data=values,
        si_unit_xy=unit("m"), si_unit_z=unit("V"),
    )  # fmt: skip
    mask = pack("GwyDataField", xres=3, yres=2, xreal=3e-6, yreal=4e-6, data=np.ones(6))
    path = save(tmp_path / "a.gwy", __0__data=field, __0__data__title="Bias/up", __0__mask=mask)
    tree = READER(path)
    image = tree["Bias_up"]["Bias_up"]
    np.testing.assert_array_equal(image, values.reshape(2, 3))
    np.testing.assert_allclose(image.X, [1e-6, 2e-6, 3e-6])
    np.testing.assert_allclose(image.Y, [0, 2e-6])
    assert (image.attrs["units"], image.X.attrs["units"]) == ("V", "m")
    assert (tree["Bias_up mask"]["Bias_up mask"] == 1).all()


def test_a_volume_is_a_spectrum_per_pixel(tmp_path: Path) -> None:
    values = np.arange(24.0)  # planes of 2 x 3, four of them
    brick = pack(
        "GwyBrick", xres=3, yres=2, zres=4, xreal=3.0, yreal=2.0, zreal=8.0, zoff=1.0, data=values,
        si_unit_z=unit("V"), si_unit_w=unit("A"),
    )  # fmt: skip
    volume = READER(save(tmp_path / "a.gwy", __brick__0=brick))["Volume 0"]["Volume 0"]
    assert volume.dims == ("Y", "X", "Z")
    np.testing.assert_array_equal(volume, values.reshape(4, 2, 3).transpose(1, 2, 0))
    np.testing.assert_array_equal(volume[1, 0, ::2], values.reshape(4, 2, 3)[::2, 1, 0])
    np.testing.assert_allclose(volume.Z, [1, 3, 5, 7])
    assert (volume.attrs["units"], volume.Z.attrs["units"], volume.Z.attrs["usid_role"]) == ("A", "V", "spectroscopic")


def test_spectra_lie_at_their_places(tmp_path: Path) -> None:
    lines = [
        pack("GwyDataLine", res=2, real=4.0, off=-1.0, data=np.array([k, k + 0.5]), si_unit_x=unit("V"))
        for k in (1.0, 2.0)
    ]
    held = pack("GwySpectra", title="IV", coords=np.array([1.0, 2.0, 3.0, 4.0]), data=lines, si_unit_xy=unit("m"))
    spectra = READER(save(tmp_path / "a.gwy", __sps__0=held))["IV"]["IV"]
    np.testing.assert_array_equal(spectra, [[1, 1.5], [2, 2.5]])
    assert (spectra.X.values.tolist(), spectra.Y.values.tolist()) == ([1, 3], [2, 4])
    np.testing.assert_allclose(spectra["Abscissa"], [-1, 1])


def test_points_have_places(tmp_path: Path) -> None:
    held = pack("GwySurface", data=np.array([1.0, 2.0, 9.0, 3.0, 4.0, 8.0]))
    points = get_leaf(READER(save(tmp_path / "a.gwy", __xyz__0=held)), "Points 0")
    assert (points.values.tolist(), points.X.values.tolist(), points.Y.values.tolist()) == ([9, 8], [1, 3], [2, 4])


@pytest.mark.parametrize("keep", [2, 4, 9, 200, 300_000, -1])
def test_a_file_that_is_cut_off_is_refused(real_files: Files, keep: int) -> None:
    path = real_files("gwy/131017Spectroscopy002.gwy")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"131017Spectroscopy002\.gwy.*'gwy'"):
        READER(path)


def test_sizes_that_do_not_fit_the_numbers_are_refused(tmp_path: Path) -> None:
    field = pack("GwyDataField", xres=2**30, yres=2**30, data=np.ones(6))
    with pytest.raises(TranslationError, match=r"of \(1073741824, 1073741824\) cells has 6 numbers"):
        READER(save(tmp_path / "a.gwy", __0__data=field))


def test_objects_nested_without_end_are_refused(tmp_path: Path) -> None:
    inner = pack("GwyContainer", a=1)
    for _ in range(40):
        inner = pack("GwyContainer", a=inner)
    with pytest.raises(TranslationError, match="nested deeper than 32"):
        READER(save(tmp_path / "a.gwy", a=inner))
