"""Filters are undone as HDF5 undoes them, and what is damaged is refused before it costs memory."""

import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.errors import UsidError
from usidx.io.read.chunks import filters as module
from usidx.io.read.chunks import unshuffle as shuffling
from usidx.io.read.chunks.filters import DEFLATE, FLETCHER32, SHUFFLE, Filter, compute_fletcher32, decode
from usidx.io.read.chunks.unshuffle import unshuffle

Array = npt.NDArray[Any]

GZIP = [Filter(DEFLATE, 4)]


def shuffled(data: bytes, itemsize: int) -> bytes:
    """Shuffle as the specification of the filter says, byte by byte."""
    cells = len(data) // itemsize
    planes = [data[cell * itemsize + byte] for byte in range(itemsize) for cell in range(cells)]
    return bytes(planes) + data[cells * itemsize :]


@pytest.fixture(params=["deflate", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Decompress by the fast library, and as if it were not installed."""
    if request.param == "deflate":
        pytest.importorskip("deflate")
    else:
        monkeypatch.setattr(module, "_libdeflate", None)
    return str(request.param)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_unshuffle(data: bytes, itemsize: int) -> None:
    found = unshuffle(np.frombuffer(shuffled(data, itemsize), np.uint8), itemsize)
    assert found.tobytes() == data


@pytest.mark.parametrize("itemsize", [2, 4, 8, 16, 3])
def test_compiled_and_plain_agree(monkeypatch: pytest.MonkeyPatch, itemsize: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, 1003, np.uint8)
    packed = np.frombuffer(shuffled(data.tobytes(), itemsize), np.uint8)
    np.testing.assert_array_equal(unshuffle(packed, itemsize), data)
    monkeypatch.setattr(shuffling, "_PAYS", 0)
    monkeypatch.setattr(shuffling, "_PAYS_IMPORTED", 0)
    monkeypatch.setattr(shuffling, "_kernel", None)
    for buffer in (packed, packed.copy()):  # one that may be written, too
        np.testing.assert_array_equal(unshuffle(buffer, itemsize), data)
    assert (shuffling._kernel is not None) == (itemsize in shuffling._COMPILED)


def test_numba_waits_until_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "_kernel", None)
    monkeypatch.setattr(shuffling, "_done", 0)
    monkeypatch.delitem(sys.modules, "usidx.io.read.chunks.unshuffle_compiled", raising=False)
    unshuffle(np.zeros(4096, np.uint8), 4)
    assert shuffling._done == 4096
    assert "usidx.io.read.chunks.unshuffle_compiled" not in sys.modules


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 720, 721, 5000])
@pytest.mark.parametrize("content", ["random", "ones", "zeros"])
def test_fletcher32_is_that_of_hdf5(tmp_path: Path, size: int, content: str) -> None:
    made = {"random": np.random.default_rng(size).integers(0, 256, size + 1), "ones": np.full(size + 1, 255)}
    data = made.get(content, np.zeros(size + 1)).astype("u1")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=data, chunks=data.shape, fletcher32=True)
        _, stored = dataset.id.read_direct_chunk((0,))
    assert compute_fletcher32(data) == int.from_bytes(stored[-4:], "little")


def test_fletcher32_of_much_data() -> None:
    """The sums of 16 MB must not overflow; the reference adds word by word."""
    data = np.random.default_rng(0).integers(200, 256, 5 << 20, np.uint8)
    words = data.view(">u2").astype(object)
    first = int(words.sum())
    second = int((words * np.arange(words.size, 0, -1).astype(object)).sum())
    assert compute_fletcher32(data) == ((second - 1) % 65535 + 1) << 16 | ((first - 1) % 65535 + 1)


def test_a_checksum_of_the_oldest_files_is_accepted() -> None:
    data = bytes(range(40))
    right = compute_fletcher32(np.frombuffer(data, np.uint8)).to_bytes(4, "little")
    old = bytes([right[1], right[0], right[3], right[2]])
    for checksum in (right, old):
        assert decode(memoryview(data + checksum), [Filter(FLETCHER32)], 0, 40).tobytes() == data


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize(
    "order", [(SHUFFLE, DEFLATE, FLETCHER32), (SHUFFLE, FLETCHER32, DEFLATE), (FLETCHER32, DEFLATE)]
)
def test_pipelines_in_any_order(library: str, order: tuple[int, ...], into: bool) -> None:
    data = stored = np.arange(100, dtype="u4").tobytes()
    filters = [Filter(code, 4) for code in order]
    for code in order:
        if code == SHUFFLE:
            stored = shuffled(stored, 4)
        elif code == DEFLATE:
            stored = zlib.compress(stored)
        else:
            stored += compute_fletcher32(np.frombuffer(stored, np.uint8)).to_bytes(4, "little")
    out = np.empty(400, np.uint8) if into else None
    found = decode(memoryview(stored), filters, 0, 400, out)
    assert found.tobytes() == data
    assert not into or found is out


@pytest.mark.parametrize("mask", range(8))
def test_filters_that_were_left_out(library: str, mask: int) -> None:
    data = stored = np.arange(100, dtype="u4").tobytes()
    if not mask & 1:
        stored = shuffled(stored, 4)
    if not mask & 2:
        stored = zlib.compress(stored)
    if not mask & 4:
        stored += compute_fletcher32(np.frombuffer(stored, np.uint8)).to_bytes(4, "little")
    filters = [Filter(SHUFFLE, 4), Filter(DEFLATE, 4), Filter(FLETCHER32)]
    assert decode(memoryview(stored), filters, mask, 400).tobytes() == data


def test_what_is_not_compressed_any_smaller_is_returned_as_it_is() -> None:
    data = bytes(range(100))
    assert decode(memoryview(data), GZIP, 1, 100).tobytes() == data


@pytest.mark.parametrize("made", [0, 99, 101, 100_000])
def test_other_sizes_are_refused(library: str, made: int) -> None:
    with pytest.raises(UsidError, match=f"it holds {made} bytes instead of 100|it does not decompress to 100 bytes"):
        decode(memoryview(zlib.compress(bytes(made))), GZIP, 0, 100)


@pytest.mark.parametrize("damage", ["cut", "changed", "checksum", "empty"])
def test_damaged_streams_are_refused(library: str, damage: str) -> None:
    stream = bytearray(zlib.compress(np.random.default_rng(0).bytes(1000)))
    stream = {"cut": stream[:-5], "empty": stream[:0]}.get(damage, stream)
    if damage == "changed":
        stream[0] = 0
    if damage == "checksum":
        stream[-1] ^= 1
    with pytest.raises(UsidError, match=r"does not decompress to 1000 bytes|1000|compressed bytes cannot hold"):
        decode(memoryview(bytes(stream)), GZIP, 0, 1000)


def test_a_chunk_that_claims_too_much_costs_no_memory(library: str) -> None:
    stream = zlib.compress(bytes(100))
    with pytest.raises(UsidError, match=rf"{len(stream)} compressed bytes cannot hold {1 << 45}"):
        decode(memoryview(stream), GZIP, 0, 1 << 45)


def test_the_densest_stream_there_can_be(library: str) -> None:
    data = bytes(50 << 20)
    assert decode(memoryview(zlib.compress(data, 9)), GZIP, 0, len(data)).tobytes() == data


@pytest.mark.parametrize("stored", [b"", b"abc"])
def test_too_short_for_a_checksum(stored: bytes) -> None:
    with pytest.raises(UsidError, match=f"its {len(stored)} bytes are too few for a checksum"):
        decode(memoryview(stored), [Filter(FLETCHER32)], 0, 10)


def test_a_wrong_checksum() -> None:
    with pytest.raises(UsidError, match=r"its Fletcher-32 checksum is 0x00000000, that of its bytes 0x0*[1-9a-f]"):
        decode(memoryview(bytes(range(10)) + bytes(4)), [Filter(FLETCHER32)], 0, 10)


def test_decoding_lets_other_threads_run(library: str) -> None:
    """Python goes on counting while a long stream is decompressed."""
    data = np.random.default_rng(0).normal(size=4 << 20).astype("f4").view(np.uint8)
    stream = memoryview(zlib.compress(data.tobytes(), 1))
    worker = threading.Thread(target=decode, args=(stream, GZIP, 0, data.size))
    counted = 0
    worker.start()
    while worker.is_alive():
        counted += 1
    assert counted > 1000
