"""Paths of objects that references lead to, found near what holds the reference before HDF5 is asked."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.io.read.place.identity import identify_object
from usidx.io.read.usid.paths import Paths, find_referenced_path, find_source_beside, say_where


def test_a_reference_beside_or_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("Channel/Raw", data=np.zeros(2))
        bins = file.create_dataset("Channel/Bins", data=np.zeros(2))
        far = file.create_dataset("Far/Away", data=np.zeros(2))
        result = file.create_group("Channel/Raw-Fit_000")
        asked: list[bytes] = []
        get_name = h5py.h5i.get_name

        def noted(identifier: Any) -> bytes:
            asked.append(get_name(identifier))
            return asked[-1]

        monkeypatch.setattr(h5py.h5i, "get_name", noted)
        for reference, holder, attribute, wanted, is_asked in (
            (bins.ref, raw, "Bins", "/Channel/Bins", False),
            (raw.ref, result, "source_000", "/Channel/Raw", False),
            (far.ref, raw, "Bins", "/Far/Away", True),
            (far.ref, result, "source_000", "/Far/Away", True),
            (h5py.Reference(), raw, "Bins", None, False),
        ):
            asked.clear()
            assert find_referenced_path(reference, holder, attribute) == wanted
            assert (b"/Far/Away" in asked) == is_asked


def test_known_paths_are_not_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw, other = (file.create_dataset(name, data=np.zeros(2)) for name in ("Raw", "Other"))
        paths = Paths({identify_object(raw): "/as it was met"}, is_whole=True)
        assert find_referenced_path(raw.ref, file, "it", paths) == "/as it was met"
        assert find_referenced_path(other.ref, file, "it", paths) is None
        assert str(say_where(raw, paths)) == f"'/as it was met' in {file.filename!r}"
        assert str(say_where(raw)) == f"'/Raw' in {file.filename!r}"


def test_a_source_beside_its_result(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw, other = (file.create_dataset(f"Channel/{name}", data=np.zeros(2)) for name in ("Raw", "Other"))
        result, plain = file.create_group("Channel/Raw-Fit_000"), file.create_group("Channel/Notes")
        assert find_source_beside(result) == raw
        assert find_source_beside(result, identify_object(raw)) == raw
        assert find_source_beside(result, identify_object(other)) is None
        assert find_source_beside(plain) is None
