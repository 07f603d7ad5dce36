"""Attributes of any HDF5 type become text, numbers, or lists and arrays of these."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.attributes import read_attributes, read_json

CASES: dict[str, tuple[Any, Any]] = {
    "text": ("µm", "µm"),
    "bytes": (np.bytes_("µm".encode()), "µm"),
    "latin": (np.bytes_(b"\xb5m"), "µm"),
    "integer": (3, 3),
    "real": (2.5, 2.5),
    "not a number": ("NaN", "NaN"),
    "flag": (True, True),
    "flags": (np.array([True, False]), np.array([True, False])),
    "numbers": (np.array([1.0, 2.0]), np.array([1.0, 2.0])),
    "texts": (np.array([b"a", b"\xc2\xb5"]), ["a", "µ"]),
    "vlen texts": (np.array(["a", "µ"], dtype=h5py.string_dtype()), ["a", "µ"]),
    "empty": (h5py.Empty("f4"), ""),
    "compound": (np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8")]), "(1, 2.5)"),
    "compounds": (np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]), "[(1, 2.5)]"),
    "null reference": (h5py.Reference(), None),
}


@pytest.mark.parametrize("case", CASES)
def test_kinds(tmp_path: Path, case: str) -> None:
    value, wanted = CASES[case]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["it"] = value
        found = read_attributes(file).get("it")
    assert type(found) in {str, bool, int, float, list, np.ndarray, np.int64, np.float64, type(None)}
    np.testing.assert_array_equal(found, wanted)


def test_references_become_paths(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        target = file.create_dataset("group/it", data=[1, 2])
        file.attrs["one"] = target.ref
        file.attrs["many"] = np.array([target.ref, file.ref], dtype=h5py.ref_dtype)
        file.attrs["region"] = target.regionref[:1]
        assert read_attributes(file) == {"one": "/group/it", "many": ["/group/it", "/"]}


def test_types_without_counterpart_are_left_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5a.create(file["/"].id, b"odd", h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))
        file.attrs["good"] = 1
        assert read_attributes(file) == {"good": 1}


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[1]", "3", "[" * 100_000, 3.5, np.array(["{}", "{}"], dtype="O")],
    ids=["empty", "nonsense", "list", "number", "deep", "float", "texts"],
)
def test_json_that_is_none_of_ours(tmp_path: Path, text: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        try:
            file.attrs["it"] = text
        except TypeError:
            file.attrs.create("it", text, dtype=h5py.string_dtype())
        assert read_json(file, "it") == {}
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.attrs["it"] = np.bytes_(b'{"a": 1}')
        assert read_json(file, "it") == {"a": 1}
        assert read_json(file, "other") == {}


def test_a_name_in_latin_1(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs[b"step \xb5m"] = "two"
        assert read_attributes(file) == {"step µm": "two"}
    with open_file_at(tmp_path / "a.h5") as file:
        assert read_attributes(file) == {"step µm": "two"}
