"""Block files of NanoMEGAS, written as their header describes: patterns behind six bytes each, read by ranges."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.electron.blo import READER

PATTERNS = np.arange(2 * 3 * 16, dtype="u1").reshape(2, 3, 4, 4)
IMAGE = np.arange(6, dtype="u1").reshape(2, 3)


def make_file(path: Path, rows: int = 2) -> Path:
    header = struct.pack(
        "<6sHIIIHHHHHddIHId", b"IMGBLO", 0x0102, 256, 512, 131141, 4, 0, 3, rows, 4500, 2.0, 1.5, 200_000, 500, 10, 0.0
    )
    body = b"".join(struct.pack("<HI", 0x55AA, n) + one.tobytes() for n, one in enumerate(PATTERNS.reshape(6, 4, 4)))
    path.write_bytes(header.ljust(256, b"\0") + IMAGE.tobytes().ljust(256, b"\0") + body)
    return path


def test_patterns_lie_over_the_scan(tmp_path: Path) -> None:
    tree = READER(make_file(tmp_path / "a.blo"))
    patterns = get_leaf(tree, "Diffraction")
    np.testing.assert_array_equal(patterns, PATTERNS)
    np.testing.assert_array_equal(patterns[1, ::2, 1:3, 2], PATTERNS[1, ::2, 1:3, 2])
    assert [patterns[dim].attrs["usid_role"] for dim in patterns.dims] == ["position"] * 2 + ["spectroscopic"] * 2
    np.testing.assert_allclose(patterns.X, [0, 2, 4])
    np.testing.assert_allclose(patterns.Y, [0, 1.5])
    np.testing.assert_allclose(patterns.Detector_X[1], 100 / 500)
    assert (patterns.X.attrs["units"], patterns.Detector_X.attrs["units"]) == ("nm", "cm")
    assert float(patterns.scan_angle) == 45
    np.testing.assert_array_equal(get_leaf(tree, "Virtual image"), IMAGE)


def test_it_is_what_rosettasciio_reads(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    blockfile = pytest.importorskip("rsciio.blockfile")
    path = make_file(tmp_path / "a.blo")
    (found,) = blockfile.file_reader(str(path))
    np.testing.assert_array_equal(get_leaf(READER(path), "Diffraction"), found["data"])


def test_a_file_that_is_cut_off_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = make_file(tmp_path / "a.blo")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TranslationError, match=r"a\.blo.*'blo'.*promises 644 bytes, and it has 643"):
        READER(path)
    with pytest.raises(TranslationError, match="promises"):
        READER(make_file(tmp_path / "b.blo", rows=60_000))
