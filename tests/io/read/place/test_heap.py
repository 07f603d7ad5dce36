"""Attributes whose texts do not lie where they say are left out; HDF5 would loop, take gigabytes or write astray."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import UsidError
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.attributes import read_attribute, read_attributes

#: Too long to share a heap with others.
LONG = "long " * 14_000
FORMATS: dict[str, dict[str, Any]] = {
    "oldest": {},
    "newest": {"libver": "latest"},
    "ordered": {"libver": "latest", "track_order": True},
    "behind a block of the user": {"userblock_size": 1024},
}

READ = """
import json, pathlib, resource, sys, warnings
import usidx
from usidx.errors import UsidError
from usidx.io.read.usid.attributes import read_attributes
from usidx.io.read.place.opened import open_file_at

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for path in sys.argv[1:]:
    with open_file_at(path) as file:
        found = sorted(read_attributes(file["group"]))
    print(json.dumps(found), flush=True)
# Not getrusage: it tells of the memory of the process that started this one, too.
status = pathlib.Path("/proc/self/status")
print(int(status.read_text().split("VmHWM:")[1].split()[0]) >> 10 if status.exists() else 0)
"""


def build(path: Path, **options: Any) -> bytes:
    with h5py.File(path, "w", **options) as file:
        group = file.create_group("group")
        group.attrs["number"] = 3
        group.attrs["short"] = "volt"
        group.attrs["long"] = LONG
    return path.read_bytes()


def u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def replaced(data: bytes, start: int, new: bytes) -> bytes:
    return data[:start] + new + data[start + len(new) :]


def pointer(data: bytes, text: str) -> int:
    """Find where an attribute says how long its text is, where it lies, and under which number."""
    start = data.index(len(text).to_bytes(4, "little") + u64(heap_of(data, text) - user_block(data)))
    assert data.count(data[start : start + 12]) == 1
    return start


def heap_of(data: bytes, text: str) -> int:
    return data.rindex(b"GCOL", 0, data.index(text.encode()))


def user_block(data: bytes) -> int:
    return data.index(b"\x89HDF")


def free_space(data: bytes, size: int) -> bytes:
    """Say another size of the free space behind the short text, which is padded to eight bytes."""
    start = data.index(b"volt") + 8
    assert data[start : start + 8] == bytes(8)
    return replaced(data, start + 8, u64(size))


def kind(data: bytes) -> bytes:
    """Make the text of the attribute 'short' a sequence of an unknown kind."""
    start = data.index(b"\x19\x01", data.index(b"short\0"))
    return replaced(data, start + 1, b"\x0b")


Damage = Callable[[bytes], bytes]
#: What is damaged, how, and which attribute that takes away.
HEAPS: dict[str, tuple[Damage, set[str]]] = {
    "nothing": (lambda d: d, set()),
    "a step of no length": (lambda d: free_space(d, 0), {"short"}),
    "a step too short": (lambda d: free_space(d, 8), {"short"}),
    "a step out of the heap": (lambda d: free_space(d, 1 << 20), {"short"}),
    "a step back": (lambda d: replaced(d, d.index(b"volt") - 8, u64((1 << 64) - 32)), {"short"}),
    "a text longer than its attribute says": (lambda d: replaced(d, d.index(b"volt") - 8, u64(6)), {"short"}),
    "no heap": (lambda d: replaced(d, heap_of(d, "volt"), b"COLD"), {"short"}),
    "a heap longer than the file": (lambda d: replaced(d, heap_of(d, "volt") + 8, u64(1 << 60)), {"short"}),
}
HEADERS: dict[str, tuple[Damage, set[str]]] = {
    "a text shorter than is stored": (lambda d: replaced(d, pointer(d, LONG), b"\5\0\0\0"), {"long"}),
    "a text of 4 GB": (lambda d: replaced(d, pointer(d, LONG), b"\xff" * 4), {"long"}),
    "the number of no text": (lambda d: replaced(d, pointer(d, "volt") + 12, b"\x99"), {"short"}),
    "the number of the free space": (lambda d: replaced(d, pointer(d, "volt") + 12, b"\0"), {"short"}),
    "a heap beyond all files": (lambda d: replaced(d, pointer(d, "volt") + 4, b"\xfe" * 8), {"short"}),
    "a type of no kind": (kind, {"short"}),
}


@pytest.mark.skipif(sys.platform == "win32", reason="limits the address space with setrlimit")
@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_text_is_left_out_and_the_others_are_read(tmp_path: Path, form: str) -> None:
    good = build(tmp_path / "good.h5", **FORMATS[form])
    damages = HEAPS if "libver" in FORMATS[form] else HEAPS | HEADERS  # HDF5 itself checks the sums of new headers
    for name, (damage, _) in damages.items():
        (tmp_path / f"{name}.h5").write_bytes(damage(good))
    command = [sys.executable, "-c", READ, *(str(tmp_path / f"{name}.h5") for name in damages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *found, megabytes = done.stdout.splitlines()
    left_out = {n: {"number", "short", "long"} - set(json.loads(said)) for n, said in zip(damages, found, strict=True)}
    assert left_out == {name: lost for name, (_, lost) in damages.items()}
    assert int(megabytes) < 1000


def test_the_error_says_where_the_text_should_be(tmp_path: Path) -> None:
    data = free_space(build(tmp_path / "scan.h5"), 0)
    (tmp_path / "scan.h5").write_bytes(data)
    with open_file_at(tmp_path / "scan.h5") as file:
        with pytest.raises(OSError, match=f"heap at byte {heap_of(data, 'volt')} holds no text for it, or is damaged"):
            read_attribute(file["group"], "short")
        assert read_attribute(file["group"], "number") == 3


def all_sorts(file: h5py.File) -> h5py.Dataset:
    """Return a dataset with attributes of every type that h5py writes, many enough for several blocks of a header."""
    dataset = file.create_dataset("data", data=np.arange(3.0))
    file["kind"] = np.dtype("f4")
    file["text"] = h5py.string_dtype()
    values = {
        "text": "a text",
        "empty": "",
        "µ": "Ω, as a text",
        "bytes": np.bytes_(b"fixed"),
        "texts": ["one", "", "three" * 40],
        "grid of texts": np.array([["a", "b"], ["c", "dd"]], dtype=h5py.string_dtype()),
        "no texts": np.zeros(0, dtype=h5py.string_dtype()),
        "numbers": np.arange(5),
        "nothing": h5py.Empty(h5py.string_dtype()),
        "reference": dataset.ref,
        "region": dataset.regionref[:2],
        "compound": np.array([(1, dataset.ref)], [("a", "i4"), ("b", h5py.ref_dtype)]),
    }
    for name, value in values.items():
        dataset.attrs[name] = value
    dataset.attrs.create("vectors", np.array([np.arange(2), np.arange(5)], object), dtype=h5py.vlen_dtype("i2"))
    dataset.attrs.create("pairs", np.arange(4).reshape(2, 2), shape=(2,), dtype=np.dtype("(2,)i4"))
    dataset.attrs.create("named type", 2.5, dtype=file["kind"])
    dataset.attrs.create("named text", "named", dtype=file["text"])
    file.create_dataset("scale", data=np.arange(3.0)).make_scale("x")
    dataset.dims[0].attach_scale(file["scale"])
    return dataset


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_healthy_is_read_as_h5py_reads_it(tmp_path: Path, form: str) -> None:
    with h5py.File(tmp_path / "scan.h5", "w", **FORMATS[form]) as file:
        all_sorts(file)
    with open_file_at(tmp_path / "scan.h5") as file:
        for object_ in file.values():
            for name, value in object_.attrs.items() if isinstance(object_, h5py.Dataset) else ():
                assert repr(read_attribute(object_, name)) == repr(value)  # references are never equal
        assert read_attributes(file["data"])["texts"] == ["one", "", "three" * 40]


def test_texts_within_a_compound_attribute_are_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.attrs["both"] = np.array(("x", 1), dtype=[("name", h5py.string_dtype()), ("number", "i4")])
    with open_file_at(tmp_path / "scan.h5") as file, pytest.raises(OSError, match="texts within other types"):
        read_attribute(file, "both")


def test_a_file_that_this_program_writes_is_read_as_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks are off; what h5py holds back is not in the bytes of the file."""
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    build(tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5", "r+", locking=False) as writer:
        writer["group"].attrs["later"] = "not written yet"
        with open_file_at(tmp_path / "scan.h5") as file:
            assert read_attributes(file["group"])["later"] == "not written yet"


@pytest.mark.parametrize("form", FORMATS)
def test_a_root_that_cannot_be_read_is_told_as_damage(tmp_path: Path, form: str) -> None:
    data = build(tmp_path / "scan.h5", **FORMATS[form])
    with h5py.File(tmp_path / "scan.h5") as file:
        root = user_block(data) + int(h5py.h5o.get_info(file["/"].id).addr)
    (tmp_path / "scan.h5").write_bytes(replaced(data, root, b"\xff" * 12))
    with pytest.raises(UsidError, match=r"its root cannot be read|cannot be opened as HDF5"):
        usidx.open_tree(tmp_path / "scan.h5")
