"""What is made of an attribute as it is stored is what h5py makes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.io.read.place.heap import prove
from usidx.io.read.place.identity import identify_object
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.stored_values import object_referred_to, text_in


def _padded(kind: int) -> Callable[[h5py.File], None]:
    """Write texts of a fixed length that end as another program ends them."""

    def write(file: h5py.File) -> None:
        made = h5py.h5t.C_S1.copy()
        made.set_size(6)
        made.set_strpad(kind)
        attribute = h5py.h5a.create(file.id, b"a", made, h5py.h5s.create_simple((2,)))
        attribute.write(np.array([b"ab\0cd", b"abcdef"], "S6"), mtype=made)

    return write


def _numbers(file: h5py.File) -> None:
    """Write lists of numbers."""
    lists = np.empty(2, object)
    lists[:] = [np.arange(2), np.arange(3)]
    file.attrs.create("a", lists, dtype=h5py.vlen_dtype(np.int64))


def _set(value: Any, **options: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.create("a", value, **options)


TEXTS: dict[str, Callable[[h5py.File], None]] = {
    "bytes": _set(np.bytes_(b"Voltage")),
    "list of bytes": _set(np.array([b"X", b"Long"])),
    "table of bytes": _set(np.array([[b"X", b"Y"], [b"", b"Z"]])),
    "UTF-8 of a fixed length": _set("µm".encode(), dtype=h5py.string_dtype("utf-8", 3)),
    "text": _set("µ\N{GREEK CAPITAL LETTER OMEGA}"),
    "no text": _set(""),
    "ASCII": _set("nA", dtype=h5py.string_dtype("ascii")),
    "list": _set(["X", "", "µ"], dtype=h5py.string_dtype()),
    "table": _set([["a", "b"], ["c", "d"]], dtype=h5py.string_dtype()),
    "one in a list": _set(["X"], dtype=h5py.string_dtype()),
    "no UTF-8": _set(b"\xb5m", dtype=h5py.string_dtype()),
}
OTHERS: dict[str, Callable[[h5py.File], None]] = {
    "number": _set(3),
    "nothing": _set(h5py.Empty("S3")),
    "nothing of variable length": _set(h5py.Empty(h5py.string_dtype())),
    "numbers of any length": _numbers,
    "filled with spaces": _padded(h5py.h5t.STR_SPACEPAD),
    "something behind the end": _padded(h5py.h5t.STR_NULLTERM),
    "reference": lambda file: file.attrs.create("a", file.ref, dtype=h5py.ref_dtype),
}


def _stored(path: Path, write: Callable[[h5py.File], None], libver: str = "earliest") -> tuple[Any, Any]:
    """Return what is made of an attribute, and what h5py makes of it."""
    with h5py.File(path, "w", libver=libver) as file:
        write(file)
    with open_file_at(path) as file:
        proven = prove(file, "a")
        assert proven is not None
        return text_in(proven), file.attrs["a"]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_are_those_of_h5py(tmp_path: Path, kind: str, libver: str) -> None:
    found, wanted = _stored(tmp_path / "a.h5", TEXTS[kind], libver)
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert (found.dtype.kind, found.shape, found.flags.writeable) == (wanted.dtype.kind, wanted.shape, True)
        assert found.tolist() == wanted.tolist()
    else:
        assert found == wanted


@pytest.mark.parametrize("kind", OTHERS)
def test_other_types_are_left_to_h5py(tmp_path: Path, kind: str) -> None:
    found, _ = _stored(tmp_path / "a.h5", OTHERS[kind])
    assert found is None


def test_a_text_ends_at_its_first_null(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["a"] = "seven~!"
    path.write_bytes(path.read_bytes().replace(b"seven~!", b"seven\0!"))
    with open_file_at(path) as file:
        proven = prove(file, "a")
        assert proven is not None
        assert text_in(proven) == file.attrs["a"] == "seven"


def test_types_that_are_shared_are_left_to_h5py(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["kind"] = np.dtype("S4")
        file.attrs.create("a", b"abcd", dtype=file["kind"])

    found, wanted = _stored(tmp_path / "a.h5", write)
    assert (found, wanted) == (None, b"abcd")


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_references_lead_to_their_object(tmp_path: Path, shape: tuple[int, ...], userblock: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        target = file.create_dataset("target", data=1)
        value = np.full(shape, target.ref, dtype=h5py.ref_dtype)
        file.attrs.create("a", value if shape else target.ref, dtype=h5py.ref_dtype)
    with open_file_at(path) as file:
        proven = prove(file, "a")
        assert proven is not None
        assert object_referred_to(proven) == identify_object(file["target"])


def test_what_is_no_single_reference_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("target", data=[1, 2])
        file.attrs["region"] = data.regionref[:1]
        file.attrs.create("two", [data.ref, data.ref], dtype=h5py.ref_dtype)
        file.attrs["empty"] = h5py.Empty(h5py.ref_dtype)
        file.attrs["number"] = np.int64(800)
    with open_file_at(path) as file:
        for name in ("region", "two", "empty", "number"):
            proven = prove(file, name)
            assert proven is not None
            assert object_referred_to(proven) is None
