"""The example file is new, or refused."""

from pathlib import Path

import pytest

import usidx
from usidx.errors import ExistsError


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    before = Path(path).read_bytes()
    with pytest.raises(ExistsError, match=r"scan.h5' exists"):
        usidx.example_file(path)
    assert Path(path).read_bytes() == before
