"""Blocks are tens of megabytes, hold whole HDF5 chunks and whole slabs, whatever the shape."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.format.placement import Axes, Placement
from usidx.io.read.chunks.block_sizes import BLOCK_BYTES, choose_main_blocks, choose_plain_blocks

MB = 1024 * 1024
Shape = tuple[int, ...]


def blocks(position: Shape, spectroscopic: Shape, itemsize: int = 4, chunks: tuple[int, int] | None = None) -> Shape:
    order = tuple(range(len(position) + len(spectroscopic)))
    return choose_main_blocks(Placement(Axes(position, None), Axes(spectroscopic, None), order), itemsize, chunks)


@pytest.mark.parametrize(
    ("position", "spectroscopic", "chunks", "wanted"),
    [
        ((128, 128), (4096,), (1, 4096), (8, 128, 4096)),
        ((128, 128), (4096,), None, (8, 128, 4096)),
        ((1024, 1024), (), (10241, 1), (1024, 1024)),
        ((64, 64), (200, 41), (1, 100), (7, 64, 200, 41)),
        ((5, 4), (3,), (1, 3), (5, 4, 3)),
        ((), (), None, ()),
        ((1_000_000,), (1000,), (1_000_000, 1), (1_000_000, 4)),
    ],
)
def test_known_shapes(position: Shape, spectroscopic: Shape, chunks: tuple[int, int] | None, wanted: Shape) -> None:
    assert blocks(position, spectroscopic, chunks=chunks) == wanted


def test_blocks_follow_the_order_of_the_array() -> None:
    placed = Placement(Axes((128, 128), None), Axes((4096,), None), (2, 0, 1))
    assert choose_main_blocks(placed, 4, None) == (4096, 8, 128)


@pytest.mark.parametrize("shape", [(10, 10**9), (10**9, 1), (1, 10**9), (10**5, 10**5), (3, 10**7)])
def test_contiguous_data_of_any_shape_is_cut(shape: tuple[int, int]) -> None:
    assert prod(blocks(shape[:1], shape[1:])) * 4 <= 2 * BLOCK_BYTES
    assert prod(choose_plain_blocks(shape, 4, None)) * 4 <= BLOCK_BYTES


@pytest.mark.parametrize(
    ("shape", "chunks", "wanted"),
    [
        ((1000, 1000, 1000), (100, 100, 100), (100, 100, 400)),
        ((100_000, 3), (100_000, 3), (100_000, 3)),
        ((10,), None, (10,)),
        ((), None, ()),
        ((0, 3), (1, 3), (1, 3)),
        ((4, 10**6, 8), None, (1, 524288, 8)),
    ],
)
def test_plain_shapes(shape: Shape, chunks: Shape | None, wanted: Shape) -> None:
    found = choose_plain_blocks(shape, 4, chunks)
    assert found == tuple(min(w, n) if n else 1 for w, n in zip(wanted, shape, strict=True))


sides = st.lists(st.integers(1, 300), min_size=0, max_size=3).map(tuple)


@given(position=sides, spectroscopic=sides, itemsize=st.sampled_from([1, 4, 8, 16]), data=st.data())
def test_laws_of_main_blocks(position: Shape, spectroscopic: Shape, itemsize: int, data: st.DataObject) -> None:
    rows, columns = prod(position), prod(spectroscopic)
    chunks = data.draw(st.none() | st.tuples(st.integers(1, rows), st.integers(1, columns)))
    found = blocks(position, spectroscopic, itemsize, chunks)
    assert all(1 <= b <= n for b, n in zip(found, position + spectroscopic, strict=True))
    for block, shape in ((found[: len(position)], position), (found[len(position) :], spectroscopic)):
        assert is_slab(block, shape)
    bound = 4 * BLOCK_BYTES if chunks is None else 4 * max(BLOCK_BYTES, chunks[0] * chunks[1] * itemsize)
    assert prod(found) * itemsize <= bound
    whole = rows * columns * itemsize
    assert prod(found) * itemsize >= min(whole, BLOCK_BYTES) / 8


def is_slab(block: Shape, shape: Shape) -> bool:
    """Say whether a block is whole along all dims that come after the first that it cuts."""
    cut = next((axis for axis, (b, n) in enumerate(zip(block, shape, strict=True)) if b > 1), len(shape))
    return all(b == n for b, n in zip(block[cut + 1 :], shape[cut + 1 :], strict=True))


@given(rows=st.integers(1, 3000), columns=st.integers(1, 5000), height=st.integers(1, 64))
def test_blocks_hold_whole_hdf5_chunks(rows: int, columns: int, height: int) -> None:
    """Along one position dim nothing stands in the way of whole chunks."""
    found = blocks((rows,), (columns,), chunks=(min(height, rows), columns))
    assert found[0] % min(height, rows) == 0 or found[0] == rows
    assert found[1] == columns


@given(shape=st.lists(st.integers(0, 400), max_size=4).map(tuple), itemsize=st.sampled_from([1, 8]), data=st.data())
def test_laws_of_plain_blocks(shape: Shape, itemsize: int, data: st.DataObject) -> None:
    chunks = data.draw(st.none() | st.tuples(*(st.integers(1, max(1, n)) for n in shape)))
    found = choose_plain_blocks(shape, itemsize, chunks)
    for block, size, unit in zip(found, shape, chunks or (1,) * len(shape), strict=True):
        assert 1 <= block <= max(1, size)
        assert block % unit == 0 or block == size
    least = prod(chunks or ()) * itemsize
    assert prod(found) * itemsize <= max(BLOCK_BYTES, least)
