"""Nanosurf files, written as their headers describe: images and spectra of several groups, scaled to their range."""

from pathlib import Path

import numpy as np
import pytest

from usidx.errors import TranslationError
from usidx.instruments.bridges.probe.nid import READER

IMAGE = np.array([[-(2**31), 0, 2**30], [1, 2, 3]], dtype="<i4")
CURVES = np.array([[0, 16384, -32768, 1]], dtype="<i2")


def make_file(path: Path, lines: int = 2, mode: str = "Binary") -> Path:
    path.write_bytes(
        (
            "[DataSet]\r\nVersion=2\r\nGroupCount=2\r\nGr0-Count=2\r\nGr0-Ch0=DataSet-0:0\r\nGr0-Ch1=DataSet-0:9\r\n"
            "Gr1-Count=1\r\nGr1-Ch0=DataSet-1:0\r\n\r\n"
            f"[DataSet-0:0]\r\nPoints=3\r\nLines={lines}\r\nFrame=Scan forward\r\nSaveMode={mode}\r\nSaveBits=32\r\n"
            "SaveSign=Signed\r\nSaveOrder=Intel\r\nDim0Name=X*\r\nDim0Unit=m\r\nDim0Min=1e-6\r\nDim0Range=3e-6\r\n"
            "Dim1Unit=m\r\nDim1Min=0\r\nDim1Range=4e-6\r\nDim2Name=Z-Axis\r\nDim2Unit=m\r\nDim2Min=-1\r\nDim2Range=2\r\n"
            "[DataSet-1:0]\r\nPoints=4\r\nLines=1\r\nFrame=Spec forward\r\nSaveMode=Binary\r\nSaveBits=16\r\n"
            "SaveSign=Signed\r\nSaveOrder=Intel\r\nDim0Name=Tip voltage\r\nDim0Unit=V\r\nDim0Min=-3\r\nDim0Range=6\r\n"
            "Dim2Name=Current\r\nDim2Unit=A\r\nDim2Min=0\r\nDim2Range=65536\r\n"
            "\r\n#!"
        ).encode("latin-1")
        + IMAGE.tobytes()
        + CURVES.tobytes()
    )
    return path


def test_images_are_scaled_to_the_range_that_the_header_names(tmp_path: Path) -> None:
    image = READER(make_file(tmp_path / "a.nid"))["Z-Axis/Scan forward"]["Scan forward"]
    np.testing.assert_allclose(image, IMAGE / 2**31)  # from -1 on, over a range of 2
    np.testing.assert_allclose(image.X, [1e-6, 2e-6, 3e-6])
    np.testing.assert_allclose(image.Y, [0, 2e-6])
    assert (image.dims, image.attrs["units"], image.X.attrs["units"]) == (("Y", "X"), "m", "m")


def test_spectra_follow_the_images(tmp_path: Path) -> None:
    curve = READER(make_file(tmp_path / "a.nid"))["Current/Spec forward"]["Spec forward"]
    np.testing.assert_allclose(curve, CURVES + 32768.0)
    np.testing.assert_allclose(curve["Tip voltage"], [-3, -1, 1, 3])
    assert (curve.attrs["units"], curve["Tip voltage"].attrs["usid_role"]) == ("A", "spectroscopic")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranslationError, match=r"a\.nid.*'nid'.*promises"):
        READER(make_file(tmp_path / "a.nid", lines=10**9))
    with pytest.raises(TranslationError, match="stores data as 'Text'"):
        READER(make_file(tmp_path / "a.nid", mode="Text"))


def test_counts_beyond_all_sense_take_no_time(tmp_path: Path) -> None:
    path = make_file(tmp_path / "a.nid")
    path.write_bytes(path.read_bytes().replace(b"Count=", b"Count=" + b"9" * 40))
    assert sorted(leaf.path for leaf in READER(path).leaves) == ["/Current/Spec forward", "/Z-Axis/Scan forward"]
