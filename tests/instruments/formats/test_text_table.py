"""Tables in text: encodings, separators, decimal commas, titles with units; what is no table is none."""

from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.kit.small_scans import find_arrays
from usidx.errors import TranslationError

ROWS = "Bias (V);I in nA\n-1,5;2\n0,5;3\n2,5;-4e-1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_encoding_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "a.csv").write_bytes(mark + ROWS.replace("\n", end).encode(encoding))
    found = find_arrays(usidx.read_instrument(tmp_path / "a.csv"))["/I"]
    np.testing.assert_array_equal(found, [2, 3, -0.4])
    np.testing.assert_array_equal(found.Bias, [-1.5, 0.5, 2.5])
    assert (found.attrs["units"], found.Bias.attrs["units"]) == ("nA", "V")


@pytest.mark.parametrize("separator", [",", ";", "\t", "  ", ", "])
def test_an_image_is_read_row_by_row(tmp_path: Path, separator: str) -> None:
    rows = [separator.join(str(cell) for cell in row) for row in np.arange(12).reshape(3, 4)]
    (tmp_path / "a.txt").write_text("# from the microscope\n" + "\n".join(rows) + "\n")
    found = find_arrays(usidx.read_instrument(tmp_path / "a.txt"))["/a"]
    assert found.dims == ("Y", "X")
    np.testing.assert_array_equal(found, np.arange(12).reshape(3, 4))


def test_one_column_and_two_are_curves(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1\n2\n4\n")
    (tmp_path / "two.txt").write_text("0.1 1\n0.2 2\n0.4 4\n")
    assert find_arrays(usidx.read_instrument(tmp_path / "one.txt"))["/one"].dims == ("sample",)
    np.testing.assert_array_equal(find_arrays(usidx.read_instrument(tmp_path / "two.txt"))["/two"].x, [0.1, 0.2, 0.4])


def test_a_ragged_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n5\n")
    with pytest.raises(TranslationError, match=r"a\.csv' cannot be read .*'text_table': its table is damaged"):
        usidx.read_instrument(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [b"Dear Anna,\nthe tip is dull.\n", b"\0\1\2\3", b"1 2\n", b"\xff\xfe\x00"])
def test_what_is_no_table_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(TranslationError, match="no reader knows it"):
        usidx.read_instrument(tmp_path / "a.bin")
