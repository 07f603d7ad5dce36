"""Gwyddion Simple Field: rows from the top, sizes and units of the header, and the pair of the old translator."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from usidx.errors import TranslationError
from usidx.instruments.formats.gsf import READER
from usidx.io.read.open import open_main

CELLS = np.arange(6, dtype="<f4").reshape(2, 3)


def make_file(
    path: Path, lines: str = "XRes = 3\nYRes = 2\nXReal = 3e-6\nYReal = 1e-6\nXYUnits = m\nZUnits = V\n"
) -> Path:
    head = b"Gwyddion Simple Field 1.0\n" + lines.encode()
    path.write_bytes(head + b"\0" * (4 - len(head) % 4) + CELLS.tobytes())
    return path


def test_a_field_is_read_as_its_header_says(tmp_path: Path) -> None:
    field = READER(make_file(tmp_path / "a.gsf"))["a"]["a"]
    assert field.dims == ("Y", "X")
    np.testing.assert_array_equal(field, CELLS)
    np.testing.assert_allclose(field.X, [0, 1e-6, 2e-6])
    np.testing.assert_allclose(field.Y, [0, 0.5e-6])
    assert (field.attrs["units"], field.X.attrs["units"], field.X.attrs["usid_role"]) == ("V", "m", "position")


def test_the_real_field_is_what_the_old_translator_wrote(real_files: Callable[[str], Path]) -> None:
    field = READER(real_files("gsf/chip.gsf"))["Topography"]["Topography"]
    np.testing.assert_array_equal(field, open_main(real_files("usid/pycroscopy_chip.h5")))
    assert float(field.mean(dtype="f8")) == pytest.approx(1.61414031e-05)


def test_a_field_that_is_cut_off_is_refused(real_files: Callable[[str], Path]) -> None:
    with pytest.raises(TranslationError, match=r"chip_trunc\.gsf.*'gsf': its header promises 360120 bytes, and it has"):
        READER(real_files("bad/chip_trunc.gsf"))
