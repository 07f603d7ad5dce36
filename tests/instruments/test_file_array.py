"""Lazy arrays of files: any part equals the same part of the whole, and a file that changed is refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.errors import TranslationError
from usidx.instruments.file_array import FileArray, lay_out

SHAPE = (5, 4, 6)
#: Frames of 4 x 6 cells behind a header each, with two bytes between lines.
LINE, FRAME = 6 * 2 + 2, 16 + 4 * (6 * 2 + 2)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("raw") / "frames.raw"
    content = np.random.default_rng(0).integers(0, 255, 7 + 5 * FRAME, dtype=np.uint8)
    path.write_bytes(content.tobytes())
    whole = np.ndarray(SHAPE, ">i2", content, offset=7 + 16, strides=(FRAME, LINE, 2))
    return path, whole.astype("i2")


@given(st.data())
def test_a_part_is_that_part_of_the_whole(frames: tuple[Path, np.ndarray], data: st.DataObject) -> None:
    path, whole = frames
    lazy = lay_out(path, "raw", SHAPE, ">i2", offset=7 + 16, strides=(FRAME, LINE, 2))
    key = tuple(data.draw(st.one_of(st.slices(n), st.integers(-n, n - 1))) for n in SHAPE)
    np.testing.assert_array_equal(lazy[key].compute(), whole[key])
    assert lazy.dtype == whole.dtype


def test_whole_numbers_are_scaled_to_floats(frames: tuple[Path, np.ndarray]) -> None:
    path, whole = frames
    lazy = lay_out(path, "raw", SHAPE, ">i2", offset=23, strides=(FRAME, LINE, 2), scale=-0.5, shift=3.0)
    np.testing.assert_array_equal(lazy.compute(), whole * -0.5 + 3.0)


def test_an_array_is_small_and_holds_no_file() -> None:
    array = FileArray("/a", "raw", (3,), np.dtype("f4"), 0, (4,), (12, 0))
    assert len(pickle.dumps(array)) < 500


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(32))
    lazy = lay_out(path, "raw", (4,), "<f8")
    path.write_bytes(bytes(16))
    with pytest.raises(TranslationError, match=r"a\.raw' cannot be read by the reader 'raw': it has changed"):
        lazy.compute()
    os.remove(path)
    with pytest.raises(TranslationError, match=r"a\.raw' cannot be read by the reader 'raw': No such file"):
        lazy.compute()


@pytest.mark.parametrize(("shape", "said"), [((2, 3), "promises 48 bytes"), ((0, 3), "empty"), ((-1, 3), "empty")])
def test_more_than_the_file_has_is_refused(tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(47))
    with pytest.raises(TranslationError, match=said):
        lay_out(path, "raw", shape, "<f8")
