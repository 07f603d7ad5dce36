"""Blocks of the N-D array come from the rows and columns they need, and no others."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from usidx.format.placement import Axes, Key, Placement, Selector, as_selector

Array = npt.NDArray[Any]
NATURAL = (3, 4, 2, 5)


def placement(order: tuple[int, ...] = (0, 1, 2, 3), *, shuffled: bool = False) -> tuple[Placement, Array, Array]:
    """Return a placement, the main dataset, and the N-D array that it stands for."""
    random = np.random.default_rng(0)
    rows = random.permutation(12) if shuffled else None
    columns = random.permutation(10) if shuffled else None
    array = np.arange(120).reshape(NATURAL)
    main = np.empty((12, 10), dtype=int)
    main[np.ix_(np.arange(12) if rows is None else rows, np.arange(10) if columns is None else columns)] = (
        array.reshape(12, 10)
    )
    return Placement(Axes((3, 4), rows), Axes((2, 5), columns), order), main, array.transpose(order)


class Reader:
    """Serve blocks of a main dataset, and count the cells."""

    def __init__(self, main: Array) -> None:
        self.main, self.cells, self.calls = main, 0, 0

    def __call__(self, rows: Selector, columns: Selector) -> Array:
        block: Array = self.main[rows][:, columns]
        self.cells += block.size
        self.calls += 1
        return block


KEYS: list[tuple[Key, ...]] = [
    (slice(None),) * 4,
    (0, 1, 1, 4),
    (-1, -4, -2, -5),
    (slice(None, None, -1), slice(3, 0, -2), 0, slice(None)),
    (np.array([2, 0, 0]), slice(1, 3), np.array([1]), np.array([4, 4, 0, 1])),
    (slice(0, 0), slice(None), slice(None), slice(None)),
    (slice(None), slice(None), 1, 3),
    (np.array([-1, -3]), -2, slice(None), slice(-1, None)),
    (1, slice(None, None, 2), slice(None), slice(1, None, 2)),
]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_take_is_outer_indexing(key: tuple[Key, ...], order: tuple[int, ...], shuffled: bool) -> None:
    placed, main, array = placement(order, shuffled=shuffled)
    arranged = tuple(key[axis] for axis in order)
    wanted = array
    for axis in reversed(range(4)):
        wanted = wanted[(slice(None),) * axis + (arranged[axis],)]
    reader = Reader(main)
    found = placed.take(arranged, reader)
    np.testing.assert_array_equal(found, wanted)
    assert found.shape == wanted.shape
    assert (reader.calls, reader.cells) == (1, wanted.size)


@pytest.mark.parametrize("shuffled", [False, True])
def test_unfold_gives_the_whole_array(shuffled: bool) -> None:
    placed, main, array = placement((2, 0, 3, 1), shuffled=shuffled)
    np.testing.assert_array_equal(placed.unfold(main), array)
    assert placed.shape == array.shape


def test_no_dims_at_all() -> None:
    placed = Placement(Axes((), None), Axes((), None), ())
    assert placed.unfold(np.array([[7]])) == 7


@pytest.mark.parametrize(
    ("indices", "selector"),
    [
        ([3, 4, 5], slice(3, 6, 1)),
        ([1, 4, 7], slice(1, 8, 3)),
        ([9], slice(9, 10, 1)),
        ([], slice(0, 0, 1)),
    ],
)
def test_steady_indices_become_a_slice(indices: list[int], selector: slice) -> None:
    assert as_selector(np.array(indices, dtype=int)) == selector


@pytest.mark.parametrize("indices", [[3, 2, 1], [1, 1], [0, 1, 3]])
def test_other_indices_stay(indices: list[int]) -> None:
    assert not isinstance(as_selector(np.array(indices)), slice)
