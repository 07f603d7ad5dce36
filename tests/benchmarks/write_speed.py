"""Writing a main dataset: usidx, an h5py loop and ``dask.array.store``, side by side in one run.

    python tests/benchmarks/write_speed.py [--megabytes 1024] [--rounds 5] [--folder DIRECTORY]

Each way writes the same array, a raster of spectra in blocks of whole rows of the scan, to a new file, in turns. The
table gives medians (and the range), the ratio to the h5py loop of the same kind, the size on disk relative to the data,
and the most memory that was taken beside the data. What usidx writes is synced, as every commit is, and comes with the
tables of positions that a USID file has; the loop is measured as it is, and with the ``fsync`` after which its data,
too, would survive a power loss. Name a folder on an ordinary disk to see what that costs; on a memory-backed one it is
nothing, and the writing alone is compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

import usidx

Array = NDArray[np.float32]

Way = Callable[[Array, Path], None]

_COLUMNS = 1024
_SCAN = 256
_CHUNK = (256, 256)
_BLOCK = 32 << 20


def spectra(megabytes: int) -> Array:
    """Make a scan, dims (Y, X, E), of peaks that move and noise, as a converter of 16 bits would give it."""
    lines = max(1, megabytes * (1 << 20) // (4 * _COLUMNS * _SCAN))
    random = np.random.default_rng(0)
    energy = np.linspace(0, 1, _COLUMNS, dtype="f4")
    scan = np.empty((lines, _SCAN, _COLUMNS), "f4")
    for line in scan:
        centre, height = random.uniform(0.3, 0.7, (2, _SCAN, 1)).astype("f4")
        line[:] = height * np.exp(-(((energy - centre) / 0.1) ** 2))
        line += random.standard_normal(line.shape, dtype="f4") / 50
        np.round(line * 32768, out=line)
        line /= 32768
    return scan


def _lines(data: Array) -> int:
    return max(1, _BLOCK // (4 * _COLUMNS * _SCAN))


class _Source:
    """An array that dask takes for a stored one, and does not copy."""

    def __init__(self, data: Array) -> None:
        self._data = data
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key: Any) -> Array:
        block: Array = self._data[key]
        return block


def _blocks(data: Array) -> Any:
    # Without name=False dask hashes the array first.
    return da.from_array(_Source(data), chunks=(_lines(data), -1, -1), name=False)


def _by_usidx(data: Array, path: Path, **options: Any) -> None:
    array = xr.DataArray(_blocks(data), dims=("Y", "X", "E"), name="Raw_Data")
    array = usidx.set_roles(array, position=["Y", "X"], spectroscopic="E")
    usidx.write(array, path, progress=False, **options)


def _by_loop(data: Array, path: Path, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("Raw_Data", (data.shape[0] * _SCAN, _COLUMNS), "f4", **options)
        for start in range(0, len(data), _lines(data)):
            block = data[start : start + _lines(data)].reshape(-1, _COLUMNS)
            dataset[start * _SCAN : start * _SCAN + len(block)] = block


def _synced(way: Way) -> Way:
    def written(data: Array, path: Path) -> None:
        way(data, path)
        descriptor = os.open(path, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)

    return written


def _by_dask(data: Array, path: Path, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("Raw_Data", (data.shape[0] * _SCAN, _COLUMNS), "f4", **options)
        da.store(_blocks(data).reshape(-1, _COLUMNS), dataset)


def _gzip(level: int) -> dict[str, Any]:
    return {"chunks": _CHUNK, "compression": "gzip", "compression_opts": level, "shuffle": True}


#: Kind of file: the ways to write it, what they are compared with first.
KINDS: dict[str, dict[str, Way]] = {
    "contiguous": {
        "h5py loop": _by_loop,
        "h5py loop + fsync": _synced(_by_loop),
        "dask.array.store": _by_dask,
        "usidx": _by_usidx,
    },
    "chunked": {
        "h5py loop": lambda data, path: _by_loop(data, path, chunks=_CHUNK),
        "h5py loop + fsync": _synced(lambda data, path: _by_loop(data, path, chunks=_CHUNK)),
        "dask.array.store": lambda data, path: _by_dask(data, path, chunks=_CHUNK),
        "usidx": lambda data, path: _by_usidx(data, path, chunks=_CHUNK),
    },
    "gzip": {
        "h5py loop, level 4": lambda data, path: _by_loop(data, path, **_gzip(4)),
        "h5py loop, level 4 + fsync": _synced(lambda data, path: _by_loop(data, path, **_gzip(4))),
        "h5py loop, level 1": lambda data, path: _by_loop(data, path, **_gzip(1)),
        "dask.array.store, level 4": lambda data, path: _by_dask(data, path, **_gzip(4)),
        "usidx, gzip": lambda data, path: _by_usidx(data, path, compression="gzip"),
        "usidx, level 4": lambda data, path: _by_usidx(data, path, compression=4),
    },
}


@dataclass
class Measured:
    """What one way took, run by run."""

    seconds: list[float] = field(default_factory=list)
    peak: float = 0.0
    size: float = 0.0


class _Peak:
    """Samples the resident memory in a thread."""

    def __enter__(self) -> _Peak:
        self.base = self.most = _resident()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(0.01):
            self.most = max(self.most, _resident())


def _resident() -> int:
    """Return the resident memory in bytes; 0 where there is no /proc."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if status.exists() else 0


def _run(way: Way, data: Array, folder: Path, measured: Measured) -> None:
    path = folder / "scan.h5"
    os.sync()  # What earlier runs left to be written is not this run's cost.
    with _Peak() as peak:
        start = time.perf_counter()
        way(data, path)
        measured.seconds.append(time.perf_counter() - start)
    measured.peak = max(measured.peak, peak.most - peak.base)
    measured.size = path.stat().st_size / data.nbytes
    path.unlink()


def measure(megabytes: int, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table."""
    data = spectra(megabytes)
    yield f"| {data.nbytes >> 20} MiB, median of {rounds} | way | seconds | times faster | on disk | extra MiB |"
    yield "|---" * 6 + "|"
    for kind, ways in KINDS.items():
        results = {name: Measured() for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                _run(way, data, folder, results[name])
        reference = statistics.median(next(iter(results.values())).seconds)
        for name, one in results.items():
            middle = statistics.median(one.seconds)
            spread = f"{middle:.2f} ({min(one.seconds):.2f}-{max(one.seconds):.2f})"
            yield f"| {kind} | {name} | {spread} | {reference / middle:.2f} | {one.size:.3f} | {one.peak / 2**20:.0f} |"


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in measure(options.megabytes, options.rounds, Path(folder)):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
