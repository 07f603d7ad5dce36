"""Chunks become whole from pieces in any order, in memory or in a scratch file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.io.write.blocks.gather import Gathering, Number

Array = npt.NDArray[Any]

SHAPE = (4, 5)
CHUNK_BYTES = 4 * 5 * 4


def empty(number: Number) -> Array:
    return np.zeros(SHAPE, np.float32)


@given(order=st.permutations(range(24)), kept=st.integers(1, 7))
def test_any_order_and_any_memory_give_the_same_chunks(order: list[int], kept: int) -> None:
    gathering = Gathering(SHAPE, np.dtype("f4"), Path("gone"), memory=kept * CHUNK_BYTES)
    whole: dict[Number, Array] = {}
    for piece in order:
        number, row = (piece // 8, piece // 4 % 2), piece % 4
        made = gathering.add(number, (slice(row, row + 1), slice(None)), np.full((1, 5), piece, "f4"), 20, empty)
        if made is not None:
            whole[number] = made.copy()
    assert set(whole) == {(i, j) for i in range(3) for j in range(2)}
    for (i, j), chunk in whole.items():
        np.testing.assert_array_equal(chunk, np.repeat(8 * i + 4 * j + np.arange(4), 5).reshape(SHAPE))
    assert list(gathering.drain()) == []


def test_what_is_not_whole_is_given_out_at_the_end(tmp_path: Path) -> None:
    gathering = Gathering(SHAPE, np.dtype("f4"), tmp_path, memory=CHUNK_BYTES)
    for i in range(3):
        gathering.add((i, 0), (slice(i, i + 1), slice(None)), np.full((1, 5), 7, "f4"), 20, empty)
    rest = dict(gathering.drain())
    assert sorted(rest) == [(0, 0), (1, 0), (2, 0)]
    assert all((rest[i, 0][i] == 7).all() and rest[i, 0].sum() == 35 for i in range(3))
    assert list(gathering.drain()) == []


def test_the_scratch_file_has_no_name_and_is_let_go(tmp_path: Path) -> None:
    gathering = Gathering(SHAPE, np.dtype("i4,f8"), tmp_path, memory=1)
    for i in range(5):
        gathering.add(
            (i, 0), (slice(0, 1), slice(0, 1)), np.ones((1, 1), "i4,f8"), 20, lambda n: np.zeros(SHAPE, "i4,f8")
        )
    assert gathering.spilled == 4
    assert list(tmp_path.iterdir()) == []
    gathering.clear()
    assert gathering.spilled == 0


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    gathering = Gathering(SHAPE, np.dtype("f4"), tmp_path, memory=CHUNK_BYTES)
    gathering.add((0, 0), (slice(0, 1), slice(None)), np.ones((1, 5), "f4"), 20, empty)
    with pytest.raises(OSError, match="No space left"):
        gathering.add((1, 0), (slice(0, 1), slice(None)), np.ones((1, 5), "f4"), 20, empty)
