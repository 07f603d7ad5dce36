"""Chunks made here are those of HDF5's own filters, whatever library makes them."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.io.disk.raw import import_if_there
from usidx.io.write.blocks import compress
from usidx.io.write.blocks.compress import choose_deflater, choose_packer, shuffle

Array = npt.NDArray[Any]

DTYPES = ("u1", "?", "i2", "f4", ">f4", "f8", "c8", "c16", "i4,f8,u1", "S3")


def unshuffled(stored: bytes, dtype: Any) -> Array:
    """Undo the shuffle cell by cell."""
    itemsize = np.dtype(dtype).itemsize
    count = len(stored) // itemsize
    cells = b"".join(bytes(stored[byte * count + cell] for byte in range(itemsize)) for cell in range(count))
    return np.frombuffer(cells, dtype)


def measured(shape: tuple[int, int], dtype: Any) -> Array:
    """Make cells with planes of every kind: noise, little noise, and zeros."""
    random = np.random.default_rng(0)
    values = np.round(random.normal(size=shape) * 100) + random.normal(size=shape) * (np.dtype(dtype).kind in "fc")
    if np.dtype(dtype).names is not None:
        cells = np.zeros(shape, dtype)
        for name in cells.dtype.names or ():
            cells[name] = np.abs(values)
        return cells
    return (np.abs(values) + (1j * values if np.dtype(dtype).kind == "c" else 0)).astype(dtype)


@pytest.fixture(params=["all", "no isal", "no libdeflate", "none"])
def libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take libraries away."""
    gone = {"all": (), "no isal": ("isal.isal_zlib",), "no libdeflate": ("deflate",)}.get(
        request.param, ("isal.isal_zlib", "deflate")
    )
    left = {name: import_if_there(name) for name in ("isal.isal_zlib", "deflate") if name not in gone}
    monkeypatch.setattr(compress, "import_if_there", left.get)
    choose_deflater.cache_clear()
    yield request.param
    choose_deflater.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_shuffle_sorts_bytes_by_their_place_in_the_cell(dtype: str) -> None:
    chunk = measured((5, 7), dtype)
    stored = shuffle(chunk).tobytes()
    assert unshuffled(stored, dtype).tobytes() == chunk.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "i4,f8,u1"])
def test_a_part_of_a_larger_block_need_not_be_copied_first(dtype: str) -> None:
    block = measured((20, 30), dtype)
    for part in (block[3:9, 5:12], block[::2, 1:4], block[:, ::3], block[::-1]):
        assert shuffle(part).tobytes() == shuffle(part.copy()).tobytes()


@pytest.mark.parametrize("level", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("shape", [(3, 5), (64, 200)])
def test_any_library_makes_streams_that_zlib_reads(libraries: str, level: int, shape: tuple[int, int]) -> None:
    for dtype in DTYPES:
        planes = shuffle(measured(shape, dtype))
        assert zlib.decompress(choose_deflater(level)(planes)) == planes.tobytes()


@given(
    planes=st.lists(st.sampled_from(["noise", "zeros", "few", "noise then zeros"]), min_size=1, max_size=9),
    length=st.sampled_from([1, 4096, 4097, 65535, 65536, 140_000]),
)
def test_planes_of_any_kind_in_any_order(planes: list[str], length: int) -> None:
    random = np.random.default_rng(1)
    make: dict[str, Callable[[], Array]] = {
        "noise": lambda: random.integers(0, 256, length, dtype=np.uint8),
        "zeros": lambda: np.zeros(length, np.uint8),
        "few": lambda: random.integers(0, 9, length, dtype=np.uint8),
        "noise then zeros": lambda: random.integers(0, 256, length, dtype=np.uint8) * (np.arange(length) < length / 2),
    }
    matrix = np.array([make[kind]() for kind in planes], np.uint8)
    assert zlib.decompress(choose_deflater(1)(matrix)) == matrix.tobytes()


def test_noise_is_copied_and_the_rest_is_not(libraries: str) -> None:
    random = np.random.default_rng(2)
    cells = random.integers(0, 1 << 16, (256, 256), dtype=np.uint32)  # two planes of noise, two of zeros
    half = shuffle(cells).nbytes // 2
    assert half < len(choose_deflater(1)(shuffle(cells))) < half * 1.01


def test_a_padded_chunk_is_not_mistaken_for_noise() -> None:
    chunk = np.zeros((256, 256), np.float32)
    chunk[:100] = np.random.default_rng(3).normal(size=(100, 256))
    assert len(choose_deflater(1)(shuffle(chunk))) < 0.42 * chunk.nbytes


def test_what_does_not_shrink_hardly_grows(libraries: str) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (4, 1 << 16), dtype=np.uint8)
    assert len(choose_deflater(1)(noise)) <= noise.nbytes + 64


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", [None, 1, 6])
def test_h5py_reads_the_chunks(dtype: str, level: int | None, libraries: str, tmp_path: Path) -> None:
    chunk = measured((50, 60), dtype)
    options: dict[str, Any] = {} if level is None else {"compression": level, "shuffle": chunk.dtype.itemsize > 1}
    with h5py.File(tmp_path / "one.h5", "w") as file:
        dataset = file.create_dataset("one", chunk.shape, chunk.dtype, chunks=chunk.shape, **options)
        dataset.id.write_direct_chunk((0, 0), choose_packer(level)(chunk))
        np.testing.assert_array_equal(dataset[()], chunk)
