"""What may be opened, and what may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import usidx
from usidx.errors import UsidError
from usidx.look.app.reading.shelf import Shelf, stamp


def test_only_what_lies_below_the_folder_is_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    usidx.example_file(inside / "a.h5")
    usidx.example_file(outside / "b.h5")
    (inside / "link.h5").symlink_to(outside / "b.h5")
    shelf = Shelf([inside / "a.h5"])
    assert shelf.find("a.h5") == (inside / "a.h5").resolve()
    assert shelf.list_others() == []
    for name in ("link.h5", "../out/b.h5", str(outside / "b.h5")):
        with pytest.raises(UsidError, match="does not lie below"):
            shelf.find(name)
    with pytest.raises(UsidError, match=r"There is no file 'c\.h5' here"):
        shelf.find("c.h5")
    with pytest.raises(UsidError, match="There is no file"):
        shelf.find("c\0.h5")


def test_a_url_is_opened_where_it_was_given() -> None:
    url = "https://name:word@example.org/data/scan%201.h5?X-Amz-Signature=abc"
    shelf = Shelf([url])
    (file,) = shelf.files
    shown = shelf.name(file)
    assert file.name == "scan 1.h5"
    assert "word" not in shown
    assert "abc" not in shown
    assert shelf.find(shown) == shelf.find(url) == url
    with pytest.raises(UsidError, match="There is no file"):
        shelf.find("https://example.org/data/other.h5")


def test_what_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsidError, match="There is no file"):
        Shelf([tmp_path / "a.h5"])
    with pytest.raises(UsidError, match="There is no folder"):
        Shelf([], tmp_path / "nowhere")


def test_a_file_of_an_instrument_is_converted(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.arange(12.0).reshape(3, 4))
    shelf = Shelf([tmp_path / "image.npy"])
    copy = shelf.open_as_usid(shelf.files[0])
    assert isinstance(copy, Path)
    assert shelf.is_copy(copy)
    assert shelf.open_as_usid(shelf.files[0]) == copy
    np.testing.assert_array_equal(usidx.open_main(copy).values.ravel(), np.arange(12.0))
    shelf.close()
    assert not copy.exists()


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert stamp(path) is None
    path.write_bytes(b"1")
    before = stamp(path)
    path.write_bytes(b"12")
    assert stamp(path) != before


def test_the_contents_are_those_of_the_file_as_it_is(tmp_path: Path) -> None:
    path = Path(usidx.example_file(tmp_path / "scan.h5"))
    shelf = Shelf([path])
    first = shelf.list_contents(path)
    assert shelf.list_contents(path) is first
    group = usidx.write(usidx.open_main(path).usid.svd(2))
    assert [entry.path for entry in shelf.list_contents(path)] == [first[0].path, group]
