"""Chunks serve spectra and images, end where blocks end, and never make a block wait for too much memory."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.errors import UsidError
from usidx.io.write.blocks.storage import CONTIGUOUS, WAITING_BYTES, Extent, Storage, choose_chunk_shape, measure_extent

MIB = 1 << 20


@pytest.mark.parametrize(
    ("rows", "columns", "itemsize", "expected"),
    [
        (65536, 4096, 4, (256, 256)),
        (65536, 4096, 8, (256, 256)),
        (65536, 4096, 16, (256, 256)),
        (65536, 4096, 1, (512, 512)),
        (65536, 64, 4, (1024, 64)),  # whole spectra leave room for more rows
        (100, 100, 4, (100, 100)),
        (16, 1 << 20, 2, (16, 8192)),
        (5, 3, 4, (5, 3)),
        (1, 1, 8, (1, 1)),
    ],
)
def test_default(rows: int, columns: int, itemsize: int, expected: tuple[int, int]) -> None:
    assert choose_chunk_shape(Extent(rows, scan=rows), Extent(columns, scan=columns), itemsize) == expected


def test_cells_of_many_bytes_get_fewer() -> None:
    rows, columns = choose_chunk_shape(Extent(65536), Extent(4096), 80)
    assert rows == pytest.approx(columns, rel=0.5)
    assert 0.25 * MIB <= rows * columns * 80 <= 2 * MIB
    assert choose_chunk_shape(Extent(10), Extent(10), 4 * MIB) == (1, 1)


@given(
    rows=st.integers(1, 10**7),
    columns=st.integers(1, 10**6),
    itemsize=st.sampled_from([1, 2, 4, 8, 16, 20]),
    scan=st.integers(1, 3000),
)
def test_any_shape_has_chunks_of_bounded_size_that_fit(rows: int, columns: int, itemsize: int, scan: int) -> None:
    high, wide = choose_chunk_shape(Extent(rows, scan=scan), Extent(columns, scan=scan), itemsize)
    assert 1 <= high <= rows
    assert 1 <= wide <= columns
    assert high * wide * itemsize <= 2 * MIB
    assert high * wide * itemsize >= min(0.1 * MIB, 0.5 * rows * columns * itemsize)


@pytest.mark.parametrize("scan", [100, 256, 300, 512, 1000, 1024])
def test_chunks_end_where_rows_of_the_scan_end_if_one_is_near(scan: int) -> None:
    high, _ = choose_chunk_shape(Extent(scan * 1000, scan=scan), Extent(4096), 4)
    assert high % scan == 0 or scan % high == 0


@pytest.mark.parametrize("lines", [1, 3, 8, 37])
@pytest.mark.parametrize("scan", [200, 256, 300, 1000])
def test_chunks_end_where_blocks_end_if_that_is_near(lines: int, scan: int) -> None:
    blocks = [(lines,) * 20, (scan,)]
    rows = measure_extent([20 * lines, scan], blocks)
    assert rows.grain == lines * scan
    high, _ = choose_chunk_shape(rows, Extent(4096), 4)
    assert not rows.waits(high)
    assert 128 <= high <= 512


@pytest.mark.parametrize(
    ("sizes", "blocks", "grain", "span"),
    [
        ([6, 4], None, 0, 24),
        ([6, 4], [(6,), (4,)], 0, 24),
        ([6, 4], [(2, 2, 2), (4,)], 8, 8),
        ([7, 4], [(2, 2, 2, 1), (4,)], 8, 8),
        ([7, 4], [(3, 2, 2), (4,)], 4, 12),
        ([6, 4], [(2, 2, 2), (2, 2)], 2, 6),
        ([6, 5], [(6,), (3, 2)], 1, 28),
        ([12], [(8, 4)], 8, 8),
        ([], [], 0, 1),
    ],
)
def test_extent(sizes: list[int], blocks: Any, grain: int, span: int) -> None:
    found = measure_extent(sizes, blocks)
    assert (found.size, found.grain, found.span) == (int(np.prod(sizes)), grain, span)


def test_images_one_by_one_get_narrow_chunks() -> None:
    """Rows of a block wait for the other columns of their chunks; they must fit in memory."""
    rows, columns = measure_extent([1024, 1024], [(1024,), (1024,)]), measure_extent([512], [(1,) * 512])
    high, wide = choose_chunk_shape(rows, columns, 4)
    assert 1024 * 1024 * wide * 4 <= WAITING_BYTES
    assert 0.2 * MIB <= high * wide * 4 <= 2 * MIB


def test_long_spectra_one_by_one_get_low_chunks() -> None:
    rows, columns = measure_extent([500], [(1,) * 500]), measure_extent([1 << 22], [(1 << 22,)])
    high, _ = choose_chunk_shape(rows, columns, 4)
    assert high * (1 << 22) * 4 <= WAITING_BYTES
    rows = measure_extent([500], [(2,) * 250])
    assert choose_chunk_shape(rows, columns, 4)[0] == 2


def options(storage: Storage, dtype: str) -> dict[str, Any]:
    return storage.make_options((1000, 300), np.dtype(dtype), Extent(1000), Extent(300))


def test_options_of_h5py() -> None:
    assert options(CONTIGUOUS, "f4") == {}
    assert options(Storage.parse(None, (5000, 7)), "f4") == {"chunks": (1000, 7)}
    packed = {"chunks": (64, 64), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    assert options(Storage.parse("gzip", (64, 64)), "f4") == packed
    assert options(Storage.parse(9, [64, 64]), "u1") == packed | {"compression_opts": 9, "shuffle": False}
    assert Storage.parse("gzip", None).make_options((0, 3), np.dtype("f4"), Extent(0), Extent(3)) == {}


@pytest.mark.parametrize("compression", ["lzf", 10, -1, True, 1.5, "9"])
def test_compression_that_there_is_not(compression: Any) -> None:
    with pytest.raises(UsidError, match=rf"compression is {compression!r}; it can be None, 'gzip', or a level"):
        Storage.parse(compression, None)


@pytest.mark.parametrize("chunks", [(1,), (1, 2, 3), (0, 5), (-1, 5), (2.0, 5), "ab", 7])
def test_chunks_that_cannot_be(chunks: Any) -> None:
    with pytest.raises(UsidError, match=r"chunks is .*; give \(rows, columns\) of the main dataset"):
        Storage.parse(None, chunks)


def test_chunks_larger_than_hdf5_takes() -> None:
    with pytest.raises(UsidError, match="A chunk of 100000 x 100000 cells of 8 bytes has 80000000000 bytes"):
        Storage.parse(None, (10**5, 10**5)).make_options((10**6, 10**6), np.dtype("f8"), Extent(10**6), Extent(10**6))


@pytest.mark.parametrize("sizes", [(300, 251), (17, 64, 48), (1000,), (9, 1021), (128, 3, 5, 7), (40, 2**18)])
@pytest.mark.parametrize("steps", [(97,), (5, 1000), (3, 4, 64)])
def test_chunks_are_boxes_of_the_grid(sizes: tuple[int, ...], steps: tuple[int, ...]) -> None:
    """Rows of a chunk fill all of some dims, an equal part of the next slower one, and one step of all others."""
    chunk = choose_chunk_shape(measure_extent(sizes, None), measure_extent(steps, None), 4)
    for side, rows in zip((sizes, steps), chunk, strict=True):
        left = rows
        for n in reversed(side[1:]):
            assert left % n == 0 or n % left == 0
            left = max(1, left // n)
    assert 2**12 <= chunk[0] * chunk[1] <= 2**18
