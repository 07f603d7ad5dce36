"""Appending to an HDF5 file: through a transaction and by plain h5py, side by side in one run.

    python tests/benchmarks/append_speed.py [--megabytes 500] [--rounds 5] [--folder DIRECTORY]

Each way appends the same array to a copy of the same file, in turns; the medians and their ratios are written as a
table. Plain h5py is measured as it is, and with the one ``fsync`` after which its data, too, would survive a power
loss. The last rows append little and often, where a transaction pays its syncs for every commit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from usidx.io.write.transaction import transaction

Array = NDArray[np.float32]
Writer = Callable[[h5py.File, Array], None]

_COLUMNS = 1024
_CHUNK = (256, _COLUMNS)


def _chunked(file: h5py.File, data: Array) -> None:
    """Write 1 MiB chunks, 16 at a time."""
    dataset = file.create_dataset("new", data.shape, data.dtype, chunks=_CHUNK)
    for start in range(0, len(data), 16 * _CHUNK[0]):
        dataset[start : start + 16 * _CHUNK[0]] = data[start : start + 16 * _CHUNK[0]]


def _direct(file: h5py.File, data: Array) -> None:
    """Hand whole 1 MiB chunks to the file, as compressing writers do."""
    dataset = file.create_dataset("new", data.shape, data.dtype, chunks=_CHUNK)
    for start in range(0, len(data) - _CHUNK[0] + 1, _CHUNK[0]):
        dataset.id.write_direct_chunk((start, 0), data[start : start + _CHUNK[0]])


def _contiguous(file: h5py.File, data: Array) -> None:
    """Write one contiguous dataset, 16 MiB at a time."""
    dataset = file.create_dataset("new", data.shape, data.dtype)
    for start in range(0, len(data), 16 * _CHUNK[0]):
        dataset[start : start + 16 * _CHUNK[0]] = data[start : start + 16 * _CHUNK[0]]


def _attributes(file: h5py.File, data: Array) -> None:
    """Write 200 small groups with attributes."""
    for number in range(200):
        group = file.create_group(f"group {number}")
        group.attrs["number"] = number
        group["data"] = data[0, :10]


@contextmanager
def _plain(path: Path) -> Iterator[h5py.File]:
    with h5py.File(path, "r+") as file:
        yield file


@contextmanager
def _plain_synced(path: Path) -> Iterator[h5py.File]:
    with h5py.File(path, "r+") as file:
        yield file
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


@contextmanager
def _transaction(path: Path) -> Iterator[h5py.File]:
    with transaction(path) as changes:
        yield changes.file


_WAYS = {"h5py": _plain, "h5py + fsync": _plain_synced, "transaction": _transaction}
_WRITERS = {"chunked": _chunked, "direct chunks": _direct, "contiguous": _contiguous, "200 groups": _attributes}


def _seconds(way: str, writer: Writer, data: Array, folder: Path) -> float:
    """Time one append to a fresh file of some tens of MB."""
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("Raw_Data", data=np.ones((8192, _COLUMNS), "f4"), chunks=_CHUNK)
    os.sync()  # What earlier rounds left to be written is not this round's cost.
    start = time.perf_counter()
    with _WAYS[way](path) as file:
        writer(file, data)
    spent = time.perf_counter() - start
    path.unlink()
    return spent


def _batches(way: str, data: Array, folder: Path, count: int) -> float:
    """Time `count` small appends, each whole on the disk before the next."""
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("new", (count * 4, _COLUMNS), "f4", chunks=(4, _COLUMNS))
    start = time.perf_counter()
    if way == "transaction":
        with transaction(path) as changes:
            for number in range(count):
                changes.file["new"][4 * number : 4 * number + 4] = data[:4]
                changes.commit()
    else:
        for number in range(count):
            with _WAYS[way](path) as file:
                file["new"][4 * number : 4 * number + 4] = data[:4]
    spent = time.perf_counter() - start
    path.unlink()
    return spent


def measure(megabytes: int, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table."""
    rows = megabytes * (1 << 20) // (4 * _COLUMNS) // _CHUNK[0] * _CHUNK[0]
    data = np.random.default_rng(0).random((rows, _COLUMNS), dtype=np.float32)
    yield f"| {megabytes} MB, median of {rounds} | " + " | ".join(_WAYS) + " | transaction / h5py | / h5py + fsync |"
    yield "|---" * (len(_WAYS) + 3) + "|"
    for name, writer in _WRITERS.items():
        times = [[_seconds(way, writer, data, folder) for way in _WAYS] for _ in range(rounds)]
        yield _row(name, times)
    yield _row("20 commits of 16 kB", [[_batches(way, data, folder, 20) for way in _WAYS] for _ in range(rounds)])


def _row(name: str, times: list[list[float]]) -> str:
    columns = [sorted(column) for column in zip(*times, strict=True)]
    medians = [statistics.median(column) for column in columns]
    cells = [f"{statistics.median(column):.3f} ({column[0]:.3f}-{column[-1]:.3f})" for column in columns]
    ratios = [f"{medians[2] / median:.2f}" for median in medians[:2]]
    return f"| {name} | " + " | ".join(cells + ratios) + " |"


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in measure(options.megabytes, options.rounds, Path(folder)):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
