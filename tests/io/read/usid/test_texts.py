"""Datasets of texts are read whole, or left out where the texts do not lie where they say."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import UsidWarning
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid import texts
from usidx.io.read.usid.texts import read_texts

TEXT = h5py.string_dtype()
WORDS = np.array([["volt", "", "µm"], ["x" * 300, "pm/V", "°"]], dtype=object)
LAYOUTS: dict[str, dict[str, Any]] = {
    "in a row": {},
    "in chunks": {"chunks": (2, 2)},
    "compressed": {"chunks": (1, 3), "compression": "gzip", "shuffle": True},
    "compressed otherwise": {"chunks": (1, 3), "compression": "lzf"},
}


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"userblock_size": 512}], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path: Path, layout: str, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w", **options) as file:
        file.create_dataset("x", data=WORDS, dtype=TEXT, **LAYOUTS[layout])
    with open_file_at(tmp_path / "a.h5") as file:
        found = read_texts(file["x"])
    assert found is not None
    assert found.tolist() == WORDS.tolist()


def test_what_was_never_written_or_cut_off(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("empty", (2,), TEXT)
        file.create_dataset("none", (0,), TEXT)
        file.create_dataset("holes", (9,), TEXT, chunks=(2,))[4:6] = ["a", "b"]
        cut = file.create_dataset(
            "cut", data=[f"text {n}" for n in range(8)], dtype=TEXT, chunks=(8,), maxshape=(None,)
        )
        cut.resize((3,))
    with open_file_at(tmp_path / "a.h5") as file:
        found = {name: np.asarray(read_texts(file[name])).tolist() for name in file}
    assert found["empty"] == ["", ""]
    assert found["none"] == []
    assert found["holes"] == ["", "", "", "", "a", "b", "", "", ""]
    assert found["cut"] == ["text 0", "text 1", "text 2"]


@pytest.mark.parametrize("layout", ["in a row", "in chunks", "compressed"])
def test_a_heap_that_goes_in_circles(tmp_path: Path, layout: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=["first", "last one"], dtype=TEXT, **_of_one_axis(LAYOUTS[layout]))
        file["y"] = [1.0, 2.0]
    content = (tmp_path / "a.h5").read_bytes()
    free = content.index(b"last one") + 8  # the space behind the last text says how long it is
    (tmp_path / "a.h5").write_bytes(content[: free + 8] + bytes(8) + content[free + 16 :])
    with pytest.warns(UsidWarning, match="'/x' in .* is left out: .*heap at byte [0-9]+ holds no text for it"):
        tree = usidx.open_tree(tmp_path / "a.h5")
    assert list(tree.data_vars) == ["y"]


def _of_one_axis(options: dict[str, Any]) -> dict[str, Any]:
    return options | ({"chunks": (2,)} if "chunks" in options else {})


def test_many_pointers_to_one_long_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may claim more text than there is memory."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=["long " * 100, *["b"] * 99], dtype=TEXT)
        address = dataset.id.get_offset()
    content = (tmp_path / "a.h5").read_bytes()
    pointers = content[address : address + 16] * 100
    (tmp_path / "a.h5").write_bytes(content[:address] + pointers + content[address + len(pointers) :])
    with open_file_at(tmp_path / "a.h5") as file:
        found = read_texts(file["x"])
        assert found is not None
        assert set(found.tolist()) == {"long " * 100}
        monkeypatch.setattr(texts, "_MOST_BYTES", 49_999)
        assert read_texts(file["x"]) is None


def test_one_long_text_among_many_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array(["x" * 1000, *["b"] * 99], dtype=TEXT)
    monkeypatch.setattr(texts, "_LARGEST_ARRAY", 399_999)
    with open_file_at(tmp_path / "a.h5") as file:
        assert read_texts(file["x"]) is None
    monkeypatch.setattr(texts, "_LARGEST_ARRAY", 400_000)
    with open_file_at(tmp_path / "a.h5") as file:
        assert read_texts(file["x"]) is not None


def test_a_table_with_texts_is_left_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"] = np.array([("a", 1)], dtype=[("name", TEXT), ("number", "i4")])
    with pytest.warns(UsidWarning, match="'/table' in .* is left out: .*texts within other types are not read"):
        assert not usidx.open_tree(tmp_path / "a.h5").data_vars


def test_too_many_texts_stay_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_MOST_TEXTS", 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert read_texts(file.create_dataset("x", data=["a", "b", "c"])) is None
        assert read_texts(file.create_dataset("y", data=["a", "b"])) is not None
